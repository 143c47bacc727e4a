/* Activations to int8 for AVX-512: a block is two vectors of 16. */
#include "base/memory.h"
#include "kernels/levels.h"

#define INLINE static inline __attribute__((always_inline))

#include "kernels/acts_x86.h"

enum { LANES = 16 };

typedef __m512 vf;
typedef __m512i vi;

INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE vf vf_set1(float value) { return _mm512_set1_ps(value); }
INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vi vi_set1(int32_t value) { return _mm512_set1_epi32(value); }
INLINE vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
INLINE int32_t vi_greatest(vi a) { return _mm512_reduce_max_epi32(a); }
INLINE int32_t vi_total(vi a) { return _mm512_reduce_add_epi32(a); }
INLINE int vi_any_above(vi a, int32_t n) { return _mm512_cmpgt_epi32_mask(a, vi_set1(n)) != 0; }
INLINE vi vi_absolute(vf x) { return _mm512_and_si512(_mm512_castps_si512(x), vi_set1(0x7fffffff)); }

INLINE vi vi_round(vf x)
{
    const __mmask16 ordered = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    return _mm512_maskz_cvtps_epi32(ordered, _mm512_min_ps(_mm512_max_ps(x, vf_set1(-127.0f)), vf_set1(127.0f)));
}

/* 127.5 is rounded to the even 128. */
INLINE vi vi_count(vi n, vf x)
{
    const __mmask16 beyond = _mm512_cmp_ps_mask(_mm512_abs_ps(x), vf_set1(127.5f), _CMP_GE_OQ);
    return _mm512_mask_sub_epi32(n, beyond, n, vi_set1(-1));
}

/* The products with 1 add up to the quads' sums. */
INLINE void store_codes(const vi q[2], nb_act_block *block)
{
    const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(q[1]), _mm512_cvtepi32_epi8(q[0]));
    const __m256i quads = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes);
    store_block(bytes, quads, block);
}

INLINE void widen(const nb_act_block *blocks, size_t n_blocks, int16_t *wide)
{
    (void)blocks, (void)n_blocks, (void)wide;
}

#include "kernels/acts_template.h"

void nb_kernels_fill_acts_avx512(nb_kernels *k) { fill_acts(k); }
