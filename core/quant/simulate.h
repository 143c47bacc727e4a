/* Storing numbers that the caller made: a quantizer that nibble does not know, tried out. */
#ifndef NB_QUANT_SIMULATE_H
#define NB_QUANT_SIMULATE_H

#include "quant/quantize.h"

/* The scope's tensors become values[i], [n_rows][n_cols] finite numbers each, and run as f32; their sizes
 * stay those of the sources. `losses` (one per tensor) may be NULL. Pushes one undo step, which owns the
 * values from then on: takes over `values` (allocated, as are its parts) and what it holds, on failure too.
 * On failure or cancel the model is as it was. */
nb_status nb_model_simulate(nb_model *model, const nb_scope *scope, float **values, nb_tensor_loss *losses,
                            nb_error *error);

#endif
