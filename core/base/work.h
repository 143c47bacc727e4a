/* How much was computed: for lessons, which are to be quick on any laptop, and for benchmarks. */
#ifndef NB_BASE_WORK_H
#define NB_BASE_WORK_H

#include "base/threads.h"

#include <stdint.h>

/* Adds to what the pool's caller has had computed. By the caller's own thread only. */
void nb_pool_add_work(nb_pool *pool, uint64_t multiply_adds);
/* Multiply-adds of all matmuls since the pool was created. Attention's own products are not among them. */
uint64_t nb_pool_work(const nb_pool *pool);

#endif
