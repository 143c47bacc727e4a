/* Reductions. One line of numbers is reduced in one way, whether it is a whole array or a row of one. */
#include "array/kernels.h"
#include "array/lines.h"
#include "array/parts.h"
#include "base/memory.h"

#include <string.h>

/* So many numbers are reduced between two looks at the wish to stop; a multiple of 16. */
enum { STRETCH = 1 << 22 };

static const char *const names[NB_REDUCE_COUNT] = {
    [NB_REDUCE_SUM] = "sum",       [NB_REDUCE_MEAN] = "mean",        [NB_REDUCE_PRODUCT] = "prod",
    [NB_REDUCE_MIN] = "min",       [NB_REDUCE_MAX] = "max",          [NB_REDUCE_VARIANCE] = "var",
    [NB_REDUCE_STD] = "std",       [NB_REDUCE_NORM] = "norm",        [NB_REDUCE_ANY] = "any",
    [NB_REDUCE_ALL] = "all",       [NB_REDUCE_COUNT_TRUE] = "count", [NB_REDUCE_ARGMIN] = "argmin",
    [NB_REDUCE_ARGMAX] = "argmax",
};

const char *nb_reduction_name(nb_reduction op)
{
    return names[op];
}

typedef struct reducer {
    nb_array_space *space;
    const nb_array_kernels *kernels;
    nb_reduction op;
} reducer;

static double sum(const reducer *r, const float *x, size_t n)
{
    double lanes[NB_ARRAY_LANES] = {0};
    for (size_t i = 0; i < n && !nb_array_stopped(r->space); i += STRETCH)
        r->kernels->sum(x + i, nb_min_size(STRETCH, n - i), lanes);
    return nb_lanes_fold_f64(lanes);
}

static double squares(const reducer *r, const float *x, size_t n, double origin)
{
    double lanes[NB_ARRAY_LANES] = {0};
    for (size_t i = 0; i < n && !nb_array_stopped(r->space); i += STRETCH)
        r->kernels->squares(x + i, nb_min_size(STRETCH, n - i), origin, lanes);
    return nb_lanes_fold_f64(lanes);
}

static double product(const reducer *r, const float *x, size_t n)
{
    double lanes[NB_ARRAY_LANES];
    for (int i = 0; i < NB_ARRAY_LANES; i++)
        lanes[i] = 1;
    for (size_t i = 0; i < n && !nb_array_stopped(r->space); i += STRETCH)
        r->kernels->product(x + i, nb_min_size(STRETCH, n - i), lanes);
    for (int half = NB_ARRAY_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] *= lanes[i + half];
    return lanes[0];
}

static double variance(const reducer *r, const float *x, size_t n)
{
    const double mean = sum(r, x, n) / (double)n;
    return squares(r, x, n, mean) / (double)n;
}

/* The position of the first extreme number, or of the first NaN: the stretch that it is in, then itself. */
static size_t position(const reducer *r, const float *x, size_t n, bool least)
{
    enum { SHORT_STRETCH = 1 << 12 };
    size_t begin = 0;
    float best = NAN;
    for (size_t i = 0; i < n && (i == 0 || best == best) && !nb_array_stopped(r->space); i += SHORT_STRETCH) {
        const size_t n_here = nb_min_size(SHORT_STRETCH, n - i);
        const float here = (least ? r->kernels->min : r->kernels->max)(x + i, n_here);
        if (i == 0 || here != here || (least ? here < best : here > best)) {
            best = here;
            begin = i;
        }
    }
    size_t i = begin;
    while (i + 1 < n && (best != best ? x[i] == x[i] : x[i] != best))
        i++;
    return i;
}

/* Of n numbers; n > 0 for min, max and their positions. */
static double reduce(const reducer *r, const float *x, size_t n)
{
    const nb_array_kernels *k = r->kernels;
    switch (r->op) {
    case NB_REDUCE_SUM:
        return sum(r, x, n);
    case NB_REDUCE_MEAN:
        return sum(r, x, n) / (double)n;
    case NB_REDUCE_PRODUCT:
        return product(r, x, n);
    case NB_REDUCE_MIN:
        return (double)k->min(x, n);
    case NB_REDUCE_MAX:
        return (double)k->max(x, n);
    case NB_REDUCE_VARIANCE:
        return variance(r, x, n);
    case NB_REDUCE_STD:
        return sqrt(variance(r, x, n));
    case NB_REDUCE_NORM:
        return sqrt(squares(r, x, n, 0));
    case NB_REDUCE_ANY:
        return k->count_true(x, n) > 0;
    case NB_REDUCE_ALL:
        return k->count_true(x, n) == n;
    case NB_REDUCE_COUNT_TRUE:
        return (double)k->count_true(x, n);
    case NB_REDUCE_ARGMIN:
        return (double)position(r, x, n, true);
    case NB_REDUCE_ARGMAX:
        return (double)position(r, x, n, false);
    case NB_REDUCE_COUNT:
        break;
    }
    return NAN;
}

static bool needs_a_number(nb_reduction op)
{
    return op == NB_REDUCE_MIN || op == NB_REDUCE_MAX || op == NB_REDUCE_ARGMIN || op == NB_REDUCE_ARGMAX;
}

nb_status nb_array_reduce(nb_array_space *space, nb_reduction op, const nb_array *x, double *out,
                          nb_error *error)
{
    *out = NAN;
    if (x->size == 0 && needs_a_number(op))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: an empty array has none", names[op]);
    const reducer r = {space, nb_array_kernels_of(space->context), op};
    const double result = reduce(&r, x->data, x->size);
    nb_array *nothing = NULL;
    nb_status status = nb_array_finish(space, &nothing, error);
    if (status == NB_OK)
        *out = result != result ? NAN : result;
    return status;
}

static void reduce_line(void *user, const float *line, size_t n, float *out, unsigned thread)
{
    (void)thread;
    *out = nb_canonical((float)reduce(user, line, n));
}

/* ---- down the columns ---- */

/* x is [outer][n][inner]; a tile is up to NB_COLUMN_TILE columns of one outer index. */
typedef struct columns {
    const reducer *reducer;
    const nb_array *x;
    nb_axis_walk walk;
    float *out;
} columns;

static bool has_columns(nb_reduction op)
{
    return op == NB_REDUCE_SUM || op == NB_REDUCE_MEAN || op == NB_REDUCE_VARIANCE || op == NB_REDUCE_STD ||
           op == NB_REDUCE_MIN || op == NB_REDUCE_MAX;
}

static void fold_columns(double lanes[NB_ARRAY_LANES][NB_COLUMN_TILE], size_t width, double *sums)
{
    for (int half = NB_ARRAY_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            for (size_t c = 0; c < width; c++)
                lanes[l][c] += lanes[l + half][c];
    memcpy(sums, lanes[0], width * sizeof *sums);
}

static void sum_tile(const columns *job, const float *x, size_t width, float *out)
{
    const nb_array_kernels *k = job->reducer->kernels;
    const nb_axis_walk *w = &job->walk;
    const nb_reduction op = job->reducer->op;
    double lanes[NB_ARRAY_LANES][NB_COLUMN_TILE] = {{0}}, sums[NB_COLUMN_TILE];
    k->sum_columns(x, w->inner, w->n, width, lanes[0]);
    fold_columns(lanes, width, sums);
    if (op != NB_REDUCE_SUM)
        for (size_t c = 0; c < width; c++)
            sums[c] /= (double)w->n;
    if (op == NB_REDUCE_VARIANCE || op == NB_REDUCE_STD) {
        memset(lanes, 0, sizeof lanes);
        k->square_columns(x, w->inner, w->n, width, sums, lanes[0]);
        fold_columns(lanes, width, sums);
        for (size_t c = 0; c < width; c++)
            sums[c] = op == NB_REDUCE_STD ? sqrt(sums[c] / (double)w->n) : sums[c] / (double)w->n;
    }
    for (size_t c = 0; c < width; c++)
        out[c] = nb_canonical((float)sums[c]);
}

static void extreme_tile(const columns *job, const float *x, size_t width, float *out)
{
    const nb_array_kernels *k = job->reducer->kernels;
    memcpy(out, x, width * sizeof *out);
    (job->reducer->op == NB_REDUCE_MIN ? k->min_columns : k->max_columns)(x, job->walk.inner, job->walk.n,
                                                                          width, out);
    for (size_t c = 0; c < width; c++)
        out[c] = nb_canonical(out[c]) + 0.0f; /* a zero is +0 */
}

static void run_tiles(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const columns *job = user;
    const nb_axis_walk *w = &job->walk;
    const size_t n_tiles = nb_div_up(w->inner, NB_COLUMN_TILE);
    const bool extreme = job->reducer->op == NB_REDUCE_MIN || job->reducer->op == NB_REDUCE_MAX;
    for (size_t t = begin; t < end && !nb_array_stopped(job->x->space); t++) {
        const size_t outer = t / n_tiles, column = t % n_tiles * NB_COLUMN_TILE;
        const size_t width = nb_min_size(NB_COLUMN_TILE, w->inner - column);
        (extreme ? extreme_tile : sum_tile)(job, job->x->data + outer * w->n * w->inner + column, width,
                                            job->out + outer * w->inner + column);
    }
}

static nb_status reduce_columns(const reducer *r, const nb_array *x, int axis, bool keep, nb_array **out,
                                nb_error *error)
{
    size_t dims[NB_ARRAY_MAX_DIMS];
    int n_dims = 0;
    for (int d = 0; d < x->n_dims; d++)
        if (d != axis || keep)
            dims[n_dims++] = d == axis ? 1 : x->dims[d];
    nb_status status = nb_array_blank(r->space, n_dims, dims, out, error);
    if (status != NB_OK)
        return status;
    columns job = {r, x, nb_array_walk(x, axis), (*out)->data};
    if ((*out)->size > 0)
        nb_array_parallel(r->space, job.walk.outer * nb_div_up(job.walk.inner, NB_COLUMN_TILE),
                          NB_COLUMN_TILE * nb_max_size(job.walk.n, 1), run_tiles, &job);
    return nb_array_finish(r->space, out, error);
}

nb_status nb_array_reduce_axis(nb_array_space *space, nb_reduction op, const nb_array *x, int axis, bool keep,
                               nb_array **out, nb_error *error)
{
    *out = NULL;
    nb_status status = nb_array_axis(names[op], x, axis, &axis, error);
    if (status != NB_OK)
        return status;
    char shape[96];
    if (x->dims[axis] == 0 && needs_a_number(op))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: axis %d of an array of %s is empty", names[op], axis,
                       nb_array_shape(x, shape, sizeof shape));
    reducer r = {space, nb_array_kernels_of(space->context), op};
    if (has_columns(op) && nb_array_walk(x, axis).inner > 1)
        return reduce_columns(&r, x, axis, keep, out, error);
    return nb_array_lines(x, axis, 1, keep, reduce_line, &r, out, error);
}
