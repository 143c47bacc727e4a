#include "quant/tables.h"

#include "base/memory.h"
#include "base/print.h"
#include "eval/evaluate.h"
#include "quant/affine.h"

#include <math.h>
#include <stdlib.h>

/* Work goes by row groups of 16. Each leaves a part here; parts are put together in order. */
typedef struct part {
    nb_error_sums sums;
    uint64_t n_zero;
    bool not_finite;
    size_t row, column; /* where */
    float value;
} part;

typedef struct job {
    const nb_source *source;
    nb_packed *packed;
    size_t group, row_bytes;
    size_t first_row_group; /* of this chunk */
    bool want_stats;
    part *parts;   /* [n_row_groups] */
    float *absmax; /* [n_rows][n_scales]: double quantization */
    uint8_t *scratch; /* a slot a thread: a row, what it becomes, 16 rows of codes, their scales */
    size_t slot_bytes;
} job;

typedef struct slot {
    float *x, *w, *scales;
    uint8_t *codes;
} slot;

static size_t floats_of_slot(const job *j)
{
    return 2 * j->source->n_cols + NB_ROWS * j->packed->n_scales;
}

static slot slot_of(const job *j, unsigned thread)
{
    float *x = (float *)(void *)(j->scratch + thread * j->slot_bytes);
    return (slot){x, x + j->source->n_cols, x + 2 * j->source->n_cols, (uint8_t *)(x + floats_of_slot(j))};
}

static size_t row_end(const job *j, size_t row_group)
{
    return nb_min_size((row_group + 1) * NB_ROWS, j->source->n_rows);
}

/* A row of the source; false, and the blame in `p`, if not all of it is finite. */
static bool read_row(const job *j, part *p, size_t row, float *x)
{
    const nb_source *s = j->source;
    nb_transform_read_row(s->transforms, s->format, (const uint8_t *)s->data + row * j->row_bytes, row, s->n_cols, x);
    if (nb_input_moves(s->input))
        nb_input_turn_row(s->input, x);
    for (size_t k = 0; k < s->n_cols; k++)
        if (!isfinite(x[k])) {
            p->not_finite = true;
            p->row = row;
            p->column = k;
            p->value = x[k];
            return false;
        }
    return true;
}

static float absmax_of(const float *x, size_t n)
{
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, n);
    return nb_range_absmax(&range);
}

static void find_absmax(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *j = user;
    const size_t n_cols = j->source->n_cols, n_scales = j->packed->n_scales;
    float *x = slot_of(j, thread).x;
    for (size_t i = begin; i < end; i++) {
        const size_t row_group = j->first_row_group + i;
        part *p = &j->parts[row_group];
        for (size_t row = row_group * NB_ROWS; row < row_end(j, row_group) && read_row(j, p, row, x); row++)
            for (size_t g = 0; g < n_scales; g++)
                j->absmax[row * n_scales + g] =
                    absmax_of(x + g * j->group, nb_min_size(j->group, n_cols - g * j->group));
    }
}

static void encode_row(const job *j, const slot *s, part *p, size_t row)
{
    const nb_format *format = j->packed->quantizer.format;
    const size_t n_cols = j->source->n_cols, n_scales = j->packed->n_scales, in_group = row % NB_ROWS;
    uint8_t *codes = s->codes + in_group * n_cols;
    for (size_t g = 0, k = 0; g < n_scales; g++) {
        const size_t end = nb_min_size(k + j->group, n_cols);
        const float absmax = absmax_of(s->x + k, end - k);
        const float scale = j->absmax ? nb_packed_table_scale(j->packed, row, g) : absmax;
        nb_table_encode(format, s->x + k, end - k, absmax, codes + k);
        s->scales[in_group * n_scales + g] = scale;
        for (; k < end; k++) {
            s->w[k] = format->levels[codes[k]] * scale;
            p->n_zero += s->w[k] == 0;
        }
    }
    if (j->want_stats)
        nb_error_sums_add(&p->sums, s->x, s->w, n_cols);
}

static void encode(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *j = user;
    const slot s = slot_of(j, thread);
    for (size_t i = begin; i < end; i++) {
        const size_t row_group = j->first_row_group + i;
        part *p = &j->parts[row_group];
        for (size_t row = row_group * NB_ROWS; row < row_end(j, row_group) && read_row(j, p, row, s.x); row++)
            encode_row(j, &s, p, row);
        if (!p->not_finite)
            nb_packed_set_table(j->packed, row_group, s.codes, s.scales);
    }
}

/* Runs `fn` over all row groups, some megabytes at a time, and ticks between. */
static nb_status run(nb_context *context, job *j, const char *what, nb_parallel_fn *fn, uint64_t *done, uint64_t total,
                     nb_error *error)
{
    enum { CHUNK_BYTES = 8 << 20 };
    const size_t n = j->packed->n_row_groups;
    const size_t chunk = nb_max_size(CHUNK_BYTES / (j->row_bytes * NB_ROWS), 4 * nb_pool_size(context->pool));
    nb_status status = NB_OK;
    for (j->first_row_group = 0; j->first_row_group < n; j->first_row_group += chunk) {
        status = nb_context_tick(context, what, *done, total, "bytes", error);
        if (status != NB_OK)
            return status;
        const size_t n_now = nb_min_size(chunk, n - j->first_row_group);
        nb_parallel(context->pool, n_now, 1, fn, j);
        for (const part *p = j->parts + j->first_row_group; p < j->parts + j->first_row_group + n_now; p++) {
            char value[32];
            if (p->not_finite)
                return nb_fail(error, NB_ERR_ARGUMENT,
                               "%s: row %zu, column %zu is %s; only finite numbers can be stored as %s", what, p->row,
                               p->column, nb_print_f32(value, sizeof value, p->value),
                               j->packed->quantizer.format->name);
        }
        *done += (row_end(j, j->first_row_group + n_now - 1) - j->first_row_group * NB_ROWS) * j->row_bytes;
    }
    return nb_context_tick(context, what, *done, total, "bytes", error);
}

/* The scales' scales, of the whole matrix. */
static nb_status nest(const job *j, const char *what, nb_error *error)
{
    const size_t n = j->source->n_rows * j->packed->n_scales;
    uint8_t *codes = nb_calloc(n, 1);
    float *nested = nb_calloc(nb_n_nested(n), sizeof *nested), offset;
    nb_status status = NB_OK;
    if (codes && nested) {
        nb_nest_scales(j->absmax, n, codes, nested, &offset);
        nb_packed_set_nested(j->packed, codes, nested, offset);
    } else {
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to quantize %zu scales", what, n);
    }
    free(codes);
    free(nested);
    return status;
}

static nb_status quantize(nb_context *context, job *j, const char *what, nb_error *error)
{
    const bool twice = j->packed->quantizer.double_scales;
    const uint64_t n_bytes = (uint64_t)j->row_bytes * j->source->n_rows, total = twice ? 2 * n_bytes : n_bytes;
    uint64_t done = 0;
    j->slot_bytes = nb_round_up(floats_of_slot(j) * sizeof(float) + NB_ROWS * j->source->n_cols, 64);
    j->parts = nb_calloc(j->packed->n_row_groups, sizeof *j->parts);
    j->scratch = nb_aligned_calloc(nb_pool_size(context->pool), j->slot_bytes);
    j->absmax = twice ? nb_calloc(j->source->n_rows, j->packed->n_scales * sizeof *j->absmax) : NULL;
    if (!j->parts || !j->scratch || (twice && !j->absmax))
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to quantize rows of %zu numbers", what, j->source->n_cols);
    nb_status status = twice ? run(context, j, what, find_absmax, &done, total, error) : NB_OK;
    if (status == NB_OK && twice)
        status = nest(j, what, error);
    return status == NB_OK ? run(context, j, what, encode, &done, total, error) : status;
}

nb_status nb_table_quantize(nb_context *context, const char *what, const nb_source *source,
                            const nb_quantizer *quantizer, nb_packed **out, nb_rtn_stats *stats, nb_error *error)
{
    job j = {.source = source,
             .group = quantizer->group,
             .row_bytes = nb_format_row_bytes(source->format, source->n_cols),
             .want_stats = stats != NULL};
    nb_status status = nb_packed_create(quantizer, source->n_rows, source->n_cols, &j.packed, error);
    if (status == NB_OK)
        status = quantize(context, &j, what, error);
    if (status == NB_OK && stats)
        *stats = (nb_rtn_stats){0};
    for (size_t i = 0; status == NB_OK && stats && i < j.packed->n_row_groups; i++) {
        const part *p = &j.parts[i];
        stats->signal += p->sums.signal;
        stats->noise += p->sums.noise;
        stats->max_error = p->sums.max_error > stats->max_error ? p->sums.max_error : stats->max_error;
        stats->n_zero += p->n_zero;
    }
    free(j.parts);
    free(j.absmax);
    nb_aligned_free(j.scratch);
    if (status != NB_OK)
        nb_packed_destroy(&j.packed);
    *out = j.packed;
    return status;
}
