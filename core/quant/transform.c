#include "quant/transform.h"

#include "base/memory.h"
#include "base/print.h"
#include "base/random.h"
#include "model/state.h"
#include "quant/rewrite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- inject-outliers ---- */

/* Powers of two from the root of the largest gain up to it, all alike. */
static float draw_gain(nb_random *random, double largest)
{
    int low = 1, high = 1;
    while (ldexp(1.0, high + 1) <= largest)
        high++;
    while (low < high && ldexp(1.0, 2 * low) < largest)
        low++;
    return (float)ldexp(1.0, low + (int)nb_random_below(random, (uint64_t)(high - low + 1)));
}

/* The norms in random order, each a channel in turn, until there are enough. gains: [norms][n_embd], 1 where
 * nothing happens. */
static void draw_outliers(const nb_model *model, const nb_outlier_options *options, size_t *order,
                          float *gains, nb_outlier *made)
{
    const size_t n_norms = nb_norm_count(model), n_embd = model->hparams.n_embd;
    nb_random random;
    nb_random_seed(&random, options->seed);
    for (size_t i = 0; i < n_norms * n_embd; i++)
        gains[i] = 1.0f;
    for (size_t i = 0; i < n_norms; i++)
        order[i] = i;
    for (size_t i = n_norms; i > 1; i--) {
        const size_t other = (size_t)nb_random_below(&random, i), moved = order[i - 1];
        order[i - 1] = order[other];
        order[other] = moved;
    }
    for (size_t i = 0; i < options->n_channels; i++) {
        const size_t index = order[i % n_norms];
        size_t channel;
        do
            channel = (size_t)nb_random_below(&random, n_embd);
        while (gains[index * n_embd + channel] > 1.0f);
        const float gain = draw_gain(&random, options->gain);
        gains[index * n_embd + channel] = gain;
        if (made)
            made[i] = (nb_outlier){(size_t)(nb_norm_at(model, index).tensor - model->tensors), channel, gain};
    }
}

static nb_status check_outliers(const nb_model *model, const nb_outlier_options *options, nb_error *error)
{
    const size_t n_norms = nb_norm_count(model), most = n_norms * model->hparams.n_embd;
    if (n_norms == 0)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "a %s model has no norms whose channels can be scaled",
                       model->hparams.architecture);
    if (options->n_channels < 1 || options->n_channels > most)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%zu outlier channels: its %zu norms of %u channels have room for 1 to %zu",
                       options->n_channels, n_norms, model->hparams.n_embd, most);
    if (!(options->gain >= 2 && options->gain <= NB_OUTLIER_MOST_GAIN)) {
        char gain[32];
        nb_print_general(gain, sizeof gain, options->gain, 6);
        return nb_fail(error, NB_ERR_ARGUMENT, "a gain of %s: gains are powers of two, from 2 to %d", gain,
                       NB_OUTLIER_MOST_GAIN);
    }
    return nb_model_check(model, error);
}

nb_status nb_model_inject_outliers(nb_model *model, const nb_outlier_options *options, nb_outlier *made,
                                   nb_error *error)
{
    nb_status status = check_outliers(model, options, error);
    if (status != NB_OK)
        return status;
    const size_t n_norms = nb_norm_count(model), n_embd = model->hparams.n_embd;
    nb_rewrite r = {0};
    char gain[32], what[96];
    nb_print_general(gain, sizeof gain, options->gain, 6);
    snprintf(what, sizeof what, "inject-outliers --channels %zu --gain %s --seed %llu", options->n_channels, gain,
             (unsigned long long)options->seed);
    float *gains = nb_calloc(n_norms * n_embd, sizeof *gains), *inverses = nb_calloc(n_embd, sizeof *inverses);
    size_t *order = nb_calloc(n_norms, sizeof *order);
    status = gains && inverses && order ? nb_rewrite_begin(&r, model, what, error)
                                        : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
    if (status == NB_OK)
        draw_outliers(model, options, order, gains, made);
    for (size_t i = 0; status == NB_OK && i < nb_min_size(n_norms, options->n_channels); i++) {
        const nb_norm n = nb_norm_at(model, order[i]);
        const float *mine = gains + order[i] * n_embd;
        for (size_t c = 0; c < n_embd; c++)
            inverses[c] = 1.0f / mine[c];
        status = nb_rewrite_norm(&r, &n, mine, inverses, error);
    }
    if (status == NB_OK)
        status = nb_rewrite_apply(&r, error);
    nb_rewrite_free(&r);
    free(gains);
    free(inverses);
    free(order);
    return status;
}
