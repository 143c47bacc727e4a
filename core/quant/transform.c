#include "quant/transform.h"

#include "base/memory.h"
#include "base/print.h"
#include "base/random.h"
#include "model/state.h"
#include "quant/transaction.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- norms and who reads them ---- */

enum { MOST_READERS = sizeof((nb_norm_readers){0}.readers) / sizeof(size_t) };

typedef struct norm {
    nb_tensor *tensor, *bias /* or NULL */, *readers[MOST_READERS];
    size_t n_readers;
} norm;

static nb_tensor *tensor_at(const nb_layer *layer, size_t offset)
{
    return *(nb_tensor *const *)((const char *)layer + offset);
}

static size_t norm_count(const nb_model *model)
{
    return model->hparams.n_layers * model->architecture->n_norms;
}

static norm norm_at(const nb_model *model, size_t index)
{
    const nb_layer *layer = &model->layers[index / model->architecture->n_norms];
    const nb_norm_readers *row = &model->architecture->norms[index % model->architecture->n_norms];
    norm found = {.tensor = tensor_at(layer, row->norm),
                  .bias = row->has_bias ? tensor_at(layer, row->bias) : NULL,
                  .n_readers = row->n_readers};
    for (size_t i = 0; i < row->n_readers; i++)
        found.readers[i] = tensor_at(layer, row->readers[i]);
    return found;
}

/* ---- a rewrite that is being put together ---- */

typedef struct rewrite {
    nb_model *model;
    char what[96];
    nb_change *changes; /* room for every norm and its readers */
    size_t n_changes;
    nb_transform *made;
} rewrite;

static nb_status rewrite_begin(rewrite *r, nb_error *error)
{
    r->changes = nb_calloc(norm_count(r->model) * (2 + MOST_READERS), sizeof *r->changes);
    return r->changes ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
}

/* Its columns are multiplied by these factors. */
static nb_status add_columns(rewrite *r, nb_tensor *t, const float *columns, nb_error *error)
{
    nb_status status = nb_change_check_source(r->model, t, error);
    if (status != NB_OK)
        return status;
    if (t->simulated)
        return nb_fail(error, NB_ERR_STATE,
                       "%s is simulated by a function, which a transform cannot call again: restore it first", t->name);
    if (t->source_format && t->source_format->kind == NB_FORMAT_BLOCK)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s came as %s, which cannot hold other numbers without being quantized again; load the model "
                       "in f16 or bf16 to transform it",
                       t->name, t->source_format->name);
    const nb_transform *transform =
        nb_transform_create(t->transforms, r->what, columns, t->n_cols, NULL, 0, &r->made);
    if (!transform)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to transform it", t->name);
    r->changes[r->n_changes++] = (nb_change){.tensor = t,
                                             .quantizer = t->quantizer,
                                             .transforms = transform,
                                             .importance = t->importance,
                                             .sqnr = NAN,
                                             .measured = !t->is_vector && !isnan(t->sqnr)};
    return NB_OK;
}

/* Multiplies the norm's weights and biases by the gains, and divides what its readers do with them. */
static nb_status add_norm(rewrite *r, const norm *n, float *gains, nb_error *error)
{
    nb_status status = add_columns(r, n->tensor, gains, error);
    if (status == NB_OK && n->bias)
        status = add_columns(r, n->bias, gains, error);
    for (size_t i = 0; i < n->tensor->n_cols; i++)
        gains[i] = 1.0f / gains[i];
    for (size_t i = 0; status == NB_OK && i < n->n_readers; i++)
        status = add_columns(r, n->readers[i], gains, error);
    return status;
}

static nb_status rewrite_end(rewrite *r, nb_status status, nb_error *error)
{
    if (status == NB_OK)
        status = nb_model_change(r->model, "transforming", r->changes, r->n_changes, &r->made, error);
    nb_transforms_free(&r->made);
    free(r->changes);
    return status;
}

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
    const size_t n_norms = norm_count(model), n_embd = model->hparams.n_embd;
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
            made[i] = (nb_outlier){(size_t)(norm_at(model, index).tensor - model->tensors), channel, gain};
    }
}

static nb_status check_outliers(const nb_model *model, const nb_outlier_options *options, nb_error *error)
{
    const size_t n_norms = norm_count(model), most = n_norms * model->hparams.n_embd;
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
    const size_t n_norms = norm_count(model), n_embd = model->hparams.n_embd;
    rewrite r = {.model = model};
    char gain[32];
    nb_print_general(gain, sizeof gain, options->gain, 6);
    snprintf(r.what, sizeof r.what, "inject-outliers --channels %zu --gain %s --seed %llu",
             options->n_channels, gain, (unsigned long long)options->seed);
    float *gains = nb_calloc(n_norms * n_embd, sizeof *gains);
    size_t *order = nb_calloc(n_norms, sizeof *order);
    status = gains && order ? rewrite_begin(&r, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
    if (status == NB_OK)
        draw_outliers(model, options, order, gains, made);
    for (size_t i = 0; status == NB_OK && i < nb_min_size(n_norms, options->n_channels); i++) {
        const norm n = norm_at(model, order[i]);
        status = add_norm(&r, &n, gains + order[i] * n_embd, error);
    }
    status = rewrite_end(&r, status, error);
    free(gains);
    free(order);
    return status;
}
