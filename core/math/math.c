/* exp, log, pow, sin and cos in f64: argument reduction, then the function's own power series, taken so far
 * that what is left out lies well under the rounding error. Nothing here is in an inner loop. */
#include "math/math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 = LN2 + LN2_REST to twice the precision; LN2_SHORT has 33 bits, so that its multiples by an
 * exponent are exact, and LN2_SHORT_REST is what it lacks. */
static const double LN2 = 0x1.62e42fefa39efp-1, LN2_REST = 0x1.abc9e3b39803fp-56;
static const double LN2_SHORT = 0x1.62e42fee00000p-1, LN2_SHORT_REST = 0x1.a39ef35793c76p-33;
static const double INV_LN2 = 0x1.71547652b82fep+0;

/* 2^e for a normal result. */
static double power_of_2(int e)
{
    const uint64_t bits = (uint64_t)(e + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* sum of coefficients[i] x^i, highest first by Horner. */
static double polynomial(double x, const double *coefficients, int count)
{
    double sum = coefficients[count - 1];
    for (int i = count - 2; i >= 0; i--)
        sum = sum * x + coefficients[i];
    return sum;
}

/* exp(x + rest) for a rest below x's last bit: exp(r) 2^n with |r| <= ln 2 / 2. */
static double exp_of_sum(double x, double rest)
{
    static const double series[] = {/* 1 / k! from k = 2 */
                                    1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                    1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                    1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    if (x != x)
        return NAN;
    if (x > 710.0)
        return INFINITY;
    if (x < -746.0)
        return 0.0;
    const double n = rint(x * INV_LN2);
    const double high = fma(n, -LN2, x); /* exact */
    const double low = fma(n, -LN2_REST, rest);
    const double r = high + low;
    const double r_rest = (high - r) + low;
    const double p = 1.0 + (r + (r_rest + r * r * polynomial(r, series, 12)));
    const int e = (int)n;
    return p * power_of_2(e / 2) * power_of_2(e - e / 2);
}

double nb_exp(double x)
{
    return exp_of_sum(x, 0.0);
}

/* x = m 2^e with m in [sqrt(1/2), sqrt(2)); x is positive and finite. */
static double split(double x, int *e)
{
    int power = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        power = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    power += (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m >= 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        power++;
    }
    *e = power;
    return m;
}

/* log m = 2 artanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...) with s = (m - 1) / (m + 1), |s| < 0.172. With
 * f = m - 1 that is f - f^2 / 2 + s (f^2 / 2 + R), R = 2 s^2 / 3 + 2 s^4 / 5 + ..., where f is exact. */
double nb_log(double x)
{
    static const double series[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                                    2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
    if (!(x >= 0))
        return NAN;
    if (x == 0)
        return -INFINITY;
    if (x == INFINITY)
        return x;
    int e;
    const double f = split(x, &e) - 1.0;
    const double s = f / (2.0 + f);
    const double half_square = 0.5 * f * f;
    const double rest = s * s * polynomial(s * s, series, 10);
    const double small = s * (half_square + rest) + e * LN2_SHORT_REST;
    return e * LN2_SHORT - ((half_square - small) - f);
}

/* An unevaluated sum of two doubles: 106 bits. */
typedef struct pair {
    double high, low;
} pair;

/* |a| >= |b|, or a == 0. */
static pair pair_of_sum(double a, double b)
{
    const double sum = a + b;
    return (pair){sum, b - (sum - a)};
}

static pair pair_add(pair a, pair b) /* |a| >= |b|, or a == 0 */
{
    const pair sum = pair_of_sum(a.high, b.high);
    return pair_of_sum(sum.high, sum.low + a.low + b.low);
}

static pair pair_multiply(pair a, pair b)
{
    const double product = a.high * b.high;
    const double rest = fma(a.high, b.high, -product);
    return pair_of_sum(product, rest + (a.high * b.low + a.low * b.high));
}

/* log x to some 65 bits, as above; the series from s^5 / 5 on is small enough for one double. */
static pair log_pair(double x)
{
    static const double series[] = {1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11, 1.0 / 13,
                                    1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
    static const pair third = {0x1.5555555555555p-2, 0x1.5555555555555p-56};
    int e;
    const double f = split(x, &e) - 1.0;
    const pair divisor = pair_of_sum(2.0, f);
    const double quotient = f / divisor.high;
    const double remainder = fma(-quotient, divisor.high, f) - quotient * divisor.low;
    const pair s = pair_of_sum(quotient, remainder / divisor.high);
    const pair square = pair_multiply(s, s);
    const double tail = square.high * polynomial(square.high, series, 9);
    const pair p = pair_add(third, (pair){tail, 0});
    const pair log_m =
        pair_multiply((pair){2 * s.high, 2 * s.low}, pair_add((pair){1.0, 0}, pair_multiply(square, p)));
    if (e == 0)
        return log_m;
    return pair_add(pair_multiply((pair){e, 0}, (pair){LN2, LN2_REST}), log_m);
}

double nb_pow(double x, double y)
{
    if (!(x > 0) || y != y)
        return NAN;
    if (y == 0 || x == 1)
        return 1.0;
    if (x == INFINITY)
        return y > 0 ? x : 0.0;
    const pair log_x = log_pair(x);
    const double estimate = y * log_x.high;
    if (estimate > 800 || estimate < -800) /* the low parts may be inf - inf there */
        return estimate > 0 ? INFINITY : 0.0;
    const pair product = pair_multiply(log_x, (pair){y, 0});
    return exp_of_sum(product.high, product.low);
}

/* sin and cos of x + rest for |x| <= pi / 4 and a rest below x's last bit. */
static double sin_of_sum(double x, double rest)
{
    static const double series[] = {/* (-1)^k / (2k + 1)! from k = 1 */
                                    -1.0 / 6,
                                    1.0 / 120,
                                    -1.0 / 5040,
                                    1.0 / 362880,
                                    -1.0 / 39916800,
                                    1.0 / 6227020800.0,
                                    -1.0 / 1307674368000.0,
                                    1.0 / 355687428096000.0};
    const double square = x * x;
    return x + (x * square * polynomial(square, series, 8) + rest * (1.0 - 0.5 * square));
}

static double cos_of_sum(double x, double rest)
{
    static const double series[] = {
        /* (-1)^k / (2k)! from k = 2 */
        1.0 / 24,        -1.0 / 720,           1.0 / 40320,           -1.0 / 3628800,
        1.0 / 479001600, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
    const double square = x * x;
    const double half = 0.5 * square;
    const double near_one = 1.0 - half;
    return near_one +
           (((1.0 - near_one) - half) + (square * square * polynomial(square, series, 7) - x * rest));
}

/* x = n pi / 2 + *high + *low with pi / 2 in three parts; n mod 4. Holds for |x| up to 1e6, where n has 20
 * bits. */
static int reduce(double x, double *high, double *low)
{
    static const double half_pi[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
    const double n = rint(x * 0x1.45f306dc9c883p-1);
    const double first = fma(-n, half_pi[0], x); /* exact */
    const double second = n * half_pi[1];
    const double second_rest = fma(n, half_pi[1], -second);
    *high = first - second;
    const double lost = (first - *high) - second;
    *low = lost - (second_rest + n * half_pi[2]);
    return (int)n & 3;
}

/* sin(x + quarter pi / 2). */
static double sin_shifted(double x, int quarter)
{
    if (!(x >= -1e6 && x <= 1e6))
        return NAN;
    double high, low;
    quarter = (reduce(x, &high, &low) + quarter) & 3;
    const double value = quarter & 1 ? cos_of_sum(high, low) : sin_of_sum(high, low);
    return quarter & 2 ? -value : value;
}

double nb_sin(double x)
{
    return x == 0 ? x : sin_shifted(x, 0);
} /* -0 stays -0 */
double nb_cos(double x)
{
    return sin_shifted(x, 1);
}
