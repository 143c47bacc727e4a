/* exp and tanh in f32. The exp kernels perform the operations of nb_expf, lane by lane. */
#include "math/expf.h"
#include "math/math.h"
#include "math/tanhf.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* 2^e for a normal result. */
static float power_of_2(int e)
{
    const uint32_t bits = (uint32_t)(e + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

float nb_expf(float x)
{
    if (x != x)
        return NAN;
    x = NB_EXPF_HIGH < x ? NB_EXPF_HIGH : x;
    x = NB_EXPF_LOW > x ? NB_EXPF_LOW : x;
    const float n = fmaf(x, NB_EXPF_INV_LN2, NB_EXPF_ROUND) - NB_EXPF_ROUND;
    float r = fmaf(n, -NB_EXPF_LN2_HIGH, x);
    r = fmaf(n, -NB_EXPF_LN2_LOW, r);
    float p = fmaf(NB_EXPF_C6, r, NB_EXPF_C5);
    p = fmaf(p, r, NB_EXPF_C4);
    p = fmaf(p, r, NB_EXPF_C3);
    p = fmaf(p, r, NB_EXPF_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    const int e = (int)n;
    return p * power_of_2(e / 2) * power_of_2(e - e / 2);
}

/* Of |x|, with the sign put back. */
float nb_tanhf(float x)
{
    if (x != x)
        return NAN;
    const float a = fabsf(x);
    if (a >= NB_TANHF_TURN)
        return copysignf(1.0f - 2.0f / (nb_expf(2.0f * a) + 1.0f), x);
    const float z = a * a;
    float p = fmaf(NB_TANHF_C11, z, NB_TANHF_C9);
    p = fmaf(p, z, NB_TANHF_C7);
    p = fmaf(p, z, NB_TANHF_C5);
    p = fmaf(p, z, NB_TANHF_C3);
    return copysignf(fmaf(a * z, p, a), x);
}
