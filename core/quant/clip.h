/* AWQ's search for a smaller range (Lin et al. 2023, arXiv:2306.00978, and the authors' auto_clip): the largest weights
 * of a group are clamped where the rest gains more from a finer scale than they lose. */
#ifndef NB_QUANT_CLIP_H
#define NB_QUANT_CLIP_H

#include "base/context.h"
#include "kernels/packed.h"
#include "model/transform.h"

/* What groups of columns meet: for each group the sums over samples of x x^T, which is all that an output's error needs. */
typedef struct nb_clip_inputs {
    size_t n_cols, group;
    float *products; /* [n_groups][group][group] */
} nb_clip_inputs;

enum { NB_CLIP_SAMPLES = 512, NB_CLIP_MOST_COLUMNS = 1024, NB_CLIP_STEPS = 10 };

/* Whether there is something to clip: an integer format with scales of at most NB_CLIP_MOST_COLUMNS columns each. */
bool nb_clip_suits(const nb_quantizer *quantizer, size_t n_cols);

/* From NB_CLIP_SAMPLES of x[n_tokens][n_cols] at most, evenly spaced, each column of which is
 * multiplied by inverses[n_cols]. */
nb_status nb_clip_inputs_create(nb_context *context, const nb_quantizer *quantizer, const float *x, size_t n_tokens,
                                size_t n_cols, const float *inverses, nb_clip_inputs *out, nb_error *error);
void nb_clip_inputs_free(nb_clip_inputs *inputs);

/* Packs rows of a FLOAT format, read through `transforms`: for each row and group the range [-m, m], m = largest * (1 - i /
 * 20), i = 0 ... 9, that makes the smallest error of the output; of equal ones the largest. *n_clipped: how many groups
 * have a smaller range than their numbers. */
nb_status nb_clip_quantize(nb_context *context, const char *what, const nb_format *format, const void *rows,
                           const nb_transform *transforms, size_t n_rows, const nb_clip_inputs *inputs,
                           const nb_quantizer *quantizer, nb_packed **out, uint64_t *n_clipped, nb_error *error);

#endif
