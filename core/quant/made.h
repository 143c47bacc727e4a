/* Storing what a method made of tensors: codes that no replay from the source gives again. */
#ifndef NB_QUANT_MADE_H
#define NB_QUANT_MADE_H

#include "quant/quantize.h"

/* The scope's tensors become made[i] (of their shape, any format, of rows in the tensor's basis if its input has one),
 * which came about as provenance[i] says in one
 * line: "GPTQ from calibration.txt (4,096 tokens)". `losses` (one per tensor) may be NULL. Pushes one undo step, which
 * owns what was made from then on: takes over made[i], on failure too, and leaves NULL there. On failure or cancel the
 * model is as it was. Methods that run the model between two tensors use a transaction of their own
 * (quant/transaction.h). */
nb_status nb_model_adopt(nb_model *model, const nb_scope *scope, nb_packed **made, const char *const *provenance,
                         nb_tensor_loss *losses, nb_error *error);

#endif
