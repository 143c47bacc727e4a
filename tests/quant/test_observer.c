/* Observers against numbers computed by hand, and by the definition. */
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
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
