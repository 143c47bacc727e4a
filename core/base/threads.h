/* One small pool. Work is split over outputs, never over a sum, so the number of threads and
 * the order in which they finish cannot change a bit of any result. */
#ifndef NB_BASE_THREADS_H
#define NB_BASE_THREADS_H

#include "base/status.h"

#include <stddef.h>

typedef struct nb_pool nb_pool;

/* Handles items [begin, end). `thread` is below nb_pool_size and names a private scratch slot. */
typedef void nb_parallel_fn(void *job, size_t begin, size_t end, unsigned thread);

/* A pool of `n_threads` counting the caller's own (so n_threads - 1 are started). */
nb_status nb_pool_create(unsigned n_threads, nb_pool **out, nb_error *error);
void nb_pool_destroy(nb_pool **pool);
unsigned nb_pool_size(const nb_pool *pool);

/* Runs `fn` over [0, n_items) in pieces that are multiples of `grain` (the last may be short) and
 * returns when all are done. Pieces are handed out dynamically, a few to a thread. With one
 * thread, or no more than one grain of work, it is a plain call. Workers spin briefly for the
 * next call before they sleep. Not re-entrant. */
void nb_parallel(nb_pool *pool, size_t n_items, size_t grain, nb_parallel_fn *fn, void *job);

#endif
