/* One row of function pointers per CPU level: the loops of array operations over contiguous numbers. All levels
 * compile the same loops (kernels_template.h) over the same definitions (scalar.h) with their own flags. */
#ifndef NB_ARRAY_KERNELS_H
#define NB_ARRAY_KERNELS_H

#include "array/array.h"

typedef void nb_unary_fn(const float *x, size_t n, float *y);
/* Steps are 1, or 0 for one number that stands for n. */
typedef void nb_binary_fn(const float *a, size_t a_step, const float *b, size_t b_step, size_t n, float *y);
typedef void nb_ternary_fn(const float *a, size_t a_step, const float *b, size_t b_step, const float *c, size_t c_step,
                           size_t n, float *y);

typedef struct nb_array_kernels {
    nb_unary_fn *unary[NB_UNARY_COUNT];
    nb_binary_fn *binary[NB_BINARY_COUNT];
    nb_ternary_fn *where, *clamp;
    /* lanes[i mod 16] += x[i], or (x[i] - origin)^2, or *= x[i]; n is a multiple of 16 but for the last call. */
    void (*sum)(const float *x, size_t n, double lanes[16]);
    void (*squares)(const float *x, size_t n, double origin, double lanes[16]);
    void (*product)(const float *x, size_t n, double lanes[16]);
    /* NaN if any is NaN; of n >= 1 numbers. */
    float (*min)(const float *x, size_t n);
    float (*max)(const float *x, size_t n);
    size_t (*count_true)(const float *x, size_t n);
    /* c [n_rows][m] = a [n_rows][k] b [k][m]: acc = fma(a, b, acc), k forwards from 0; n_rows up to 4. */
    void (*matmul_rows)(const float *a, size_t n_rows, size_t k, const float *b, size_t m, float *c);
} nb_array_kernels;

/* The row of the context's level. */
const nb_array_kernels *nb_array_kernels_of(const nb_context *context);
/* By the level's name ("scalar", "avx2"...): a level that adds nothing has the row of the one below. */
const nb_array_kernels *nb_array_kernels_find(const char *level);

extern const nb_array_kernels nb_array_kernels_scalar;
extern const nb_array_kernels nb_array_kernels_avx2;
extern const nb_array_kernels nb_array_kernels_avx512;
extern const nb_array_kernels nb_array_kernels_neon;

#endif
