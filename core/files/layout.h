/* Which tensors a model of some shape has, from its architecture's table: what reading, making and writing
 * files share. */
#ifndef NB_FILES_LAYOUT_H
#define NB_FILES_LAYOUT_H

#include "model/model.h"

typedef struct nb_layout_tensor {
    char name[48]; /* as nb_tensor's: "blk.0.attn_q", "blk.0.attn_q.bias" */
    nb_role role;
    int layer; /* -1: not in a block */
    size_t n_rows, n_cols;
    bool is_vector;
} nb_layout_tensor;

/* The tensors in the order of the file: embeddings, blocks, then the rest. The head only if it is not tied,
 * what is optional (RoPE factors) only if `optional`. *out is allocated; free with free(). */
nb_status nb_layout_create(const nb_hparams *hparams, bool optional, nb_layout_tensor **out, size_t *count,
                           nb_error *error);

#endif
