/* Architecture llama (Touvron et al. 2023, arXiv:2302.13971): pre-norm blocks of grouped-query attention with
 * rotary positions, and a SwiGLU feed-forward part. Mistral (Jiang et al. 2023, arXiv:2310.06825) adds a
 * window.
 *
 *   h = x + Wo attention(rope(Wq n), rope(Wk n), Wv n)     n = rmsnorm(x)
 *   y = h + Wdown (silu(Wgate m) * Wup m)                  m = rmsnorm(h) */
#include "model/architecture.h"

#include <stddef.h>

static const nb_slot frame_slots[] = {
    NB_FRAME_SLOT("token_embd", token_embd, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output_norm", output_norm, NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output", head, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_UNLESS_TIED),
    NB_FRAME_SLOT("rope_freqs", rope_freqs, NB_DIM_ONE, NB_DIM_ROT_HALF, NB_SLOT_OPTIONAL),
};

static const nb_slot layer_slots[] = {
    NB_LAYER_SLOT("attn_norm", attn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_q", attn_q, NB_DIM_Q, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_k", attn_k, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_v", attn_v, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_output", attn_output, NB_DIM_EMBD, NB_DIM_Q),
    NB_LAYER_SLOT("ffn_norm", ffn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_gate", ffn_gate, NB_DIM_FF, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_up", ffn_up, NB_DIM_FF, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_down", ffn_down, NB_DIM_EMBD, NB_DIM_FF),
};

static const nb_norm_readers norms[] = {
    {.norm = offsetof(nb_layer, attn_norm),
     .readers = {offsetof(nb_layer, attn_q), offsetof(nb_layer, attn_k), offsetof(nb_layer, attn_v)},
     .n_readers = 3},
    {.norm = offsetof(nb_layer, ffn_norm),
     .readers = {offsetof(nb_layer, ffn_gate), offsetof(nb_layer, ffn_up)},
     .n_readers = 2},
};

const nb_architecture nb_architecture_llama = {
    .name = "llama",
    NB_SLOTS(frame_slots),
    NB_SLOTS(layer_slots),
    NB_SLOTS(norms),
    .window = NB_WINDOW_EVERY,
};
