#include "quant/samples.h"

#include "base/memory.h"
#include "base/print.h"
#include "eval/scoring.h"
#include "model/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nb_samples_free(nb_samples *samples)
{
    free(samples->tokens);
    free(samples->begins);
    *samples = (nb_samples){0};
}

size_t nb_samples_n_tokens(const nb_samples *samples)
{
    return samples->n_sequences ? samples->begins[samples->n_sequences] : 0;
}

size_t nb_samples_length(const nb_samples *samples, size_t sequence)
{
    return samples->begins[sequence + 1] - samples->begins[sequence];
}

/* What the model reads of a window: what stands before it, and its targets but the last. */
static size_t length_of(const nb_window *window)
{
    return window->end - window->begin;
}

static void add(nb_samples *samples, const nb_scored_text *text, const nb_window *window)
{
    const size_t begin = samples->begins[samples->n_sequences++], n = length_of(window);
    samples->tokens[begin] = window->before;
    memcpy(samples->tokens + begin + 1, text->targets + window->begin, (n - 1) * sizeof *samples->tokens);
    samples->begins[samples->n_sequences] = begin + n;
    samples->longest = nb_max_size(samples->longest, n);
}

/* Each window before which less than its share of `most` tokens was taken. One with BOS alone shows nothing. */
static void take(const nb_scored_text *text, size_t most, nb_samples *out)
{
    for (size_t i = 0; i < text->n_windows; i++) {
        const nb_window *window = &text->windows[i];
        const size_t taken = out->begins[out->n_sequences], n = length_of(window);
        if (n > 1 && taken + n <= most && taken * text->n_targets <= most * window->begin)
            add(out, text, window);
    }
}

nb_status nb_samples_create(const nb_model *model, const char *text, size_t n_bytes, size_t max_tokens,
                            nb_samples *out, nb_error *error)
{
    const size_t longest = nb_min_size(nb_model_hparams(model)->n_ctx, NB_SAMPLE_LENGTH);
    const size_t wanted = max_tokens ? nb_max_size(max_tokens, NB_SAMPLE_LEAST) : longest;
    const nb_reading reading = {.window = nb_min_size(longest, wanted)};
    nb_scored_text scored;
    *out = (nb_samples){0};
    nb_status status = nb_scored_text_create(model, text, n_bytes, &reading, &scored, error);
    if (status != NB_OK)
        return status;
    out->tokens = nb_calloc(scored.n_targets, sizeof *out->tokens);
    out->begins = nb_calloc(scored.n_windows + 1, sizeof *out->begins);
    if (!out->tokens || !out->begins)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for %zu tokens", scored.n_targets);
    else
        take(&scored, max_tokens ? nb_min_size(wanted, scored.n_targets) : scored.n_targets, out);
    if (status == NB_OK && nb_samples_n_tokens(out) < NB_SAMPLE_LEAST)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "a text of %zu tokens shows too little of what flows through the model: give %d at least, "
                         "better thousands",
                         nb_samples_n_tokens(out), NB_SAMPLE_LEAST);
    nb_scored_text_free(&scored);
    if (status != NB_OK)
        nb_samples_free(out);
    return status;
}

nb_samples_text nb_samples_describe(const nb_samples *samples)
{
    nb_samples_text made;
    char n_tokens[32];
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < nb_samples_n_tokens(samples); i++)
        for (unsigned shift = 0; shift < 32; shift += 8)
            hash = (hash ^ ((uint32_t)samples->tokens[i] >> shift & 255)) * 16777619u;
    snprintf(made.text, sizeof made.text, "%s tokens, digest %08" PRIx32,
             nb_print_count(n_tokens, sizeof n_tokens, nb_samples_n_tokens(samples)), hash);
    return made;
}

void nb_samples_embed(const nb_samples *samples, nb_session *session, float *rows)
{
    const size_t n_embd = session->model->hparams.n_embd;
    for (size_t i = 0; i < samples->n_sequences; i++)
        nb_session_embed(session, samples->tokens + samples->begins[i], nb_samples_length(samples, i),
                         rows + samples->begins[i] * n_embd);
}

nb_status nb_samples_refuse(const char *tensor, nb_error *error)
{
    return nb_fail(error, NB_ERR_STATE,
                   "what flows into %s is no finite number: the model does not compute on this text, and nothing can be "
                   "measured",
                   tensor);
}

static nb_status feed(nb_session *session, const int32_t *tokens, size_t n, nb_error *error)
{
    const size_t batch = nb_session_batch(session);
    nb_status status = NB_OK;
    nb_session_reset(session);
    for (size_t done = 0; done < n && status == NB_OK; done += batch)
        status = nb_session_feed(session, tokens + done, nb_min_size(batch, n - done), error);
    return status;
}

nb_status nb_samples_read(nb_model *model, const nb_samples *samples, nb_observe_fn *observe, void *observer,
                          nb_error *error)
{
    nb_session *session = NULL;
    nb_status status = nb_session_create(model, NB_WEIGHTS_ORIGINAL, samples->longest, &session, error);
    model->observe = observe;
    model->observer = observer;
    for (size_t i = 0; status == NB_OK && i < samples->n_sequences; i++) {
        status = feed(session, samples->tokens + samples->begins[i], nb_samples_length(samples, i), error);
        if (status == NB_OK)
            status = nb_context_tick(model->context, "looking", samples->begins[i + 1], nb_samples_n_tokens(samples),
                                     "tokens", error);
    }
    model->observe = NULL;
    model->observer = NULL;
    nb_session_destroy(&session);
    return status;
}
