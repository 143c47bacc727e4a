/* Every loop of array operations on every CPU level that this machine has, and for 1 to 3 threads: the bits
 * of the scalar definition. */
#include "array/array.h"
#include "array/kernels.h"
#include "array/scalar.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "base/random.h"
#include "kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { N = 4096 + 7 };

static float a[N], b[N], got[N + 1], want[N + 1];

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Ordinary numbers, any bits at all, and what is special. */
static void fill(float *x, uint64_t seed)
{
    static const uint32_t special[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00000,
                                       0xffc00001, 0x7f800001, 1,          0x80000001, 0x007fffff,
                                       0x7f7fffff, 0x3f800000, 0xbf800000, 0x3f000000, 0x40200000,
                                       0x4b000000, 0x4b000001, 0xcaffffff, 0x42b17218, 0xc2cff1b5};
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < N; i++) {
        const uint64_t kind = nb_random_below(&random, 4);
        if (kind == 0)
            x[i] = float_of((uint32_t)nb_random_u64(&random));
        else if (kind == 1)
            x[i] = float_of(special[nb_random_below(&random, sizeof special / sizeof special[0])]);
        else if (kind == 2)
            x[i] = (float)((double)nb_random_below(&random, 20) - 8);
        else
            x[i] = (float)(nb_random_normal(&random) * 8);
    }
}

static void expect_same(const char *level, const char *what, size_t n)
{
    for (size_t i = 0; i <= n; i++) /* the one after the end was not written */
        if (bits_of(got[i]) != bits_of(want[i]))
            fail_msg("%s, %s: number %zu of %zu is %08x, not %08x (of %08x and %08x)", level, what, i, n,
                     bits_of(got[i]), bits_of(want[i]), bits_of(a[i < N ? i : 0]), bits_of(b[i < N ? i : 0]));
}

static void forget(void)
{
    for (size_t i = 0; i <= N; i++)
        got[i] = want[i] = 777.0f;
}

typedef void check_fn(const char *level, const nb_array_kernels *k, size_t n);

/* Levels of this CPU, lengths around what vectors hold. */
static void for_each_level(check_fn *check)
{
    static const size_t lengths[] = {0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 100, 255, 257, 1000, N};
    fill(a, 1);
    fill(b, 2);
    for (size_t i = 0; i < nb_kernels_count(); i++) {
        const nb_kernels *level = nb_kernels_at(i);
        if ((level->needs & ~nb_cpu_features()) != 0)
            continue;
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++)
            check(level->name, nb_array_kernels_find(level->name), lengths[l]);
    }
}

/* What numbers become, told anew from core/math and libm's exact functions. */
static float define_unary(nb_unary op, float x)
{
    float y;
    switch (op) {
    case NB_UNARY_NEGATE:
        y = -x;
        break;
    case NB_UNARY_ABS:
        y = fabsf(x);
        break;
    case NB_UNARY_SIGN:
        y = x != x ? NAN : x > 0 ? 1 : x < 0 ? -1 : 0;
        break;
    case NB_UNARY_ROUND:
        y = nearbyintf(x);
        break;
    case NB_UNARY_FLOOR:
        y = floorf(x);
        break;
    case NB_UNARY_CEIL:
        y = ceilf(x);
        break;
    case NB_UNARY_TRUNC:
        y = truncf(x);
        break;
    case NB_UNARY_SQRT:
        y = sqrtf(x);
        break;
    case NB_UNARY_EXP:
        y = nb_expf(x);
        break;
    case NB_UNARY_LOG:
        y = (float)nb_log((double)x);
        break;
    case NB_UNARY_LOG2:
        y = (float)(nb_log((double)x) / 0.693147180559945309);
        break;
    case NB_UNARY_LOG10:
        y = (float)(nb_log((double)x) / 2.302585092994045684);
        break;
    case NB_UNARY_TANH:
        y = nb_tanhf(x);
        break;
    case NB_UNARY_SIN:
        y = (float)nb_sin((double)x);
        break;
    case NB_UNARY_COS:
        y = (float)nb_cos((double)x);
        break;
    case NB_UNARY_SIGMOID:
        y = 1.0f / (1.0f + nb_expf(-x));
        break;
    case NB_UNARY_NOT:
        return x == 0;
    case NB_UNARY_IS_NAN:
        return x != x;
    case NB_UNARY_IS_FINITE:
        return isfinite(x) ? 1 : 0;
    default:
        return 0;
    }
    return y != y ? float_of(0x7fc00000) : y;
}

static void check_unary(const char *level, const nb_array_kernels *k, size_t n)
{
    for (int op = 0; op < NB_UNARY_COUNT; op++) {
        forget();
        for (size_t i = 0; i < n; i++)
            want[i] = define_unary((nb_unary)op, a[i]);
        k->unary[op](a, n, got);
        expect_same(level, nb_unary_name((nb_unary)op), n);
    }
}

static void test_unary(void **state)
{
    (void)state;
    for_each_level(check_unary);
}

static float define_binary(nb_binary op, float x, float y)
{
    const bool is_nan = x != x || y != y;
    float z;
    switch (op) {
    case NB_BINARY_ADD:
        z = x + y;
        break;
    case NB_BINARY_SUBTRACT:
        z = x - y;
        break;
    case NB_BINARY_MULTIPLY:
        z = x * y;
        break;
    case NB_BINARY_DIVIDE:
        z = x / y;
        break;
    case NB_BINARY_REMAINDER:
        z = remainder_f32(x, y);
        break;
    case NB_BINARY_POWER:
        z = nb_array_power_f32(x, y);
        break;
    case NB_BINARY_MIN:
        z = is_nan ? NAN : x < y ? x : y;
        break;
    case NB_BINARY_MAX:
        z = is_nan ? NAN : x > y ? x : y;
        break;
    case NB_BINARY_EQUAL:
        return x == y;
    case NB_BINARY_NOT_EQUAL:
        return x != y;
    case NB_BINARY_LESS:
        return x < y;
    case NB_BINARY_LESS_EQUAL:
        return x <= y;
    case NB_BINARY_GREATER:
        return x > y;
    case NB_BINARY_GREATER_EQUAL:
        return x >= y;
    case NB_BINARY_AND:
        return x != 0 && y != 0;
    case NB_BINARY_OR:
        return x != 0 || y != 0;
    default:
        return 0;
    }
    return z != z ? float_of(0x7fc00000) : z;
}

static void check_binary(const char *level, const nb_array_kernels *k, size_t n)
{
    for (int op = 0; op < NB_BINARY_COUNT; op++) {
        for (int steps = 1; steps < 4; steps++) { /* a number and an array, both ways, and two arrays */
            const size_t a_step = steps & 1, b_step = steps >> 1;
            for (size_t at = 0; at < (steps == 3 ? 1 : 24); at++) {
                const float *x = a_step ? a : a + at, *y = b_step ? b : b + at;
                forget();
                for (size_t i = 0; i < n; i++)
                    want[i] = define_binary((nb_binary)op, x[i * a_step], y[i * b_step]);
                k->binary[op](x, a_step, y, b_step, n, got);
                expect_same(level, nb_binary_name((nb_binary)op), n);
            }
        }
    }
}

static void test_binary(void **state)
{
    (void)state;
    for_each_level(check_binary);
}

/* Whole exponents take other loops than arrays of exponents. */
static void check_powers(const char *level, const nb_array_kernels *k, size_t n)
{
    static const float exponents[] = {0, 1, 2, 3, 7, 64, 65, -1, -2, 0.5f, 1.5f};
    for (size_t e = 0; e < sizeof exponents / sizeof exponents[0]; e++) {
        forget();
        for (size_t i = 0; i < n; i++)
            want[i] = nb_array_power_f32(a[i], exponents[e]);
        k->binary[NB_BINARY_POWER](a, 1, &exponents[e], 0, n, got);
        expect_same(level, "power", n);
    }
}

static void test_powers(void **state)
{
    (void)state;
    for_each_level(check_powers);
}

static void check_ternary(const char *level, const nb_array_kernels *k, size_t n)
{
    for (int steps = 0; steps < 8; steps++) {
        const size_t s[] = {steps & 1, steps >> 1 & 1, steps >> 2};
        const float *c = a + 5;
        if (n + 5 > N)
            return;
        forget();
        for (size_t i = 0; i < n; i++)
            want[i] = a[i * s[0]] != 0 ? b[i * s[1]] : c[i * s[2]];
        k->where(a, s[0], b, s[1], c, s[2], n, got);
        expect_same(level, "where", n);
        forget();
        for (size_t i = 0; i < n; i++)
            want[i] = define_binary(NB_BINARY_MIN, define_binary(NB_BINARY_MAX, a[i * s[0]], b[i * s[1]]),
                                    c[i * s[2]]);
        k->clamp(a, s[0], b, s[1], c, s[2], n, got);
        expect_same(level, "clamp", n);
    }
}

static void test_ternary(void **state)
{
    (void)state;
    for_each_level(check_ternary);
}

static void expect_lanes(const char *level, const char *what, const double *lanes, const double *wanted,
                         size_t n)
{
    for (int i = 0; i < 16; i++)
        if (memcmp(&lanes[i], &wanted[i], sizeof lanes[i]) != 0 &&
            (lanes[i] == lanes[i] || wanted[i] == wanted[i]))
            fail_msg("%s, %s of %zu: lane %d is %.17g, not %.17g", level, what, n, i, lanes[i], wanted[i]);
}

static void check_sums(const char *level, const nb_array_kernels *k, size_t n)
{
    static float ordinary[N];
    nb_random random;
    nb_random_seed(&random, 9);
    for (size_t i = 0; i < N; i++)
        ordinary[i] = (float)(nb_random_normal(&random) * nb_exp(nb_random_normal(&random) * 3));
    for (int hostile = 0; hostile < 2; hostile++) {
        const float *x = hostile ? a : ordinary;
        double lanes[3][16], wanted[3][16];
        for (int i = 0; i < 16; i++)
            lanes[0][i] = wanted[0][i] = lanes[1][i] = wanted[1][i] = i, lanes[2][i] = wanted[2][i] = 1;
        for (size_t i = 0; i < n; i++) {
            const double d = (double)x[i] - 0.3, square = d * d;
            wanted[0][i % 16] = wanted[0][i % 16] + (double)x[i];
            wanted[1][i % 16] = wanted[1][i % 16] + square;
            wanted[2][i % 16] = wanted[2][i % 16] * (double)x[i];
        }
        k->sum(x, n, lanes[0]);
        k->squares(x, n, 0.3, lanes[1]);
        k->product(x, n, lanes[2]);
        expect_lanes(level, "sum", lanes[0], wanted[0], n);
        expect_lanes(level, "squares", lanes[1], wanted[1], n);
        expect_lanes(level, "product", lanes[2], wanted[2], n);
    }
}

static void check_extremes(const char *level, const nb_array_kernels *k, size_t n)
{
    float clean[N];
    for (size_t i = 0; i < n; i++)
        clean[i] = a[i] != a[i] ? -0.0f : a[i];
    for (int with_nan = 0; with_nan < 2 && n > 0; with_nan++) {
        if (with_nan)
            clean[n / 2] = NAN;
        float least = clean[0], most = clean[0];
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
            least = define_binary(NB_BINARY_MIN, least, clean[i]);
            most = define_binary(NB_BINARY_MAX, most, clean[i]);
            count += clean[i] != 0;
        }
        want[0] = with_nan ? float_of(0x7fc00000) : least + 0.0f;
        want[1] = with_nan ? float_of(0x7fc00000) : most + 0.0f;
        got[0] = k->min(clean, n), got[1] = k->max(clean, n);
        expect_same(level, "min and max", 1);
        assert_int_equal(k->count_true(clean, n), count);
    }
}

static void test_reductions(void **state)
{
    (void)state;
    for_each_level(check_sums);
    for_each_level(check_extremes);
}

static nb_array_space open_space(const char *level, unsigned n_threads)
{
    nb_error error;
    nb_context *context;
    const nb_context_options options = {.n_threads = n_threads, .level = level};
    assert_int_equal(nb_context_create(&options, &context, &error), NB_OK);
    return (nb_array_space){.context = context, .limit_bytes = SIZE_MAX};
}

static void close_space(nb_array_space *space)
{
    assert_int_equal(space->used_bytes, 0);
    assert_int_equal(space->spare_bytes, 0);
    nb_context_destroy(&space->context);
}

static nb_array *hostile(nb_array_space *space, int n_dims, const size_t *dims, const float *numbers)
{
    nb_array *x;
    nb_error error;
    assert_int_equal(nb_array_create(space, n_dims, dims, &x, &error), NB_OK);
    memcpy(x->data, numbers, x->size * sizeof(float));
    return x;
}

static void expect_equal(const nb_array *x, const nb_array *y, const char *what)
{
    assert_int_equal(x->size, y->size);
    for (size_t i = 0; i < x->size; i++)
        if (bits_of(x->data[i]) != bits_of(y->data[i]))
            fail_msg("%s: number %zu is %08x, not %08x", what, i, bits_of(x->data[i]), bits_of(y->data[i]));
}

/* Down the columns of x is along the rows of its transpose. */
static void check_columns(const char *level, const nb_array_kernels *k, size_t n)
{
    (void)k;
    const size_t dims[] = {n / 61, 61};
    if (n < 61)
        return;
    nb_array_space space = open_space(level, 2);
    nb_error error;
    nb_array *x = hostile(&space, 2, dims, a), *turned, *down, *along;
    assert_int_equal(nb_array_transpose(x, NULL, &turned, &error), NB_OK);
    for (int op = 0; op < NB_REDUCE_COUNT; op++) {
        assert_int_equal(nb_array_reduce_axis(&space, (nb_reduction)op, x, 0, false, &down, &error), NB_OK);
        assert_int_equal(nb_array_reduce_axis(&space, (nb_reduction)op, turned, 1, false, &along, &error),
                         NB_OK);
        expect_equal(down, along, nb_reduction_name((nb_reduction)op));
        nb_array_release(&down);
        nb_array_release(&along);
    }
    nb_array_release(&x);
    nb_array_release(&turned);
    close_space(&space);
}

static void test_columns(void **state)
{
    (void)state;
    for_each_level(check_columns);
}

static void check_matmul(const char *level, const nb_array_kernels *k, size_t n)
{
    (void)k;
    const size_t shapes[][3] = {{1, 5, 3}, {3, 1, 17}, {7, 33, 40}, {20, 13, 16}};
    if (n != N)
        return;
    nb_array_space space = open_space(level, 2);
    nb_error error;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const size_t rows = shapes[s][0], depth = shapes[s][1], cols = shapes[s][2];
        nb_array *x = hostile(&space, 2, (const size_t[]){rows, depth}, b);
        nb_array *y = hostile(&space, 2, (const size_t[]){depth, cols}, a), *z, *wanted;
        assert_int_equal(nb_array_matmul(&space, x, y, &z, &error), NB_OK);
        assert_int_equal(nb_array_copy(z, &wanted, &error), NB_OK);
        for (size_t i = 0; i < rows * cols; i++) {
            float sum = 0;
            for (size_t j = 0; j < depth; j++)
                sum = fmaf(x->data[i / cols * depth + j], y->data[j * cols + i % cols], sum);
            wanted->data[i] = sum != sum ? float_of(0x7fc00000) : sum;
        }
        expect_equal(z, wanted, level);
        nb_array_release(&x);
        nb_array_release(&y);
        nb_array_release(&z);
        nb_array_release(&wanted);
    }
    close_space(&space);
}

static void test_matmul(void **state)
{
    (void)state;
    for_each_level(check_matmul);
}

/* Every order of four dimensions, by the index. */
static void test_transpose(void **state)
{
    (void)state;
    nb_array_space space = open_space("scalar", 2);
    nb_error error;
    const size_t dims[] = {3, 17, 4, 18};
    const size_t steps[] = {17 * 4 * 18, 4 * 18, 18, 1};
    nb_array *x = hostile(&space, 4, dims, a), *y;
    for (int order = 0; order < 256; order++) {
        const int axes[] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
        if ((1 << axes[0] | 1 << axes[1] | 1 << axes[2] | 1 << axes[3]) != 15)
            continue;
        assert_int_equal(nb_array_transpose(x, axes, &y, &error), NB_OK);
        for (size_t i = 0; i < x->size; i++) {
            size_t rest = i, from = 0;
            for (int d = 3; d >= 0; d--) {
                from += rest % dims[axes[d]] * steps[axes[d]];
                rest /= dims[axes[d]];
            }
            assert_int_equal(bits_of(y->data[i]), bits_of(x->data[from]));
        }
        nb_array_release(&y);
    }
    nb_array_release(&x);
    close_space(&space);
}

/* A chain of operations large enough to be split, on every level and 1 to 3 threads: one result. */
static uint64_t fingerprint(const char *level, unsigned n_threads)
{
    nb_error error;
    nb_array_space space = open_space(level, n_threads);
    nb_random random;
    nb_random_seed(&random, 4);
    const size_t dims[] = {300, 1001};
    nb_array *x, *scale, *q, *y, *z;
    double total;
    assert_int_equal(nb_array_randn(&space, 2, dims, &random, &x, &error), NB_OK);
    assert_int_equal(nb_array_reduce_axis(&space, NB_REDUCE_STD, x, 0, true, &scale, &error), NB_OK);
    assert_int_equal(
        nb_array_binary(&space, NB_BINARY_DIVIDE, nb_operand_of(x), nb_operand_of(scale), &q, &error), NB_OK);
    assert_int_equal(nb_array_unary(&space, NB_UNARY_EXP, q, &y, &error), NB_OK);
    assert_int_equal(nb_array_transpose(y, NULL, &z, &error), NB_OK);
    nb_array_release(&y);
    assert_int_equal(nb_array_matmul(&space, q, z, &y, &error), NB_OK);
    assert_int_equal(nb_array_reduce(&space, NB_REDUCE_SUM, y, &total, &error), NB_OK);
    uint64_t hash;
    memcpy(&hash, &total, sizeof hash);
    for (size_t i = 0; i < y->size; i++)
        hash = (hash ^ bits_of(y->data[i])) * 0x100000001b3u;
    nb_array *const all[] = {x, scale, q, y, z};
    for (size_t i = 0; i < 5; i++) {
        nb_array *array = all[i];
        nb_array_release(&array);
    }
    close_space(&space);
    return hash;
}

static void test_threads(void **state)
{
    (void)state;
    const uint64_t scalar = fingerprint("scalar", 1);
    for (size_t i = 0; i < nb_kernels_count(); i++)
        for (unsigned n_threads = 1; n_threads <= 3; n_threads++)
            if ((nb_kernels_at(i)->needs & ~nb_cpu_features()) == 0)
                assert_int_equal(fingerprint(nb_kernels_at(i)->name, n_threads), scalar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),   cmocka_unit_test(test_binary),     cmocka_unit_test(test_powers),
        cmocka_unit_test(test_ternary), cmocka_unit_test(test_reductions), cmocka_unit_test(test_columns),
        cmocka_unit_test(test_matmul),  cmocka_unit_test(test_transpose),  cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
