#include "quant/rtn.h"

#include "base/memory.h"
#include "base/print.h"
#include "eval/evaluate.h"
#include "quant/affine.h"
#include "quant/tables.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Work goes by row groups of 16. Each leaves a part here; parts are put together in order, so that neither
 * the sums nor the first complaint depends on who computed what. */

typedef enum problem { FINE, NOT_FINITE, OUTLIER_TOO_LARGE, TOO_LARGE, BLOCK_TOO_LARGE, SCALE_TOO_LARGE, ZERO_OUTSIDE } problem;

typedef struct part {
    nb_error_sums sums;
    uint64_t n_clipped, n_zero;
    nb_range range; /* of the numbers, while one scale for the whole tensor is looked for */
    problem problem;
    size_t row, first_column, n_columns; /* where; of one number n_columns is 1 */
    float low, high, value; /* the group's range; the number, scale or zero point that was wrong */
} part;

typedef struct scratch {
    float *x, *w;   /* [n_cols]: a row, and what it becomes */
    uint8_t *codes; /* [16][n_cols] INT, [16][row_bytes] FLOAT and BLOCK */
    float *scales;  /* [16][n_scales] INT */
    uint8_t *zeros; /* [16][n_scales] INT */
    float *kept;        /* [n_outliers]: a row's, while it is without them */
    uint16_t *outliers; /* [16][n_outliers] f16 */
} scratch;

typedef struct job {
    const nb_source *source;
    const nb_quantizer *quantizer;
    nb_packed *packed;
    size_t source_row_bytes;
    size_t first_row_group; /* of this chunk */
    size_t group;           /* INT: columns that share a scale */
    bool one_scale;         /* for the whole tensor: `tensor_affine` or `tensor_scale` */
    nb_affine tensor_affine;
    float tensor_scale;
    const float *importance; /* the source's, of the columns that are packed */
    float *turned;           /* the same, where the input changes it */
    bool want_stats;
    part *parts;      /* [n_row_groups] */
    scratch *scratch; /* [threads] */
} job;

static size_t row_end(const job *j, size_t row_group)
{
    return nb_min_size((row_group + 1) * NB_ROWS, j->source->n_rows);
}

static const uint8_t *source_row(const job *j, size_t row)
{
    return (const uint8_t *)j->source->data + row * j->source_row_bytes;
}

static void read_row(const job *j, size_t row, float *x)
{
    nb_transform_read_row(j->source->transforms, j->source->format, source_row(j, row), row,
                          j->source->n_cols, x);
    if (nb_input_moves(j->source->input))
        nb_input_turn_row(j->source->input, x);
}

static size_t n_outliers(const job *j)
{
    return j->source->input ? j->source->input->n_outliers : 0;
}

/* The row without its outliers, which count for no scale and are 0 as codes. */
static void hide_outliers(const job *j, scratch *s)
{
    for (size_t i = 0; i < n_outliers(j); i++) {
        const uint32_t column = j->source->input->outliers[i];
        s->kept[i] = s->x[column];
        s->x[column] = 0.0f;
    }
}

/* ---- what can be wrong with a row ---- */

/* The first number of the row that is NaN or infinite. */
static void blame_not_finite(part *p, size_t row, const float *x, size_t n)
{
    size_t column = 0;
    while (column + 1 < n && isfinite(x[column]))
        column++;
    p->problem = NOT_FINITE;
    p->row = row;
    p->first_column = column;
    p->n_columns = 1;
    p->value = x[column];
}

/* The first number of the row that rounds to infinity in the format. */
static void blame_too_large(part *p, size_t row, const float *x, size_t n, const nb_format *format)
{
    size_t column = 0;
    while (column + 1 < n && isfinite(format->decode(format->encode(x[column]))))
        column++;
    p->problem = TOO_LARGE;
    p->row = row;
    p->first_column = column;
    p->n_columns = 1;
    p->value = x[column];
}

static void blame_group(part *p, nb_affine_problem what, const nb_range *range, const nb_affine *affine,
                        size_t row, size_t column, size_t n)
{
    p->problem = what == NB_AFFINE_SCALE ? SCALE_TOO_LARGE : ZERO_OUTSIDE;
    p->row = row;
    p->first_column = column;
    p->n_columns = n;
    p->low = nb_range_low(range);
    p->high = nb_range_high(range);
    p->value = affine->wanted;
}

static nb_status complain(const job *j, const char *what, const part *p, nb_error *error)
{
    const nb_quantizer *q = j->quantizer;
    const char *format = q->format->name;
    char value[32], low[32], high[32], place[96];
    nb_print_f32(value, sizeof value, p->value);
    nb_print_general(low, sizeof low, p->low, 4);
    nb_print_general(high, sizeof high, p->high, 4);
    if (j->one_scale && (p->problem == SCALE_TOO_LARGE || p->problem == ZERO_OUTSIDE))
        snprintf(place, sizeof place, "the tensor");
    else if (p->n_columns == 1)
        snprintf(place, sizeof place, "row %zu, column %zu", p->row, p->first_column);
    else
        snprintf(place, sizeof place, "row %zu, columns %zu to %zu", p->row, p->first_column,
                 p->first_column + p->n_columns - 1);
    switch (p->problem) {
    case NOT_FINITE:
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: %s is %s; only finite numbers can be stored as %s", what,
                       place, value, format);
    case TOO_LARGE:
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: %s is %s, more than %s can hold (%s); try %s", what,
                       place, value, format, nb_print_general(high, sizeof high, q->format->max_finite, 6),
                       q->format == &nb_format_f16 ? "bf16" : "f32");
    case OUTLIER_TOO_LARGE:
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: %s is %s, in a column of outliers, and more than f16 can hold; try a higher --outliers", what,
                       place, value);
    case BLOCK_TOO_LARGE:
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: %s is %s: its block needs a scale that %s cannot hold; try bf16", what, place, value, format);
    case SCALE_TOO_LARGE:
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: %s, from %s to %s, needs a scale of %s, more than %s holds; try %s", what, place,
                       low, high, value, q->scales_f32 ? "f32" : "f16",
                       q->scales_f32 ? "bf16" : "f32 scales");
    default:
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "%s: %s, from %s to %s, would put labonne's zero point at %s, beyond the codes of %s; try the "
            "divide convention, whose range always holds 0",
            what, place, low, high, value, format);
    }
}

/* ---- one scale for the whole tensor ---- */

static void find_range(void *user, size_t begin, size_t end, unsigned thread)
{
    job *j = user;
    size_t n_cols = j->source->n_cols;
    float *x = j->scratch[thread].x;
    for (size_t i = begin; i < end; i++) {
        size_t row_group = j->first_row_group + i;
        part *p = &j->parts[row_group];
        p->range = nb_range_empty();
        for (size_t row = row_group * NB_ROWS; row < row_end(j, row_group); row++) {
            read_row(j, row, x);
            hide_outliers(j, &j->scratch[thread]);
            nb_range_add(&p->range, x, n_cols);
            if (!nb_range_is_finite(&p->range)) {
                blame_not_finite(p, row, x, n_cols);
                break;
            }
        }
    }
}

/* ---- integers ---- */

/* The columns in f16, and the row as it was; false if one does not fit. */
static bool encode_outliers(const job *j, scratch *s, part *p, size_t row)
{
    uint16_t *codes = s->outliers + row % NB_ROWS * n_outliers(j);
    for (size_t i = 0; i < n_outliers(j); i++) {
        const uint32_t column = j->source->input->outliers[i];
        codes[i] = nb_f16_from_f32(s->kept[i]);
        s->x[column] = s->kept[i];
        s->w[column] = nb_f32_from_f16(codes[i]);
        p->n_zero -= s->w[column] != 0; /* its code stood for 0 */
        if (!isfinite(s->w[column])) {
            p->problem = isfinite(s->x[column]) ? OUTLIER_TOO_LARGE : NOT_FINITE;
            p->row = row;
            p->first_column = column;
            p->n_columns = 1;
            p->value = s->x[column];
            return false;
        }
    }
    return true;
}

/* Codes, scales and zero points of one row; false if something was wrong with it. */
static bool encode_int_row(const job *j, scratch *s, part *p, size_t row)
{
    size_t n_cols = j->source->n_cols, n_scales = j->packed->n_scales, slot = row % NB_ROWS;
    int32_t bias = (int32_t)1 << (j->quantizer->format->bits - 1);
    read_row(j, row, s->x);
    hide_outliers(j, s);
    for (size_t g = 0, column = 0; g < n_scales; g++, column += j->group) {
        size_t n = nb_min_size(j->group, n_cols - column);
        nb_affine affine = j->tensor_affine;
        if (!j->one_scale) {
            nb_range range = nb_range_empty();
            nb_range_add(&range, s->x + column, n);
            if (!nb_range_is_finite(&range)) {
                blame_not_finite(p, row, s->x, n_cols);
                return false;
            }
            nb_affine_problem wrong = nb_affine_choose(&range, j->quantizer, &affine);
            if (wrong != NB_AFFINE_FINE) {
                blame_group(p, wrong, &range, &affine, row, column, n);
                return false;
            }
        }
        nb_affine_encode(&affine, j->quantizer, s->x + column, n, s->codes + slot * n_cols + column,
                         s->w + column, &p->n_clipped, &p->n_zero);
        s->scales[slot * n_scales + g] = affine.scale;
        s->zeros[slot * n_scales + g] = (uint8_t)(affine.zero + bias);
    }
    return encode_outliers(j, s, p, row);
}

static void encode_int(void *user, size_t begin, size_t end, unsigned thread)
{
    job *j = user;
    scratch *s = &j->scratch[thread];
    for (size_t i = begin; i < end; i++) {
        size_t row_group = j->first_row_group + i;
        part *p = &j->parts[row_group];
        bool fine = true;
        for (size_t row = row_group * NB_ROWS; fine && row < row_end(j, row_group); row++) {
            fine = encode_int_row(j, s, p, row);
            if (fine && j->want_stats)
                nb_error_sums_add(&p->sums, s->x, s->w, j->source->n_cols);
        }
        if (fine)
            nb_packed_set_int(j->packed, row_group, s->codes, s->scales,
                              j->quantizer->scheme == NB_SCHEME_ZEROPOINT ? s->zeros : NULL);
        if (fine && n_outliers(j) > 0)
            nb_packed_set_float(j->packed->outliers, row_group, s->outliers, n_outliers(j) * sizeof *s->outliers);
    }
}

/* ---- floats ---- */

static uint64_t count_zeros(const float *x, size_t n)
{
    uint64_t n_zero = 0;
    for (size_t i = 0; i < n; i++)
        n_zero += x[i] == 0;
    return n_zero;
}

/* One row in its new format at `codes` (NULL: it has that format already); false if something was wrong with
 * it. */
static bool encode_float_row(const job *j, scratch *s, part *p, size_t row, uint8_t *codes)
{
    const nb_format *format = j->quantizer->format;
    size_t n_cols = j->source->n_cols;
    read_row(j, row, s->x);
    nb_range range = nb_range_empty();
    nb_range_add(&range, s->x, n_cols);
    if (!nb_range_is_finite(&range)) {
        blame_not_finite(p, row, s->x, n_cols);
        return false;
    }
    if (!format->needs_scale && isinf(format->decode(format->encode(nb_range_absmax(&range))))) {
        blame_too_large(p, row, s->x, n_cols, format);
        return false;
    }
    if (!codes) { /* as it is */
        if (j->want_stats) {
            nb_error_sums_add(&p->sums, s->x, s->x, n_cols);
            p->n_zero += count_zeros(s->x, n_cols);
        }
        return true;
    }
    const float *scaled = s->x;
    if (format->needs_scale) {
        for (size_t i = 0; i < n_cols; i++)
            s->w[i] = s->x[i] / j->tensor_scale;
        scaled = s->w;
    }
    nb_format_encode_row(format, scaled, n_cols, codes);
    if (!j->want_stats)
        return true;
    nb_format_decode_row(format, codes, n_cols, s->w);
    if (format->needs_scale)
        for (size_t i = 0; i < n_cols; i++)
            s->w[i] *= j->tensor_scale;
    nb_error_sums_add(&p->sums, s->x, s->w, n_cols);
    p->n_zero += count_zeros(s->w, n_cols);
    return true;
}

static void encode_float(void *user, size_t begin, size_t end, unsigned thread)
{
    job *j = user;
    scratch *s = &j->scratch[thread];
    size_t row_bytes = j->source->n_cols * (j->quantizer->format->bits / 8);
    bool as_it_is = j->source->format == j->quantizer->format && !j->quantizer->format->needs_scale &&
                    !j->source->transforms && !nb_input_moves(j->source->input);
    for (size_t i = begin; i < end; i++) {
        size_t row_group = j->first_row_group + i;
        part *p = &j->parts[row_group];
        bool fine = true;
        for (size_t row = row_group * NB_ROWS; fine && row < row_end(j, row_group); row++)
            fine = encode_float_row(j, s, p, row, as_it_is ? NULL : s->codes + row % NB_ROWS * row_bytes);
        if (fine)
            nb_packed_set_float(j->packed, row_group,
                                as_it_is ? source_row(j, row_group * NB_ROWS) : s->codes, row_bytes);
    }
}

/* ---- blocks ---- */

/* One row as blocks; false if something was wrong with it. */
static bool encode_block_row(const job *j, scratch *s, part *p, size_t row, uint8_t *blocks)
{
    const nb_format *format = j->quantizer->format;
    const size_t n_cols = j->source->n_cols;
    read_row(j, row, s->x);
    nb_range range = nb_range_empty();
    nb_range_add(&range, s->x, n_cols);
    if (!nb_range_is_finite(&range)) {
        blame_not_finite(p, row, s->x, n_cols);
        return false;
    }
    format->encode_blocks(s->x, n_cols, j->importance, blocks);
    nb_format_decode_row(format, blocks, n_cols, s->w);
    for (size_t i = 0; i < n_cols; i++)
        if (!isfinite(s->w[i])) {
            p->problem = BLOCK_TOO_LARGE;
            p->row = row;
            p->first_column = i;
            p->n_columns = 1;
            p->value = s->x[i];
            return false;
        }
    return true;
}

static void encode_block(void *user, size_t begin, size_t end, unsigned thread)
{
    job *j = user;
    scratch *s = &j->scratch[thread];
    const size_t n_cols = j->source->n_cols, row_bytes = nb_format_row_bytes(j->quantizer->format, n_cols);
    const bool as_it_is = j->source->format == j->quantizer->format && !j->source->transforms &&
                          !nb_input_moves(j->source->input);
    for (size_t i = begin; i < end; i++) {
        size_t row_group = j->first_row_group + i;
        part *p = &j->parts[row_group];
        bool fine = true;
        for (size_t row = row_group * NB_ROWS; fine && row < row_end(j, row_group); row++) {
            if (as_it_is) {
                read_row(j, row, s->x);
                memcpy(s->w, s->x, n_cols * sizeof *s->w);
            } else {
                fine = encode_block_row(j, s, p, row, s->codes + row % NB_ROWS * row_bytes);
            }
            if (fine && j->want_stats) {
                nb_error_sums_add(&p->sums, s->x, s->w, n_cols);
                p->n_zero += count_zeros(s->w, n_cols);
            }
        }
        if (fine)
            nb_packed_set_blocks(j->packed, row_group, as_it_is ? source_row(j, row_group * NB_ROWS) : s->codes,
                                 row_bytes);
    }
}

/* ---- the whole matrix ---- */

static void free_scratch(nb_context *context, job *j)
{
    for (unsigned i = 0; j->scratch && i < nb_pool_size(context->pool); i++) {
        nb_aligned_free(j->scratch[i].x);
        nb_aligned_free(j->scratch[i].w);
        nb_aligned_free(j->scratch[i].codes);
        nb_aligned_free(j->scratch[i].scales);
        nb_aligned_free(j->scratch[i].zeros);
        nb_aligned_free(j->scratch[i].kept);
        nb_aligned_free(j->scratch[i].outliers);
    }
    nb_aligned_free(j->scratch);
    nb_aligned_free(j->parts);
    nb_aligned_free(j->turned);
}

static bool turn_importance(job *j)
{
    const nb_source *source = j->source;
    j->importance = source->importance;
    if (!source->importance || !nb_input_moves(source->input))
        return true;
    j->turned = nb_aligned_calloc(source->n_cols, sizeof *j->turned);
    j->importance = j->turned;
    if (j->turned)
        nb_input_turn_squares(source->input, source->importance, j->turned);
    return j->turned != NULL;
}

static bool create_scratch(nb_context *context, job *j)
{
    const nb_format *format = j->quantizer->format;
    bool is_int = format->kind == NB_FORMAT_INT;
    size_t n_cols = j->source->n_cols, row_bytes = is_int ? n_cols : nb_format_row_bytes(format, n_cols);
    size_t n_codes, n_scales = 0;
    if (!nb_mul_size(row_bytes, NB_ROWS, &n_codes) ||
        (is_int && !nb_mul_size(j->packed->n_scales, NB_ROWS, &n_scales)))
        return false;
    j->parts = nb_aligned_calloc(j->packed->n_row_groups, sizeof *j->parts);
    j->scratch = nb_aligned_calloc(nb_pool_size(context->pool), sizeof *j->scratch);
    if (!j->parts || !j->scratch || !turn_importance(j))
        return false;
    for (unsigned i = 0; i < nb_pool_size(context->pool); i++) {
        scratch *s = &j->scratch[i];
        s->x = nb_aligned_calloc(n_cols, sizeof *s->x);
        s->w = nb_aligned_calloc(n_cols, sizeof *s->w);
        s->codes = nb_aligned_calloc(n_codes, 1);
        s->scales = nb_aligned_calloc(n_scales + 1, sizeof *s->scales);
        s->zeros = nb_aligned_calloc(n_scales + 1, 1);
        s->kept = nb_aligned_calloc(n_outliers(j) + 1, sizeof *s->kept);
        s->outliers = nb_aligned_calloc(NB_ROWS * n_outliers(j) + 1, sizeof *s->outliers);
        if (!s->x || !s->w || !s->codes || !s->scales || !s->zeros || !s->kept || !s->outliers)
            return false;
    }
    return true;
}

/* Runs `fn` over all row groups, some megabytes at a time, and ticks between; `done` counts on over several
 * runs. */
static nb_status run(nb_context *context, job *j, const char *what, nb_parallel_fn *fn, uint64_t *done,
                     uint64_t total, nb_error *error)
{
    enum { CHUNK_BYTES = 8 << 20 };
    size_t n = j->packed->n_row_groups, row_group_bytes = j->source_row_bytes * NB_ROWS;
    size_t chunk =
        nb_max_size(CHUNK_BYTES / nb_max_size(row_group_bytes, 1), 4 * nb_pool_size(context->pool));
    for (j->first_row_group = 0; j->first_row_group < n; j->first_row_group += chunk) {
        nb_status status = nb_context_tick(context, what, *done, total, "bytes", error);
        if (status != NB_OK)
            return status;
        size_t n_now = nb_min_size(chunk, n - j->first_row_group);
        nb_parallel(context->pool, n_now, 1, fn, j);
        for (size_t i = 0; i < n_now; i++)
            if (j->parts[j->first_row_group + i].problem != FINE)
                return complain(j, what, &j->parts[j->first_row_group + i], error);
        size_t last = row_end(j, j->first_row_group + n_now - 1);
        *done += (last - j->first_row_group * NB_ROWS) * j->source_row_bytes;
    }
    return nb_context_tick(context, what, *done, total, "bytes", error);
}

static nb_status choose_tensor_scale(nb_context *context, job *j, const char *what, uint64_t *done,
                                     uint64_t total, nb_error *error)
{
    nb_status status = run(context, j, what, find_range, done, total, error);
    if (status != NB_OK)
        return status;
    nb_range range = nb_range_empty();
    for (size_t i = 0; i < j->packed->n_row_groups; i++)
        nb_range_merge(&range, &j->parts[i].range);
    if (j->quantizer->format->kind == NB_FORMAT_FLOAT) {
        j->tensor_scale = nb_tensor_scale_of(nb_range_absmax(&range), j->quantizer->format);
        j->packed->tensor_scale = j->tensor_scale;
        return NB_OK;
    }
    nb_affine_problem wrong = nb_affine_choose(&range, j->quantizer, &j->tensor_affine);
    if (wrong == NB_AFFINE_FINE)
        return NB_OK;
    part p = {0};
    blame_group(&p, wrong, &range, &j->tensor_affine, 0, 0, j->source->n_cols);
    return complain(j, what, &p, error);
}

static nb_status quantize(nb_context *context, job *j, const char *what, nb_error *error)
{
    const nb_format_kind kind = j->quantizer->format->kind;
    uint64_t n_bytes = (uint64_t)j->source_row_bytes * j->source->n_rows, done = 0;
    uint64_t total = j->one_scale ? 2 * n_bytes : n_bytes;
    if (!create_scratch(context, j))
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to quantize rows of %zu numbers", what,
                       j->source->n_cols);
    if (j->one_scale) {
        nb_status status = choose_tensor_scale(context, j, what, &done, total, error);
        if (status != NB_OK)
            return status;
    }
    return run(context, j, what, kind == NB_FORMAT_INT     ? encode_int
               : kind == NB_FORMAT_BLOCK ? encode_block
                                         : encode_float,
               &done, total, error);
}

static void add_up(const job *j, nb_rtn_stats *stats)
{
    *stats = (nb_rtn_stats){0};
    for (size_t i = 0; i < j->packed->n_row_groups; i++) {
        const part *p = &j->parts[i];
        stats->signal += p->sums.signal;
        stats->noise += p->sums.noise;
        stats->max_error = p->sums.max_error > stats->max_error ? p->sums.max_error : stats->max_error;
        stats->n_clipped += p->n_clipped;
        stats->n_zero += p->n_zero;
    }
}

nb_status nb_rtn_quantize(nb_context *context, const char *what, const nb_source *source,
                          const nb_quantizer *quantizer, nb_packed **out, nb_rtn_stats *stats,
                          nb_error *error)
{
    *out = NULL;
    nb_status status = nb_quantizer_check(quantizer, error);
    if (status != NB_OK)
        return status;
    if (source->n_rows == 0 || source->n_cols == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s has no numbers to quantize", what);
    job j = {.source = source, .quantizer = quantizer, .want_stats = stats != NULL, .tensor_scale = 1};
    const nb_format *format = quantizer->format;
    if (format->kind == NB_FORMAT_BLOCK && source->n_cols % format->block_size != 0)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: %s packs %u numbers to a block, and rows of %zu are no multiple of that; try %s", what,
                       format->name, (unsigned)format->block_size, source->n_cols,
                       source->n_cols % NB_BLOCK == 0 ? "q4_0 or q8_0, whose blocks have 32"
                                                      : "int4 or int8, which take any");
    size_t n_bytes;
    j.source_row_bytes = nb_format_row_bytes(source->format, source->n_cols);
    if (!nb_mul_size(source->n_cols, sizeof(float), &n_bytes) ||
        !nb_mul_size(source->n_rows, j.source_row_bytes, &n_bytes))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: %zu rows of %zu numbers are more than memory can hold",
                       what, source->n_rows, source->n_cols);
    if (n_outliers(&j) > 0 && (format->kind != NB_FORMAT_INT || !nb_quantizer_wants_int8(quantizer)))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: outliers are taken out of int8 activations, which %s has none of", what,
                       format->name);
    if (format->kind == NB_FORMAT_TABLE)
        return nb_table_quantize(context, what, source, quantizer, out, stats, error);
    status = nb_packed_create(quantizer, source->n_rows, source->n_cols, &j.packed, error);
    if (status == NB_OK && n_outliers(&j) > 0)
        status = nb_packed_add_outliers(j.packed, source->input->outliers, n_outliers(&j), error);
    if (status != NB_OK) {
        nb_packed_destroy(&j.packed);
        return status;
    }
    bool is_int = quantizer->format->kind == NB_FORMAT_INT;
    j.one_scale = is_int ? quantizer->granularity == NB_PER_TENSOR : quantizer->format->needs_scale;
    j.group = quantizer->granularity == NB_PER_GROUP ? quantizer->group : source->n_cols;
    status = quantize(context, &j, what, error);
    if (status == NB_OK && stats)
        add_up(&j, stats);
    free_scratch(context, &j);
    if (status == NB_OK)
        *out = j.packed;
    else
        nb_packed_destroy(&j.packed);
    return status;
}

/* ---- one group, by the textbook ---- */

static void float_group(const float *x, size_t n, const nb_format *format, float *scale, int32_t *codes,
                        float *values)
{
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, n);
    float s = n ? nb_tensor_scale_of(nb_range_absmax(&range), format) : 1;
    if (scale)
        *scale = s;
    for (size_t i = 0; i < n; i++) {
        uint32_t code = format->encode(x[i] / s);
        if (codes)
            memcpy(&codes[i], &code, sizeof code);
        if (values)
            values[i] = s * format->decode(code);
    }
}

static void table_group(const float *x, size_t n, const nb_format *format, float *scale, int32_t *codes, float *values)
{
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, n);
    const float absmax = n ? nb_range_absmax(&range) : 0;
    if (scale)
        *scale = absmax;
    for (size_t i = 0; i < n; i++) {
        uint8_t code;
        nb_table_encode(format, x + i, 1, absmax, &code);
        if (codes)
            codes[i] = code;
        if (values)
            values[i] = format->levels[code] * absmax;
    }
}

void nb_rtn_group(const float *x, size_t n, const nb_quantizer *quantizer, float *scale, int32_t *zero,
                  int32_t *codes, float *values)
{
    if (quantizer->format->kind == NB_FORMAT_FLOAT || quantizer->format->kind == NB_FORMAT_TABLE) {
        if (zero)
            *zero = 0;
        (quantizer->format->kind == NB_FORMAT_TABLE ? table_group : float_group)(x, n, quantizer->format, scale, codes,
                                                                                 values);
        return;
    }
    assert(quantizer->format->kind == NB_FORMAT_INT);
    nb_affine affine = {0};
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, n);
    if (n)
        nb_affine_choose(&range, quantizer, &affine);
    if (scale)
        *scale = affine.scale;
    if (zero)
        *zero = affine.zero;
    int32_t bias = (int32_t)1 << (quantizer->format->bits - 1);
    for (size_t i = 0; i < n; i += NB_BLOCK) {
        uint8_t u[NB_BLOCK];
        float w[NB_BLOCK];
        uint64_t n_clipped = 0, n_zero = 0;
        size_t n_now = nb_min_size(NB_BLOCK, n - i);
        nb_affine_encode(&affine, quantizer, x + i, n_now, u, w, &n_clipped, &n_zero);
        for (size_t k = 0; k < n_now; k++) {
            if (codes)
                codes[i + k] = (int32_t)u[k] - bias;
            if (values)
                values[i + k] = w[k];
        }
    }
}
