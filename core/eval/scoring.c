#include "eval/scoring.h"

#include "base/memory.h"
#include "eval/lanes.h"
#include "model/state.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WINDOW_MAX = 512, CHUNK_SHARE = 8, CHUNK_MIN = 12, CHUNK_MAX = 120, SESSIONS_MAX = 2 };

/* ---- the text ---- */

static size_t count_bytes(const nb_tokenizer *tokenizer, const nb_scored_text *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n_targets; i++) {
        const int32_t previous = text->targets + i > text->tokens ? text->targets[i - 1] : text->bos;
        n += nb_tokenizer_piece(tokenizer, previous, text->targets[i]).n_bytes;
    }
    return n;
}

/* A tokenizer that knows more tokens than the model has rows belongs to another model. */
static nb_status check_tokens(const nb_model *model, const nb_tokens *tokens, nb_error *error)
{
    const uint32_t n_vocab = nb_model_hparams(model)->n_vocab;
    for (size_t i = 0; i < tokens->count; i++)
        if (tokens->ids[i] < 0 || (uint32_t)tokens->ids[i] >= n_vocab)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "token %d of the text is none of the model's %u: the tokenizer is another model's",
                           tokens->ids[i], n_vocab);
    return NB_OK;
}

nb_status nb_scored_text_create(const nb_model *model, const char *text, size_t n_bytes, size_t max_tokens,
                                nb_scored_text *out, nb_error *error)
{
    *out = (nb_scored_text){0};
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    if (!tokenizer)
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer, so it cannot read text",
                       nb_model_name(model));
    nb_tokens tokens = {0};
    nb_status status = nb_tokenizer_encode(tokenizer, text, n_bytes, false, false, &tokens, error);
    if (status == NB_OK)
        status = check_tokens(model, &tokens, error);
    if (status != NB_OK) {
        nb_tokens_free(&tokens);
        return status;
    }
    out->bos = nb_tokenizer_bos(tokenizer);
    const size_t unscored = out->bos < 0;
    if (tokens.count < 2 + unscored) {
        const size_t count = tokens.count;
        nb_tokens_free(&tokens);
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a text of %zu tokens is too short to measure; two is the least", count);
    }
    out->tokens = tokens.ids;
    out->targets = tokens.ids + unscored;
    out->n_targets = tokens.count - unscored;
    if (max_tokens > 0)
        out->n_targets = nb_min_size(out->n_targets, max_tokens);
    out->window = nb_min_size(WINDOW_MAX, nb_model_hparams(model)->n_ctx);
    out->n_bytes = count_bytes(tokenizer, out);
    return NB_OK;
}

void nb_scored_text_free(nb_scored_text *text)
{
    free(text->tokens);
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

/* Logits of the n tokens that were fed, which come before targets `first` and on, chunk by chunk. */
static nb_status read_logits(const scoring *s, size_t first, size_t n, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t done = 0; status == NB_OK && done < n; done += s->chunk) {
        const float *logits[SESSIONS_MAX];
        const size_t count = nb_min_size(s->chunk, n - done);
        for (size_t i = 0; status == NB_OK && i < s->n_sessions; i++) {
            const double start = seconds_now();
            status = nb_session_logits(s->sessions[i], done, count, &logits[i], error);
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
    int32_t inputs[WINDOW_MAX];
    nb_status status = NB_OK;
    for (size_t begin = 0; status == NB_OK && begin < text->n_targets; begin += text->window) {
        const size_t n = nb_min_size(text->window, text->n_targets - begin);
        inputs[0] = text->bos >= 0 ? text->bos : text->targets[(ptrdiff_t)begin - 1];
        memcpy(inputs + 1, text->targets + begin, (n - 1) * sizeof *inputs);
        size_t batch = n;
        for (size_t i = 0; i < n_sessions; i++) {
            nb_session_reset(sessions[i]);
            batch = nb_min_size(batch, nb_session_batch(sessions[i]));
        }
        for (size_t done = 0; status == NB_OK && done < n; done += batch) {
            const size_t count = nb_min_size(batch, n - done);
            status = feed(&s, inputs + done, count, error);
            if (status == NB_OK)
                status = read_logits(&s, begin + done, count, error);
            if (status == NB_OK)
                status = nb_context_tick(nb_model_context(model), what, begin + done + count, text->n_targets,
                                         "tokens", error);
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
