/* nb_tanhf for loops that the compiler turns into vectors, and its numbers, shared with the SIMD kernels that perform the
 * same operations on a = |x|:
 *
 *   a < TURN     fma(a z, p, a), z = a a, p = C3 + z (C5 + z (C7 + z (C9 + z C11)))   by fma; minimax
 *   else         1 - 2 / (exp(2 a) + 1), which loses nothing there */
#ifndef NB_MATH_TANHF_H
#define NB_MATH_TANHF_H

#include "math/expf.h"

#define NB_TANHF_TURN 0.625f
#define NB_TANHF_C3   -0x1.555534p-2f
#define NB_TANHF_C5   0x1.110768p-3f
#define NB_TANHF_C7   -0x1.b84448p-5f
#define NB_TANHF_C9   0x1.5256d8p-6f
#define NB_TANHF_C11  -0x1.76ac1cp-8f

/* nb_tanhf, both branches taken. */
static inline float nb_tanhf_inline(float x)
{
    const float a = fabsf(x);
    const float far = 1.0f - 2.0f / (nb_expf_inline(2.0f * a) + 1.0f);
    const float z = a * a;
    float p = fmaf(NB_TANHF_C11, z, NB_TANHF_C9);
    p = fmaf(p, z, NB_TANHF_C7);
    p = fmaf(p, z, NB_TANHF_C5);
    p = fmaf(p, z, NB_TANHF_C3);
    const float near = fmaf(a * z, p, a);
    return x != x ? NAN : copysignf(a >= NB_TANHF_TURN ? far : near, x);
}

#endif
