/* Axes: round numbers for their marks, and how those are written. */
#ifndef NB_PLOTS_SCALE_H
#define NB_PLOTS_SCALE_H

#include "plots/words.h"

#include <stdbool.h>
#include <stddef.h>

enum { NB_MAX_TICKS = 24 };

typedef struct nb_tick {
    double value;
    char label[24];
} nb_tick;

typedef struct nb_ticks {
    size_t n;
    nb_tick items[NB_MAX_TICKS];
} nb_ticks;

typedef enum nb_tick_style {
    NB_TICK_PLAIN, /* -0.05, 0, 0.05, all with the same digits */
    NB_TICK_COUNT, /* 0, 5k, 10k, 2.5M */
    NB_TICK_INCREASE, /* +0.01, +0.1, +1 */
} nb_tick_style;

/* Without libm, whose pow and log10 differ between systems: labels are made from these. Exact for exponents
 * from -22 to 22. */
double nb_power_of_ten(int exponent);
/* The exponent of the power of ten below or (but for rounding) at x > 0. */
int nb_decade(double x);

/* About `wanted` marks (at least two where the range allows) at multiples of 1, 2 or 5 times a power of ten
 * within [low, high], low < high. On a log axis (low > 0) at powers of ten. */
void nb_ticks_choose(nb_ticks *ticks, double low, double high, size_t wanted, nb_tick_style style, bool log);

/* As many marks from `low` to `high` as stand `gap` apart along `room`, both in the unit of `width`. */
void nb_ticks_fit(nb_ticks *ticks, double low, double high, double room, double gap, nb_rune_width *width);

/* Leaves only the marks at whole numbers, which number things. */
void nb_ticks_keep_whole(nb_ticks *ticks);

/* Where `value` lies between low (0) and high (1); outside values are clamped, and on a log axis what is
 * not positive lies at 0. */
double nb_scale_position(double value, double low, double high, bool log);

#endif
