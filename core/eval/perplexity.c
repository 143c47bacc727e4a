/* Perplexity: exp of the mean of -log p(token | those before it in its window). */
#include "eval/perplexity.h"

#include "base/memory.h"
#include "math/math.h"

#include <math.h>
#include <stdlib.h>

void nb_perplexity_free(nb_perplexity *ppl)
{
    free(ppl->losses);
    *ppl = (nb_perplexity){0};
}

nb_status nb_perplexity_summarise(const nb_scored_text *text, nb_perplexity *out, nb_error *error)
{
    double loss_error;
    double *losses = nb_calloc(text->n_targets, sizeof *losses);
    if (!losses)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the losses of %zu tokens", text->n_targets);
    for (size_t i = 0; i < text->n_targets; i++)
        losses[i] = (double)out->losses[i];
    nb_mean_and_error(losses, text->n_targets, &out->mean_loss, &loss_error);
    free(losses);
    out->n_tokens = text->n_targets;
    out->n_documents = text->n_documents;
    out->ppl = nb_exp(out->mean_loss);
    out->standard_error = out->ppl * loss_error; /* d exp(m) = exp(m) dm */
    out->bits_per_byte = out->mean_loss * (double)text->n_targets / (nb_log(2.0) * (double)text->n_bytes);
    return NB_OK;
}

/* ---- measuring ---- */

typedef struct loss_job {
    const nb_kernels *kernels;
    const int32_t *targets;
    size_t n_vocab;
    const float *logits;
    float *losses;
} loss_job;

static void loss_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const loss_job *job = user;
    for (size_t i = begin; i < end; i++) {
        const float *row = job->logits + i * job->n_vocab;
        job->losses[i] = (float)(job->kernels->log_sum_exp(row, job->n_vocab) - (double)row[job->targets[i]]);
    }
}

/* What one pass works with. */
typedef struct measurement {
    nb_context *context;
    const nb_scored_text *text;
    size_t n_vocab;
    float *losses;
} measurement;

static void take_losses(void *user, size_t first, size_t count, const float *const *logits)
{
    const measurement *m = user;
    loss_job job = {.kernels = m->context->kernels,
                    .targets = m->text->targets + first,
                    .n_vocab = m->n_vocab,
                    .logits = logits[0],
                    .losses = m->losses + first};
    nb_parallel(m->context->pool, count, 1 + (16 << 10) / m->n_vocab, loss_rows, &job);
}

nb_status nb_perplexity_measure(nb_model *model, nb_weights weights, const char *text, size_t n_bytes,
                                size_t max_tokens, nb_perplexity *out, nb_error *error)
{
    const nb_reading reading = {.max_tokens = max_tokens};
    return nb_perplexity_measure_as(model, weights, text, n_bytes, &reading, out, error);
}

nb_status nb_perplexity_measure_as(nb_model *model, nb_weights weights, const char *text, size_t n_bytes,
                                   const nb_reading *reading, nb_perplexity *out, nb_error *error)
{
    *out = (nb_perplexity){0};
    nb_scored_text scored;
    nb_session *session = NULL;
    nb_status status = nb_scored_text_create(model, text, n_bytes, reading, &scored, error);
    if (status == NB_OK)
        status = nb_session_create(model, weights, scored.window, &session, error);
    if (status == NB_OK) {
        out->losses = nb_calloc(scored.n_targets, sizeof *out->losses);
        if (!out->losses)
            status =
                nb_fail(error, NB_ERR_MEMORY, "no memory for the losses of %zu tokens", scored.n_targets);
    }
    if (status == NB_OK) {
        measurement m = {nb_model_context(model), &scored, nb_model_hparams(model)->n_vocab, out->losses};
        status = nb_score(model, &scored, &session, 1, "reading", take_losses, &m, &out->seconds, error);
    }
    if (status == NB_OK)
        status = nb_perplexity_summarise(&scored, out, error);
    nb_session_destroy(&session);
    nb_scored_text_free(&scored);
    if (status != NB_OK)
        nb_perplexity_free(out);
    return status;
}
