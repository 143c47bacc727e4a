/* Error measures, the paired difference, and histograms of tensors. */
#include "base/memory.h"
#include "base/random.h"
#include "eval/evaluate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_close(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("%.12g, not %.12g", got, wanted);
}

static void published(void **state)
{
    (void)state;
    const float x[4] = {1, 2, -3, 4}, y[4] = {1.1f, 1.9f, -3.2f, 4};
    nb_error_sums sums = {0};
    nb_error_sums_add(&sums, x, y, 4);
    assert_close(nb_error_sqnr(&sums), 26.9897, 5e-5);
    assert_close(nb_error_cosine(&sums), .999167930, 5e-9);
    assert_close(nb_error_mse(&sums), 0.06 / 4, 1e-7);
    assert_close(sums.max_error, 0.2, 1e-7);
    assert_int_equal(sums.n, 4);
}

/* 16 lanes, element i to lane i mod 16, folded in halves: to the bit. */
static void sums_in_lanes(void **state)
{
    (void)state;
    enum { N = 1000 };
    static float x[N], y[N];
    nb_random random;
    nb_random_seed(&random, 1);
    for (int i = 0; i < N; i++) {
        x[i] = (float)nb_random_normal(&random) * (i % 7 ? 1 : 1000);
        y[i] = (float)nb_random_normal(&random);
    }
    for (size_t n = 0; n <= N; n += n < 40 ? 1 : 97) {
        double lanes[4][16] = {{0}}, largest = 0;
        for (size_t i = 0; i < n; i++) {
            double a = (double)x[i], b = (double)y[i];
            lanes[0][i % 16] += a * a;
            lanes[1][i % 16] += (a - b) * (a - b);
            lanes[2][i % 16] += a * b;
            lanes[3][i % 16] += b * b;
            largest = fmax(largest, fabs(a - b));
        }
        double folded[4];
        for (int k = 0; k < 4; k++) {
            double *l = lanes[k];
            for (int i = 0; i < 8; i++)
                l[i] += l[i + 8];
            folded[k] = ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
        }
        nb_error_sums sums = {0};
        nb_error_sums_add(&sums, x, y, n);
        assert_true(sums.signal == folded[0] && sums.noise == folded[1]);
        assert_true(sums.dot == folded[2] && sums.other == folded[3]);
        assert_true(sums.max_error == largest);
    }
}

static void rows_add_up(void **state)
{
    (void)state;
    const float x[5] = {1, 2, 3, 4, 5}, y[5] = {1, 2, 3, 4, 7};
    nb_error_sums sums = {0};
    nb_error_sums_add(&sums, x, y, 5);
    nb_error_sums_add(&sums, x, x, 5);
    assert_true(sums.signal == 110 && sums.noise == 4 && sums.dot == 65 + 55 && sums.other == 79 + 55);
    assert_true(sums.max_error == 2 && sums.n == 10);
}

static void zeros_have_no_ratio(void **state)
{
    (void)state;
    const float zeros[3] = {0, 0, 0}, x[3] = {1, 0, 2};
    nb_error_sums sums = {0};
    assert_true(isnan(nb_error_sqnr(&sums)) && isnan(nb_error_mse(&sums)) && isnan(nb_error_cosine(&sums)));
    nb_error_sums_add(&sums, zeros, zeros, 3);
    assert_true(isnan(nb_error_sqnr(&sums)) && nb_error_mse(&sums) == 0 && isnan(nb_error_cosine(&sums)));
    sums = (nb_error_sums){0};
    nb_error_sums_add(&sums, x, x, 3);
    assert_true(nb_error_sqnr(&sums) == INFINITY);
    assert_close(nb_error_cosine(&sums), 1, 1e-15);
    sums = (nb_error_sums){0};
    nb_error_sums_add(&sums, x, zeros, 3);
    assert_true(nb_error_sqnr(&sums) == 0 && isnan(nb_error_cosine(&sums)));
    sums = (nb_error_sums){0};
    nb_error_sums_add(&sums, zeros, x, 3);
    assert_true(isnan(nb_error_sqnr(&sums)) && isnan(nb_error_cosine(&sums)));
    /* Squares of the largest f32 do not overflow. */
    const float huge[2] = {3e38f, -3e38f}, near[2] = {2.9e38f, -2.9e38f};
    sums = (nb_error_sums){0};
    nb_error_sums_add(&sums, huge, near, 2);
    assert_close(nb_error_sqnr(&sums), 20 * log10(30), 1e-4);
}

static void paired_difference(void **state)
{
    (void)state;
    const float a[4] = {1, 2, 3, 4}, b[4] = {1.5f, 2.25f, 3, 5.25f}; /* differences .5 .25 0 1.25 */
    double mean, error;
    nb_paired_difference(a, b, 4, &mean, &error);
    assert_true(mean == 0.5);
    assert_close(error, sqrt((0 + .0625 + .25 + .5625) / 3 / 4), 1e-15);
    nb_paired_difference(b, a, 4, &mean, &error);
    assert_true(mean == -0.5);
    nb_paired_difference(a, a, 4, &mean, &error);
    assert_true(mean == 0 && error == 0);
    nb_paired_difference(a, b, 1, &mean, &error);
    assert_true(mean == 0.5 && isnan(error));
    nb_paired_difference(a, b, 0, &mean, &error);
    assert_true(isnan(mean) && isnan(error));

    /* Why it is paired: a shared spread of 1000 leaves the error of the difference as it is. */
    enum { N = 2000 };
    static float c[N], d[N];
    nb_random random;
    nb_random_seed(&random, 2);
    for (int i = 0; i < N; i++) {
        float shared = (float)(nb_random_below(&random, 2000)), small = (float)nb_random_below(&random, 3);
        c[i] = shared;
        d[i] = shared + small;
    }
    nb_paired_difference(c, d, N, &mean, &error);
    assert_close(mean, 1, 0.06);
    assert_close(error, sqrt(2.0 / 3 / N), 0.001);
}

/* ---- histograms ---- */

static nb_tensor vector_of(float *x, size_t n)
{
    return (nb_tensor){.name = "blk.0.attn_norm",
                       .n_rows = 1,
                       .n_cols = n,
                       .is_vector = true,
                       .source_format = &nb_format_f32,
                       .source = x,
                       .quantizer = {.format = &nb_format_f32},
                       .vector = x};
}

static void histogram_counts(void **state)
{
    (void)state;
    float x[12] = {-1, -.75f, -.5f, -.01f, 0, 0, .25f, .5f, .999f, 1, 1.5f, -3};
    nb_tensor tensor = vector_of(x, 12);
    nb_histogram h;
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, -1, 1, 4, &h, NULL), NB_OK);
    static const uint64_t counts[4] = {2, 2, 3,
                                       3}; /* an inner edge belongs to the bin above, `high` to the last */
    assert_memory_equal(h.counts, counts, sizeof counts);
    assert_int_equal(h.n, 12);
    assert_int_equal(h.n_below, 1);
    assert_int_equal(h.n_above, 1);
    assert_int_equal(h.n_zero, 2);
    assert_true(h.low == -1 && h.high == 1 && h.n_bins == 4 && h.min == -3 && h.max == 1.5);
    double mean = 0, square = 0;
    for (int i = 0; i < 12; i++)
        mean += (double)x[i] / 12;
    for (int i = 0; i < 12; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean) / 12;
    assert_close(h.mean, mean, 1e-15);
    assert_close(h.std, sqrt(square), 1e-15);
    nb_histogram_free(&h);
    assert_null(h.counts);

    /* Edges from the data: symmetric around 0, everything inside. */
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_ORIGINAL, 0, 0, 6, &h, NULL), NB_OK);
    static const uint64_t six[6] = {1, 0, 4, 5, 2, 0};
    assert_true(h.low == -3 && h.high == 3);
    assert_memory_equal(h.counts, six, sizeof six);
    assert_int_equal(h.n_below + h.n_above, 0);
    nb_histogram_free(&h);
}

/* Every k-th row, so that no more numbers than wanted are read. */
static void histogram_of_a_sample(void **state)
{
    (void)state;
    enum { ROWS = 100, COLS = 10 };
    static float x[ROWS * COLS];
    for (int i = 0; i < ROWS * COLS; i++)
        x[i] = (float)(i / COLS);
    nb_tensor tensor = {.name = "w",
                        .n_rows = ROWS,
                        .n_cols = COLS,
                        .source_format = &nb_format_f32,
                        .source = x,
                        .quantizer = {.format = &nb_format_f32}};
    static const struct {
        uint64_t max_numbers, n;
        double max;
    } cases[] = {{UINT64_MAX, 1000, 99}, {1000, 1000, 99}, {999, 500, 98}, {340, 340, 99},
                 {20, 20, 50},           {19, 10, 0},      {0, 10, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nb_histogram h;
        assert_int_equal(nb_tensor_histogram_sampled(&tensor, NB_WEIGHTS_ORIGINAL, 0, 100, 100,
                                                     cases[i].max_numbers, &h, NULL),
                         NB_OK);
        assert_int_equal(h.n, cases[i].n);
        assert_true(h.min == 0 && h.max == cases[i].max);
        assert_int_equal(h.counts[0], COLS);
        nb_histogram_free(&h);
    }
}

/* A large mean and a small spread, which sums of plain squares would lose. */
static void histogram_spread_beside_a_large_mean(void **state)
{
    (void)state;
    float x[4] = {16777214, 16777215, 16777216, 16777215}, constant[3] = {0.1f, 0.1f, 0.1f};
    nb_tensor tensor = vector_of(x, 4);
    nb_histogram h;
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, 0, 0, 4, &h, NULL), NB_OK);
    assert_true(h.mean == 16777215 && h.std == sqrt(0.5));
    nb_histogram_free(&h);
    tensor = vector_of(constant, 3);
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, 0, 0, 4, &h, NULL), NB_OK);
    assert_true(h.mean == (double)0.1f && h.std == 0);
    nb_histogram_free(&h);
}

static void histogram_of_odd_data(void **state)
{
    (void)state;
    float zeros[3] = {0, -0.0f, 0}, mixed[5] = {NAN, INFINITY, -INFINITY, 1, -2}, nans[2] = {NAN, NAN};
    nb_histogram h;
    nb_tensor tensor = vector_of(zeros, 3);
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, 0, 0, 3, &h, NULL), NB_OK);
    assert_true(h.low == -1 && h.high == 1 && h.counts[1] == 3 && h.n_zero == 3 && h.std == 0);
    nb_histogram_free(&h);
    tensor = vector_of(mixed, 5);
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, 0, 0, 2, &h, NULL), NB_OK);
    assert_true(h.n == 4 && h.low == -2 && h.high == 2 && h.n_below == 1 && h.n_above == 1);
    assert_true(h.counts[0] == 1 && h.counts[1] == 1);
    nb_histogram_free(&h);
    tensor = vector_of(nans, 2);
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, 0, 0, 2, &h, NULL), NB_OK);
    assert_true(h.n == 0 && isnan(h.mean) && isnan(h.min) && isnan(h.max) && isnan(h.std));
    nb_histogram_free(&h);
}

static void histogram_refusals(void **state)
{
    (void)state;
    float x[2] = {1, 2};
    nb_tensor tensor = vector_of(x, 2);
    nb_histogram h;
    nb_error error;
    static const struct {
        double low, high;
        size_t n_bins;
    } wrong[] = {{0, 1, 0}, {0, 1, SIZE_MAX}, {1, 0, 4}, {NAN, NAN, 4}, {-INFINITY, 1, 4}, {0, NAN, 4}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, wrong[i].low, wrong[i].high,
                                             wrong[i].n_bins, &h, &error),
                         NB_ERR_ARGUMENT);
        assert_null(h.counts);
    }
    tensor.source_format = NULL;
    tensor.quantizer.format = nb_format_int(4);
    assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_ORIGINAL, 0, 0, 4, &h, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "int4"));
    for (long n = 1; n <= 2; n++) {
        nb_memory_fail_after(n);
        assert_int_equal(nb_tensor_histogram(&tensor, NB_WEIGHTS_CURRENT, 0, 0, 4, &h, &error),
                         NB_ERR_MEMORY);
        nb_memory_fail_after(0);
        assert_null(h.counts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),
        cmocka_unit_test(sums_in_lanes),
        cmocka_unit_test(rows_add_up),
        cmocka_unit_test(zeros_have_no_ratio),
        cmocka_unit_test(paired_difference),
        cmocka_unit_test(histogram_counts),
        cmocka_unit_test(histogram_of_odd_data),
        cmocka_unit_test(histogram_refusals),
        cmocka_unit_test(histogram_of_a_sample),
        cmocka_unit_test(histogram_spread_beside_a_large_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
