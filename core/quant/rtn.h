/* Round to nearest: each number to the nearest code of its group's scale. The simplest method. */
#ifndef NB_QUANT_RTN_H
#define NB_QUANT_RTN_H

#include "base/context.h"
#include "kernels/packed.h"
#include "model/input.h"
#include "model/transform.h"

/* A matrix to read: rows of a FLOAT or BLOCK format, and the transforms through which they are read. */
typedef struct nb_source {
    const nb_format *format;
    const void *data;
    size_t n_rows, n_cols;
    const nb_transform *transforms; /* the last one; NULL: none */
    const float *importance;        /* [n_cols]: what BLOCK formats weigh errors by; NULL: nothing */
    const nb_input *input;          /* whose side of the rows is packed; NULL: they stay as they are */
} nb_source;

typedef struct nb_rtn_stats {
    double signal, noise, max_error; /* sum x^2, sum (x - stored)^2, in f64, by row groups in order */
    uint64_t n_clipped;              /* INT: rounded to a code beyond the last one, and moved there */
    uint64_t n_zero;                 /* stored as 0 */
} nb_rtn_stats;

/* Packs `source` as `quantizer` says, in parallel over row groups; `stats` may be NULL. `what` names the
 * tensor in sentences and progress (bytes of source read; it is read twice where one scale serves the whole
 * tensor).
 *
 *   absmax      s = max|x| / (2^(bits-1) - 1), q = rint(x / s)
 *   zeropoint   s = (high - low) / (2^bits - 1) with low <= 0 <= high, z = rint(-2^(bits-1) - low / s),
 *               q = rint(x / s) + z
 *   labonne     m = (2^(bits-1) - 1) / max|x|, q = rint(x * m);
 *               m = (2^bits - 1) / (high - low), z = rint(-low * m - 2^(bits-1)), q = rint(x * m + z); s = 1
 * / m f8          s = max|x| / max_finite, code = encode(x / s)
 *
 *   TABLE       as quant/tables.h says
 *   BLOCK       as the format's encode_blocks says; the source's own blocks stay as they are
 *
 * all in f32, codes clamped. An f16 scale is rounded before codes are computed from it, and never to 0; an
 * all-zero group has s = 0, z = 0, q = 0. Refused with their place: NaN and infinity, a scale beyond f16, a
 * zero point outside the codes (labonne), a number beyond f16 or bf16, columns
 * that are no multiple of a block. */
nb_status nb_rtn_quantize(nb_context *context, const char *what, const nb_source *source,
                          const nb_quantizer *quantizer, nb_packed **out, nb_rtn_stats *stats,
                          nb_error *error);

/* One group of finite numbers, FLOAT, TABLE or INT, by the textbook, for lessons and tests: scale and zero point of x[n], codes q
 * (signed; the bits of a FLOAT or TABLE format), and the numbers that they stand for. Any output may be NULL. Nothing
 * is refused: a scale beyond f16 becomes 65504, a zero point outside the codes is returned as it is. */
void nb_rtn_group(const float *x, size_t n, const nb_quantizer *quantizer, float *scale, int32_t *zero,
                  int32_t *codes, float *values);

#endif
