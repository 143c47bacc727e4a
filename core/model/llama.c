/* Architecture llama (Touvron et al. 2023): pre-norm blocks of grouped-query attention with rotary positions,
 * and a SwiGLU feed-forward part.
 *
 *   h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n)     n = rmsnorm(x)
 *   y = h + Wdown (silu(Wgate m) * Wup m)                  m = rmsnorm(h) */
#include "model/architecture.h"

#include "model/session.h"

#include <stddef.h>
#include <string.h>

static const nb_slot frame_slots[] = {
    {"token_embd", offsetof(nb_frame, token_embd), NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"output_norm", offsetof(nb_frame, output_norm), NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"output", offsetof(nb_frame, head), NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_UNLESS_TIED},
    {"rope_freqs", offsetof(nb_frame, rope_freqs), NB_DIM_ONE, NB_DIM_ROT_HALF, NB_SLOT_OPTIONAL},
};

static const nb_slot layer_slots[] = {
    {"attn_norm", offsetof(nb_layer, attn_norm), NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"attn_q", offsetof(nb_layer, attn_q), NB_DIM_Q, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"attn_k", offsetof(nb_layer, attn_k), NB_DIM_KV, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"attn_v", offsetof(nb_layer, attn_v), NB_DIM_KV, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"attn_output", offsetof(nb_layer, attn_output), NB_DIM_EMBD, NB_DIM_Q, NB_SLOT_NEEDED},
    {"ffn_norm", offsetof(nb_layer, ffn_norm), NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"ffn_gate", offsetof(nb_layer, ffn_gate), NB_DIM_FF, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"ffn_up", offsetof(nb_layer, ffn_up), NB_DIM_FF, NB_DIM_EMBD, NB_SLOT_NEEDED},
    {"ffn_down", offsetof(nb_layer, ffn_down), NB_DIM_EMBD, NB_DIM_FF, NB_SLOT_NEEDED},
};

static const nb_norm_readers norms[] = {
    {offsetof(nb_layer, attn_norm),
     {offsetof(nb_layer, attn_q), offsetof(nb_layer, attn_k), offsetof(nb_layer, attn_v)},
     3},
    {offsetof(nb_layer, ffn_norm), {offsetof(nb_layer, ffn_gate), offsetof(nb_layer, ffn_up)}, 2},
};

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

/* Prepares `x` for up to three weights that all read it. */
static nb_status prepare(nb_session *s, const float *x, size_t n_cols, nb_tensor *const *readers,
                         size_t n_readers, nb_error *error)
{
    bool int8 = false;
    for (size_t i = 0; i < n_readers; i++)
        int8 = int8 || nb_tensor_wants_int8(readers[i], s->weights);
    return nb_acts_prepare(s->model->context, &s->acts, x, s->n_rows, n_cols, n_cols, int8, error);
}

static nb_status attention(nb_session *s, size_t layer, nb_logits keep, nb_error *error)
{
    const nb_layer *l = &s->model->layers[layer];
    nb_tensor *const readers[] = {l->attn_k, l->attn_v, l->attn_q};
    nb_session_norm(s, l->attn_norm, 0, s->n_rows);
    nb_status status = prepare(s, s->norm, l->attn_q->n_cols, readers, keep == NB_LOGITS_NONE ? 2 : 3, error);
    const size_t n_queries = keep == NB_LOGITS_NONE ? 0 : keep == NB_LOGITS_LAST ? 1 : s->n_rows;
    const bool same_rows = n_queries == s->n_rows;
    float *const kvq[] = {s->k, s->v, s->q};
    if (status == NB_OK)
        status =
            nb_tensors_matmul(s->model, readers, same_rows ? 3 : 2, s->weights, &s->acts.acts, kvq, error);
    if (status == NB_OK && !same_rows && n_queries == 1) {
        const nb_acts last = last_row(&s->acts.acts);
        memmove(s->x, s->x + (s->n_rows - 1) * l->attn_q->n_cols, l->attn_q->n_cols * sizeof *s->x);
        status = multiply(s, l->attn_q, &last, s->q, error);
    }
    if (status != NB_OK)
        return status;
    nb_session_rotate_and_store(s, layer, n_queries);
    s->n_rows = n_queries;
    if (n_queries == 0)
        return NB_OK;
    nb_session_attend(s, layer, n_queries);
    status = prepare(s, s->attended, l->attn_output->n_cols, &l->attn_output, 1, error);
    if (status == NB_OK)
        status = multiply(s, l->attn_output, &s->acts.acts, s->norm, error);
    if (status == NB_OK)
        nb_session_add(s);
    return status;
}

static nb_status feed_forward(nb_session *s, size_t layer, nb_error *error)
{
    const nb_layer *l = &s->model->layers[layer];
    nb_tensor *const readers[] = {l->ffn_gate, l->ffn_up};
    nb_session_norm(s, l->ffn_norm, 0, s->n_rows);
    nb_status status = prepare(s, s->norm, l->ffn_gate->n_cols, readers, 2, error);
    float *const gate_up[] = {s->gate, s->up};
    if (status == NB_OK)
        status = nb_tensors_matmul(s->model, readers, 2, s->weights, &s->acts.acts, gate_up, error);
    if (status != NB_OK)
        return status;
    nb_session_swiglu(s);
    status = prepare(s, s->gate, l->ffn_down->n_cols, &l->ffn_down, 1, error);
    if (status == NB_OK)
        status = multiply(s, l->ffn_down, &s->acts.acts, s->norm, error);
    if (status == NB_OK)
        nb_session_add(s);
    return status;
}

static nb_status block(nb_session *session, size_t layer, nb_logits keep, nb_error *error)
{
    nb_status status = attention(session, layer, keep, error);
    if (status == NB_OK && session->n_rows > 0)
        status = feed_forward(session, layer, error);
    return status;
}

const nb_architecture nb_architecture_llama = {
    .name = "llama",
    .frame_slots = frame_slots,
    .layer_slots = layer_slots,
    .n_frame_slots = sizeof frame_slots / sizeof frame_slots[0],
    .n_layer_slots = sizeof layer_slots / sizeof layer_slots[0],
    .norms = norms,
    .n_norms = sizeof norms / sizeof norms[0],
    .block = block,
};
