/* The three products of a linear layer y = W x, for T tokens at once (network.h says how each one is the engine's
 * matmul). W is [R, C]; x is [T][C], y is [T][R], rows without gaps; threads split outputs only. */
#ifndef NB_TRAIN_LINEAR_H
#define NB_TRAIN_LINEAR_H

#include "train/network.h"

/* What weight gradients are made of, for tokens up to a number. */
typedef struct nb_linear_scratch {
    float *packed_x;  /* x as columns of 16: [ceil(C / 16)][T][16] */
    float *turned_dy; /* [R][T], rows apart by a little more */
    float *product;   /* [R][C] */
} nb_linear_scratch;

nb_status nb_linear_scratch_create(const nb_network *network, size_t max_tokens, nb_linear_scratch *out,
                                   nb_error *error);
void nb_linear_scratch_free(nb_linear_scratch *scratch);

/* y = W x */
void nb_linear_forward(nb_context *context, const nb_weight *weight, const float *x, size_t n_tokens, float *y);
/* dx = W^T dy */
void nb_linear_input_gradient(nb_context *context, const nb_weight *weight, const float *dy, size_t n_tokens,
                              float *dx);
/* Takes x for the weight gradients that follow. */
void nb_linear_take_input(nb_context *context, const float *x, size_t n_tokens, size_t n_cols,
                          nb_linear_scratch *scratch);
/* weight->gradient += dy^T x, of the x that was taken. */
void nb_linear_weight_gradient(nb_context *context, const nb_weight *weight, const float *dy, size_t n_tokens,
                               nb_linear_scratch *scratch);

#endif
