#include "quant/hessian.h"

#include "base/memory.h"
#include "base/print.h"
#include "kernels/kernels.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A product of two columns over a chunk of tokens is the engine's f32 matmul: the columns of x are the "rows" of a
 * matrix and, turned, the "tokens" that it multiplies. Only the upper half is computed, by tiles of TILE rows. */
enum { CHUNK = 512, TILE = 192, AT_ONCE = 32 /* groups of 16 columns: the kernel copies so many once for all rows of a tile */ };

struct nb_hessian {
    nb_context *context;
    size_t n, n_groups; /* columns; groups of 16 of them */
    float *sums;        /* [n][n] */
    float *packed;      /* [n_groups][CHUNK][16] */
    float *turned;      /* [n_groups * 16][turned_stride()] */
    float *products;    /* [threads][TILE][AT_ONCE * 16] */
    size_t n_filled;    /* tokens of the chunk */
    uint64_t n_tokens;
    bool finished;
};

/* No power of two: the lines that a column is written to must not meet in the cache. */
static size_t turned_stride(void)
{
    return CHUNK + NB_ROWS;
}

void nb_hessian_destroy(nb_hessian **hessian)
{
    nb_hessian *h = *hessian;
    if (!h)
        return;
    nb_aligned_free(h->sums);
    nb_aligned_free(h->packed);
    nb_aligned_free(h->turned);
    nb_aligned_free(h->products);
    free(h);
    *hessian = NULL;
}

nb_status nb_hessian_create(nb_context *context, size_t n_cols, nb_hessian **out, nb_error *error)
{
    *out = NULL;
    size_t n_sums;
    nb_hessian *h = nb_calloc(1, sizeof *h);
    if (h && nb_mul_size(n_cols, n_cols, &n_sums)) {
        h->context = context;
        h->n = n_cols;
        h->n_groups = nb_div_up(n_cols, NB_ROWS);
        h->sums = nb_aligned_calloc(n_sums, sizeof(float));
        h->packed = nb_aligned_calloc(h->n_groups * NB_ROWS, CHUNK * sizeof(float));
        h->turned = nb_aligned_calloc(h->n_groups * NB_ROWS, turned_stride() * sizeof(float));
        h->products = nb_aligned_calloc(nb_pool_size(context->pool), TILE * AT_ONCE * NB_ROWS * sizeof(float));
    }
    if (h && h->sums && h->packed && h->turned && h->products) {
        *out = h;
        return NB_OK;
    }
    nb_hessian_destroy(&h);
    return nb_fail(error, NB_ERR_MEMORY,
                   "no memory for the Hessian of %zu columns, which takes their square in floats; choose fewer layers",
                   n_cols);
}

/* ---- a chunk of tokens ---- */

typedef struct rows {
    nb_hessian *h;
    const float *x;
    size_t stride, n;
} rows;

/* Groups [begin, end) of columns of the new rows, into their places in the chunk. */
static void take_columns(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const rows *job = user;
    const nb_hessian *h = job->h;
    for (size_t group = begin; group < end; group++) {
        const size_t first = group * NB_ROWS, n = nb_min_size(NB_ROWS, h->n - first);
        float *to = h->packed + (group * CHUNK + h->n_filled) * NB_ROWS;
        for (size_t t = 0; t < job->n; t++)
            memcpy(to + t * NB_ROWS, job->x + t * job->stride + first, n * sizeof *to);
    }
}

static void turn_columns(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const nb_hessian *h = user;
    for (size_t group = begin; group < end; group++) {
        const float *from = h->packed + group * CHUNK * NB_ROWS;
        float *to = h->turned + group * NB_ROWS * turned_stride();
        for (size_t t = 0; t < h->n_filled; t++)
            for (size_t i = 0; i < NB_ROWS; i++)
                to[i * turned_stride() + t] = from[t * NB_ROWS + i];
    }
}

/* Adds the chunk's products to rows [first, first + n_rows) of the sums, from the group of the first row on. */
static void add_products(nb_hessian *h, size_t first, size_t n_rows, float *product)
{
    const nb_quantizer f32 = {.format = &nb_format_f32};
    const nb_acts acts = {.n_tokens = n_rows,
                          .n_cols = h->n_filled,
                          .f32 = h->turned + first * turned_stride(),
                          .f32_stride = turned_stride()};
    for (size_t group = first / NB_ROWS; group < h->n_groups; group += AT_ONCE) {
        const size_t n_groups = nb_min_size(AT_ONCE, h->n_groups - group), column = group * NB_ROWS;
        const size_t n = nb_min_size(n_groups * NB_ROWS, h->n - column);
        const nb_packed columns = {.quantizer = f32,
                                   .n_rows = n,
                                   .n_cols = h->n_filled,
                                   .n_row_groups = n_groups,
                                   .row_group_bytes = CHUNK * NB_ROWS * sizeof(float),
                                   .codes = (uint8_t *)(h->packed + group * CHUNK * NB_ROWS),
                                   .tensor_scale = 1.0f};
        h->context->kernels->matmul_f32(&columns, 0, n_groups, &acts, product, n);
        for (size_t r = 0; r < n_rows; r++)
            h->context->kernels->add(h->sums + (first + r) * h->n + column, product + r * n, n);
    }
}

static void add_tiles(void *user, size_t begin, size_t end, unsigned thread)
{
    nb_hessian *h = user;
    float *product = h->products + thread * (size_t)(TILE * AT_ONCE * NB_ROWS);
    for (size_t tile = begin; tile < end; tile++)
        add_products(h, tile * TILE, nb_min_size(TILE, h->n - tile * TILE), product);
}

static void add_chunk(nb_hessian *h)
{
    nb_pool *pool = h->context->pool;
    nb_parallel(pool, h->n_groups, 4, turn_columns, h);
    nb_parallel(pool, nb_div_up(h->n, TILE), 1, add_tiles, h);
    h->n_filled = 0;
}

void nb_hessian_add(nb_hessian *h, const float *x, size_t n_tokens, size_t stride)
{
    assert(!h->finished);
    for (size_t done = 0; done < n_tokens;) {
        rows job = {h, x + done * stride, stride, nb_min_size(CHUNK - h->n_filled, n_tokens - done)};
        nb_parallel(h->context->pool, h->n_groups, 16, take_columns, &job);
        h->n_filled += job.n;
        done += job.n;
        if (h->n_filled == CHUNK)
            add_chunk(h);
    }
    h->n_tokens += n_tokens;
}

/* ---- the matrix ---- */

enum { MIRROR = 64 };

/* Rows [begin, end) of squares: the mean in the upper half, and the same in the lower. */
static void mirror_squares(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const nb_hessian *h = user;
    const float by = (float)(2.0 / (double)h->n_tokens);
    for (size_t square = begin; square < end; square++)
        for (size_t other = square * MIRROR; other < h->n; other += MIRROR)
            for (size_t i = square * MIRROR; i < nb_min_size(h->n, (square + 1) * MIRROR); i++)
                for (size_t j = nb_max_size(i, other); j < nb_min_size(h->n, other + MIRROR); j++) {
                    h->sums[i * h->n + j] *= by;
                    h->sums[j * h->n + i] = h->sums[i * h->n + j];
                }
}

nb_status nb_hessian_finish(nb_hessian *h, const char *what, const float **out, nb_error *error)
{
    if (h->n_tokens == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: no token of the calibration text reached it", what);
    if (!h->finished) {
        if (h->n_filled > 0)
            add_chunk(h);
        nb_parallel(h->context->pool, nb_div_up(h->n, MIRROR), 1, mirror_squares, h);
        h->finished = true;
    }
    for (size_t i = 0; i < h->n; i++) {
        char value[32];
        if (!isfinite(h->sums[i * h->n + i]))
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "%s: the mean square of what flows into column %zu is %s; a model whose activations are not "
                           "finite cannot be calibrated",
                           what, i, nb_print_f32(value, sizeof value, h->sums[i * h->n + i]));
    }
    *out = h->sums;
    return NB_OK;
}

uint64_t nb_hessian_n_tokens(const nb_hessian *hessian)
{
    return hessian->n_tokens;
}
