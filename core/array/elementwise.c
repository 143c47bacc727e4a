/* Broadcasting: any operands become loops over stretches in which each of them steps by 1 or stands still. */
#include "array/kernels.h"
#include "array/parts.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { MAX_OPERANDS = 3, DIMS = NB_ARRAY_MAX_DIMS, STRETCH = 1 << 20 };

/* The result's dimensions, merged where all operands run on; steps[k][d] in numbers of operand k. */
typedef struct walk {
    int n_dims; /* 1 at least */
    size_t dims[DIMS];
    size_t steps[MAX_OPERANDS][DIMS];
} walk;

typedef struct job {
    nb_array_space *space;
    int n_operands;
    walk walk;
    const float *data[MAX_OPERANDS];
    float numbers[MAX_OPERANDS]; /* what a number operand's data points at */
    float *out;
    nb_unary_fn *unary;
    nb_binary_fn *binary;
    nb_ternary_fn *ternary;
} job;

/* How long operand `x` is in dimension `d` of a result with n_dims. */
static size_t length_at(const nb_array *x, int n_dims, int d)
{
    const int own = d - (n_dims - x->n_dims);
    return own < 0 ? 1 : x->dims[own];
}

static nb_status broadcast(const char *what, const nb_operand *operands, int n, int *n_dims,
                           size_t dims[DIMS], nb_error *error)
{
    *n_dims = 0;
    for (int k = 0; k < n; k++)
        if (operands[k].array && operands[k].array->n_dims > *n_dims)
            *n_dims = operands[k].array->n_dims;
    for (int d = 0; d < *n_dims; d++) {
        dims[d] = 1;
        const nb_array *from = NULL; /* the array that dims[d] comes from */
        for (int k = 0; k < n; k++) {
            const nb_array *x = operands[k].array;
            const size_t length = x ? length_at(x, *n_dims, d) : 1;
            if (length == 1 || length == dims[d])
                continue;
            if (from) {
                char a[96], b[96], advice[96] = "";
                const nb_array *matrix = from->n_dims == 2 ? from : x, *vector = matrix == from ? x : from;
                if (matrix->n_dims == 2 && vector->n_dims == 1 && vector->dims[0] == matrix->dims[0])
                    snprintf(advice, sizeof advice, "; one for each row is %zu x 1, as keep=1 leaves it",
                             matrix->dims[0]);
                return nb_fail(error, NB_ERR_ARGUMENT, "%s: %s and %s do not broadcast%s", what,
                               nb_array_shape(from, a, sizeof a), nb_array_shape(x, b, sizeof b), advice);
            }
            dims[d] = length;
            from = x;
        }
    }
    return NB_OK;
}

static void own_steps(const nb_array *x, int n_dims, size_t steps[DIMS])
{
    size_t step = 1;
    for (int d = n_dims - 1; d >= 0; d--) {
        const size_t length = x ? length_at(x, n_dims, d) : 1;
        steps[d] = length == 1 ? 0 : step;
        step *= length;
    }
}

/* Dimensions of length 1 go; neighbours merge where every operand's outer step is its inner step times the
 * length. */
static void make_walk(const nb_operand *operands, int n, int n_dims, const size_t dims[DIMS], walk *out)
{
    size_t steps[MAX_OPERANDS][DIMS];
    for (int k = 0; k < n; k++)
        own_steps(operands[k].array, n_dims, steps[k]);
    *out = (walk){.n_dims = 0};
    for (int d = 0; d < n_dims; d++) {
        if (dims[d] == 1)
            continue;
        int last = out->n_dims - 1;
        bool merges = last >= 0;
        for (int k = 0; k < n && merges; k++)
            merges = out->steps[k][last] == steps[k][d] * dims[d];
        if (merges)
            out->dims[last] *= dims[d];
        else
            out->dims[last = out->n_dims++] = dims[d];
        for (int k = 0; k < n; k++)
            out->steps[k][last] = steps[k][d];
    }
    if (out->n_dims == 0) {
        out->n_dims = 1;
        out->dims[0] = 1;
    }
}

static void run_stretch(const job *job, const size_t offsets[MAX_OPERANDS], size_t n, float *out)
{
    const int inner = job->walk.n_dims - 1;
    const float *at[MAX_OPERANDS] = {NULL};
    size_t steps[MAX_OPERANDS] = {0};
    for (int k = 0; k < job->n_operands; k++) {
        at[k] = job->data[k] + offsets[k];
        steps[k] = job->walk.steps[k][inner];
    }
    if (job->unary)
        job->unary(at[0], n, out);
    else if (job->binary)
        job->binary(at[0], steps[0], at[1], steps[1], n, out);
    else
        job->ternary(at[0], steps[0], at[1], steps[1], at[2], steps[2], n, out);
}

/* Numbers [begin, end) of the result. */
static void run_range(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const job *job = user;
    const walk *w = &job->walk;
    const int inner = w->n_dims - 1;
    while (begin < end && !nb_array_stopped(job->space)) {
        size_t index = begin, offsets[MAX_OPERANDS] = {0}, column = 0;
        for (int d = inner; d >= 0; d--) {
            const size_t i = index % w->dims[d];
            index /= w->dims[d];
            column = d == inner ? i : column;
            for (int k = 0; k < job->n_operands; k++)
                offsets[k] += i * w->steps[k][d];
        }
        const size_t n = nb_min_size(nb_min_size(w->dims[inner] - column, end - begin), STRETCH);
        run_stretch(job, offsets, n, job->out + begin);
        begin += n;
    }
}

static nb_status run(const char *what, nb_array_space *space, const nb_operand *operands, job *job,
                     nb_array **out, nb_error *error)
{
    int n_dims;
    size_t dims[DIMS];
    *out = NULL;
    nb_status status = broadcast(what, operands, job->n_operands, &n_dims, dims, error);
    if (status == NB_OK)
        status = nb_array_blank(space, n_dims, dims, out, error);
    if (status != NB_OK)
        return status;
    for (int k = 0; k < job->n_operands; k++) {
        job->numbers[k] = (float)operands[k].number;
        job->data[k] = operands[k].array ? operands[k].array->data : &job->numbers[k];
    }
    make_walk(operands, job->n_operands, n_dims, dims, &job->walk);
    job->space = space;
    job->out = (*out)->data;
    nb_array_parallel(space, (*out)->size, 1, run_range, job);
    return nb_array_finish(space, out, error);
}

nb_status nb_array_unary(nb_array_space *space, nb_unary op, const nb_array *x, nb_array **out,
                         nb_error *error)
{
    const nb_operand operand = nb_operand_of(x);
    job job = {.n_operands = 1, .unary = nb_array_kernels_of(space->context)->unary[op]};
    return run(nb_unary_name(op), space, &operand, &job, out, error);
}

nb_status nb_array_binary(nb_array_space *space, nb_binary op, nb_operand a, nb_operand b, nb_array **out,
                          nb_error *error)
{
    const nb_operand operands[] = {a, b};
    job job = {.n_operands = 2, .binary = nb_array_kernels_of(space->context)->binary[op]};
    return run(nb_binary_name(op), space, operands, &job, out, error);
}

nb_status nb_array_where(nb_array_space *space, nb_operand condition, nb_operand a, nb_operand b,
                         nb_array **out, nb_error *error)
{
    const nb_operand operands[] = {condition, a, b};
    job job = {.n_operands = 3, .ternary = nb_array_kernels_of(space->context)->where};
    return run("where", space, operands, &job, out, error);
}

nb_status nb_array_clamp(nb_array_space *space, nb_operand x, nb_operand low, nb_operand high, nb_array **out,
                         nb_error *error)
{
    const nb_operand operands[] = {x, low, high};
    job job = {.n_operands = 3, .ternary = nb_array_kernels_of(space->context)->clamp};
    return run("clamp", space, operands, &job, out, error);
}
