/* The heap against sorting. */
#include "base/heap.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

enum { MOST = 40 };

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Few different keys, so that equal ones meet; some of them need all 64 bits. */
static uint64_t draw(nb_random *random)
{
    return nb_random_u64(random) % 12 * 0x1555555555555555u;
}

static void comes_out_sorted(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 1);
    for (size_t n = 0; n <= MOST; n++) {
        for (size_t made = 0; made <= n; made++) { /* so many at once, the others one by one */
            uint64_t heap[MOST], sorted[MOST];
            for (size_t i = 0; i < n; i++)
                heap[i] = sorted[i] = draw(&random);
            size_t count = made;
            nb_heap_make(heap, made);
            for (size_t i = made; i < n; i++)
                nb_heap_push(heap, &count, sorted[i]);
            qsort(sorted, n, sizeof *sorted, by_size);
            assert_int_equal(count, n);
            for (size_t i = 0; i < n; i++)
                assert_true(nb_heap_pop(heap, &count) == sorted[i]);
            assert_int_equal(count, 0);
        }
    }
}

/* The k largest of many, as a sampler keeps them. */
static void replacing_keeps_the_largest(void **state)
{
    (void)state;
    enum { K = 7, N = 200 };
    nb_random random;
    nb_random_seed(&random, 2);
    uint64_t all[N], heap[K];
    size_t count = K;
    for (size_t i = 0; i < N; i++)
        all[i] = nb_random_u64(&random);
    for (size_t i = 0; i < K; i++)
        heap[i] = all[i];
    nb_heap_make(heap, K);
    for (size_t i = K; i < N; i++)
        if (all[i] > heap[0])
            nb_heap_replace_top(heap, K, all[i]);
    qsort(all, N, sizeof *all, by_size);
    for (size_t i = 0; i < K; i++)
        assert_true(nb_heap_pop(heap, &count) == all[N - K + i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_sorted),
        cmocka_unit_test(replacing_keeps_the_largest),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
