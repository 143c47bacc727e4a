/* Architectures qwen2 (Yang et al. 2024, arXiv:2407.10671) and qwen3 (Yang et al. 2025, arXiv:2505.09388):
 * llama's block, with RoPE by halves; qwen2's q, k and v have biases, qwen3 norms each head of q and k
 * instead. */
#include "model/architecture.h"

#include <stddef.h>

static const nb_slot frame_slots[] = {
    NB_FRAME_SLOT("token_embd", token_embd, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output_norm", output_norm, NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output", head, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_UNLESS_TIED),
};

static const nb_slot qwen2_slots[] = {
    NB_LAYER_SLOT("attn_norm", attn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_q", attn_q, NB_DIM_Q, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_q.bias", attn_q_bias, NB_DIM_ONE, NB_DIM_Q),
    NB_LAYER_SLOT("attn_k", attn_k, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_k.bias", attn_k_bias, NB_DIM_ONE, NB_DIM_KV),
    NB_LAYER_SLOT("attn_v", attn_v, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_v.bias", attn_v_bias, NB_DIM_ONE, NB_DIM_KV),
    NB_LAYER_SLOT("attn_output", attn_output, NB_DIM_EMBD, NB_DIM_Q),
    NB_LAYER_SLOT("ffn_norm", ffn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_gate", ffn_gate, NB_DIM_FF, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_up", ffn_up, NB_DIM_FF, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_down", ffn_down, NB_DIM_EMBD, NB_DIM_FF),
};

static const nb_slot qwen3_slots[] = {
    NB_LAYER_SLOT("attn_norm", attn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_q", attn_q, NB_DIM_Q, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_k", attn_k, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_v", attn_v, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_q_norm", attn_q_norm, NB_DIM_ONE, NB_DIM_HEAD),
    NB_LAYER_SLOT("attn_k_norm", attn_k_norm, NB_DIM_ONE, NB_DIM_HEAD),
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

const nb_architecture nb_architecture_qwen2 = {
    .name = "qwen2",
    NB_SLOTS(frame_slots),
    .layer_slots = qwen2_slots,
    .n_layer_slots = sizeof qwen2_slots / sizeof qwen2_slots[0],
    NB_SLOTS(norms),
    .rope = NB_ROPE_HALVES,
};

const nb_architecture nb_architecture_qwen3 = {
    .name = "qwen3",
    NB_SLOTS(frame_slots),
    .layer_slots = qwen3_slots,
    .n_layer_slots = sizeof qwen3_slots / sizeof qwen3_slots[0],
    NB_SLOTS(norms),
    .rope = NB_ROPE_HALVES,
};
