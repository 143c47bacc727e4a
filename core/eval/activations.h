/* What flows through a model: the numbers that a matrix multiplies. */
#ifndef NB_EVAL_ACTIVATIONS_H
#define NB_EVAL_ACTIVATIONS_H

#include "model/model.h"

/* Reads tokens as the model is stored now, and copies what flows into tensor `index` (a matrix that
 * multiplies: not the embeddings, unless they are the head too) before its product: out[n_tokens][n_cols]. At
 * most as many tokens as the context has. */
nb_status nb_activations_collect(nb_model *model, size_t index, const int32_t *tokens, size_t n_tokens,
                                 float *out, nb_error *error);

#endif
