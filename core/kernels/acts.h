/* Activations made token by token, by whoever does something else to them first. nb_acts_prepare is what does not. */
#ifndef NB_KERNELS_ACTS_H
#define NB_KERNELS_ACTS_H

#include "kernels/kernels.h"

enum { NB_TOKENS_AT_ONCE = 4 }; /* a piece of work for one thread: some microseconds */

/* Room for so many tokens, with int8 blocks if `quantize`; f32 and outliers are NULL until the caller sets them. */
nb_status nb_acts_reserve(nb_context *context, nb_acts_buffer *buffer, size_t n_tokens, size_t n_cols, bool quantize,
                          nb_error *error);

/* The int8 blocks of one token from x[n_cols], as kernels.h says of quantize_acts and quantize_acts_scaled. Several
 * threads may make different tokens. */
void nb_acts_quantize(const nb_kernels *kernels, const nb_acts *acts, size_t token, const float *x);
size_t nb_acts_quantize_scaled(const nb_kernels *kernels, const nb_acts *acts, size_t token, const float *x,
                               const float *scale);

#endif
