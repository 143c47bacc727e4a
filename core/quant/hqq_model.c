#include "quant/hqq_model.h"

#include "base/print.h"
#include "model/state.h"
#include "quant/transaction.h"

#include <stdio.h>

/* One tensor, of its rows in its basis, which stays. */
static nb_status replace(nb_model *model, nb_transaction *tx, nb_tensor *t, const nb_quantizer *quantizer,
                         const nb_hqq_options *options, nb_tensor_loss *loss, nb_error *error)
{
    nb_change change = {
        .tensor = t, .quantizer = *quantizer, .transforms = t->transforms, .measured = true, .loss = loss};
    nb_packed *packed = NULL;
    char provenance[64], norm[32];
    snprintf(provenance, sizeof provenance, "HQQ without data, norm %s",
             nb_print_general(norm, sizeof norm, options->norm, 3));
    nb_status status = nb_change_keep_basis(model, t, &change.input, error);
    const nb_source source = {.format = t->source_format,
                              .data = t->source,
                              .n_rows = t->n_rows,
                              .n_cols = t->n_cols,
                              .transforms = t->transforms,
                              .input = change.input};
    if (status == NB_OK)
        status = nb_hqq_quantize(model->context, t->name, &source, quantizer, options, &packed, error);
    if (status == NB_OK)
        status = nb_transaction_make(tx, &packed, provenance, &change.made, error);
    return status == NB_OK ? nb_transaction_replace(tx, &change, error) : status;
}

nb_status nb_model_hqq(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                       const nb_hqq_options *options, nb_tensor_loss *losses, nb_error *error)
{
    nb_transaction *tx = NULL;
    nb_status status = scope->count ? nb_hqq_check(quantizer, error)
                                    : nb_fail(error, NB_ERR_ARGUMENT, "there is no tensor to change");
    for (size_t i = 0; status == NB_OK && i < scope->count; i++)
        status = nb_change_check_matrix(model, &model->tensors[scope->tensors[i]], error);
    if (status == NB_OK)
        status = nb_transaction_begin(model, "quantizing", scope->count, &tx, error);
    for (size_t i = 0; status == NB_OK && i < scope->count; i++)
        status = replace(model, tx, &model->tensors[scope->tensors[i]], quantizer, options,
                         losses ? &losses[i] : NULL, error);
    return tx ? nb_transaction_end(&tx, status) : status;
}
