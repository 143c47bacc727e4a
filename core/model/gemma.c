/* Architectures gemma (Gemma Team 2024, arXiv:2403.08295) and gemma2 (Gemma Team 2024, arXiv:2408.00118):
 * llama's block with RoPE by halves, embeddings times sqrt(n_embd) and a feed-forward part gated by GELU. The
 * norms' weights are less 1 in the papers' code; GGUF has them whole. gemma2 norms what attention and the
 * feed-forward part add, caps scores and logits softly, and every second block, the first among them, attends
 * within a window. */
#include "model/architecture.h"

#include <math.h>
#include <stddef.h>

static const nb_slot frame_slots[] = {
    NB_FRAME_SLOT("token_embd", token_embd, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output_norm", output_norm, NB_DIM_ONE, NB_DIM_EMBD, NB_SLOT_NEEDED),
    NB_FRAME_SLOT("output", head, NB_DIM_VOCAB, NB_DIM_EMBD, NB_SLOT_UNLESS_TIED),
};

static const nb_slot gemma_slots[] = {
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

static const nb_slot gemma2_slots[] = {
    NB_LAYER_SLOT("attn_norm", attn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_q", attn_q, NB_DIM_Q, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_k", attn_k, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_v", attn_v, NB_DIM_KV, NB_DIM_EMBD),
    NB_LAYER_SLOT("attn_output", attn_output, NB_DIM_EMBD, NB_DIM_Q),
    NB_LAYER_SLOT("post_attention_norm", post_attention_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_norm", ffn_norm, NB_DIM_ONE, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_gate", ffn_gate, NB_DIM_FF, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_up", ffn_up, NB_DIM_FF, NB_DIM_EMBD),
    NB_LAYER_SLOT("ffn_down", ffn_down, NB_DIM_EMBD, NB_DIM_FF),
    NB_LAYER_SLOT("post_ffw_norm", post_ffw_norm, NB_DIM_ONE, NB_DIM_EMBD),
};

static const nb_norm_readers norms[] = {
    {.norm = offsetof(nb_layer, attn_norm),
     .readers = {offsetof(nb_layer, attn_q), offsetof(nb_layer, attn_k), offsetof(nb_layer, attn_v)},
     .n_readers = 3},
    {.norm = offsetof(nb_layer, ffn_norm),
     .readers = {offsetof(nb_layer, ffn_gate), offsetof(nb_layer, ffn_up)},
     .n_readers = 2},
};

const nb_architecture nb_architecture_gemma = {
    .name = "gemma",
    NB_SLOTS(frame_slots),
    .layer_slots = gemma_slots,
    .n_layer_slots = sizeof gemma_slots / sizeof gemma_slots[0],
    NB_SLOTS(norms),
    .rope = NB_ROPE_HALVES,
    .unit = NB_UNIT_GEGLU,
    .scales_embeddings = true,
};

/* The model of 27 billion parameters, the only one of 46 blocks, divides by the root of n_embd / n_heads,
 * which is not its head size; no key of the file says so. */
static float gemma2_scale(const nb_hparams *h)
{
    enum { BLOCKS_OF_27B = 46 };
    return h->n_layers == BLOCKS_OF_27B ? (float)(1.0 / sqrt((double)h->n_embd / h->n_heads)) : 0.0f;
}

const nb_architecture nb_architecture_gemma2 = {
    .name = "gemma2",
    NB_SLOTS(frame_slots),
    .layer_slots = gemma2_slots,
    .n_layer_slots = sizeof gemma2_slots / sizeof gemma2_slots[0],
    NB_SLOTS(norms),
    .rope = NB_ROPE_HALVES,
    .unit = NB_UNIT_GEGLU,
    .window = NB_WINDOW_EVEN,
    .scales_embeddings = true,
    .defaults = {.n_window = 4096, .attn_softcap = 50.0f, .logit_softcap = 30.0f},
    .attn_scale = gemma2_scale,
};
