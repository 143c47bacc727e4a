/* What GPTQ needs of a Hessian, and what every tensor that reads the same activations shares.
 *
 * GPTQ (Frantar et al. 2022, arXiv:2210.17323) rounds a row of weights w column by column, and moves the columns that
 * are still to come so that they make up for the error. With H = R R^T, R upper triangular, a row's output error is
 * |(w - q) R|^2, whose part j is
 *
 *   R_jj * (w_j + a_j - q_j),   a_j = sum over i < j of (w_i - q_i) * R_ij / R_jj
 *
 * so that the column to round is w_j + a_j. The paper's U, the Cholesky factor of the inverse, is the inverse of R:
 * both ways are the same numbers, and this one inverts nothing. */
#ifndef NB_QUANT_GPTQ_SOLVER_H
#define NB_QUANT_GPTQ_SOLVER_H

#include "base/context.h"
#include "kernels/packed.h"

enum { NB_GPTQ_STEP = 32 }; /* columns that are rounded one by one before the next ones in their block hear of it */

typedef struct nb_gptq_options {
    double damp;        /* of the mean of H's diagonal, added to it; 0.01 */
    bool act_order;     /* columns with large activations first */
    bool static_groups; /* scales come from the weights as they were, each group's of its own neighbours */
} nb_gptq_options;

typedef struct nb_gptq_solver {
    size_t n;        /* columns */
    size_t block;    /* columns after which all later ones hear of their errors: a multiple of NB_GPTQ_STEP */
    uint32_t *order; /* [n]: which column comes j-th; NULL: they stay as they are */
    bool *dead;      /* [n], by column: nothing ever flows into it */
    size_t n_dead;
    double damp;     /* what it took, of the mean of the diagonal */
    float *diagonal; /* [n], in order: R_jj; 0 of a dead column, where no error is one */
    float *near;     /* [n][NB_GPTQ_STEP]: R_ij / R_jj of the columns of i's step, 0 for j <= i */
    /* R_ij / R_jj as f32 matrices of 16 rows (j) interleaved, columns i: for each step those j of its block that come
     * after it, for each block those after the block. */
    float *steps, *blocks;
    size_t *step_at, *block_at; /* where each begins */
} nb_gptq_solver;

/* hessian: [n][n], both halves. The damping is raised until the matrix can be factored, to 1 at most: refused beyond,
 * and for numbers that are not finite. `what` names the layer. */
nb_status nb_gptq_solver_create(nb_context *context, const char *what, const float *hessian, size_t n, size_t block,
                                const nb_gptq_options *options, nb_gptq_solver **out, nb_error *error);
void nb_gptq_solver_destroy(nb_gptq_solver **solver);

/* The matrix of step or block `index` whose n_columns columns begin at column `first`, and whose rows are the columns
 * [begin, begin + n_rows): as the engine multiplies it. */
nb_packed nb_gptq_panel(float *codes, size_t n_rows, size_t n_columns);

#endif
