#include "quant/gptq_solver.h"

#include "base/memory.h"
#include "base/print.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The factorization goes from the last block of columns to the first: the block itself in f64, then the rows above it,
 * then what they take from the rest of the upper half, as the engine's f32 matmuls. The lower half keeps the matrix, so
 * that more damping can be tried. */
enum { BLOCK = 128, TILE = 192, AT_ONCE = 32 /* groups of 16 columns: the kernel copies so many once for all rows of a tile */ };

/* A pivot that has lost this much of its diagonal to rounding says nothing any more. */
static const double least_pivot = 0x1p-20;

typedef struct factoring {
    nb_context *context;
    size_t n, stride; /* of a: a multiple of 16 */
    float *a;         /* [n][stride] */
    float *diagonal;  /* [n]: H's, undamped */
    double mean;      /* of those that are not dead */
    float *panel;     /* [groups of 16 columns][BLOCK][16]: the block's columns of the rows above it */
    float *inverse;   /* [BLOCK / 16][BLOCK][16]: of the block's factor */
    float *products;  /* [threads][TILE][AT_ONCE * 16] */
    size_t begin, end; /* the block's columns */
} factoring;

nb_packed nb_gptq_panel(float *codes, size_t n_rows, size_t n_columns)
{
    return (nb_packed){.quantizer = {.format = &nb_format_f32},
                       .n_rows = n_rows,
                       .n_cols = n_columns,
                       .n_row_groups = nb_div_up(n_rows, NB_ROWS),
                       .row_group_bytes = n_columns * NB_ROWS * sizeof(float),
                       .codes = (uint8_t *)codes,
                       .tensor_scale = 1.0f};
}

/* ---- the matrix in its order ---- */

typedef struct by_diagonal {
    float value;
    uint32_t column;
} by_diagonal;

/* The largest first; of equal ones the first. */
static int compare_diagonal(const void *a, const void *b)
{
    const by_diagonal *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->column < y->column ? -1 : 1;
}

static bool sort_columns(const float *diagonal, nb_gptq_solver *s)
{
    by_diagonal *columns = nb_calloc(s->n, sizeof *columns);
    s->order = nb_calloc(s->n, sizeof *s->order);
    for (size_t i = 0; columns && i < s->n; i++)
        columns[i] = (by_diagonal){diagonal[i], (uint32_t)i};
    if (columns)
        qsort(columns, s->n, sizeof *columns, compare_diagonal);
    for (size_t i = 0; columns && s->order && i < s->n; i++)
        s->order[i] = columns[i].column;
    free(columns);
    return columns && s->order;
}

static nb_status read_diagonal(const char *what, const float *hessian, nb_gptq_solver *s, float *diagonal,
                               nb_error *error)
{
    char value[32];
    for (size_t i = 0; i < s->n; i++) {
        diagonal[i] = hessian[i * s->n + i];
        if (!isfinite(diagonal[i]) || diagonal[i] < 0)
            return nb_fail(error, NB_ERR_ARGUMENT, "%s: its Hessian has %s on the diagonal (column %zu)", what,
                           nb_print_f32(value, sizeof value, diagonal[i]), i);
        s->dead[i] = diagonal[i] == 0;
        s->n_dead += s->dead[i];
    }
    return NB_OK;
}

/* Columns that nothing flows into get a 1 on the diagonal: whatever stands there does no harm. */
static void copy_matrix(const float *hessian, const nb_gptq_solver *s, factoring *f, const float *diagonal)
{
    for (size_t i = 0; i < s->n; i++) {
        const size_t row = s->order ? s->order[i] : i;
        float *to = f->a + i * f->stride;
        for (size_t j = 0; j < s->n; j++)
            to[j] = hessian[row * s->n + (s->order ? s->order[j] : j)];
        f->diagonal[i] = s->dead[row] ? 1 : diagonal[row];
        f->mean += (double)diagonal[row];
    }
    f->mean /= (double)nb_max_size(1, s->n - s->n_dead);
}

/* The upper half and the diagonal anew, with damping. */
static void damp_matrix(factoring *f, double damp)
{
    for (size_t i = 0; i < f->n; i++) {
        for (size_t j = i + 1; j < f->n; j++)
            f->a[i * f->stride + j] = f->a[j * f->stride + i];
        f->a[i * f->stride + i] = (float)((double)f->diagonal[i] + damp * f->mean);
    }
}

/* ---- one block ---- */

/* D = R R^T in f64, from the last column to the first; false if D is not positive definite. */
static bool factor_square(size_t n, double d[BLOCK][BLOCK], const double *least)
{
    for (size_t j = n; j-- > 0;) {
        double pivot = d[j][j];
        for (size_t k = j + 1; k < n; k++)
            pivot -= d[j][k] * d[j][k];
        if (!(pivot > least[j]))
            return false;
        d[j][j] = sqrt(pivot);
        for (size_t i = 0; i < j; i++) {
            double sum = d[i][j];
            for (size_t k = j + 1; k < n; k++)
                sum -= d[i][k] * d[j][k];
            d[i][j] = sum / d[j][j];
        }
    }
    return true;
}

/* The inverse of the upper triangular r, as the matrix that the rows above are multiplied by: for output column j
 * interleaved in groups of 16, inputs k. */
static void invert_square(size_t n, double r[BLOCK][BLOCK], float *out)
{
    double inverse[BLOCK][BLOCK] = {{0}};
    for (size_t j = 0; j < n; j++)
        for (size_t i = j + 1; i-- > 0;) {
            double sum = i == j;
            for (size_t k = i + 1; k <= j; k++)
                sum -= r[i][k] * inverse[k][j];
            inverse[i][j] = sum / r[i][i];
        }
    memset(out, 0, BLOCK * BLOCK * sizeof *out);
    for (size_t j = 0; j < n; j++)
        for (size_t k = j; k < n; k++)
            out[(j / NB_ROWS * n + k) * NB_ROWS + j % NB_ROWS] = (float)inverse[j][k];
}

static bool factor_block(factoring *f)
{
    double d[BLOCK][BLOCK], least[BLOCK];
    const size_t n = f->end - f->begin;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++)
            d[i][j] = (double)f->a[(f->begin + i) * f->stride + f->begin + j];
        least[i] = least_pivot * (double)f->diagonal[f->begin + i];
    }
    if (!factor_square(n, d, least))
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            f->a[(f->begin + i) * f->stride + f->begin + j] = (float)d[i][j];
    invert_square(n, d, f->inverse);
    return true;
}

/* Rows of tiles [begin, end) above the block: R = A R_block^-T, in their places and in the panel. */
static void solve_tiles(void *user, size_t begin, size_t end, unsigned thread)
{
    const factoring *f = user;
    const size_t n = f->end - f->begin;
    float *product = f->products + thread * (size_t)(TILE * AT_ONCE * NB_ROWS);
    const nb_packed inverse = nb_gptq_panel(f->inverse, n, n);
    for (size_t tile = begin; tile < end; tile++) {
        const size_t first = tile * TILE, n_rows = nb_min_size(TILE, f->begin - first);
        float *a = f->a + first * f->stride + f->begin;
        const nb_acts acts = {.n_tokens = n_rows, .n_cols = n, .f32 = a, .f32_stride = f->stride};
        f->context->kernels->matmul_f32(&inverse, 0, inverse.n_row_groups, &acts, product, n);
        for (size_t r = 0; r < n_rows; r++) {
            const size_t row = first + r;
            memcpy(a + r * f->stride, product + r * n, n * sizeof *a);
            for (size_t k = 0; k < n; k++)
                f->panel[(row / NB_ROWS * n + k) * NB_ROWS + row % NB_ROWS] = product[r * n + k];
        }
    }
}

/* What the block takes from tiles [begin, end) of the upper half above it. */
static void update_tiles(void *user, size_t begin, size_t end, unsigned thread)
{
    const factoring *f = user;
    const size_t n = f->end - f->begin, n_groups = nb_div_up(f->begin, NB_ROWS);
    float *product = f->products + thread * (size_t)(TILE * AT_ONCE * NB_ROWS);
    for (size_t tile = begin; tile < end; tile++) {
        const size_t first = tile * TILE, n_rows = nb_min_size(TILE, f->begin - first);
        const nb_acts acts = {.n_tokens = n_rows,
                              .n_cols = n,
                              .f32 = f->a + first * f->stride + f->begin,
                              .f32_stride = f->stride};
        for (size_t group = first / NB_ROWS; group < n_groups; group += AT_ONCE) {
            const size_t column = group * NB_ROWS;
            const size_t n_columns = nb_min_size(AT_ONCE * NB_ROWS, f->begin - column);
            const nb_packed panel = nb_gptq_panel(f->panel + group * n * NB_ROWS, n_columns, n);
            f->context->kernels->matmul_f32(&panel, 0, panel.n_row_groups, &acts, product, n_columns);
            for (size_t r = 0; r < n_rows; r++) {
                float *a = f->a + (first + r) * f->stride + column;
                const float *p = product + r * n_columns;
                for (size_t j = 0; j < n_columns; j++)
                    if (column + j >= first + r) /* the lower half is needed as it is */
                        a[j] = a[j] - p[j];
            }
        }
    }
}

/* 0: not positive definite; else 1, or -1 for a wish to stop. */
static int factor_matrix(factoring *f, const char *what, nb_error *error)
{
    const size_t n_blocks = nb_div_up(f->n, BLOCK);
    nb_pool *pool = f->context->pool;
    for (size_t b = n_blocks; b-- > 0;) {
        f->begin = b * BLOCK;
        f->end = nb_min_size(f->n, f->begin + BLOCK);
        if (!factor_block(f))
            return 0;
        nb_parallel(pool, nb_div_up(f->begin, TILE), 1, solve_tiles, f);
        nb_parallel(pool, nb_div_up(f->begin, TILE), 1, update_tiles, f);
        if (nb_context_tick(f->context, what, n_blocks - b, n_blocks, "blocks", error) != NB_OK)
            return -1;
    }
    return 1;
}

/* ---- what is kept of it ---- */

static size_t step_rows(const nb_gptq_solver *s, size_t step, size_t *first)
{
    const size_t begin = step * NB_GPTQ_STEP;
    const size_t block_end = nb_min_size(s->n, (begin / s->block + 1) * s->block);
    *first = nb_min_size(begin + NB_GPTQ_STEP, block_end);
    return block_end - *first;
}

static size_t block_rows(const nb_gptq_solver *s, size_t block, size_t *first)
{
    *first = nb_min_size(s->n, (block + 1) * s->block);
    return s->n - *first;
}

static bool reserve_panels(nb_gptq_solver *s)
{
    const size_t n_steps = nb_div_up(s->n, NB_GPTQ_STEP), n_blocks = nb_div_up(s->n, s->block);
    size_t total_steps = 0, total_blocks = 0, first;
    s->step_at = nb_calloc(n_steps + 1, sizeof *s->step_at);
    s->block_at = nb_calloc(n_blocks + 1, sizeof *s->block_at);
    if (!s->step_at || !s->block_at)
        return false;
    for (size_t i = 0; i < n_steps; i++) {
        s->step_at[i] = total_steps;
        total_steps += nb_round_up(step_rows(s, i, &first), NB_ROWS) * NB_GPTQ_STEP;
    }
    for (size_t i = 0; i < n_blocks; i++) {
        s->block_at[i] = total_blocks;
        total_blocks += nb_round_up(block_rows(s, i, &first), NB_ROWS) * s->block;
    }
    s->step_at[n_steps] = total_steps;
    s->block_at[n_blocks] = total_blocks;
    s->diagonal = nb_aligned_calloc(s->n, sizeof(float));
    s->near = nb_aligned_calloc(s->n, NB_GPTQ_STEP * sizeof(float));
    s->steps = nb_aligned_calloc(total_steps + 1, sizeof(float));
    s->blocks = nb_aligned_calloc(total_blocks + 1, sizeof(float));
    return s->diagonal && s->near && s->steps && s->blocks;
}

/* Rows [first, first + n_rows) of the transpose, columns [begin, end), 16 rows interleaved. */
static void copy_panel(const factoring *f, const float *inverse, size_t begin, size_t end, size_t first, size_t n_rows,
                       float *out)
{
    for (size_t i = begin; i < end; i++)
        for (size_t j = 0; j < n_rows; j++)
            out[(j / NB_ROWS * (end - begin) + i - begin) * NB_ROWS + j % NB_ROWS] =
                f->a[i * f->stride + first + j] * inverse[first + j];
}

static bool keep_factor(const factoring *f, nb_gptq_solver *s)
{
    size_t first, n_rows;
    float *inverse = nb_calloc(s->n, sizeof *inverse);
    if (!inverse || !reserve_panels(s)) {
        free(inverse);
        return false;
    }
    for (size_t i = 0; i < s->n; i++) {
        const float diagonal = f->a[i * f->stride + i];
        s->diagonal[i] = s->dead[s->order ? s->order[i] : i] ? 0 : diagonal;
        inverse[i] = 1 / diagonal;
    }
    for (size_t i = 0; i < s->n; i++) {
        const size_t begin = i / NB_GPTQ_STEP * NB_GPTQ_STEP, end = nb_min_size(s->n, begin + NB_GPTQ_STEP);
        for (size_t j = i + 1; j < end; j++)
            s->near[i * NB_GPTQ_STEP + j - begin] = f->a[i * f->stride + j] * inverse[j];
    }
    for (size_t i = 0; i * NB_GPTQ_STEP < s->n; i++) {
        n_rows = step_rows(s, i, &first);
        copy_panel(f, inverse, i * NB_GPTQ_STEP, nb_min_size(s->n, (i + 1) * NB_GPTQ_STEP), first, n_rows,
                   s->steps + s->step_at[i]);
    }
    for (size_t i = 0; i * s->block < s->n; i++) {
        n_rows = block_rows(s, i, &first);
        copy_panel(f, inverse, i * s->block, nb_min_size(s->n, (i + 1) * s->block), first, n_rows,
                   s->blocks + s->block_at[i]);
    }
    free(inverse);
    return true;
}

/* ---- all of it ---- */

static bool create_factoring(nb_context *context, size_t n, factoring *f)
{
    size_t size;
    f->context = context;
    f->n = n;
    f->stride = nb_round_up(n, NB_ROWS) + NB_ROWS;
    if (!nb_mul_size(n, f->stride, &size))
        return false;
    f->a = nb_aligned_calloc(size, sizeof(float));
    f->diagonal = nb_aligned_calloc(n, sizeof(float));
    f->panel = nb_aligned_calloc(nb_round_up(n, NB_ROWS), BLOCK * sizeof(float));
    f->inverse = nb_aligned_calloc(BLOCK * BLOCK, sizeof(float));
    f->products = nb_aligned_calloc(nb_pool_size(context->pool), TILE * AT_ONCE * NB_ROWS * sizeof(float));
    return f->a && f->diagonal && f->panel && f->inverse && f->products;
}

static void free_factoring(factoring *f)
{
    nb_aligned_free(f->a);
    nb_aligned_free(f->diagonal);
    nb_aligned_free(f->panel);
    nb_aligned_free(f->inverse);
    nb_aligned_free(f->products);
}

/* Tries with more and more damping. */
static nb_status factor(factoring *f, const char *what, nb_gptq_solver *s, nb_error *error)
{
    char wanted[32];
    const double first = s->damp;
    for (;;) {
        damp_matrix(f, s->damp);
        const int result = factor_matrix(f, what, error);
        if (result < 0)
            return NB_ERR_CANCELLED;
        if (result > 0)
            return NB_OK;
        if (s->damp >= 1)
            break;
        s->damp = s->damp < 0.001 ? 0.001 : fmin(1, s->damp < 0.05 ? s->damp + 0.01 : 2 * s->damp);
    }
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "%s: its Hessian cannot be factored, with a damping of %s nor with more; calibrate with more text",
                   what, nb_print_general(wanted, sizeof wanted, first, 3));
}

void nb_gptq_solver_destroy(nb_gptq_solver **solver)
{
    nb_gptq_solver *s = *solver;
    if (!s)
        return;
    free(s->order);
    free(s->dead);
    free(s->step_at);
    free(s->block_at);
    nb_aligned_free(s->diagonal);
    nb_aligned_free(s->near);
    nb_aligned_free(s->steps);
    nb_aligned_free(s->blocks);
    free(s);
    *solver = NULL;
}

nb_status nb_gptq_solver_create(nb_context *context, const char *what, const float *hessian, size_t n, size_t block,
                                const nb_gptq_options *options, nb_gptq_solver **out, nb_error *error)
{
    *out = NULL;
    factoring f = {0};
    nb_status status = NB_OK;
    nb_gptq_solver *s = nb_calloc(1, sizeof *s);
    float *diagonal = nb_calloc(n, sizeof *diagonal);
    if (s) {
        s->n = n;
        s->block = block;
        s->damp = options->damp;
        s->dead = nb_calloc(n, sizeof *s->dead);
    }
    const bool made = s && s->dead && diagonal && create_factoring(context, n, &f);
    if (made)
        status = read_diagonal(what, hessian, s, diagonal, error);
    if (!made || (status == NB_OK && options->act_order && !sort_columns(diagonal, s)))
        status = nb_fail(error, NB_ERR_MEMORY,
                         "%s: no memory to factor a Hessian of %zu columns, which takes twice their square in floats",
                         what, n);
    if (status == NB_OK) {
        copy_matrix(hessian, s, &f, diagonal);
        status = factor(&f, what, s, error);
    }
    if (status == NB_OK && !keep_factor(&f, s))
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory for the factors of a Hessian of %zu columns", what, n);
    free_factoring(&f);
    free(diagonal);
    if (status == NB_OK)
        *out = s;
    else
        nb_gptq_solver_destroy(&s);
    return status;
}
