/* Matmul for NEON with dotprod: four strips of 4 rows are a row group. sdot multiplies signed codes: those of
 * up to 7 bits are signed as they stand, 8-bit ones lose 128 (and so do their zero points). */
#include "kernels/levels.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>

enum { LANES = 4, OWN_ZEROS = -1, USES_WIDE = false };

/* Sums, weights and broadcasts have 32 registers. */
#define DIRECT_GROUPS(TOKENS)         ((TOKENS) == 1 ? 4 : (TOKENS) == 2 ? 2 : 1)
#define INT_DIRECT_GROUPS(TOKENS)     ((TOKENS) == 1 ? 2 : 1)
#define FLOAT_PANEL_TILES(X)          X(1, 6) X(1, 4) X(2, 2) X(4, 1)
#define INT_PANEL_TILES(X, KIND, OWN) X(KIND, OWN, 1, 3) X(KIND, OWN, 1, 2) X(KIND, OWN, 2, 1)
/* 8-bit codes are their own panel; others become u - z, which fits a signed byte. Only an 8-bit zero point
 * does not, and then each row subtracts its own. */
#define INT_PANEL_FAMILIES(X) X(8, 0) X(8, 1) X(16, 0)
#define PANEL_TILES(BITS, ABSMAX)                                                                            \
    ((BITS) < 8 ? int_panel_tiles_16_0 : (ABSMAX) ? int_panel_tiles_8_0 : int_panel_tiles_8_1)
#define PANEL_ZERO(BITS, ABSMAX) ((BITS) < 8 || (ABSMAX) ? 0 : OWN_ZEROS)
/* Values of block formats lose their zero on the way into a panel. */
#define BLOCK_PANEL_FAMILIES(X) X(16, plain32) X(16, min32) X(16, plain16) X(16, min16)
#define V4 16
#define V5 16
#define V6 16
#define V8 16
#define BLOCK_PANEL_ZERO(ZERO)  ((void)(ZERO), 0)
#define DIRECT_ZERO(KIND, ZERO) ((KIND) == KIND_IQ4 ? (ZERO) - 128 : (ZERO))

#define INLINE static inline __attribute__((always_inline))

typedef float32x4_t vf;
typedef int32x4_t vi;

INLINE vf vf_zero(void)
{
    return vdupq_n_f32(0.0f);
}
INLINE vf vf_set1(float value)
{
    return vdupq_n_f32(value);
}
INLINE vf vf_load(const float *p)
{
    return vld1q_f32(p);
}
INLINE void vf_store(float *p, vf value)
{
    vst1q_f32(p, value);
}
INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
INLINE vf vf_from_vi(vi value)
{
    return vcvtq_f32_s32(value);
}
INLINE vf nans(void)
{
    return vreinterpretq_f32_u32(vdupq_n_u32(0x7fc00000));
}
INLINE vf vf_canonical(vf value)
{
    return vbslq_f32(vceqq_f32(value, value), value, nans());
}

typedef uint8x16x4_t vf_table;
INLINE vf_table vf_table_load(const float *levels)
{
    vf_table table;
    for (int i = 0; i < 4; i++)
        table.val[i] = vreinterpretq_u8_f32(vf_load(levels + 4 * i));
    return table;
}
/* The four bytes of entry i are bytes 4 i to 4 i + 3. */
INLINE vf vf_table_at(vf_table table, vi line, int shift)
{
    const uint32x4_t moved = vshlq_u32(vreinterpretq_u32_s32(line), vdupq_n_s32(-shift));
    const uint32x4_t index = vmulq_n_u32(vandq_u32(moved, vdupq_n_u32(15)), 0x04040404);
    const uint8x16_t bytes = vreinterpretq_u8_u32(vaddq_u32(index, vdupq_n_u32(0x03020100)));
    return vreinterpretq_f32_u8(vqtbl4q_u8(table, bytes));
}

INLINE vf vf_load_f16(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)(const void *)p)));
}
INLINE vf vf_load_bf16(const uint8_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16((const uint16_t *)(const void *)p), 16));
}
/* Four bytes as four uint16. */
INLINE uint16x4_t load_four(const uint8_t *p)
{
    uint32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))));
}
/* Exponent and mantissa in f16's places are 2^-8 of the value, subnormals too. 7f and ff are NaN. */
INLINE vf vf_load_e4m3(const uint8_t *p)
{
    const uint16x4_t codes = load_four(p), most = vdup_n_u16(0x7f), magnitude = vand_u16(codes, most);
    const uint16x4_t sign = vshl_n_u16(vbic_u16(codes, most), 8);
    const vf value = vcvt_f32_f16(vreinterpret_f16_u16(vorr_u16(sign, vshl_n_u16(magnitude, 7))));
    const uint32x4_t is_nan =
        vreinterpretq_u32_s32(vmovl_s16(vreinterpret_s16_u16(vceq_u16(magnitude, most))));
    return vbslq_f32(is_nan, nans(), vmulq_n_f32(value, 256.0f));
}
/* e5m2 is f16 without its low byte. */
INLINE vf vf_load_e5m2(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vshl_n_u16(load_four(p), 8)));
}

INLINE uint8x16_t bytes_of(vi a)
{
    return vreinterpretq_u8_s32(a);
}
INLINE vi vi_of(uint8x16_t a)
{
    return vreinterpretq_s32_u8(a);
}
INLINE vi vi_zero(void)
{
    return vdupq_n_s32(0);
}
INLINE vi vi_set1(int32_t value)
{
    return vdupq_n_s32(value);
}
INLINE vi vi_load(const uint8_t *p)
{
    return vi_of(vld1q_u8(p));
}
INLINE void vi_store(uint8_t *p, vi value)
{
    vst1q_u8(p, bytes_of(value));
}
INLINE vi vi_load_u8(const uint8_t *p)
{
    return vreinterpretq_s32_u32(vmovl_u16(load_four(p)));
}
INLINE vi vi_load_i8(const uint8_t *p)
{
    uint32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)))));
}
INLINE vi vi_lookup(const uint8_t table[16], vi codes)
{
    return vi_of(vqtbl1q_u8(vld1q_u8(table), bytes_of(codes)));
}
/* 2^(code - 128). The exponent is the code less 1, where that is above 0. */
INLINE vf vf_load_half_e8m0(const uint8_t *p)
{
    const int32x4_t code = vi_load_u8(p), one = vdupq_n_s32(1);
    const int32x4_t small = vshlq_s32(vdupq_n_s32(0x00200000), vminq_s32(code, one));
    return vreinterpretq_f32_s32(vmaxq_s32(vshlq_n_s32(vsubq_s32(code, one), 23), small));
}
/* Seven bits in f16's places are 2^-8 of the value, subnormals too; 7f is 0. */
INLINE vf vf_load_half_ue4m3(const uint8_t *p)
{
    const uint16x4_t codes = load_four(p), most = vdup_n_u16(0x7f);
    const uint16x4_t halves = vbic_u16(vshl_n_u16(vand_u16(codes, most), 7), vceq_u16(codes, most));
    return vmulq_n_f32(vcvt_f32_f16(vreinterpret_f16_u16(halves)), 128.0f);
}
INLINE vi vi_or(vi a, vi b)
{
    return vorrq_s32(a, b);
}
INLINE vi vi_sub(vi a, vi b)
{
    return vsubq_s32(a, b);
}
INLINE vi vi_add_bytes(vi a, vi b)
{
    return vi_of(vaddq_u8(bytes_of(a), bytes_of(b)));
}
INLINE vi vi_and_bytes(vi a, uint8_t mask)
{
    return vi_of(vandq_u8(bytes_of(a), vdupq_n_u8(mask)));
}
/* Each byte by n bits, to the left if n < 0. */
INLINE vi vi_shift_right(vi a, int n)
{
    return vi_of(vshlq_u8(bytes_of(a), vdupq_n_s8((int8_t)-n)));
}
INLINE vi vi_byte_of(vi a, int j)
{
    const uint32x4_t moved = vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-8 * j));
    return vreinterpretq_s32_u32(vandq_u32(moved, vdupq_n_u32(0xff)));
}
INLINE vi vi_splat_low_byte(vi a)
{
    static const uint8_t order[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    return vi_of(vqtbl1q_u8(bytes_of(a), vld1q_u8(order)));
}

INLINE vi vi_quad(const int8_t *q)
{
    int32_t quad;
    __builtin_memcpy(&quad, q, sizeof quad);
    return vi_set1(quad);
}
INLINE vi vi_dot(int kind, vi sum, vi line, vi act)
{
    const bool biased = kind == 8 || kind == KIND_IQ4;
    const uint8x16_t codes = biased ? veorq_u8(bytes_of(line), vdupq_n_u8(0x80)) : bytes_of(line);
    return vdotq_s32(sum, vreinterpretq_s8_u8(codes), vreinterpretq_s8_s32(act));
}
INLINE vi vi_zeros(int kind, const uint8_t *zeros)
{
    return kind == 8 ? vi_sub(vi_load_u8(zeros), vi_set1(128)) : vi_load_u8(zeros);
}
INLINE vi vi_zero_term(vi zeros, int32_t minus_sum)
{
    return vmulq_n_s32(zeros, minus_sum);
}

#include "kernels/matmul_template.h"

void nb_kernels_fill_matmul_neon(nb_kernels *k)
{
    fill_matmul(k);
}

enum { LIMIT_CHAINS = 24, INT8_PER_PEAK = 32 };
INLINE vi vi_peak(vi sum, vi line, vi act)
{
    return vi_dot(16, sum, line, act);
}

#include "kernels/limits_template.h"

LIMITS(neon)
