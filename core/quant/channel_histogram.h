/* A histogram of |x| for each channel of an input, from which observers find how far each one's static scale
 * should reach. Every channel's bins end at a power of two of its own, which grows with what is seen. */
#ifndef NB_QUANT_CHANNEL_HISTOGRAM_H
#define NB_QUANT_CHANNEL_HISTOGRAM_H

#include "quant/observer.h"

typedef struct nb_channel_histograms {
    size_t n_channels;
    uint32_t *bins;       /* [n_channels][NB_OBSERVER_CHANNEL_BINS]: of |x| * bins_per_unit, rounded down */
    float *bins_per_unit; /* [n_channels]: powers of two, as large as lets the bins hold the largest */
} nb_channel_histograms;

/* NULL when memory is short. */
nb_channel_histograms *nb_channel_histograms_create(size_t n_channels);
void nb_channel_histograms_destroy(nb_channel_histograms **histograms);

/* Counts x[n_rows][stride] in channels [begin, end), of which one thread at a time may count any. What comes
 * of it depends on the numbers alone, not on their order or on how many came at once. What is not finite is
 * counted last. */
void nb_channel_histograms_count(nb_channel_histograms *histograms, size_t begin, size_t end, const float *x,
                                 size_t n_rows, size_t stride);
/* How far a channel's scale reaches for codes up to `levels`, by an observer that reads histograms. It may be
 * beyond the largest number, by less than a bin. */
double nb_channel_histogram_reach(const nb_channel_histograms *histograms, size_t channel,
                                  nb_observer observer, size_t levels);

size_t nb_channel_histograms_n_bytes(size_t n_channels);
/* Whether the channel's bins can have come from n_numbers of which the largest is that. */
bool nb_channel_histogram_check(const nb_channel_histograms *histograms, size_t channel, uint64_t n_numbers,
                                float largest);

#endif
