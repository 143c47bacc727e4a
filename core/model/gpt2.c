/* Architecture gpt2 (Radford et al. 2019): pre-norm blocks with LayerNorm, learned positions, biases
 * everywhere, q, k and v in one matrix, and a feed-forward part with GELU.
 *
 *   x = Wte[token] + Wpe[position]
 *   h = x + Wo attention(Wq n + bq, Wk n + bk, Wv n + bv) + bo     n = layernorm(x)
 *   y = h + Wdown gelu(Wup m + bup) + bdown                        m = layernorm(h) */
#include "model/architecture.h"

#include <stddef.h>

static const nb_slot frame_slots[] = {
    NB_FRAME_SLOT("token_embd", token_embd, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("position_embd", position_embd, NB_DIM_CTX, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output_norm", output_norm, NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output_norm.bias", output_norm_bias, NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output", head, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_UNLESS_TIED),
};

static const nb_slot layer_slots[] = {
    NB_LAYER_SLOT("attn_norm", attn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_norm.bias", attn_norm_bias, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_qkv", attn_qkv, NB_DIM_QKV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_qkv.bias", attn_qkv_bias, NB_DIM_ONE, NB_DIM_QKV),
    NB_LAYER_SLOT("attn_output", attn_output, NB_DIM_EMBD, NB_DIM_Q),
    NB_LAYER_SLOT("attn_output.bias", attn_output_bias, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_norm", ffn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_norm.bias", ffn_norm_bias, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_up", ffn_up, NB_DIM_FF, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_up.bias", ffn_up_bias, NB_DIM_ONE, NB_DIM_FF),
    NB_LAYER_SLOT("ffn_down", ffn_down, NB_DIM_EMBD, NB_DIM_FF),
    NB_LAYER_SLOT("ffn_down.bias", ffn_down_bias, NB_DIM_ONE, NB_DIM_EMBD),
};

static const nb_norm_readers norms[] = {
    {.norm = offsetof(nb_layer, attn_norm),
     .readers = {offsetof(nb_layer, attn_qkv)},
     .n_readers = 1,
     .bias = offsetof(nb_layer, attn_norm_bias),
     .has_bias = true},
    {.norm = offsetof(nb_layer, ffn_norm),
     .readers = {offsetof(nb_layer, ffn_up)},
     .n_readers = 1,
     .bias = offsetof(nb_layer, ffn_norm_bias),
     .has_bias = true},
};

const nb_architecture nb_architecture_gpt2 = {
    .name = "gpt2",
    NB_SLOTS(frame_slots),
    NB_SLOTS(layer_slots),
    NB_SLOTS(norms),
    .norm = NB_NORM_LAYER,
    .rope = NB_ROPE_NONE,
    .unit = NB_UNIT_GELU,
};
