/* Which tensors an architecture has, in which shapes: one list that reading, making and checking files share. */
#ifndef NB_FILES_LAYOUT_H
#define NB_FILES_LAYOUT_H

#include "base/view.h"
#include "model/model.h"

typedef struct nb_layout_tensor {
    char name[48]; /* without ".weight": "blk.0.attn_q" */
    nb_role role;
    int layer; /* -1: not in a block */
    size_t n_rows, n_cols;
    bool is_vector;
} nb_layout_tensor;

/* The architecture's name in static storage, or NULL if it has no layout here. */
const char *nb_layout_architecture(nb_string name);

/* The tensors of a model of this shape, in the order of the file: the head only if it is not tied, rope factors
 * (n_rot / 2 divisors) only if `rope_factors`. *out is allocated; free with free(). */
nb_status nb_layout_create(const nb_hparams *hparams, bool rope_factors, nb_layout_tensor **out, size_t *count,
                           nb_error *error);

#endif
