#include "eval/scoring.h"

#include "base/memory.h"
#include "eval/lanes.h"
#include "model/state.h"
#include "text/documents.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WINDOW_MAX = 512, CHUNK_SHARE = 8, CHUNK_MIN = 12, CHUNK_MAX = 120, SESSIONS_MAX = 2 };

/* ---- the text ---- */

/* What a text is cut with, and what there is of it so far. */
typedef struct cutter {
    const nb_model *model;
    const nb_tokenizer *tokenizer;
    int32_t bos, eos;
    size_t window;
    nb_tokens targets, leads;
    nb_window *windows;
    size_t n_windows, capacity;
} cutter;

/* A tokenizer that knows more tokens than the model has rows belongs to another model. */
static nb_status check_tokens(const nb_model *model, const int32_t *ids, size_t n, nb_error *error)
{
    const uint32_t n_vocab = nb_model_hparams(model)->n_vocab;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= n_vocab)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "token %d of the text is none of the model's %u: the tokenizer is another model's",
                           ids[i], n_vocab);
    return NB_OK;
}

static nb_status add_window(cutter *c, nb_window window, nb_error *error)
{
    if (c->n_windows == c->capacity) {
        const size_t capacity = nb_max_size(64, 2 * c->capacity);
        nb_window *windows = nb_realloc(c->windows, capacity, sizeof *windows);
        if (!windows)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu windows of a text", capacity);
        c->windows = windows;
        c->capacity = capacity;
    }
    c->windows[c->n_windows++] = window;
    return NB_OK;
}

/* The targets of a document, or of a text that is not parted into any: that has no end to be scored. */
static nb_status add_document(cutter *c, nb_string document, bool ends, nb_error *error)
{
    const size_t begin = c->targets.count, unscored = c->bos < 0;
    nb_status status =
        nb_tokenizer_encode(c->tokenizer, document.text, document.n_bytes, false, false, &c->targets, error);
    if (status != NB_OK || c->targets.count <= begin + unscored) {
        c->targets.count = begin;
        return status;
    }
    /* An end that stood alone in its window would be asked of a model that has read nothing. */
    if (ends && c->eos >= 0 && (c->targets.count - begin - unscored) % c->window != 0)
        status = nb_tokens_push(&c->targets, c->eos, error);
    int32_t *ids = c->targets.ids + begin;
    const size_t n = c->targets.count - begin - unscored;
    if (status == NB_OK)
        status = check_tokens(c->model, ids, n + unscored, error);
    const int32_t before = unscored ? ids[0] : c->bos;
    memmove(ids, ids + unscored, n * sizeof *ids);
    c->targets.count -= unscored;
    for (size_t at = 0; status == NB_OK && at < n; at += c->window) {
        const nb_window window = {.begin = begin + at,
                                  .end = begin + nb_min_size(at + c->window, n),
                                  .before = at > 0 && unscored ? ids[at - 1] : before,
                                  .opens = at == 0};
        status = add_window(c, window, error);
    }
    return status;
}

/* Documents are read until there are `enough` targets. */
static nb_status cut_text(cutter *c, nb_string text, size_t enough, bool parted, nb_error *error)
{
    nb_string document;
    nb_status status = NB_OK;
    if (!parted)
        return add_document(c, text, false, error);
    for (size_t at = 0;
         status == NB_OK && c->targets.count < enough && nb_document_next(text, &at, &document);)
        status = add_document(c, document, true, error);
    return status;
}

/* ---- llama-perplexity's chunks ---- */

/* One chunk: the first half is read, the second scored. */
static nb_status add_chunk(cutter *c, const int32_t *ids, bool opens, nb_error *error)
{
    const size_t first = c->window / 2, n_scored = c->window - 1 - first;
    const nb_window window = {.begin = c->targets.count,
                              .end = c->targets.count + n_scored,
                              .before = nb_tokenizer_adds_bos(c->tokenizer) && c->bos >= 0 ? c->bos : ids[0],
                              .opens = opens,
                              .lead = c->leads.count,
                              .n_lead = first};
    nb_status status = NB_OK;
    for (size_t i = 1; i < c->window && status == NB_OK; i++)
        status = nb_tokens_push(i <= first ? &c->leads : &c->targets, ids[i], error);
    return status == NB_OK ? add_window(c, window, error) : status;
}

static nb_status cut_chunks(cutter *c, nb_string text, size_t enough, nb_error *error)
{
    nb_tokens all = {0};
    nb_status status = nb_tokenizer_encode(c->tokenizer, text.text, text.n_bytes, true, false, &all, error);
    if (status == NB_OK)
        status = check_tokens(c->model, all.ids, all.count, error);
    if (status == NB_OK && (c->window < 4 || all.count < c->window))
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "a text of %zu tokens does not fill one chunk of %zu, and this protocol leaves out what does "
                         "not: give a longer text or a smaller --window",
                         all.count, c->window);
    for (size_t at = 0; status == NB_OK && at + c->window <= all.count && c->targets.count < enough; at += c->window)
        status = add_chunk(c, all.ids + at, at == 0, error);
    nb_tokens_free(&all);
    return status;
}

/* Drops what is beyond the first n targets. */
static void keep_first(nb_scored_text *text, size_t n)
{
    while (text->windows[text->n_windows - 1].begin >= n)
        text->n_windows--;
    text->windows[text->n_windows - 1].end = n;
    text->n_targets = n;
}

static void count(nb_scored_text *text, const nb_tokenizer *tokenizer, bool parted)
{
    for (size_t w = 0; w < text->n_windows; w++) {
        const nb_window *window = &text->windows[w];
        text->n_documents += parted && window->opens;
        for (size_t i = window->begin; i < window->end; i++) {
            const bool is_first = i == window->begin && window->opens;
            const int32_t previous = i == window->begin && window->n_lead > 0
                                         ? text->leads[window->lead + window->n_lead - 1]
                                     : is_first ? window->before
                                                : text->targets[i - 1];
            text->n_bytes += nb_tokenizer_piece(tokenizer, previous, text->targets[i]).n_bytes;
        }
    }
}

nb_status nb_scored_text_create(const nb_model *model, const char *text, size_t n_bytes, const nb_reading *reading,
                                nb_scored_text *out, nb_error *error)
{
    const size_t max_tokens = reading->max_tokens, n_ctx = nb_model_hparams(model)->n_ctx;
    const bool chunks = reading->protocol == NB_PROTOCOL_LLAMA_CPP;
    *out = (nb_scored_text){0};
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    if (!tokenizer)
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer, so it cannot read text",
                       nb_model_name(model));
    if (reading->window > nb_min_size(n_ctx, WINDOW_MAX))
        return nb_fail(error, NB_ERR_ARGUMENT, "a window of %zu tokens: the model has a context of %zu, and %d are the most",
                       reading->window, n_ctx, WINDOW_MAX);
    cutter c = {.model = model,
                .tokenizer = tokenizer,
                .bos = nb_tokenizer_bos(tokenizer),
                .eos = nb_tokenizer_eos(tokenizer),
                .window = reading->window ? reading->window : nb_min_size(WINDOW_MAX, n_ctx)};
    const nb_string whole = {text, n_bytes};
    const bool parted = !chunks && nb_documents_marked(whole);
    const size_t enough = max_tokens > 0 ? nb_max_size(max_tokens, 2) : SIZE_MAX;
    nb_status status = chunks ? cut_chunks(&c, whole, enough, error) : cut_text(&c, whole, enough, parted, error);
    if (status == NB_OK && c.targets.count < 2)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "a text with %zu tokens to predict is too short to measure; two is the least",
                         c.targets.count);
    *out = (nb_scored_text){.targets = c.targets.ids,
                            .n_targets = c.targets.count,
                            .leads = c.leads.ids,
                            .windows = c.windows,
                            .n_windows = c.n_windows,
                            .window = c.window};
    if (status != NB_OK) {
        nb_scored_text_free(out);
        return status;
    }
    if (max_tokens > 0 && max_tokens < out->n_targets)
        keep_first(out, max_tokens);
    count(out, tokenizer, parted);
    return NB_OK;
}

void nb_scored_text_free(nb_scored_text *text)
{
    free(text->targets);
    free(text->leads);
    free(text->windows);
    *text = (nb_scored_text){0};
}

/* ---- running it ---- */

typedef struct scoring {
    nb_session *const *sessions;
    size_t n_sessions, chunk;
    nb_scored_fn *fn;
    void *user;
    double *seconds;
} scoring;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static nb_status feed(const scoring *s, const int32_t *inputs, size_t n, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < s->n_sessions; i++) {
        const double start = seconds_now();
        status = nb_session_feed(s->sessions[i], inputs, n, error);
        s->seconds[i] += seconds_now() - start;
    }
    return status;
}

/* Logits of n of the tokens that were fed, from `row` on, which come before targets `first` and on, chunk by
 * chunk. */
static nb_status read_logits(const scoring *s, size_t first, size_t row, size_t n, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t done = 0; status == NB_OK && done < n; done += s->chunk) {
        const float *logits[SESSIONS_MAX];
        const size_t count = nb_min_size(s->chunk, n - done);
        for (size_t i = 0; status == NB_OK && i < s->n_sessions; i++) {
            const double start = seconds_now();
            status = nb_session_logits(s->sessions[i], row + done, count, &logits[i], error);
            s->seconds[i] += seconds_now() - start;
        }
        if (status == NB_OK)
            s->fn(s->user, first + done, count, logits);
    }
    return status;
}

nb_status nb_score(nb_model *model, const nb_scored_text *text, nb_session *const *sessions,
                   size_t n_sessions, const char *what, nb_scored_fn *fn, void *user, double *seconds,
                   nb_error *error)
{
    const size_t row_bytes = nb_model_hparams(model)->n_vocab * sizeof(float);
    const size_t chunk_bytes = nb_model_comfort_bytes(model) / CHUNK_SHARE;
    const scoring s = {
        sessions, n_sessions, nb_min_size(nb_max_size(chunk_bytes / row_bytes, CHUNK_MIN), CHUNK_MAX),
        fn,       user,       seconds};
    nb_status status = NB_OK;
    for (size_t w = 0; status == NB_OK && w < text->n_windows; w++) {
        const nb_window *window = &text->windows[w];
        const size_t n_lead = window->n_lead, n_scored = window->end - window->begin, n = n_lead + n_scored;
        int32_t inputs[WINDOW_MAX];
        inputs[0] = window->before;
        if (n_lead > 0)
            memcpy(inputs + 1, text->leads + window->lead, n_lead * sizeof *inputs);
        memcpy(inputs + 1 + n_lead, text->targets + window->begin, (n_scored - 1) * sizeof *inputs);
        size_t batch = n;
        for (size_t i = 0; i < n_sessions; i++) {
            nb_session_reset(sessions[i]);
            batch = nb_min_size(batch, nb_session_batch(sessions[i]));
        }
        for (size_t done = 0; status == NB_OK && done < n; done += batch) {
            const size_t count = nb_min_size(batch, n - done), skipped = done < n_lead ? n_lead - done : 0;
            status = feed(&s, inputs + done, count, error);
            if (status == NB_OK && count > skipped)
                status = read_logits(&s, window->begin + done + skipped - n_lead, skipped, count - skipped, error);
            if (status == NB_OK)
                status = nb_context_tick(nb_model_context(model), what, window->begin + n_scored * (done + count) / n,
                                         text->n_targets, "tokens", error);
        }
    }
    if (status == NB_OK && model->mapping)
        status = nb_mapping_check(model->mapping, error);
    return status;
}

/* ---- statistics ---- */

void nb_mean_and_error(const double *x, size_t n, double *mean, double *standard_error)
{
    double sums[NB_LANES] = {0}, squares[NB_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        sums[i % NB_LANES] += x[i];
    *mean = n > 0 ? nb_lanes_fold(sums) / (double)n : NAN;
    for (size_t i = 0; i < n; i++) {
        const double distance = x[i] - *mean;
        squares[i % NB_LANES] = fma(distance, distance, squares[i % NB_LANES]);
    }
    *standard_error = n > 1 ? sqrt(nb_lanes_fold(squares) / (double)(n - 1) / (double)n) : NAN;
}
