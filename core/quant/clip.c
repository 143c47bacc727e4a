#include "quant/clip.h"

#include "base/memory.h"
#include "quant/affine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Columns that share a scale. */
static size_t group_of(const nb_quantizer *quantizer, size_t n_cols)
{
    return quantizer->granularity == NB_PER_GROUP ? nb_min_size(quantizer->group, n_cols) : n_cols;
}

bool nb_clip_suits(const nb_quantizer *quantizer, size_t n_cols)
{
    return quantizer->format->kind == NB_FORMAT_INT && quantizer->granularity != NB_PER_TENSOR &&
           group_of(quantizer, n_cols) <= NB_CLIP_MOST_COLUMNS;
}

/* ---- what groups meet ---- */

typedef struct inputs_job {
    nb_clip_inputs *inputs;
    const float *x, *inverses;
    size_t n_tokens, n_samples;
    float *scratch; /* [threads][group] */
} inputs_job;

static void add_products(void *user, size_t begin, size_t end, unsigned thread)
{
    const inputs_job *job = user;
    const size_t group = job->inputs->group, n_cols = job->inputs->n_cols;
    float *restrict x = job->scratch + thread * group;
    for (size_t g = begin; g < end; g++) {
        const size_t first = g * group, n = nb_min_size(group, n_cols - first);
        float *products = job->inputs->products + g * group * group;
        for (size_t s = 0; s < job->n_samples; s++) {
            const float *row = job->x + s * job->n_tokens / job->n_samples * n_cols + first;
            for (size_t i = 0; i < n; i++)
                x[i] = row[i] * job->inverses[first + i];
            for (size_t i = 0; i < n; i++) {
                float *restrict into = products + i * group;
                const float xi = x[i];
                for (size_t j = 0; j < n; j++)
                    into[j] += xi * x[j];
            }
        }
    }
}

nb_status nb_clip_inputs_create(nb_context *context, const nb_quantizer *quantizer, const float *x, size_t n_tokens,
                                size_t n_cols, const float *inverses, nb_clip_inputs *out, nb_error *error)
{
    const size_t group = group_of(quantizer, n_cols), n_groups = nb_div_up(n_cols, group);
    *out = (nb_clip_inputs){.n_cols = n_cols, .group = group};
    out->products = nb_calloc(n_groups * group, group * sizeof *out->products);
    inputs_job job = {.inputs = out,
                      .x = x,
                      .inverses = inverses,
                      .n_tokens = n_tokens,
                      .n_samples = nb_min_size(n_tokens, NB_CLIP_SAMPLES),
                      .scratch = nb_calloc(nb_pool_size(context->pool), group * sizeof(float))};
    if (!out->products || !job.scratch) {
        nb_clip_inputs_free(out);
        free(job.scratch);
        return nb_fail(error, NB_ERR_MEMORY, "no memory to look at %zu columns", n_cols);
    }
    nb_parallel(context->pool, n_groups, 1, add_products, &job);
    free(job.scratch);
    return NB_OK;
}

void nb_clip_inputs_free(nb_clip_inputs *inputs)
{
    free(inputs->products);
    *inputs = (nb_clip_inputs){0};
}

/* ---- one group of one row ---- */

typedef struct scratch {
    float *row, *clamped, *stored, *error, *products; /* [n_cols] */
    uint8_t *tried;                                   /* [n_cols] */
    uint8_t *codes;                                   /* [16][n_cols] */
    float *scales;                                    /* [16][n_scales] */
    uint8_t *zeros;
    uint64_t n_clipped;
} scratch;

/* d^T products d: the sum over samples of the squared error of the output. */
static double output_error(const float *restrict products, size_t stride, const float *restrict d, size_t n,
                           float *restrict sums)
{
    memset(sums, 0, n * sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        const float di = d[i];
        const float *restrict row = products + i * stride;
        for (size_t j = 0; j < n; j++)
            sums[j] += di * row[j];
    }
    double total = 0;
    for (size_t j = 0; j < n; j++)
        total += (double)sums[j] * (double)d[j];
    return total;
}

static bool try_range(const nb_quantizer *q, const float *x, size_t n, float limit, scratch *s, nb_affine *affine)
{
    uint64_t ignored = 0;
    nb_range range = nb_range_empty();
    for (size_t i = 0; i < n; i++) {
        const float low = x[i] > -limit ? x[i] : -limit;
        s->clamped[i] = low < limit ? low : limit;
    }
    nb_range_add(&range, s->clamped, n);
    if (nb_affine_choose(&range, q, affine) != NB_AFFINE_FINE)
        return false;
    nb_affine_encode(affine, q, s->clamped, n, s->tried, s->stored, &ignored, &ignored);
    for (size_t i = 0; i < n; i++)
        s->error[i] = s->stored[i] - x[i];
    return true;
}

/* Leaves the best codes in codes[n]; false if the numbers have no scale. */
static bool choose_range(const nb_quantizer *q, const float *x, size_t n, const float *products, size_t stride,
                         scratch *s, nb_affine *best, uint8_t *codes)
{
    nb_range range = nb_range_empty();
    nb_range_add(&range, x, n);
    const float largest = nb_range_absmax(&range);
    double least = INFINITY;
    unsigned chosen = 0;
    bool found = false;
    for (unsigned i = 0; i < NB_CLIP_STEPS; i++) {
        nb_affine affine;
        if (!try_range(q, x, n, largest * (1.0f - (float)i / (2 * NB_CLIP_STEPS)), s, &affine))
            continue;
        const double error = output_error(products, stride, s->error, n, s->products);
        if (!found || error < least) {
            least = error;
            *best = affine;
            chosen = i;
            found = true;
            memcpy(codes, s->tried, n);
        }
        if (largest == 0)
            break;
    }
    s->n_clipped += chosen > 0;
    return found;
}

/* ---- a matrix ---- */

typedef struct job {
    const nb_format *format;
    const uint8_t *rows;
    size_t row_bytes, n_rows;
    const nb_transform *transforms;
    const nb_clip_inputs *inputs;
    const nb_quantizer *quantizer;
    nb_packed *packed;
    scratch *scratch;  /* [threads] */
    size_t *strange;   /* [n_row_groups]: 1 + a row that has no scale, or 0 */
    size_t first_row_group;
} job;

static bool encode_row(const job *j, scratch *s, size_t row)
{
    const size_t n_cols = j->inputs->n_cols, group = j->inputs->group, slot = row % NB_ROWS;
    const size_t n_scales = j->packed->n_scales;
    const int32_t bias = (int32_t)1 << (j->quantizer->format->bits - 1);
    nb_transform_read_row(j->transforms, j->format, j->rows + row * j->row_bytes, row, n_cols, s->row);
    for (size_t g = 0, first = 0; first < n_cols; g++, first += group) {
        const size_t n = nb_min_size(group, n_cols - first);
        nb_range range = nb_range_empty();
        nb_affine affine;
        nb_range_add(&range, s->row + first, n);
        if (!nb_range_is_finite(&range) ||
            !choose_range(j->quantizer, s->row + first, n, j->inputs->products + g * group * group, group, s,
                          &affine, s->codes + slot * n_cols + first))
            return false;
        s->scales[slot * n_scales + g] = affine.scale;
        s->zeros[slot * n_scales + g] = (uint8_t)(affine.zero + bias);
    }
    return true;
}

static void encode_groups(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *j = user;
    scratch *s = &j->scratch[thread];
    for (size_t i = begin; i < end; i++) {
        const size_t group = j->first_row_group + i;
        const size_t last = nb_min_size((group + 1) * NB_ROWS, j->n_rows);
        for (size_t row = group * NB_ROWS; row < last && !j->strange[group]; row++)
            j->strange[group] = encode_row(j, s, row) ? 0 : row + 1;
        if (!j->strange[group])
            nb_packed_set_int(j->packed, group, s->codes, s->scales,
                              j->quantizer->scheme == NB_SCHEME_ZEROPOINT ? s->zeros : NULL);
    }
}

static void free_scratch(scratch *all, size_t n_threads)
{
    for (size_t i = 0; all && i < n_threads; i++) {
        free(all[i].row);
        free(all[i].codes);
        free(all[i].scales);
        free(all[i].zeros);
    }
    free(all);
}

static scratch *make_scratch(size_t n_threads, size_t n_cols, size_t n_scales)
{
    scratch *all = nb_calloc(n_threads, sizeof *all);
    bool made = all != NULL;
    for (size_t i = 0; made && i < n_threads; i++) {
        scratch *s = &all[i];
        s->row = nb_calloc(5 * n_cols, sizeof *s->row);
        s->codes = nb_calloc((NB_ROWS + 1) * n_cols, sizeof *s->codes);
        s->scales = nb_calloc(NB_ROWS * n_scales, sizeof *s->scales);
        s->zeros = nb_calloc(NB_ROWS * n_scales, sizeof *s->zeros);
        made = s->row && s->codes && s->scales && s->zeros;
        if (!made)
            break;
        s->clamped = s->row + n_cols, s->stored = s->row + 2 * n_cols;
        s->error = s->row + 3 * n_cols, s->products = s->row + 4 * n_cols;
        s->tried = s->codes + NB_ROWS * n_cols;
    }
    if (!made) {
        free_scratch(all, n_threads);
        return NULL;
    }
    return all;
}

/* Some row groups at a time, so that a wish to stop is heard. */
static nb_status encode_all(nb_context *context, const char *what, job *j, nb_error *error)
{
    const size_t step = 4 * (size_t)nb_pool_size(context->pool);
    nb_status status = NB_OK;
    for (size_t first = 0; status == NB_OK && first < j->packed->n_row_groups; first += step) {
        const size_t n = nb_min_size(step, j->packed->n_row_groups - first);
        j->first_row_group = first;
        nb_parallel(context->pool, n, 1, encode_groups, j);
        for (size_t g = first; status == NB_OK && g < first + n; g++)
            if (j->strange[g])
                status = nb_fail(error, NB_ERR_ARGUMENT,
                                 "%s: row %zu holds a number that is not finite, or that no scale reaches", what,
                                 j->strange[g] - 1);
        if (status == NB_OK)
            status = nb_context_tick(context, what, nb_min_size((first + n) * NB_ROWS, j->n_rows), j->n_rows, "rows",
                                     error);
    }
    return status;
}

nb_status nb_clip_quantize(nb_context *context, const char *what, const nb_format *format, const void *rows,
                           const nb_transform *transforms, size_t n_rows, const nb_clip_inputs *inputs,
                           const nb_quantizer *quantizer, nb_packed **out, uint64_t *n_clipped, nb_error *error)
{
    *out = NULL;
    *n_clipped = 0;
    job j = {.format = format,
             .rows = rows,
             .row_bytes = nb_format_row_bytes(format, inputs->n_cols),
             .n_rows = n_rows,
             .transforms = transforms,
             .inputs = inputs,
             .quantizer = quantizer};
    const size_t n_threads = nb_pool_size(context->pool);
    nb_status status = nb_packed_create(quantizer, n_rows, inputs->n_cols, &j.packed, error);
    if (status != NB_OK)
        return status;
    j.scratch = make_scratch(n_threads, inputs->n_cols, j.packed->n_scales);
    j.strange = nb_calloc(j.packed->n_row_groups, sizeof *j.strange);
    if (j.scratch && j.strange)
        status = encode_all(context, what, &j, error);
    else
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to search ranges", what);
    for (size_t i = 0; status == NB_OK && i < n_threads; i++)
        *n_clipped += j.scratch[i].n_clipped;
    free_scratch(j.scratch, n_threads);
    free(j.strange);
    if (status == NB_OK)
        *out = j.packed;
    else
        nb_packed_destroy(&j.packed);
    return status;
}
