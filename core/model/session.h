/* Inside a session: the KV cache, the rows of a batch, and the steps that architectures put together.
 * Every step treats each row (token) alone, so how tokens are split into batches changes no bit. */
#ifndef NB_MODEL_SESSION_H
#define NB_MODEL_SESSION_H

#include "model/state.h"

struct nb_session {
    nb_model *model;
    nb_weights weights;
    size_t n_ctx, position;
    uint64_t generation; /* of the weights that filled the cache */
    size_t batch;        /* most tokens that are run at once */

    /* KV cache, as the attention kernel reads it. Of one layer: n_kv_heads times key_head (value_head)
     * floats; of one head: keys [ceil(n_ctx/16)][head_size][16], values [n_ctx][round_up(head_size, 16)]. */
    float *keys, *values; /* one allocation, which begins with the keys */
    size_t key_head, value_head;
    uint64_t cache_bytes;

    double *inverse_frequency; /* [n_rot / 2] */
    float *rope; /* [n_ctx][n_rot / 2][2]: cosine, sine; the first n_rope positions are filled */
    size_t n_rope;

    /* The batch. Rows of x, norm: n_embd; q, attended: n_heads * head_size; k, v: n_kv_heads * head_size;
     * gate, up: n_ff. Where one matrix makes q, k and v, or gate and up, a row of the one is followed by the
     * same row of the next: then their strides are the sums. q, k, v and attended share their memory with
     * gate and up, which come later in a block. */
    size_t n_rows;  /* in x now */
    size_t n_fed;   /* positions of the batch, from `position` on */
    size_t n_kept;  /* rows of x that nb_session_logits may use */
    float *scratch; /* what the next ones point into */
    float *x, *norm, *q, *k, *v, *attended, *gate, *up;
    size_t q_stride, kv_stride, gate_stride; /* of q; of k and v; of gate and up */
    float *scores;                           /* [threads][scores_stride]: the attention kernel's scratch */
    size_t scores_stride;
    nb_acts_buffer acts;

    float *logits;
    size_t logits_capacity; /* floats */

    /* nb_block_reach: a block ends before this tensor multiplies, and says what. */
    const nb_tensor *wanted;
    const float *reached;
    size_t reached_stride;
};

/* Steps that read a tensor which the architecture does not have (NULL) leave that part out. */

/* norm[r] = the architecture's norm of x[r] for rows [first, first + count) of x, into the first rows of
 * norm. */
void nb_session_norm(nb_session *session, const nb_tensor *weight, const nb_tensor *bias, size_t first,
                     size_t count);
/* Adds the biases of q (its rows are the last n_queries of the batch), k and v, norms the heads of q and k,
 * turns them by their positions, and puts k and v in the cache. */
void nb_session_place(nb_session *session, size_t layer, size_t n_queries);
/* attended[r] for the last n_queries positions of the batch, which are the rows of q. */
void nb_session_attend(nb_session *session, size_t layer, size_t n_queries);
/* For the rows of x: gate[r] = silu(gate[r]) * up[r], or the architecture's other unit; without a matrix for
 * the gate gate[r] holds what up made, and `bias` is added first. */
void nb_session_unit(nb_session *session, const nb_tensor *bias);
/* x[r] += norm[r] + bias, after an RMSNorm of that sum by `post_norm`. */
void nb_session_add(nb_session *session, const nb_tensor *bias, const nb_tensor *post_norm);
/* The two parts of a block, over the rows of x, for those who look between them: attention leaves in x the rows that
 * `keep` says, the feed-forward part takes what is there. */
nb_status nb_block_attend(nb_session *session, size_t layer, nb_logits keep, nb_error *error);
nb_status nb_block_feed_forward(nb_session *session, size_t layer, nb_error *error);
/* Runs a block as far as what `reader`, one of its matrices, multiplies: *x, n_rows rows that are *stride apart. The
 * rows of x are spoilt afterwards. */
nb_status nb_block_reach(nb_session *session, size_t layer, const nb_tensor *reader, const float **x, size_t *stride,
                         nb_error *error);
/* Begins a batch at position 0 with these rows in x, `count` of them, at most nb_session_batch: for running one block. */
void nb_session_put_rows(nb_session *session, const float *rows, size_t count);
/* The embeddings of tokens at the positions from 0 on, out[count][n_embd]: what the first block reads. */
void nb_session_embed(nb_session *session, const int32_t *tokens, size_t count, float *out);
/* The soft cap of `count` rows of logits. */
void nb_session_cap_logits(nb_session *session, float *logits, size_t count);

#endif
