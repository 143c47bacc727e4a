/* The numbers of nb_tanhf, shared with the SIMD kernels that perform the same operations on a = |x|:
 *
 *   a < TURN     fma(a z, p, a), z = a a, p = C3 + z (C5 + z (C7 + z (C9 + z C11)))   by fma; minimax
 *   else         1 - 2 / (exp(2 a) + 1), which loses nothing there */
#ifndef NB_MATH_TANHF_H
#define NB_MATH_TANHF_H

#define NB_TANHF_TURN 0.625f
#define NB_TANHF_C3   -0x1.555534p-2f
#define NB_TANHF_C5   0x1.110768p-3f
#define NB_TANHF_C7   -0x1.b84448p-5f
#define NB_TANHF_C9   0x1.5256d8p-6f
#define NB_TANHF_C11  -0x1.76ac1cp-8f

#endif
