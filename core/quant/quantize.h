/* Changing how a model's tensors are stored. Every change starts from the sources and is a transaction: on
 * failure or cancel the model is as it was. */
#ifndef NB_QUANT_QUANTIZE_H
#define NB_QUANT_QUANTIZE_H

#include "model/model.h"
#include "model/scope.h"
#include "quant/importance.h"

typedef struct nb_tensor_loss {
    double sqnr, mse, max_error; /* against the source */
    uint64_t n_clipped, n_zero;  /* codes that clamping moved (not those that rounded to an end by
                                  * themselves); codes that stand for 0 */
    uint64_t n_bytes_before, n_bytes_after;
} nb_tensor_loss;

/* Stores the scope's tensors as `quantizer` says; `losses` (one per tensor) may be NULL. Pushes one undo
 * step. */
nb_status nb_model_quantize(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                            nb_tensor_loss *losses, nb_error *error);
/* The same with a quantizer for each tensor of the scope. `importance` (NULL: none) is what BLOCK formats weigh
 * their errors by; it may be destroyed afterwards. */
nb_status nb_model_quantize_each(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizers,
                                 const nb_importance *importance, nb_tensor_loss *losses, nb_error *error);
/* Back to the source's own format, with the tensors' transforms. Pushes one undo step, unless every tensor of
 * the scope is in it already. */
nb_status nb_model_restore(nb_model *model, const nb_scope *scope, nb_error *error);
/* Takes the last quantize, restore or transform back, by replaying from the sources. NB_ERR_STATE if there is none. */
nb_status nb_model_undo(nb_model *model, nb_error *error);
/* For a call that takes its own steps back, until `depth` of them are left: a wish to stop does not stop this, and is
 * answered with NB_ERR_CANCELLED once the model is back. */
nb_status nb_model_take_back(nb_model *model, size_t depth, nb_error *error);
size_t nb_model_undo_depth(const nb_model *model);

/* A fixed forward pass over a small random model with every format in it: 16 hex digits that must be equal
 * on every machine. */
nb_status nb_fingerprint(nb_context *context, char text[17], nb_error *error);

#endif
