/* Architecture phi3 (Abdin et al. 2024, arXiv:2404.14219): llama's block with RoPE by halves, its q, k and v
 * in one matrix and its gate and up in another. The models for long contexts have two sets of RoPE factors
 * (LongRoPE, Ding et al. 2024, arXiv:2402.13753); those for short ones a window. */
#include "model/architecture.h"

#include <stddef.h>

static const nb_slot frame_slots[] = {
    NB_FRAME_SLOT("token_embd", token_embd, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output_norm", output_norm, NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output", head, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_UNLESS_TIED),
    NB_FRAME_SLOT("rope_factors_long", rope_long, NB_DIM_ONE, NB_DIM_ROT_HALF, NB_SLOT_OPTIONAL),
    NB_FRAME_SLOT("rope_factors_short", rope_short, NB_DIM_ONE, NB_DIM_ROT_HALF, NB_SLOT_OPTIONAL),
};

static const nb_slot layer_slots[] = {
    NB_LAYER_SLOT("attn_norm", attn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_qkv", attn_qkv, NB_DIM_QKV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_output", attn_output, NB_DIM_EMBD, NB_DIM_Q),
    NB_LAYER_SLOT("ffn_norm", ffn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_up", ffn_up, NB_DIM_GATE_UP, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_down", ffn_down, NB_DIM_EMBD, NB_DIM_FF),
};

static const nb_norm_readers norms[] = {
    {.norm = offsetof(nb_layer, attn_norm), .readers = {offsetof(nb_layer, attn_qkv)}, .n_readers = 1},
    {.norm = offsetof(nb_layer, ffn_norm), .readers = {offsetof(nb_layer, ffn_up)}, .n_readers = 1},
};

const nb_architecture nb_architecture_phi3 = {
    .name = "phi3",
    NB_SLOTS(frame_slots),
    NB_SLOTS(layer_slots),
    NB_SLOTS(norms),
    .rope = NB_ROPE_HALVES,
    .window = NB_WINDOW_EVERY,
};
