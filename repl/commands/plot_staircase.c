/* `plot staircase WHAT`: what a quantizer makes of every number between two ends. The codes come from the
 * engine's own quantizing, or from a function of the learner's. */
#include "repl/commands/plot.h"

#include "formats/tables.h"
#include "quant/affine.h"
#include "repl/commands/figures.h"
#include "repl/language/language.h"
#include "repl/nearest.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_POINTS = 1601 };
static const double MARGIN = 0.3; /* of the range, shown beyond it where codes end */

typedef struct stairs {
    double low, high; /* what the weights span */
    double x_low, x_high, clip_low, clip_high;
    double q[N_POINTS], error[N_POINTS];
    size_t n_steps;
    double least_step; /* of the highest: where a block's scale wavers, that is no step */
    char headline[160], subline[240], note[64], sentence[600];
} stairs;

static float point(const stairs *s, size_t i)
{
    return (float)(s->x_low + (s->x_high - s->x_low) * (double)i / (N_POINTS - 1));
}

static void widen(stairs *s)
{
    const double margin = MARGIN * (s->high - s->low);
    s->x_low = s->low - margin;
    s->x_high = s->high + margin;
}

/* ---- quantizers ---- */

static nb_status refuse_range(const stairs *s, const char *why, nb_error *error)
{
    return nb_fail(error, NB_ERR_ARGUMENT, "from %s to %s %s; try another --low and --high",
                   nb_general(s->low, 4).text, nb_general(s->high, 4).text, why);
}

static nb_status climb_integers(const nb_quantizer *quantizer, stairs *s, nb_error *error)
{
    const float ends[] = {(float)s->low, (float)s->high};
    nb_range range = nb_range_empty();
    nb_affine affine;
    nb_range_add(&range, ends, 2);
    if (nb_affine_choose(&range, quantizer, &affine) != NB_AFFINE_FINE || !(affine.scale > 0))
        return refuse_range(s, "there is no scale and zero point for these bits", error);
    widen(s);
    const double scale = (double)affine.scale;
    for (size_t i = 0; i < N_POINTS; i++) {
        const float x = point(s, i);
        uint8_t code;
        float value;
        uint64_t clipped = 0, zero = 0;
        nb_affine_encode(&affine, quantizer, &x, 1, &code, &value, &clipped, &zero);
        s->q[i] = (double)value;
    }
    s->clip_low = scale * (affine.lowest - affine.zero - 0.5);
    s->clip_high = scale * (affine.highest - affine.zero + 0.5);
    const bool absmax = quantizer->scheme == NB_SCHEME_ABSMAX;
    const char *divided = affine.multiplier != 0 ? "x * m" : "x / s"; /* labonne's convention */
    snprintf(s->headline, sizeof s->headline, "%u bits, %d steps: %s", quantizer->format->bits,
             affine.highest - affine.lowest + 1,
             absmax ? "as many below 0 as above" : "laid over the range, with 0 on one of them");
    if (absmax)
        snprintf(s->subline, sizeof s->subline, "Q(x) = s * clamp(round(%s), %d, %d) with s = %s%s%s",
                 divided, affine.lowest, affine.highest, nb_general(scale, 4).text,
                 affine.multiplier != 0 ? ", m = " : "",
                 affine.multiplier != 0 ? nb_general((double)affine.multiplier, 4).text : "");
    else
        snprintf(s->subline, sizeof s->subline,
                 "Q(x) = s * (clamp(round(%s) + z, %d, %d) - z) with s = %s, z = %d", divided, affine.lowest,
                 affine.highest, nb_general(scale, 4).text, affine.zero);
    snprintf(s->note, sizeof s->note, "step s = %s", nb_general(scale, 3).text);
    return NB_OK;
}

static void climb_floats(const nb_format *format, stairs *s)
{
    const float scale = nb_tensor_scale_of((float)fmax(fabs(s->low), fabs(s->high)), format);
    if (format->needs_scale)
        widen(s);
    for (size_t i = 0; i < N_POINTS; i++)
        s->q[i] = (double)(format->decode(format->encode(point(s, i) / scale)) * scale);
    if (format->needs_scale) {
        const double most = format->max_finite * (double)scale;
        s->clip_low = -most;
        s->clip_high = most;
    }
    snprintf(s->headline, sizeof s->headline, "%s: %s", format->name,
             format->bits > 8 ? "its steps are finer than this picture"
                              : "fine steps near 0, coarse ones far from it");
    snprintf(s->subline, sizeof s->subline, "%s%s", format->summary,
             format->needs_scale ? ", scaled so that the largest fits" : "");
}

/* A group whose largest number is the further end. */
static void climb_table(const nb_format *format, stairs *s)
{
    const float absmax = (float)fmax(fabs(s->low), fabs(s->high));
    for (size_t i = 0; i < N_POINTS; i++) {
        uint8_t code;
        const float x = point(s, i);
        nb_table_encode(format, &x, 1, absmax, &code);
        s->q[i] = (double)(format->levels[code] * absmax);
    }
    s->least_step = 0.01;
    snprintf(s->subline, sizeof s->subline, "%s, times %s", format->summary, nb_general((double)absmax, 4).text);
}

enum { LOOKED_AT = 3 }; /* behind the ends, which then stay the first of the largest */

/* Numbers spread evenly over [low, high], both ends in every sixteenth part: what stands in the block beside
 * the one that is looked at. */
static void fill_block(const stairs *s, float *block, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double share = fmod((double)i * 0.61803398875, 1.0);
        block[i] = (float)(i % 16 == 1   ? s->low
                           : i % 16 == 2 ? s->high
                                         : s->low + (s->high - s->low) * share);
    }
}

static nb_status climb_blocks(const nb_format *format, stairs *s, nb_error *error)
{
    float *block = nb_calloc(format->block_size, 2 * sizeof *block);
    void *codes = nb_calloc(1, format->block_bytes);
    if (!block || !codes) {
        free(block);
        free(codes);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a block of %s", format->name);
    }
    s->least_step = 0.2;
    fill_block(s, block, format->block_size);
    float *decoded = block + format->block_size;
    for (size_t i = 0; i < N_POINTS; i++) {
        block[LOOKED_AT] = point(s, i);
        format->encode_blocks(block, format->block_size, NULL, codes);
        format->decode_row(codes, format->block_size, decoded);
        s->q[i] = (double)decoded[LOOKED_AT];
    }
    free(block);
    free(codes);
    snprintf(s->subline, sizeof s->subline, "one number in a block of %u others, spread evenly from %s to %s",
             (unsigned)(format->block_size - 1), nb_general(s->low, 4).text, nb_general(s->high, 4).text);
    return NB_OK;
}

/* ---- functions ---- */

/* All points at once: the function may look at the largest of them. */
static nb_status climb_function(nb_notebook *notebook, const char *name, stairs *s, nb_items *out,
                                nb_error *error)
{
    nb_array_space *space = nb_language_space(notebook->language);
    nb_array *x;
    const size_t n = N_POINTS;
    nb_status status = nb_array_create(space, 1, &n, &x, error);
    if (status != NB_OK)
        return status;
    for (size_t i = 0; i < N_POINTS; i++)
        x->data[i] = point(s, i);
    nb_value argument = nb_value_array(x), result = {.kind = NB_VALUE_NONE};
    status = nb_language_apply(notebook->language, name, &argument, out, &result, error);
    if (status == NB_OK && (result.kind != NB_VALUE_ARRAY || result.array->size != N_POINTS))
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "%.60s makes %s of an array of %zu numbers; stairs need as many as they give", name,
                         nb_value_describe(&result).text, n);
    for (size_t i = 0; status == NB_OK && i < N_POINTS; i++)
        s->q[i] = (double)result.array->data[i];
    for (size_t i = 0; status == NB_OK && i < N_POINTS; i++)
        if (!isfinite(s->q[i]))
            status = nb_fail(error, NB_ERR_ARGUMENT, "%.60s(%s) is %s, which no stairs lead to", name,
                             nb_general((double)point(s, i), 4).text, nb_general(s->q[i], 4).text);
    nb_value_release(&argument);
    nb_value_release(&result);
    snprintf(s->subline, sizeof s->subline, "%.60s of %d numbers from %s to %s, all at once", name, N_POINTS,
             nb_general(s->low, 4).text, nb_general(s->high, 4).text);
    return status;
}

/* ---- the figure ---- */

static void describe(const char *what, stairs *s)
{
    double worst = 0, highest = 0;
    s->n_steps = 1;
    for (size_t i = 1; i < N_POINTS; i++)
        highest = fmax(highest, fabs(s->q[i] - s->q[i - 1]));
    for (size_t i = 0; i < N_POINTS; i++) {
        const double x = (double)point(s, i);
        s->error[i] = s->q[i] - x;
        if (i > 0 && fabs(s->q[i] - s->q[i - 1]) > s->least_step * highest)
            s->n_steps++;
        if (x >= s->low && x <= s->high)
            worst = fmax(worst, fabs(s->error[i]));
    }
    if (!s->headline[0])
        snprintf(s->headline, sizeof s->headline, "%.60s: %zu steps from %s to %s", what, s->n_steps,
                 nb_general(s->low, 4).text, nb_general(s->high, 4).text);
    snprintf(
        s->sentence, sizeof s->sentence,
        "Staircase of %.60s from %s to %s: %zu steps; between %s and %s no number is off by more than %s.",
        what, nb_general(s->x_low, 4).text, nb_general(s->x_high, 4).text, s->n_steps,
        nb_general(s->low, 4).text, nb_general(s->high, 4).text, nb_general(worst, 3).text);
}

/* absmax and zeropoint have --bits; "int4" is absmax of 4, "int4 zeropoint" says so, others are formats.
 * False: none of these is called so. */
static bool read_quantizer(const nb_call *call, const char *what, nb_quantizer *out)
{
    char name[16] = "", scheme[16] = "";
    const size_t n = strcspn(what, " ");
    if (n >= sizeof name || strlen(what) >= n + sizeof scheme)
        return false;
    memcpy(name, what, n);
    memcpy(scheme, what + n + (what[n] == ' '), strlen(what + n + (what[n] == ' ')));
    const bool bare = strcmp(name, "absmax") == 0 || strcmp(name, "zeropoint") == 0;
    *out = (nb_quantizer){.format = bare ? nb_format_int((unsigned)nb_call_number(call, "bits", 4))
                                         : nb_format_find(name)};
    if (!out->format || (scheme[0] && (bare || out->format->kind != NB_FORMAT_INT)))
        return false;
    const char *said = bare ? name : scheme[0] ? scheme : "absmax";
    if (out->format->kind == NB_FORMAT_INT)
        out->scheme = strcmp(said, "absmax") == 0      ? NB_SCHEME_ABSMAX
                      : strcmp(said, "zeropoint") == 0 ? NB_SCHEME_ZEROPOINT
                                                       : NB_SCHEME_NONE;
    if (strcmp(nb_call_text(call, "convention", "divide"), "labonne") == 0)
        out->convention = NB_CONVENTION_LABONNE;
    return out->format->kind != NB_FORMAT_INT || out->scheme != NB_SCHEME_NONE;
}

static nb_status unknown(const nb_notebook *notebook, const char *what, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, what);
    nb_nearest_offer(&nearest, "absmax");
    nb_nearest_offer(&nearest, "zeropoint");
    for (size_t i = 0; i < nb_format_count(); i++)
        nb_nearest_offer(&nearest, nb_format_at(i)->name);
    for (size_t i = 0; nb_language_variable_at(notebook->language, i); i++)
        if (nb_language_variable_is_function(notebook->language, i))
            nb_nearest_offer(&nearest, nb_language_variable_at(notebook->language, i));
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "no quantizer is called \"%.60s\": did you mean %s?", what,
                       nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "no quantizer is called \"%.60s\": plot staircase takes absmax, zeropoint, a format "
                   "(formats lists them) "
                   "or a function of yours",
                   what);
}

static nb_status climb(nb_notebook *notebook, const nb_call *call, const char *what, stairs *s, nb_items *out,
                       nb_error *error)
{
    nb_quantizer quantizer;
    nb_error ignored;
    if (!read_quantizer(call, what, &quantizer)) {
        if (nb_language_check_function(notebook->language, what, &ignored) == NB_OK)
            return climb_function(notebook, what, s, out, error);
        return unknown(notebook, what, error);
    }
    switch (quantizer.format->kind) {
    case NB_FORMAT_INT:
        return climb_integers(&quantizer, s, error);
    case NB_FORMAT_FLOAT:
        climb_floats(quantizer.format, s);
        return NB_OK;
    case NB_FORMAT_BLOCK:
        return climb_blocks(quantizer.format, s, error);
    case NB_FORMAT_TABLE:
        climb_table(quantizer.format, s);
        return NB_OK;
    }
    return NB_OK;
}

nb_status nb_plot_staircase(nb_notebook *notebook, const nb_call *call, const char *what, nb_items *out,
                            nb_error *error)
{
    stairs *s = nb_calloc(1, sizeof *s);
    if (!s)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    s->low = s->x_low = nb_call_number(call, "low", -1);
    s->high = s->x_high = nb_call_number(call, "high", 1);
    nb_status status =
        s->low < s->high && fmax(fabs(s->low), fabs(s->high)) < 1e30
            ? climb(notebook, call, what, s, out, error)
            : nb_fail(error, NB_ERR_ARGUMENT, "--low lies below --high, and both are no larger than 1e30");
    if (status == NB_OK) {
        describe(what, s);
        const nb_figure figure = {
            .kind = NB_FIGURE_STAIRCASE,
            .headline = nb_call_text(call, "title", s->headline),
            .subline = s->subline,
            .x_label = "x",
            .y_label = "Q(x)",
            .x_low = s->x_low,
            .x_high = s->x_high,
            .n = N_POINTS,
            .before = {"Q(x)", s->q},
            .after = {"error Q(x) - x", s->error},
            .clip_low = s->clip_low,
            .clip_high = s->clip_high,
            .note = s->note[0] ? s->note : NULL,
            .sentence = s->sentence,
        };
        status = nb_figure_put(notebook, call, &figure, out, error);
    }
    free(s);
    return status;
}
