/* Arrays from numbers: given, evenly spaced, random. */
#include "array/parts.h"

#include "base/memory.h"

/* How many numbers are made between two looks at the wish to stop. */
enum { STRETCH = 1 << 16 };

nb_status nb_array_from(nb_array_space *space, const double *values, size_t n, nb_array **out,
                        nb_error *error)
{
    nb_status status = nb_array_blank(space, 1, &n, out, error);
    for (size_t i = 0; status == NB_OK && i < n; i++)
        (*out)->data[i] = nb_canonical((float)values[i]);
    return status;
}

nb_status nb_array_full(nb_array_space *space, int n_dims, const size_t *dims, double value, nb_array **out,
                        nb_error *error)
{
    nb_status status = nb_array_blank(space, n_dims, dims, out, error);
    const float number = nb_canonical((float)value);
    for (size_t i = 0; status == NB_OK && i < (*out)->size; i++)
        (*out)->data[i] = number;
    return status;
}

nb_status nb_array_arange(nb_array_space *space, double start, double stop, double step, nb_array **out,
                          nb_error *error)
{
    *out = NULL;
    if (!isfinite(start) || !isfinite(stop) || !isfinite(step) || step == 0)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "arange: start, stop and step are finite numbers, and step is not 0");
    const double length = ceil((stop - start) / step);
    if (!(length < 0x1p53))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "arange: a step so small makes more numbers than memory holds");
    const size_t n = length > 0 ? (size_t)length : 0;
    nb_status status = nb_array_blank(space, 1, &n, out, error);
    for (size_t i = 0; status == NB_OK && i < n; i++)
        (*out)->data[i] = (float)(start + (double)i * step);
    return status;
}

nb_status nb_array_linspace(nb_array_space *space, double start, double stop, size_t n, nb_array **out,
                            nb_error *error)
{
    *out = NULL;
    if (!isfinite(start) || !isfinite(stop))
        return nb_fail(error, NB_ERR_ARGUMENT, "linspace: both ends are finite numbers");
    nb_status status = nb_array_blank(space, 1, &n, out, error);
    if (status != NB_OK)
        return status;
    const double step = n > 1 ? (stop - start) / (double)(n - 1) : 0;
    for (size_t i = 0; i < n; i++)
        (*out)->data[i] = (float)(start + (double)i * step);
    if (n > 1)
        (*out)->data[n - 1] = (float)stop;
    return NB_OK;
}

nb_status nb_array_eye(nb_array_space *space, size_t n, nb_array **out, nb_error *error)
{
    const size_t dims[] = {n, n};
    nb_status status = nb_array_create(space, 2, dims, out, error);
    for (size_t i = 0; status == NB_OK && i < n; i++)
        (*out)->data[i * n + i] = 1;
    return status;
}

static nb_status make_random(nb_array_space *space, int n_dims, const size_t *dims,
                             double (*next)(nb_random *), nb_random *random, nb_array **out, nb_error *error)
{
    nb_status status = nb_array_blank(space, n_dims, dims, out, error);
    if (status != NB_OK)
        return status;
    const size_t size = (*out)->size;
    for (size_t begin = 0; begin < size && !nb_array_stopped(space); begin += STRETCH)
        for (size_t i = begin; i < nb_min_size(begin + STRETCH, size); i++)
            (*out)->data[i] = (float)next(random);
    return nb_array_finish(space, out, error);
}

nb_status nb_array_randn(nb_array_space *space, int n_dims, const size_t *dims, nb_random *random,
                         nb_array **out, nb_error *error)
{
    return make_random(space, n_dims, dims, nb_random_normal, random, out, error);
}

/* 24 random bits, so that rounding to f32 never makes 1. */
static double uniform_f32(nb_random *random)
{
    return (double)(nb_random_u64(random) >> 40) * 0x1p-24;
}

nb_status nb_array_rand(nb_array_space *space, int n_dims, const size_t *dims, nb_random *random,
                        nb_array **out, nb_error *error)
{
    return make_random(space, n_dims, dims, uniform_f32, random, out, error);
}
