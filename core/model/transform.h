/* Transforms: rewrites of several tensors at once that leave what the model computes in f32 as it is. A
 * tensor keeps an ordered list of them, and reads its source through it. */
#ifndef NB_MODEL_TRANSFORM_H
#define NB_MODEL_TRANSFORM_H

#include "formats/format.h"

#include <stddef.h>

/* One tensor's part in a transform, and those that went before it. It multiplies the source's columns by
 * `columns`, then its rows by `rows`, in f32. The undo step that made it owns it. */
typedef struct nb_transform {
    const struct nb_transform *before; /* NULL: it is the first */
    char what[96];                     /* the command that made it */
    float *columns;                    /* [n_cols], or NULL */
    float *rows;                       /* [n_rows], or NULL */
    struct nb_transform *made_before;  /* the next in its owner's list */
} nb_transform;

/* A copy of the factors, either of which may be NULL, put at the head of the list *made. NULL when memory is
 * short. */
const nb_transform *nb_transform_create(const nb_transform *before, const char *what, const float *columns,
                                        size_t n_cols, const float *rows, size_t n_rows, nb_transform **made);
/* Frees a list of them. */
void nb_transforms_free(nb_transform **made);

size_t nb_transform_count(const nb_transform *last);
/* Row `row` as all transforms up to `last` (NULL: none) leave it. */
void nb_transform_apply(const nb_transform *last, size_t row, float *x, size_t n_cols);
/* A source row of a FLOAT format as it is to be read: decoded, transformed, and rounded to the source's
 * format again, so that this is what the tensor holds when it is not quantized. */
void nb_transform_read_row(const nb_transform *last, const nb_format *format, const void *codes, size_t row,
                           size_t n_cols, float *out);

#endif
