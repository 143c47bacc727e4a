/* Changes of a model as transactions over tensors, for what changes them: quantize, restore, transforms. */
#ifndef NB_QUANT_TRANSACTION_H
#define NB_QUANT_TRANSACTION_H

#include "model/model.h"
#include "quant/quantize.h"

/* What one tensor is to become. */
typedef struct nb_change {
    nb_tensor *tensor;
    nb_quantizer quantizer; /* matrices */
    const nb_transform *transforms;
    const float *importance; /* the model's; NULL: none */
    const float *simulated;  /* an undo step's; NULL: none */
    const nb_made *made;     /* an undo step's, stored as `quantizer` says; NULL: rounded from the source */
    const nb_input *input;   /* the model's (nb_model_keep_input); NULL: none */
    double sqnr;          /* to be shown where none is measured */
    nb_tensor_loss *loss; /* measured if there is a place for it */
    bool measured;
} nb_change;

/* Every change starts from the source: refuses a tensor that has none. */
nb_status nb_change_check_source(const nb_model *model, const nb_tensor *tensor, nb_error *error);
/* The same for what is to be stored otherwise: refuses vectors too. */
nb_status nb_change_check_matrix(const nb_model *model, const nb_tensor *tensor, nb_error *error);

/* The input of a tensor that is stored anew: a basis stays, what else was done with its activations belonged to the old
 * way. *out: the model's, or NULL. */
nb_status nb_change_keep_basis(nb_model *model, const nb_tensor *tensor, const nb_input **out, nb_error *error);

/* Makes all changes and pushes one undo step, or none of them. `what` is said with the progress:
 * "quantizing". The transforms that were made for it (NULL: none) pass to the undo step, or are freed; *made
 * is NULL afterwards. */
nb_status nb_model_change(nb_model *model, const char *what, const nb_change *changes, size_t n_changes,
                          nb_transform **made, nb_error *error);

/* The same, change by change, for methods that run the model between: what was replaced runs at once. At most
 * `most_changes` of them, no tensor twice. */
typedef struct nb_transaction nb_transaction;
nb_status nb_transaction_begin(nb_model *model, const char *what, size_t most_changes, nb_transaction **out,
                               nb_error *error);
/* After a failure the transaction is to be ended with it. */
nb_status nb_transaction_replace(nb_transaction *transaction, const nb_change *change, nb_error *error);
/* Takes over *packed, on failure too: what a method made, for a change. The step owns it. */
nb_status nb_transaction_make(nb_transaction *transaction, nb_packed **packed, const char *provenance,
                              const nb_made **out, nb_error *error);
/* Takes over transforms that were made for the changes; *made is NULL afterwards. */
void nb_transaction_keep(nb_transaction *transaction, nb_transform **made);
/* NB_OK: pushes one undo step. Any other status: the model becomes as it was. Returns the status. */
nb_status nb_transaction_end(nb_transaction **transaction, nb_status status);

/* nb_model_quantize_each (`step` 1) or nb_model_quantize (0: one quantizer for all), with what the tensors do with their
 * activations: inputs[i] of the scope's tensor i, which is taken, on failure too; NULL: its basis alone. `inputs` may be
 * NULL. */
nb_status nb_change_quantize(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizers, size_t step,
                             const nb_importance *importance, nb_input **inputs, nb_tensor_loss *losses,
                             nb_error *error);

#endif
