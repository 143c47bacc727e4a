/* Activations whose int8 codes share one scale a token. */
#ifndef NB_KERNELS_ACTS_H
#define NB_KERNELS_ACTS_H

#include "kernels/kernels.h"

/* nb_acts_prepare with one scale for all of a token: *scale, which is positive and finite, or, where it is NULL, the
 * token's own amax / 127. q = rint(x / scale), clamped to 127 on either side; *n_clipped counts those that rounded to
 * more. A block with a number that is not finite has a scale of NaN and every q 0; where the token's scale is its own,
 * all of its blocks have. */
nb_status nb_acts_prepare_scaled(nb_context *context, nb_acts_buffer *buffer, const float *x, size_t n_tokens,
                                 size_t n_cols, size_t stride, const float *scale, uint64_t *n_clipped,
                                 nb_error *error);

#endif
