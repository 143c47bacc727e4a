/* Storing tensors otherwise, and as they were. */
#include "quant/quantize.h"

#include "base/memory.h"
#include "model/state.h"
#include "quant/transaction.h"

#include <math.h>
#include <stdlib.h>

static nb_status check_scope(const nb_model *model, const nb_scope *scope, nb_error *error)
{
    nb_status status = NB_OK;
    if (scope->count == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "there is no tensor to change");
    for (size_t i = 0; status == NB_OK && i < scope->count; i++)
        status = nb_change_check_matrix(model, &model->tensors[scope->tensors[i]], error);
    return status;
}

/* What the importance matrix says of a tensor, as the model keeps it until it is gone. */
static nb_status keep_importance(nb_model *model, const nb_tensor *t, const nb_importance *importance,
                                 const float **out, nb_error *error)
{
    bool known = false;
    float **grown = nb_realloc(model->importances, model->n_importances + 1, sizeof *grown);
    if (grown)
        model->importances = grown;
    float *means = grown ? nb_calloc(t->n_cols, sizeof *means) : NULL;
    if (!means)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the importance of %zu columns", t->n_cols);
    nb_status status = nb_importance_means(importance, t->name, t->n_cols, means, &known, error);
    if (status != NB_OK || !known) {
        free(means);
        return status;
    }
    *out = model->importances[model->n_importances++] = means;
    return NB_OK;
}

nb_status nb_change_keep_basis(nb_model *model, const nb_tensor *t, const nb_input **out, nb_error *error)
{
    *out = NULL;
    if (!nb_input_has_basis(t->input))
        return NB_OK;
    nb_input *basis = nb_input_basis(t->input);
    if (!basis)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the basis of %zu columns", t->n_cols);
    return nb_model_keep_input(model, &basis, out, error);
}

static nb_status quantize_each(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizers, size_t step,
                               const nb_importance *importance, nb_input **inputs, nb_tensor_loss *losses,
                               nb_error *error)
{
    nb_status status = check_scope(model, scope, error);
    for (size_t i = 0; i < scope->count && status == NB_OK; i++)
        status = nb_quantizer_check(&quantizers[i * step], error);
    if (status != NB_OK)
        return status;
    nb_change *changes = nb_calloc(scope->count, sizeof *changes);
    if (!changes)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors; nothing was changed",
                       scope->count);
    for (size_t i = 0; i < scope->count; i++) {
        nb_tensor *t = &model->tensors[scope->tensors[i]];
        changes[i] = (nb_change){.tensor = t,
                                 .quantizer = quantizers[i * step],
                                 .transforms = t->transforms,
                                 .measured = true,
                                 .loss = losses ? &losses[i] : NULL};
        if (status == NB_OK && inputs && inputs[i])
            status = nb_model_keep_input(model, &inputs[i], &changes[i].input, error);
        else if (status == NB_OK)
            status = nb_change_keep_basis(model, t, &changes[i].input, error);
        if (status == NB_OK && importance && changes[i].quantizer.format->kind == NB_FORMAT_BLOCK)
            status = keep_importance(model, t, importance, &changes[i].importance, error);
    }
    if (status == NB_OK)
        status = nb_model_change(model, "quantizing", changes, scope->count, NULL, error);
    free(changes);
    return status;
}

nb_status nb_model_quantize(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                            nb_tensor_loss *losses, nb_error *error)
{
    return quantize_each(model, scope, quantizer, 0, NULL, NULL, losses, error);
}

nb_status nb_model_quantize_each(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizers,
                                 const nb_importance *importance, nb_tensor_loss *losses, nb_error *error)
{
    return quantize_each(model, scope, quantizers, 1, importance, NULL, losses, error);
}

nb_status nb_change_quantize(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizers, size_t step,
                             const nb_importance *importance, nb_input **inputs, nb_tensor_loss *losses,
                             nb_error *error)
{
    nb_status status = quantize_each(model, scope, quantizers, step, importance, inputs, losses, error);
    for (size_t i = 0; inputs && i < scope->count; i++)
        nb_input_destroy(&inputs[i]);
    return status;
}

nb_status nb_model_restore(nb_model *model, const nb_scope *scope, nb_error *error)
{
    nb_status status = check_scope(model, scope, error);
    if (status != NB_OK)
        return status;
    nb_change *changes = nb_calloc(scope->count, sizeof *changes);
    if (!changes)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors; nothing was changed",
                       scope->count);
    size_t n = 0;
    for (size_t i = 0; i < scope->count && status == NB_OK; i++) {
        nb_tensor *t = &model->tensors[scope->tensors[i]];
        const nb_quantizer loaded = nb_quantizer_of_source(t->source_format);
        const nb_input *basis = NULL;
        status = nb_change_keep_basis(model, t, &basis, error);
        if (!basis)
            basis = t->loaded_input;
        const bool turned = basis && basis == t->input && nb_quantizer_equal(&t->quantizer, &loaded);
        if (!turned && (t->changed || !t->packed || !isnan(t->sqnr)))
            changes[n++] = (nb_change){.tensor = t,
                                       .quantizer = loaded,
                                       .transforms = t->transforms,
                                       .input = basis,
                                       .sqnr = NAN};
    }
    if (status == NB_OK && n > 0)
        status = nb_model_change(model, "restoring", changes, n, NULL, error);
    free(changes);
    return status;
}

nb_status nb_model_take_back(nb_model *model, size_t depth, nb_error *error)
{
    nb_context *context = model->context;
    nb_progress_fn *progress = context->progress;
    nb_status status = NB_OK;
    bool stopped = false;
    while ((status == NB_OK || status == NB_ERR_CANCELLED) && nb_model_undo_depth(model) > depth) {
        status = nb_model_undo(model, error);
        if (status == NB_ERR_CANCELLED) {
            stopped = true;
            context->progress = NULL; /* somebody waits: the rest goes without reports */
        }
    }
    context->progress = progress;
    return status == NB_OK && stopped ? nb_fail(error, NB_ERR_CANCELLED, "stopped") : status;
}
