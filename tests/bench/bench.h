/* What benchmarks share: the time, a failure's end, and the option --threads. */
#ifndef NB_BENCH_H
#define NB_BENCH_H

#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NB_BENCH_THREADS = 8 };

typedef struct nb_bench_threads {
    unsigned counts[NB_BENCH_THREADS];
    size_t n;
} nb_bench_threads;

static inline double nb_bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void nb_bench_check(nb_status status, const nb_error *error)
{
    if (status == NB_OK)
        return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

/* "1,2": as many as are written rightly. */
static inline nb_bench_threads nb_bench_read_threads(const char *list)
{
    nb_bench_threads threads = {.n = 0};
    for (const char *word = list; *word && threads.n < NB_BENCH_THREADS;) {
        char *end;
        const long n = strtol(word, &end, 10);
        if (end == word || n < 1)
            break;
        threads.counts[threads.n++] = (unsigned)n;
        word = end + (*end == ',');
    }
    return threads;
}

#endif
