#include "base/memory.h"
#include "eval/evaluate.h"
#include "eval/lanes.h"

#include <math.h>

enum { MAX_BINS = 1 << 20 };

static void read_row(const nb_tensor *tensor, nb_weights which, size_t row, float *x)
{
    if (which == NB_WEIGHTS_ORIGINAL)
        nb_tensor_source_row(tensor, row, x);
    else
        nb_tensor_current_row(tensor, row, x);
}

/* First pass, one row: how many numbers there are, their ends and their sum. Returns the largest finite
 * magnitude. */
static double add_extent(nb_histogram *h, const float *x, size_t n, double *sum)
{
    double lanes[NB_LANES] = {0}, largest = 0;
    for (size_t i = 0; i < n; i++) {
        double value = (double)x[i];
        if (isnan(value))
            continue;
        h->n++;
        h->n_zero += value == 0;
        h->min = value < h->min ? value : h->min;
        h->max = value > h->max ? value : h->max;
        lanes[i % NB_LANES] += value;
        double magnitude = fabs(value);
        largest = isfinite(magnitude) && magnitude > largest ? magnitude : largest;
    }
    *sum += nb_lanes_fold(lanes);
    return largest;
}

/* Second pass, one row: bins and squared deviations from the mean. */
static void add_counts(nb_histogram *h, const float *x, size_t n, double *squares)
{
    double lanes[NB_LANES] = {0};
    double bins = (double)h->n_bins, width = h->high - h->low;
    for (size_t i = 0; i < n; i++) {
        double value = (double)x[i];
        if (isnan(value))
            continue;
        double deviation = value - h->mean;
        lanes[i % NB_LANES] += deviation * deviation;
        if (value < h->low) {
            h->n_below++;
        } else if (value > h->high) {
            h->n_above++;
        } else {
            size_t bin = (size_t)((value - h->low) / width * bins);
            h->counts[bin < h->n_bins ? bin : h->n_bins - 1]++;
        }
    }
    *squares += nb_lanes_fold(lanes);
}

/* What can be refused before anything is read. */
static nb_status check(const nb_tensor *tensor, nb_weights which, double low, double high, size_t n_bins,
                       nb_error *error)
{
    if (n_bins == 0 || n_bins > MAX_BINS)
        return nb_fail(error, NB_ERR_ARGUMENT, "a histogram of %zu bins is not to be had; try 64", n_bins);
    if (!(low <= high) || !isfinite(high - low))
        return nb_fail(error, NB_ERR_ARGUMENT, "a histogram needs a lower edge below its upper one");
    if (which == NB_WEIGHTS_ORIGINAL && !tensor->source_format)
        return nb_fail(error, NB_ERR_STATE,
                       "%s: the file holds these weights only as %s, so there is no original", tensor->name,
                       tensor->quantizer.format->name);
    return NB_OK;
}

void nb_histogram_free(nb_histogram *histogram)
{
    nb_aligned_free(histogram->counts);
    *histogram = (nb_histogram){0};
}

nb_status nb_tensor_histogram(const nb_tensor *tensor, nb_weights which, double low, double high,
                              size_t n_bins, nb_histogram *out, nb_error *error)
{
    *out = (nb_histogram){0};
    nb_status status = check(tensor, which, low, high, n_bins, error);
    if (status != NB_OK)
        return status;
    nb_histogram h = {.n_bins = n_bins, .min = INFINITY, .max = -INFINITY};
    float *x = nb_aligned_calloc(tensor->n_cols, sizeof *x);
    h.counts = nb_aligned_calloc(n_bins, sizeof *h.counts);
    if (!x || !h.counts) {
        nb_aligned_free(x);
        nb_histogram_free(&h);
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for a histogram of rows of %zu numbers",
                       tensor->name, tensor->n_cols);
    }

    double sum = 0, squares = 0, largest = 0;
    for (size_t row = 0; row < tensor->n_rows; row++) {
        read_row(tensor, which, row, x);
        double magnitude = add_extent(&h, x, tensor->n_cols, &sum);
        largest = magnitude > largest ? magnitude : largest;
    }
    h.mean = h.n ? sum / (double)h.n : NAN;
    h.low = low < high ? low : largest > 0 ? -largest : -1;
    h.high = low < high ? high : largest > 0 ? largest : 1;
    for (size_t row = 0; row < tensor->n_rows; row++) {
        read_row(tensor, which, row, x);
        add_counts(&h, x, tensor->n_cols, &squares);
    }
    h.std = h.n ? sqrt(squares / (double)h.n) : NAN;
    if (h.n == 0)
        h.min = h.max = NAN;
    nb_aligned_free(x);
    *out = h;
    return NB_OK;
}
