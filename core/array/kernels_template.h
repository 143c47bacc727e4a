/* The loops of one level; its file defines KERNELS, the row's name, and includes this. */
#include "array/kernels.h"
#include "array/scalar.h"

#include "base/memory.h"

enum { LANES = 16, BLOCK = 256 };

#define UNARY(name, expression)                                                                              \
    static void name(const float *restrict x, size_t n, float *restrict y)                                   \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            const float a = x[i];                                                                            \
            y[i] = (expression);                                                                             \
        }                                                                                                    \
    }

UNARY(negate, canonical_f32(-a))
UNARY(absolute, canonical_f32(fabsf(a)))
UNARY(sign, sign_f32(a))
UNARY(round_even, canonical_f32(rintf(a)))
UNARY(round_down, canonical_f32(floorf(a)))
UNARY(round_up, canonical_f32(ceilf(a)))
UNARY(truncate, canonical_f32(truncf(a)))
UNARY(square_root, canonical_f32(sqrtf(a)))
UNARY(exponential, nb_expf_inline(a))
UNARY(logarithm, log_f32(a))
UNARY(logarithm_2, log2_f32(a))
UNARY(logarithm_10, log10_f32(a))
UNARY(hyperbolic_tangent, nb_tanhf_inline(a))
UNARY(sine, canonical_f32((float)nb_sin((double)a)))
UNARY(cosine, canonical_f32((float)nb_cos((double)a)))
UNARY(sigmoid, sigmoid_f32(a))
UNARY(negation, a == 0 ? 1.0f : 0.0f)
UNARY(is_nan, a != a ? 1.0f : 0.0f)
UNARY(is_finite, fabsf(a) < INFINITY ? 1.0f : 0.0f)

/* One loop for each way in which the operands step, so that every one of them becomes vectors. */
#define BINARY(name, expression)                                                                             \
    static void name(const float *restrict x, size_t x_step, const float *restrict y, size_t y_step,         \
                     size_t n, float *restrict z)                                                            \
    {                                                                                                        \
        if (x_step && y_step) {                                                                              \
            for (size_t i = 0; i < n; i++) {                                                                 \
                const float a = x[i], b = y[i];                                                              \
                z[i] = (expression);                                                                         \
            }                                                                                                \
        } else if (x_step) {                                                                                 \
            const float b = y[0];                                                                            \
            for (size_t i = 0; i < n; i++) {                                                                 \
                const float a = x[i];                                                                        \
                z[i] = (expression);                                                                         \
            }                                                                                                \
        } else {                                                                                             \
            const float a = x[0];                                                                            \
            for (size_t i = 0; i < n; i++) {                                                                 \
                const float b = y[i * y_step];                                                               \
                z[i] = (expression);                                                                         \
            }                                                                                                \
        }                                                                                                    \
    }

BINARY(add, canonical_f32(a + b))
BINARY(subtract, canonical_f32(a - b))
BINARY(multiply, canonical_f32(a *b))
BINARY(divide, canonical_f32(a / b))
BINARY(remainder_of, remainder_f32(a, b))
BINARY(power_of, nb_array_power_f32(a, b))
BINARY(minimum, min_f32(a, b))
BINARY(maximum, max_f32(a, b))
BINARY(equal, a == b ? 1.0f : 0.0f)
BINARY(not_equal, a != b ? 1.0f : 0.0f)
BINARY(less, a < b ? 1.0f : 0.0f)
BINARY(less_equal, a <= b ? 1.0f : 0.0f)
BINARY(greater, a > b ? 1.0f : 0.0f)
BINARY(greater_equal, a >= b ? 1.0f : 0.0f)
BINARY(both, ((a != 0) & (b != 0)) ? 1.0f : 0.0f)
BINARY(either, ((a != 0) | (b != 0)) ? 1.0f : 0.0f)

/* A whole exponent up to 64 that all share. The end of the range goes by the definition. */
static void power(const float *restrict x, size_t x_step, const float *restrict y, size_t y_step, size_t n,
                  float *restrict z)
{
    const float exponent = y[0];
    if (y_step || !x_step || !(exponent >= 1 && exponent <= NB_MAX_SQUARINGS_POWER) ||
        floorf(exponent) != exponent) {
        power_of(x, x_step, y, y_step, n, z);
        return;
    }
    if (exponent == 2) {
        for (size_t i = 0; i < n; i++)
            z[i] = canonical_f32(x[i] * x[i]); /* rounds as the exact square in f64 does */
        return;
    }
    const unsigned whole = (unsigned)exponent;
    for (size_t i = 0; i < n; i++)
        z[i] = canonical_f32((float)power_by_squaring((double)x[i], whole));
}

/* `n` numbers of an operand side by side: where they lie, or one number repeated into `block`. */
static const float *side_by_side(const float *x, size_t step, size_t begin, size_t n, float *block)
{
    if (step)
        return x + begin;
    if (begin == 0)
        for (size_t i = 0; i < nb_min_size(n, BLOCK); i++)
            block[i] = x[0];
    return block;
}

#define TERNARY(name, expression)                                                                            \
    static void name(const float *x, size_t x_step, const float *y, size_t y_step, const float *z,           \
                     size_t z_step, size_t n, float *out)                                                    \
    {                                                                                                        \
        float x_block[BLOCK], y_block[BLOCK], z_block[BLOCK];                                                \
        for (size_t begin = 0; begin < n; begin += BLOCK) {                                                  \
            const size_t n_here = nb_min_size(n - begin, BLOCK);                                             \
            const float *p = side_by_side(x, x_step, begin, n_here, x_block);                                \
            const float *q = side_by_side(y, y_step, begin, n_here, y_block);                                \
            const float *r = side_by_side(z, z_step, begin, n_here, z_block);                                \
            float *restrict to = out + begin;                                                                \
            for (size_t i = 0; i < n_here; i++) {                                                            \
                const float a = p[i], b = q[i], c = r[i];                                                    \
                to[i] = (expression);                                                                        \
            }                                                                                                \
        }                                                                                                    \
    }

TERNARY(where, a != 0 ? b : c)
TERNARY(clamp_any, clamp_f32(a, b, c))

static void clamp(const float *restrict x, size_t x_step, const float *y, size_t y_step, const float *z,
                  size_t z_step, size_t n, float *restrict out)
{
    if (!x_step || y_step || z_step) {
        clamp_any(x, x_step, y, y_step, z, z_step, n, out);
        return;
    }
    const float low = y[0], high = z[0];
    for (size_t i = 0; i < n; i++)
        out[i] = clamp_f32(x[i], low, high);
}

/* ---- reductions ---- */

/* Whole sixteens with the lanes in registers, then the rest: `step` makes lane l of x[i + l]. */
#define LANE_SUMS(step)                                                                                      \
    double sums[LANES];                                                                                      \
    memcpy(sums, lanes, sizeof sums);                                                                        \
    size_t i = 0;                                                                                            \
    for (; i + LANES <= n; i += LANES)                                                                       \
        for (size_t l = 0; l < LANES; l++)                                                                   \
            step;                                                                                            \
    for (size_t l = 0; i + l < n; l++)                                                                       \
        step;                                                                                                \
    memcpy(lanes, sums, sizeof sums)

static void sum(const float *restrict x, size_t n, double *restrict lanes)
{
    LANE_SUMS(sums[l] += (double)x[i + l]);
}

static void squares(const float *restrict x, size_t n, double origin, double *restrict lanes)
{
    LANE_SUMS(sums[l] += ((double)x[i + l] - origin) * ((double)x[i + l] - origin));
}

static void product(const float *restrict x, size_t n, double *restrict lanes)
{
    LANE_SUMS(sums[l] *= (double)x[i + l]);
}

/* The extremes of every WIDE-th number, then of those; any order gives the same. */
enum { WIDE = 64 };

#define EXTREME(name, better)                                                                                \
    static float name(const float *restrict x, size_t n)                                                     \
    {                                                                                                        \
        float best[WIDE];                                                                                    \
        int32_t nans[WIDE];                                                                                  \
        for (size_t l = 0; l < WIDE; l++) {                                                                  \
            best[l] = x[0];                                                                                  \
            nans[l] = 0;                                                                                     \
        }                                                                                                    \
        size_t i = 0;                                                                                        \
        for (; i + WIDE <= n; i += WIDE) {                                                                   \
            for (size_t l = 0; l < WIDE; l++) {                                                              \
                const float a = x[i + l], b = best[l];                                                       \
                best[l] = a better b ? a : b;                                                                \
                nans[l] |= a != a ? 1 : 0;                                                                   \
            }                                                                                                \
        }                                                                                                    \
        float result = best[0];                                                                              \
        int32_t any = x[0] != x[0];                                                                          \
        for (size_t l = 0; l < WIDE; l++) {                                                                  \
            result = best[l] better result ? best[l] : result;                                               \
            any |= nans[l];                                                                                  \
        }                                                                                                    \
        for (; i < n; i++) {                                                                                 \
            result = x[i] better result ? x[i] : result;                                                     \
            any |= x[i] != x[i];                                                                             \
        }                                                                                                    \
        return any ? NAN : result + 0.0f;                                                                    \
    }

EXTREME(min_of, <)
EXTREME(max_of, >)

static size_t count_true(const float *x, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] != 0;
    return count;
}

/* ---- reductions down the columns ---- */

static void sum_columns(const float *restrict x, size_t stride, size_t n, size_t width,
                        double *restrict lanes)
{
    for (size_t i = 0; i < n; i++, x += stride) {
        double *restrict sums = lanes + i % LANES * NB_COLUMN_TILE;
        for (size_t c = 0; c < width; c++)
            sums[c] += (double)x[c];
    }
}

static void square_columns(const float *restrict x, size_t stride, size_t n, size_t width,
                           const double *restrict origins, double *restrict lanes)
{
    for (size_t i = 0; i < n; i++, x += stride) {
        double *restrict sums = lanes + i % LANES * NB_COLUMN_TILE;
        for (size_t c = 0; c < width; c++) {
            const double deviation = (double)x[c] - origins[c];
            sums[c] += deviation * deviation;
        }
    }
}

static void min_columns(const float *restrict x, size_t stride, size_t n, size_t width, float *restrict best)
{
    for (size_t i = 0; i < n; i++, x += stride)
        for (size_t c = 0; c < width; c++)
            best[c] = min_f32(best[c], x[c]);
}

static void max_columns(const float *restrict x, size_t stride, size_t n, size_t width, float *restrict best)
{
    for (size_t i = 0; i < n; i++, x += stride)
        for (size_t c = 0; c < width; c++)
            best[c] = max_f32(best[c], x[c]);
}

const nb_array_kernels KERNELS = {
    .unary = {[NB_UNARY_NEGATE] = negate,
              [NB_UNARY_ABS] = absolute,
              [NB_UNARY_SIGN] = sign,
              [NB_UNARY_ROUND] = round_even,
              [NB_UNARY_FLOOR] = round_down,
              [NB_UNARY_CEIL] = round_up,
              [NB_UNARY_TRUNC] = truncate,
              [NB_UNARY_SQRT] = square_root,
              [NB_UNARY_EXP] = exponential,
              [NB_UNARY_LOG] = logarithm,
              [NB_UNARY_LOG2] = logarithm_2,
              [NB_UNARY_LOG10] = logarithm_10,
              [NB_UNARY_TANH] = hyperbolic_tangent,
              [NB_UNARY_SIN] = sine,
              [NB_UNARY_COS] = cosine,
              [NB_UNARY_SIGMOID] = sigmoid,
              [NB_UNARY_NOT] = negation,
              [NB_UNARY_IS_NAN] = is_nan,
              [NB_UNARY_IS_FINITE] = is_finite},
    .binary = {[NB_BINARY_ADD] = add,
               [NB_BINARY_SUBTRACT] = subtract,
               [NB_BINARY_MULTIPLY] = multiply,
               [NB_BINARY_DIVIDE] = divide,
               [NB_BINARY_REMAINDER] = remainder_of,
               [NB_BINARY_POWER] = power,
               [NB_BINARY_MIN] = minimum,
               [NB_BINARY_MAX] = maximum,
               [NB_BINARY_EQUAL] = equal,
               [NB_BINARY_NOT_EQUAL] = not_equal,
               [NB_BINARY_LESS] = less,
               [NB_BINARY_LESS_EQUAL] = less_equal,
               [NB_BINARY_GREATER] = greater,
               [NB_BINARY_GREATER_EQUAL] = greater_equal,
               [NB_BINARY_AND] = both,
               [NB_BINARY_OR] = either},
    .where = where,
    .clamp = clamp,
    .sum = sum,
    .squares = squares,
    .product = product,
    .min = min_of,
    .max = max_of,
    .count_true = count_true,
    .sum_columns = sum_columns,
    .square_columns = square_columns,
    .min_columns = min_columns,
    .max_columns = max_columns,
};
