/* The original and the stored weights over one text, side by side, a few positions' logits at a time. */
#include "base/memory.h"
#include "eval/divergence.h"
#include "eval/lanes.h"
#include "eval/perplexity.h"
#include "math/math.h"
#include "model/state.h"

#include <math.h>
#include <stdlib.h>

void nb_comparison_free(nb_comparison *comparison)
{
    nb_perplexity_free(&comparison->original);
    nb_perplexity_free(&comparison->quantized);
    *comparison = (nb_comparison){0};
}

/* What a pass collects, one entry per scored token. */
typedef struct divergence {
    nb_context *context;
    const nb_scored_text *text;
    size_t n_vocab;
    float *losses_a, *losses_b;
    double *kl;
    bool *agrees;
    float *probabilities;             /* [threads][n_vocab]: scratch */
    const float *logits_a, *logits_b; /* of the chunk that begins at target `first` */
    size_t first;
} divergence;

/* The first of equal maxima. */
static size_t likeliest(const float *x, size_t n, float maximum)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] == maximum)
            return i;
    return n; /* NaN everywhere */
}

/* An error in p counts only times the difference of the logs. */
double nb_kl_divergence(const nb_kernels *kernels, const float *a, const float *b, size_t n, float max_a,
                        double log_sum_a, double log_sum_b, float *p)
{
    double lanes[NB_LANES] = {0};
    const double shift = log_sum_a - log_sum_b;
    for (size_t i = 0; i < n; i++)
        p[i] = a[i] - max_a;
    kernels->exp(p, n, p);
    size_t i = 0;
    for (; i + NB_LANES <= n; i += NB_LANES)
        for (size_t l = 0; l < NB_LANES; l++)
            lanes[l] += (double)p[i + l] * ((double)a[i + l] - (double)b[i + l] - shift);
    for (size_t l = 0; i + l < n; l++)
        lanes[l] += (double)p[i + l] * ((double)a[i + l] - (double)b[i + l] - shift);
    return nb_lanes_fold(lanes) / nb_exp(log_sum_a - (double)max_a);
}

static void compare_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    const divergence *d = user;
    const nb_kernels *kernels = d->context->kernels;
    const size_t n = d->n_vocab;
    for (size_t i = begin; i < end; i++) {
        const float *a = d->logits_a + i * n, *b = d->logits_b + i * n;
        const size_t position = d->first + i, target = (size_t)d->text->targets[position];
        const double log_sum_a = kernels->log_sum_exp(a, n), log_sum_b = kernels->log_sum_exp(b, n);
        const float max_a = kernels->max(a, n), max_b = kernels->max(b, n);
        d->losses_a[position] = (float)(log_sum_a - (double)a[target]);
        d->losses_b[position] = (float)(log_sum_b - (double)b[target]);
        d->kl[position] =
            nb_kl_divergence(kernels, a, b, n, max_a, log_sum_a, log_sum_b, d->probabilities + thread * n);
        d->agrees[position] = likeliest(a, n, max_a) == likeliest(b, n, max_b);
    }
}

static void take_chunk(void *user, size_t first, size_t count, const float *const *logits)
{
    divergence *d = user;
    d->logits_a = logits[0];
    d->logits_b = logits[1];
    d->first = first;
    nb_parallel(d->context->pool, count, 1 + (8 << 10) / d->n_vocab, compare_rows, d);
}

static nb_status allocate(divergence *d, nb_comparison *out, nb_error *error)
{
    const size_t n = d->text->n_targets;
    d->losses_a = out->original.losses = nb_calloc(n, sizeof *d->losses_a);
    d->losses_b = out->quantized.losses = nb_calloc(n, sizeof *d->losses_b);
    d->kl = nb_calloc(n, sizeof *d->kl);
    d->agrees = nb_calloc(n, sizeof *d->agrees);
    d->probabilities = nb_calloc(nb_pool_size(d->context->pool), d->n_vocab * sizeof *d->probabilities);
    if (d->losses_a && d->losses_b && d->kl && d->agrees && d->probabilities)
        return NB_OK;
    return nb_fail(error, NB_ERR_MEMORY, "no memory to compare %zu tokens; compare fewer", n);
}

static nb_status summarise(const divergence *d, nb_comparison *out, nb_error *error)
{
    const size_t n = d->text->n_targets;
    size_t n_agree = 0;
    for (size_t i = 0; i < n; i++)
        n_agree += d->agrees[i];
    out->top1_agreement = (double)n_agree / (double)n;
    nb_mean_and_error(d->kl, n, &out->kl_mean, &out->kl_error);
    nb_paired_difference(d->losses_a, d->losses_b, n, &out->paired_mean, &out->paired_error);
    nb_status status = nb_perplexity_summarise(d->text, &out->original, error);
    return status == NB_OK ? nb_perplexity_summarise(d->text, &out->quantized, error) : status;
}

static nb_status compare(nb_model *model, divergence *d, nb_session *const *sessions, nb_comparison *out,
                         nb_error *error)
{
    double seconds[2] = {0};
    nb_status status = allocate(d, out, error);
    if (status == NB_OK)
        status = nb_score(model, d->text, sessions, 2, "comparing", take_chunk, d, seconds, error);
    if (status == NB_OK)
        status = summarise(d, out, error);
    out->original.seconds = seconds[0];
    out->quantized.seconds = seconds[1];
    free(d->kl);
    free(d->agrees);
    free(d->probabilities);
    return status;
}

nb_status nb_compare(nb_model *model, const char *text, size_t n_bytes, size_t max_tokens, nb_comparison *out,
                     nb_error *error)
{
    *out = (nb_comparison){0};
    nb_scored_text scored;
    nb_session *sessions[2] = {NULL, NULL};
    const nb_reading reading = {.max_tokens = max_tokens};
    nb_status status = nb_scored_text_create(model, text, n_bytes, &reading, &scored, error);
    const size_t scratch_bytes = nb_model_comfort_bytes(model) / 2;
    if (status == NB_OK)
        status = nb_session_create_within(model, NB_WEIGHTS_ORIGINAL, scored.window, scratch_bytes,
                                          &sessions[0], error);
    if (status == NB_OK)
        status = nb_session_create_within(model, NB_WEIGHTS_CURRENT, scored.window, scratch_bytes,
                                          &sessions[1], error);
    if (status == NB_OK) {
        divergence d = {
            .context = nb_model_context(model), .text = &scored, .n_vocab = nb_model_hparams(model)->n_vocab};
        status = compare(model, &d, sessions, out, error);
    }
    nb_session_destroy(&sessions[0]);
    nb_session_destroy(&sessions[1]);
    nb_scored_text_free(&scored);
    if (status != NB_OK)
        nb_comparison_free(out);
    return status;
}
