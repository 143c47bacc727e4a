#include "quant/simulate.h"

#include "base/memory.h"
#include "model/state.h"
#include "quant/transaction.h"

#include <math.h>
#include <stdlib.h>

static nb_status check_values(const nb_tensor *t, const float *values, nb_error *error)
{
    for (size_t i = 0; i < t->n_rows * t->n_cols; i++) {
        if (!isfinite(values[i]))
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "%s: row %zu, column %zu became %s, and a model needs finite numbers", t->name,
                           i / t->n_cols, i % t->n_cols,
                           isnan(values[i]) ? "nan (0 / 0, perhaps)" : "inf (a division by 0, perhaps)");
    }
    return NB_OK;
}

static nb_status check_tensor(const nb_model *model, const nb_tensor *t, nb_error *error)
{
    if (t->is_vector)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s is a vector; vectors stay as they are", t->name);
    return nb_change_check_source(model, t, error);
}

static nb_status change(nb_model *model, const nb_scope *scope, float **values, nb_tensor_loss *losses,
                        nb_error *error)
{
    nb_status status = NB_OK;
    nb_change *changes = nb_calloc(scope->count, sizeof *changes);
    if (!changes)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors; nothing was changed",
                       scope->count);
    for (size_t i = 0; status == NB_OK && i < scope->count; i++) {
        nb_tensor *t = &model->tensors[scope->tensors[i]];
        status = check_tensor(model, t, error);
        if (status == NB_OK)
            status = check_values(t, values[i], error);
        changes[i] = (nb_change){.tensor = t,
                                 .quantizer = nb_quantizer_of_source(&nb_format_f32),
                                 .transforms = t->transforms,
                                 .simulated = values[i],
                                 .measured = true,
                                 .loss = losses ? &losses[i] : NULL};
    }
    if (status == NB_OK)
        status = nb_model_change(model, "storing", changes, scope->count, NULL, error);
    free(changes);
    return status;
}

nb_status nb_model_simulate(nb_model *model, const nb_scope *scope, float **values, nb_tensor_loss *losses,
                            nb_error *error)
{
    const nb_status status = scope->count ? change(model, scope, values, losses, error)
                                          : nb_fail(error, NB_ERR_ARGUMENT, "there is no tensor to change");
    if (status == NB_OK) {
        nb_undo_step *step = &model->undo[model->n_undo - 1];
        step->simulated = values;
        step->n_simulated = scope->count;
        return NB_OK;
    }
    for (size_t i = 0; i < scope->count; i++)
        free(values[i]);
    free(values);
    return status;
}
