#include "quant/ladder.h"

#include "base/memory.h"
#include "quant/quantize.h"

#include <stdlib.h>

typedef struct climb {
    nb_model *model;
    const nb_scope *scope;
    const char *text;
    size_t n_bytes, max_tokens;
    float *above; /* losses of the rung above, NULL before the first */
} climb;

static double scope_bits_per_weight(const nb_model *model, const nb_scope *scope)
{
    double bits = 0, weights = 0;
    for (size_t i = 0; i < scope->count; i++) {
        const nb_tensor *tensor = nb_model_tensor(model, scope->tensors[i]);
        bits += 8.0 * (double)nb_tensor_n_bytes(tensor);
        weights += (double)tensor->n_rows * (double)tensor->n_cols;
    }
    return weights > 0 ? bits / weights : 0;
}

/* Compares the model as it stands now; the comparison's losses move into the climb or out to the caller. */
static nb_status measure_rung(climb *c, const nb_quantizer *quantizer, nb_rung *rung, nb_perplexity *original,
                              nb_error *error)
{
    nb_comparison comparison = {0};
    nb_status status = nb_compare(c->model, c->text, c->n_bytes, c->max_tokens, &comparison, error);
    if (status != NB_OK)
        return status;
    *rung = (nb_rung){
        .quantizer = *quantizer,
        .bits_per_weight = scope_bits_per_weight(c->model, c->scope),
        .n_bytes = nb_model_n_bytes(c->model),
        .ppl = comparison.quantized.ppl,
        .standard_error = comparison.quantized.standard_error,
        .paired_mean = comparison.paired_mean,
        .paired_error = comparison.paired_error,
        .kl_mean = comparison.kl_mean,
        .top1_agreement = comparison.top1_agreement,
        .n_tokens = comparison.quantized.n_tokens,
    };
    nb_paired_difference(c->above ? c->above : comparison.original.losses, comparison.quantized.losses,
                         rung->n_tokens, &rung->step_mean, &rung->step_error);
    free(c->above);
    c->above = comparison.quantized.losses;
    comparison.quantized.losses = NULL;
    nb_perplexity_free(original);
    *original = comparison.original;
    comparison.original.losses = NULL;
    nb_comparison_free(&comparison);
    return NB_OK;
}

nb_status nb_ladder_climb(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizers, size_t n,
                          const char *text, size_t n_bytes, size_t max_tokens, nb_rung_fn *each, void *user,
                          nb_perplexity *original, nb_error *error)
{
    climb c = {.model = model, .scope = scope, .text = text, .n_bytes = n_bytes, .max_tokens = max_tokens};
    const size_t depth = nb_model_undo_depth(model);
    nb_status status = NB_OK;
    *original = (nb_perplexity){0};
    for (size_t i = 0; i < n && status == NB_OK; i++) {
        nb_rung rung;
        status = nb_model_quantize(model, scope, &quantizers[i], NULL, error);
        if (status != NB_OK)
            break;
        status = measure_rung(&c, &quantizers[i], &rung, original, error);
        /* Back before anything else: the caller's model must not stay on a rung. */
        nb_status undone = nb_model_take_back(model, depth, status == NB_OK ? error : NULL);
        if (status == NB_OK)
            status = undone;
        if (status == NB_OK)
            each(user, &rung);
    }
    free(c.above);
    if (status != NB_OK)
        nb_perplexity_free(original);
    return status;
}
