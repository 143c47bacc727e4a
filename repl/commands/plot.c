/* `plot`: draws what it is given. A vector is a curve, a matrix a heatmap, counts with their edges a
 * histogram. */
#include "repl/commands/plot.h"

#include "repl/commands/figures.h"
#include "repl/commands/table.h"
#include "repl/language/language.h"
#include "repl/numbers.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CURVE_POINTS = 4000 };

/* ---- what is to be drawn ---- */

/* Where the first comma outside brackets and quotes stands, or the end. */
static const char *find_comma(const char *text)
{
    int depth = 0;
    char quote = 0;
    for (; *text; text++) {
        if (quote) {
            quote = *text == quote ? 0 : quote;
        } else if (*text == '"' || *text == '\'') {
            quote = *text;
        } else if (strchr("([{", *text)) {
            depth++;
        } else if (strchr(")]}", *text)) {
            depth--;
        } else if (*text == ',' && depth == 0) {
            return text;
        }
    }
    return text;
}

static nb_status keep_array(nb_drawing *d, const nb_value *value, const char *label, nb_error *error)
{
    if (value->kind != NB_VALUE_ARRAY)
        return nb_fail(error, NB_ERR_ARGUMENT, "plot draws arrays: %.80s is %s", label,
                       nb_value_describe(value).text);
    if (value->array->size == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "%.80s is empty: there is nothing to draw", label);
    if (d->n == 2)
        return nb_fail(error, NB_ERR_ARGUMENT, "plot draws two arrays at most");
    d->series[d->n].array = nb_array_retain(value->array);
    d->series[d->n].label = nb_strdup(label);
    return d->series[d->n++].label ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
}

static nb_status keep_value(nb_drawing *d, const nb_value *value, const char *label, nb_error *error)
{
    if (value->kind != NB_VALUE_LIST)
        return keep_array(d, value, label, error);
    nb_status status = NB_OK;
    d->from_list = d->n == 0;
    for (size_t i = 0; i < value->list->count && status == NB_OK; i++)
        status = keep_array(d, &value->list->values[i], label, error);
    return status;
}

static nb_status evaluate(nb_drawing *d, const char *text, nb_error *error)
{
    nb_status status = NB_OK;
    while (status == NB_OK) {
        const char *comma = find_comma(text);
        while (isspace((unsigned char)*text))
            text++;
        char *part = nb_format_text("%.*s", (int)(comma - text), text);
        nb_value value = {.kind = NB_VALUE_NONE};
        if (!part)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
        for (size_t n = strlen(part); n > 0 && isspace((unsigned char)part[n - 1]); n--)
            part[n - 1] = '\0';
        status = part[0]
                     ? nb_language_evaluate(d->notebook->language, part, &value, error)
                     : nb_fail(error, NB_ERR_ARGUMENT, "plot wants an expression: plot W, plot abs(W), V");
        if (status == NB_OK)
            status = keep_value(d, &value, part, error);
        nb_value_release(&value);
        free(part);
        if (*comma == '\0')
            break;
        text = comma + 1;
    }
    return status;
}

static void free_drawing(nb_drawing *d)
{
    for (size_t i = 0; i < d->n; i++) {
        nb_array_release(&d->series[i].array);
        free(d->series[i].label);
    }
}

size_t nb_drawing_ends(const nb_array *x, double *low, double *high)
{
    size_t others = 0;
    *low = INFINITY, *high = -INFINITY;
    for (size_t i = 0; i < x->size; i++) {
        const double value = (double)x->data[i];
        if (!isfinite(value)) {
            others++;
            continue;
        }
        *low = value < *low ? value : *low;
        *high = value > *high ? value : *high;
    }
    if (others == x->size)
        *low = *high = NAN;
    return others;
}

double nb_drawing_measure(const nb_array *x, nb_reduction op)
{
    double result = NAN;
    return nb_array_reduce(x->space, op, x, &result, NULL) == NB_OK ? result : NAN;
}

void nb_drawing_range(const nb_array *x, char *text, size_t size)
{
    double low, high;
    const size_t others = nb_drawing_ends(x, &low, &high);
    /* + 0 takes the sign of a -0 */
    const int used = snprintf(text, size, "%s value%s from %s to %s", nb_count(x->size).text,
                              x->size == 1 ? "" : "s", nb_general(low + 0.0, 4).text, nb_general(high + 0.0, 4).text);
    if (others)
        snprintf(text + used, size - (size_t)used, ", %s not finite", nb_count(others).text);
}

const char *nb_drawing_label(const nb_drawing *d, size_t i)
{
    return d->series[i].label;
}

void nb_drawing_names(const nb_drawing *d, char *text, size_t size)
{
    snprintf(text, size, "%.60s%s%.60s", nb_drawing_label(d, 0), d->n > 1 ? " and " : "",
             d->n > 1 ? nb_drawing_label(d, 1) : "");
}

const char *nb_drawing_title(const nb_drawing *d)
{
    return nb_call_text(d->call, "title", d->headline);
}

nb_status nb_drawing_put(const nb_drawing *d, const nb_figure *figure, nb_error *error)
{
    return nb_figure_put(d->notebook, d->call, figure, d->out, error);
}

/* ---- curves ---- */

/* At most MOST_CURVE_POINTS: of a stretch its lowest and its highest value, in their order, so that no peak
 * is lost. */
static double *thin(const nb_array *x, size_t *n)
{
    const size_t stretches = x->size > MOST_CURVE_POINTS ? MOST_CURVE_POINTS / 2 : 0;
    *n = stretches ? 2 * stretches : x->size;
    double *values = nb_calloc(*n, sizeof *values);
    for (size_t i = 0; values && !stretches && i < *n; i++)
        values[i] = (double)x->data[i];
    for (size_t s = 0; values && s < stretches; s++) {
        const size_t begin = s * (x->size / stretches) + nb_min_size(s, x->size % stretches);
        const size_t end = begin + x->size / stretches + (s < x->size % stretches);
        size_t low = begin, high = begin;
        for (size_t i = begin + 1; i < end; i++) {
            low = x->data[i] < x->data[low] ? i : low;
            high = x->data[i] > x->data[high] ? i : high;
        }
        values[2 * s] = (double)x->data[low < high ? low : high];
        values[2 * s + 1] = (double)x->data[low < high ? high : low];
    }
    return values;
}

static nb_status draw_curve(nb_drawing *d, nb_error *error)
{
    const nb_array *first = d->series[0].array, *second = d->n > 1 ? d->series[1].array : NULL;
    char a[96], b[96];
    if (second && second->size != first->size)
        return nb_fail(error, NB_ERR_ARGUMENT, "two curves have as many points each: %.60s has %s, %.60s %s",
                       nb_drawing_label(d, 0), nb_array_shape(first, a, sizeof a), nb_drawing_label(d, 1),
                       nb_array_shape(second, b, sizeof b));
    size_t n;
    double *before = thin(first, &n), *after = second ? thin(second, &n) : NULL;
    nb_status status =
        before && (after || !second) ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    nb_drawing_names(d, d->headline, sizeof d->headline);
    nb_drawing_range(first, d->subline, sizeof d->subline);
    if (second) {
        double low, high;
        const size_t used = strlen(d->subline);
        nb_drawing_ends(second, &low, &high);
        snprintf(d->subline + used, sizeof d->subline - used, "; the second from %s to %s",
                 nb_general(low, 4).text, nb_general(high, 4).text);
    }
    snprintf(d->sentence, sizeof d->sentence, "Curve of %s: %s.", d->headline, d->subline);
    const bool placed = nb_call_has(d->call, "low") || nb_call_has(d->call, "high");
    const nb_figure figure = {
        .kind = NB_FIGURE_CURVE,
        .headline = nb_drawing_title(d),
        .subline = d->subline,
        .x_label = placed ? "x" : "index",
        .x_low = nb_call_number(d->call, "low", 0),
        .x_high = nb_call_number(d->call, "high", placed ? 1 : (double)(first->size - 1)),
        .n = n,
        .whole = !placed,
        .before = {second ? nb_drawing_label(d, 0) : NULL, before},
        .after = {second ? nb_drawing_label(d, 1) : NULL, after},
        .log_y = nb_call_has(d->call, "log"),
        .sentence = d->sentence,
    };
    if (status == NB_OK)
        status = nb_drawing_put(d, &figure, error);
    free(before);
    free(after);
    return status;
}

/* ---- the command ---- */

static nb_status draw(nb_drawing *d, const char *kind, nb_error *error)
{
    const nb_array *x = d->series[0].array;
    char shape[96];
    if (strcmp(kind, "hist") == 0)
        return nb_plot_histogram(d, error);
    if (strcmp(kind, "heatmap") == 0)
        return nb_plot_heatmap(d, error);
    if (strcmp(kind, "curve") == 0)
        return draw_curve(d, error);
    if (nb_plot_are_counts(d))
        return nb_plot_counts(d, error);
    if (x->n_dims == 2 && d->n == 1 && x->dims[0] > 1 && x->dims[1] > 1)
        return nb_plot_heatmap(d, error);
    if (x->n_dims > 2)
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "%.60s is %s: plot draws vectors and matrices; slice it, or look at its numbers with plot hist",
            nb_drawing_label(d, 0), nb_array_shape(x, shape, sizeof shape));
    return draw_curve(d, error);
}

/* The kind of figure if the first of several words names one; "" otherwise. */
static const char *kind_of(const nb_call *call)
{
    static const char *const kinds[] = {"hist", "heatmap", "curve", "staircase"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && call->n_expression > 1; i++)
        if (strcmp(call->expression[0].text, kinds[i]) == 0 && !call->expression[0].quoted)
            return kinds[i];
    return "";
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *kind = kind_of(call);
    char *text = nb_call_expression(call, *kind ? 1 : 0);
    if (!text)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    nb_status status;
    if (strcmp(kind, "staircase") == 0) {
        status = nb_plot_staircase(notebook, call, text, out, error);
    } else {
        nb_drawing d = {.notebook = notebook, .call = call, .out = out};
        status = evaluate(&d, text, error);
        if (status == NB_OK)
            status = draw(&d, kind, error);
        free_drawing(&d);
    }
    free(text);
    return status;
}

const nb_command nb_command_plot = {
    .name = "plot",
    .group = "A model",
    .usage = "plot [hist|heatmap|curve] EXPR [, EXPR] [--bins N] [--log] [--low L --high H] [--title TEXT] "
             "[--png FILE] "
             "[--svg FILE]\nplot staircase absmax|zeropoint|FORMAT|FUNCTION [--bits N] [--convention "
             "labonne] [--low L --high H]",
    .summary = "arrays as curves or heatmaps; a quantizer's stairs",
    .details = "Two arrays are two curves, and after " NB_STRONG "hist" NB_END
               " two histograms. What " NB_STRONG "histogram(x)" NB_END
               " gives is drawn as bars. A staircase shows what a quantizer makes of every number "
               "from L to H (-1 to 1 unless said): of absmax, zeropoint, any format, or a function of yours.",
    .examples = {"plot blk.0.attn_q", "plot hist W, q * s --bins 60", "plot staircase absmax --bits 3"},
    .arguments = {{"EXPR", NB_WORD_EXPRESSION, false}},
    .options =
        {{.name = "bins",
          .kind = NB_WORD_COUNT,
          .value = "N",
          .low = 1,
          .high = 4096,
          .summary = "of a histogram; 81 unless said, one each for whole numbers"},
         {.name = "bits",
          .kind = NB_WORD_COUNT,
          .value = "N",
          .low = 2,
          .high = 8,
          .summary = "of a staircase; 4 unless said"},
         {.name = "convention",
          .kind = NB_WORD_CHOICE,
          .value = "labonne",
          .choices = "divide labonne",
          .summary = "of a staircase: multiply by 127 / max, a zero point without 0"},
         {.name = "low",
          .kind = NB_WORD_NUMBER,
          .value = "L",
          .low = -1e30,
          .high = 1e30,
          .summary = "x of the first point; where a histogram begins; the smallest weight"},
         {.name = "high",
          .kind = NB_WORD_NUMBER,
          .value = "H",
          .low = -1e30,
          .high = 1e30,
          .summary = "x of the last point; where a histogram ends; the largest weight"},
         {.name = "log", .kind = NB_WORD_FLAG, .summary = "a logarithmic height"},
         {.name = "title", .kind = NB_WORD_TEXT, .value = "TEXT", .summary = "what to see, over the figure"},
         NB_FIGURE_OPTIONS},
    .needs = NB_WRITES_FILES,
    .run = run,
};
