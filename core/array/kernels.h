/* One row of function pointers per CPU level: the loops of array operations over contiguous numbers. All
 * levels compile the same loops (kernels_template.h) over the same definitions (scalar.h) with their own
 * flags. */
#ifndef NB_ARRAY_KERNELS_H
#define NB_ARRAY_KERNELS_H

#include "array/array.h"

enum { NB_COLUMN_TILE = 64 };

typedef void nb_unary_fn(const float *x, size_t n, float *y);
/* Steps are 1, or 0 for one number that stands for n. */
typedef void nb_binary_fn(const float *a, size_t a_step, const float *b, size_t b_step, size_t n, float *y);
typedef void nb_ternary_fn(const float *a, size_t a_step, const float *b, size_t b_step, const float *c,
                           size_t c_step, size_t n, float *y);

typedef struct nb_array_kernels {
    nb_unary_fn *unary[NB_UNARY_COUNT];
    nb_binary_fn *binary[NB_BINARY_COUNT];
    nb_ternary_fn *where, *clamp;
    /* lanes[i mod 16] += x[i], or (x[i] - origin)^2, or *= x[i]; n is a multiple of 16 but for
     * the last call. */
    void (*sum)(const float *x, size_t n, double lanes[16]);
    void (*squares)(const float *x, size_t n, double origin, double lanes[16]);
    void (*product)(const float *x, size_t n, double lanes[16]);
    /* NaN if any is NaN; of n >= 1 numbers. */
    float (*min)(const float *x, size_t n);
    float (*max)(const float *x, size_t n);
    size_t (*count_true)(const float *x, size_t n);
    /* Of `width` columns (a tile at most) of n rows that lie `stride` apart. lanes: [16][NB_COLUMN_TILE], row
     * i adds to lane i mod 16; origins: [width]; best: [width], what it holds takes part. */
    void (*sum_columns)(const float *x, size_t stride, size_t n, size_t width, double *lanes);
    void (*square_columns)(const float *x, size_t stride, size_t n, size_t width, const double *origins,
                           double *lanes);
    void (*min_columns)(const float *x, size_t stride, size_t n, size_t width, float *best);
    void (*max_columns)(const float *x, size_t stride, size_t n, size_t width, float *best);
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
