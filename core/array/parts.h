/* What the files of this room share. */
#ifndef NB_ARRAY_PARTS_H
#define NB_ARRAY_PARTS_H

#include "array/array.h"

#include <math.h>

enum { NB_ARRAY_LANES = 16 };

/* As nb_array_create, but what the numbers are is left open: the caller writes every one. */
nb_status nb_array_blank(nb_array_space *space, int n_dims, const size_t *dims, nb_array **out,
                         nb_error *error);
/* The product of dims; false when it overflows. */
bool nb_array_count(int n_dims, const size_t *dims, size_t *count);
/* "3 x 4" of bare dimensions. */
char *nb_dims_text(int n_dims, const size_t *dims, char *text, size_t size);
/* A negative axis counts from the end; refuses one that the array lacks. */
nb_status nb_array_axis(const char *what, const nb_array *x, int axis, int *out, nb_error *error);
/* What lies before, along and after an axis: x is [outer][n][inner]. */
typedef struct nb_axis_walk {
    size_t outer, n, inner;
} nb_axis_walk;
nb_axis_walk nb_array_walk(const nb_array *x, int axis);

/* True when somebody asked to stop; the wish stays, for nb_array_finish. */
static inline bool nb_array_stopped(const nb_array_space *space)
{
    return atomic_load_explicit(&space->context->cancel, memory_order_relaxed);
}
/* The end of an operation whose loops watch nb_array_stopped: NB_OK, or NB_ERR_CANCELLED
 * and *out released. */
nb_status nb_array_finish(nb_array_space *space, nb_array **out, nb_error *error);
/* nb_parallel where the work is worth it; n_each: numbers that one item costs.
 * `fn` watches nb_array_stopped. */
void nb_array_parallel(nb_array_space *space, size_t n_items, size_t n_each, nb_parallel_fn *fn, void *job);

/* What leaves an operation: every NaN as 7fc00000. */
static inline float nb_canonical(float x)
{
    return x != x ? NAN : x;
}

static inline double nb_lanes_fold_f64(double lanes[NB_ARRAY_LANES])
{
    for (int half = NB_ARRAY_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

#endif
