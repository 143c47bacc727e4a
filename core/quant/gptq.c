#include "quant/gptq.h"

#include "base/memory.h"
#include "base/print.h"
#include "kernels/kernels.h"
#include "quant/code_grid.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows do not know of each other: threads take TILE of them through all columns. Within a step of 32 columns a rounded
 * column is told to the later ones at once, lane = row; a step's errors go to the rest of its block, and a block's to
 * all columns after it, as the engine's f32 matmuls. */
enum { TILE = NB_CODE_GRID_ROWS, STEP = NB_GPTQ_STEP, BLOCK = 128, AT_ONCE = 32, TILES_PER_THREAD = 8 };

typedef struct scratch {
    nb_code_grid grid;
    float *row;     /* [n] as the source has it */
    float *w, *a;   /* [TILE][stride]: the weights in order, and how far they have moved */
    float *errors;  /* [TILE][BLOCK]: w - q of the block */
    float *ahead;   /* [TILE][cell]: moves of a cell that is about to get its scales */
    float *back;    /* [TILE][BLOCK]: the same, turned round */
    float *product; /* [TILE][AT_ONCE * 16] */
    float *cell;    /* [cell]: a cell's columns, as they stand */
    float *weights; /* [cell]: their importance */
} scratch;

/* Sums of one tile, put together in order afterwards. */
typedef struct part {
    double loss, nearest_loss;
    nb_code_grid_problem problem;
    size_t row, column;
    float value;
} part;

typedef struct job {
    nb_context *context;
    const nb_gptq_source *source;
    const nb_gptq_solver *solver;
    const nb_gptq_options *options;
    const float *importance;
    nb_packed *packed;
    size_t n, stride, first_tile;
    bool chooses_first; /* scales come from the weights as the source has them, before anything moves */
    bool in_order;      /* codes stand where the solver's order puts them */
    scratch *scratch; /* [threads] */
    part *parts;      /* [tiles] */
    double *columns;  /* [tiles][3][n]: losses, nearest ones, squares of moves; NULL without a trace */
} job;

void nb_gptq_result_free(nb_gptq_result *result)
{
    free(result->column_loss);
    free(result->column_nearest);
    free(result->column_moved);
    *result = (nb_gptq_result){0};
}

/* Columns whose scales are chosen together. */
static size_t cell_of(const nb_quantizer *quantizer, size_t n_cols)
{
    if (quantizer->format->kind == NB_FORMAT_BLOCK)
        return quantizer->format->block_size;
    return quantizer->granularity == NB_PER_GROUP ? quantizer->group : n_cols;
}

size_t nb_gptq_block(const nb_quantizer *quantizer)
{
    const size_t cell = cell_of(quantizer, BLOCK);
    if (cell <= BLOCK)
        return BLOCK / cell * cell;
    size_t block = BLOCK;
    while (cell % block != 0) /* so that a cell begins with a block */
        block -= STEP;
    return block;
}

nb_status nb_gptq_check(const nb_quantizer *q, const nb_gptq_options *options, nb_error *error)
{
    char damp[32];
    if (q->format->kind != NB_FORMAT_INT && q->format->kind != NB_FORMAT_BLOCK)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "GPTQ fills formats with scales (int2 to int8, q4_0, q4_k ...): in %s every number stands alone",
                       q->format->name);
    if (q->format->kind == NB_FORMAT_BLOCK && !nb_block_layout_of(q->format))
        return nb_fail(error, NB_ERR_UNSUPPORTED, "%s cannot be computed with yet; try q4_k", q->format->name);
    if (q->convention != NB_CONVENTION_DIVIDE)
        return nb_fail(error, NB_ERR_ARGUMENT, "GPTQ chooses scales by the divide convention");
    if (!(options->damp >= 0 && options->damp <= 1))
        return nb_fail(error, NB_ERR_ARGUMENT, "a damping of %s: it is 0 to 1, and 0.01 does",
                       nb_print_general(damp, sizeof damp, options->damp, 6));
    return nb_quantizer_check(q, error);
}

/* ---- a tile's weights and scales ---- */

static bool finite_row(const float *x, size_t n, part *p, size_t row)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) {
            *p = (part){.problem = NB_CODE_GRID_NOT_FINITE, .row = row, .column = i, .value = x[i]};
            return false;
        }
    return true;
}

static bool choose(const job *j, scratch *s, part *p, size_t first, size_t row, size_t cell, const float *x,
                   const float *importance)
{
    const size_t column = cell * s->grid.cell, n = nb_min_size(s->grid.cell, j->n - column);
    const nb_code_grid_problem problem = nb_code_grid_choose(&s->grid, row, cell, x, n, importance);
    if (problem != NB_CODE_GRID_FINE)
        *p = (part){.problem = problem, .row = first + row, .column = column, .value = x[0]};
    return problem == NB_CODE_GRID_FINE;
}

static bool read_tile(const job *j, scratch *s, part *p, size_t first, size_t n_rows)
{
    const nb_gptq_solver *solver = j->solver;
    memset(s->a, 0, n_rows * j->stride * sizeof *s->a);
    for (size_t r = 0; r < n_rows; r++) {
        float *w = s->w + r * j->stride;
        j->source->read_row(j->source->user, first + r, s->row);
        if (!finite_row(s->row, j->n, p, first + r))
            return false;
        for (size_t i = 0; i < j->n; i++)
            if (solver->dead[i])
                s->row[i] = 0;
        for (size_t i = 0; i < j->n; i++)
            w[i] = s->row[solver->order ? solver->order[i] : i];
        for (size_t cell = 0; j->chooses_first && cell < s->grid.n_cells; cell++)
            if (!choose(j, s, p, first, r, cell, s->row + cell * s->grid.cell,
                        j->importance ? j->importance + cell * s->grid.cell : NULL))
                return false;
    }
    return true;
}

/* ---- columns ---- */

/* Adds errors[n_rows][BLOCK] (n_errors of each row) times a panel to the moves of its first n_columns columns. */
static void spread(const job *j, scratch *s, float *panel, size_t n_errors, const float *errors, size_t n_rows,
                   float *moves, size_t stride, size_t n_columns)
{
    const nb_acts acts = {.n_tokens = n_rows, .n_cols = n_errors, .f32 = errors, .f32_stride = BLOCK};
    for (size_t done = 0; done < n_columns; done += AT_ONCE * NB_ROWS) {
        const size_t n = nb_min_size(AT_ONCE * NB_ROWS, n_columns - done);
        const nb_packed part = nb_gptq_panel(panel + done * n_errors, n, n_errors);
        j->context->kernels->matmul_f32(&part, 0, part.n_row_groups, &acts, s->product, n);
        for (size_t r = 0; r < n_rows; r++)
            j->context->kernels->add(moves + r * stride + done, s->product + r * n, n);
    }
}

/* Tells what happened in columns [begin, end), a step of a block, to those after it: to the rest of its block, or,
 * where it was the block's last step, the whole block's errors to all columns up to `last`. `moves` begins with column
 * `first`. */
static void spread_step(const job *j, scratch *s, const float *errors, size_t n_rows, size_t begin, size_t end,
                        size_t last, float *moves, size_t stride, size_t first)
{
    const nb_gptq_solver *solver = j->solver;
    const size_t block = begin / solver->block * solver->block;
    const size_t block_end = nb_min_size(j->n, block + solver->block);
    if (end >= last)
        return;
    if (end < block_end)
        spread(j, s, solver->steps + solver->step_at[begin / STEP], end - begin, errors + (begin - block), n_rows,
               moves + (end - first), stride, nb_min_size(block_end, last) - end);
    else
        spread(j, s, solver->blocks + solver->block_at[block / solver->block], block_end - block, errors, n_rows,
               moves + (end - first), stride, last - end);
}

/* Tells one column's error to the later ones of its step. */
static void spread_column(const float *near, const float *error, size_t n_rows, size_t first, size_t n,
                          float (*moved)[TILE])
{
    for (size_t later = first; later < n; later++)
        for (size_t r = 0; r < n_rows; r++)
            moved[later][r] = moved[later][r] + error[r] * near[later];
}

/* Where the columns [column, column + n) of a cell stand now, if none of them were rounded: their moves into
 * s->ahead. The first one's is known; those of the others take into account that the ones before them move too. */
static void look_ahead(const job *j, scratch *s, size_t n_rows, size_t column, size_t n)
{
    float moved[STEP][TILE], back[TILE];
    for (size_t r = 0; r < n_rows; r++)
        memcpy(s->ahead + r * s->grid.cell, s->a + r * j->stride + column, n * sizeof *s->ahead);
    for (size_t begin = column; begin < column + n; begin += STEP) {
        const size_t end = nb_min_size(column + n, begin + STEP), block = begin / j->solver->block * j->solver->block;
        for (size_t r = 0; r < n_rows; r++)
            for (size_t c = begin; c < end; c++)
                moved[c - begin][r] = s->ahead[r * s->grid.cell + c - column];
        for (size_t c = begin; c < end; c++) {
            for (size_t r = 0; r < n_rows; r++) {
                back[r] = -moved[c - begin][r];
                s->ahead[r * s->grid.cell + c - column] = moved[c - begin][r];
                s->back[r * BLOCK + c - block] = back[r];
            }
            spread_column(j->solver->near + c * STEP, back, n_rows, c + 1 - begin, end - begin, moved);
        }
        spread_step(j, s, s->back, n_rows, begin, end, column + n, s->ahead, s->grid.cell, column);
    }
}

/* Scales of the cell that begins at this column, from where its columns stand now. */
static bool choose_cell(const job *j, scratch *s, part *p, size_t first, size_t n_rows, size_t column, bool feedback)
{
    const size_t n = nb_min_size(s->grid.cell, j->n - column);
    for (size_t i = 0; j->importance && i < n; i++)
        s->weights[i] = j->importance[j->solver->order ? j->solver->order[column + i] : column + i];
    if (feedback)
        look_ahead(j, s, n_rows, column, n);
    for (size_t r = 0; r < n_rows; r++) {
        const float *w = s->w + r * j->stride + column, *a = s->ahead + r * s->grid.cell;
        for (size_t i = 0; i < n; i++)
            s->cell[i] = feedback ? w[i] + a[i] : w[i];
        if (!choose(j, s, p, first, r, column / s->grid.cell, s->cell, j->importance ? s->weights : NULL))
            return false;
    }
    return true;
}

/* What a rounded column adds to the traces, over the rows in order. */
typedef struct column_sums {
    double loss, moved;
} column_sums;

static column_sums sum_column(const float *diagonal, const float *scale, const float *target, const float *w,
                              const float *q, size_t n_rows)
{
    column_sums sums = {0};
    for (size_t r = 0; r < n_rows; r++) {
        const double left = (double)(target[r] - q[r]) * (double)*diagonal;
        const double moved = scale[r] == 0 ? 0 : (double)((target[r] - w[r]) / scale[r]);
        sums.loss += left * left;
        sums.moved += moved * moved;
    }
    return sums;
}

/* One step of columns, [begin, end): rounded one by one, lanes are rows. */
static void run_step(const job *j, scratch *s, size_t n_rows, size_t begin, size_t end, size_t block, bool feedback,
                     double *loss, double *columns)
{
    float w[STEP][TILE], target[STEP][TILE], q[TILE], error[TILE];
    const nb_gptq_solver *solver = j->solver;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = begin; c < end; c++) {
            w[c - begin][r] = s->w[r * j->stride + c];
            target[c - begin][r] = w[c - begin][r] + s->a[r * j->stride + c];
        }
    for (size_t c = begin; c < end; c++) {
        const float *original = w[c - begin], *now = target[c - begin];
        const size_t stored = !j->in_order && solver->order ? solver->order[c] : c;
        nb_code_grid_round(&s->grid, stored, feedback ? now : original, n_rows, q);
        for (size_t r = 0; r < n_rows; r++)
            error[r] = original[r] - q[r];
        const column_sums sums = sum_column(&solver->diagonal[c], s->grid.scale + stored / s->grid.unit * TILE, now,
                                            original, q, n_rows);
        *loss += sums.loss;
        if (columns) {
            columns[c] = sums.loss;
            columns[2 * j->n + c] = sums.moved;
        }
        for (size_t r = 0; r < n_rows; r++)
            s->errors[r * BLOCK + c - block] = error[r];
        spread_column(solver->near + c * STEP, error, n_rows, c + 1 - begin, end - begin, target);
    }
}

/* All columns of the tile. Without feedback: round to nearest, for its loss. */
static bool run_columns(const job *j, scratch *s, part *p, size_t first, size_t n_rows, bool feedback, double *loss,
                        double *columns)
{
    for (size_t begin = 0; begin < j->n; begin += STEP) {
        const size_t end = nb_min_size(j->n, begin + STEP), block = begin / j->solver->block * j->solver->block;
        if (!j->chooses_first && begin % s->grid.cell == 0 &&
            !choose_cell(j, s, p, first, n_rows, begin, feedback))
            return false;
        run_step(j, s, n_rows, begin, end, block, feedback, loss, columns);
        spread_step(j, s, s->errors, n_rows, begin, end, j->n, s->a, j->stride, 0);
    }
    return true;
}

static void run_tiles(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *j = user;
    scratch *s = &j->scratch[thread];
    for (size_t i = begin; i < end; i++) {
        const size_t tile = j->first_tile + i, first = tile * TILE;
        const size_t n_rows = nb_min_size(TILE, j->source->n_rows - first);
        part *p = &j->parts[tile];
        double *columns = j->columns ? j->columns + tile * 3 * j->n : NULL;
        bool fine = read_tile(j, s, p, first, n_rows);
        if (fine && columns) {
            fine = run_columns(j, s, p, first, n_rows, false, &p->nearest_loss, columns);
            memcpy(columns + j->n, columns, j->n * sizeof *columns);
            memset(s->a, 0, n_rows * j->stride * sizeof *s->a);
        }
        if (fine && run_columns(j, s, p, first, n_rows, true, &p->loss, columns))
            nb_code_grid_pack(&s->grid, first, n_rows, j->packed);
    }
}

/* ---- the whole matrix ---- */

static void free_job(job *j)
{
    for (unsigned i = 0; j->scratch && i < nb_pool_size(j->context->pool); i++) {
        scratch *s = &j->scratch[i];
        nb_code_grid_free(&s->grid);
        nb_aligned_free(s->row);
        nb_aligned_free(s->w);
        nb_aligned_free(s->a);
        nb_aligned_free(s->errors);
        nb_aligned_free(s->ahead);
        nb_aligned_free(s->back);
        nb_aligned_free(s->product);
        nb_aligned_free(s->cell);
        nb_aligned_free(s->weights);
    }
    free(j->scratch);
    free(j->parts);
    nb_aligned_free(j->columns);
}

static nb_status create_job(job *j, const nb_quantizer *quantizer, bool trace, nb_error *error)
{
    const size_t n_tiles = nb_div_up(j->source->n_rows, TILE);
    nb_status status = NB_OK;
    j->parts = nb_calloc(n_tiles, sizeof *j->parts);
    j->scratch = nb_calloc(nb_pool_size(j->context->pool), sizeof *j->scratch);
    bool made = j->parts && j->scratch;
    if (trace)
        made = made && (j->columns = nb_aligned_calloc(n_tiles * 3, j->n * sizeof *j->columns)) != NULL;
    for (unsigned i = 0; made && status == NB_OK && i < nb_pool_size(j->context->pool); i++) {
        scratch *s = &j->scratch[i];
        status = nb_code_grid_create(quantizer, j->n, &s->grid, error);
        s->row = nb_aligned_calloc(j->n, sizeof(float));
        s->w = nb_aligned_calloc(TILE, j->stride * sizeof(float));
        s->a = nb_aligned_calloc(TILE, j->stride * sizeof(float));
        s->errors = nb_aligned_calloc(TILE, BLOCK * sizeof(float));
        s->ahead = nb_aligned_calloc(TILE, s->grid.cell * sizeof(float));
        s->back = nb_aligned_calloc(TILE, BLOCK * sizeof(float));
        s->product = nb_aligned_calloc(TILE, AT_ONCE * NB_ROWS * sizeof(float));
        s->cell = nb_aligned_calloc(s->grid.cell + 1, sizeof(float));
        s->weights = nb_aligned_calloc(s->grid.cell + 1, sizeof(float));
        made = s->row && s->w && s->a && s->errors && s->ahead && s->back && s->product && s->cell && s->weights;
    }
    return status != NB_OK || made ? status
                                   : nb_fail(error, NB_ERR_MEMORY, "no memory to quantize %zu columns", j->n);
}

/* One scale for all rows: from all of them. */
static nb_status choose_tensor(job *j, const char *what, const nb_quantizer *quantizer, nb_error *error)
{
    nb_range range = nb_range_empty();
    nb_affine affine;
    for (size_t row = 0; row < j->source->n_rows; row++) {
        j->source->read_row(j->source->user, row, j->scratch[0].row);
        for (size_t i = 0; i < j->n; i++)
            if (j->solver->dead[i] && isfinite(j->scratch[0].row[i]))
                j->scratch[0].row[i] = 0; /* as the rows are when they are rounded */
        nb_range_add(&range, j->scratch[0].row, j->n);
    }
    if (nb_range_is_finite(&range) && nb_affine_choose(&range, quantizer, &affine) != NB_AFFINE_FINE)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: the tensor needs a scale that f16 cannot hold; try f32 scales",
                       what);
    for (unsigned i = 0; nb_range_is_finite(&range) && i < nb_pool_size(j->context->pool); i++)
        j->scratch[i].grid.tensor = affine;
    return NB_OK;
}

static nb_status complain(const job *j, const char *what, const part *p, nb_error *error)
{
    char value[32];
    nb_print_f32(value, sizeof value, p->value);
    if (p->problem == NB_CODE_GRID_SCALE)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: row %zu, from column %zu on, needs a scale that %s cannot hold; try f32 scales", what, p->row,
                       p->column, j->packed->quantizer.format->name);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s: row %zu, column %zu is %s; only finite numbers can be quantized", what,
                   p->row, p->column, value);
}

static nb_status run(job *j, const char *what, nb_error *error)
{
    const size_t n_tiles = nb_div_up(j->source->n_rows, TILE);
    const size_t at_once = TILES_PER_THREAD * nb_pool_size(j->context->pool);
    nb_status status = NB_OK;
    for (; status == NB_OK && j->first_tile < n_tiles; j->first_tile += at_once) {
        const size_t n = nb_min_size(at_once, n_tiles - j->first_tile);
        nb_parallel(j->context->pool, n, 1, run_tiles, j);
        for (size_t i = 0; status == NB_OK && i < n; i++)
            if (j->parts[j->first_tile + i].problem != NB_CODE_GRID_FINE)
                status = complain(j, what, &j->parts[j->first_tile + i], error);
        if (status == NB_OK)
            status = nb_context_tick(j->context, what, nb_min_size((j->first_tile + n) * TILE, j->source->n_rows),
                                     j->source->n_rows, "rows", error);
    }
    return status;
}

static nb_status fill_result(const job *j, nb_gptq_result *result, nb_error *error)
{
    const size_t n_tiles = nb_div_up(j->source->n_rows, TILE);
    *result = (nb_gptq_result){.n_columns = j->n, .nearest_loss = j->columns ? 0 : NAN, .reordered = j->in_order};
    for (size_t tile = 0; tile < n_tiles; tile++) {
        result->loss += j->parts[tile].loss / 2;
        if (j->columns)
            result->nearest_loss += j->parts[tile].nearest_loss / 2;
    }
    if (!j->columns)
        return NB_OK;
    double **const into[] = {&result->column_loss, &result->column_nearest, &result->column_moved};
    for (size_t kind = 0; kind < 3; kind++) {
        double *sums = *into[kind] = nb_calloc(j->n, sizeof *sums);
        if (!sums)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for a trace of %zu columns", j->n);
        for (size_t tile = 0; tile < n_tiles; tile++)
            for (size_t c = 0; c < j->n; c++)
                sums[c] += j->columns[(tile * 3 + kind) * j->n + c];
        for (size_t c = 0; c < j->n; c++)
            sums[c] = kind < 2 ? sums[c] / 2 : sqrt(sums[c] / (double)j->source->n_rows);
    }
    return NB_OK;
}

nb_status nb_gptq_quantize(nb_context *context, const char *what, const nb_gptq_source *source,
                           const nb_quantizer *quantizer, const nb_gptq_solver *solver,
                           const nb_gptq_options *options, const float *importance, bool trace, nb_packed **out,
                           nb_gptq_result *result, nb_error *error)
{
    *out = NULL;
    *result = (nb_gptq_result){0};
    job j = {.context = context,
             .source = source,
             .solver = solver,
             .options = options,
             .importance = importance,
             .n = source->n_cols,
             .stride = nb_round_up(source->n_cols, NB_ROWS) + NB_ROWS};
    j.chooses_first = options->static_groups || cell_of(quantizer, j.n) >= j.n;
    j.in_order = solver->order && !j.chooses_first;
    nb_status status = nb_gptq_check(quantizer, options, error);
    if (status == NB_OK)
        status = nb_packed_create(quantizer, source->n_rows, source->n_cols, &j.packed, error);
    if (status == NB_OK)
        status = create_job(&j, quantizer, trace, error);
    if (status == NB_OK && quantizer->format->kind == NB_FORMAT_INT && quantizer->granularity == NB_PER_TENSOR)
        status = choose_tensor(&j, what, quantizer, error);
    if (status == NB_OK)
        status = run(&j, what, error);
    if (status == NB_OK)
        status = fill_result(&j, result, error);
    free_job(&j);
    if (status == NB_OK) {
        *out = j.packed;
        return NB_OK;
    }
    nb_gptq_result_free(result);
    nb_packed_destroy(&j.packed);
    return status;
}
