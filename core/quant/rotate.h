/* Rotation (Ashkboos et al. 2024, QuaRot, arXiv:2404.00456, section 4): a Hadamard matrix mixes the channels of a
 * matrix's input, and the columns of the matrix, so that the product stays and no channel stands out any more. Here each
 * input is turned on its own, before each product, which fits every architecture and costs n log n operations a token. */
#ifndef NB_QUANT_ROTATE_H
#define NB_QUANT_ROTATE_H

#include "quant/samples.h"

enum { NB_ROTATE_LEAST = 4 }; /* columns that are mixed: fewer are not worth it */

/* What it did to what one matrix reads. */
typedef struct nb_rotated {
    size_t tensor; /* index */
    uint32_t block; /* columns that are mixed: the largest power of two that divides them; 0: it stays as it is */
    float before, after; /* the largest activation over the root mean square of all; of matrices that read the same alike */
} nb_rotated;

/* The largest power of two that divides n, or 0 where that is below NB_ROTATE_LEAST. */
uint32_t nb_rotate_block(size_t n_cols);

/* Rotates all matrices of the blocks, by random signs of that seed and a Hadamard matrix of each block of columns. They
 * stay as they are stored: floats in rotated columns, quantized ones quantized again. made: [tensors of the model], of
 * which *n_made are filled, with what the samples show. Pushes one undo step. Refused: what is rotated already, what only
 * a method could make again, static activations. */
nb_status nb_model_rotate(nb_model *model, const nb_samples *samples, uint64_t seed, nb_rotated *made, size_t *n_made,
                          nb_error *error);

#endif
