/* One pass over a batch of sequences: the loss of every token, and its gradient added to every parameter's. */
#ifndef NB_TRAIN_PASS_H
#define NB_TRAIN_PASS_H

#include "train/attention.h"

typedef struct nb_pass nb_pass;

/* Room for `max_tokens` tokens at once, in sequences of up to the model's context. */
nb_status nb_pass_create(nb_network *network, size_t max_tokens, nb_pass **out, nb_error *error);
void nb_pass_destroy(nb_pass **pass);

/* losses[n_tokens] in nats; network->gradients += loss_weight * the gradient of their sum, each with
 * its weight. The logits are those that
 * the engine computes with the same weights, bit for bit. */
void nb_pass_run(nb_pass *pass, const nb_sequences *sequences, float loss_weight, double *losses);
/* The losses alone. */
void nb_pass_losses(nb_pass *pass, const nb_sequences *sequences, double *losses);

/* How a block's matrices read what flows into them: as it is, or rounded to int8 and back as the engine does for integer
 * weights (kernels.h, quantize_acts), with a scale per 32 or per token. Gradients pass through that rounding as if it were
 * not there (the straight-through estimator). `inputs`: of which matrices. All are exact until this says otherwise. */
typedef enum nb_pass_rounding { NB_PASS_EXACT, NB_PASS_BLOCKS, NB_PASS_TOKENS } nb_pass_rounding;
typedef struct nb_pass_inputs {
    bool qkv, attn_output, gate_up, down;
} nb_pass_inputs;
void nb_pass_round(nb_pass *pass, nb_pass_rounding rounding, nb_pass_inputs inputs);

/* One block alone, for what teaches blocks one by one. Of x[n_tokens][n_embd] to y, which the engine computes with the same
 * weights, bit for bit. */
void nb_pass_block_forward(nb_pass *pass, size_t layer, const nb_sequences *sequences, const float *x, float *y);
/* Of the same rows, after it, while its `sequences` are still there: network->gradients += the block's, from dy[n_tokens][n_embd]. */
void nb_pass_block_backward(nb_pass *pass, size_t layer, const float *dy);

#endif
