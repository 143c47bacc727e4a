#include "base/memory.h"
#include "eval/evaluate.h"
#include "eval/lanes.h"

#include <math.h>
#include <stdbool.h>

enum { MAX_BINS = 1 << 20 };

static void read_row(const nb_tensor *tensor, nb_weights which, size_t row, float *x)
{
    if (which == NB_WEIGHTS_ORIGINAL)
        nb_tensor_source_row(tensor, row, x);
    else
        nb_tensor_current_row(tensor, row, x);
}

/* What one pass gathers beside the bins. Sums are of deviations from `origin`, any one of the numbers:
 * squares then neither cancel nor need the mean beforehand. */
typedef struct moments {
    double origin, sum, squares;
    bool has_origin;
} moments;

/* The largest finite magnitude in a row. */
static double largest_magnitude(const float *x, size_t n)
{
    float lanes[NB_LANES] = {0}, largest = 0;
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(x[i]), *lane = &lanes[i % NB_LANES];
        *lane = magnitude > *lane && magnitude < INFINITY ? magnitude : *lane;
    }
    for (int lane = 0; lane < NB_LANES; lane++)
        largest = lanes[lane] > largest ? lanes[lane] : largest;
    return (double)largest;
}

static void add_row(nb_histogram *h, moments *m, const float *x, size_t n)
{
    double sums[NB_LANES] = {0}, squares[NB_LANES] = {0};
    double low = h->low, high = h->high, bins_per_unit = (double)h->n_bins / (h->high - h->low);
    for (size_t i = 0; i < n; i++) {
        double value = (double)x[i];
        if (isnan(value))
            continue;
        if (!m->has_origin) {
            m->origin = isfinite(value) ? value : 0;
            m->has_origin = true;
        }
        double deviation = value - m->origin;
        sums[i % NB_LANES] += deviation;
        squares[i % NB_LANES] += deviation * deviation;
        h->n++;
        h->n_zero += value == 0;
        h->min = value < h->min ? value : h->min;
        h->max = value > h->max ? value : h->max;
        if (value < low) {
            h->n_below++;
        } else if (value > high) {
            h->n_above++;
        } else {
            size_t bin = (size_t)((value - low) * bins_per_unit);
            h->counts[bin < h->n_bins ? bin : h->n_bins - 1]++;
        }
    }
    m->sum += nb_lanes_fold(sums);
    m->squares += nb_lanes_fold(squares);
}

/* Mean and (population) standard deviation. */
static void finish(nb_histogram *h, const moments *m)
{
    if (h->n == 0) {
        h->mean = h->std = h->min = h->max = NAN;
        return;
    }
    double n = (double)h->n, mean = m->sum / n, variance = m->squares / n - mean * mean;
    h->mean = m->origin + mean;
    h->std = variance > 0 ? sqrt(variance) : variance == 0 || isfinite(variance) ? 0 : NAN;
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
    return nb_tensor_histogram_sampled(tensor, which, low, high, n_bins, UINT64_MAX, out, error);
}

nb_status nb_tensor_histogram_sampled(const nb_tensor *tensor, nb_weights which, double low, double high,
                                      size_t n_bins, uint64_t max_numbers, nb_histogram *out, nb_error *error)
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

    uint64_t rows_wanted = max_numbers / nb_max_size(tensor->n_cols, 1);
    size_t step = rows_wanted >= tensor->n_rows ? 1
                  : rows_wanted < 2             ? nb_max_size(tensor->n_rows, 1)
                                                : nb_div_up(tensor->n_rows, (size_t)rows_wanted);
    h.low = low;
    h.high = high;
    if (low == high) {
        double largest = 0;
        for (size_t row = 0; row < tensor->n_rows; row += step) {
            read_row(tensor, which, row, x);
            largest = fmax(largest, largest_magnitude(x, tensor->n_cols));
        }
        h.high = largest > 0 ? largest : 1;
        h.low = -h.high;
    }
    moments m = {0};
    for (size_t row = 0; row < tensor->n_rows; row += step) {
        read_row(tensor, which, row, x);
        add_row(&h, &m, x, tensor->n_cols);
    }
    finish(&h, &m);
    nb_aligned_free(x);
    *out = h;
    return NB_OK;
}
