#include "quant/smooth.h"

#include "base/memory.h"
#include "base/print.h"
#include "math/math.h"
#include "quant/rewrite.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float LEAST = 1e-5f; /* of a column's weights and of a scale: what the authors' code has */

void nb_smooth_scales(const float *x_largest, const float *w_largest, size_t n, double alpha, float *scales)
{
    for (size_t i = 0; i < n; i++) {
        const float w = w_largest[i] > LEAST ? w_largest[i] : LEAST;
        const float s = x_largest[i] > 0
                            ? (float)(nb_pow((double)x_largest[i], alpha) / nb_pow((double)w, 1.0 - alpha))
                            : 1.0f;
        scales[i] = s > LEAST ? s : LEAST;
    }
}

/* ---- how large activations become ---- */

typedef struct looker {
    size_t n_norms, n_embd;
    const nb_tensor **readers; /* [n_norms]: the first of each */
    float *largest;            /* [n_norms][n_embd] */
    const nb_tensor *where;
    float value;
} looker;

static void look(void *observer, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    looker *l = observer;
    for (size_t norm = 0; norm < l->n_norms; norm++) {
        bool reads = false;
        for (size_t i = 0; i < n_tensors; i++)
            reads = reads || tensors[i] == l->readers[norm];
        for (size_t t = 0; reads && t < x->n_tokens; t++) {
            const float *row = x->f32 + t * x->f32_stride;
            float *largest = l->largest + norm * l->n_embd;
            for (size_t c = 0; c < l->n_embd; c++) {
                const float size = fabsf(row[c]);
                largest[c] = size > largest[c] ? size : largest[c];
                if (!(size <= FLT_MAX) && !l->where) {
                    l->where = l->readers[norm];
                    l->value = row[c];
                }
            }
        }
    }
}

static nb_status find_activations(nb_model *model, const nb_samples *samples, float *largest, nb_error *error)
{
    looker l = {.n_norms = nb_norm_count(model), .n_embd = model->hparams.n_embd, .largest = largest};
    l.readers = nb_calloc(l.n_norms, sizeof *l.readers);
    if (!l.readers)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to look at activations");
    for (size_t i = 0; i < l.n_norms; i++)
        l.readers[i] = nb_norm_at(model, i).readers[0];
    nb_status status = nb_samples_read(model, samples, look, &l, error);
    free(l.readers);
    if (status == NB_OK && l.where)
        return nb_fail(error, NB_ERR_STATE, "%s reads an activation that is %s: a model that does not compute with "
                                            "numbers cannot be smoothed",
                       l.where->name, isnan(l.value) ? "nan" : "infinite");
    return status;
}

/* ---- how large weights are ---- */

typedef struct column_job {
    const nb_tensor *tensor;
    float *rows, *largest; /* [threads][n_cols] */
} column_job;

static void take_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    const column_job *job = user;
    const size_t n = job->tensor->n_cols;
    float *row = job->rows + thread * n, *largest = job->largest + thread * n;
    for (size_t r = begin; r < end; r++) {
        nb_tensor_source_row(job->tensor, r, row);
        for (size_t c = 0; c < n; c++) {
            const float size = fabsf(row[c]);
            largest[c] = size > largest[c] ? size : largest[c];
        }
    }
}

/* The largest magnitude in each column of all readers, into largest[n_embd]. */
static nb_status find_weights(nb_model *model, const nb_norm *norm, float *largest, nb_error *error)
{
    const size_t n = norm->tensor->n_cols, n_threads = nb_pool_size(model->context->pool);
    column_job job = {.rows = nb_calloc(n_threads, n * sizeof(float)),
                      .largest = nb_calloc(n_threads, n * sizeof(float))};
    const bool made = job.rows && job.largest;
    for (size_t i = 0; made && i < norm->n_readers; i++) {
        job.tensor = norm->readers[i];
        nb_parallel(model->context->pool, job.tensor->n_rows, 1 + (64 << 10) / n, take_rows, &job);
    }
    memset(largest, 0, n * sizeof *largest);
    for (size_t i = 0; made && i < n_threads * n; i++)
        largest[i % n] = job.largest[i] > largest[i % n] ? job.largest[i] : largest[i % n];
    free(job.rows);
    free(job.largest);
    return made ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to look at weights");
}

/* ---- all norms ---- */

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The largest of values[n], and how far it stands above the median; sorts them. */
static float largest_and_spread(float *values, size_t n, float *spread)
{
    qsort(values, n, sizeof *values, ascending);
    const float median = values[n / 2];
    *spread = median > 0 ? values[n - 1] / median : 1.0f;
    return values[n - 1];
}

/* `scratch` has n_embd floats. */
static void describe(const float *x, const float *w, const float *scales, size_t n, float *scratch, nb_smoothed *out)
{
    memcpy(scratch, x, n * sizeof *scratch);
    out->x_before = largest_and_spread(scratch, n, &out->spread_before);
    for (size_t i = 0; i < n; i++)
        scratch[i] = x[i] / scales[i];
    out->x_after = largest_and_spread(scratch, n, &out->spread_after);
    out->w_before = out->w_after = 0;
    for (size_t i = 0; i < n; i++) {
        out->w_before = w[i] > out->w_before ? w[i] : out->w_before;
        out->w_after = w[i] * scales[i] > out->w_after ? w[i] * scales[i] : out->w_after;
    }
}

static nb_status smooth_norm(nb_rewrite *r, size_t index, const float *x, double alpha, float *scratch,
                             nb_smoothed *out, nb_error *error)
{
    const nb_norm norm = nb_norm_at(r->model, index);
    const size_t n = norm.tensor->n_cols;
    float *w = scratch, *scales = scratch + n, *gains = scratch + 2 * n;
    nb_status status = find_weights(r->model, &norm, w, error);
    if (status != NB_OK)
        return status;
    nb_smooth_scales(x, w, n, alpha, scales);
    if (out) {
        out->norm = (size_t)(norm.tensor - r->model->tensors);
        describe(x, w, scales, n, gains, out);
    }
    for (size_t i = 0; i < n; i++)
        gains[i] = 1.0f / scales[i];
    return nb_rewrite_norm(r, &norm, gains, scales, error);
}

static nb_status check(const nb_model *model, double alpha, nb_error *error)
{
    char text[32];
    if (nb_norm_count(model) == 0)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "a %s model has no norms whose channels can be scaled",
                       model->hparams.architecture);
    if (!(alpha >= 0 && alpha <= 1))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "an alpha of %s: it is from 0 (activations stay) to 1 (all that is uneven goes into the weights)",
                       nb_print_general(text, sizeof text, alpha, 6));
    return nb_model_check(model, error);
}

nb_status nb_model_smooth(nb_model *model, const nb_samples *samples, double alpha, nb_smoothed *made, nb_error *error)
{
    nb_status status = check(model, alpha, error);
    if (status != NB_OK)
        return status;
    const size_t n_norms = nb_norm_count(model), n_embd = model->hparams.n_embd;
    char number[32], what[128];
    snprintf(what, sizeof what, "smooth --alpha %s, %s", nb_print_general(number, sizeof number, alpha, 6),
             nb_samples_describe(samples).text);
    nb_rewrite r = {0};
    float *largest = nb_calloc(n_norms, n_embd * sizeof *largest), *scratch = nb_calloc(3 * n_embd, sizeof *scratch);
    status = largest && scratch ? nb_rewrite_begin(&r, model, what, error)
                                : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
    if (status == NB_OK)
        status = find_activations(model, samples, largest, error);
    for (size_t i = 0; status == NB_OK && i < n_norms; i++)
        status = smooth_norm(&r, i, largest + i * n_embd, alpha, scratch, made ? &made[i] : NULL, error);
    if (status == NB_OK)
        status = nb_rewrite_apply(&r, error);
    nb_rewrite_free(&r);
    free(largest);
    free(scratch);
    return status;
}
