/* Round to nearest: each number to the nearest code of its group's scale. The simplest method. */
#ifndef NB_QUANT_RTN_H
#define NB_QUANT_RTN_H

#include "base/context.h"
#include "kernels/packed.h"

/* A matrix to read: row-major codes of a FLOAT format. */
typedef struct nb_source {
    const nb_format *format;
    const void *data;
    size_t n_rows, n_cols;
} nb_source;

typedef struct nb_rtn_stats {
    double signal, noise, max_error; /* sum x^2, sum (x - stored)^2, in f64, by rows in order */
    uint64_t n_clipped, n_zero;
} nb_rtn_stats;

/* Packs `source` as `quantizer` says, in parallel over row groups; `stats` may be NULL. NaN or Inf among the numbers
 * is refused with its place ("row 3, column 17"); `what` names the tensor there. Ticks the context
 * with bytes of source done out of `progress_total`, from `progress_done` on. */
nb_status nb_rtn_quantize(nb_context *context, const char *what, const nb_source *source, const nb_quantizer *quantizer,
                          nb_packed **out, nb_rtn_stats *stats, nb_error *error);

/* One group of numbers by the textbook, for lessons and tests: scale and zero point of x[n], codes q (signed), and
 * the numbers that they stand for. Any output may be NULL. */
void nb_rtn_group(const float *x, size_t n, const nb_quantizer *quantizer, float *scale, int32_t *zero, int32_t *codes,
                  float *values);

#endif
