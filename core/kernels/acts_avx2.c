/* Activations to int8 for AVX2, and AVX-VNNI: a block is four vectors of 8. */
#include "base/memory.h"
#include "kernels/levels.h"

#define INLINE static inline __attribute__((always_inline))

#include "kernels/acts_x86.h"

enum { LANES = 8 };

typedef __m256 vf;
typedef __m256i vi;

INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE vf vf_set1(float value) { return _mm256_set1_ps(value); }
INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vi vi_set1(int32_t value) { return _mm256_set1_epi32(value); }
INLINE vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
INLINE vi vi_absolute(vf x) { return _mm256_and_si256(_mm256_castps_si256(x), vi_set1(0x7fffffff)); }

INLINE int32_t vi_greatest(vi a)
{
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

INLINE int32_t vi_total(vi a)
{
    __m128i m = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

INLINE int vi_any_above(vi a, int32_t n)
{
    return _mm256_movemask_epi8(_mm256_cmpgt_epi32(a, vi_set1(n))) != 0;
}

INLINE vi vi_round(vf x)
{
    const vf ordered = _mm256_cmp_ps(x, x, _CMP_ORD_Q);
    const vf clamped = _mm256_min_ps(_mm256_max_ps(x, vf_set1(-127.0f)), vf_set1(127.0f));
    return _mm256_cvtps_epi32(_mm256_and_ps(ordered, clamped));
}

/* 127.5 is rounded to the even 128. */
INLINE vi vi_count(vi n, vf x)
{
    const vf size = _mm256_castsi256_ps(vi_absolute(x));
    return _mm256_sub_epi32(n, _mm256_castps_si256(_mm256_cmp_ps(size, vf_set1(127.5f), _CMP_GE_OQ)));
}

/* Packing works within halves of a vector; the permutation puts the eight quads in order. The products with 1 add up to
 * the quads' sums. */
INLINE void store_codes(const vi q[4], nb_act_block *block)
{
    const vi packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    const vi bytes = _mm256_permutevar8x32_epi32(packed, _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
    const vi quads = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1));
    store_block(bytes, quads, block);
}

/* As int16, each quad's columns 0 and 2, then 1 and 3: what meets the two halves of 8-bit codes. AVX-VNNI wants none. */
INLINE void widen(const nb_act_block *blocks, size_t n_blocks, int16_t *wide)
{
    const __m128i order = _mm_set_epi8(15, 13, 14, 12, 11, 9, 10, 8, 7, 5, 6, 4, 3, 1, 2, 0);
    for (size_t b = 0; wide != NULL && b < n_blocks; b++)
        for (size_t i = 0; i < NB_BLOCK; i += 16) {
            const __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)(blocks[b].q + i));
            _mm256_storeu_si256((__m256i *)(void *)(wide + b * NB_BLOCK + i),
                                _mm256_cvtepi8_epi16(_mm_shuffle_epi8(codes, order)));
        }
}

#include "kernels/acts_template.h"

void nb_kernels_fill_acts_avx2(nb_kernels *k) { fill_acts(k); }
