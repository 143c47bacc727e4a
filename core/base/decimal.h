/* Exact decimal digits of binary numbers: what printing and reading numbers stands on. */
#ifndef NB_BASE_DECIMAL_H
#define NB_BASE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

/* An f64 has at most 767 significant digits, a midpoint between two of them 768; with room for one
 * carry and for whole limbs of 9 digits. */
enum { NB_DECIMAL_MAX_DIGITS = 790 };

/* The number 0.d1 d2 d3 ... * 10^point, without sign. No leading or trailing zeros; zero has no digits. */
typedef struct nb_decimal {
    int n_digits;
    int point;
    bool more; /* nonzero digits beyond NB_DECIMAL_MAX_DIGITS were dropped (only when read from text) */
    uint8_t digits[NB_DECIMAL_MAX_DIGITS]; /* 0..9 */
} nb_decimal;

/* mantissa * 2^exponent, exactly; mantissa below 2^60, exponent -1080 ... 1030. */
void nb_decimal_from_binary(uint64_t mantissa, int exponent, nb_decimal *out);
/* Keeps `n_digits` significant ones, to nearest, ties to even. With n_digits 0 the result is 0 or 10^point,
 * with fewer it is 0. */
void nb_decimal_round(nb_decimal *decimal, int n_digits);
/* Cuts to `n_digits` and adds one unit in the last place: the next longer number of so many digits. */
void nb_decimal_round_up(nb_decimal *decimal, int n_digits);
/* Below 0, 0 or above 0 as a < b, a == b, a > b. */
int nb_decimal_compare(const nb_decimal *a, const nb_decimal *b);

/* A finite f64 taken apart: value = mantissa * 2^exponent, without sign. */
void nb_f64_split(double value, uint64_t *mantissa, int *exponent);

#endif
