/* A rewrite of a model that is being put together: for each tensor the factors of its columns and rows, then all of
 * them as one change. A tensor that is spoken of twice has its factors multiplied, and one transform. For what makes
 * transforms (quant/transform.h). */
#ifndef NB_QUANT_REWRITE_H
#define NB_QUANT_REWRITE_H

#include "model/architecture.h"
#include "quant/transaction.h"
#include "quant/transform.h"

/* A norm of a block and the matrices that read what it makes. */
enum { NB_NORM_READERS = sizeof((nb_norm_readers){0}.readers) / sizeof(size_t) };
typedef struct nb_norm {
    nb_tensor *tensor, *bias /* or NULL */, *readers[NB_NORM_READERS];
    size_t n_readers;
} nb_norm;
/* Of all blocks, in their order: index < nb_norm_count. */
nb_norm nb_norm_at(const nb_model *model, size_t index);

typedef struct nb_rewrite_part {
    float *columns, *rows; /* [n_cols], [n_rows]; NULL: none */
} nb_rewrite_part;

typedef struct nb_rewrite {
    nb_model *model;
    char what[96];          /* the command, for those who ask the tensors later */
    const bool *anew;       /* [n_tensors]: those that are quantized anew, whatever made them before; NULL: none; borrowed */
    nb_rewrite_part *parts; /* [n_tensors] */
    nb_change *changes;     /* what nb_rewrite_finish made of them, in the order of the tensors */
    size_t n_changes;
    nb_transform *made;
} nb_rewrite;

/* Whether a tensor can be made again after its numbers or columns have changed: NB_OK, or why not. */
nb_status nb_rewrite_check(const nb_model *model, const nb_tensor *tensor, nb_error *error);

/* `rewrite` is to be freed in any case. */
nb_status nb_rewrite_begin(nb_rewrite *rewrite, nb_model *model, const char *what, nb_error *error);
void nb_rewrite_free(nb_rewrite *rewrite);

/* Columns of the tensor are multiplied by factors[n_cols]; rows [first, first + n) by factors[n]. Of a vector columns
 * [first, first + n) are what its numbers are. Refused: tensors without a source in numbers of their own. */
nb_status nb_rewrite_columns(nb_rewrite *rewrite, nb_tensor *tensor, const float *factors, nb_error *error);
nb_status nb_rewrite_rows(nb_rewrite *rewrite, nb_tensor *tensor, size_t first, size_t n, const float *factors,
                          nb_error *error);
/* The norm's weights and biases are multiplied by gains[n_cols], the columns of its readers by inverses[n_cols]. */
nb_status nb_rewrite_norm(nb_rewrite *rewrite, const nb_norm *norm, const float *gains, const float *inverses,
                          nb_error *error);

/* Makes rewrite->changes: each tensor as it is stored now, from its source and one more transform. */
nb_status nb_rewrite_finish(nb_rewrite *rewrite, nb_error *error);
/* The same, and changes the model. */
nb_status nb_rewrite_apply(nb_rewrite *rewrite, nb_error *error);

#endif
