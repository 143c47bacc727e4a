#include "quant/samples.h"

#include "base/memory.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

void nb_samples_free(nb_samples *samples)
{
    free(samples->tokens);
    *samples = (nb_samples){0};
}

size_t nb_samples_n_tokens(const nb_samples *samples)
{
    return samples->n_sequences * samples->length;
}

static nb_status take(const nb_model *model, const nb_tokens *tokens, size_t max_tokens, nb_samples *out, nb_error *error)
{
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    const int32_t bos = nb_tokenizer_adds_bos(tokenizer) ? nb_tokenizer_bos(tokenizer) : -1;
    if (tokens->count < NB_SAMPLE_LEAST)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a text of %zu tokens shows too little of what flows through the model: give %d at least, better "
                       "thousands",
                       tokens->count, NB_SAMPLE_LEAST);
    for (size_t i = 0; i < tokens->count; i++)
        if (tokens->ids[i] < 0 || (uint32_t)tokens->ids[i] >= model->hparams.n_vocab)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "token %d of the text is none of the model's: the tokenizer is another model's",
                           tokens->ids[i]);
    const size_t longest = nb_min_size(nb_min_size(model->hparams.n_ctx, NB_SAMPLE_LENGTH), tokens->count);
    out->length = max_tokens ? nb_max_size(nb_min_size(longest, max_tokens), nb_min_size(longest, NB_SAMPLE_LEAST))
                             : longest;
    const size_t most = tokens->count / out->length;
    out->n_sequences = max_tokens ? nb_max_size(1, nb_min_size(most, max_tokens / out->length)) : most;
    out->tokens = nb_calloc(out->n_sequences, out->length * sizeof *out->tokens);
    if (!out->tokens)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu tokens", nb_samples_n_tokens(out));
    for (size_t i = 0; i < out->n_sequences; i++) {
        int32_t *sequence = out->tokens + i * out->length;
        memcpy(sequence, tokens->ids + i * most / out->n_sequences * out->length, out->length * sizeof *sequence);
        if (bos >= 0)
            sequence[0] = bos;
    }
    return NB_OK;
}

nb_status nb_samples_create(const nb_model *model, const char *text, size_t n_bytes, size_t max_tokens, nb_samples *out,
                            nb_error *error)
{
    *out = (nb_samples){0};
    if (!nb_model_tokenizer(model))
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer, so it cannot read text",
                       nb_model_name(model));
    nb_tokens tokens = {0};
    nb_status status = nb_tokenizer_encode(nb_model_tokenizer(model), text, n_bytes, true, false, &tokens, error);
    if (status == NB_OK)
        status = take(model, &tokens, max_tokens, out, error);
    nb_tokens_free(&tokens);
    if (status != NB_OK)
        nb_samples_free(out);
    return status;
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
    nb_status status = nb_session_create(model, NB_WEIGHTS_ORIGINAL, samples->length, &session, error);
    model->observe = observe;
    model->observer = observer;
    for (size_t i = 0; status == NB_OK && i < samples->n_sequences; i++) {
        status = feed(session, samples->tokens + i * samples->length, samples->length, error);
        if (status == NB_OK)
            status = nb_context_tick(model->context, "looking", (i + 1) * samples->length,
                                     nb_samples_n_tokens(samples), "tokens", error);
    }
    model->observe = NULL;
    model->observer = NULL;
    nb_session_destroy(&session);
    return status;
}
