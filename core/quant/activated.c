/* Storing tensors together with what becomes of their activations. */
#include "quant/calibration.h"

#include "base/memory.h"
#include "quant/transaction.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A channel's reach over the farthest one's, whose 127th part is the scale of all. A channel in which nothing
 * was ever seen may be anything later: it gets the farthest. */
static nb_status set_channels(nb_input *input, const nb_calibration_entry *entry, nb_observer observer,
                              nb_pool *pool, nb_error *error)
{
    float *scales = nb_calloc(entry->n_cols, sizeof *scales), all = FLT_MIN * 127.0f;
    if (!scales)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the scales of %zu channels", entry->n_cols);
    nb_calibration_reach_channels(entry, observer, pool, scales);
    for (size_t j = 0; j < entry->n_cols; j++)
        all = scales[j] > all ? scales[j] : all;
    for (size_t j = 0; j < entry->n_cols; j++) {
        const float own = scales[j] / all;
        scales[j] = own >= FLT_MIN ? own : 1.0f;
    }
    nb_status status = nb_input_set_scales(input, scales, error);
    free(scales);
    return status == NB_OK ? nb_input_set_static(input, all / 127.0f, error) : status;
}

static nb_status set_static(nb_input *input, const nb_model *model, size_t tensor, nb_activation_mode mode,
                            const nb_calibration *calibration, nb_observer observer, nb_error *error)
{
    char described[128];
    const char *name = model->tensors[tensor].name;
    nb_status status = calibration ? nb_calibration_check(calibration, model, error)
                                   : nb_fail(error, NB_ERR_STATE, "static activations need a calibration: calibrate");
    if (status == NB_OK)
        status = nb_activation_check_observer(mode, observer, calibration, error);
    const nb_calibration_entry *entry = status == NB_OK ? nb_calibration_find(calibration, tensor) : NULL;
    if (status == NB_OK && (!entry || entry->n_cols != input->n_cols))
        status = nb_fail(error, NB_ERR_STATE, "%s: the calibration has seen nothing flow into it", name);
    if (status == NB_OK && !(entry->low < 0.0f) && !(entry->high > 0.0f))
        status = nb_fail(error, NB_ERR_STATE, "%s: all that flowed into it were zeros, which give no scale", name);
    if (status != NB_OK)
        return status;
    const bool by_channel = mode == NB_ACTIVATION_CHANNELS;
    snprintf(input->what, sizeof input->what, "%s%s of %s, digest %08" PRIx32,
             by_channel ? "each channel's " : "",
             by_channel && observer == NB_OBSERVER_MINMAX ? "largest" : nb_observer_name(observer),
             nb_calibration_describe(calibration, described, sizeof described),
             (uint32_t)calibration->text_digest);
    return by_channel ? set_channels(input, entry, observer, model->context->pool, error)
                      : nb_input_set_static(input, nb_calibration_reach(entry, observer) / 127.0f, error);
}

nb_status nb_activation_input(const nb_model *model, size_t tensor, nb_activation_mode mode,
                              const nb_calibration *calibration, nb_observer observer, const uint32_t *order,
                              nb_input **out, nb_error *error)
{
    const nb_tensor *t = &model->tensors[tensor];
    const bool has_basis = nb_input_has_basis(t->input);
    *out = NULL;
    if (mode == NB_ACTIVATION_BLOCKS && !has_basis && !order)
        return NB_OK;
    nb_input *input = has_basis ? nb_input_basis(t->input) : nb_input_create(t->n_cols);
    nb_status status = input ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its activations", t->name);
    if (status == NB_OK && order)
        status = nb_input_set_order(input, order, error);
    if (status == NB_OK && mode == NB_ACTIVATION_TOKENS)
        input->scaling = NB_INPUT_TOKENS;
    else if (status == NB_OK && mode != NB_ACTIVATION_BLOCKS)
        status = set_static(input, model, tensor, mode, calibration, observer, error);
    if (status == NB_OK)
        *out = input;
    else
        nb_input_destroy(&input);
    return status;
}

/* The histograms of many channels take a while. */
static nb_status tick(const nb_model *model, nb_activation_mode mode, size_t done, const nb_scope *scope,
                      nb_error *error)
{
    return mode == NB_ACTIVATION_CHANNELS
               ? nb_context_tick(model->context, "observing channels", done, scope->count, "tensors", error)
               : NB_OK;
}

static nb_status check_quantizer(const nb_quantizer *q, nb_activation_mode mode, nb_error *error)
{
    if (mode == NB_ACTIVATION_BLOCKS || nb_quantizer_wants_int8(q))
        return NB_OK;
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "%s multiplies activations as f32: only formats of integers can have them in int8", q->format->name);
}

nb_status nb_model_quantize_activated(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                                      const nb_importance *importance, nb_activation_mode mode,
                                      const nb_calibration *calibration, nb_observer observer, nb_tensor_loss *losses,
                                      nb_error *error)
{
    nb_input **inputs = nb_calloc(scope->count + 1, sizeof(nb_input *));
    nb_status status = inputs ? check_quantizer(quantizer, mode, error)
                              : nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors", scope->count);
    for (size_t i = 0; i < scope->count && status == NB_OK; i++) {
        if (!model->tensors[scope->tensors[i]].is_vector)
            status = nb_activation_input(model, scope->tensors[i], mode, calibration, observer, NULL,
                                         &inputs[i], error);
        if (status == NB_OK)
            status = tick(model, mode, i, scope, error);
    }
    if (status == NB_OK)
        status = nb_change_quantize(model, scope, quantizer, 0, importance, inputs, losses, error);
    for (size_t i = 0; inputs && i < scope->count; i++)
        nb_input_destroy(&inputs[i]);
    free(inputs);
    return status;
}

static nb_status check_activate(const nb_model *model, const nb_tensor *t, nb_activation_mode mode, nb_error *error)
{
    if (t->is_vector)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s is a vector, which multiplies nothing", t->name);
    if (t->simulated || !nb_quantizer_wants_int8(&t->quantizer))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s computes with f32 activations: quantize it to integers first, as in quantize %s absmax",
                       t->name, t->name);
    if (mode == NB_ACTIVATION_CHANNELS && t->made)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s was made by a method (%s), and scales by channel would change what was rounded: take static, "
                       "one scale for the tensor",
                       t->name, t->made->provenance);
    return nb_change_check_source(model, t, error);
}

/* Columns in f16 stay so, with scales that follow the token. */
static nb_status keep_outliers(const nb_tensor *t, nb_activation_mode mode, nb_input **input, nb_error *error)
{
    if (!t->input || !t->input->outliers)
        return NB_OK;
    if (mode != NB_ACTIVATION_BLOCKS && mode != NB_ACTIVATION_TOKENS)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s keeps columns of outliers in f16, which static scales are not made for: take token", t->name);
    if (!*input && !(*input = nb_input_create(t->n_cols)))
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its activations", t->name);
    memcpy((*input)->what, t->input->what, sizeof (*input)->what);
    return nb_input_set_outliers(*input, t->input->outliers, t->input->n_outliers, error);
}

static nb_status plan_activation(nb_model *model, size_t index, nb_activation_mode mode,
                                 const nb_calibration *calibration, nb_observer observer, nb_change *out,
                                 nb_error *error)
{
    nb_tensor *t = &model->tensors[index];
    nb_input *input = NULL;
    nb_status status = check_activate(model, t, mode, error);
    if (status == NB_OK)
        status = nb_activation_input(model, index, mode, calibration, observer, t->input ? t->input->order : NULL, &input,
                                     error);
    if (status == NB_OK && (status = keep_outliers(t, mode, &input, error)) != NB_OK)
        nb_input_destroy(&input);
    if (status != NB_OK)
        return status;
    const bool rounds = (input && input->scales) || (t->input && t->input->scales);
    *out = (nb_change){.tensor = t,
                       .quantizer = t->quantizer,
                       .transforms = t->transforms,
                       .importance = t->importance,
                       .made = t->made,
                       .sqnr = t->sqnr,
                       .measured = rounds};
    return input ? nb_model_keep_input(model, &input, &out->input, error) : NB_OK;
}

nb_status nb_model_activate(nb_model *model, const nb_scope *scope, nb_activation_mode mode,
                            const nb_calibration *calibration, nb_observer observer, nb_error *error)
{
    nb_change *changes = nb_calloc(scope->count + 1, sizeof *changes);
    nb_status status = NB_OK;
    if (!changes)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors", scope->count);
    if (scope->count == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "there is no tensor to change");
    for (size_t i = 0; i < scope->count && status == NB_OK; i++)
        if ((status = tick(model, mode, i, scope, error)) == NB_OK)
            status =
                plan_activation(model, scope->tensors[i], mode, calibration, observer, &changes[i], error);
    if (status == NB_OK)
        status = nb_model_change(model, "setting activations", changes, scope->count, NULL, error);
    if (status != NB_OK)
        nb_model_drop_inputs(model); /* of those that were planned */
    free(changes);
    return status;
}
