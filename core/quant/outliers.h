/* LLM.int8(): the few columns of the activations that reach far beyond the rest are multiplied in f16, all others in
 * int8. Which columns those are comes from a calibration, so that no token depends on another.
 * Source: Dettmers et al., LLM.int8(), arXiv 2208.07339, section 3.2. */
#ifndef NB_QUANT_OUTLIERS_H
#define NB_QUANT_OUTLIERS_H

#include "quant/calibration.h"

/* The columns in which an activation reached `threshold`: how many, and columns[n_cols] (may be NULL), ascending. */
size_t nb_outlier_columns(const nb_calibration_entry *entry, double threshold, uint32_t *columns);

/* Stores the scope's tensors as `quantizer` says, an INT one with int8 activations in a dynamic mode (NB_ACTIVATION_TOKENS
 * is the paper's), and keeps in f16 the columns whose activations reach `threshold`; a tensor of which that is all becomes
 * f16. Pushes one undo step. `losses` may be NULL. Refused: a tensor that multiplies nothing. */
nb_status nb_model_quantize_outliers(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                                     nb_activation_mode mode, const nb_calibration *calibration, double threshold,
                                     nb_tensor_loss *losses, nb_error *error);

#endif
