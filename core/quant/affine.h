/* Scale, zero point and codes of one group of numbers: the arithmetic of round to nearest. */
#ifndef NB_QUANT_AFFINE_H
#define NB_QUANT_AFFINE_H

#include "formats/format.h"

/* The smallest and largest of some numbers, as keys that order like the numbers do (see affine.c). */
typedef struct nb_range {
    int32_t low_key, high_key;
} nb_range;

nb_range nb_range_empty(void);
void nb_range_add(nb_range *range, const float *x, size_t n);
void nb_range_merge(nb_range *range, const nb_range *other);
/* Whether no NaN and no infinity was among the numbers. */
bool nb_range_is_finite(const nb_range *range);
float nb_range_low(const nb_range *range);
float nb_range_high(const nb_range *range);
float nb_range_absmax(const nb_range *range);

typedef enum nb_affine_problem {
    NB_AFFINE_FINE,
    NB_AFFINE_SCALE, /* no f16 (or f32) is large enough for the scale */
    NB_AFFINE_ZERO,  /* the zero point lies outside the codes */
} nb_affine_problem;

/* How numbers become codes: q = rint(x / scale) + zero, or q = rint(x * multiplier + zero). */
typedef struct nb_affine {
    float scale;      /* as stored: w = scale * (q - zero) */
    float multiplier; /* labonne; 0: divide by the scale */
    int32_t zero;
    int32_t lowest, highest; /* codes */
    float wanted;            /* the scale or zero point that was the problem */
} nb_affine;

nb_affine_problem nb_affine_choose(const nb_range *range, const nb_quantizer *quantizer, nb_affine *out);

/* Codes u[n] = q - lowest code of all (so 0 ... 2^bits - 1) of n numbers, and what they stand for, w[n]. Adds
 * to the counts what was clamped and what became 0. */
void nb_affine_encode(const nb_affine *affine, const nb_quantizer *quantizer, const float *x, size_t n,
                      uint8_t *u, float *w, uint64_t *n_clipped, uint64_t *n_zero);

/* The scale of a FLOAT format that needs one: the largest number becomes max_finite. */
float nb_tensor_scale_of(float absmax, const nb_format *format);

#endif
