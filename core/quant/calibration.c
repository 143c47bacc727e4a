#include "quant/calibration.h"

#include "base/digest.h"
#include "base/memory.h"
#include "base/print.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_GRAIN = 64, TOKEN_GRAIN = 8, HEAD_ROWS = 32, LEAST_EXPONENT = -100 };

/* ---- recording ---- */

/* An entry while it grows. */
typedef struct recorder {
    nb_calibration_entry *entry;
    nb_input *basis;     /* what the rows are turned by; NULL: nothing */
    float *low, *high;   /* [n_cols]: of the sequence so far */
    double *sum, *square; /* [n_cols]: of |x| and of x^2 */
    int exponent;        /* the bins reach to 2^exponent */
} recorder;

typedef struct collector {
    nb_model *model;
    nb_calibration *made;
    recorder *recorders; /* [made->n_entries] */
    uint32_t *counts;    /* [threads][NB_OBSERVER_BINS] */
    float *turned;       /* rows in a basis */
    size_t turned_capacity, stride /* tokens from one kept row to the next */;
    nb_status status; /* what went wrong while the model was running */
    nb_error *error;
} collector;

static bool same_array(const float *a, const float *b, size_t n)
{
    return a && b ? memcmp(a, b, n * sizeof *a) == 0 : a == b;
}

static bool same_basis(const nb_input *a, const nb_input *b, size_t n)
{
    const bool has_a = nb_input_has_basis(a), has_b = nb_input_has_basis(b);
    if (!has_a || !has_b)
        return has_a == has_b;
    return a->hadamard == b->hadamard && same_array(a->signs, b->signs, n) && same_array(a->divisors, b->divisors, n);
}

static nb_status no_memory(nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "no memory for a calibration; quantize fewer tensors, or with dynamic scales");
}

static void recorder_free(recorder *r)
{
    nb_input_destroy(&r->basis);
    free(r->low);
    free(r->high);
    free(r->sum);
    free(r->square);
}

static void clear_sequence(recorder *r)
{
    for (size_t j = 0; j < r->entry->n_cols; j++) {
        r->low[j] = INFINITY;
        r->high[j] = -INFINITY;
    }
}

/* Room was made for as many entries as the model has tensors. */
static nb_status add_entry(collector *c, const nb_tensor *t, recorder **out)
{
    nb_calibration_entry *e = &c->made->entries[c->made->n_entries];
    recorder *r = &c->recorders[c->made->n_entries++];
    const size_t n = t->n_cols;
    *e = (nb_calibration_entry){.n_cols = n, .low = INFINITY, .high = -INFINITY};
    e->bins = nb_calloc(NB_OBSERVER_BINS, sizeof *e->bins);
    e->channel_max = nb_calloc(n, sizeof *e->channel_max);
    e->channel_mean = nb_calloc(n, sizeof *e->channel_mean);
    e->channel_square = nb_calloc(n, sizeof *e->channel_square);
    e->channel_ema_low = nb_calloc(n, sizeof *e->channel_ema_low);
    e->channel_ema_high = nb_calloc(n, sizeof *e->channel_ema_high);
    e->rows = nb_calloc(NB_CALIBRATION_ROWS, n * sizeof *e->rows);
    if (c->made->by_channel)
        e->histograms = nb_channel_histograms_create(n);
    *r = (recorder){.entry = e,
                    .low = nb_calloc(n, sizeof *r->low),
                    .high = nb_calloc(n, sizeof *r->high),
                    .sum = nb_calloc(n, sizeof *r->sum),
                    .square = nb_calloc(n, sizeof *r->square),
                    .exponent = LEAST_EXPONENT};
    const bool has_basis = nb_input_has_basis(t->input);
    if (has_basis)
        r->basis = nb_input_basis(t->input);
    if (!e->bins || !e->channel_max || !e->channel_mean || !e->channel_square || !e->channel_ema_low ||
        !e->channel_ema_high || !e->rows || !r->low || !r->high || !r->sum || !r->square ||
        (has_basis && !r->basis) || (c->made->by_channel && !e->histograms))
        return no_memory(c->error);
    clear_sequence(r);
    *out = r;
    return NB_OK;
}

/* ---- one look ---- */

typedef struct look {
    collector *c;
    recorder *r;
    const float *rows;
    size_t n_tokens, stride;
    float bins_per_unit;
} look;

static void look_at_columns(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const look *l = user;
    recorder *r = l->r;
    for (size_t t = 0; t < l->n_tokens; t++) {
        const float *row = l->rows + t * l->stride;
        for (size_t j = begin; j < end; j++) {
            const float x = row[j], a = fabsf(x);
            r->low[j] = x < r->low[j] ? x : r->low[j];
            r->high[j] = x > r->high[j] ? x : r->high[j];
            r->sum[j] += (double)a;
            r->square[j] += (double)a * (double)a;
        }
    }
    if (r->entry->histograms)
        nb_channel_histograms_count(r->entry->histograms, begin, end, l->rows, l->n_tokens, l->stride);
}

static void count_tokens(void *user, size_t begin, size_t end, unsigned thread)
{
    const look *l = user;
    uint32_t *counts = l->c->counts + (size_t)thread * NB_OBSERVER_BINS;
    for (size_t t = begin; t < end; t++) {
        const float *row = l->rows + t * l->stride;
        for (size_t j = 0; j < l->r->entry->n_cols; j++) {
            const float bin = fabsf(row[j]) * l->bins_per_unit;
            counts[bin < (float)NB_OBSERVER_BINS ? (size_t)bin : NB_OBSERVER_BINS - 1]++; /* NaN: found later */
        }
    }
}

/* Twice as far: pairs of bins become one. */
static void double_reach(recorder *r)
{
    uint64_t *bins = r->entry->bins;
    for (size_t i = 0; i < NB_OBSERVER_BINS / 2; i++)
        bins[i] = bins[2 * i] + bins[2 * i + 1];
    memset(bins + NB_OBSERVER_BINS / 2, 0, NB_OBSERVER_BINS / 2 * sizeof *bins);
    r->exponent++;
}

/* The bins must reach beyond what was just seen. Where they end does not depend on how tokens were batched. */
static void reach_out(recorder *r)
{
    float largest = 0.0f;
    for (size_t j = 0; j < r->entry->n_cols; j++) {
        largest = r->high[j] > largest ? r->high[j] : largest;
        largest = -r->low[j] > largest ? -r->low[j] : largest;
    }
    if (r->entry->n_tokens == 0 && isfinite(largest) && largest > 0.0f) {
        (void)frexpf(largest, &r->exponent);
        r->exponent = r->exponent > LEAST_EXPONENT ? r->exponent : LEAST_EXPONENT;
    }
    while (isfinite(largest) && (double)largest >= ldexp(1.0, r->exponent))
        double_reach(r);
}

static void add_counts(collector *c, nb_calibration_entry *e)
{
    const size_t n = (size_t)nb_pool_size(c->model->context->pool) * NB_OBSERVER_BINS;
    for (size_t i = 0; i < n; i++)
        e->bins[i % NB_OBSERVER_BINS] += c->counts[i];
    memset(c->counts, 0, n * sizeof *c->counts);
}

static void record(collector *c, recorder *r, const float *rows, size_t n_tokens, size_t stride)
{
    nb_calibration_entry *e = r->entry;
    look l = {.c = c, .r = r, .rows = rows, .n_tokens = n_tokens, .stride = stride};
    nb_parallel(c->model->context->pool, e->n_cols, COLUMN_GRAIN, look_at_columns, &l);
    reach_out(r);
    l.bins_per_unit = (float)ldexp(NB_OBSERVER_BINS, -r->exponent);
    nb_parallel(c->model->context->pool, n_tokens, TOKEN_GRAIN, count_tokens, &l);
    add_counts(c, e);
    for (size_t t = 0; t < n_tokens; t++)
        if ((e->n_tokens + t) % c->stride == 0 && e->n_rows < NB_CALIBRATION_ROWS)
            memcpy(e->rows + e->n_rows++ * e->n_cols, rows + t * stride, e->n_cols * sizeof *e->rows);
    e->n_tokens += n_tokens;
}

/* The same in the recorder's basis. */
static nb_status record_turned(collector *c, recorder *r, const nb_acts *x)
{
    const size_t n = x->n_tokens * x->n_cols;
    if (n > c->turned_capacity) {
        float *grown = nb_realloc(c->turned, n, sizeof *grown);
        if (!grown)
            return no_memory(c->error);
        c->turned = grown;
        c->turned_capacity = n;
    }
    for (size_t t = 0; t < x->n_tokens; t++)
        nb_input_apply(r->basis, x->f32 + t * x->f32_stride, c->turned + t * x->n_cols);
    record(c, r, c->turned, x->n_tokens, x->n_cols);
    return NB_OK;
}

static recorder *find_recorder(const collector *c, size_t tensor)
{
    for (size_t i = 0; i < c->made->n_entries; i++)
        for (size_t k = 0; k < c->made->entries[i].n_tensors; k++)
            if (c->made->entries[i].tensors[k] == tensor)
                return &c->recorders[i];
    return NULL;
}

/* The first time: tensors of one basis share an entry. */
static nb_status make_entries(collector *c, nb_tensor *const *tensors, size_t n_tensors)
{
    const size_t first = c->made->n_entries;
    nb_status status = NB_OK;
    for (size_t i = 0; i < n_tensors && status == NB_OK; i++) {
        recorder *r = NULL;
        for (size_t k = first; k < c->made->n_entries && !r; k++)
            if (same_basis(c->recorders[k].basis, tensors[i]->input, tensors[i]->n_cols))
                r = &c->recorders[k];
        if (!r)
            status = add_entry(c, tensors[i], &r);
        if (status == NB_OK)
            r->entry->tensors[r->entry->n_tensors++] = (size_t)(tensors[i] - c->model->tensors);
    }
    return status;
}

static void observe(void *user, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    collector *c = user;
    recorder *done[NB_TENSORS_AT_ONCE];
    if (c->status == NB_OK && !find_recorder(c, (size_t)(tensors[0] - c->model->tensors)))
        c->status = make_entries(c, tensors, n_tensors);
    for (size_t i = 0; i < n_tensors && c->status == NB_OK; i++) {
        recorder *r = done[i] = find_recorder(c, (size_t)(tensors[i] - c->model->tensors));
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again = again || done[k] == r;
        if (again)
            continue;
        if (r->basis)
            c->status = record_turned(c, r, x);
        else
            record(c, r, x->f32, x->n_tokens, x->f32_stride);
    }
}

/* ---- sequences ---- */

static void move_average(double *average, float to, bool is_first)
{
    *average = is_first ? (double)to : *average + NB_OBSERVER_EMA_SHARE * ((double)to - *average);
}

static nb_status end_sequence(collector *c, recorder *r, bool is_first)
{
    nb_calibration_entry *e = r->entry;
    float low = INFINITY, high = -INFINITY;
    for (size_t j = 0; j < e->n_cols; j++) {
        const float largest = -r->low[j] > r->high[j] ? -r->low[j] : r->high[j];
        if (!isfinite(r->square[j]))
            return nb_fail(c->error, NB_ERR_STATE,
                           "what flows into %s is no finite number in channel %zu: the model does not compute on this "
                           "text, and nothing can be measured",
                           c->model->tensors[e->tensors[0]].name, j);
        e->channel_max[j] = largest > e->channel_max[j] ? largest : e->channel_max[j];
        move_average(&e->channel_ema_low[j], r->low[j], is_first);
        move_average(&e->channel_ema_high[j], r->high[j], is_first);
        low = r->low[j] < low ? r->low[j] : low;
        high = r->high[j] > high ? r->high[j] : high;
    }
    e->low = low < e->low ? low : e->low;
    e->high = high > e->high ? high : e->high;
    move_average(&e->ema_low, low, is_first);
    move_average(&e->ema_high, high, is_first);
    clear_sequence(r);
    return NB_OK;
}

/* One sequence, and what the head reads of it. */
static nb_status read_sequence(collector *c, nb_session *session, const int32_t *tokens, size_t n, bool is_first)
{
    const size_t batch = nb_session_batch(session);
    const float *logits;
    nb_status status = NB_OK;
    nb_session_reset(session);
    for (size_t done = 0; done < n && status == NB_OK; done += batch) {
        const size_t now = nb_min_size(batch, n - done);
        status = nb_session_feed(session, tokens + done, now, c->error);
        for (size_t i = 0; i < now && status == NB_OK; i += HEAD_ROWS)
            status = nb_session_logits(session, i, nb_min_size(HEAD_ROWS, now - i), &logits, c->error);
    }
    if (status == NB_OK)
        status = c->status;
    for (size_t i = 0; i < c->made->n_entries && status == NB_OK; i++)
        status = end_sequence(c, &c->recorders[i], is_first);
    return status;
}

static nb_status read_all(collector *c, const nb_samples *samples)
{
    nb_model *model = c->model;
    nb_session *session = NULL;
    nb_status status = nb_session_create(model, NB_WEIGHTS_ORIGINAL, samples->longest, &session, c->error);
    model->observe = observe;
    model->observer = c;
    for (size_t i = 0; i < samples->n_sequences && status == NB_OK; i++) {
        status = read_sequence(c, session, samples->tokens + samples->begins[i], nb_samples_length(samples, i), i == 0);
        if (status == NB_OK)
            status = nb_context_tick(model->context, "calibrating", samples->begins[i + 1],
                                     nb_samples_n_tokens(samples), "tokens", c->error);
    }
    model->observe = NULL;
    model->observer = NULL;
    nb_session_destroy(&session);
    return status;
}

static void finish(const collector *c)
{
    for (size_t i = 0; i < c->made->n_entries; i++) {
        nb_calibration_entry *e = &c->made->entries[i];
        const recorder *r = &c->recorders[i];
        e->width = ldexp(1.0 / NB_OBSERVER_BINS, r->exponent);
        for (size_t j = 0; j < e->n_cols; j++) {
            e->channel_mean[j] = (float)(r->sum[j] / (double)e->n_tokens);
            e->channel_square[j] = (float)(r->square[j] / (double)e->n_tokens);
        }
    }
}

static nb_status collect(nb_model *model, const nb_samples *samples, nb_calibration *made, nb_error *error)
{
    collector c = {.model = model, .made = made, .error = error};
    c.stride = nb_div_up(nb_samples_n_tokens(samples), NB_CALIBRATION_ROWS);
    c.recorders = nb_calloc(model->n_tensors, sizeof *c.recorders);
    c.counts = nb_calloc(nb_pool_size(model->context->pool), NB_OBSERVER_BINS * sizeof *c.counts);
    made->entries = nb_calloc(model->n_tensors, sizeof *made->entries);
    nb_status status = c.recorders && c.counts && made->entries ? read_all(&c, samples) : no_memory(error);
    if (status == NB_OK)
        finish(&c);
    for (size_t i = 0; c.recorders && i < made->n_entries; i++)
        recorder_free(&c.recorders[i]);
    free(c.recorders);
    free(c.counts);
    free(c.turned);
    return status;
}

nb_status nb_calibration_collect(nb_model *model, const char *text, size_t n_bytes, const char *text_name,
                                 size_t max_tokens, bool by_channel, nb_calibration **out, nb_error *error)
{
    nb_samples samples = {0};
    *out = NULL;
    nb_status status = nb_model_check(model, error);
    if (status == NB_OK)
        status = nb_samples_create(model, text, n_bytes, max_tokens, &samples, error);
    if (status == NB_OK && by_channel && nb_samples_n_tokens(&samples) > UINT32_MAX)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "histograms of channels count no more than %" PRIu32 " tokens", UINT32_MAX);
    nb_calibration *made = status == NB_OK ? nb_calloc(1, sizeof *made) : NULL;
    if (status == NB_OK && (!made || !(made->text = nb_strdup(text_name))))
        status = no_memory(error);
    if (status == NB_OK) {
        made->text_digest = nb_digest_add(NB_DIGEST_OF_NOTHING, text, n_bytes);
        made->by_channel = by_channel;
        made->n_sequences = samples.n_sequences;
        made->n_tokens = nb_samples_n_tokens(&samples);
        made->model_digest = nb_model_digest(model);
        status = collect(model, &samples, made, error);
    }
    nb_samples_free(&samples);
    if (status == NB_OK)
        *out = made;
    else
        nb_calibration_destroy(&made);
    return status;
}

void nb_calibration_destroy(nb_calibration **calibration)
{
    nb_calibration *c = *calibration;
    if (!c)
        return;
    for (size_t i = 0; i < c->n_entries; i++) {
        free(c->entries[i].bins);
        free(c->entries[i].channel_max);
        free(c->entries[i].channel_mean);
        free(c->entries[i].channel_square);
        free(c->entries[i].channel_ema_low);
        free(c->entries[i].channel_ema_high);
        nb_channel_histograms_destroy(&c->entries[i].histograms);
        free(c->entries[i].rows);
    }
    free(c->entries);
    free(c->text);
    free(c);
    *calibration = NULL;
}

/* ---- asking ---- */

const nb_calibration_entry *nb_calibration_find(const nb_calibration *calibration, size_t tensor)
{
    for (size_t i = 0; i < calibration->n_entries; i++)
        for (size_t k = 0; k < calibration->entries[i].n_tensors; k++)
            if (calibration->entries[i].tensors[k] == tensor)
                return &calibration->entries[i];
    return NULL;
}

nb_status nb_calibration_check(const nb_calibration *calibration, const nb_model *model, nb_error *error)
{
    if (calibration->model_digest == nb_model_digest(model))
        return NB_OK;
    return nb_fail(error, NB_ERR_STATE,
                   "the calibration with %s was made with another model, or before this one was transformed: calibrate "
                   "again",
                   calibration->text);
}

char *nb_calibration_describe(const nb_calibration *calibration, char *text, size_t size)
{
    char count[32];
    nb_print_count(count, sizeof count, calibration->n_tokens);
    snprintf(text, size, "%.80s, %s tokens", calibration->text, count);
    return text;
}
