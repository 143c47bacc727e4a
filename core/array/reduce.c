/* Reductions. One line of numbers is reduced in one way, whether it is a whole array or a row of one. */
#include "array/kernels.h"
#include "array/lines.h"
#include "array/parts.h"
#include "base/memory.h"

/* So many numbers are reduced between two looks at the wish to stop; a multiple of 16. */
enum { STRETCH = 1 << 22 };

static const char *const names[NB_REDUCE_COUNT] = {
    [NB_REDUCE_SUM] = "sum",       [NB_REDUCE_MEAN] = "mean",         [NB_REDUCE_PRODUCT] = "prod",
    [NB_REDUCE_MIN] = "min",       [NB_REDUCE_MAX] = "max",           [NB_REDUCE_VARIANCE] = "var",
    [NB_REDUCE_STD] = "std",       [NB_REDUCE_NORM] = "norm",         [NB_REDUCE_ANY] = "any",
    [NB_REDUCE_ALL] = "all",       [NB_REDUCE_COUNT_TRUE] = "count",  [NB_REDUCE_ARGMIN] = "argmin",
    [NB_REDUCE_ARGMAX] = "argmax",
};

const char *nb_reduction_name(nb_reduction op) { return names[op]; }

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

/* The position of the first number that equals `wanted`, which is there; NaN stands for the first NaN. */
static size_t first_of(const float *x, size_t n, float wanted)
{
    size_t i = 0;
    if (wanted != wanted)
        while (i < n && x[i] == x[i])
            i++;
    else
        while (i < n && x[i] != wanted)
            i++;
    return i;
}

/* Of n numbers; n > 0 for min, max and their positions. */
static double reduce(const reducer *r, const float *x, size_t n)
{
    const nb_array_kernels *k = r->kernels;
    switch (r->op) {
    case NB_REDUCE_SUM: return sum(r, x, n);
    case NB_REDUCE_MEAN: return sum(r, x, n) / (double)n;
    case NB_REDUCE_PRODUCT: return product(r, x, n);
    case NB_REDUCE_MIN: return (double)k->min(x, n);
    case NB_REDUCE_MAX: return (double)k->max(x, n);
    case NB_REDUCE_VARIANCE: return variance(r, x, n);
    case NB_REDUCE_STD: return sqrt(variance(r, x, n));
    case NB_REDUCE_NORM: return sqrt(squares(r, x, n, 0));
    case NB_REDUCE_ANY: return k->count_true(x, n) > 0;
    case NB_REDUCE_ALL: return k->count_true(x, n) == n;
    case NB_REDUCE_COUNT_TRUE: return (double)k->count_true(x, n);
    case NB_REDUCE_ARGMIN: return (double)first_of(x, n, k->min(x, n));
    case NB_REDUCE_ARGMAX: return (double)first_of(x, n, k->max(x, n));
    case NB_REDUCE_COUNT: break;
    }
    return NAN;
}

static bool needs_a_number(nb_reduction op)
{
    return op == NB_REDUCE_MIN || op == NB_REDUCE_MAX || op == NB_REDUCE_ARGMIN || op == NB_REDUCE_ARGMAX;
}

nb_status nb_array_reduce(nb_array_space *space, nb_reduction op, const nb_array *x, double *out, nb_error *error)
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
    return nb_array_lines(x, axis, 1, keep, reduce_line, &r, out, error);
}
