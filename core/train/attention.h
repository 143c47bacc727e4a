/* Causal grouped-query attention over a batch of sequences, forward and backward.
 *
 *   S = scale Q K^T, P = softmax(S) where key <= query, O = P V
 *   dV = P^T dO;  dP = dO V^T;  dS = P * (dP - sum over d of dO * O);  dQ = scale dS K;  dK = scale dS^T Q
 *
 * Forward is the engine's own attention kernel. Backward computes P again (Dao et al. 2022, arXiv:2205.14135,
 * algorithm 4, without its tiles) and its five products with the engine's f32 matmul, transposed where that lets
 * keys be rows: what a row of keys does not see is then a whole piece of it. */
#ifndef NB_TRAIN_ATTENTION_H
#define NB_TRAIN_ATTENTION_H

#include "train/network.h"

/* Token t of the batch belongs to the sequence that begins at or before it; begins[n_sequences] is the end. */
typedef struct nb_sequences {
    size_t n_sequences, n_tokens;
    const size_t *begins;    /* [n_sequences + 1] */
    const int32_t *inputs;   /* [n_tokens] */
    const int32_t *targets;  /* [n_tokens]: what follows */
    const float *weights;    /* [n_tokens]: how much the loss of each counts; NULL: 1 */
} nb_sequences;

typedef struct nb_attention {
    const nb_network *network;
    size_t max_length;    /* of a sequence */
    float *scratch;       /* [threads][scratch_floats] */
    size_t scratch_floats;
} nb_attention;

nb_status nb_attention_create(const nb_network *network, size_t max_length, nb_attention *out, nb_error *error);
void nb_attention_free(nb_attention *attention);

/* q, out: [n_tokens][n_heads * head_size]; k, v: [n_tokens][n_kv_heads * head_size]; q and k are turned by their
 * positions already. */
void nb_attention_forward(const nb_attention *attention, const nb_sequences *sequences, const float *q, const float *k,
                          const float *v, float *out);
/* Of out and its gradient to dq, dk, dv, which are overwritten. */
void nb_attention_backward(const nb_attention *attention, const nb_sequences *sequences, const float *q,
                           const float *k, const float *v, const float *out, const float *d_out, float *dq, float *dk,
                           float *dv);

#endif
