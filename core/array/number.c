/* The same operations on one number, in f64, and powers. */
#include "array/parts.h"
#include "array/scalar.h"

static const char *const unary_names[NB_UNARY_COUNT] = {
    [NB_UNARY_NEGATE] = "negate",
    [NB_UNARY_ABS] = "abs",
    [NB_UNARY_SIGN] = "sign",
    [NB_UNARY_ROUND] = "round",
    [NB_UNARY_FLOOR] = "floor",
    [NB_UNARY_CEIL] = "ceil",
    [NB_UNARY_TRUNC] = "trunc",
    [NB_UNARY_SQRT] = "sqrt",
    [NB_UNARY_EXP] = "exp",
    [NB_UNARY_LOG] = "log",
    [NB_UNARY_LOG2] = "log2",
    [NB_UNARY_LOG10] = "log10",
    [NB_UNARY_TANH] = "tanh",
    [NB_UNARY_SIN] = "sin",
    [NB_UNARY_COS] = "cos",
    [NB_UNARY_SIGMOID] = "sigmoid",
    [NB_UNARY_NOT] = "not",
    [NB_UNARY_IS_NAN] = "isnan",
    [NB_UNARY_IS_FINITE] = "isfinite",
};

static const char *const binary_names[NB_BINARY_COUNT] = {
    [NB_BINARY_ADD] = "add",
    [NB_BINARY_SUBTRACT] = "subtract",
    [NB_BINARY_MULTIPLY] = "multiply",
    [NB_BINARY_DIVIDE] = "divide",
    [NB_BINARY_REMAINDER] = "remainder",
    [NB_BINARY_POWER] = "power",
    [NB_BINARY_MIN] = "min",
    [NB_BINARY_MAX] = "max",
    [NB_BINARY_EQUAL] = "equal",
    [NB_BINARY_NOT_EQUAL] = "not equal",
    [NB_BINARY_LESS] = "less",
    [NB_BINARY_LESS_EQUAL] = "less or equal",
    [NB_BINARY_GREATER] = "greater",
    [NB_BINARY_GREATER_EQUAL] = "greater or equal",
    [NB_BINARY_AND] = "and",
    [NB_BINARY_OR] = "or",
};

const char *nb_unary_name(nb_unary op)
{
    return unary_names[op];
}
const char *nb_binary_name(nb_binary op)
{
    return binary_names[op];
}

/* ---- powers ---- */

/* x^n to twice the precision, so that what fits an f64 (10^22, 3^20) comes out exact. Plain squaring where
 * the result leaves the range in which the low parts mean anything. */
static double power_whole(double x, unsigned n)
{
    const double plain = power_by_squaring(x, n);
    if (!(fabs(plain) < 0x1p1000 && fabs(plain) > 0x1p-900))
        return plain;
    double high = 1, low = 0, square = x, square_low = 0;
    for (;;) {
        if (n & 1) {
            const double product = high * square, rest = fma(high, square, -product);
            low = rest + (high * square_low + low * square);
            high = product;
        }
        n >>= 1;
        if (n == 0)
            return high + low;
        const double product = square * square, rest = fma(square, square, -product);
        square_low = rest + 2 * square * square_low;
        square = product;
    }
}

static bool is_odd(double y)
{
    return fmod(y, 2.0) != 0;
} /* of a whole number */

/* The value of |x|^y where x is 0 or infinite, or y is infinite. */
static double power_at_the_end(double magnitude, double y)
{
    if (isinf(y))
        return magnitude == 1 ? 1 : (magnitude > 1) == (y > 0) ? INFINITY : 0;
    return (magnitude == 0) == (y > 0) ? 0 : INFINITY;
}

static double power_f64(double x, double y, double whole_power(double, unsigned))
{
    if (y == 0 || x == 1)
        return 1;
    if (x != x || y != y)
        return NAN;
    const double magnitude = fabs(x);
    const bool whole = isinf(y) || floor(y) == y;
    const bool negative = signbit(x) && whole && !isinf(y) && is_odd(y);
    if (magnitude == 0 || isinf(magnitude) || isinf(y))
        return copysign(power_at_the_end(magnitude, y), negative ? -1.0 : 1.0);
    if (x < 0 && !whole)
        return NAN;
    if (y == 0.5)
        return sqrt(x);
    if (whole && fabs(y) <= NB_MAX_SQUARINGS_POWER) {
        const double power = whole_power(x, (unsigned)fabs(y));
        if (y > 0)
            return power;
        if (fabs(power) > 0x1p-1000) /* below, it has lost digits and its inverse would too */
            return 1 / power;
    }
    const double power = nb_pow(magnitude, y);
    return negative ? -power : power;
}

float nb_array_power_f32(float x, float y)
{
    return canonical_f32((float)power_f64((double)x, (double)y, power_by_squaring));
}

/* ---- numbers ---- */

static const double LN_2 = 0x1.62e42fefa39efp-1, LN_10 = 2.302585092994045684;

/* Exact for powers of 2: the exponent is taken out first, the rest lies around 1. */
static double log2_f64(double x)
{
    if (!(x > 0) || isinf(x))
        return nb_log(x);
    double scale = 0;
    if (x < 0x1p-1022)
        x *= 0x1p54, scale = -54;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    double e = (double)((int)(bits >> 52) - 1023);
    bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
    memcpy(&x, &bits, sizeof x);
    if (x > 1.4142135623730951)
        x *= 0.5, e += 1;
    return (e + scale) + nb_log(x) / LN_2;
}

/* Exact for the powers of 10 that an f64 holds. */
static double log10_f64(double x)
{
    const double estimate = nb_log(x) / LN_10, whole = rint(estimate);
    if (whole >= 1 && whole <= 22 && power_whole(10, (unsigned)whole) == x)
        return whole;
    return estimate;
}

static double tanh_f64(double x)
{
    const double a = fabs(x);
    if (a < 0x1p-10) /* the series' next term is below the last bit */
        return x - x * x * x / 3 * (1 - 0.4 * x * x);
    return copysign(1 - 2 / (nb_exp(2 * a) + 1), x);
}

double nb_number_unary(nb_unary op, double x)
{
    if (x != x && op != NB_UNARY_NOT && op != NB_UNARY_IS_NAN && op != NB_UNARY_IS_FINITE)
        return NAN;
    switch (op) {
    case NB_UNARY_NEGATE:
        return -x;
    case NB_UNARY_ABS:
        return fabs(x);
    case NB_UNARY_SIGN:
        return x > 0 ? 1 : x < 0 ? -1 : 0;
    case NB_UNARY_ROUND:
        return rint(x);
    case NB_UNARY_FLOOR:
        return floor(x);
    case NB_UNARY_CEIL:
        return ceil(x);
    case NB_UNARY_TRUNC:
        return trunc(x);
    case NB_UNARY_SQRT:
        return x < 0 ? NAN : sqrt(x);
    case NB_UNARY_EXP:
        return nb_exp(x);
    case NB_UNARY_LOG:
        return nb_log(x);
    case NB_UNARY_LOG2:
        return log2_f64(x);
    case NB_UNARY_LOG10:
        return log10_f64(x);
    case NB_UNARY_TANH:
        return tanh_f64(x);
    case NB_UNARY_SIN:
        return nb_sin(x);
    case NB_UNARY_COS:
        return nb_cos(x);
    case NB_UNARY_SIGMOID:
        return 1 / (1 + nb_exp(-x));
    case NB_UNARY_NOT:
        return x == 0;
    case NB_UNARY_IS_NAN:
        return x != x;
    case NB_UNARY_IS_FINITE:
        return isfinite(x) != 0;
    case NB_UNARY_COUNT:
        break;
    }
    return NAN;
}

static double canonical_f64(double x)
{
    return x != x ? NAN : x;
}

static double remainder_f64(double a, double b)
{
    const double rest = fmod(a, b); /* exact */
    if (rest == 0)
        return copysign(0.0, b);
    return canonical_f64((rest < 0) != (b < 0) ? rest + b : rest);
}

double nb_number_binary(nb_binary op, double a, double b)
{
    switch (op) {
    case NB_BINARY_ADD:
        return canonical_f64(a + b);
    case NB_BINARY_SUBTRACT:
        return canonical_f64(a - b);
    case NB_BINARY_MULTIPLY:
        return canonical_f64(a * b);
    case NB_BINARY_DIVIDE:
        return canonical_f64(a / b);
    case NB_BINARY_REMAINDER:
        return remainder_f64(a, b);
    case NB_BINARY_POWER:
        return canonical_f64(power_f64(a, b, power_whole));
    case NB_BINARY_MIN:
        return a != a ? NAN : canonical_f64(a < b ? a : b);
    case NB_BINARY_MAX:
        return a != a ? NAN : canonical_f64(a > b ? a : b);
    case NB_BINARY_EQUAL:
        return a == b;
    case NB_BINARY_NOT_EQUAL:
        return a != b;
    case NB_BINARY_LESS:
        return a < b;
    case NB_BINARY_LESS_EQUAL:
        return a <= b;
    case NB_BINARY_GREATER:
        return a > b;
    case NB_BINARY_GREATER_EQUAL:
        return a >= b;
    case NB_BINARY_AND:
        return a != 0 && b != 0;
    case NB_BINARY_OR:
        return a != 0 || b != 0;
    case NB_BINARY_COUNT:
        break;
    }
    return NAN;
}
