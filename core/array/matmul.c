/* Matrix products: every number of the result walks k forwards, alone. */
#include "array/kernels.h"
#include "array/parts.h"
#include "base/memory.h"

#include <string.h>

enum { DIMS = NB_ARRAY_MAX_DIMS, ROWS = 4 };

/* c [batch][n][m] = a [batch][n][k] b [batch][k][m]; a_steps, b_steps: numbers from one matrix of a batch dimension to
 * the next, 0 where it is broadcast. */
typedef struct product {
    nb_array_space *space;
    const nb_array_kernels *kernels;
    size_t n, k, m;
    int n_batch_dims;
    size_t batch_dims[DIMS], a_steps[DIMS], b_steps[DIMS];
    const float *a, *b;
    float *c;
} product;

/* Groups of ROWS rows [begin, end), counted over all matrices. */
static void run_groups(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const product *p = user;
    const size_t n_groups = nb_div_up(p->n, ROWS);
    for (size_t i = begin; i < end && !nb_array_stopped(p->space); i++) {
        size_t batch = i / n_groups, a_offset = 0, b_offset = 0;
        const size_t row = i % n_groups * ROWS;
        const size_t at = batch * p->n + row;
        for (int d = p->n_batch_dims - 1; d >= 0; d--) {
            a_offset += batch % p->batch_dims[d] * p->a_steps[d];
            b_offset += batch % p->batch_dims[d] * p->b_steps[d];
            batch /= p->batch_dims[d];
        }
        p->kernels->matmul_rows(p->a + a_offset + row * p->k, nb_min_size(ROWS, p->n - row), p->k, p->b + b_offset, p->m,
                                p->c + at * p->m);
    }
}

static nb_status refuse(const nb_array *a, const nb_array *b, const char *why, nb_error *error)
{
    char left[96], right[96];
    return nb_fail(error, NB_ERR_ARGUMENT, "matmul: %s and %s do not multiply: %s", nb_array_shape(a, left, sizeof left),
                   nb_array_shape(b, right, sizeof right), why);
}

/* Leading dimensions, broadcast; how far apart their matrices lie. */
static bool match_batches(const nb_array *a, const nb_array *b, product *p)
{
    const int n = (a->n_dims > b->n_dims ? a->n_dims : b->n_dims) - 2;
    size_t a_step = p->n * p->k, b_step = p->k * p->m;
    p->n_batch_dims = n > 0 ? n : 0;
    for (int d = p->n_batch_dims - 1; d >= 0; d--) {
        const int own_a = d - (n - (a->n_dims - 2)), own_b = d - (n - (b->n_dims - 2));
        const size_t length_a = own_a >= 0 && a->n_dims > 2 ? a->dims[own_a] : 1;
        const size_t length_b = own_b >= 0 && b->n_dims > 2 ? b->dims[own_b] : 1;
        if (length_a != length_b && length_a != 1 && length_b != 1)
            return false;
        p->batch_dims[d] = length_a == 1 ? length_b : length_a;
        p->a_steps[d] = length_a == 1 ? 0 : a_step;
        p->b_steps[d] = length_b == 1 ? 0 : b_step;
        a_step *= length_a;
        b_step *= length_b;
    }
    return true;
}

nb_status nb_array_matmul(nb_array_space *space, const nb_array *a, const nb_array *b, nb_array **out, nb_error *error)
{
    *out = NULL;
    if (a->n_dims == 0 || b->n_dims == 0)
        return refuse(a, b, "a number has no rows; use *", error);
    const bool row = a->n_dims == 1, column = b->n_dims == 1;
    product p = {.space = space,
                 .kernels = nb_array_kernels_of(space->context),
                 .n = row ? 1 : a->dims[a->n_dims - 2],
                 .k = a->dims[a->n_dims - 1],
                 .m = column ? 1 : b->dims[b->n_dims - 1],
                 .a = a->data,
                 .b = b->data};
    if ((column ? b->dims[0] : b->dims[b->n_dims - 2]) != p.k)
        return refuse(a, b, "the left one's last length is the right one's rows", error);
    if (!match_batches(a, b, &p))
        return refuse(a, b, "their leading dimensions differ", error);
    size_t dims[DIMS], n_matrices;
    int n_dims = p.n_batch_dims;
    memcpy(dims, p.batch_dims, sizeof dims);
    if (!row)
        dims[n_dims++] = p.n;
    if (!column)
        dims[n_dims++] = p.m;
    nb_status status = nb_array_create(space, n_dims, dims, out, error);
    if (status != NB_OK)
        return status;
    p.c = (*out)->data;
    nb_array_count(p.n_batch_dims, p.batch_dims, &n_matrices);
    if ((*out)->size > 0)
        nb_array_parallel(space, n_matrices * nb_div_up(p.n, ROWS), ROWS * (p.k ? p.k : 1) * p.m, run_groups, &p);
    return nb_array_finish(space, out, error);
}
