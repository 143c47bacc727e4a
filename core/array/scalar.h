/* The definition of every elementwise operation: what one number becomes. The levels walk arrays with these
 * very functions, so that the compiler's vectors perform the same IEEE-754 operations. */
#ifndef NB_ARRAY_SCALAR_H
#define NB_ARRAY_SCALAR_H

#include "math/expf.h"
#include "math/math.h"
#include "math/tanhf.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What leaves an operation: every NaN as 7fc00000. */
static inline float canonical_f32(float x)
{
    return x != x ? NAN : x;
}

/* The operations of nb_log on an f32, rounded at the end; without a branch. */
static inline double log_of_f32(float a)
{
    const double x = (double)a; /* normal, even where a is not */
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int32_t exponent = (int32_t)((uint32_t)(bits >> 32) >> 20) - 1023;
    bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
    double m;
    memcpy(&m, &bits, sizeof m);
    const bool upper = m >= 0x1.6a09e667f3bcdp+0; /* sqrt(2) */
    m *= upper ? 0.5 : 1.0;                       /* exact */
    const double e = (double)exponent + (upper ? 1.0 : 0.0);
    const double f = m - 1.0, s = f / (2.0 + f), half_square = 0.5 * f * f, z = s * s;
    double p = 2.0 / 21;
    p = p * z + 2.0 / 19;
    p = p * z + 2.0 / 17;
    p = p * z + 2.0 / 15;
    p = p * z + 2.0 / 13;
    p = p * z + 2.0 / 11;
    p = p * z + 2.0 / 9;
    p = p * z + 2.0 / 7;
    p = p * z + 2.0 / 5;
    p = p * z + 2.0 / 3;
    const double small = s * (half_square + z * p) + e * 0x1.a39ef35793c76p-33;
    return e * 0x1.62e42fee00000p-1 - ((half_square - small) - f);
}

static inline float log_f32(float x)
{
    const float result = (float)log_of_f32(x);
    return x > 0 ? (x == INFINITY ? INFINITY : result) : x == 0 ? -INFINITY : NAN;
}

static inline float log2_f32(float x)
{
    const float result = (float)(log_of_f32(x) / 0x1.62e42fefa39efp-1);
    return x > 0 ? (x == INFINITY ? INFINITY : result) : x == 0 ? -INFINITY : NAN;
}

static inline float log10_f32(float x)
{
    const float result = (float)(log_of_f32(x) / 2.302585092994045684);
    return x > 0 ? (x == INFINITY ? INFINITY : result) : x == 0 ? -INFINITY : NAN;
}

static inline float sigmoid_f32(float x)
{
    return 1.0f / (1.0f + nb_expf_inline(-x));
}

static inline float sign_f32(float x)
{
    return x != x ? NAN : x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f;
}

static inline float min_f32(float a, float b)
{
    const float smaller = a < b ? a : b;
    return a != a ? NAN : canonical_f32(smaller);
}

static inline float max_f32(float a, float b)
{
    const float larger = a > b ? a : b;
    return a != a ? NAN : canonical_f32(larger);
}

/* min_f32(max_f32(a, low), high), in the order that becomes vectors. */
static inline float clamp_f32(float a, float low, float high)
{
    float x = a > low ? a : low;
    x = x < high ? x : high;
    return ((a != a) | (low != low) | (high != high)) ? NAN : x;
}

/* Of the division that rounds down; fmodf is exact, so it is the same everywhere. */
static inline float remainder_f32(float a, float b)
{
    const float rest = fmodf(a, b);
    const float result = rest != 0 && (rest < 0) != (b < 0) ? rest + b
                         : rest == 0                        ? copysignf(0.0f, b)
                                                            : rest;
    return canonical_f32(result);
}

static inline bool true_f32(float x)
{
    return x != 0;
}

/* x^n in f64 for 1 <= n <= 64, by squaring. */
static inline double power_by_squaring(double x, unsigned n)
{
    double result = 1;
    for (double square = x;; square *= square) {
        if (n & 1)
            result *= square;
        n >>= 1;
        if (n == 0)
            return result;
    }
}

enum { NB_MAX_SQUARINGS_POWER = 64 };

/* In f64 and rounded once: whole exponents up to 64 by squaring, others by exp and log. */
float nb_array_power_f32(float x, float y);

#endif
