/* The pool: every item exactly once, for any number of threads, sizes and grains. */
#include "base/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ITEMS = 3000 };
typedef struct counting_job {
    atomic_uint visits[MAX_ITEMS];
    size_t grain, n_items;
    atomic_uint n_bad_pieces;
    unsigned n_threads;
} counting_job;

static void count(void *argument, size_t begin, size_t end, unsigned thread)
{
    counting_job *job = argument;
    if (begin % job->grain != 0 || end <= begin || end > job->n_items || thread >= job->n_threads)
        atomic_fetch_add(&job->n_bad_pieces, 1);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&job->visits[i], 1);
}

static void every_item_once(void **state)
{
    (void)state;
    static counting_job job;
    static const size_t sizes[] = {0, 1, 2, 7, 16, 17, 100, 1000, MAX_ITEMS}, grains[] = {1, 3, 16, 5000};
    for (unsigned n_threads = 1; n_threads <= 5; n_threads++) {
        nb_pool *pool;
        assert_int_equal(nb_pool_create(n_threads, &pool, NULL), NB_OK);
        assert_int_equal(nb_pool_size(pool), n_threads);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
                memset(&job, 0, sizeof job);
                job.grain = grains[g];
                job.n_items = sizes[s];
                job.n_threads = n_threads;
                nb_parallel(pool, sizes[s], grains[g], count, &job);
                assert_int_equal(job.n_bad_pieces, 0);
                for (size_t i = 0; i < MAX_ITEMS; i++)
                    assert_int_equal(job.visits[i], i < sizes[s]);
            }
        nb_pool_destroy(&pool);
        assert_null(pool);
    }
}

/* Many short jobs, one after another: a worker that comes late must not run an old job or a half-written one. */
static void many_short_jobs(void **state)
{
    (void)state;
    static counting_job job;
    nb_pool *pool;
    assert_int_equal(nb_pool_create(4, &pool, NULL), NB_OK);
    memset(&job, 0, sizeof job);
    job.grain = 1;
    job.n_threads = 4;
    for (unsigned round = 1; round <= 20000; round++) {
        job.n_items = 2 + round % 7;
        nb_parallel(pool, job.n_items, 1, count, &job);
    }
    unsigned total = 0, wanted = 0;
    for (size_t i = 0; i < MAX_ITEMS; i++)
        total += job.visits[i];
    for (unsigned round = 1; round <= 20000; round++)
        wanted += 2 + round % 7;
    assert_int_equal(total, wanted);
    assert_int_equal(job.n_bad_pieces, 0);
    nb_pool_destroy(&pool);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    nb_pool *pool;
    nb_error error;
    assert_int_equal(nb_pool_create(0, &pool, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_pool_create(100000, &pool, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "100000 threads"));
    assert_null(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(many_short_jobs),
        cmocka_unit_test(absurd_sizes_are_refused),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
