#include "plots/scale.h"

#include "base/print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_DECADE = 308 };
static const double slack = 2e-9; /* relative: what arithmetic left just below a power of ten counts as one */

double nb_power_of_ten(int exponent)
{
    if (exponent < -LARGEST_DECADE)
        return nb_power_of_ten(exponent + LARGEST_DECADE) / nb_power_of_ten(LARGEST_DECADE);
    double power = 1;
    for (int i = abs(exponent); i > 0; i--)
        power *= 10;
    return exponent < 0 ? 1 / power : power;
}

int nb_decade(double x)
{
    int decade = 0;
    x += slack * x;
    while (decade < LARGEST_DECADE && nb_power_of_ten(decade + 1) <= x)
        decade++;
    while (nb_power_of_ten(decade) > x)
        decade--;
    return decade;
}

/* The smallest of 1, 2, 5 times a power of ten that is not below `least`. */
static double round_step(double least)
{
    double unit = nb_power_of_ten(nb_decade(least)), ratio = least / unit;
    return unit * (ratio <= 1.0001 ? 1 : ratio <= 2.0001 ? 2 : ratio <= 5.0001 ? 5 : 10);
}

static void write_plain(char *text, size_t size, double value, double step)
{
    double magnitude = fabs(value) > step ? fabs(value) : step;
    if (fabs(value) < step / 2) {
        snprintf(text, size, "0");
    } else if (magnitude >= 1e6 || step < 1e-5) {
        int digits = nb_decade(magnitude) - nb_decade(step) + 1;
        nb_print_general(text, size, value, digits > 9 ? 9 : digits);
    } else {
        int digits = -nb_decade(step);
        nb_print_fixed(text, size, value, digits > 0 ? digits : 0);
    }
}

static void write_count(char *text, size_t size, double value, double step)
{
    static const struct {
        double unit;
        const char *suffix;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (fabs(value) < units[i].unit * 0.9999 || value > 1e15)
            continue;
        int digits = -nb_decade(step / units[i].unit);
        char number[24];
        nb_print_fixed(number, sizeof(number), value / units[i].unit,
                       digits > 0 ? digits < 3 ? digits : 3 : 0);
        char *point = strchr(number, '.');
        for (size_t n = strlen(number); point && (number[n - 1] == '0' || number + n - 1 == point); n--) {
            point = number + n - 1 == point ? NULL : point;
            number[n - 1] = '\0'; /* 1k, not 1.0k */
        }
        snprintf(text, size, "%.20s%s", number, units[i].suffix);
        return;
    }
    write_plain(text, size, value, step);
}

static void write_increase(char *text, size_t size, double value, double step)
{
    char number[24];
    write_plain(number, sizeof number, value, step);
    snprintf(text, size, "%s%.22s", value > 0 ? "+" : "", number);
}

static void add(nb_ticks *ticks, double value, double step, nb_tick_style style)
{
    if (ticks->n == NB_MAX_TICKS)
        return;
    nb_tick *tick = &ticks->items[ticks->n++];
    tick->value = value;
    (style == NB_TICK_COUNT      ? write_count
     : style == NB_TICK_INCREASE ? write_increase
                                 : write_plain)(tick->label, sizeof(tick->label), value, step);
}

static void choose_log(nb_ticks *ticks, double low, double high, size_t wanted, nb_tick_style style)
{
    int first = nb_decade(low), last = nb_decade(high), every = 1;
    if (nb_power_of_ten(first) < low - slack * low)
        first++;
    while (last - first >= every * (int)wanted)
        every++;
    for (int i = first; i <= last; i += every)
        add(ticks, nb_power_of_ten(i), nb_power_of_ten(i), style);
}

void nb_ticks_choose(nb_ticks *ticks, double low, double high, size_t wanted, nb_tick_style style, bool log)
{
    *ticks = (nb_ticks){0};
    if (!(low < high) || !isfinite(low) || !isfinite(high))
        return;
    if (wanted < 2)
        wanted = 2;
    if (wanted > NB_MAX_TICKS - 4)
        wanted = NB_MAX_TICKS - 4;
    if (log) {
        choose_log(ticks, low, high, wanted, style);
        return;
    }
    double step = round_step(high / (double)wanted - low / (double)wanted);
    if (style == NB_TICK_COUNT && high >= 1 && step < 1)
        step = 1; /* there is no half a count */
    double first = ceil(low / step - 1e-6), last = floor(high / step + 1e-6);
    if (!(step > 0) || !isfinite(step) || last - first > NB_MAX_TICKS)
        return;
    for (int k = 0; k <= (int)(last - first); k++) {
        double i = first + k;
        add(ticks, i == 0 ? 0 : i * step, step, style);
    }
}

void nb_ticks_fit(nb_ticks *ticks, double low, double high, double room, double gap, nb_rune_width *width)
{
    for (size_t wanted = NB_MAX_TICKS; wanted >= 2; wanted--) {
        double widest = 0;
        nb_ticks_choose(ticks, low, high, wanted, NB_TICK_PLAIN, false);
        for (size_t i = 0; i < ticks->n; i++)
            widest = fmax(widest, nb_words_width(ticks->items[i].label, width));
        if (ticks->n < 2)
            return;
        double apart = room * (ticks->items[1].value - ticks->items[0].value) / (high - low);
        if (apart >= widest + gap)
            return;
    }
}

void nb_ticks_keep_whole(nb_ticks *ticks)
{
    size_t kept = 0;
    for (size_t i = 0; i < ticks->n; i++) {
        nb_tick *tick = &ticks->items[i];
        if (fabs(tick->value - rint(tick->value)) > 1e-6)
            continue;
        char *point = strchr(tick->label, '.');
        if (point && tick->label[strlen(tick->label) - 1] == '0')
            *point = '\0'; /* 1, not 1.0 */
        ticks->items[kept++] = *tick;
    }
    ticks->n = kept;
}

double nb_scale_position(double value, double low, double high, bool log)
{
    if (log) {
        if (!(value > 0))
            return 0;
        value = log10(value); /* a place in a picture, no number that is printed: libm will do */
        low = log10(low);
        high = log10(high);
    }
    double position = (value - low) / (high - low);
    return !(position > 0) ? 0 : position > 1 ? 1 : position;
}
