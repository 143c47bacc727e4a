/* Histograms of channels against the numbers that went into them. */
#include "quant/channel_histogram.h"

#include "base/memory.h"
#include "base/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N = 4096, COLUMNS = 7, BINS = NB_OBSERVER_CHANNEL_BINS, LEVELS = 127 };

/* Channels: a bell; the same, large; a flat one; one with long tails; one of zeros; one that wakes up late;
 * and one of numbers so small that products of them vanish. */
static float *make_rows(void)
{
    nb_random random;
    float *x = calloc(N * COLUMNS, sizeof *x);
    assert_non_null(x);
    nb_random_seed(&random, 3);
    for (size_t t = 0; t < N; t++) {
        float *row = x + t * COLUMNS;
        row[0] = (float)nb_random_normal(&random);
        row[1] = 1000.0f * (float)nb_random_normal(&random);
        row[2] = (float)nb_random_f64(&random) - 0.5f;
        row[3] = (float)pow(nb_random_normal(&random), 5.0);
        row[5] = t > N / 2 ? (float)nb_random_normal(&random) : 0.0f;
        row[6] = 1e-38f * (float)nb_random_normal(&random);
    }
    return x;
}

static nb_channel_histograms *count_all(const float *x)
{
    nb_channel_histograms *h = nb_channel_histograms_create(COLUMNS);
    assert_non_null(h);
    nb_channel_histograms_count(h, 0, COLUMNS, x, N, COLUMNS);
    return h;
}

static float largest_of(const float *x, size_t channel)
{
    float largest = 0.0f;
    for (size_t t = 0; t < N; t++)
        largest = fmaxf(largest, fabsf(x[t * COLUMNS + channel]));
    return largest;
}

static void test_each_number_is_in_its_bin(void **state)
{
    (void)state;
    float *x = make_rows();
    nb_channel_histograms *h = count_all(x);
    for (size_t j = 0; j < COLUMNS; j++) {
        const float largest = largest_of(x, j);
        const double reach = BINS / (double)h->bins_per_unit[j];
        uint32_t bins[BINS] = {0};
        if (largest >= 0x1p-100f)
            assert_true((double)largest < reach && (double)largest >= reach / 2);
        for (size_t t = 0; t < N; t++)
            bins[(size_t)((double)fabsf(x[t * COLUMNS + j]) / reach * BINS)]++;
        assert_memory_equal(bins, h->bins + j * BINS, sizeof bins);
        assert_true(nb_channel_histogram_check(h, j, N, largest));
    }
    nb_channel_histograms_destroy(&h);
    assert_null(h);
    free(x);
}

static void assert_same(const nb_channel_histograms *a, const nb_channel_histograms *b)
{
    assert_memory_equal(a->bins, b->bins, COLUMNS * BINS * sizeof *a->bins);
    assert_memory_equal(a->bins_per_unit, b->bins_per_unit, COLUMNS * sizeof *a->bins_per_unit);
}

/* One row at a time, last rows first, columns apart: the same. */
static void test_order_and_batches_do_not_matter(void **state)
{
    (void)state;
    float *x = make_rows();
    nb_channel_histograms *all = count_all(x), *single = nb_channel_histograms_create(COLUMNS),
                          *backwards = nb_channel_histograms_create(COLUMNS);
    for (size_t t = 0; t < N; t++) {
        nb_channel_histograms_count(single, 0, COLUMNS, x + t * COLUMNS, 1, COLUMNS);
        nb_channel_histograms_count(backwards, 3, COLUMNS, x + (N - 1 - t) * COLUMNS, 1, COLUMNS);
    }
    nb_channel_histograms_count(backwards, 0, 2, x, N, COLUMNS);
    nb_channel_histograms_count(backwards, 2, 3, x, N, COLUMNS);
    assert_same(all, single);
    assert_same(all, backwards);
    nb_channel_histograms_destroy(&all);
    nb_channel_histograms_destroy(&single);
    nb_channel_histograms_destroy(&backwards);
    free(x);
}

/* The ends of what an f32 can be. */
static void test_extremes(void **state)
{
    (void)state;
    static const float x[] = {FLT_MAX, 0.0f, FLT_TRUE_MIN, -FLT_MAX, INFINITY, NAN};
    nb_channel_histograms *h = nb_channel_histograms_create(1);
    nb_channel_histograms_count(h, 0, 1, x, 6, 1);
    assert_int_equal(h->bins[0], 2);
    assert_int_equal(h->bins[BINS - 1], 4);
    assert_true(BINS / (double)h->bins_per_unit[0] == 0x1p128);
    assert_true(nb_channel_histogram_check(h, 0, 6, FLT_MAX));
    nb_channel_histograms_destroy(&h);
}

static double error_of(const float *x, size_t channel, double reach)
{
    const double scale = reach / LEVELS;
    double error = 0.0;
    for (size_t t = 0; t < N; t++) {
        const double a = fabs((double)x[t * COLUMNS + channel]),
                     off = a - scale * fmin(rint(a / scale), LEVELS);
        error += off * off;
    }
    return error;
}

/* The numbers themselves, tried at a thousand reaches, have no place that is much better; the far end is
 * worse. */
static void test_mse_is_near_the_best_of_all(void **state)
{
    (void)state;
    float *x = make_rows();
    nb_channel_histograms *h = count_all(x);
    for (size_t j = 0; j < 4; j++) {
        const double largest = (double)largest_of(x, j),
                     reach = fmin(nb_channel_histogram_reach(h, j, NB_OBSERVER_MSE, LEVELS), largest);
        double lowest = INFINITY;
        for (size_t i = 20; i <= 1000; i++)
            lowest = fmin(lowest, error_of(x, j, largest * (double)i / 1000));
        assert_true(error_of(x, j, reach) <= 1.012 * lowest);
        assert_true(error_of(x, j, reach) < error_of(x, j, largest));
    }
    nb_channel_histograms_destroy(&h);
    free(x);
}

/* So many lie within, and one bin less would be too few. */
static void test_percentile_counts(void **state)
{
    (void)state;
    enum { SOME = 30000 };
    nb_random random;
    float *x = calloc(SOME, sizeof *x);
    nb_channel_histograms *h = nb_channel_histograms_create(1);
    nb_random_seed(&random, 8);
    for (size_t t = 0; t < SOME; t++)
        x[t] = (float)nb_random_normal(&random);
    x[77] = 20.0f;
    nb_channel_histograms_count(h, 0, 1, x, SOME, 1);
    const double reach = nb_channel_histogram_reach(h, 0, NB_OBSERVER_PERCENTILE, LEVELS),
                 width = 32.0 / BINS;
    size_t n_within = 0, n_one_less = 0;
    for (size_t t = 0; t < SOME; t++) {
        n_within += (double)fabsf(x[t]) < reach;
        n_one_less += (double)fabsf(x[t]) < reach - width;
    }
    assert_true(n_within >= 0.9999 * SOME && n_one_less < 0.9999 * SOME && reach < 6.0);
    nb_channel_histograms_destroy(&h);
    free(x);
}

static void test_entropy_reads_the_bins(void **state)
{
    (void)state;
    float *x = make_rows();
    nb_channel_histograms *h = count_all(x);
    for (size_t j = 0; j < 4; j++) {
        uint64_t bins[BINS];
        double lowest = INFINITY;
        for (size_t i = 0; i < BINS; i++)
            bins[i] = h->bins[j * BINS + i];
        bins[0] = bins[1];
        for (size_t i = 128; i <= BINS; i++)
            lowest = fmin(lowest, nb_histogram_divergence(bins, BINS, i, 128));
        const double kept =
            nb_channel_histogram_reach(h, j, NB_OBSERVER_ENTROPY, LEVELS) * (double)h->bins_per_unit[j];
        assert_true(kept == rint(kept) && kept >= 128 && kept <= BINS);
        assert_true(nb_histogram_divergence(bins, BINS, (size_t)kept, 128) <= lowest + 1e-11);
    }
    nb_channel_histograms_destroy(&h);
    free(x);
}

static void test_what_cannot_be_is_seen(void **state)
{
    (void)state;
    float *x = make_rows();
    nb_channel_histograms *h = count_all(x);
    const float largest = largest_of(x, 0), scale = h->bins_per_unit[0];
    static const float wrong[] = {0.0f, -1.0f, INFINITY, NAN, 96.0f, 0x1p-125f, 0x1p110f};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        h->bins_per_unit[0] = wrong[i];
        assert_false(nb_channel_histogram_check(h, 0, N, 0.0f));
    }
    h->bins_per_unit[0] = scale;
    assert_true(nb_channel_histogram_check(h, 0, N, largest));
    assert_false(nb_channel_histogram_check(h, 0, N, 2.0f * BINS / scale));
    assert_false(nb_channel_histogram_check(h, 0, N - 1, largest));
    h->bins[5] += UINT32_MAX;
    assert_false(nb_channel_histogram_check(h, 0, N, largest));
    nb_channel_histograms_destroy(&h);
    free(x);
}

static void test_memory(void **state)
{
    (void)state;
    nb_channel_histograms *h = NULL;
    for (long n = 1; !h; n++) {
        nb_memory_fail_after(n);
        h = nb_channel_histograms_create(COLUMNS);
        nb_memory_fail_after(0);
        assert_true(h || n < 4);
    }
    nb_channel_histograms_destroy(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_number_is_in_its_bin),
        cmocka_unit_test(test_order_and_batches_do_not_matter),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_mse_is_near_the_best_of_all),
        cmocka_unit_test(test_percentile_counts),
        cmocka_unit_test(test_entropy_reads_the_bins),
        cmocka_unit_test(test_what_cannot_be_is_seen),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
