/* Arrays come and go. A space counts their bytes and keeps the last few buffers that were released: pages
 * that were never touched cost more than the arithmetic on them. */
#include "array/array.h"

#include "array/parts.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool nb_array_count(int n_dims, const size_t *dims, size_t *count)
{
    *count = 1;
    bool empty = false, fits = true;
    for (int i = 0; i < n_dims; i++) {
        empty = empty || dims[i] == 0;
        fits = fits && nb_mul_size(*count, dims[i], count);
    }
    if (empty)
        *count = 0;
    return fits || empty;
}

char *nb_dims_text(int n_dims, const size_t *dims, char *text, size_t size)
{
    size_t used = 0;
    snprintf(text, size, "one number");
    for (int i = 0; i < n_dims && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%zu", i ? " x " : "", dims[i]);
    return text;
}

char *nb_array_shape(const nb_array *array, char *text, size_t size)
{
    return nb_dims_text(array->n_dims, array->dims, text, size);
}

static nb_status refuse_size(const nb_array_space *space, int n_dims, const size_t *dims, nb_error *error)
{
    char shape[96];
    return nb_fail(error, NB_ERR_MEMORY,
                   "an array of %s does not fit: arrays hold %zu MB now and may hold %zu MB in all",
                   nb_dims_text(n_dims, dims, shape, sizeof shape), space->used_bytes / 1000000,
                   space->limit_bytes / 1000000);
}

/* ---- buffers ---- */

/* Spares are no more than this, nor than what the limit leaves. */
static const size_t MOST_SPARE_BYTES = 256u << 20;

static void drop_spare(nb_array_space *space, int i)
{
    nb_aligned_free(space->spares[i].data);
    space->spare_bytes -= space->spares[i].n_bytes;
    space->spares[i] = (struct nb_array_spare){NULL, 0};
}

static void drop_spares(nb_array_space *space)
{
    for (int i = 0; i < NB_ARRAY_SPARES; i++)
        drop_spare(space, i);
}

/* A buffer that holds n_bytes and wastes at most a quarter of itself; NULL when memory is short. */
static float *take_buffer(nb_array_space *space, size_t *n_bytes)
{
    for (int i = 0; i < NB_ARRAY_SPARES; i++) {
        const struct nb_array_spare spare = space->spares[i];
        if (!spare.data || spare.n_bytes < *n_bytes || spare.n_bytes - *n_bytes > spare.n_bytes / 4)
            continue;
        space->spares[i] = (struct nb_array_spare){NULL, 0};
        space->spare_bytes -= spare.n_bytes;
        *n_bytes = spare.n_bytes;
        return spare.data;
    }
    if (space->spare_bytes > space->limit_bytes - space->used_bytes - *n_bytes)
        drop_spares(space);
    float *data = nb_aligned_calloc(*n_bytes, 1);
    if (!data && space->spare_bytes > 0) {
        drop_spares(space);
        data = nb_aligned_calloc(*n_bytes, 1);
    }
    return data;
}

/* The smallest spare makes room for a larger one. */
static void give_buffer(nb_array_space *space, float *data, size_t n_bytes)
{
    int smallest = 0;
    for (int i = 1; i < NB_ARRAY_SPARES; i++)
        if (space->spares[i].n_bytes < space->spares[smallest].n_bytes)
            smallest = i;
    const size_t others = space->spare_bytes - space->spares[smallest].n_bytes;
    if (n_bytes <= space->spares[smallest].n_bytes || n_bytes > MOST_SPARE_BYTES ||
        others > MOST_SPARE_BYTES - n_bytes) {
        nb_aligned_free(data);
        return;
    }
    drop_spare(space, smallest);
    space->spares[smallest] = (struct nb_array_spare){data, n_bytes};
    space->spare_bytes += n_bytes;
}

nb_status nb_array_blank(nb_array_space *space, int n_dims, const size_t *dims, nb_array **out,
                         nb_error *error)
{
    *out = NULL;
    if (n_dims > NB_ARRAY_MAX_DIMS || n_dims < 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "an array has at most %d dimensions, not %d",
                       NB_ARRAY_MAX_DIMS, n_dims);
    size_t size, n_bytes;
    if (!nb_array_count(n_dims, dims, &size) || !nb_mul_size(nb_max_size(size, 1), sizeof(float), &n_bytes) ||
        n_bytes > space->limit_bytes || space->used_bytes > space->limit_bytes - n_bytes)
        return refuse_size(space, n_dims, dims, error);
    nb_array *array = nb_calloc(1, sizeof *array);
    float *data = array ? take_buffer(space, &n_bytes) : NULL;
    if (!data) {
        free(array);
        char shape[96];
        return nb_fail(error, NB_ERR_MEMORY, "no memory for an array of %s",
                       nb_dims_text(n_dims, dims, shape, sizeof shape));
    }
    *array = (nb_array){.space = space,
                        .n_references = 1,
                        .n_dims = n_dims,
                        .dims = {1, 1, 1, 1},
                        .size = size,
                        .data = data,
                        .n_bytes = n_bytes};
    for (int i = 0; i < n_dims; i++)
        array->dims[i] = dims[i];
    space->used_bytes += n_bytes;
    space->n_arrays++;
    *out = array;
    return NB_OK;
}

nb_status nb_array_create(nb_array_space *space, int n_dims, const size_t *dims, nb_array **out,
                          nb_error *error)
{
    nb_status status = nb_array_blank(space, n_dims, dims, out, error);
    if (status == NB_OK)
        memset((*out)->data, 0, (*out)->size * sizeof(float));
    return status;
}

nb_array *nb_array_retain(nb_array *array)
{
    array->n_references++;
    return array;
}

void nb_array_release(nb_array **array_pointer)
{
    nb_array *array = *array_pointer;
    *array_pointer = NULL;
    if (!array || --array->n_references > 0)
        return;
    nb_array_space *space = array->space;
    space->used_bytes -= array->n_bytes;
    give_buffer(space, array->data, array->n_bytes);
    if (--space->n_arrays == 0)
        drop_spares(space);
    free(array);
}

nb_status nb_array_finish(nb_array_space *space, nb_array **out, nb_error *error)
{
    if (!atomic_exchange(&space->context->cancel, false))
        return NB_OK;
    nb_array_release(out);
    return nb_fail(error, NB_ERR_CANCELLED, "stopped");
}

/* A thread is worth waking for so many numbers. */
enum { GRAIN = 1 << 15 };

void nb_array_parallel(nb_array_space *space, size_t n_items, size_t n_each, nb_parallel_fn *fn, void *job)
{
    size_t grain = nb_max_size(1, GRAIN / nb_max_size(n_each, 1));
    nb_parallel(space->context->pool, n_items, grain, fn, job);
}

nb_status nb_array_copy(const nb_array *x, nb_array **out, nb_error *error)
{
    nb_status status = nb_array_blank(x->space, x->n_dims, x->dims, out, error);
    if (status == NB_OK)
        memcpy((*out)->data, x->data, x->size * sizeof(float));
    return status;
}

nb_status nb_array_axis(const char *what, const nb_array *x, int axis, int *out, nb_error *error)
{
    *out = axis < 0 ? axis + x->n_dims : axis;
    if (*out >= 0 && *out < x->n_dims)
        return NB_OK;
    char shape[96];
    nb_array_shape(x, shape, sizeof shape);
    if (x->n_dims == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: one number has no axis", what);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s: an array of %s has axes 0 to %d (or -1 to -%d), not %d", what,
                   shape, x->n_dims - 1, x->n_dims, axis);
}

nb_axis_walk nb_array_walk(const nb_array *x, int axis)
{
    nb_axis_walk walk = {.outer = 1, .n = x->dims[axis], .inner = 1};
    for (int i = 0; i < axis; i++)
        walk.outer *= x->dims[i];
    for (int i = axis + 1; i < x->n_dims; i++)
        walk.inner *= x->dims[i];
    return walk;
}
