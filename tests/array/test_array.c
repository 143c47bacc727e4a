/* Array operations beside what numpy 1.24 gives for the same numbers (f32 where it matters). */
#include "array/array.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static nb_context *context;
static nb_array_space space;
static nb_error error;

static int open_space(void **state)
{
    (void)state;
    const nb_context_options options = {.n_threads = 2};
    if (nb_context_create(&options, &context, &error) != NB_OK)
        return -1;
    space = (nb_array_space){.context = context, .limit_bytes = 64 << 20};
    return 0;
}

/* Nothing of any test is left. */
static int close_space(void **state)
{
    (void)state;
    nb_context_destroy(&context);
    return space.used_bytes == 0 ? 0 : -1;
}

static nb_array *array_of(const double *values, int n_dims, const size_t *dims)
{
    nb_array *flat, *shaped;
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= dims[i];
    assert_int_equal(nb_array_from(&space, values, n, &flat, &error), NB_OK);
    assert_int_equal(nb_array_reshape(flat, n_dims, dims, &shaped, &error), NB_OK);
    nb_array_release(&flat);
    return shaped;
}

static nb_array *vector_of(const double *values, size_t n)
{
    return array_of(values, 1, &n);
}

static nb_array *counting(int n_dims, const size_t *dims)
{
    nb_array *flat, *shaped;
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= dims[i];
    assert_int_equal(nb_array_arange(&space, 0, (double)n, 1, &flat, &error), NB_OK);
    assert_int_equal(nb_array_reshape(flat, n_dims, dims, &shaped, &error), NB_OK);
    nb_array_release(&flat);
    return shaped;
}

/* Same shape, same numbers (the sign of zero too, NaN as NaN); releases `array`. */
static void expect(nb_array *array, int n_dims, const size_t *dims, const double *want)
{
    assert_int_equal(array->n_dims, n_dims);
    size_t n = 1;
    for (int d = 0; d < n_dims; d++) {
        assert_int_equal(array->dims[d], dims[d]);
        n *= dims[d];
    }
    assert_int_equal(array->size, n);
    for (size_t i = 0; i < n; i++) {
        const float got = array->data[i], wanted = (float)want[i];
        if (wanted != wanted ? got == got : got != wanted || !signbit(got) != !signbit(wanted))
            fail_msg("number %zu is %.9g, not %.9g", i, (double)got, (double)wanted);
    }
    nb_array_release(&array);
}

static void expect_vector(nb_array *array, size_t n, const double *want)
{
    expect(array, 1, &n, want);
}

#define EXPECT(array, ...)                                                                                   \
    expect_vector(array, sizeof((const double[]){__VA_ARGS__}) / sizeof(double),                             \
                  (const double[]){__VA_ARGS__})

static void expect_error(nb_status got, nb_status want, const char *sentence)
{
    assert_int_equal(got, want);
    assert_string_equal(error.text, sentence);
}

static const double SAMPLE[] = {1.5, -0.5, -0.5, -1.0, 0.75, -2.25, 1.75, -0.75, 0.25, -0.25, 1.5, -2.0};
static const size_t THREE_FOUR[] = {3, 4};
static nb_array *sample(void)
{
    return array_of(SAMPLE, 2, THREE_FOUR);
}

/* ---- elementwise ---- */

static nb_array *unary(nb_unary op, const double *values, size_t n)
{
    nb_array *x = vector_of(values, n), *y;
    assert_int_equal(nb_array_unary(&space, op, x, &y, &error), NB_OK);
    nb_array_release(&x);
    return y;
}

static nb_array *binary(nb_binary op, nb_operand a, nb_operand b)
{
    nb_array *y;
    assert_int_equal(nb_array_binary(&space, op, a, b, &y, &error), NB_OK);
    return y;
}

#define UNARY(op, ...)                                                                                       \
    unary(op, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static void test_unary(void **state)
{
    (void)state;
    EXPECT(UNARY(NB_UNARY_ROUND, 0.5, 1.5, 2.5, -0.5, -1.5, 2.4999998, NAN), 0, 2, 2, -0.0, -2, 2, NAN);
    EXPECT(UNARY(NB_UNARY_FLOOR, 0.5, -0.5, 3), 0, -1, 3);
    EXPECT(UNARY(NB_UNARY_CEIL, 0.5, -0.5, 3), 1, -0.0, 3);
    EXPECT(UNARY(NB_UNARY_TRUNC, 1.9, -1.9), 1, -1);
    EXPECT(UNARY(NB_UNARY_SIGN, 3, -3, 0, NAN), 1, -1, 0, NAN);
    EXPECT(UNARY(NB_UNARY_SQRT, 4, 2, -1), 2, 1.41421354f, NAN);
    EXPECT(UNARY(NB_UNARY_LOG, 1, 0, -1, INFINITY, 10, 1e-45), 0, -INFINITY, NAN, INFINITY, 2.30258512f,
           -103.278931f);
    EXPECT(UNARY(NB_UNARY_LOG2, 8, 0.5, 3), 3, -1, 1.58496249f);
    EXPECT(UNARY(NB_UNARY_LOG10, 1000, 0.01), 3, -2);
    EXPECT(UNARY(NB_UNARY_EXP, 0, 1, 100, -200, NAN), 1, 2.71828175f, INFINITY, 0, NAN);
    EXPECT(UNARY(NB_UNARY_TANH, 0, 100, -100, 0.5), 0, 1, -1, 0.462117165f);
    EXPECT(UNARY(NB_UNARY_SIN, 0, 1), 0, 0.841470957f);
    EXPECT(UNARY(NB_UNARY_COS, 0, 1), 1, 0.540302277f);
    EXPECT(UNARY(NB_UNARY_SIGMOID, 0, 1000, -1000), 0.5, 1, 0);
    EXPECT(UNARY(NB_UNARY_NOT, 0, 2, NAN), 1, 0, 0);
    EXPECT(UNARY(NB_UNARY_IS_NAN, 0, NAN, INFINITY), 0, 1, 0);
    EXPECT(UNARY(NB_UNARY_IS_FINITE, 0, NAN, INFINITY, -INFINITY), 1, 0, 0, 0);
    EXPECT(UNARY(NB_UNARY_ABS, -3, -0.0), 3, 0);
    EXPECT(UNARY(NB_UNARY_NEGATE, 3, 0), -3, -0.0);
}

static void test_powers_and_remainders(void **state)
{
    (void)state;
    const double bases[] = {2, -2, -2, 0, -0.0, 0, -8, INFINITY, -INFINITY, -INFINITY, 0.5, 2, 4, 10, 1, 3};
    const double exponents[] = {10, 3,  0.5,      -1,        -1,  3,  1.0 / 3, -2,
                                3,  -3, INFINITY, -INFINITY, 0.5, -3, NAN,     40};
    nb_array *a = vector_of(bases, 16), *b = vector_of(exponents, 16);
    EXPECT(binary(NB_BINARY_POWER, nb_operand_of(a), nb_operand_of(b)), 1024, -8, NAN, INFINITY, -INFINITY, 0,
           NAN, 0, -INFINITY, -0.0, 0, 0, 2, 0.0010000000474974513, 1, 12157665459056928801.0);
    EXPECT(binary(NB_BINARY_POWER, nb_operand_of(a), nb_operand_number(2)), 4, 4, 4, 0, 0, 0, 64, INFINITY,
           INFINITY, INFINITY, 0.25, 4, 16, 100, 1, 9);
    EXPECT(binary(NB_BINARY_POWER, nb_operand_number(2), nb_operand_of(b)), 1024, 8, 1.41421354f, 0.5, 0.5, 8,
           1.25992107f, 0.25, 8, 0.125, INFINITY, 0, 1.41421354f, 0.125, NAN, 1.099511627776e12);
    nb_array_release(&a);
    nb_array_release(&b);
    const double dividends[] = {5, -5, 5, -5, 5.5, -0.0, 0, 1, -1, 1},
                 divisors[] = {3, 3, -3, -3, 2, 3, -3, INFINITY, INFINITY, 0};
    a = vector_of(dividends, 10), b = vector_of(divisors, 10);
    EXPECT(binary(NB_BINARY_REMAINDER, nb_operand_of(a), nb_operand_of(b)), 2, 1, -1, -2, 1.5, 0, -0.0, 1,
           INFINITY, NAN);
    nb_array_release(&a);
    nb_array_release(&b);
}

static void test_nan_and_truth(void **state)
{
    (void)state;
    const double values[] = {1, NAN, 0, 2, -INFINITY};
    nb_array *x = vector_of(values, 5), *y;
    const nb_operand a = nb_operand_of(x), one = nb_operand_number(1);
    EXPECT(binary(NB_BINARY_MIN, a, one), 1, NAN, 0, 1, -INFINITY);
    EXPECT(binary(NB_BINARY_MAX, one, a), 1, NAN, 1, 2, 1);
    EXPECT(binary(NB_BINARY_MAX, a, nb_operand_number(NAN)), NAN, NAN, NAN, NAN, NAN);
    EXPECT(binary(NB_BINARY_EQUAL, a, one), 1, 0, 0, 0, 0);
    EXPECT(binary(NB_BINARY_NOT_EQUAL, a, one), 0, 1, 1, 1, 1);
    EXPECT(binary(NB_BINARY_LESS, a, one), 0, 0, 1, 0, 1);
    EXPECT(binary(NB_BINARY_GREATER_EQUAL, a, one), 1, 0, 0, 1, 0);
    EXPECT(binary(NB_BINARY_AND, a, one), 1, 1, 0, 1, 1);
    EXPECT(binary(NB_BINARY_OR, a, nb_operand_number(0)), 1, 1, 0, 1, 1);
    assert_int_equal(nb_array_clamp(&space, a, nb_operand_number(-1), nb_operand_number(1.5), &y, &error),
                     NB_OK);
    EXPECT(y, 1, NAN, 0, 1.5, -1);
    assert_int_equal(nb_array_where(&space, a, nb_operand_number(7), a, &y, &error), NB_OK);
    EXPECT(y, 7, 7, 0, 7, 7);
    y = binary(NB_BINARY_MULTIPLY, a, nb_operand_number(NAN));
    uint32_t bits;
    memcpy(&bits, y->data, sizeof bits);
    assert_int_equal(bits, 0x7fc00000);
    nb_array_release(&y);
    nb_array_release(&x);
}

/* A number is rounded to f32 first: 0.1f * 3.0f, not (float)(0.1 * 3). */
static void test_numbers_are_f32(void **state)
{
    (void)state;
    const double tenth[] = {0.1f};
    nb_array *x = vector_of(tenth, 1);
    EXPECT(binary(NB_BINARY_EQUAL, nb_operand_of(x), nb_operand_number(0.1)), 1);
    EXPECT(binary(NB_BINARY_SUBTRACT, nb_operand_of(x), nb_operand_number(0.1)), 0);
    EXPECT(binary(NB_BINARY_ADD, nb_operand_number(16777216), nb_operand_of(x)), 16777216);
    nb_array_release(&x);
}

static void test_broadcast(void **state)
{
    (void)state;
    const size_t column[] = {3, 1}, cube[] = {2, 1, 3, 1}, two_three[] = {2, 3}, result[] = {2, 4, 3, 5};
    nb_array *x = sample(), *c = counting(2, column), *r = counting(1, (const size_t[]){4});
    const double want[] = {1.5, 0.5, 1.5, 2, 1.75, -0.25, 4.75, 3.25, 2.25, 2.75, 5.5, 3}; /* x + c + r */
    nb_array *sum = binary(NB_BINARY_ADD, nb_operand_of(x), nb_operand_of(c));
    nb_array *all = binary(NB_BINARY_ADD, nb_operand_of(r), nb_operand_of(sum));
    expect(all, 2, THREE_FOUR, want);
    nb_array_release(&sum);
    nb_array_release(&c);
    c = counting(1, (const size_t[]){5});
    expect_error(nb_array_binary(&space, NB_BINARY_ADD, nb_operand_of(x), nb_operand_of(c), &sum, &error),
                 NB_ERR_ARGUMENT, "add: 3 x 4 and 5 do not broadcast");
    assert_null(sum);
    nb_array_release(&x);
    nb_array_release(&c);
    nb_array_release(&r);

    /* [2][1][3][1] * [4][1][5] -> [2][4][3][5] */
    x = counting(4, cube);
    r = counting(3, (const size_t[]){4, 1, 5});
    all = binary(NB_BINARY_MULTIPLY, nb_operand_of(x), nb_operand_of(r));
    double product[120];
    for (size_t i = 0; i < 120; i++)
        product[i] = (double)((i / 60 * 3 + i / 5 % 3) * (i / 15 % 4 * 5 + i % 5));
    expect(all, 4, result, product);
    nb_array_release(&x);
    nb_array_release(&r);

    x = counting(2, (const size_t[]){0, 3});
    r = counting(2, (const size_t[]){1, 3});
    expect(binary(NB_BINARY_ADD, nb_operand_of(x), nb_operand_of(r)), 2, (const size_t[]){0, 3}, NULL);
    expect(binary(NB_BINARY_ADD, nb_operand_number(2), nb_operand_number(3)), 0, NULL, (const double[]){5});
    nb_array_release(&r);
    r = counting(2, two_three);
    expect_error(
        nb_array_where(&space, nb_operand_of(x), nb_operand_number(1), nb_operand_of(r), &all, &error),
        NB_ERR_ARGUMENT, "where: 0 x 3 and 2 x 3 do not broadcast");
    nb_array_release(&x);
    nb_array_release(&r);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_true(nb_number_binary(NB_BINARY_POWER, 10, 22) == 1e22);
    assert_true(nb_number_binary(NB_BINARY_POWER, 3, 33) == 5559060566555523.0);
    assert_true(nb_number_binary(NB_BINARY_POWER, 10, -3) == 0.001);
    assert_true(nb_number_binary(NB_BINARY_POWER, 2, 0.5) == sqrt(2));
    assert_true(nb_number_binary(NB_BINARY_POWER, -2, 1023) == -0x1p1023);
    assert_true(nb_number_binary(NB_BINARY_POWER, 1e-160, -2) == INFINITY);
    assert_true(nb_number_binary(NB_BINARY_REMAINDER, -7, 3) == 2);
    assert_true(nb_number_unary(NB_UNARY_LOG10, 1000) == 3);
    assert_true(nb_number_unary(NB_UNARY_LOG10, 1e15) == 15);
    assert_true(nb_number_unary(NB_UNARY_LOG2, 0x1p-1074) == -1074);
    assert_true(nb_number_unary(NB_UNARY_LOG2, 1) == 0);
    assert_true(nb_number_unary(NB_UNARY_ROUND, 2.5) == 2);
    assert_true(isnan(nb_number_unary(NB_UNARY_SQRT, -1)));
    for (double x = -3; x < 3; x += 0.0137) /* libm's is within an ulp or two */
        assert_true(fabs(nb_number_unary(NB_UNARY_TANH, x) - tanh(x)) <= 4e-16);
    assert_true(fabs(nb_number_unary(NB_UNARY_TANH, 1e-5) / tanh(1e-5) - 1) < 1e-15);
}

/* ---- reductions ---- */

static double reduce(nb_reduction op, const nb_array *x)
{
    double result;
    assert_int_equal(nb_array_reduce(&space, op, x, &result, &error), NB_OK);
    return result;
}

static nb_array *reduce_axis(nb_reduction op, const nb_array *x, int axis, bool keep)
{
    nb_array *y;
    assert_int_equal(nb_array_reduce_axis(&space, op, x, axis, keep, &y, &error), NB_OK);
    return y;
}

static void test_reductions(void **state)
{
    (void)state;
    nb_array *x = sample();
    assert_true(reduce(NB_REDUCE_SUM, x) == -1.5);
    assert_true(reduce(NB_REDUCE_MEAN, x) == -0.125);
    assert_true(fabs(reduce(NB_REDUCE_STD, x) - 1.2644992421244599) < 1e-15);
    assert_true(fabs(reduce(NB_REDUCE_VARIANCE, x) - 1.2644992421244599 * 1.2644992421244599) < 1e-15);
    assert_true(fabs(reduce(NB_REDUCE_NORM, x) - 4.401704215414752) < 1e-15);
    assert_true(reduce(NB_REDUCE_MIN, x) == -2.25 && reduce(NB_REDUCE_MAX, x) == 1.75);
    assert_true(reduce(NB_REDUCE_ARGMAX, x) == 6 && reduce(NB_REDUCE_ARGMIN, x) == 5);
    assert_true(reduce(NB_REDUCE_ANY, x) == 1 && reduce(NB_REDUCE_ALL, x) == 1);
    EXPECT(reduce_axis(NB_REDUCE_SUM, x, 0, false), 2.5, -3, 2.75, -3.75);
    EXPECT(reduce_axis(NB_REDUCE_MEAN, x, -1, false), -0.125, -0.125, -0.125);
    EXPECT(reduce_axis(NB_REDUCE_VARIANCE, x, 0, false), 0.2638888888888889, 0.7916666666666666,
           1.0138888888888888, 0.2916666666666667);
    EXPECT(reduce_axis(NB_REDUCE_ARGMAX, x, 0, false), 0, 2, 1, 1);
    EXPECT(reduce_axis(NB_REDUCE_ARGMIN, x, 1, false), 3, 1, 3);
    expect(reduce_axis(NB_REDUCE_MAX, x, 1, true), 2, (const size_t[]){3, 1},
           (const double[]){1.5, 1.75, 1.5});
    nb_array *none;
    expect_error(nb_array_reduce_axis(&space, NB_REDUCE_SUM, x, 2, false, &none, &error), NB_ERR_ARGUMENT,
                 "sum: an array of 3 x 4 has axes 0 to 1 (or -1 to -2), not 2");
    nb_array_release(&x);

    x = counting(3, (const size_t[]){2, 3, 4});
    nb_array *middle = reduce_axis(NB_REDUCE_SUM, x, 1, false);
    EXPECT(reduce_axis(NB_REDUCE_SUM, middle, 0, false), 60, 66, 72, 78);
    nb_array_release(&middle);
    nb_array_release(&x);
}

static void test_reductions_at_the_edge(void **state)
{
    (void)state;
    nb_array *empty = counting(1, (const size_t[]){0}), *y;
    double result;
    assert_true(reduce(NB_REDUCE_SUM, empty) == 0 && isnan(reduce(NB_REDUCE_MEAN, empty)));
    assert_true(reduce(NB_REDUCE_PRODUCT, empty) == 1 && reduce(NB_REDUCE_ALL, empty) == 1);
    expect_error(nb_array_reduce(&space, NB_REDUCE_MAX, empty, &result, &error), NB_ERR_ARGUMENT,
                 "max: an empty array has none");
    nb_array_release(&empty);
    const double values[] = {1, NAN, 3, NAN, -0.0};
    nb_array *x = vector_of(values, 5);
    assert_true(isnan(reduce(NB_REDUCE_MAX, x)) && isnan(reduce(NB_REDUCE_SUM, x)));
    assert_true(reduce(NB_REDUCE_ARGMAX, x) == 1 && reduce(NB_REDUCE_ARGMIN, x) == 1);
    assert_true(reduce(NB_REDUCE_COUNT_TRUE, x) == 4);
    nb_array_release(&x);
    const double zeros[] = {-0.0, -0.0};
    x = vector_of(zeros, 2);
    assert_false(signbit(reduce(NB_REDUCE_MAX, x)));
    assert_false(signbit(reduce(NB_REDUCE_MIN, x)));
    nb_array_release(&x);
    /* Of equal numbers the first, of any NaN the first, wherever they stand. */
    const size_t long_line = 20000;
    assert_int_equal(nb_array_full(&space, 1, &long_line, 1, &y, &error), NB_OK);
    assert_true(reduce(NB_REDUCE_ARGMAX, y) == 0 && reduce(NB_REDUCE_ARGMIN, y) == 0);
    y->data[9000] = y->data[13000] = 2;
    y->data[8191] = y->data[8192] = -0.0f;
    y->data[17000] = 0;
    assert_true(reduce(NB_REDUCE_ARGMAX, y) == 9000 && reduce(NB_REDUCE_ARGMIN, y) == 8191);
    y->data[19999] = NAN;
    assert_true(reduce(NB_REDUCE_ARGMAX, y) == 19999);
    y->data[12000] = y->data[12500] = NAN;
    assert_true(reduce(NB_REDUCE_ARGMAX, y) == 12000 && reduce(NB_REDUCE_ARGMIN, y) == 12000);
    nb_array_release(&y);
    /* f32 sums of a million tenths would be off in the fourth digit. */
    const size_t million = 1000000;
    assert_int_equal(nb_array_full(&space, 1, &million, 0.1, &y, &error), NB_OK);
    assert_true(fabs(reduce(NB_REDUCE_SUM, y) - 1e6 * (double)0.1f) < 1e-6);
    nb_array_release(&y);
}

/* ---- shapes ---- */

static void test_reshape_and_transpose(void **state)
{
    (void)state;
    nb_array *x = counting(3, (const size_t[]){2, 3, 4}), *y, *z;
    const size_t open[] = {4, NB_ARRAY_INFER}, wrong[] = {5, NB_ARRAY_INFER}, small[] = {5, 4};
    assert_int_equal(nb_array_reshape(x, 2, open, &y, &error), NB_OK);
    assert_int_equal(y->dims[1], 6);
    nb_array_release(&y);
    expect_error(
        nb_array_reshape(x, 2, wrong, &y, &error), NB_ERR_ARGUMENT,
        "reshape: 2 x 3 x 4 holds 24 numbers, which 5 x 1 does not divide (1 is the open dimension)");
    expect_error(nb_array_reshape(x, 2, small, &y, &error), NB_ERR_ARGUMENT,
                 "reshape: 2 x 3 x 4 holds 24 numbers, which 5 x 4 does not hold");
    assert_int_equal(nb_array_transpose(x, (const int[]){1, 0, 2}, &y, &error), NB_OK);
    expect(y, 3, (const size_t[]){3, 2, 4}, (const double[]){0,  1,  2,  3,  12, 13, 14, 15, 4,  5,  6,  7,
                                                             16, 17, 18, 19, 8,  9,  10, 11, 20, 21, 22, 23});
    assert_int_equal(nb_array_transpose(x, NULL, &y, &error), NB_OK);
    assert_int_equal(nb_array_transpose(y, NULL, &z, &error), NB_OK);
    assert_memory_equal(z->data, x->data, 24 * sizeof(float));
    assert_true(y->data[1] == 12 && y->dims[0] == 4);
    nb_array_release(&y);
    nb_array_release(&z);
    expect_error(nb_array_transpose(x, (const int[]){1, 1, 2}, &y, &error), NB_ERR_ARGUMENT,
                 "transpose: axis 1 is named twice");
    nb_array_release(&x);
}

#define AT(i)                                                                                                \
    {                                                                                                        \
        .kind = NB_SLICE_INDEX, .begin = (i)                                                                 \
    }
#define STEP(s)                                                                                              \
    {                                                                                                        \
        .kind = NB_SLICE_RANGE, .step = (s)                                                                  \
    }
#define FROM(b, s)                                                                                           \
    {                                                                                                        \
        .kind = NB_SLICE_RANGE, .has_begin = true, .begin = (b), .step = (s)                                 \
    }
#define RANGE(b, e, s)                                                                                       \
    {                                                                                                        \
        .kind = NB_SLICE_RANGE, .has_begin = true, .has_end = true, .begin = (b), .end = (e), .step = (s)    \
    }

static void test_slices(void **state)
{
    (void)state;
    nb_array *x = counting(3, (const size_t[]){2, 3, 4}), *y;
    const nb_slice first[] = {AT(1), STEP(-1), RANGE(1, 4, 2)}, second[] = {AT(-1), FROM(-2, 1), STEP(-3)};
    const nb_slice beyond[] = {RANGE(-100, 100, 1), RANGE(2, 1, 1)}, out[] = {AT(2)}, still[] = {STEP(0)};
    const nb_slice last[] = {AT(1), AT(2), AT(3)};
    assert_int_equal(nb_array_slice(x, first, 3, &y, &error), NB_OK);
    expect(y, 2, (const size_t[]){3, 2}, (const double[]){21, 23, 17, 19, 13, 15});
    assert_int_equal(nb_array_slice(x, second, 3, &y, &error), NB_OK);
    expect(y, 2, (const size_t[]){2, 2}, (const double[]){19, 16, 23, 20});
    assert_int_equal(nb_array_slice(x, beyond, 2, &y, &error), NB_OK);
    expect(y, 3, (const size_t[]){2, 0, 4}, NULL);
    assert_int_equal(nb_array_slice(x, last, 3, &y, &error), NB_OK);
    expect(y, 0, NULL, (const double[]){23});
    const nb_slice before[] = {AT(0), AT(0), FROM(-100, -1)},
                   backwards[] = {AT(0), AT(0), RANGE(100, -3, -1)};
    assert_int_equal(nb_array_slice(x, before, 3, &y, &error), NB_OK);
    expect(y, 1, (const size_t[]){0}, NULL);
    assert_int_equal(nb_array_slice(x, backwards, 3, &y, &error), NB_OK); /* range(4)[100:-3:-1] */
    EXPECT(y, 3, 2);
    expect_error(nb_array_slice(x, out, 1, &y, &error), NB_ERR_ARGUMENT,
                 "index 2 is beyond axis 0 of an array of 2 x 3 x 4 (0 to 1)");
    expect_error(nb_array_slice(x, still, 1, &y, &error), NB_ERR_ARGUMENT, "a slice's step is not 0");
    assert_int_equal(nb_array_replace(x, first, 3, nb_operand_number(-1), &y, &error), NB_OK);
    double want[24];
    for (int i = 0; i < 24; i++)
        want[i] = i == 21 || i == 23 || i == 17 || i == 19 || i == 13 || i == 15 ? -1 : i;
    expect(y, 3, (const size_t[]){2, 3, 4}, want);
    nb_array *row = counting(1, (const size_t[]){3});
    expect_error(nb_array_replace(x, first, 3, nb_operand_of(row), &y, &error), NB_ERR_ARGUMENT,
                 "where: 3 and 3 x 2 do not broadcast; one for each row is 3 x 1, as keep=1 leaves it");
    nb_array_release(&row);
    nb_array_release(&x);
}

static void test_pick_take_concat(void **state)
{
    (void)state;
    nb_array *x = sample(), *mask, *y, *small = counting(2, (const size_t[]){3, 2});
    mask = binary(NB_BINARY_GREATER, nb_operand_of(x), nb_operand_number(1));
    assert_int_equal(nb_array_pick(x, mask, &y, &error), NB_OK);
    EXPECT(y, 1.5, 1.75, 1.5);
    expect_error(nb_array_pick(x, small, &y, &error), NB_ERR_ARGUMENT,
                 "a mask has the shape of its array: 3 x 2 and 3 x 4 differ");
    nb_array_release(&mask);
    const double order[] = {2, -3}, beyond[] = {3}, half[] = {0.5};
    mask = vector_of(order, 2);
    assert_int_equal(nb_array_take(x, mask, &y, &error), NB_OK);
    expect(y, 2, (const size_t[]){2, 4}, (const double[]){0.25, -0.25, 1.5, -2, 1.5, -0.5, -0.5, -1});
    nb_array_release(&mask);
    mask = vector_of(beyond, 1);
    expect_error(nb_array_take(x, mask, &y, &error), NB_ERR_ARGUMENT,
                 "3 is no index into axis 0 of an array of 3 x 4");
    nb_array_release(&mask);
    mask = vector_of(half, 1);
    assert_int_equal(nb_array_take(x, mask, &y, &error), NB_ERR_ARGUMENT);
    nb_array_release(&mask);
    assert_int_equal(nb_array_concat(&space, (nb_array *const[]){x, small}, 2, 1, &y, &error), NB_OK);
    expect(y, 2, (const size_t[]){3, 6},
           (const double[]){1.5, -0.5, -0.5, -1, 0, 1, 0.75, -2.25, 1.75, -0.75, 2, 3, 0.25, -0.25, 1.5, -2,
                            4, 5});
    expect_error(nb_array_concat(&space, (nb_array *const[]){x, small}, 2, 0, &y, &error), NB_ERR_ARGUMENT,
                 "concat: 3 x 4 and 3 x 2 do not join along axis 0");
    nb_array_release(&x);
    nb_array_release(&small);
}

/* ---- products, order, counts ---- */

static void test_matmul(void **state)
{
    (void)state;
    nb_array *a = counting(2, (const size_t[]){2, 3}), *b = counting(2, (const size_t[]){3, 2}), *y;
    nb_array *v = counting(1, (const size_t[]){3});
    assert_int_equal(nb_array_matmul(&space, a, b, &y, &error), NB_OK);
    expect(y, 2, (const size_t[]){2, 2}, (const double[]){10, 13, 28, 40});
    assert_int_equal(nb_array_matmul(&space, a, v, &y, &error), NB_OK);
    EXPECT(y, 5, 14);
    assert_int_equal(nb_array_matmul(&space, v, b, &y, &error), NB_OK);
    EXPECT(y, 10, 13);
    assert_int_equal(nb_array_matmul(&space, v, v, &y, &error), NB_OK);
    expect(y, 0, NULL, (const double[]){5});
    expect_error(
        nb_array_matmul(&space, a, a, &y, &error), NB_ERR_ARGUMENT,
        "matmul: 2 x 3 and 2 x 3 do not multiply: the left one's last length is the right one's rows");
    nb_array_release(&b);
    b = counting(4, (const size_t[]){2, 2, 3, 1});
    nb_array *stack = counting(3, (const size_t[]){2, 2, 3});
    assert_int_equal(nb_array_matmul(&space, stack, b, &y, &error), NB_OK); /* numpy.matmul of the same */
    expect(y, 4, (const size_t[]){2, 2, 2, 1}, (const double[]){5, 14, 86, 122, 23, 86, 212, 302});
    nb_array_release(&stack);
    nb_array_release(&a);
    nb_array_release(&b);
    nb_array_release(&v);
}

static void test_sort(void **state)
{
    (void)state;
    nb_array *x = sample(), *y;
    assert_int_equal(nb_array_sort(x, 0, &y, &error), NB_OK);
    expect(y, 2, THREE_FOUR,
           (const double[]){0.25, -2.25, -0.5, -2, 0.75, -0.5, 1.5, -1, 1.5, -0.25, 1.75, -0.75});
    assert_int_equal(nb_array_argsort(x, 1, &y, &error), NB_OK);
    expect(y, 2, THREE_FOUR, (const double[]){3, 1, 2, 0, 1, 3, 0, 2, 3, 1, 0, 2});
    assert_int_equal(nb_array_cumsum(x, 0, &y, &error), NB_OK);
    expect(y, 2, THREE_FOUR,
           (const double[]){1.5, -0.5, -0.5, -1, 2.25, -2.75, 1.25, -1.75, 2.5, -3, 2.75, -3.75});
    nb_array_release(&x);
    const double hostile[] = {NAN, INFINITY, -1, 0, -INFINITY, NAN, 2, -0.0};
    x = vector_of(hostile, 8);
    assert_int_equal(nb_array_sort(x, -1, &y, &error), NB_OK);
    EXPECT(y, -INFINITY, -1, -0.0, 0, 2, INFINITY, NAN, NAN);
    assert_int_equal(nb_array_argsort(x, -1, &y, &error), NB_OK);
    EXPECT(y, 4, 2, 3, 7, 6, 1, 0, 5);
    nb_array_release(&x);
    /* Long enough for the radix sort. */
    nb_random random;
    nb_random_seed(&random, 3);
    const size_t n = 5000;
    assert_int_equal(nb_array_randn(&space, 1, &n, &random, &x, &error), NB_OK);
    nb_array *order, *taken;
    assert_int_equal(nb_array_sort(x, 0, &y, &error), NB_OK);
    assert_int_equal(nb_array_argsort(x, 0, &order, &error), NB_OK);
    assert_int_equal(nb_array_take(x, order, &taken, &error), NB_OK);
    assert_memory_equal(taken->data, y->data, n * sizeof(float));
    for (size_t i = 1; i < n; i++)
        assert_true(y->data[i - 1] <= y->data[i]);
    nb_array_release(&taken);
    nb_array_release(&order);
    nb_array_release(&y);
    nb_array_release(&x);
}

static void test_quantile(void **state)
{
    (void)state;
    nb_array *x = sample(), *y;
    const double shares[] = {0, 0.1, 0.25, 0.5, 0.9, 0.999, 1};
    const double want[] = {-2.25, -1.9, -0.8125, -0.375, 1.5, 1.7472500000000002, 1.75};
    double result;
    for (int i = 0; i < 7; i++) {
        assert_int_equal(nb_array_quantile(x, shares[i], &result, &error), NB_OK);
        assert_true(fabs(result - want[i]) < 1e-15);
    }
    assert_int_equal(nb_array_quantile_axis(x, 0.3, 0, false, &y, &error), NB_OK);
    EXPECT(y, 0.55, -1.2, 0.7, -1.4);
    expect_error(nb_array_quantile(x, 1.5, &result, &error), NB_ERR_ARGUMENT,
                 "quantile: a share lies between 0 and 1, not at 1.5");
    nb_array_release(&x);
}

static void test_histogram(void **state)
{
    (void)state;
    nb_array *x = sample(), *counts, *edges;
    assert_int_equal(nb_array_histogram(x, 5, NAN, NAN, &counts, &edges, &error), NB_OK);
    EXPECT(counts, 2, 2, 3, 2, 3);
    EXPECT(edges, -2.25, -1.45, -0.65, 0.15, 0.95, 1.75);
    assert_int_equal(nb_array_histogram(x, 4, -1, 1, &counts, &edges, &error), NB_OK);
    EXPECT(counts, 2, 3, 1, 1);
    EXPECT(edges, -1, -0.5, 0, 0.5, 1);
    nb_array_release(&x);
    const double same[] = {2, 2, 2}, wild[] = {1, NAN, INFINITY, 0.5};
    x = vector_of(same, 3);
    assert_int_equal(nb_array_histogram(x, 2, NAN, NAN, &counts, &edges, &error), NB_OK);
    EXPECT(counts, 0, 3);
    EXPECT(edges, 1.5, 2, 2.5);
    nb_array_release(&x);
    x = vector_of(wild, 4);
    assert_int_equal(nb_array_histogram(x, 2, 0, 1, &counts, &edges, &error), NB_OK);
    EXPECT(counts, 0, 2);
    nb_array_release(&edges);
    assert_int_equal(nb_array_histogram(x, 2, NAN, NAN, &counts, &edges, &error), NB_ERR_ARGUMENT);
    assert_null(counts);
    nb_array_release(&x);
}

static void test_make(void **state)
{
    (void)state;
    nb_array *y;
    assert_int_equal(nb_array_arange(&space, 0, 1, 0.3, &y, &error), NB_OK);
    EXPECT(y, 0, 0.3, 0.6, 0.8999999999999999);
    assert_int_equal(nb_array_arange(&space, 3, 0, -1, &y, &error), NB_OK);
    EXPECT(y, 3, 2, 1);
    assert_int_equal(nb_array_linspace(&space, -1, 1, 5, &y, &error), NB_OK);
    EXPECT(y, -1, -0.5, 0, 0.5, 1);
    assert_int_equal(nb_array_eye(&space, 2, &y, &error), NB_OK);
    expect(y, 2, (const size_t[]){2, 2}, (const double[]){1, 0, 0, 1});
    assert_int_equal(nb_array_arange(&space, 0, 1, 0, &y, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_array_arange(&space, 0, 1e300, 1, &y, &error), NB_ERR_ARGUMENT);
    nb_random random;
    nb_random_seed(&random, 42);
    const size_t n = 100000;
    assert_int_equal(nb_array_rand(&space, 1, &n, &random, &y, &error), NB_OK);
    assert_true(reduce(NB_REDUCE_MIN, y) >= 0 && reduce(NB_REDUCE_MAX, y) < 1);
    assert_true(fabs(reduce(NB_REDUCE_MEAN, y) - 0.5) < 0.005);
    nb_array_release(&y);
    assert_int_equal(nb_array_randn(&space, 1, &n, &random, &y, &error), NB_OK);
    assert_true(fabs(reduce(NB_REDUCE_MEAN, y)) < 0.02 && fabs(reduce(NB_REDUCE_STD, y) - 1) < 0.01);
    nb_array_release(&y);
}

/* ---- limits ---- */

static void test_limits(void **state)
{
    (void)state;
    nb_array *y;
    const size_t dims[] = {100000, 100000}, huge[] = {SIZE_MAX, SIZE_MAX, 2};
    expect_error(nb_array_create(&space, 2, dims, &y, &error), NB_ERR_MEMORY,
                 "an array of 100000 x 100000 does not fit: arrays hold 0 MB now and may hold 67 MB in all");
    assert_null(y);
    assert_int_equal(nb_array_create(&space, 3, huge, &y, &error), NB_ERR_MEMORY);
    assert_int_equal(nb_array_create(&space, 5, (const size_t[]){1, 1, 1, 1, 1}, &y, &error),
                     NB_ERR_ARGUMENT);
    nb_array *held[3];
    const size_t twenty_mb = 5000000;
    for (int i = 0; i < 3; i++)
        assert_int_equal(nb_array_create(&space, 1, &twenty_mb, &held[i], &error), NB_OK);
    assert_int_equal(nb_array_create(&space, 1, &twenty_mb, &y, &error), NB_ERR_MEMORY);
    for (int i = 0; i < 3; i++)
        nb_array_release(&held[i]);
    assert_int_equal(space.used_bytes, 0);
    atomic_store(&context->cancel, true);
    assert_int_equal(nb_array_rand(&space, 1, &twenty_mb, &(nb_random){{1, 2, 3, 4}}, &y, &error),
                     NB_ERR_CANCELLED);
    assert_null(y);
    assert_false(atomic_load(&context->cancel));
}

/* Every allocation of every operation fails once: a sentence, and nothing is left behind. */
static void test_no_memory(void **state)
{
    (void)state;
    nb_array *x = sample();
    const size_t held = space.used_bytes;
    const nb_slice part[] = {STEP(2)};
    for (int op = 0; op < 8; op++) {
        for (long nth = 1; nth < 6; nth++) {
            nb_array *y = NULL, *z = NULL;
            double number;
            nb_memory_fail_after(nth);
            nb_status status = op == 0 ? nb_array_sort(x, 0, &y, &error)
                               : op == 1
                                   ? nb_array_reduce_axis(&space, NB_REDUCE_SUM, x, 0, false, &y, &error)
                               : op == 2 ? nb_array_replace(x, part, 1, nb_operand_number(1), &y, &error)
                               : op == 3 ? nb_array_histogram(x, 4, NAN, NAN, &y, &z, &error)
                               : op == 4 ? nb_array_quantile(x, 0.5, &number, &error)
                               : op == 5 ? nb_array_pick(x, x, &y, &error)
                               : op == 6 ? nb_array_concat(&space, &x, 1, 0, &y, &error)
                                         : nb_array_unary(&space, NB_UNARY_ABS, x, &y, &error);
            nb_memory_fail_after(0);
            assert_true(status == NB_OK || (status == NB_ERR_MEMORY && !y && !z));
            nb_array_release(&y);
            nb_array_release(&z);
            assert_int_equal(space.used_bytes, held);
        }
    }
    nb_array_release(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_powers_and_remainders),
        cmocka_unit_test(test_nan_and_truth),
        cmocka_unit_test(test_numbers_are_f32),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_reductions_at_the_edge),
        cmocka_unit_test(test_reshape_and_transpose),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_pick_take_concat),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, open_space, close_space);
}
