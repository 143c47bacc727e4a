#include "quant/hqq.h"

#include "base/memory.h"
#include "base/print.h"
#include "math/math.h"
#include "quant/affine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

nb_hqq_options nb_hqq_defaults(void)
{
    return (nb_hqq_options){.norm = 0.7, .beta = 10, .iterations = 20};
}

/* The part of an error that is left to stand: what minimizes |e|^norm + beta / 2 (e - error)^2, about. */
static float shrink(float error, const nb_hqq_options *options)
{
    const double size = fabs((double)error);
    if (size == 0)
        return 0;
    const double left = size - nb_pow(size, options->norm - 1) / options->beta;
    return left > 0 ? copysignf((float)left, error) : 0;
}

/* ---- the authors' solver ---- */

/* Codes of x by this scale and zero point, what they stand for, and the mean of |x - that|. */
static float round_all(const float *x, size_t n, float inverse, float zero, float highest, float *codes, float *w)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        float code = rintf(x[i] * inverse + zero);
        code = code > 0 ? code : 0;
        codes[i] = code < highest ? code : highest;
        w[i] = (codes[i] - zero) / inverse;
        sum += fabs((double)(x[i] - w[i]));
    }
    return (float)(sum / (double)n);
}

/* The zero point that suits these codes best. */
static float next_zero(const float *x, size_t n, float inverse, const float *codes, const float *w,
                       const nb_hqq_options *options)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)(codes[i] - (x[i] - shrink(x[i] - w[i], options)) * inverse);
    return (float)(sum / (double)n);
}

enum { PIECE = 256 }; /* columns that a group has at most, in the solver's own memory */

typedef struct room {
    float *codes, *w; /* [group] */
} room;

static void solve_zero(const float *x, size_t n, unsigned bits, const nb_hqq_options *options, const room *room,
                       float *inverse, float *zero, float *error)
{
    const float highest = (float)((1 << bits) - 1);
    float low = x[0], high = x[0];
    for (size_t i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    *inverse = high - low <= 1e-4f ? 1 : highest / (high - low);
    *inverse = *inverse < 2e4f ? *inverse : 2e4f;
    *zero = -low * *inverse;
    *error = round_all(x, n, *inverse, *zero, highest, room->codes, room->w);
    float now = *zero;
    for (unsigned i = 0; i < options->iterations; i++) {
        now = next_zero(x, n, *inverse, room->codes, room->w, options);
        const float next = round_all(x, n, *inverse, now, highest, room->codes, room->w);
        if (!(next < *error))
            break;
        *error = next;
        *zero = now;
    }
    *error = round_all(x, n, *inverse, *zero, highest, room->codes, room->w);
}

void nb_hqq_group(const float *x, size_t n, unsigned bits, const nb_hqq_options *options, float *inverse, float *zero,
                  uint8_t *codes, float *error)
{
    float numbers[2][PIECE];
    float *more = n > PIECE ? nb_calloc(n, 2 * sizeof *more) : NULL;
    const room room = {more ? more : numbers[0], more ? more + n : numbers[1]};
    if (n == 0 || (n > PIECE && !more)) {
        *inverse = *zero = *error = 0;
        return;
    }
    solve_zero(x, n, bits, options, &room, inverse, zero, error);
    for (size_t i = 0; i < n; i++)
        codes[i] = (uint8_t)room.codes[i];
    free(more);
}

/* ---- with a whole zero point ---- */

typedef struct choice {
    nb_affine affine;
    float error;
} choice;

/* The scale that suits these codes best. */
static float next_scale(const float *x, size_t n, float zero, const float *codes, const float *w,
                        const nb_hqq_options *options)
{
    double above = 0, below = 0;
    for (size_t i = 0; i < n; i++) {
        const double code = (double)(codes[i] - zero);
        above += (double)(x[i] - shrink(x[i] - w[i], options)) * code;
        below += code * code;
    }
    return below > 0 ? (float)(above / below) : 0;
}

/* Codes, what they stand for, and the mean square of what is lost: that is what a layer's output feels. */
static float round_steps(const float *x, size_t n, const nb_affine *a, float *codes, float *w)
{
    double sum = 0;
    const float zero = (float)a->zero, lowest = (float)a->lowest, highest = (float)a->highest;
    for (size_t i = 0; i < n; i++) {
        float code = rintf(x[i] / a->scale) + zero;
        code = code > lowest ? code : lowest;
        codes[i] = code < highest ? code : highest;
        w[i] = a->scale * (codes[i] - zero);
        sum += (double)(x[i] - w[i]) * (double)(x[i] - w[i]);
    }
    return (float)(sum / (double)n);
}

/* Goes from this scale to better ones, and keeps the best in *best if it is better than what is there. */
static void solve_scale(const float *x, size_t n, nb_affine affine, bool scales_f32, const nb_hqq_options *options,
                        const room *room, choice *best)
{
    float last = INFINITY;
    for (unsigned i = 0; i <= options->iterations; i++) {
        if (!scales_f32)
            affine.scale = nb_f32_from_f16(nb_f16_from_f32(affine.scale));
        if (!(affine.scale > 0 && isfinite(affine.scale)))
            return;
        const float error = round_steps(x, n, &affine, room->codes, room->w);
        if (!(error < last))
            return;
        last = error;
        if (error < best->error)
            *best = (choice){affine, error};
        affine.scale = next_scale(x, n, (float)affine.zero, room->codes, room->w, options);
    }
}

/* The solver finds the nearest valley, so it starts from round to nearest and from ranges that are narrower by tenths,
 * and from the whole numbers on either side of the authors' zero point. */
enum { N_STARTS = 4 };
#define START_STEP 0.1f

static nb_affine_problem choose(const float *x, size_t n, const nb_quantizer *q, const nb_hqq_options *options,
                                const room *room, nb_affine *out)
{
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, n);
    const nb_affine_problem problem = nb_affine_choose(&range, q, out);
    if (problem != NB_AFFINE_FINE || out->scale == 0)
        return problem;
    choice best = {*out, INFINITY};
    for (int i = 0; i < N_STARTS; i++) {
        nb_affine affine = *out;
        affine.scale *= 1 - (float)i * START_STEP;
        solve_scale(x, n, affine, q->scales_f32, options, room, &best);
    }
    if (q->scheme == NB_SCHEME_ZEROPOINT) {
        float inverse, zero, error;
        solve_zero(x, n, q->format->bits, options, room, &inverse, &zero, &error);
        const float whole = floorf(zero) + (float)out->lowest; /* the authors' codes begin with 0 */
        for (int i = 0; i < 2; i++) {
            nb_affine affine = *out;
            const float at = whole + (float)i;
            affine.zero = at < (float)affine.lowest    ? affine.lowest
                          : at > (float)affine.highest ? affine.highest
                                                       : (int32_t)at;
            affine.scale = 1 / inverse;
            solve_scale(x, n, affine, q->scales_f32, options, room, &best);
        }
    }
    *out = best.affine;
    return NB_AFFINE_FINE;
}

/* ---- a matrix ---- */

/* Where a number cannot be stored: the first such place of each row group. */
typedef struct trouble {
    bool is_there, is_scale;
    size_t row, column;
    float value;
} trouble;

typedef struct scratch {
    float *x, *w, *codes, *scales;
    uint8_t *packed_codes, *zeros;
} scratch;

typedef struct job {
    const nb_source *source;
    const nb_quantizer *quantizer;
    const nb_hqq_options *options;
    nb_packed *packed;
    size_t group, first_group; /* columns to a scale; row group of item 0 */
    scratch *scratch;          /* [threads] */
    trouble *troubles;         /* [n_row_groups] */
} job;

static void read_row(const job *j, size_t row, float *out)
{
    const nb_source *s = j->source;
    const size_t row_bytes = nb_format_row_bytes(s->format, s->n_cols);
    nb_transform_read_row(s->transforms, s->format, (const uint8_t *)s->data + row * row_bytes, row, s->n_cols, out);
    if (nb_input_moves(s->input))
        nb_input_turn_row(s->input, out);
}

static bool solve_row(const job *j, scratch *s, size_t row, size_t slot, trouble *t)
{
    const size_t n_cols = j->source->n_cols, n_scales = j->packed->n_scales;
    const int bias = 1 << (j->quantizer->format->bits - 1);
    const room room = {s->codes, s->w};
    uint64_t ignored[2] = {0};
    read_row(j, row, s->x);
    for (size_t i = 0; i < n_cols; i++)
        if (!isfinite(s->x[i])) {
            *t = (trouble){.is_there = true, .row = row, .column = i, .value = s->x[i]};
            return false;
        }
    for (size_t g = 0, column = 0; g < n_scales; g++, column += j->group) {
        const size_t n = nb_min_size(j->group, n_cols - column);
        nb_affine affine;
        if (choose(s->x + column, n, j->quantizer, j->options, &room, &affine) != NB_AFFINE_FINE) {
            *t = (trouble){.is_there = true, .is_scale = true, .row = row, .column = column, .value = affine.wanted};
            return false;
        }
        nb_affine_encode(&affine, j->quantizer, s->x + column, n, s->packed_codes + slot * n_cols + column, s->w,
                         &ignored[0], &ignored[1]);
        s->scales[slot * n_scales + g] = affine.scale;
        s->zeros[slot * n_scales + g] = (uint8_t)(affine.zero + bias);
    }
    return true;
}

static void solve_groups(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *j = user;
    scratch *s = &j->scratch[thread];
    for (size_t i = begin; i < end; i++) {
        const size_t group = j->first_group + i, first = group * NB_ROWS;
        const size_t n = nb_min_size(NB_ROWS, j->source->n_rows - first);
        bool fine = true;
        for (size_t r = 0; fine && r < n; r++)
            fine = solve_row(j, s, first + r, r, &j->troubles[group]);
        if (fine)
            nb_packed_set_int(j->packed, group, s->packed_codes, s->scales,
                              j->quantizer->scheme == NB_SCHEME_ZEROPOINT ? s->zeros : NULL);
    }
}

static bool create_scratch(nb_context *context, job *j)
{
    const size_t n_cols = j->source->n_cols, n_scales = j->packed->n_scales;
    j->troubles = nb_calloc(j->packed->n_row_groups, sizeof *j->troubles);
    j->scratch = nb_calloc(nb_pool_size(context->pool), sizeof *j->scratch);
    bool made = j->troubles && j->scratch;
    for (unsigned i = 0; made && i < nb_pool_size(context->pool); i++) {
        scratch *s = &j->scratch[i];
        s->x = nb_calloc(n_cols, sizeof *s->x);
        s->w = nb_calloc(j->group, sizeof *s->w);
        s->codes = nb_calloc(j->group, sizeof *s->codes);
        s->packed_codes = nb_calloc(NB_ROWS, n_cols);
        s->scales = nb_calloc(NB_ROWS * n_scales, sizeof *s->scales);
        s->zeros = nb_calloc(NB_ROWS, n_scales);
        made = s->x && s->w && s->codes && s->packed_codes && s->scales && s->zeros;
    }
    return made;
}

static void free_scratch(nb_context *context, job *j)
{
    for (unsigned i = 0; j->scratch && i < nb_pool_size(context->pool); i++) {
        scratch *s = &j->scratch[i];
        free(s->x);
        free(s->w);
        free(s->codes);
        free(s->packed_codes);
        free(s->scales);
        free(s->zeros);
    }
    free(j->scratch);
    free(j->troubles);
}

static nb_status complain(const char *what, const trouble *t, const nb_quantizer *q, nb_error *error)
{
    char value[32];
    nb_print_f32(value, sizeof value, t->value);
    if (t->is_scale)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: row %zu, from column %zu on, needs a scale of %s, more than f16 holds; try f32 scales", what,
                       t->row, t->column, value);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s: row %zu, column %zu is %s; only finite numbers can be stored as %s", what,
                   t->row, t->column, value, q->format->name);
}

enum { AT_ONCE = 16 }; /* row groups to a thread, between two looks at the wish to stop */

static nb_status solve_matrix(nb_context *context, const char *what, job *j, nb_error *error)
{
    const size_t n_groups = j->packed->n_row_groups, at_once = AT_ONCE * nb_pool_size(context->pool);
    nb_status status = NB_OK;
    for (; status == NB_OK && j->first_group < n_groups; j->first_group += at_once) {
        const size_t n = nb_min_size(at_once, n_groups - j->first_group);
        nb_parallel(context->pool, n, 1, solve_groups, j);
        for (size_t i = 0; status == NB_OK && i < n; i++)
            if (j->troubles[j->first_group + i].is_there)
                status = complain(what, &j->troubles[j->first_group + i], j->quantizer, error);
        if (status == NB_OK)
            status = nb_context_tick(context, what, nb_min_size((j->first_group + n) * NB_ROWS, j->source->n_rows),
                                     j->source->n_rows, "rows", error);
    }
    return status;
}

nb_status nb_hqq_check(const nb_quantizer *q, nb_error *error)
{
    if (q->format->kind != NB_FORMAT_INT)
        return nb_fail(error, NB_ERR_ARGUMENT, "HQQ chooses scales and zero points of int2 to int8; %s has others",
                       q->format->name);
    if (q->granularity == NB_PER_TENSOR)
        return nb_fail(error, NB_ERR_ARGUMENT, "HQQ solves a group or a channel at a time: --per group:64");
    if (q->convention != NB_CONVENTION_DIVIDE)
        return nb_fail(error, NB_ERR_ARGUMENT, "HQQ chooses scales by the divide convention");
    return nb_quantizer_check(q, error);
}

nb_status nb_hqq_quantize(nb_context *context, const char *what, const nb_source *source, const nb_quantizer *quantizer,
                          const nb_hqq_options *options, nb_packed **out, nb_error *error)
{
    *out = NULL;
    job j = {.source = source, .quantizer = quantizer, .options = options};
    nb_status status = nb_hqq_check(quantizer, error);
    if (status == NB_OK)
        status = nb_packed_create(quantizer, source->n_rows, source->n_cols, &j.packed, error);
    if (status != NB_OK)
        return status;
    j.group = quantizer->granularity == NB_PER_GROUP ? quantizer->group : source->n_cols;
    status = create_scratch(context, &j) ? solve_matrix(context, what, &j, error)
                                         : nb_fail(error, NB_ERR_MEMORY, "%s: no memory to quantize it", what);
    free_scratch(context, &j);
    if (status == NB_OK)
        *out = j.packed;
    else
        nb_packed_destroy(&j.packed);
    return status;
}
