/* HQQ of a model's tensors. */
#ifndef NB_QUANT_HQQ_MODEL_H
#define NB_QUANT_HQQ_MODEL_H

#include "quant/hqq.h"
#include "quant/quantize.h"

/* Stores the scope's tensors as `quantizer` says, as one undo step; on failure or cancel the model is as it was. losses
 * (one per tensor) may be NULL. */
nb_status nb_model_hqq(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                       const nb_hqq_options *options, nb_tensor_loss *losses, nb_error *error);

#endif
