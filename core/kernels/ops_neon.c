/* 16 lanes are four q registers of four. */
#include <arm_neon.h>

#include <stddef.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct lanes {
    float32x4_t part[4]; /* lanes 0 to 3, 4 to 7, 8 to 11, 12 to 15 */
} lanes;
typedef uint32x4_t nans;

enum { QUERIES = 4, TILES = 1, TILES_ALONE = 4 };

INLINE lanes lanes_set(float x)
{
    const float32x4_t a = vdupq_n_f32(x);
    return (lanes){{a, a, a, a}};
}
INLINE lanes lanes_load(const float *p)
{
    return (lanes){{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}
INLINE void lanes_store(float *p, lanes a)
{
    for (int i = 0; i < 4; i++)
        vst1q_f32(p + 4 * i, a.part[i]);
}
INLINE lanes lanes_load_part(const float *p, size_t n, float fill)
{
    float whole[16];
    lanes_store(whole, lanes_set(fill));
    memcpy(whole, p, n * sizeof *p);
    return lanes_load(whole);
}
INLINE void lanes_store_part(float *p, size_t n, lanes a)
{
    float whole[16];
    lanes_store(whole, a);
    memcpy(p, whole, n * sizeof *p);
}

/* What is done with one register, done with all four. */
#define EACH(operation, ...)                                                                                 \
    (lanes){{operation(0, __VA_ARGS__), operation(1, __VA_ARGS__), operation(2, __VA_ARGS__),                \
             operation(3, __VA_ARGS__)}}
#define ADD(i, a, b)    vaddq_f32(a.part[i], b.part[i])
#define SUB(i, a, b)    vsubq_f32(a.part[i], b.part[i])
#define MUL(i, a, b)    vmulq_f32(a.part[i], b.part[i])
#define DIV(i, a, b)    vdivq_f32(a.part[i], b.part[i])
#define FMA(i, a, b, c) vfmaq_f32(c.part[i], a.part[i], b.part[i])
#define MAX(i, a, b)    greater(a.part[i], b.part[i])
#define MIN(i, a, b)    less(a.part[i], b.part[i])
#define CHOOSE(i, a, b, x, y) vbslq_f32(vcltq_f32(a.part[i], b.part[i]), x.part[i], y.part[i])
#define NAN_TO_ONE(i, a) canonical(a.part[i])
#define SCALE(i, a, b)  scale(a.part[i], b.part[i])
#define ROTATE(i, a, b) rotate(a.part[i], b.part[i])

/* Compared and chosen, since vmaxq_f32 makes NaN of one NaN and orders the zeros. */
INLINE float32x4_t greater(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE float32x4_t less(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }

INLINE float32x4_t canonical(float32x4_t a)
{
    return vbslq_f32(vceqq_f32(a, a), a, vreinterpretq_f32_u32(vdupq_n_u32(0x7fc00000)));
}

/* The bits of t less those of 1.5 * 2^23 are n, which is split in halves as the definition does. */
INLINE float32x4_t scale(float32x4_t p, float32x4_t t)
{
    const int32x4_t n = vsubq_s32(vreinterpretq_s32_f32(t), vdupq_n_s32(0x4b400000));
    const int32x4_t one = vdupq_n_s32(127), half = vshrq_n_s32(n, 1);
    const int32x4_t a = vshlq_n_s32(vaddq_s32(half, one), 23);
    const int32x4_t b = vshlq_n_s32(vaddq_s32(vsubq_s32(n, half), one), 23);
    return vmulq_f32(vmulq_f32(p, vreinterpretq_f32_s32(a)), vreinterpretq_f32_s32(b));
}

INLINE float32x4_t rotate(float32x4_t x, float32x4_t cos_sin)
{
    const uint32x4_t even_signs = vreinterpretq_u32_u64(vdupq_n_u64(0x80000000));
    const float32x4_t a = vtrn1q_f32(x, x), b = vtrn2q_f32(x, x);
    const float32x4_t product = vmulq_f32(b, vrev64q_f32(cos_sin)); /* b s in even lanes, b c in odd ones */
    const float32x4_t term = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(product), even_signs));
    return vfmaq_f32(term, a, cos_sin);
}

INLINE lanes lanes_add(lanes a, lanes b) { return EACH(ADD, a, b); }
INLINE lanes lanes_sub(lanes a, lanes b) { return EACH(SUB, a, b); }
INLINE lanes lanes_mul(lanes a, lanes b) { return EACH(MUL, a, b); }
INLINE lanes lanes_div(lanes a, lanes b) { return EACH(DIV, a, b); }
INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { return EACH(FMA, a, b, c); }
INLINE lanes lanes_max(lanes a, lanes b) { return EACH(MAX, a, b); }
INLINE lanes lanes_min(lanes a, lanes b) { return EACH(MIN, a, b); }
INLINE lanes lanes_choose(lanes a, lanes b, lanes x, lanes y) { return EACH(CHOOSE, a, b, x, y); }
INLINE lanes lanes_canonical(lanes a) { return EACH(NAN_TO_ONE, a); }
INLINE lanes lanes_scale(lanes p, lanes t) { return EACH(SCALE, p, t); }
INLINE lanes lanes_rotate(lanes x, lanes cos_sin) { return EACH(ROTATE, x, cos_sin); }

INLINE float lanes_fold(lanes a)
{
    const float32x4_t low = vaddq_f32(a.part[0], a.part[2]), high = vaddq_f32(a.part[1], a.part[3]);
    const float32x4_t four = vaddq_f32(low, high);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

INLINE float lanes_fold_max(lanes a)
{
    const float32x4_t four = greater(greater(a.part[0], a.part[1]), greater(a.part[2], a.part[3]));
    float max = vgetq_lane_f32(four, 0);
    max = vgetq_lane_f32(four, 1) > max ? vgetq_lane_f32(four, 1) : max;
    max = vgetq_lane_f32(four, 2) > max ? vgetq_lane_f32(four, 2) : max;
    return vgetq_lane_f32(four, 3) > max ? vgetq_lane_f32(four, 3) : max;
}

typedef struct lanes_f64 {
    float64x2_t part[8]; /* 2 lanes each */
} lanes_f64;

INLINE lanes_f64 lanes_f64_zero(void)
{
    const float64x2_t zero = vdupq_n_f64(0.0);
    return (lanes_f64){{zero, zero, zero, zero, zero, zero, zero, zero}};
}
INLINE lanes_f64 lanes_f64_add(lanes_f64 sums, lanes a)
{
    for (int i = 0; i < 4; i++) {
        sums.part[2 * i] = vaddq_f64(sums.part[2 * i], vcvt_f64_f32(vget_low_f32(a.part[i])));
        sums.part[2 * i + 1] = vaddq_f64(sums.part[2 * i + 1], vcvt_high_f64_f32(a.part[i]));
    }
    return sums;
}
INLINE double lanes_f64_fold(lanes_f64 sums)
{
    for (int half = 4; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums.part[i] = vaddq_f64(sums.part[i], sums.part[i + half]);
    return vgetq_lane_f64(sums.part[0], 0) + vgetq_lane_f64(sums.part[0], 1);
}

INLINE nans nans_none(void) { return vdupq_n_u32(0); }
INLINE nans nans_add(nans seen, lanes a)
{
    for (int i = 0; i < 4; i++)
        seen = vorrq_u32(seen, vmvnq_u32(vceqq_f32(a.part[i], a.part[i])));
    return seen;
}
INLINE int nans_any(nans seen) { return vmaxvq_u32(seen) != 0; }

#include "kernels/ops_lanes.h"

void nb_kernels_fill_ops_neon(nb_kernels *k) { fill_ops(k); }
