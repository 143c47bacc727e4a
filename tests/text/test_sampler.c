/* The sampler: which tokens each option leaves, how often each of them comes, and the same bits from every
 * level. */
#include "text/sampler.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "math/math.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N 8

static nb_sampler *create(nb_sampler_options options, size_t n)
{
    nb_sampler *s = NULL;
    nb_error error = {""};
    if (nb_sampler_create(&options, n, &s, &error) != NB_OK) {
        fail_msg("%s", error.text);
    }
    return s;
}

static const nb_sampler_options plain = {.temperature = 1, .top_p = 1, .seed = 42};

/* Draws 40000 times and compares each share with the probability that is due to it, within
 * 5 standard errors. */
static void check_shares(nb_sampler_options options, const float *logits, size_t n, const double *want)
{
    enum { DRAWS = 40000 };
    nb_sampler *s = create(options, n);
    int counts[64] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int32_t token = nb_sampler_next(s, nb_kernels_at(0), logits);
        assert_true(token >= 0 && (size_t)token < n);
        counts[token]++;
    }
    for (size_t i = 0; i < n; i++) {
        double error = sqrt(want[i] * (1 - want[i]) / DRAWS);
        if (want[i] == 0) {
            assert_int_equal(counts[i], 0);
        } else if (fabs((double)counts[i] / DRAWS - want[i]) > 5 * error) {
            fail_msg("token %zu came %d times in %d, not %g of them", i, counts[i], (int)DRAWS, want[i]);
        }
    }
    nb_sampler_destroy(&s);
    assert_null(s);
}

/* Probabilities 8/15 4/15 2/15 1/15, in no order, and one that is impossible. */
static const float halves[5] = {-2.0794415f, -0.6931472f, -INFINITY, 0.0f, -1.3862944f};

static void test_distributions(void **state)
{
    (void)state;
    nb_sampler_options o = plain;
    check_shares(o, halves, 5, (double[]){1 / 15., 4 / 15., 0, 8 / 15., 2 / 15.});
    o.top_k = 2;
    check_shares(o, halves, 5, (double[]){0, 1 / 3., 0, 2 / 3., 0});
    o.top_k = 5;
    check_shares(o, halves, 5, (double[]){1 / 15., 4 / 15., 0, 8 / 15., 2 / 15.});
    o.top_k = 1000;
    check_shares(o, halves, 5, (double[]){1 / 15., 4 / 15., 0, 8 / 15., 2 / 15.});
    o = plain;
    o.top_p = 0.79f; /* 8/15 is 0.53, with 4/15 it is 0.8 */
    check_shares(o, halves, 5, (double[]){0, 1 / 3., 0, 2 / 3., 0});
    o.top_p = 0.81f;
    check_shares(o, halves, 5, (double[]){0, 4 / 14., 0, 8 / 14., 2 / 14.});
    o = plain;
    o.min_p = 0.2f; /* a quarter as likely as the likeliest is kept, an eighth is not */
    check_shares(o, halves, 5, (double[]){0, 4 / 14., 0, 8 / 14., 2 / 14.});
    o = plain;
    o.temperature = 0.5f; /* squares: 64 16 4 1 */
    check_shares(o, halves, 5, (double[]){1 / 85., 16 / 85., 0, 64 / 85., 4 / 85.});
    o.temperature = 2; /* roots */
    double sum = sqrt(8) + 2 + sqrt(2) + 1;
    check_shares(o, halves, 5, (double[]){1 / sum, 2 / sum, 0, sqrt(8) / sum, sqrt(2) / sum});
}

/* Top-p counts what top-k left, min-p comes after it, and the temperature last. */
static void test_order(void **state)
{
    (void)state;
    nb_sampler_options o = plain;
    o.top_k = 3; /* leaves 8 4 2 of 14: 8/14 is 0.57, with 4/14 it is 0.857 */
    o.top_p = 0.84f;
    check_shares(o, halves, 5, (double[]){0, 1 / 3., 0, 2 / 3., 0});
    o.temperature = 100; /* were it first, top-p would keep all three */
    double flat = pow(2, 0.01);
    check_shares(o, halves, 5, (double[]){0, 1 / (1 + flat), 0, flat / (1 + flat), 0});
    o.top_p = 1;
    o.min_p = 0.45f;
    check_shares(o, halves, 5, (double[]){0, 1 / (1 + flat), 0, flat / (1 + flat), 0});
}

static void test_one_is_left(void **state)
{
    (void)state;
    const double only[5] = {0, 0, 0, 1, 0};
    nb_sampler_options o = plain;
    o.top_k = 1;
    check_shares(o, halves, 5, only);
    o = plain;
    o.top_p = 0;
    check_shares(o, halves, 5, only);
    o = plain;
    o.min_p = 1;
    check_shares(o, halves, 5, only);
    o = plain;
    o.temperature = 1e-30f;
    check_shares(o, halves, 5, only);
    o.temperature = 0;
    check_shares(o, halves, 5, only);
    check_shares(plain, (float[]){3}, 1, (double[]){1});
}

/* Of equals, the lower ids are kept. */
static void test_ties(void **state)
{
    (void)state;
    const float equal[N] = {1, 2, 2, -3, 2, 2, 1, 2};
    nb_sampler_options o = plain;
    o.top_k = 3;
    check_shares(o, equal, N, (double[]){0, 1 / 3., 1 / 3., 0, 1 / 3., 0, 0, 0});
    o = plain;
    o.top_p = 0.3f; /* a five of them has nearly 0.2 */
    check_shares(o, equal, N, (double[]){0, 0.5, 0.5, 0, 0, 0, 0, 0});
    o = plain;
    o.min_p = 1;
    check_shares(o, equal, N, (double[]){0, 0.2, 0.2, 0, 0.2, 0.2, 0, 0.2});
    o.temperature = 0;
    check_shares(o, equal, N, (double[]){0, 1, 0, 0, 0, 0, 0, 0});
    const float zeros[4] = {-1, -0.0f, 0.0f, -0.0f}; /* -0 is 0 */
    check_shares(o, zeros, 4, (double[]){0, 1, 0, 0});
    o = plain;
    o.top_k = 2;
    check_shares(o, zeros, 4, (double[]){0, 0.5, 0.5, 0});
}

static void test_no_numbers(void **state)
{
    (void)state;
    const float some[5] = {NAN, 1, NAN, 1, -NAN};
    const float none[3] = {NAN, -NAN, NAN};
    const float infinite[4] = {0, INFINITY, 3, INFINITY};
    const float impossible[3] = {-INFINITY, -INFINITY, NAN};
    nb_sampler_options o = plain;
    check_shares(o, some, 5, (double[]){0, 0.5, 0, 0.5, 0});
    check_shares(o, none, 3, (double[]){1, 0, 0});
    check_shares(o, infinite, 4, (double[]){0, 0.5, 0, 0.5});
    check_shares(o, impossible, 3, (double[]){0.5, 0.5, 0});
    o.top_k = 2;
    o.top_p = 0.9f;
    o.min_p = 0.1f;
    o.temperature = 0.7f;
    check_shares(o, some, 5, (double[]){0, 0.5, 0, 0.5, 0});
    check_shares(o, none, 3, (double[]){1, 0, 0});
    check_shares(o, infinite, 4, (double[]){0, 0.5, 0, 0.5});
    o.temperature = 0;
    check_shares(o, some, 5, (double[]){0, 1, 0, 0, 0});
    check_shares(o, none, 3, (double[]){1, 0, 0});
    check_shares(o, infinite, 4, (double[]){0, 1, 0, 0});
    check_shares(o, impossible, 3, (double[]){1, 0, 0});
}

static void random_logits(float *logits, size_t n, uint64_t seed)
{
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++) {
        logits[i] = (float)(nb_random_normal(&random) * 3);
        logits[i] = nb_random_below(&random, 5) == 0 ? rintf(logits[i]) : logits[i]; /* ties */
    }
}

static const float *sorted_logits;
static int by_rank(const void *a, const void *b)
{
    const int32_t i = *(const int32_t *)a, k = *(const int32_t *)b;
    return sorted_logits[i] != sorted_logits[k] ? (sorted_logits[i] > sorted_logits[k] ? -1 : 1)
                                                : (i > k) - (i < k);
}

/* Beside the definition on whole vocabularies: sort all, keep the beginning, walk the kept by id. */
static void test_beside_sorting(void **state)
{
    (void)state;
    enum { V = 3000 };
    static float logits[V], weights[V];
    static int32_t order[V];
    for (uint64_t round = 0; round < 60; round++) {
        random_logits(logits, V, round);
        nb_sampler_options o = plain;
        o.seed = round;
        o.top_k = round % 3 == 0 ? 0 : (uint32_t)(1 + round * 40);
        o.top_p = round % 4 == 0 ? 1.0f : 0.02f * (float)(round % 50);
        for (int32_t i = 0; i < V; i++) {
            order[i] = i;
        }
        sorted_logits = logits;
        qsort(order, V, sizeof *order, by_rank);
        size_t kept = o.top_k && o.top_k < V ? o.top_k : V;
        double total = 0, sum = 0;
        memset(weights, 0, sizeof weights);
        for (size_t i = 0; i < kept; i++) {
            weights[order[i]] = nb_expf(logits[order[i]] - logits[order[0]]);
        }
        for (size_t i = 0; i < V; i++) {
            total += weights[i];
        }
        for (size_t i = 0; i < kept; i++) {
            if (i > 0 && o.top_p < 1 && sum >= (double)o.top_p * total) {
                weights[order[i]] = 0;
            }
            sum += weights[order[i]];
        }
        nb_sampler *s = create(o, V);
        nb_random random;
        nb_random_seed(&random, o.seed);
        for (int draw = 0; draw < 20; draw++) {
            double all = 0, at = 0;
            for (size_t i = 0; i < V; i++) {
                all += weights[i];
            }
            double target = nb_random_f64(&random) * all;
            int32_t want = 0;
            while ((at += weights[want]) <= target) {
                want++;
            }
            assert_int_equal(nb_sampler_next(s, nb_kernels_at(0), logits), want);
        }
        nb_sampler_destroy(&s);
    }
}

/* The maximum anywhere, in any length. */
static void test_greedy_positions(void **state)
{
    (void)state;
    float logits[200];
    nb_sampler_options o = plain;
    o.temperature = 0;
    for (size_t n = 1; n <= 200; n += n < 140 ? 1 : 17) {
        nb_sampler *s = create(o, n);
        for (size_t at = 0; at < n; at++) {
            for (size_t i = 0; i < n; i++) {
                logits[i] = i == at || (i > at && i % 7 == 0) ? 5.0f : -(float)i;
            }
            assert_int_equal(nb_sampler_next(s, nb_kernels_at(0), logits), at);
        }
        nb_sampler_destroy(&s);
    }
}

static void test_same_on_every_level(void **state)
{
    (void)state;
    enum { V = 1000 };
    static float logits[V];
    nb_sampler_options o = {.temperature = 0.8f, .top_k = 400, .top_p = 0.95f, .min_p = 0.01f, .seed = 7};
    for (size_t level = 0; level < nb_kernels_count(); level++) {
        const nb_kernels *kernels = nb_kernels_at(level);
        if ((kernels->needs & ~nb_cpu_features()) != 0) {
            continue;
        }
        nb_sampler *a = create(o, V), *b = create(o, V);
        for (uint64_t i = 0; i < 300; i++) {
            random_logits(logits, V, i);
            assert_int_equal(nb_sampler_next(a, nb_kernels_at(0), logits),
                             nb_sampler_next(b, kernels, logits));
        }
        nb_sampler_destroy(&a);
        nb_sampler_destroy(&b);
    }
}

static void refuse(nb_sampler_options options, size_t n, const char *word)
{
    nb_sampler *s = NULL;
    nb_error error = {""};
    assert_int_equal(nb_sampler_create(&options, n, &s, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, word));
    assert_null(s);
}

static void test_refusals(void **state)
{
    (void)state;
    const float bad[] = {-1, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        nb_sampler_options o = plain;
        o.temperature = bad[i];
        refuse(o, N, "temperature");
        o = plain;
        o.top_p = bad[i];
        refuse(o, N, "top-p");
        o = plain;
        o.min_p = bad[i];
        refuse(o, N, "min-p");
    }
    nb_sampler_options o = plain;
    o.top_p = 1.01f;
    refuse(o, N, "top-p");
    refuse(plain, 0, "0 tokens");
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status == NB_ERR_MEMORY; n++) {
        nb_sampler *s = NULL;
        nb_memory_fail_after(n);
        status = nb_sampler_create(&plain, N, &s, NULL);
        nb_memory_fail_after(0);
        assert_true((status == NB_OK) == (s != NULL));
        nb_sampler_destroy(&s);
    }
    assert_int_equal(status, NB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),    cmocka_unit_test(test_order),
        cmocka_unit_test(test_one_is_left),      cmocka_unit_test(test_ties),
        cmocka_unit_test(test_no_numbers),       cmocka_unit_test(test_beside_sorting),
        cmocka_unit_test(test_greedy_positions), cmocka_unit_test(test_same_on_every_level),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
