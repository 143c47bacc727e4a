/* The architectures that nibble runs, in a table: which tensors each needs, in which shape, and how a block
 * of it is computed. A new one is a file with a row and a forward function. */
#ifndef NB_MODEL_ARCHITECTURE_H
#define NB_MODEL_ARCHITECTURE_H

#include "model/model.h"

/* The tensors of one block. NULL where the architecture has no such tensor. */
typedef struct nb_layer {
    nb_tensor *attn_norm, *attn_q, *attn_k, *attn_v, *attn_output;
    nb_tensor *ffn_norm, *ffn_gate, *ffn_up, *ffn_down;
} nb_layer;

/* The tensors around the blocks. `head` is `token_embd` where they are tied. */
typedef struct nb_frame {
    nb_tensor *token_embd, *output_norm, *head, *rope_freqs;
} nb_frame;

typedef enum nb_dim {
    NB_DIM_ONE,
    NB_DIM_EMBD,
    NB_DIM_Q,
    NB_DIM_KV,
    NB_DIM_FF,
    NB_DIM_VOCAB,
    NB_DIM_ROT_HALF
} nb_dim;

/* How many rows or columns that is in a model of this shape. */
size_t nb_dim_extent(const nb_hparams *hparams, nb_dim dim);

/* Where a tensor of the file goes. */
typedef struct nb_slot {
    const char *name;  /* in a block: what follows "blk.N." */
    size_t offset;     /* of its pointer in nb_layer or nb_frame */
    nb_dim rows, cols; /* a vector has NB_DIM_ONE row */
    enum { NB_SLOT_NEEDED, NB_SLOT_OPTIONAL, NB_SLOT_UNLESS_TIED } presence;
} nb_slot;

/* A norm of a block and the matrices that read what it makes, as offsets in nb_layer. Multiplying a weight of
 * the norm and dividing the same column of all its readers leaves the block's function as it is. */
typedef struct nb_norm_readers {
    size_t norm, readers[3];
    size_t n_readers;
} nb_norm_readers;

typedef struct nb_architecture {
    const char *name;
    const nb_slot *frame_slots, *layer_slots;
    size_t n_frame_slots, n_layer_slots;
    const nb_norm_readers *norms;
    size_t n_norms;
    /* Runs block `layer` over the rows that the session holds. `keep` says which of them are wanted
     * afterwards: all, the last alone (then in the place of the first), or none, when filling the KV cache is
     * enough. */
    nb_status (*block)(nb_session *session, size_t layer, nb_logits keep, nb_error *error);
} nb_architecture;

extern const nb_architecture nb_architecture_llama;

size_t nb_architecture_count(void);
const nb_architecture *nb_architecture_at(size_t index);
/* NULL if nibble has no code for it. */
const nb_architecture *nb_architecture_find(const char *name);

#endif
