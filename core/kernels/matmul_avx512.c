/* Matmul for AVX-512 with VNNI: one zmm is a row group. A quad's line is one 64-byte load; vpdpbusd
 * multiplies its unsigned codes with four signed activations, broadcast, and adds them to each row's own
 * int32. */
#include "kernels/levels.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { LANES = 16, OWN_ZEROS = -1, USES_WIDE = false };

/* Sums, weights and broadcasts have 32 registers. */
#define DIRECT_GROUPS(TOKENS)     4
#define INT_DIRECT_GROUPS(TOKENS) ((TOKENS) == 1 ? 4 : 2)
#define FLOAT_PANEL_TILES(X)      X(2, 12) X(2, 8) X(4, 4) X(4, 2) X(4, 1)
#define INT_PANEL_TILES(X, KIND, OWN)                                                                        \
    X(KIND, OWN, 2, 6) X(KIND, OWN, 2, 4) X(KIND, OWN, 4, 2) X(KIND, OWN, 4, 1)
/* 8-bit codes are their own panel; others become u - z + 2^bits, which fits a byte. Only an 8-bit zero point
 * does not, and then each row subtracts its own. */
#define INT_PANEL_FAMILIES(X) X(8, 0) X(8, 1) X(16, 0)
#define PANEL_TILES(BITS, ABSMAX)                                                                            \
    ((BITS) < 8 ? int_panel_tiles_16_0 : (ABSMAX) ? int_panel_tiles_8_0 : int_panel_tiles_8_1)
#define PANEL_ZERO(BITS, ABSMAX) ((BITS) < 8 ? 1 << (BITS) : (ABSMAX) ? 128 : OWN_ZEROS)
/* Values of block formats are unsigned bytes as they are. */
#define BLOCK_PANEL_FAMILIES(X) X(16, plain32) X(16, min32) X(16, plain16) X(16, min16)
#define V4 16
#define V5 16
#define V6 16
#define V8 16
#define BLOCK_PANEL_ZERO(ZERO)  (ZERO)
#define DIRECT_ZERO(KIND, ZERO) (ZERO)

#define INLINE static inline __attribute__((always_inline))

typedef __m512 vf;
typedef __m512i vi;
typedef uint16_t u16_lanes __attribute__((vector_size(64)));
typedef uint32_t u32_lanes __attribute__((vector_size(64)));

INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
INLINE vf vf_set1(float value)
{
    return _mm512_set1_ps(value);
}
INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE void vf_store(float *p, vf value)
{
    _mm512_storeu_ps(p, value);
}
INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vf vf_from_vi(vi value)
{
    return _mm512_cvtepi32_ps(value);
}
INLINE vf nans(void)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
}
INLINE vf vf_canonical(vf value)
{
    return _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), nans());
}

typedef vf vf_table;
INLINE vf_table vf_table_load(const float *levels)
{
    return vf_load(levels);
}
/* Only the low four bits of an index count. */
INLINE vf vf_table_at(vf_table table, vi line, int shift)
{
    return _mm512_permutexvar_ps((vi)((u32_lanes)line >> shift), table);
}

INLINE vf vf_load_f16(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
INLINE vf vf_load_bf16(const uint8_t *p)
{
    __m512i codes = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(codes, 16));
}
/* Exponent and mantissa in f16's places are 2^-8 of the value, subnormals too. 7f and ff are NaN. */
INLINE vf vf_load_e4m3(const uint8_t *p)
{
    const __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)p), most = _mm_set1_epi8(0x7f);
    const __m256i shifted = _mm256_slli_epi16(_mm256_cvtepi8_epi16(codes), 7);
    const __m256i halves = _mm256_and_si256(shifted, _mm256_set1_epi16((short)0xbfff));
    const __mmask16 is_nan = _mm_cmpeq_epi8_mask(_mm_and_si128(codes, most), most);
    return _mm512_mask_mov_ps(_mm512_mul_ps(_mm512_cvtph_ps(halves), vf_set1(256.0f)), is_nan, nans());
}
/* e5m2 is f16 without its low byte. */
INLINE vf vf_load_e5m2(const uint8_t *p)
{
    const __m256i codes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm512_cvtph_ps(_mm256_slli_epi16(codes, 8));
}

INLINE vi vi_zero(void)
{
    return _mm512_setzero_si512();
}
INLINE vi vi_set1(int32_t value)
{
    return _mm512_set1_epi32(value);
}
INLINE vi vi_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}
INLINE void vi_store(uint8_t *p, vi value)
{
    _mm512_storeu_si512(p, value);
}
INLINE vi vi_load_u8(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
INLINE vi vi_load_i8(const uint8_t *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
INLINE vi vi_lookup(const uint8_t table[16], vi codes)
{
    const __m128i entries = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), codes);
}
/* 2^(code - 128). The exponent is the code less 1, where that is above 0. */
INLINE vf vf_load_half_e8m0(const uint8_t *p)
{
    const __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    const __m512i one = _mm512_set1_epi32(1), subnormal = _mm512_set1_epi32(0x00200000);
    const __m512i small = _mm512_sllv_epi32(subnormal, _mm512_min_epi32(code, one));
    const __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(code, one), 23);
    return _mm512_castsi512_ps(_mm512_max_epi32(bits, small));
}
/* Seven bits in f16's places are 2^-8 of the value, subnormals too; 7f is 0. */
INLINE vf vf_load_half_ue4m3(const uint8_t *p)
{
    const __m256i codes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
    const __m256i zero = _mm256_cmpeq_epi16(codes, _mm256_set1_epi16(0x7f));
    const __m256i halves = _mm256_slli_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0x7f)), 7);
    return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_andnot_si256(zero, halves)), vf_set1(128.0f));
}
INLINE vi vi_or(vi a, vi b)
{
    return _mm512_or_si512(a, b);
}
INLINE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}
INLINE vi vi_add_bytes(vi a, vi b)
{
    return _mm512_add_epi8(a, b);
}
INLINE vi vi_and_bytes(vi a, uint8_t mask)
{
    return _mm512_and_si512(a, _mm512_set1_epi8((char)mask));
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
    return _mm512_shuffle_epi8(a, _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0));
}

INLINE vi vi_quad(const int8_t *q)
{
    int32_t quad;
    __builtin_memcpy(&quad, q, sizeof quad);
    return _mm512_set1_epi32(quad);
}
INLINE vi vi_dot(int kind, vi sum, vi line, vi act)
{
    (void)kind;
    return _mm512_dpbusd_epi32(sum, line, act);
}
INLINE vi vi_zeros(int kind, const uint8_t *zeros)
{
    (void)kind;
    return vi_load_u8(zeros);
}
/* Both fit 16 bits, and the upper half of a zero point's lane is 0. */
INLINE vi vi_zero_term(vi zeros, int32_t minus_sum)
{
    return _mm512_madd_epi16(zeros, vi_set1(minus_sum));
}

#include "kernels/matmul_template.h"

void nb_kernels_fill_matmul_avx512(nb_kernels *k)
{
    fill_matmul(k);
}

void nb_unpack_signed_avx512(const nb_packed *w, size_t group, size_t block, size_t n_blocks, uint8_t *out)
{
    const int_weights from = int_weights_at(w, group, block);
    switch (w->quantizer.format->bits) {
    case 2: fill_bytes(2, 0, &from, n_blocks, out); break;
    case 3: fill_bytes(3, 0, &from, n_blocks, out); break;
    case 4: fill_bytes(4, 0, &from, n_blocks, out); break;
    case 5: fill_bytes(5, 0, &from, n_blocks, out); break;
    case 6: fill_bytes(6, 0, &from, n_blocks, out); break;
    default: fill_bytes(7, 0, &from, n_blocks, out); break;
    }
}

void nb_add_outliers_avx512(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y, size_t y_stride)
{
    add_outliers(w, begin, end, x, y, y_stride);
}

enum { LIMIT_CHAINS = 24, INT8_PER_PEAK = 128 };
INLINE vi vi_peak(vi sum, vi line, vi act)
{
    return vi_dot(8, sum, line, act);
}

#include "kernels/limits_template.h"

LIMITS(avx512)
