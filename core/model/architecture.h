/* The architectures that nibble runs, in a table: which tensors each needs, in which shape, and how a block
 * differs from the others. All of them are one block (model/block.c), of whose steps a row chooses; a new one
 * is a row. */
#ifndef NB_MODEL_ARCHITECTURE_H
#define NB_MODEL_ARCHITECTURE_H

#include "model/model.h"

/* The tensors of one block. NULL where the architecture has no such tensor. */
typedef struct nb_layer {
    nb_tensor *attn_norm, *attn_norm_bias;
    nb_tensor *attn_q, *attn_k, *attn_v, *attn_q_bias, *attn_k_bias, *attn_v_bias;
    nb_tensor *attn_qkv, *attn_qkv_bias;  /* or the three in one, their rows in this order */
    nb_tensor *attn_q_norm, *attn_k_norm; /* of each head, before its rotation */
    nb_tensor *attn_output, *attn_output_bias;
    nb_tensor *post_attention_norm; /* of what attention adds */
    nb_tensor *ffn_norm, *ffn_norm_bias;
    nb_tensor *ffn_gate, *ffn_up,
        *ffn_up_bias; /* without ffn_gate ffn_up may hold the rows of both, the gate's first */
    nb_tensor *ffn_down, *ffn_down_bias;
    nb_tensor *post_ffw_norm; /* of what the feed-forward part adds */
} nb_layer;

/* The tensors around the blocks. `head` is `token_embd` where they are tied. */
typedef struct nb_frame {
    nb_tensor *token_embd, *position_embd, *output_norm, *output_norm_bias, *head;
    nb_tensor *rope_freqs;             /* divisors of RoPE's frequencies, or */
    nb_tensor *rope_short, *rope_long; /* those for contexts up to n_ctx_short and beyond */
} nb_frame;

typedef enum nb_dim {
    NB_DIM_ONE,
    NB_DIM_EMBD,
    NB_DIM_Q,
    NB_DIM_KV,
    NB_DIM_QKV,
    NB_DIM_HEAD,
    NB_DIM_FF,
    NB_DIM_GATE_UP,
    NB_DIM_VOCAB,
    NB_DIM_CTX,
    NB_DIM_ROT_HALF
} nb_dim;

/* How many rows or columns that is in a model of this shape. */
size_t nb_dim_extent(const nb_hparams *hparams, nb_dim dim);

/* Where a tensor of the file goes. */
typedef struct nb_slot {
    const char *name;  /* in a block: what follows "blk.N."; a bias ends with ".bias" */
    size_t offset;     /* of its pointer in nb_layer or nb_frame */
    nb_dim rows, cols; /* a vector has NB_DIM_ONE row */
    enum { NB_SLOT_NEEDED, NB_SLOT_OPTIONAL, NB_SLOT_UNLESS_TIED } presence;
} nb_slot;

/* What follows a tensor's name in a file: ".weight", nothing for a bias. */
const char *nb_tensor_suffix(const char *name);

/* A norm of a block and the matrices that read what it makes, as offsets in nb_layer. Multiplying a weight of
 * the norm (and its bias) and dividing the same column of all its readers leaves the block's function as it
 * is. */
typedef struct nb_norm_readers {
    size_t norm, readers[3];
    size_t n_readers;
    size_t bias;
    bool has_bias;
} nb_norm_readers;

typedef struct nb_architecture {
    const char *name;
    const nb_slot *frame_slots, *layer_slots;
    size_t n_frame_slots, n_layer_slots;
    const nb_norm_readers *norms;
    size_t n_norms;
    enum { NB_NORM_RMS, NB_NORM_LAYER } norm;
    enum { NB_ROPE_ADJACENT, NB_ROPE_HALVES, NB_ROPE_NONE } rope;
    enum { NB_UNIT_SWIGLU, NB_UNIT_GEGLU, NB_UNIT_GELU } unit; /* of the feed-forward part */
    /* Which blocks attend within hparams' window. */
    enum { NB_WINDOW_IGNORED, NB_WINDOW_EVERY, NB_WINDOW_EVEN } window;
    bool scales_embeddings; /* by sqrt(n_embd) */
    /* What hold where a file says nothing: n_window, attn_softcap, logit_softcap. */
    nb_hparams defaults;
    /* The scale of q k where it is not 1 / sqrt(head_size) and the file does not say; may be NULL. */
    float (*attn_scale)(const nb_hparams *hparams);
} nb_architecture;

extern const nb_architecture nb_architecture_llama, nb_architecture_qwen2, nb_architecture_qwen3,
    nb_architecture_gemma, nb_architecture_gemma2, nb_architecture_phi3, nb_architecture_gpt2;

size_t nb_architecture_count(void);
const nb_architecture *nb_architecture_at(size_t index);
/* NULL if nibble has no code for it. */
const nb_architecture *nb_architecture_find(const char *name);

/* Runs block `layer` over the rows that the session holds. `keep` says which of them are wanted afterwards:
 * all, the last alone (then in the place of the first), or none, when filling the KV cache is enough. */
nb_status nb_block_run(nb_session *session, size_t layer, nb_logits keep, nb_error *error);

/* For the rows of a table. */
#define NB_FRAME_SLOT(name, place, rows, cols, presence)                                                     \
    {                                                                                                        \
        name, offsetof(nb_frame, place), rows, cols, presence                                                \
    }
#define NB_LAYER_SLOT(name, place, rows, cols)                                                               \
    {                                                                                                        \
        name, offsetof(nb_layer, place), rows, cols, NB_SLOT_NEEDED                                          \
    }
#define NB_SLOTS(table) .table = table, .n_##table = sizeof table / sizeof table[0]

#endif
