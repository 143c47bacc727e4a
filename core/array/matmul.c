/* Matrix products, by the kernels that run models: every number of the result walks k forwards, alone. */
#include "array/parts.h"
#include "base/memory.h"
#include "kernels/kernels.h"

#include <string.h>

/* AT_ONCE: multiplications between two looks at the wish to stop. */
enum { DIMS = NB_ARRAY_MAX_DIMS, AT_ONCE = 1 << 30 };

/* c [batch][n][m] = a [batch][n][k] b [batch][k][m]; a_steps, b_steps: numbers from one matrix of a batch
 * dimension to the next, 0 where it is broadcast. */
typedef struct product {
    nb_array_space *space;
    size_t n, k, m;
    int n_batch_dims;
    size_t batch_dims[DIMS], a_steps[DIMS], b_steps[DIMS];
    const float *a, *b;
    float *c;
} product;

/* The right matrix as the engine's kernels read it: strips of 16 columns. */
static nb_status pack(const product *p, const float *b, nb_packed **out, nb_error *error)
{
    const nb_quantizer f32 = {.format = &nb_format_f32};
    nb_status status = nb_packed_create(&f32, p->m, p->k, out, error);
    for (size_t group = 0; status == NB_OK && group < (*out)->n_row_groups; group++) {
        const size_t width = nb_min_size(NB_ROWS, p->m - group * NB_ROWS);
        uint8_t *strip = (*out)->codes + group * (*out)->row_group_bytes;
        for (size_t i = 0; i < p->k; i++)
            memcpy(strip + i * NB_ROWS * sizeof *b, b + i * p->m + group * NB_ROWS, width * sizeof *b);
    }
    return status;
}

/* c [n][m] = a [n][k] packed, some rows at a time. */
static void multiply(const product *p, const float *a, const nb_packed *packed, float *c)
{
    const size_t at_once = nb_max_size(1, AT_ONCE / (p->k * p->m));
    for (size_t row = 0; row < p->n && !nb_array_stopped(p->space); row += at_once) {
        const nb_acts acts = {.n_tokens = nb_min_size(at_once, p->n - row),
                              .n_cols = p->k,
                              .f32 = a + row * p->k,
                              .f32_stride = p->k};
        nb_matmul(p->space->context, packed, &acts, c + row * p->m, p->m);
    }
}

/* One pair of matrices after the other; what is broadcast on the right is packed once. */
static nb_status run(const product *p, size_t n_matrices, nb_error *error)
{
    nb_packed *packed = NULL;
    const float *packed_from = NULL;
    nb_status status = NB_OK;
    for (size_t i = 0; i < n_matrices && status == NB_OK && !nb_array_stopped(p->space); i++) {
        size_t batch = i, a_offset = 0, b_offset = 0;
        for (int d = p->n_batch_dims - 1; d >= 0; d--) {
            a_offset += batch % p->batch_dims[d] * p->a_steps[d];
            b_offset += batch % p->batch_dims[d] * p->b_steps[d];
            batch /= p->batch_dims[d];
        }
        if (p->b + b_offset != packed_from) {
            nb_packed_destroy(&packed);
            status = pack(p, p->b + b_offset, &packed, error);
            packed_from = p->b + b_offset;
        }
        if (status == NB_OK)
            multiply(p, p->a + a_offset, packed, p->c + i * p->n * p->m);
    }
    nb_packed_destroy(&packed);
    return status;
}

static nb_status refuse(const nb_array *a, const nb_array *b, const char *why, nb_error *error)
{
    char left[96], right[96];
    return nb_fail(error, NB_ERR_ARGUMENT, "matmul: %s and %s do not multiply: %s",
                   nb_array_shape(a, left, sizeof left), nb_array_shape(b, right, sizeof right), why);
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

nb_status nb_array_matmul(nb_array_space *space, const nb_array *a, const nb_array *b, nb_array **out,
                          nb_error *error)
{
    *out = NULL;
    if (a->n_dims == 0 || b->n_dims == 0)
        return refuse(a, b, "a number has no rows; use *", error);
    const bool row = a->n_dims == 1, column = b->n_dims == 1;
    product p = {.space = space,
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
    if ((*out)->size > 0 && p.k > 0)
        status = run(&p, n_matrices, error);
    if (status != NB_OK) {
        nb_array_release(out);
        return status;
    }
    return nb_array_finish(space, out, error);
}
