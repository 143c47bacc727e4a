#include "quant/front.h"

#include <math.h>

static bool beats(const nb_way_cost *a, const nb_way_cost *b)
{
    return a->n_bytes <= b->n_bytes && a->ppl <= b->ppl && (a->n_bytes < b->n_bytes || a->ppl < b->ppl);
}

void nb_front_mark(nb_way_cost *costs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        costs[i].on_front = costs[i].ppl == costs[i].ppl; /* NaN is nobody's choice */
        for (size_t j = 0; j < n && costs[i].on_front; j++)
            costs[i].on_front = !beats(&costs[j], &costs[i]);
    }
}

static nb_status measure_way(nb_model *model, const char *text, size_t n_bytes, size_t max_tokens,
                             const nb_perplexity *original, nb_way_cost *cost, nb_error *error)
{
    nb_perplexity measured = {0};
    nb_status status =
        nb_perplexity_measure(model, NB_WEIGHTS_CURRENT, text, n_bytes, max_tokens, &measured, error);
    if (status != NB_OK)
        return status;
    *cost = (nb_way_cost){
        .n_bytes = nb_model_n_bytes(model),
        .ppl = measured.ppl,
        .standard_error = measured.standard_error,
        .increase = measured.ppl - original->ppl,
    };
    nb_paired_difference(original->losses, measured.losses, measured.n_tokens, &cost->paired_mean, &cost->paired_error);
    nb_perplexity_free(&measured);
    return NB_OK;
}

static nb_status store(nb_model *model, const nb_way *way, const nb_importance *importance, nb_error *error)
{
    return way->store ? way->store(way->user, error)
                      : nb_model_quantize_each(model, way->scope, way->quantizers, importance, NULL, error);
}

nb_status nb_front_measure(nb_model *model, const nb_way *ways, size_t n, const nb_importance *importance,
                           const char *text, size_t n_bytes, size_t max_tokens, nb_perplexity *original,
                           nb_way_cost *costs, nb_error *error)
{
    const size_t depth = nb_model_undo_depth(model);
    nb_status status =
        nb_perplexity_measure(model, NB_WEIGHTS_CURRENT, text, n_bytes, max_tokens, original, error);
    if (status == NB_OK && isnan(original->ppl))
        status = nb_fail(error, NB_ERR_STATE,
                         "the model's loss on this text is no number: it does not compute, and no way to store it can be "
                         "told from another");
    for (size_t i = 0; i < n && status == NB_OK; i++) {
        status = store(model, &ways[i], importance, error);
        if (status == NB_OK)
            status = measure_way(model, text, n_bytes, max_tokens, original, &costs[i], error);
        /* however far the way came: the caller's model must not stay as one of them */
        const nb_status undone = nb_model_take_back(model, depth, status == NB_OK ? error : NULL);
        status = status == NB_OK ? undone : status;
    }
    if (status == NB_OK)
        nb_front_mark(costs, n);
    else
        nb_perplexity_free(original);
    return status;
}
