/* HQQ: scales and zero points without any data, by a half-quadratic solver that lets few weights be far off so that most
 * are near (Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models"). */
#ifndef NB_QUANT_HQQ_H
#define NB_QUANT_HQQ_H

#include "base/context.h"
#include "kernels/packed.h"
#include "quant/rtn.h"

typedef struct nb_hqq_options {
    double norm;         /* errors count to this power: 0.7 */
    double beta;         /* how tightly the split follows: 10 */
    unsigned iterations; /* at most: 20 */
} nb_hqq_options;
nb_hqq_options nb_hqq_defaults(void);

/* One group as the authors have it, for lessons and tests: x[n] becomes (code - zero) / inverse with a zero point that
 * need not be whole. *error: the mean of |x - what it became|. One step goes after the other until the error grows. */
void nb_hqq_group(const float *x, size_t n, unsigned bits, const nb_hqq_options *options, float *inverse, float *zero,
                  uint8_t *codes, float *error);

/* Packs the source's rows as `quantizer` says: an integer format with a scale per group or channel. Zero points are
 * whole, so that integer kernels run them: the two next to HQQ's own are tried, and the solver goes on with the scale.
 * absmax has the scale alone. Refused: other formats, numbers that are not finite. Threads split rows. */
nb_status nb_hqq_quantize(nb_context *context, const char *what, const nb_source *source, const nb_quantizer *quantizer,
                          const nb_hqq_options *options, nb_packed **out, nb_error *error);
nb_status nb_hqq_check(const nb_quantizer *quantizer, nb_error *error);

#endif
