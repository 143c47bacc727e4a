/* Activations to int8 for NEON: a block is eight vectors of 4. */
#include "base/memory.h"
#include "kernels/levels.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 4 };

typedef float32x4_t vf;
typedef int32x4_t vi;

INLINE vf vf_load(const float *p) { return vld1q_f32(p); }
INLINE vf vf_set1(float value) { return vdupq_n_f32(value); }
INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
INLINE vi vi_set1(int32_t value) { return vdupq_n_s32(value); }
INLINE vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
INLINE int32_t vi_greatest(vi a) { return vmaxvq_s32(a); }
INLINE int32_t vi_total(vi a) { return vaddvq_s32(a); }
INLINE int vi_any_above(vi a, int32_t n) { return vmaxvq_s32(a) > n; }
INLINE vi vi_absolute(vf x) { return vandq_s32(vreinterpretq_s32_f32(x), vi_set1(0x7fffffff)); }

/* The conversion makes 0 of NaN. */
INLINE vi vi_round(vf x)
{
    return vcvtnq_s32_f32(vminq_f32(vmaxq_f32(x, vf_set1(-127.0f)), vf_set1(127.0f)));
}

/* 127.5 is rounded to the even 128. */
INLINE vi vi_count(vi n, vf x)
{
    return vsubq_s32(n, vreinterpretq_s32_u32(vcageq_f32(x, vf_set1(127.5f))));
}

INLINE void store_codes(const vi q[8], nb_act_block *block)
{
    int32_t sums[2];
    for (int half = 0; half < 2; half++) {
        const vi *from = q + 4 * half;
        const int16x8_t low = vcombine_s16(vmovn_s32(from[0]), vmovn_s32(from[1]));
        const int16x8_t high = vcombine_s16(vmovn_s32(from[2]), vmovn_s32(from[3]));
        vst1q_s8(block->q + 16 * half, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        sums[half] = vaddvq_s16(vaddq_s16(low, high));
    }
    block->minus_first = -sums[0];
    block->minus_sum = -(sums[0] + sums[1]);
}

INLINE void widen(const nb_act_block *blocks, size_t n_blocks, int16_t *wide)
{
    (void)blocks, (void)n_blocks, (void)wide;
}

#include "kernels/acts_template.h"

void nb_kernels_fill_acts_neon(nb_kernels *k) { fill_acts(k); }
