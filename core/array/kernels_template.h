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
UNARY(exponential, exp_f32(a))
UNARY(logarithm, log_f32(a))
UNARY(logarithm_2, log2_f32(a))
UNARY(logarithm_10, log10_f32(a))
UNARY(hyperbolic_tangent, tanh_f32(a))
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
BINARY(multiply, canonical_f32(a * b))
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
BINARY(both, (a != 0) & (b != 0) ? 1.0f : 0.0f)
BINARY(either, (a != 0) | (b != 0) ? 1.0f : 0.0f)

/* A whole exponent up to 64 that all share. The end of the range goes by the definition. */
static void power(const float *restrict x, size_t x_step, const float *restrict y, size_t y_step, size_t n,
                  float *restrict z)
{
    const float exponent = y[0];
    if (y_step || !x_step || !(exponent >= 1 && exponent <= NB_MAX_SQUARINGS_POWER) || floorf(exponent) != exponent) {
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
TERNARY(clamp, min_f32(max_f32(a, b), c))

/* ---- reductions ---- */

static void sum(const float *x, size_t n, double lanes[LANES])
{
    for (size_t i = 0; i < n; i++)
        lanes[i % LANES] += (double)x[i];
}

static void squares(const float *x, size_t n, double origin, double lanes[LANES])
{
    for (size_t i = 0; i < n; i++) {
        const double deviation = (double)x[i] - origin;
        lanes[i % LANES] += deviation * deviation;
    }
}

static void product(const float *x, size_t n, double lanes[LANES])
{
    for (size_t i = 0; i < n; i++)
        lanes[i % LANES] *= (double)x[i];
}

static float min_of(const float *x, size_t n)
{
    float smallest = x[0];
    for (size_t i = 1; i < n; i++)
        smallest = min_f32(smallest, x[i]);
    return canonical_f32(smallest) + 0.0f;
}

static float max_of(const float *x, size_t n)
{
    float largest = x[0];
    for (size_t i = 1; i < n; i++)
        largest = max_f32(largest, x[i]);
    return canonical_f32(largest) + 0.0f;
}

static size_t count_true(const float *x, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] != 0;
    return count;
}

/* ---- products ---- */

enum { MATMUL_ROWS = 4, MATMUL_COLS = 32 };

/* One tile whose sums stay in registers; `width` is MATMUL_COLS where the loops are to unroll. */
static inline void matmul_tile(const float *a, size_t n_rows, size_t k, const float *b, size_t m, size_t width, float *c)
{
    float sums[MATMUL_ROWS][MATMUL_COLS] = {{0}};
    for (size_t i = 0; i < k; i++)
        for (size_t r = 0; r < n_rows; r++)
            for (size_t j = 0; j < width; j++)
                sums[r][j] = fmaf(a[r * k + i], b[i * m + j], sums[r][j]);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t j = 0; j < width; j++)
            c[r * m + j] = canonical_f32(sums[r][j]);
}

static void matmul_rows(const float *a, size_t n_rows, size_t k, const float *b, size_t m, float *c)
{
    for (size_t j = 0; j < m; j += MATMUL_COLS) {
        const size_t width = nb_min_size(MATMUL_COLS, m - j);
        if (width == MATMUL_COLS && n_rows == MATMUL_ROWS)
            matmul_tile(a, MATMUL_ROWS, k, b + j, m, MATMUL_COLS, c + j);
        else
            matmul_tile(a, n_rows, k, b + j, m, width, c + j);
    }
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
    .matmul_rows = matmul_rows,
};
