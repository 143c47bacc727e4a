/* Storing what a method made of tensors: codes that no replay from the source gives again. */
#ifndef NB_QUANT_MADE_H
#define NB_QUANT_MADE_H

#include "model/input.h"
#include "quant/quantize.h"

/* What the tensors of a scope become, and how that came about, in one line: "GPTQ from calibration.txt (4,096 tokens)". */
typedef struct nb_adoption {
    nb_packed **made;       /* [scope's tensors] of the tensor's shape, any format; NULL: rounded as `quantizer` says */
    nb_quantizer quantizer; /* of those that are rounded */
    nb_input **inputs;      /* [scope's tensors]: what they do with their activations; NULL, or NULL in it: their basis */
    const char *provenance;
} nb_adoption;

/* Stores it; `losses` (one per tensor) may be NULL. Pushes one undo step, which owns what was made from then on: takes over
 * made[i] and inputs[i], on failure too, and leaves NULL there. On failure or cancel the model is as it was. Methods that
 * run the model between two tensors use a transaction of their own (quant/transaction.h). */
nb_status nb_model_adopt(nb_model *model, const nb_scope *scope, const nb_adoption *adoption, nb_tensor_loss *losses,
                         nb_error *error);

#endif
