/* A llama in training: its parameters in f32, their gradients, and both packed for the matmul kernels.
 *
 * Every matrix product of training is the engine's own f32 matmul over other operands. For y = W x of T tokens
 *   forward   y[t][r]  = sum over c of  W[r][c] x[t][c]       W packed by rows
 *   backward  dx[t][c] = sum over r of  W[r][c] dy[t][r]      W packed by columns
 *             dW[r][c] = sum over t of  dy[t][r] x[t][c]      x packed by its columns
 * so that one lane owns one output, and a training step has the same bits on every CPU level and for any number
 * of threads. */
#ifndef NB_TRAIN_NETWORK_H
#define NB_TRAIN_NETWORK_H

#include "files/layout.h"
#include "kernels/kernels.h"

typedef struct nb_weight {
    nb_layout_tensor shape;
    float *values, *gradient;          /* [n_rows][n_cols], in the network's */
    nb_packed *by_rows, *by_columns;   /* matrices */
} nb_weight;

typedef struct nb_network_layer {
    nb_weight *attn_norm, *attn_q, *attn_k, *attn_v, *attn_output;
    nb_weight *ffn_norm, *ffn_gate, *ffn_up, *ffn_down;
} nb_network_layer;

typedef struct nb_network {
    nb_context *context;
    nb_hparams hparams;
    size_t n_weights;
    nb_weight *weights;        /* in the order of a file */
    size_t n_values;           /* of all of them */
    float *values, *gradients; /* [n_values] */
    nb_network_layer *layers;
    nb_weight *token_embd, *output_norm, *head; /* head is token_embd where they are tied */
    float *rope, *rope_back; /* [n_ctx][n_rot / 2][2]: cosine and sine of each position, and of its negative */
} nb_network;

/* Parameters at 0, norms at 1. Refuses architectures that training has no code for. */
nb_status nb_network_create(nb_context *context, const nb_hparams *hparams, nb_network **out, nb_error *error);
void nb_network_destroy(nb_network **network);
/* Normal numbers: 0.02 for embeddings, 0.5 / sqrt(columns) for the other matrices, and those that write into the
 * residual stream divided by sqrt(2 n_layers) more (Radford et al. 2019, section 2.3). Added to these: to the attention's
 * output the transpose of its values, to queries 0.7 of the keys (after Trockman and Kolter, Mimetic Initialization of
 * Self-Attention Layers, arXiv 2305.09828). */
void nb_network_initialise(nb_network *network, uint64_t seed);
/* NULL if there is none of that name. */
nb_weight *nb_network_find(const nb_network *network, const char *name);
/* Packs the matrices anew: after every change of `values`. */
void nb_network_pack(nb_network *network);

#endif
