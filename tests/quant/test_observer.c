/* Observers against numbers computed by hand, and by the definition. */
#include "base/random.h"
#include "quant/calibration.h"
#include "quant/observer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const uint64_t hist[] = {40, 30, 20, 10, 6, 4, 2, 1, 0, 0, 1, 1};
enum { N = sizeof hist / sizeof hist[0], LEVELS = 4 };

static void test_divergence_of_a_small_histogram(void **state)
{
    (void)state;
    static const double want[] = {.059432, .052797, .017294, .026789, .028298, INFINITY, INFINITY, .046339, .043018};
    for (size_t i = LEVELS; i <= N; i++) {
        const double got = nb_histogram_divergence(hist, N, i, LEVELS);
        if (isinf(want[i - LEVELS]))
            assert_true(isinf(got));
        else
            assert_true(fabs(got - want[i - LEVELS]) < 5e-7);
    }
}

static void test_percentile_of_a_small_histogram(void **state)
{
    (void)state;
    assert_int_equal(nb_histogram_percentile(hist, N, 99), 10);
    assert_int_equal(nb_histogram_percentile(hist, N, 100), 11);
    assert_int_equal(nb_histogram_percentile(hist, N, 30), 0);
}

/* The first bin is taken like the second, and of equals the last one wins. */
static void test_entropy_chooses_the_least_divergence(void **state)
{
    (void)state;
    uint64_t levelled[N];
    memcpy(levelled, hist, sizeof hist);
    levelled[0] = levelled[1];
    size_t best = LEVELS;
    for (size_t i = LEVELS; i <= N; i++)
        if (nb_histogram_divergence(levelled, N, i, LEVELS) <= nb_histogram_divergence(levelled, N, best, LEVELS))
            best = i;
    assert_int_equal(nb_histogram_entropy(hist, N, LEVELS, LEVELS), best);
    const uint64_t flat[] = {5, 5, 5, 5, 5, 5, 5, 5};
    assert_int_equal(nb_histogram_entropy(flat, 8, 4, 4), 8); /* all that divide evenly lose nothing */
}

/* A bell with one number far out: clipping that one costs more than it wins while steps are fine, and less when they
 * are coarse. */
static void test_mse_weighs_clipping_against_rounding(void **state)
{
    (void)state;
    uint64_t bins[512] = {0};
    for (size_t i = 0; i < 200; i++)
        bins[i] = (uint64_t)(1e6 * exp(-(double)(i * i) / 5000.0));
    bins[511] = 1;
    const size_t fine = nb_histogram_mse(bins, 512, 16, 127), coarse = nb_histogram_mse(bins, 512, 16, 7);
    assert_true(coarse < fine);
    double lowest = INFINITY;
    size_t best = 0;
    for (size_t i = 16; i < 512; i++) {
        double error = 0.0;
        for (size_t b = 0; b < 512; b++) {
            const double x = (double)b + 0.5, s = ((double)i + 0.5) / 7.0;
            error += (double)bins[b] * pow(x - s * fmin(7.0, rint(x / s)), 2.0);
        }
        if (error < lowest * (1.0 - 1e-12)) {
            lowest = error;
            best = i;
        }
    }
    assert_int_equal(coarse, best);
}

enum { MANY = 512, TENSOR_LEVELS = 128 };

/* Some shape of |x|: a bell, a peak with a long tail, or few numbers far apart. */
static void fill(uint64_t bins[MANY], size_t shape, nb_random *random)
{
    memset(bins, 0, MANY * sizeof *bins);
    for (size_t i = 0; i < (shape == 2 ? 300u : 5000u); i++) {
        const double normal = fabs(nb_random_normal(random)),
                     x = shape == 1 ? normal * normal * normal * 8 : normal * 90;
        bins[x < MANY ? (size_t)x : MANY - 1]++;
    }
}

/* The fast sum finds what the definition does. */
static void test_entropy_is_the_least_by_definition(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 5);
    for (size_t shape = 0; shape < 3; shape++) {
        uint64_t bins[MANY];
        fill(bins, shape, &random);
        const size_t got = nb_histogram_entropy(bins, MANY, TENSOR_LEVELS, TENSOR_LEVELS);
        bins[0] = bins[1];
        double lowest = INFINITY;
        for (size_t i = TENSOR_LEVELS; i <= MANY; i++)
            lowest = fmin(lowest, nb_histogram_divergence(bins, MANY, i, TENSOR_LEVELS));
        assert_true(nb_histogram_divergence(bins, MANY, got, TENSOR_LEVELS) <= lowest + 1e-11);
        for (size_t i = got + 1; i <= MANY; i++)
            assert_true(nb_histogram_divergence(bins, MANY, i, TENSOR_LEVELS) > lowest + 1e-13);
    }
}

/* The error of bins whose numbers lie evenly in them, as many points of each. */
static double sampled_error(const uint64_t *bins, size_t kept, size_t levels)
{
    enum { POINTS = 400 };
    const double scale = (double)kept / (double)levels;
    double error = 0.0;
    for (size_t b = 0; b < MANY; b++)
        for (size_t k = 0; bins[b] && k < POINTS; k++) {
            const double x = (double)b + ((double)k + 0.5) / POINTS;
            const double off = x - scale * fmin(rint(x / scale), (double)levels);
            error += (double)bins[b] * off * off / POINTS;
        }
    return error;
}

static void test_mse_of_even_bins(void **state)
{
    (void)state;
    static const size_t levels[] = {127, 7};
    nb_random random;
    nb_random_seed(&random, 6);
    for (size_t shape = 0; shape < 3; shape++)
        for (size_t l = 0; l < 2; l++) {
            uint64_t bins[MANY];
            fill(bins, shape, &random);
            const size_t got = nb_histogram_mse_even(bins, MANY, 16, levels[l]);
            double lowest = INFINITY;
            size_t n = MANY;
            while (bins[n - 1] == 0)
                n--;
            for (size_t i = 16; i <= n; i++)
                lowest = fmin(lowest, sampled_error(bins, i, levels[l]));
            assert_true(sampled_error(bins, got, levels[l]) <= lowest * 1.0001);
        }
    const uint64_t one[MANY] = {[3] = 9};
    assert_int_equal(nb_histogram_mse_even(one, MANY, 16, 127), 16);
}

/* How far a tensor's scale reaches, by each observer. */
static void test_reaches_of_a_tensor(void **state)
{
    (void)state;
    uint64_t bins[NB_OBSERVER_BINS] = {[10] = 99990, [300] = 7, [700] = 3};
    nb_calibration_entry e = {
        .low = -175.1f, .high = 90.0f, .ema_low = -20.0, .ema_high = 33.5, .width = 0.25, .bins = bins};
    assert_true(nb_calibration_reach(&e, NB_OBSERVER_MINMAX) == 175.1f);
    assert_true(nb_calibration_reach(&e, NB_OBSERVER_EMA) == 33.5f);
    e.ema_low = -40.0;
    assert_true(nb_calibration_reach(&e, NB_OBSERVER_EMA) == 40.0f);
    assert_true(nb_calibration_reach(&e, NB_OBSERVER_PERCENTILE) == 0.25f * 11);
    for (size_t i = 0; i < 701; i++)
        bins[i] = 1 + (uint64_t)(5e4 * exp(-(double)i / 30.0));
    const size_t mse = nb_histogram_mse(bins, NB_OBSERVER_BINS, 128, 127),
                 entropy = nb_histogram_entropy(bins, NB_OBSERVER_BINS, 128, 128);
    assert_true(mse > 128 && mse < 690 && entropy > 128 && entropy < 690);
    assert_true(nb_calibration_reach(&e, NB_OBSERVER_MSE) == 0.25f * ((float)mse + 0.5f));
    assert_true(nb_calibration_reach(&e, NB_OBSERVER_ENTROPY) == 0.25f * (float)entropy);
    e.low = -2.6f;
    e.high = 2.6f;
    for (int o = 0; o < NB_OBSERVERS; o++)
        assert_true(nb_calibration_reach(&e, (nb_observer)o) == 2.6f);
}

static void test_names(void **state)
{
    (void)state;
    nb_observer found;
    for (int i = 0; i < NB_OBSERVERS; i++) {
        assert_true(nb_observer_find(nb_observer_name((nb_observer)i), &found));
        assert_int_equal(found, i);
    }
    assert_false(nb_observer_find("kl", &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_divergence_of_a_small_histogram),
        cmocka_unit_test(test_percentile_of_a_small_histogram),
        cmocka_unit_test(test_entropy_chooses_the_least_divergence),
        cmocka_unit_test(test_mse_weighs_clipping_against_rounding),
        cmocka_unit_test(test_entropy_is_the_least_by_definition),
        cmocka_unit_test(test_mse_of_even_bins),
        cmocka_unit_test(test_reaches_of_a_tensor),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
