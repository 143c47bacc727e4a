/* Vectors of 8 rows and what avx2 and avxvnni do alike with them: everything but the integer products. Two
 * strips are a row group. */
#ifndef NB_KERNELS_MATMUL_AVX2_H
#define NB_KERNELS_MATMUL_AVX2_H

#include "kernels/levels.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { LANES = 8 };

#define INLINE static inline __attribute__((always_inline))

typedef __m256 vf;
typedef __m256i vi;
typedef uint16_t u16_lanes __attribute__((vector_size(32)));
typedef uint32_t u32_lanes __attribute__((vector_size(32)));

INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
INLINE vf vf_set1(float value)
{
    return _mm256_set1_ps(value);
}
INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
INLINE void vf_store(float *p, vf value)
{
    _mm256_storeu_ps(p, value);
}
INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vf vf_from_vi(vi value)
{
    return _mm256_cvtepi32_ps(value);
}
INLINE vf nans(void)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
}
INLINE vf vf_canonical(vf value)
{
    return _mm256_blendv_ps(value, nans(), _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
}

INLINE __m128i load_128(const void *p)
{
    return _mm_loadu_si128(p);
}
INLINE __m128i load_64(const void *p)
{
    return _mm_loadl_epi64(p);
}

typedef struct {
    vf low, high;
} vf_table;
INLINE vf_table vf_table_load(const float *levels)
{
    return (vf_table){vf_load(levels), vf_load(levels + 8)};
}
/* Three bits of an index count in either half; the fourth, moved to the sign, chooses between them. */
INLINE vf vf_table_at(vf_table table, vi line, int shift)
{
    const vi index = (vi)((u32_lanes)line >> shift), half = (vi)((u32_lanes)line << (28 - shift));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, index), _mm256_permutevar8x32_ps(table.high, index),
                            _mm256_castsi256_ps(half));
}

INLINE vf vf_load_f16(const uint8_t *p)
{
    return _mm256_cvtph_ps(load_128(p));
}
INLINE vf vf_load_bf16(const uint8_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16));
}
/* Exponent and mantissa in f16's places are 2^-8 of the value, subnormals too. 7f and ff are NaN. */
INLINE vf vf_load_e4m3(const uint8_t *p)
{
    const __m128i codes = load_64(p), most = _mm_set1_epi8(0x7f);
    const __m128i halves =
        _mm_and_si128(_mm_slli_epi16(_mm_cvtepi8_epi16(codes), 7), _mm_set1_epi16((short)0xbfff));
    const __m256i is_nan = _mm256_cvtepi8_epi32(_mm_cmpeq_epi8(_mm_and_si128(codes, most), most));
    return _mm256_blendv_ps(vf_mul(_mm256_cvtph_ps(halves), vf_set1(256.0f)), nans(),
                            _mm256_castsi256_ps(is_nan));
}
/* e5m2 is f16 without its low byte. */
INLINE vf vf_load_e5m2(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_unpacklo_epi8(_mm_setzero_si128(), load_64(p)));
}

INLINE vi vi_zero(void)
{
    return _mm256_setzero_si256();
}
INLINE vi vi_set1(int32_t value)
{
    return _mm256_set1_epi32(value);
}
INLINE vi vi_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
INLINE void vi_store(uint8_t *p, vi value)
{
    _mm256_storeu_si256((__m256i *)(void *)p, value);
}
INLINE vi vi_load_u8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(load_64(p));
}
INLINE vi vi_load_i8(const uint8_t *p)
{
    return _mm256_cvtepi8_epi32(load_64(p));
}
INLINE vi vi_lookup(const uint8_t table[16], vi codes)
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load_128(table)), codes);
}
/* 2^(code - 128). The exponent is the code less 1, where that is above 0. */
INLINE vf vf_load_half_e8m0(const uint8_t *p)
{
    const vi code = _mm256_cvtepu8_epi32(load_64(p)), one = _mm256_set1_epi32(1);
    const vi small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), _mm256_min_epi32(code, one));
    const vi bits = _mm256_slli_epi32(_mm256_sub_epi32(code, one), 23);
    return _mm256_castsi256_ps(_mm256_max_epi32(bits, small));
}
/* Seven bits in f16's places are 2^-8 of the value, subnormals too; 7f is 0. */
INLINE vf vf_load_half_ue4m3(const uint8_t *p)
{
    const __m128i codes = _mm_cvtepu8_epi16(load_64(p)), most = _mm_set1_epi16(0x7f);
    const __m128i halves = _mm_slli_epi16(_mm_and_si128(codes, most), 7);
    return vf_mul(_mm256_cvtph_ps(_mm_andnot_si128(_mm_cmpeq_epi16(codes, most), halves)), vf_set1(128.0f));
}
INLINE vi vi_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}
INLINE vi vi_sub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}
INLINE vi vi_add_bytes(vi a, vi b)
{
    return _mm256_add_epi8(a, b);
}
INLINE vi vi_and_bytes(vi a, uint8_t mask)
{
    return _mm256_and_si256(a, _mm256_set1_epi8((char)mask));
}
/* By n bits, to the left if n < 0. Bits cross into the neighbouring byte: mask them off. */
INLINE vi vi_shift_right(vi a, int n)
{
    return n < 0 ? (vi)((u16_lanes)a << -n) : (vi)((u16_lanes)a >> n);
}
INLINE vi vi_byte_of(vi a, int j)
{
    return (vi)((u32_lanes)a >> 8 * j & 0xff);
}
INLINE vi vi_splat_low_byte(vi a)
{
    return _mm256_shuffle_epi8(
        a, _mm256_broadcastsi128_si256(_mm_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0)));
}

/* Four bytes, or two int16, to every lane. */
INLINE vi vi_quad(const void *q)
{
    int32_t quad;
    __builtin_memcpy(&quad, q, sizeof quad);
    return vi_set1(quad);
}

INLINE vi vi_zeros(int kind, const uint8_t *zeros)
{
    (void)kind;
    return vi_load_u8(zeros);
}
/* Both fit 16 bits, and the upper half of a zero point's lane is 0. */
INLINE vi vi_zero_term(vi zeros, int32_t minus_sum)
{
    return _mm256_madd_epi16(zeros, vi_set1(minus_sum));
}

#endif
