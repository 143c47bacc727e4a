/* nb_expf for loops that the compiler turns into vectors, and its numbers, shared with the SIMD kernels that perform the same
 * operations:
 *
 *   x = x clamped to [LOW, HIGH]               beyond them the result is 0 or inf anyway
 *   t = fma(x, 1 / ln 2, ROUND); n = t - ROUND   n = rint(x / ln 2), and the low bits of t hold it
 *   r = fma(n, -LN2_HIGH, x); r = fma(n, -LN2_LOW, r)
 *   p = 1 + r (1 + r (C2 + r (C3 + r (C4 + r (C5 + r C6)))))   by fma; minimax on |r| <= ln 2 / 2
 *   p * 2^n, rounded once: the scaling is split in two, of which the first step is exact */
#ifndef NB_MATH_EXPF_H
#define NB_MATH_EXPF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define NB_EXPF_HIGH     89.0f
#define NB_EXPF_LOW      -104.0f
#define NB_EXPF_INV_LN2  0x1.715476p+0f
#define NB_EXPF_ROUND    0x1.8p+23f
#define NB_EXPF_LN2_HIGH 0x1.62e430p-1f
#define NB_EXPF_LN2_LOW  -0x1.05c610p-29f
#define NB_EXPF_C2       0x1.fffffcp-2f
#define NB_EXPF_C3       0x1.555492p-3f
#define NB_EXPF_C4       0x1.5558f2p-5f
#define NB_EXPF_C5       0x1.1239e2p-7f
#define NB_EXPF_C6       0x1.6a2434p-10f

/* 2^e for a normal result. */
static inline float nb_power_of_2(int32_t e)
{
    const uint32_t bits = (uint32_t)(e + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* nb_expf, without a branch. */
static inline float nb_expf_inline(float a)
{
    float x = NB_EXPF_HIGH < a ? NB_EXPF_HIGH : a;
    x = NB_EXPF_LOW > x ? NB_EXPF_LOW : x;
    x = x != x ? 0.0f : x; /* no NaN is ever converted to an integer */
    const float n = fmaf(x, NB_EXPF_INV_LN2, NB_EXPF_ROUND) - NB_EXPF_ROUND;
    float r = fmaf(n, -NB_EXPF_LN2_HIGH, x);
    r = fmaf(n, -NB_EXPF_LN2_LOW, r);
    float p = fmaf(NB_EXPF_C6, r, NB_EXPF_C5);
    p = fmaf(p, r, NB_EXPF_C4);
    p = fmaf(p, r, NB_EXPF_C3);
    p = fmaf(p, r, NB_EXPF_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    const int32_t e = (int32_t)n;
    const float result = p * nb_power_of_2(e / 2) * nb_power_of_2(e - e / 2);
    return a != a ? NAN : result;
}

#endif
