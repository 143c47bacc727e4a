/* Numbers inside sentences: nb_fixed(x, 2).text lives as long as the call that it is an argument of. */
#ifndef NB_REPL_NUMBERS_H
#define NB_REPL_NUMBERS_H

#include "base/print.h"

#include <math.h>

typedef struct nb_number {
    char text[40];
} nb_number;

static inline nb_number nb_fixed(double value, int digits)
{
    nb_number n;
    nb_print_fixed(n.text, sizeof n.text, value, digits);
    return n;
}

static inline nb_number nb_general(double value, int digits)
{
    nb_number n;
    nb_print_general(n.text, sizeof n.text, value, digits);
    return n;
}

static inline nb_number nb_count(uint64_t value)
{
    nb_number n;
    nb_print_count(n.text, sizeof n.text, value);
    return n;
}

static inline nb_number nb_bytes(uint64_t n_bytes)
{
    nb_number n;
    nb_print_bytes(n.text, sizeof n.text, n_bytes);
    return n;
}

/* "81.4 %" */
static inline nb_number nb_percent(double share)
{
    nb_number n = nb_fixed(100 * share, 1);
    for (char *end = n.text;; end++) {
        if (*end == '\0') {
            end[0] = ' ', end[1] = '%', end[2] = '\0';
            return n;
        }
    }
}

/* A speed without digits that a second run would not show again: "2,410", "8.3". */
static inline nb_number nb_rate(double per_second)
{
    if (!(per_second >= 100))
        return nb_general(per_second, 2);
    double unit = 1;
    while (per_second / unit >= 10000)
        unit *= 10;
    return nb_count((uint64_t)(rint(per_second / unit) * unit));
}

#endif
