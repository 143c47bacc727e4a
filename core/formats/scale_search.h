/* How the block formats choose scales. A block's error is the sum of w (x - x')^2 over its weights x; it is
 * small not where the largest weight fits exactly, but a little beside that. So the encoders try a handful of
 * scales around the obvious one, fit each by least squares, and keep the best. The choices, their order and
 * the rounding of every operation are those of ggml's reference, so that the bytes are too. */
#ifndef NB_FORMATS_SCALE_SEARCH_H
#define NB_FORMATS_SCALE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NB_SEARCH_LANES = 4,    /* sub-blocks that the affine search takes at once */
    NB_SEARCH_WEIGHTS = 32, /* at most, in a sub-block */
};

/* Blocks below this are as good as zero. */
#define NB_SEARCH_ZERO 1e-15f

/* x' = scale * q + min with q in 0..limit and min <= 0. */
typedef struct nb_affine_search {
    size_t n;    /* weights in a sub-block */
    int limit;   /* largest code */
    float first; /* candidate k spreads the weights over limit + first + k step codes; the rest saturate */
    float step;
    int n_steps;         /* k = 0..n_steps */
    bool absolute_error; /* compares sums of w |x - x'| instead of w (x - x')^2 */
} nb_affine_search;

/* x, weights, codes: [4, n]. Gives -min, which is never negative, as the formats store it. */
void nb_search_affine(const nb_affine_search *search, const float *x, const float *weights, float *scales,
                      float *mins, uint8_t *codes);

/* The same for up to four blocks of 32 in a row that has n weights left, weighted by importance (the plain
 * formats with a minimum). mean_square: of the row. Returns how many blocks. */
size_t nb_search_affine_row(const float *x, const float *importance, size_t n, float mean_square, int limit,
                            float *scales, float *mins, uint8_t *codes);

/* The candidates that the searches with importance try. */
#define NB_SEARCH_IMPORTANT(size, codes)                                                                     \
    {                                                                                                        \
        .n = size, .limit = codes, .first = -0.9f, .step = 0.05f, .n_steps = 36                              \
    }

/* x' = scale * (q - limit) with q in 0..2 limit - 1: codes reach one further on the negative side, so the
 * scale has the sign that puts the largest |x| there. x, weights, codes: [n], n <= 32. A block of zeros:
 * scale 0, codes 0. */
float nb_search_signed(const float *x, const float *weights, size_t n, int limit, uint8_t *codes);

/* As nb_search_signed, weighted by x^2, from one scale only; then code after code moves wherever that
 * improves the fit. */
float nb_search_signed_descent(const float *x, size_t n, int limit, uint8_t *codes);

/* x' = scale * q for numbers that are not negative (the scales or minimums of sub-blocks), q in 0..limit. */
float nb_search_unsigned(const float *x, const float *weights, size_t n, int limit, uint8_t *codes);

/* x' = scale * table[q], iq4's table. x, weights: [32]. */
float nb_search_iq4(const float x[32], const float weights[32]);
/* The nearest place in iq4's table of inverse_scale * x; between two, the upper one. */
void nb_iq4_nearest(const float x[32], float inverse_scale, uint8_t codes[32]);

/* The weight that is largest in size; the first of several. n is a multiple of 4. */
float nb_signed_max(const float *x, size_t n);
/* The first of equal ones (0 and -0); n is a multiple of 4. */
void nb_min_max(const float *x, size_t n, float *min, float *max);
/* 1 / step; 0 for a step of 0, and for one so small or large that no f32 could scale by it (below 2^-128: its
 * f16 is 0 anyway). */
float nb_inverse_step(float step);
/* Sum of squares, one after the other. */
float nb_sum_of_squares(const float *x, size_t n);
/* importance * sqrt(mean_square + x^2): large weights matter more, small ones of important columns matter
 * too. */
void nb_search_weights(const float *x, const float *importance, float mean_square, size_t n, float *weights);

#endif
