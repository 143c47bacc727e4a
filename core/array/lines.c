#include "array/lines.h"

#include "array/parts.h"
#include "base/memory.h"

#include <string.h>

/* Lines whose numbers lie apart are gathered so many at a time, a whole cache line of each row; fewer where
 * they are long. */
enum { TILE = 16, TILE_NUMBERS = 1 << 20 };

typedef struct job {
    const nb_array *x;
    nb_axis_walk walk;
    size_t out_n, tile;
    size_t stride,
        out_stride; /* from one gathered line to the next: no power of 2, which caches map to few places */
    nb_line_fn *fn;
    void *user;
    float *out;
    float *scratch; /* [threads][tile * (stride + out_stride)] */
} job;

/* Lines [begin, end) that lie side by side: line i is row i. */
static void run_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *job = user;
    for (size_t i = begin; i < end && !nb_array_stopped(job->x->space); i++)
        job->fn(job->user, job->x->data + i * job->walk.n, job->walk.n, job->out + i * job->out_n, thread);
}

static void gather(const float *x, size_t inner, size_t n, size_t width, float *lines, size_t stride)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < width; c++)
            lines[c * stride + i] = x[i * inner + c];
}

static void scatter(const float *lines, size_t stride, size_t n, size_t width, float *y, size_t inner)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < width; c++)
            y[i * inner + c] = lines[c * stride + i];
}

/* Tiles [begin, end): ceil(inner / tile) of them for each of the outer indices. */
static void run_tiles(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *job = user;
    const nb_axis_walk *w = &job->walk;
    const size_t n_tiles = nb_div_up(w->inner, job->tile);
    float *lines = job->scratch + thread * job->tile * (job->stride + job->out_stride);
    float *results = lines + job->tile * job->stride;
    for (size_t t = begin; t < end && !nb_array_stopped(job->x->space); t++) {
        const size_t outer = t / n_tiles, column = t % n_tiles * job->tile;
        const size_t width = nb_min_size(job->tile, w->inner - column);
        gather(job->x->data + outer * w->n * w->inner + column, w->inner, w->n, width, lines, job->stride);
        for (size_t c = 0; c < width; c++)
            job->fn(job->user, lines + c * job->stride, w->n, results + c * job->out_stride, thread);
        scatter(results, job->out_stride, job->out_n, width,
                job->out + outer * job->out_n * w->inner + column, w->inner);
    }
}

static nb_status run_apart(job *job, nb_array *out, nb_error *error)
{
    nb_array_space *space = job->x->space;
    const nb_axis_walk *w = &job->walk;
    job->tile = nb_max_size(1, nb_min_size(nb_min_size(TILE, w->inner), TILE_NUMBERS / nb_max_size(w->n, 1)));
    job->stride = nb_round_up(w->n, TILE) + TILE;
    job->out_stride = nb_round_up(job->out_n, TILE) + TILE;
    size_t n_scratch;
    if (!nb_mul_size(job->tile * nb_pool_size(space->context->pool), job->stride + job->out_stride,
                     &n_scratch) ||
        !(job->scratch = nb_aligned_calloc(nb_max_size(n_scratch, 1), sizeof(float)))) {
        char shape[96];
        return nb_fail(error, NB_ERR_MEMORY, "no memory to walk an array of %s across its rows",
                       nb_array_shape(out, shape, sizeof shape));
    }
    nb_array_parallel(space, w->outer * nb_div_up(w->inner, job->tile), job->tile * nb_max_size(w->n, 1),
                      run_tiles, job);
    nb_aligned_free(job->scratch);
    return NB_OK;
}

nb_status nb_array_lines(const nb_array *x, int axis, size_t out_n, bool keep, nb_line_fn *fn, void *user,
                         nb_array **out, nb_error *error)
{
    size_t dims[NB_ARRAY_MAX_DIMS];
    int n_dims = 0;
    for (int d = 0; d < x->n_dims; d++)
        if (d != axis)
            dims[n_dims++] = x->dims[d];
        else if (keep || out_n != 1)
            dims[n_dims++] = out_n;
    nb_status status = nb_array_blank(x->space, n_dims, dims, out, error);
    if (status != NB_OK)
        return status;
    job job = {
        .x = x, .walk = nb_array_walk(x, axis), .out_n = out_n, .fn = fn, .user = user, .out = (*out)->data};
    if (job.walk.inner == 1)
        nb_array_parallel(x->space, job.walk.outer, nb_max_size(job.walk.n, 1), run_rows, &job);
    else if (job.walk.inner > 1)
        status = run_apart(&job, *out, error);
    if (status != NB_OK) {
        nb_array_release(out);
        return status;
    }
    return nb_array_finish(x->space, out, error);
}
