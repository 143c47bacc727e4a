#include "quant/code_grid.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void lay_out_int(nb_code_grid *g)
{
    const nb_quantizer *q = &g->quantizer;
    const int half = 1 << (q->format->bits - 1);
    g->unit = g->cell = q->granularity == NB_PER_GROUP ? q->group : g->n_cols;
    g->lowest = q->scheme == NB_SCHEME_ABSMAX ? 1 : 0;
    g->highest = 2 * half - 1;
}

static void lay_out_blocks(nb_code_grid *g)
{
    const bool ternary = g->layout->id == NB_TQ1_0 || g->layout->id == NB_TQ2_0;
    g->unit = g->layout->sub_block;
    g->cell = g->layout->format->block_size;
    g->highest = ternary ? 2 : (1 << g->quantizer.format->bits) - 1;
}

nb_status nb_code_grid_create(const nb_quantizer *quantizer, size_t n_cols, nb_code_grid *out, nb_error *error)
{
    *out = (nb_code_grid){.quantizer = *quantizer, .n_cols = n_cols, .layout = nb_block_layout_of(quantizer->format)};
    (out->layout ? lay_out_blocks : lay_out_int)(out);
    out->n_units = nb_div_up(n_cols, out->unit);
    out->n_cells = nb_div_up(n_cols, out->cell);
    const size_t n = out->n_units * NB_CODE_GRID_ROWS;
    out->scale = nb_aligned_calloc(n, sizeof(float));
    out->minimum = nb_aligned_calloc(n, sizeof(float));
    out->zero = nb_aligned_calloc(n, sizeof(float));
    out->codes = nb_aligned_calloc(NB_CODE_GRID_ROWS, n_cols);
    out->scales = nb_aligned_calloc(out->n_units, NB_ROWS * sizeof(float));
    out->zeros = nb_aligned_calloc(out->n_units, NB_ROWS);
    bool made = out->scale && out->minimum && out->zero && out->codes && out->scales && out->zeros;
    if (out->layout) {
        const size_t row_bytes = out->n_cells * out->layout->format->block_bytes;
        out->parts = nb_calloc(out->n_cells * NB_CODE_GRID_ROWS, sizeof *out->parts);
        out->blocks = nb_calloc(NB_ROWS, row_bytes);
        made = made && out->parts && out->blocks;
    }
    if (made)
        return NB_OK;
    nb_code_grid_free(out);
    return nb_fail(error, NB_ERR_MEMORY, "no memory for the scales of %d rows of %zu columns", NB_CODE_GRID_ROWS, n_cols);
}

void nb_code_grid_free(nb_code_grid *g)
{
    nb_aligned_free(g->scale);
    nb_aligned_free(g->minimum);
    nb_aligned_free(g->zero);
    nb_aligned_free(g->codes);
    nb_aligned_free(g->scales);
    nb_aligned_free(g->zeros);
    free(g->parts);
    free(g->blocks);
    *g = (nb_code_grid){0};
}

/* ---- scales ---- */

static nb_code_grid_problem choose_int(nb_code_grid *g, size_t row, size_t cell, const float *x, size_t n)
{
    nb_affine affine = g->tensor;
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, n);
    if (!nb_range_is_finite(&range))
        return NB_CODE_GRID_NOT_FINITE;
    if (g->quantizer.granularity != NB_PER_TENSOR &&
        nb_affine_choose(&range, &g->quantizer, &affine) != NB_AFFINE_FINE)
        return NB_CODE_GRID_SCALE;
    g->scale[cell * NB_CODE_GRID_ROWS + row] = affine.scale;
    g->zero[cell * NB_CODE_GRID_ROWS + row] = (float)(affine.zero + (1 << (g->quantizer.format->bits - 1)));
    return NB_CODE_GRID_FINE;
}

static nb_code_grid_problem choose_block(nb_code_grid *g, size_t row, size_t cell, const float *x, const float *importance)
{
    const size_t n_subs = g->cell / g->unit;
    nb_block_parts *parts = &g->parts[cell * NB_CODE_GRID_ROWS + row];
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, g->cell);
    if (!nb_range_is_finite(&range))
        return NB_CODE_GRID_NOT_FINITE;
    g->quantizer.format->encode_blocks(x, g->cell, importance, g->blocks);
    nb_block_split(g->layout, g->blocks, parts);
    for (size_t s = 0; s < n_subs; s++) {
        const size_t at = (cell * n_subs + s) * NB_CODE_GRID_ROWS + row;
        nb_block_scale(g->layout, parts->scale, parts->min, parts->pieces[0][s], parts->pieces[1][s], &g->scale[at],
                       &g->minimum[at]);
        g->zero[at] = (float)g->layout->zero;
        if (!isfinite(g->scale[at]) || !isfinite(g->minimum[at]))
            return NB_CODE_GRID_SCALE;
    }
    return NB_CODE_GRID_FINE;
}

nb_code_grid_problem nb_code_grid_choose(nb_code_grid *g, size_t row, size_t cell, const float *x, size_t n, const float *importance)
{
    return g->layout ? choose_block(g, row, cell, x, importance) : choose_int(g, row, cell, x, n);
}

/* ---- codes ---- */

/* rint for |x| below 2^22, in two additions that every CPU does several at a time. */
static inline float round_small(float x)
{
    const float magic = 0x1.8p23f;
    return (x + magic) - magic;
}

/* The code nearest to x; a scale of 0 has one number only. */
static void round_evenly(const nb_code_grid *g, size_t at, const float *x, size_t n_rows, float *u, float *w)
{
    const float *scale = g->scale + at, *minimum = g->minimum + at, *zero = g->zero + at;
    const float lowest = (float)g->lowest, highest = (float)g->highest;
    for (size_t r = 0; r < n_rows; r++) {
        float steps = (x[r] - minimum[r]) / (scale[r] == 0 ? 1 : scale[r]);
        steps = scale[r] == 0 ? 0 : steps;
        steps = steps > -1e6f ? steps : -1e6f;
        steps = steps < 1e6f ? steps : 1e6f;
        float code = round_small(steps) + zero[r];
        code = code > lowest ? code : lowest;
        code = code < highest ? code : highest;
        u[r] = code;
        w[r] = scale[r] * (code - zero[r]);
    }
    if (g->layout && nb_block_has_min(g->layout))
        for (size_t r = 0; r < n_rows; r++)
            w[r] = w[r] + minimum[r];
}

static void round_by_table(const nb_code_grid *g, size_t at, const float *x, size_t n_rows, float *u, float *w)
{
    for (size_t r = 0; r < n_rows; r++) {
        const float scale = g->scale[at + r];
        int best = 0;
        float least = INFINITY;
        for (int code = 0; code <= g->highest; code++) {
            const float error = fabsf(x[r] - scale * (float)nb_block_value(g->layout, (unsigned)code));
            if (error < least) {
                least = error;
                best = code;
            }
        }
        u[r] = (float)best;
        w[r] = scale * (float)nb_block_value(g->layout, (unsigned)best);
    }
}

void nb_code_grid_round(nb_code_grid *g, size_t column, const float *x, size_t n_rows, float *w)
{
    float u[NB_CODE_GRID_ROWS];
    const size_t at = column / g->unit * NB_CODE_GRID_ROWS;
    if (g->layout && g->layout->table != NB_TABLE_NONE)
        round_by_table(g, at, x, n_rows, u, w);
    else
        round_evenly(g, at, x, n_rows, u, w);
    for (size_t r = 0; r < n_rows; r++)
        g->codes[r * g->n_cols + column] = (uint8_t)u[r];
}

/* ---- packing ---- */

static void pack_int(nb_code_grid *g, size_t first, size_t slot, size_t n_rows, nb_packed *packed)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t unit = 0; unit < g->n_units; unit++) {
            g->scales[r * g->n_units + unit] = g->scale[unit * NB_CODE_GRID_ROWS + slot + r];
            g->zeros[r * g->n_units + unit] = (uint8_t)g->zero[unit * NB_CODE_GRID_ROWS + slot + r];
        }
    nb_packed_set_int(packed, first / NB_ROWS, g->codes + slot * g->n_cols, g->scales,
                      g->quantizer.scheme == NB_SCHEME_ZEROPOINT ? g->zeros : NULL);
}

static void pack_blocks(nb_code_grid *g, size_t first, size_t slot, size_t n_rows, nb_packed *packed)
{
    const size_t block_bytes = g->layout->format->block_bytes, row_bytes = g->n_cells * block_bytes;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t cell = 0; cell < g->n_cells; cell++) {
            nb_block_parts *parts = &g->parts[cell * NB_CODE_GRID_ROWS + slot + r];
            memcpy(parts->codes, g->codes + (slot + r) * g->n_cols + cell * g->cell, g->cell);
            nb_block_join(g->layout, parts, g->blocks + r * row_bytes + cell * block_bytes);
        }
    nb_packed_set_blocks(packed, first / NB_ROWS, g->blocks, row_bytes);
}

void nb_code_grid_pack(nb_code_grid *g, size_t first, size_t n_rows, nb_packed *packed)
{
    for (size_t slot = 0; slot < n_rows; slot += NB_ROWS)
        (g->layout ? pack_blocks : pack_int)(g, first + slot, slot, nb_min_size(NB_ROWS, n_rows - slot), packed);
}
