/* The one object that owns dispatch, threads and limits. */
#ifndef NB_BASE_CONTEXT_H
#define NB_BASE_CONTEXT_H

#include "base/status.h"
#include "base/threads.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb_kernels;

/* Called now and then by whatever takes long. `done` of `total` in `unit` ("bytes", "tokens"). */
typedef void nb_progress_fn(void *user, const char *what, uint64_t done, uint64_t total, const char *unit);

typedef struct nb_context {
    const struct nb_kernels *kernels; /* the level in use */
    nb_pool *pool;
    nb_progress_fn *progress; /* may be NULL; called on the caller's thread only */
    void *progress_user;
    atomic_bool cancel; /* set from anywhere, a signal handler too: the running call stops soon */
    bool verify;        /* NIBBLE_VERIFY=1: every kernel is compared with its definition as it runs */
} nb_context;

typedef struct nb_context_options {
    unsigned n_threads; /* 0: one per core */
    const char *level;  /* "scalar", "avx2", ...; NULL: NIBBLE_ISA, else the best that this CPU has */
} nb_context_options;

/* `options` may be NULL. Refuses a level that this CPU lacks, naming those that it has. */
nb_status nb_context_create(const nb_context_options *options, nb_context **out, nb_error *error);
void nb_context_destroy(nb_context **context);

/* Reports progress, then says NB_ERR_CANCELLED if somebody asked to stop (and clears the wish). */
nb_status nb_context_tick(nb_context *context, const char *what, uint64_t done, uint64_t total,
                          const char *unit, nb_error *error);

#endif
