#include "quant/made.h"

#include "model/state.h"
#include "quant/transaction.h"

static nb_status check(const nb_model *model, const nb_tensor *t, const nb_packed *made, nb_error *error)
{
    if (!t->is_vector && made && (made->n_rows != t->n_rows || made->n_cols != t->n_cols))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s is %zu x %zu, and what was made of it %zu x %zu", t->name, t->n_rows,
                       t->n_cols, made->n_rows, made->n_cols);
    return nb_change_check_matrix(model, t, error);
}

static nb_status adopt_one(nb_model *model, nb_transaction *tx, nb_tensor *t, const nb_adoption *adoption, size_t i,
                           nb_tensor_loss *loss, nb_error *error)
{
    nb_packed **packed = &adoption->made[i];
    nb_change change = {.tensor = t,
                        .quantizer = *packed ? (*packed)->quantizer : adoption->quantizer,
                        .transforms = t->transforms,
                        .measured = true,
                        .loss = loss};
    nb_status status = NB_OK;
    if (*packed)
        status = nb_transaction_make(tx, packed, adoption->provenance, &change.made, error);
    if (status == NB_OK && adoption->inputs && adoption->inputs[i])
        status = nb_model_keep_input(model, &adoption->inputs[i], &change.input, error);
    else if (status == NB_OK)
        status = nb_change_keep_basis(model, t, &change.input, error);
    return status == NB_OK ? nb_transaction_replace(tx, &change, error) : status;
}

nb_status nb_model_adopt(nb_model *model, const nb_scope *scope, const nb_adoption *adoption, nb_tensor_loss *losses,
                         nb_error *error)
{
    nb_transaction *tx = NULL;
    nb_status status = scope->count ? NB_OK : nb_fail(error, NB_ERR_ARGUMENT, "there is no tensor to change");
    for (size_t i = 0; status == NB_OK && i < scope->count; i++)
        status = check(model, &model->tensors[scope->tensors[i]], adoption->made[i], error);
    if (status == NB_OK)
        status = nb_transaction_begin(model, "storing", scope->count, &tx, error);
    for (size_t i = 0; status == NB_OK && i < scope->count; i++)
        status = adopt_one(model, tx, &model->tensors[scope->tensors[i]], adoption, i, losses ? &losses[i] : NULL, error);
    if (tx)
        nb_transaction_end(&tx, status);
    for (size_t i = 0; i < scope->count; i++) {
        nb_packed_destroy(&adoption->made[i]);
        if (adoption->inputs)
            nb_input_destroy(&adoption->inputs[i]);
    }
    return status;
}
