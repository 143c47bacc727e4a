/* A budget of bits: what every tensor loses in every format, and the mixture that loses least in so many bytes.
 * Sources: Dong et al., HAWQ (2019), for allotting bits by sensitivity; ExLlamaV2's conversion for measuring each format
 * on the output of a block and holding the mean to a budget. */
#ifndef NB_QUANT_BUDGET_H
#define NB_QUANT_BUDGET_H

#include "quant/importance.h"
#include "quant/quantize.h"

/* A tensor in a format. */
typedef struct nb_budget_cell {
    uint64_t n_bytes; /* as it is held */
    double error;     /* what it adds to the divergence of the logits, nats per token; NaN: the format does not fit */
} nb_budget_cell;

typedef struct nb_budget {
    size_t n_tensors, n_candidates;
    size_t *tensors;          /* [n_tensors]: indices in the model */
    nb_quantizer *candidates; /* [n_candidates] */
    nb_budget_cell *cells;    /* [n_tensors][n_candidates] */
    uint64_t n_weights;       /* of the tensors together */
    size_t n_tokens;          /* looked at */
} nb_budget;

/* Measures every tensor of the scope in every candidate that its columns allow, with the other tensors as in their
 * sources (read through their transforms), on max_tokens of a text at most (0: all of it), read as quant/samples.h says.
 *
 *   of a block    error = e(t, c) w. e is the mean over tokens of |y' - y|^2 / |y|^2, y the block's output; only the
 *                 block runs. w is what a unit of e costs at the end: KL(logits || logits') / e, both of the tensor in a
 *                 middling candidate, with which the blocks that follow run too
 *   outside       KL(logits || logits') itself
 *
 * Squared errors of many small changes add up, and so does, to second order, KL. `importance` (NULL: none) is what BLOCK
 * formats weigh their errors by. Holds four states of the tokens (n_embd floats each). The model stays as it was, with
 * the undo steps that it had. Refused: a tensor that none of the candidates fits, one without a source, a text of
 * fewer than NB_SAMPLE_LEAST tokens. */
nb_status nb_budget_measure(nb_model *model, const nb_scope *scope, const nb_quantizer *candidates, size_t n_candidates,
                            const nb_importance *importance, const char *text, size_t n_bytes, size_t max_tokens,
                            nb_budget *out, nb_error *error);
void nb_budget_free(nb_budget *budget);

/* choices[n_tensors]: the candidates with the smallest sum of errors in at most bits_per_weight, everything counted. A
 * budget that is too small is refused with the smallest possible one. */
nb_status nb_budget_solve(const nb_budget *budget, double bits_per_weight, size_t *choices, nb_error *error);
/* Sums over the choices. */
nb_budget_cell nb_budget_total(const nb_budget *budget, const size_t *choices);

/* The solver itself: by Lagrange's multiplier, then by changing one tensor or two as long as that helps. False if even
 * the smallest cells take more than n_bytes, or a tensor has none. */
bool nb_budget_choose(const nb_budget_cell *cells, size_t n_tensors, size_t n_candidates, uint64_t n_bytes,
                      size_t *choices);

#endif
