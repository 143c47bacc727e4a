#include "quant/channel_histogram.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

enum { BINS = NB_OBSERVER_CHANNEL_BINS, LEAST_EXPONENT = -100, MOST_EXPONENT = 128 };

/* Where bins end at 2^exponent. */
static float bins_per_unit(int exponent)
{
    return ldexpf(BINS, -exponent);
}

nb_channel_histograms *nb_channel_histograms_create(size_t n_channels)
{
    nb_channel_histograms *h = nb_calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->n_channels = n_channels;
    h->bins = nb_calloc(n_channels, BINS * sizeof *h->bins);
    h->bins_per_unit = nb_calloc(n_channels, sizeof *h->bins_per_unit);
    if (!h->bins || !h->bins_per_unit)
        nb_channel_histograms_destroy(&h);
    for (size_t j = 0; h && j < n_channels; j++)
        h->bins_per_unit[j] = bins_per_unit(LEAST_EXPONENT);
    return h;
}

void nb_channel_histograms_destroy(nb_channel_histograms **histograms)
{
    nb_channel_histograms *h = *histograms;
    if (!h)
        return;
    free(h->bins);
    free(h->bins_per_unit);
    free(h);
    *histograms = NULL;
}

size_t nb_channel_histograms_n_bytes(size_t n_channels)
{
    return n_channels * (BINS * sizeof(uint32_t) + sizeof(float));
}

/* Bins that reach beyond `a`: neighbours become one. Being powers of two wide, they hold what they would if
 * they had been so wide from the first. */
static void grow(nb_channel_histograms *h, size_t channel, float a)
{
    uint32_t *bins = h->bins + channel * BINS;
    int exponent;
    (void)frexpf(a, &exponent);
    const float wanted = bins_per_unit(exponent);
    const double narrower = (double)wanted / (double)h->bins_per_unit[channel];
    for (size_t i = 0; i < BINS; i++) {
        const uint32_t count = bins[i];
        bins[i] = 0;
        bins[(size_t)((double)i * narrower)] += count;
    }
    h->bins_per_unit[channel] = wanted;
}

void nb_channel_histograms_count(nb_channel_histograms *h, size_t begin, size_t end, const float *x,
                                 size_t n_rows, size_t stride)
{
    for (size_t t = 0; t < n_rows; t++)
        for (size_t j = begin; j < end; j++) {
            const float a = fabsf(x[t * stride + j]);
            if (a * h->bins_per_unit[j] >= (float)BINS && isfinite(a))
                grow(h, j, a);
            const float bin = a * h->bins_per_unit[j];
            h->bins[j * BINS + (bin < (float)BINS ? (size_t)bin : BINS - 1)]++; /* NaN: the last */
        }
}

double nb_channel_histogram_reach(const nb_channel_histograms *h, size_t channel, nb_observer observer,
                                  size_t levels)
{
    uint64_t bins[BINS];
    for (size_t i = 0; i < BINS; i++)
        bins[i] = h->bins[channel * BINS + i];
    size_t n_kept = BINS;
    if (observer == NB_OBSERVER_PERCENTILE)
        n_kept = 1 + nb_histogram_percentile(bins, BINS, NB_OBSERVER_PERCENT);
    else if (observer == NB_OBSERVER_MSE)
        n_kept = nb_histogram_mse_even(bins, BINS, NB_OBSERVER_LEAST_BINS, levels);
    else if (observer == NB_OBSERVER_ENTROPY)
        n_kept = nb_histogram_entropy(bins, BINS, NB_OBSERVER_LEAST_BINS, levels + 1);
    return (double)n_kept / (double)h->bins_per_unit[channel];
}

bool nb_channel_histogram_check(const nb_channel_histograms *h, size_t channel, uint64_t n_numbers,
                                float largest)
{
    const float scale = h->bins_per_unit[channel];
    uint64_t sum = 0;
    int exponent;
    for (size_t i = 0; i < BINS; i++)
        sum += h->bins[channel * BINS + i];
    return scale >= bins_per_unit(MOST_EXPONENT) && scale <= bins_per_unit(LEAST_EXPONENT) &&
           frexpf(scale, &exponent) == 0.5f && largest * scale < (float)BINS && sum == n_numbers;
}
