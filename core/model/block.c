/* One transformer block: attention and a feed-forward part, each of what a norm makes of the residual stream,
 * each added to it. Which of the steps an architecture takes its row says, or whether it has the tensor for
 * it. */
#include "model/architecture.h"
#include "model/session.h"

#include <string.h>

/* The last row of what was prepared, alone. */
static nb_acts last_row(const nb_acts *acts)
{
    const size_t skipped = acts->n_tokens - 1;
    nb_acts last = *acts;
    last.n_tokens = 1;
    last.f32 += skipped * acts->f32_stride;
    if (last.blocks)
        last.blocks += skipped * acts->n_blocks;
    if (last.wide)
        last.wide += skipped * acts->n_blocks * NB_BLOCK;
    return last;
}

/* y = W x for the rows that were prepared. */
static nb_status multiply(nb_session *s, nb_tensor *weight, const nb_acts *x, float *y, nb_error *error)
{
    return nb_tensor_matmul(s->model, weight, s->weights, x, y, weight->n_rows, error);
}

/* Whether these rows are what nb_block_reach wants. */
static bool reaches(nb_session *s, const float *x, size_t stride, nb_tensor *const *readers, size_t n_readers)
{
    for (size_t i = 0; s->wanted && i < n_readers; i++)
        if (readers[i] == s->wanted) {
            s->reached = x;
            s->reached_stride = stride;
            return true;
        }
    return false;
}

/* Prepares rows of `x`, so far apart, for up to three weights that all read it. */
static nb_status prepare(nb_session *s, const float *x, size_t stride, nb_tensor *const *readers,
                         size_t n_readers, nb_error *error)
{
    bool int8 = false;
    if (reaches(s, x, stride, readers, n_readers))
        return NB_ERR_STATE;
    for (size_t i = 0; i < n_readers; i++)
        int8 = int8 || nb_tensor_wants_int8_x(readers[i], s->weights);
    return nb_acts_prepare(s->model->context, &s->acts, x, s->n_rows, readers[0]->n_cols, stride, int8,
                           error);
}

/* q, k and v from three matrices; of q only the rows that are wanted. */
static nb_status project_apart(nb_session *s, const nb_layer *l, size_t n_queries, nb_error *error)
{
    nb_tensor *const readers[] = {l->attn_k, l->attn_v, l->attn_q};
    float *const kvq[] = {s->k, s->v, s->q};
    const size_t n_embd = s->model->hparams.n_embd;
    nb_status status = prepare(s, s->norm, n_embd, readers, n_queries == 0 ? 2 : 3, error);
    if (status == NB_OK)
        status = nb_tensors_matmul(s->model, readers, n_queries == s->n_rows ? 3 : 2, s->weights,
                                   &s->acts.acts, kvq, error);
    if (status == NB_OK && n_queries != s->n_rows && n_queries == 1) {
        const nb_acts last = last_row(&s->acts.acts);
        status = multiply(s, l->attn_q, &last, s->q, error);
    }
    return status;
}

/* From one matrix, whose rows cannot be told apart when they are stored in few bits: all of them. */
static nb_status project_together(nb_session *s, const nb_layer *l, size_t n_queries, nb_error *error)
{
    nb_status status = prepare(s, s->norm, s->model->hparams.n_embd, &l->attn_qkv, 1, error);
    if (status == NB_OK)
        status = multiply(s, l->attn_qkv, &s->acts.acts, s->q, error);
    if (status == NB_OK && n_queries == 1) {
        const size_t n_q = (size_t)s->model->hparams.n_heads * s->model->hparams.head_size;
        memmove(s->q, s->q + (s->n_rows - 1) * s->q_stride, n_q * sizeof *s->q);
    }
    return status;
}

nb_status nb_block_attend(nb_session *s, size_t layer, nb_logits keep, nb_error *error)
{
    const nb_layer *l = &s->model->layers[layer];
    const size_t n_queries = keep == NB_LOGITS_NONE ? 0 : keep == NB_LOGITS_LAST ? 1 : s->n_rows;
    const size_t n_embd = s->model->hparams.n_embd;
    nb_session_norm(s, l->attn_norm, l->attn_norm_bias, 0, s->n_rows);
    nb_status status = (l->attn_qkv ? project_together : project_apart)(s, l, n_queries, error);
    if (status != NB_OK)
        return status;
    if (n_queries == 1)
        memmove(s->x, s->x + (s->n_rows - 1) * n_embd, n_embd * sizeof *s->x);
    nb_session_place(s, layer, n_queries);
    s->n_rows = n_queries;
    if (n_queries == 0)
        return NB_OK;
    nb_session_attend(s, layer, n_queries);
    status = prepare(s, s->attended, l->attn_output->n_cols, &l->attn_output, 1, error);
    if (status == NB_OK)
        status = multiply(s, l->attn_output, &s->acts.acts, s->norm, error);
    if (status == NB_OK)
        nb_session_add(s, l->attn_output_bias, l->post_attention_norm);
    return status;
}

nb_status nb_block_feed_forward(nb_session *s, size_t layer, nb_error *error)
{
    const nb_layer *l = &s->model->layers[layer];
    nb_tensor *const readers[] = {l->ffn_up, l->ffn_gate};
    float *const up_gate[] = {l->ffn_gate ? s->up : s->gate, s->gate};
    const size_t n_readers = l->ffn_gate ? 2 : 1;
    nb_session_norm(s, l->ffn_norm, l->ffn_norm_bias, 0, s->n_rows);
    nb_status status = prepare(s, s->norm, s->model->hparams.n_embd, readers, n_readers, error);
    if (status == NB_OK)
        status = nb_tensors_matmul(s->model, readers, n_readers, s->weights, &s->acts.acts, up_gate, error);
    if (status != NB_OK)
        return status;
    nb_session_unit(s, l->ffn_up_bias);
    status = prepare(s, s->gate, s->gate_stride, &l->ffn_down, 1, error);
    if (status == NB_OK)
        status = multiply(s, l->ffn_down, &s->acts.acts, s->norm, error);
    if (status == NB_OK)
        nb_session_add(s, l->ffn_down_bias, l->post_ffw_norm);
    return status;
}

nb_status nb_block_run(nb_session *session, size_t layer, nb_logits keep, nb_error *error)
{
    nb_status status = nb_block_attend(session, layer, keep, error);
    if (status == NB_OK && session->n_rows > 0)
        status = nb_block_feed_forward(session, layer, error);
    return status;
}

nb_status nb_block_reach(nb_session *session, size_t layer, const nb_tensor *reader, const float **x, size_t *stride,
                         nb_error *error)
{
    session->wanted = reader;
    session->reached = NULL;
    const nb_status status = nb_block_run(session, layer, NB_LOGITS_ALL, error);
    session->wanted = NULL;
    *x = session->reached;
    *stride = session->reached_stride;
    if (session->reached)
        return NB_OK;
    return status != NB_OK ? status
                           : nb_fail(error, NB_ERR_ARGUMENT, "%s multiplies nothing in block %zu", reader->name, layer);
}
