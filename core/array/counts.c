/* Running sums and histograms. */
#include "array/lines.h"
#include "array/parts.h"
#include "base/memory.h"
#include "base/print.h"

#include <stdlib.h>

enum { MAX_BINS = 1 << 20, STRETCH = 1 << 20 };

static void cumsum_line(void *user, const float *line, size_t n, float *out, unsigned thread)
{
    (void)user, (void)thread;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)line[i];
        out[i] = nb_canonical((float)sum);
    }
}

nb_status nb_array_cumsum(const nb_array *x, int axis, nb_array **out, nb_error *error)
{
    *out = NULL;
    nb_status status = nb_array_axis("cumsum", x, axis, &axis, error);
    return status == NB_OK ? nb_array_lines(x, axis, x->dims[axis], true, cumsum_line, NULL, out, error)
                           : status;
}

/* The range that bins cover: what is asked for, else from the smallest number to the largest; never of width
 * 0. */
static nb_status find_range(const nb_array *x, double *low, double *high, nb_error *error)
{
    if (*low != *low && *high != *high) {
        *low = 0, *high = 1;
        nb_status status = NB_OK;
        if (x->size > 0)
            status = nb_array_reduce(x->space, NB_REDUCE_MIN, x, low, error);
        if (status == NB_OK && x->size > 0)
            status = nb_array_reduce(x->space, NB_REDUCE_MAX, x, high, error);
        if (status != NB_OK)
            return status;
        char a[32], b[32];
        if (!isfinite(*low) || !isfinite(*high))
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "histogram: numbers from %s to %s need a range of your own, such as range=[-1, 1]",
                           nb_print_general(a, sizeof a, *low, 6), nb_print_general(b, sizeof b, *high, 6));
    }
    if (!(*low <= *high) || !isfinite(*high - *low))
        return nb_fail(error, NB_ERR_ARGUMENT, "histogram: the range's lower end lies below its upper one");
    if (*low == *high) {
        *low -= 0.5;
        *high += 0.5;
    }
    return NB_OK;
}

/* Bin i is [edges[i], edges[i + 1]); the division may miss a number that lies at an edge by one. */
static void count(const nb_array *x, const double *edges, size_t n_bins, uint64_t *counts)
{
    const double low = edges[0], high = edges[n_bins], bins_per_unit = (double)n_bins / (high - low);
    for (size_t i = 0; i < x->size; i++) {
        const double value = (double)x->data[i];
        if (i % STRETCH == 0 && nb_array_stopped(x->space))
            return;
        if (!(value >= low && value <= high))
            continue;
        size_t bin = nb_min_size((size_t)((value - low) * bins_per_unit), n_bins - 1);
        if (value < edges[bin])
            bin--;
        else if (value >= edges[bin + 1] && bin + 1 < n_bins)
            bin++;
        counts[bin]++;
    }
}

nb_status nb_array_histogram(const nb_array *x, size_t n_bins, double low, double high, nb_array **counts_out,
                             nb_array **edges_out, nb_error *error)
{
    *counts_out = *edges_out = NULL;
    if (n_bins == 0 || n_bins > MAX_BINS)
        return nb_fail(error, NB_ERR_ARGUMENT, "histogram: from 1 to %d bins, not %zu", MAX_BINS, n_bins);
    nb_status status = find_range(x, &low, &high, error);
    if (status != NB_OK)
        return status;
    double *edges = nb_calloc(n_bins + 1, sizeof *edges);
    uint64_t *counts = nb_calloc(n_bins, sizeof *counts);
    if (!edges || !counts)
        status = nb_fail(error, NB_ERR_MEMORY, "histogram: no memory for %zu bins", n_bins);
    if (status == NB_OK) {
        const double width = (high - low) / (double)n_bins;
        for (size_t i = 0; i < n_bins; i++)
            edges[i] = low + (double)i * width;
        edges[n_bins] = high;
        count(x, edges, n_bins, counts);
        status = nb_array_blank(x->space, 1, &n_bins, counts_out, error);
    }
    for (size_t i = 0; status == NB_OK && i < n_bins; i++)
        (*counts_out)->data[i] = (float)counts[i];
    if (status == NB_OK)
        status = nb_array_from(x->space, edges, n_bins + 1, edges_out, error);
    if (status == NB_OK)
        status = nb_array_finish(x->space, edges_out, error);
    free(edges);
    free(counts);
    if (status != NB_OK)
        nb_array_release(counts_out);
    return status;
}
