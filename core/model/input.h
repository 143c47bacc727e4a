/* What a tensor does with the activations before it multiplies them. Its packed weights belong to that input:
 * they are what the same steps, turned round, make of the rows, so that the product stays what it was.
 *
 *   step            of activations x                         of a row of weights w
 *   divisors d      x[k] / d[k]                              w[k] * d[k]
 *   hadamard        H (signs * x), block by block            H (signs * w); H is orthogonal and its own inverse
 *   scales s        x[k] / s[k], the channels' static scales w[k] * s[k]
 *   order           column j is x's column order[j]          the same
 *   outliers        0 in the int8 blocks; beside them f32  0 in the codes; beside them f16
 *   scaling         where the int8 blocks get their scales
 *
 * in this order, in f32. Divisors and hadamard are a basis that stays when the tensor is quantized anew; the rest
 * belongs to one quantization. Tensors that read the same x and have equal inputs share one. */
#ifndef NB_MODEL_INPUT_H
#define NB_MODEL_INPUT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb_model;

typedef enum nb_input_scaling {
    NB_INPUT_BLOCKS,  /* dynamic, one scale per 32 of a token: amax / 127 */
    NB_INPUT_TOKENS,  /* dynamic, one scale per token: amax / 127 */
    NB_INPUT_STATIC,  /* `scale`, for every token and channel; beyond 127 * scale activations are clipped */
} nb_input_scaling;

enum { NB_INPUT_WHAT = 192 };

typedef struct nb_input {
    size_t n_cols;
    float *divisors;   /* [n_cols], positive; or NULL */
    uint32_t hadamard; /* columns to a block: a power of two that divides n_cols; 0: none */
    float *signs;      /* [n_cols], 1 or -1; NULL without hadamard */
    float *scales;     /* [n_cols], positive; or NULL */
    uint32_t *order;   /* [n_cols], a permutation; or NULL */
    uint32_t *swaps;   /* [n_cols]: the same, as exchanges of column j with column swaps[j], j forwards */
    uint32_t *outliers; /* [n_outliers], ascending: columns (of what the steps before leave) that are no int8; or NULL */
    size_t n_outliers;
    nb_input_scaling scaling;
    float scale;              /* NB_INPUT_STATIC */
    char what[NB_INPUT_WHAT]; /* where it comes from: "mse of calibration.txt, 4,096 tokens"; "" if nothing is to say */
    bool used;                /* nb_model_drop_inputs' own */
} nb_input;

/* One that does nothing yet; NULL when memory is short. */
nb_input *nb_input_create(size_t n_cols);
void nb_input_destroy(nb_input **input);
/* Each copies, and refuses what cannot be: a divisor that is not positive and finite, a block that is no power of two
 * or does not divide the columns, an order that is no permutation, outliers that do not ascend. */
nb_status nb_input_set_divisors(nb_input *input, const float *divisors, nb_error *error);
/* Random signs of that seed; seed 0: all are 1. */
nb_status nb_input_set_hadamard(nb_input *input, uint32_t block, uint64_t seed, nb_error *error);
nb_status nb_input_set_scales(nb_input *input, const float *scales, nb_error *error);
nb_status nb_input_set_order(nb_input *input, const uint32_t *order, nb_error *error);
nb_status nb_input_set_outliers(nb_input *input, const uint32_t *columns, size_t n, nb_error *error);
nb_status nb_input_set_static(nb_input *input, float scale, nb_error *error);

bool nb_input_equal(const nb_input *a, const nb_input *b);
/* Whether the numbers that are multiplied are others than x's own, in another order at least. NULL does not. */
bool nb_input_moves(const nb_input *input);
/* Whether it has a basis: divisors or hadamard. */
bool nb_input_has_basis(const nb_input *input);
/* Its basis alone, as a new input. NULL when memory is short. */
nb_input *nb_input_basis(const nb_input *input);
size_t nb_input_n_bytes(const nb_input *input); /* of its arrays; NULL: 0 */
/* What becomes of activations: "int8, one static scale (mse of calibration.txt, 4,096 tokens), columns reordered"; "" for
 * NULL. */
char *nb_input_describe(const nb_input *input, char *text, size_t size);

/* x[n_cols] as it is multiplied; out is not x. */
void nb_input_apply(const nb_input *input, const float *x, float *out);
/* A row of weights as it is to be packed, in place, and back. */
void nb_input_turn_row(const nb_input *input, float *row);
void nb_input_turn_back_row(const nb_input *input, float *row);
/* Mean squares of x's columns as those of what is multiplied; after a Hadamard each block has its mean. out is not
 * squares. */
void nb_input_turn_squares(const nb_input *input, const float *squares, float *out);

/* Hands an input over to the model, which keeps it as long as a tensor points to it, now or in a step to be undone;
 * *out is the one to point to, which is an older one if it was equal. *input is NULL afterwards, on failure too. */
nb_status nb_model_keep_input(struct nb_model *model, nb_input **input, const nb_input **out, nb_error *error);
/* Drops those that nothing points to any more. */
void nb_model_drop_inputs(struct nb_model *model);

#endif
