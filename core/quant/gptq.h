/* GPTQ: codes chosen so that errors make up for each other on what a layer really reads (Frantar et al. 2022,
 * arXiv:2210.17323; the algorithm's details as in the authors' code). */
#ifndef NB_QUANT_GPTQ_H
#define NB_QUANT_GPTQ_H

#include "quant/gptq_solver.h"

/* The rows that are quantized, as f32 in the columns that the Hessian speaks of. Called from several threads. */
typedef struct nb_gptq_source {
    void (*read_row)(void *user, size_t row, float *out);
    void *user;
    size_t n_rows, n_cols;
} nb_gptq_source;

typedef struct nb_gptq_result {
    double loss;         /* the output's error: sum over rows of (w - q) H (w - q)^T / 2, with the damped H */
    double nearest_loss; /* the same of round to nearest; NaN unless a trace is wanted */
    size_t n_columns;
    double *column_loss;    /* [n_columns] in the order in which they were rounded: their parts of loss, */
    double *column_nearest; /* and of nearest_loss; */
    double *column_moved;   /* root mean square of how far a column had moved before it was rounded, in steps of its
                             * scale. NULL unless a trace is wanted */
    bool reordered;         /* the columns of what was made stand in the solver's order */
} nb_gptq_result;

void nb_gptq_result_free(nb_gptq_result *result);

/* What the solver's block must be for a quantizer. */
size_t nb_gptq_block(const nb_quantizer *quantizer);
/* NB_OK, or why GPTQ cannot fill that. */
nb_status nb_gptq_check(const nb_quantizer *quantizer, const nb_gptq_options *options, nb_error *error);

/* Packs the rows as `quantizer` says: integer formats with scales chosen as round to nearest does, from a group's
 * columns as they stand when its first one is reached; block formats with the scales that their encoder finds for
 * a block's columns then, each column to the nearest that these can hold. `importance` is what the encoders weigh
 * errors by: [n_cols], or NULL. Threads split the rows, and no bit depends on how. `what` names the tensor in
 * sentences and progress. */
nb_status nb_gptq_quantize(nb_context *context, const char *what, const nb_gptq_source *source,
                           const nb_quantizer *quantizer, const nb_gptq_solver *solver,
                           const nb_gptq_options *options, const float *importance, bool trace, nb_packed **out,
                           nb_gptq_result *result, nb_error *error);

#endif
