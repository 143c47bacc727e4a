/* Measuring what a budget is spent on: block by block, one tensor at a time. */
#include "quant/budget.h"

#include "base/memory.h"
#include "eval/divergence.h"
#include "model/session.h"
#include "quant/affine.h"
#include "quant/rtn.h"
#include "quant/samples.h"
#include "quant/transaction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOGITS_BYTES = 4 << 20 /* of one chunk's logits */ };

typedef struct measuring {
    nb_model *model;
    nb_samples samples; /* a sequence of them is run together, from position 0 */
    const nb_importance *importance;
    nb_session *session;
    nb_budget *out;
    size_t n_tokens, n_embd, n_vocab;
    /* States of all tokens, [n_tokens][n_embd]: before the block, after it, as a trial leaves them, at the
     * end. */
    float *before, *after, *tried, *end;
    size_t chunk;         /* rows whose logits are compared at once */
    float *logits;        /* [chunk][n_vocab]: the untouched model's */
    float *probabilities; /* [threads][n_vocab] */
    double *divergences;  /* [chunk] */
    uint64_t done, total; /* passes of the tokens through a block or the head */
} measuring;

/* One tensor as a candidate, in the place of what it is. */
typedef struct trial {
    nb_tensor *tensor;
    nb_quantizer quantizer;
    nb_packed *packed;
    const nb_input *input;
} trial;

/* Puts the trial in its tensor's place and the tensor's own form in the trial; once more takes it out. */
static void swap(trial *t)
{
    const trial own = {t->tensor, t->tensor->quantizer, t->tensor->packed, t->tensor->input};
    t->tensor->quantizer = t->quantizer;
    t->tensor->packed = t->packed;
    t->tensor->input = t->input;
    *t = own;
}

static nb_status tick(measuring *m, size_t passes, nb_error *error)
{
    m->done += passes;
    return nb_context_tick(m->model->context, "measuring", m->done, m->total, "passes", error);
}

/* ---- running ---- */

static nb_status run_block(measuring *m, size_t layer, const float *from, float *to, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < m->samples.n_sequences; i++) {
        const size_t at = m->samples.begins[i] * m->n_embd, n = nb_samples_length(&m->samples, i);
        nb_session_put_rows(m->session, from + at, n);
        status = nb_block_run(m->session, layer, NB_LOGITS_ALL, error);
        if (status == NB_OK)
            memcpy(to + at, m->session->x, n * m->n_embd * sizeof *to);
    }
    return status == NB_OK ? tick(m, 1, error) : status;
}

/* The states after blocks [first, n_layers), in place. */
static nb_status run_blocks(measuring *m, size_t first, float *states, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t layer = first; status == NB_OK && layer < m->model->hparams.n_layers; layer++)
        status = run_block(m, layer, states, states, error);
    return status;
}

/* Logits of rows of final states, in the session's storage. */
static nb_status project(measuring *m, const float *states, size_t count, const float **logits,
                         nb_error *error)
{
    nb_session_put_rows(m->session, states, count);
    m->session->n_kept = count;
    return nb_session_logits(m->session, 0, count, logits, error);
}

typedef struct comparing {
    const measuring *m;
    const float *other;
} comparing;

static void compare_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    const comparing *c = user;
    const measuring *m = c->m;
    const nb_kernels *kernels = m->model->context->kernels;
    const size_t n = m->n_vocab;
    for (size_t i = begin; i < end; i++) {
        const float *a = m->logits + i * n, *b = c->other + i * n;
        m->divergences[i] = nb_kl_divergence(kernels, a, b, n, kernels->max(a, n), kernels->log_sum_exp(a, n),
                                             kernels->log_sum_exp(b, n), m->probabilities + thread * n);
    }
}

/* KL of the untouched model's logits to those of `states`, by a trial's head if there is one:
 * nats a token. */
static nb_status diverge(measuring *m, const float *states, trial *head, double *out, nb_error *error)
{
    double sum = 0;
    nb_status status = NB_OK;
    for (size_t first = 0; status == NB_OK && first < m->n_tokens; first += m->chunk) {
        const size_t count = nb_min_size(m->chunk, m->n_tokens - first);
        comparing c = {.m = m};
        const float *logits;
        status = project(m, m->end + first * m->n_embd, count, &logits, error);
        if (status != NB_OK)
            break;
        memcpy(m->logits, logits, count * m->n_vocab * sizeof *m->logits);
        if (head)
            swap(head);
        status = project(m, states + first * m->n_embd, count, &c.other, error);
        if (head)
            swap(head);
        if (status != NB_OK)
            break;
        nb_parallel(m->model->context->pool, count, 1 + (8 << 10) / m->n_vocab, compare_rows, &c);
        for (size_t i = 0; i < count; i++)
            sum += m->divergences[i];
    }
    *out = sum / (double)m->n_tokens;
    return status == NB_OK ? tick(m, 2, error) : status;
}

/* Mean over tokens of |y' - y|^2 / |y|^2: the few tokens whose states are huge do not speak for all. */
static double output_error(const measuring *m)
{
    double sum = 0;
    for (size_t t = 0; t < m->n_tokens; t++) {
        const float *y = m->after + t * m->n_embd, *z = m->tried + t * m->n_embd;
        double signal = 0, noise = 0;
        for (size_t i = 0; i < m->n_embd; i++) {
            const double difference = (double)z[i] - (double)y[i];
            signal += (double)y[i] * (double)y[i];
            noise += difference * difference;
        }
        sum += signal > 0 ? noise / signal : 0;
    }
    return sum / (double)m->n_tokens;
}

/* ---- one tensor ---- */

static bool fits(const nb_tensor *t, const nb_quantizer *q)
{
    return q->format->kind != NB_FORMAT_BLOCK || t->n_cols % q->format->block_size == 0;
}

static nb_status pack(const measuring *m, trial *t, const float *importance, nb_error *error)
{
    const nb_tensor *tensor = t->tensor;
    const nb_source source = {tensor->source_format, tensor->source, tensor->n_rows, tensor->n_cols,
                              tensor->transforms,    importance,     t->input};
    nb_context *context = m->model->context;
    nb_progress_fn *progress = context->progress;
    context->progress = NULL; /* the passes are what is counted */
    nb_status status =
        nb_rtn_quantize(context, tensor->name, &source, &t->quantizer, &t->packed, NULL, error);
    context->progress = progress;
    return status;
}

/* The trial's error in its block, with which the states are in m->tried. */
static nb_status try_in_block(measuring *m, trial *t, double *out, nb_error *error)
{
    swap(t);
    nb_status status = run_block(m, (size_t)t->tensor->layer, m->before, m->tried, error);
    swap(t);
    *out = status == NB_OK ? output_error(m) : NAN;
    return status;
}

/* Of a tensor outside the blocks: the divergence itself. */
static nb_status try_outside(measuring *m, trial *t, double *out, nb_error *error)
{
    const nb_frame *frame = &m->model->frame;
    nb_status status = NB_OK;
    if (t->tensor == frame->head && t->tensor != frame->token_embd)
        return diverge(m, m->end, t, out, error);
    swap(t);
    nb_samples_embed(&m->samples, m->session, m->tried);
    swap(t);
    status = run_blocks(m, 0, m->tried, error);
    return status == NB_OK ? diverge(m, m->tried, t, out, error) : status;
}

/* What follows the block is as in the source, so the error meets what it would meet in use. */
static nb_status weigh(measuring *m, trial *t, double error_in_block, double *weight, nb_error *error)
{
    double lost = 0, again;
    nb_status status = try_in_block(m, t, &again, error);
    if (status == NB_OK)
        status = run_blocks(m, (size_t)t->tensor->layer + 1, m->tried, error);
    if (status == NB_OK)
        status = diverge(m, m->tried, NULL, &lost, error);
    *weight = fmax(lost, 0) / error_in_block;
    return status;
}

/* The candidate whose bytes are in the middle of those that lose anything; false if none does. */
static bool find_middling(const nb_budget *b, const nb_budget_cell *cells, size_t *out)
{
    size_t n_lossy = 0;
    for (size_t c = 0; c < b->n_candidates; c++)
        n_lossy += cells[c].error > 0;
    for (size_t c = 0; c < b->n_candidates; c++) {
        size_t smaller = 0;
        for (size_t d = 0; d < b->n_candidates; d++)
            smaller += cells[d].error > 0 && (cells[d].n_bytes < cells[c].n_bytes ||
                                              (cells[d].n_bytes == cells[c].n_bytes && d < c));
        if (cells[c].error > 0 && smaller == n_lossy / 2) {
            *out = c;
            return true;
        }
    }
    return false;
}

static nb_status try_candidate(measuring *m, trial *t, const float *importance, nb_budget_cell *cell,
                               nb_error *error)
{
    nb_status status = pack(m, t, importance, error);
    if (status != NB_OK)
        return status;
    swap(t);
    cell->n_bytes = nb_tensor_n_bytes(t->tensor);
    swap(t);
    return (t->tensor->layer < 0 ? try_outside : try_in_block)(m, t, &cell->error, error);
}

static nb_status measure_cells(measuring *m, nb_tensor *tensor, const nb_input *basis,
                               const float *importance, nb_budget_cell *cells, nb_error *error)
{
    const nb_budget *b = m->out;
    nb_status status = NB_OK;
    trial t = {.tensor = tensor, .input = basis};
    for (size_t c = 0; status == NB_OK && c < b->n_candidates; c++) {
        cells[c] = (nb_budget_cell){.error = NAN};
        if (!fits(tensor, &b->candidates[c]))
            continue;
        t.quantizer = b->candidates[c];
        status = try_candidate(m, &t, importance, &cells[c], error);
        nb_packed_destroy(&t.packed);
    }
    size_t middle;
    double weight = 0;
    if (status != NB_OK || tensor->layer < 0 || !find_middling(b, cells, &middle))
        return status;
    t.quantizer = b->candidates[middle];
    status = pack(m, &t, importance, error);
    if (status == NB_OK)
        status = weigh(m, &t, cells[middle].error, &weight, error);
    nb_packed_destroy(&t.packed);
    for (size_t c = 0; c < b->n_candidates; c++)
        cells[c].error *= weight;
    return status;
}

static nb_status measure_tensor(measuring *m, size_t index, nb_error *error)
{
    nb_budget *b = m->out;
    nb_tensor *tensor = &m->model->tensors[b->tensors[index]];
    const nb_input *basis = NULL;
    bool known = false;
    float *importance = m->importance ? nb_calloc(tensor->n_cols, sizeof *importance) : NULL;
    nb_status status =
        m->importance && !importance
            ? nb_fail(error, NB_ERR_MEMORY, "no memory for the importance of %zu columns", tensor->n_cols)
            : nb_change_keep_basis(m->model, tensor, &basis, error);
    if (status == NB_OK && m->importance)
        status = nb_importance_means(m->importance, tensor->name, tensor->n_cols, importance, &known, error);
    if (status == NB_OK)
        status = measure_cells(m, tensor, basis, known ? importance : NULL,
                               b->cells + index * b->n_candidates, error);
    free(importance);
    return status;
}

/* ---- all of them ---- */

static nb_status measure_blocks(measuring *m, nb_error *error)
{
    const nb_budget *b = m->out;
    nb_status status = NB_OK;
    for (int layer = -1; status == NB_OK && layer < (int)m->model->hparams.n_layers; layer++) {
        if (layer == 0)
            nb_samples_embed(&m->samples, m->session, m->before);
        if (layer >= 0)
            status = run_block(m, (size_t)layer, m->before, m->after, error);
        for (size_t i = 0; status == NB_OK && i < b->n_tensors; i++)
            if (m->model->tensors[b->tensors[i]].layer == layer)
                status = measure_tensor(m, i, error);
        if (layer >= 0) {
            float *next = m->after;
            m->after = m->before;
            m->before = next;
        }
    }
    return status;
}

/* Passes that are to come, for the progress. */
static uint64_t count_passes(const measuring *m)
{
    const uint64_t n_layers = m->model->hparams.n_layers;
    const nb_frame *frame = &m->model->frame;
    uint64_t passes = 2 * n_layers;
    for (size_t i = 0; i < m->out->n_tensors; i++) {
        const nb_tensor *t = &m->model->tensors[m->out->tensors[i]];
        const bool is_head = t == frame->head && t != frame->token_embd;
        uint64_t n_fitting = 0;
        for (size_t c = 0; c < m->out->n_candidates; c++)
            n_fitting += fits(t, &m->out->candidates[c]);
        if (t->layer >= 0) /* each candidate, and what follows the block once */
            passes += n_fitting + n_layers - (uint64_t)t->layer + 2;
        else
            passes += n_fitting * (is_head ? 2 : n_layers + 2);
    }
    return passes;
}

static nb_status make_room(measuring *m, nb_error *error)
{
    nb_model *model = m->model;
    float **const states[] = {&m->before, &m->after, &m->tried, &m->end};
    bool made = true;
    m->n_tokens = m->out->n_tokens = nb_samples_n_tokens(&m->samples);
    m->n_embd = model->hparams.n_embd;
    m->n_vocab = model->hparams.n_vocab;
    nb_status status = nb_session_create_within(model, NB_WEIGHTS_CURRENT, m->samples.longest, SIZE_MAX / 2,
                                                &m->session, error);
    if (status != NB_OK)
        return status;
    m->chunk =
        nb_max_size(1, nb_min_size(LOGITS_BYTES / sizeof(float) / m->n_vocab, nb_session_batch(m->session)));
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        made = (*states[i] = nb_aligned_calloc(m->n_tokens, m->n_embd * sizeof(float))) && made;
    m->logits = nb_aligned_calloc(m->chunk, m->n_vocab * sizeof(float));
    m->probabilities = nb_aligned_calloc(nb_pool_size(model->context->pool), m->n_vocab * sizeof(float));
    m->divergences = nb_calloc(m->chunk, sizeof *m->divergences);
    made = made && m->logits && m->probabilities && m->divergences;
    return made ? NB_OK
                : nb_fail(error, NB_ERR_MEMORY, "no memory to look at %zu tokens; give --tokens fewer",
                          m->n_tokens);
}

static void free_room(measuring *m)
{
    nb_session_destroy(&m->session);
    nb_aligned_free(m->before);
    nb_aligned_free(m->after);
    nb_aligned_free(m->tried);
    nb_aligned_free(m->end);
    nb_aligned_free(m->logits);
    nb_aligned_free(m->probabilities);
    free(m->divergences);
    nb_samples_free(&m->samples);
}

static nb_status measure(measuring *m, nb_error *error)
{
    nb_status status = make_room(m, error);
    m->total = count_passes(m);
    if (status == NB_OK) {
        nb_samples_embed(&m->samples, m->session, m->end);
        status = run_blocks(m, 0, m->end, error);
    }
    nb_range end = nb_range_empty();
    if (status == NB_OK)
        nb_range_add(&end, m->end, m->n_tokens * m->n_embd);
    if (status == NB_OK && !nb_range_is_finite(&end))
        status = nb_samples_refuse("the head", error);
    if (status == NB_OK)
        status = measure_blocks(m, error);
    if (status == NB_OK && m->model->mapping)
        status = nb_mapping_check(m->model->mapping, error);
    return status;
}

/* Every matrix that is stored otherwise goes back to its source; the caller undoes that. */
static nb_status restore(nb_model *model, nb_error *error)
{
    nb_scope changed = {.tensors = nb_calloc(model->n_tensors, sizeof *changed.tensors)};
    if (!changed.tensors)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a list of tensors");
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].changed && !model->tensors[i].is_vector)
            changed.tensors[changed.count++] = i;
    nb_status status = changed.count ? nb_model_restore(model, &changed, error) : NB_OK;
    nb_scope_free(&changed);
    return status;
}

static nb_status check(const nb_model *model, const nb_scope *scope, const nb_quantizer *candidates, size_t n,
                       nb_error *error)
{
    nb_status status = nb_model_check(model, error);
    for (size_t c = 0; status == NB_OK && c < n; c++)
        status = nb_quantizer_check(&candidates[c], error);
    for (size_t i = 0; status == NB_OK && i < scope->count; i++) {
        const nb_tensor *t = &model->tensors[scope->tensors[i]];
        bool any = false;
        for (size_t c = 0; c < n; c++)
            any = any || fits(t, &candidates[c]);
        if (!t->is_vector && !any)
            status = nb_fail(
                error, NB_ERR_ARGUMENT,
                "%s: rows of %zu numbers fit the blocks of none of these formats; add one such as int4 "
                "absmax/group:32",
                t->name, t->n_cols);
        else
            status = nb_change_check_matrix(model, t, error);
    }
    if (status == NB_OK && (scope->count == 0 || n == 0))
        status = nb_fail(error, NB_ERR_ARGUMENT, "there is nothing to choose from");
    return status;
}

static nb_status create(const nb_model *model, const nb_scope *scope, const nb_quantizer *candidates,
                        size_t n, nb_budget *out, nb_error *error)
{
    *out = (nb_budget){
        .n_tensors = scope->count,
        .n_candidates = n,
        .tensors = nb_calloc(scope->count, sizeof *out->tensors),
        .candidates = nb_calloc(n, sizeof *out->candidates),
        .cells = nb_calloc(scope->count, n * sizeof *out->cells),
    };
    if (!out->tensors || !out->candidates || !out->cells)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu tensors in %zu formats", scope->count, n);
    memcpy(out->tensors, scope->tensors, scope->count * sizeof *out->tensors);
    memcpy(out->candidates, candidates, n * sizeof *out->candidates);
    for (size_t i = 0; i < scope->count; i++) {
        const nb_tensor *t = &model->tensors[scope->tensors[i]];
        out->n_weights += (uint64_t)t->n_rows * t->n_cols;
    }
    return NB_OK;
}

nb_status nb_budget_measure(nb_model *model, const nb_scope *scope, const nb_quantizer *candidates,
                            size_t n_candidates, const nb_importance *importance, const char *text,
                            size_t n_bytes, size_t max_tokens, nb_budget *out, nb_error *error)
{
    *out = (nb_budget){0};
    measuring m = {.model = model, .importance = importance, .out = out};
    const size_t depth = nb_model_undo_depth(model);
    nb_status status = check(model, scope, candidates, n_candidates, error);
    if (status == NB_OK)
        status = create(model, scope, candidates, n_candidates, out, error);
    if (status == NB_OK)
        status = nb_samples_create(model, text, n_bytes, max_tokens, &m.samples, error);
    if (status == NB_OK)
        status = restore(model, error);
    if (status == NB_OK)
        status = measure(&m, error);
    free_room(&m);
    const nb_status undone = nb_model_take_back(model, depth, status == NB_OK ? error : NULL);
    status = status == NB_OK ? undone : status;
    if (status != NB_OK)
        nb_budget_free(out);
    return status;
}

void nb_budget_free(nb_budget *budget)
{
    free(budget->tensors);
    free(budget->candidates);
    free(budget->cells);
    *budget = (nb_budget){0};
}
