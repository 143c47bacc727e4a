/* Observers: how far a static scale should reach, from what was seen. All but the first two read a histogram of |x|,
 * whose bin i holds [i * width, (i + 1) * width). */
#ifndef NB_QUANT_OBSERVER_H
#define NB_QUANT_OBSERVER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum nb_observer {
    NB_OBSERVER_MINMAX,     /* the largest that was seen */
    NB_OBSERVER_EMA,        /* a moving average of each sequence's largest and smallest: m += 0.01 (x - m) */
    NB_OBSERVER_PERCENTILE, /* what 99.99 % stay within */
    NB_OBSERVER_MSE,        /* where rounding and clipping together cost least */
    NB_OBSERVER_ENTROPY,    /* where the quantized histogram tells most of the clipped one (Migacz 2017, TensorRT) */
    NB_OBSERVERS,
} nb_observer;

/* Of a tensor, of one of its channels, and how many of them are kept at least. */
enum { NB_OBSERVER_BINS = 2048, NB_OBSERVER_CHANNEL_BINS = 512, NB_OBSERVER_LEAST_BINS = 128 };
#define NB_OBSERVER_PERCENT 99.99
#define NB_OBSERVER_EMA_SHARE 0.01

const char *nb_observer_name(nb_observer observer); /* "minmax" */
/* False if there is none of that name. */
bool nb_observer_find(const char *name, nb_observer *out);
bool nb_observer_wants_histogram(nb_observer observer);

/* The first bin up to whose end `percent` of the numbers lie. */
size_t nb_histogram_percentile(const uint64_t *bins, size_t n, double percent);
/* Divergence of the first i bins, all beyond them added to the last, from what `levels` levels leave of the first i: level
 * k covers bins [rint(k i / levels), rint((k + 1) i / levels)) and spreads its sum over those of them that are not
 * empty. Infinite where the first has something and the second nothing. */
double nb_histogram_divergence(const uint64_t *bins, size_t n, size_t i, size_t levels);
/* How many bins to keep so that it is least: of `least` to n the last such number. `bins` are taken with the first
 * made like the second, since zeros are exact anyway. */
size_t nb_histogram_entropy(const uint64_t *bins, size_t n, size_t least, size_t levels);
/* The same for the squared error of rint(x / s) with s = (i + 1/2) / levels for a whole histogram at its bins'
 * centres: the number i, of `least` to n - 1, the first of the best. */
size_t nb_histogram_mse(const uint64_t *bins, size_t n, size_t least, size_t levels);
/* How many bins to keep so that the squared error of s = kept / levels is least, the numbers of each bin
 * lying evenly in it: where a bin is about as wide as a step, what its centre loses says little. Of `least`
 * to as many as hold everything, the first of the best. */
size_t nb_histogram_mse_even(const uint64_t *bins, size_t n, size_t least, size_t levels);

#endif
