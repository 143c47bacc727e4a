/* Fork and join. A call to nb_parallel publishes a job, opens the gate and raises the generation; workers that spin
 * see it at once, workers that sleep are woken. Pieces are taken from one atomic counter, by the caller too. When
 * none are left the caller shuts the gate and waits for those inside only: a worker that the system has
 * not let run yet finds the gate shut and costs nothing. */
#include "base/threads.h"

#include "base/memory.h"
#include "base/work.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_THREADS = 256,
    SHARES_PER_THREAD = 2,
    SPIN_NS = 50 * 1000,
    SPINS_PER_CLOCK_READ = 64,
    STACK_BYTES = 4 << 20, /* panels lie on the stack, up to three deep; some systems give threads less */
};
static const unsigned OPEN = 1u << 31;

typedef struct nb_worker {
    nb_pool *pool;
    pthread_t thread;
    unsigned index;
} nb_worker;

struct nb_pool {
    unsigned n_threads;
    nb_worker *workers; /* n_threads - 1 */
    unsigned n_started;
    uint64_t n_multiply_adds; /* the caller's alone */

    /* The job; written by the caller before the generation is raised. */
    nb_parallel_fn *fn;
    void *job;
    size_t n_items, grain;

    _Alignas(64) atomic_size_t next;        /* first item not yet taken */
    _Alignas(64) atomic_uint generation;    /* one more for each job, or for the end */
    _Alignas(64) atomic_uint gate;          /* OPEN, and the number of workers inside */
    atomic_bool quit;

    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_uint n_asleep;
};

void nb_pool_add_work(nb_pool *pool, uint64_t multiply_adds)
{
    pool->n_multiply_adds += multiply_adds;
}

uint64_t nb_pool_work(const nb_pool *pool)
{
    return pool->n_multiply_adds;
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A piece is a share of what is left, so that pieces shrink towards the end and threads finish together. */
static void take_pieces(nb_pool *pool, unsigned thread)
{
    size_t begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
    while (begin < pool->n_items) {
        const size_t left = pool->n_items - begin;
        const size_t piece = nb_round_up(nb_div_up(left, (size_t)pool->n_threads * SHARES_PER_THREAD), pool->grain);
        const size_t end = begin + nb_min_size(piece, left);
        if (atomic_compare_exchange_weak_explicit(&pool->next, &begin, end, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            pool->fn(pool->job, begin, end, thread);
            begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
        }
    }
}

/* Spins for a while, then sleeps, until the generation is another than `seen`. */
static unsigned next_generation(nb_pool *pool, unsigned seen)
{
    uint64_t deadline = 0;
    for (unsigned spins = 0;; spins++) {
        unsigned generation = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (generation != seen)
            return generation;
        relax();
        if (spins % SPINS_PER_CLOCK_READ == 0) {
            uint64_t now = now_ns();
            if (deadline == 0)
                deadline = now + SPIN_NS;
            else if (now > deadline)
                break;
        }
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_asleep, 1);
    unsigned generation;
    while ((generation = atomic_load(&pool->generation)) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->n_asleep, 1);
    pthread_mutex_unlock(&pool->mutex);
    return generation;
}

/* The job's fields may be read between enter and leave. */
static bool enter(nb_pool *pool)
{
    unsigned gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);
    while (gate & OPEN)
        if (atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static void leave(nb_pool *pool) { atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release); }

static void *work(void *argument)
{
    nb_worker *worker = argument;
    nb_pool *pool = worker->pool;
    unsigned seen = 0;
    for (;;) {
        seen = next_generation(pool, seen);
        if (atomic_load(&pool->quit))
            return NULL;
        if (enter(pool)) {
            take_pieces(pool, worker->index);
            leave(pool);
        }
    }
}

static int start(nb_worker *worker)
{
    pthread_attr_t attributes;
    int code = pthread_attr_init(&attributes);
    if (code != 0)
        return code;
    code = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (code == 0)
        code = pthread_create(&worker->thread, &attributes, work, worker);
    pthread_attr_destroy(&attributes);
    return code;
}

/* Raises the generation; whoever sleeps is woken. The sequentially consistent pair (generation here, n_asleep
 * there) makes sure that a worker which is about to sleep either sees the new generation or is seen. */
static void announce(nb_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->n_asleep) == 0)
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

nb_status nb_pool_create(unsigned n_threads, nb_pool **out, nb_error *error)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > MAX_THREADS)
        return nb_fail(error, NB_ERR_ARGUMENT, "%u threads: use 1 to %d", n_threads, MAX_THREADS);
    nb_pool *pool = nb_aligned_calloc(1, sizeof *pool);
    nb_worker *workers = nb_calloc(n_threads, sizeof *workers);
    if (!pool || !workers) {
        nb_aligned_free(pool);
        free(workers);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a pool of %u threads", n_threads);
    }
    pool->workers = workers;
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (unsigned i = 0; i + 1 < n_threads; i++) {
        workers[i] = (nb_worker){.pool = pool, .index = i + 1};
        int code = start(&workers[i]);
        if (code != 0) {
            nb_pool_destroy(&pool);
            return nb_fail(error, NB_ERR_IO, "thread %u of %u could not be started (%s); use fewer threads", i + 2,
                           n_threads, strerror(code));
        }
        pool->n_started++;
    }
    *out = pool;
    return NB_OK;
}

void nb_pool_destroy(nb_pool **pool_pointer)
{
    nb_pool *pool = *pool_pointer;
    if (!pool)
        return;
    atomic_store(&pool->quit, true);
    announce(pool);
    for (unsigned i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    nb_aligned_free(pool);
    *pool_pointer = NULL;
}

unsigned nb_pool_size(const nb_pool *pool) { return pool->n_threads; }

void nb_parallel(nb_pool *pool, size_t n_items, size_t grain, nb_parallel_fn *fn, void *job)
{
    if (n_items == 0)
        return;
    grain = nb_max_size(grain, 1);
    if (pool->n_threads == 1 || n_items <= grain) {
        fn(job, 0, n_items, 0);
        return;
    }
    pool->fn = fn;
    pool->job = job;
    pool->n_items = n_items;
    pool->grain = grain;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->gate, OPEN, memory_order_release);
    announce(pool);
    take_pieces(pool, 0);
    atomic_fetch_and_explicit(&pool->gate, ~OPEN, memory_order_relaxed);
    for (unsigned spins = 0; atomic_load_explicit(&pool->gate, memory_order_acquire) != 0; spins++) {
        relax();
        if (spins % 1024 == 1023)
            sched_yield(); /* more threads than cores: let the one that we wait for run */
    }
}
