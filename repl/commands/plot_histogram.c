/* `plot hist`, and counts that are there already. */
#include "repl/commands/plot.h"

#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BINS = 81, MOST_WHOLE_BINS = 256 };
static const double MOST_WHOLE = 1 << 22; /* f32 holds the halves between */

typedef struct bins {
    size_t n;
    double low, high;
    bool whole; /* each holds the same number of whole numbers, and nothing else was counted */
} bins;

/* One range for both, and from --low and --high where they are given. */
static nb_status find_range(const nb_drawing *d, bins *b, nb_error *error)
{
    b->low = INFINITY, b->high = -INFINITY;
    for (size_t i = 0; i < d->n; i++) {
        double own_low, own_high;
        nb_drawing_ends(d->series[i].array, &own_low, &own_high);
        b->low = fmin(b->low, own_low); /* fmin and fmax pass NaN over */
        b->high = fmax(b->high, own_high);
    }
    b->low = nb_call_number(d->call, "low", b->low);
    b->high = nb_call_number(d->call, "high", b->high);
    if (!isfinite(b->low) || !isfinite(b->high) || b->low > b->high)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a histogram runs from a lower end to a higher one, not from %s to %s; say "
                       "--low and --high",
                       nb_general(b->low, 4).text, nb_general(b->high, 4).text);
    return NB_OK;
}

static bool all_whole(const nb_array *x)
{
    for (size_t i = 0; i < x->size; i++)
        if (isfinite(x->data[i]) && x->data[i] != rintf(x->data[i]))
            return false;
    return true;
}

/* Codes and counts get a bar each, or one for as many as it takes; bins cut anywhere would leave gaps between
 * them that are not there. */
static void widen_to_whole(const nb_drawing *d, bins *b)
{
    const nb_call *call = d->call;
    if (nb_call_has(call, "bins") || nb_call_has(call, "low") || nb_call_has(call, "high") ||
        fmax(fabs(b->low), fabs(b->high)) > MOST_WHOLE)
        return;
    for (size_t i = 0; i < d->n; i++)
        if (!all_whole(d->series[i].array))
            return;
    const double span = b->high - b->low + 1, each = ceil(span / MOST_WHOLE_BINS);
    b->n = (size_t)ceil(span / each);
    b->low -= 0.5;
    b->high = b->low + each * (double)b->n;
    b->whole = true;
}

static double *widen(const nb_array *x)
{
    double *values = nb_calloc(x->size, sizeof *values);
    for (size_t i = 0; values && i < x->size; i++)
        values[i] = (double)x->data[i];
    return values;
}

static nb_status put_histogram(nb_drawing *d, const nb_array *before, const nb_array *after, const bins *b,
                               nb_error *error)
{
    double *bars = widen(before), *others = after ? widen(after) : NULL;
    nb_status status =
        bars && (others || !after) ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    const nb_figure figure = {
        .kind = NB_FIGURE_HISTOGRAM,
        .headline = nb_drawing_title(d),
        .subline = d->subline,
        .x_label = "value",
        .y_label = "how many",
        .x_low = b->low,
        .x_high = b->high,
        .n = b->n,
        .whole = b->whole,
        .before = {after ? nb_drawing_label(d, 0) : NULL, bars},
        .after = {after ? nb_drawing_label(d, 1) : NULL, others},
        .log_y = nb_call_has(d->call, "log"),
        .sentence = d->sentence,
    };
    if (status == NB_OK)
        status = nb_drawing_put(d, &figure, error);
    free(bars);
    free(others);
    return status;
}

nb_status nb_plot_histogram(nb_drawing *d, nb_error *error)
{
    bins b = {.n = (size_t)nb_call_number(d->call, "bins", DEFAULT_BINS)};
    nb_array *counts[2] = {NULL, NULL}, *edges;
    nb_status status = find_range(d, &b, error);
    if (status == NB_OK)
        widen_to_whole(d, &b);
    for (size_t i = 0; i < d->n && status == NB_OK; i++) {
        status = nb_array_histogram(d->series[i].array, b.n, b.low, b.high, &counts[i], &edges, error);
        if (status == NB_OK) {
            b.low = (double)edges->data[0], b.high = (double)edges->data[b.n];
            nb_array_release(&edges);
        }
    }
    if (status == NB_OK) {
        const nb_array *x = d->series[0].array;
        nb_drawing_names(d, d->headline, sizeof d->headline);
        nb_drawing_range(x, d->subline, sizeof d->subline);
        const size_t used = strlen(d->subline);
        const double std = nb_drawing_measure(x, NB_REDUCE_STD);
        if (isfinite(std))
            snprintf(d->subline + used, sizeof d->subline - used, ", mean %s, deviation %s",
                     nb_general(nb_drawing_measure(x, NB_REDUCE_MEAN), 3).text, nb_general(std, 3).text);
        snprintf(d->sentence, sizeof d->sentence, "Histogram of %s in %zu bins: %s.", d->headline, b.n,
                 d->subline);
        status = put_histogram(d, counts[0], counts[1], &b, error);
    }
    nb_array_release(&counts[0]);
    nb_array_release(&counts[1]);
    return status;
}

/* Counts and their edges, as `histogram` gives them. */
bool nb_plot_are_counts(const nb_drawing *d)
{
    const nb_array *counts = d->series[0].array, *edges = d->n > 1 ? d->series[1].array : NULL;
    if (!d->from_list || !edges || counts->n_dims != 1 || edges->n_dims != 1 ||
        edges->size != counts->size + 1)
        return false;
    for (size_t i = 0; i < counts->size; i++)
        if (!(counts->data[i] >= 0 && counts->data[i] < INFINITY && edges->data[i] < edges->data[i + 1]))
            return false;
    return true;
}

nb_status nb_plot_counts(nb_drawing *d, nb_error *error)
{
    const nb_array *counts = d->series[0].array, *edges = d->series[1].array;
    snprintf(d->headline, sizeof d->headline, "%.120s", nb_drawing_label(d, 0));
    snprintf(d->subline, sizeof d->subline, "%s counted in %zu bins from %s to %s",
             nb_general(nb_drawing_measure(counts, NB_REDUCE_SUM), 12).text, counts->size,
             nb_general((double)edges->data[0], 4).text,
             nb_general((double)edges->data[counts->size], 4).text);
    snprintf(d->sentence, sizeof d->sentence, "Histogram of %s: %s.", d->headline, d->subline);
    const bins b = {
        .n = counts->size, .low = (double)edges->data[0], .high = (double)edges->data[counts->size]};
    return put_histogram(d, counts, NULL, &b, error);
}
