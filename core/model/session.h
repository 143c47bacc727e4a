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
     * gate, up: n_ff. q, k, v and attended share their memory with gate and up, which come later in a block.
     */
    size_t n_rows;  /* in x now */
    size_t n_fed;   /* positions of the batch, from `position` on */
    size_t n_kept;  /* rows of x that nb_session_logits may use */
    float *scratch; /* what the next ones point into */
    float *x, *norm, *q, *k, *v, *attended, *gate, *up;
    float *scores; /* [threads][scores_stride]: the attention kernel's scratch */
    size_t scores_stride;
    nb_acts_buffer acts;

    float *logits;
    size_t logits_capacity; /* floats */
};

/* norm[r] = RMSNorm(x[r]) for rows [first, first + count) of x, into the first rows of norm. */
void nb_session_norm(nb_session *session, const nb_tensor *weight, size_t first, size_t count);
/* Turns q (its rows are the last n_queries of the batch) and k by their positions, and puts k and v in the
 * cache. */
void nb_session_rotate_and_store(nb_session *session, size_t layer, size_t n_queries);
/* attended[r] for the last n_queries positions of the batch, which are the rows of q. */
void nb_session_attend(nb_session *session, size_t layer, size_t n_queries);
/* gate[r] = silu(gate[r]) * up[r], and x[r] += norm[r], for the rows of x. */
void nb_session_swiglu(nb_session *session);
void nb_session_add(nb_session *session);

#endif
