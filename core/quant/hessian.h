/* The Hessian of a linear layer's squared output error, which is the same for every row of its weights:
 * H = 2/N sum x x^T over the N tokens that it multiplies (Frantar et al. 2022, arXiv:2210.17323, section 3). */
#ifndef NB_QUANT_HESSIAN_H
#define NB_QUANT_HESSIAN_H

#include "base/context.h"

typedef struct nb_hessian nb_hessian;

/* Holds n_cols^2 floats, and twice as many tokens of activations as are summed at once. */
nb_status nb_hessian_create(nb_context *context, size_t n_cols, nb_hessian **out, nb_error *error);
void nb_hessian_destroy(nb_hessian **hessian);
/* Rows of activations, `stride` floats apart. Products are summed in f32 by chunks of 512 tokens, token by token
 * within one, so that the bits do not depend on how tokens are split over calls. */
void nb_hessian_add(nb_hessian *hessian, const float *x, size_t n_tokens, size_t stride);
/* The matrix, [n_cols][n_cols], both halves of it; nothing may be added afterwards. `what` names the layer where it
 * is refused: no token came, or numbers that are not finite. */
nb_status nb_hessian_finish(nb_hessian *hessian, const char *what, const float **out, nb_error *error);
uint64_t nb_hessian_n_tokens(const nb_hessian *hessian);

#endif
