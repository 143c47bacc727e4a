/* 16 lanes are one zmm register. */
#include <immintrin.h>

#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m512 lanes;
typedef __mmask16 nans;

enum { QUERIES = 4, TILES = 4, TILES_ALONE = 8 };

INLINE __mmask16 first(size_t n) { return (__mmask16)((1u << n) - 1); }

INLINE lanes lanes_set(float x) { return _mm512_set1_ps(x); }
INLINE lanes lanes_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void lanes_store(float *p, lanes a) { _mm512_storeu_ps(p, a); }
INLINE lanes lanes_load_part(const float *p, size_t n, float fill)
{
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), first(n), p);
}
INLINE void lanes_store_part(float *p, size_t n, lanes a) { _mm512_mask_storeu_ps(p, first(n), a); }

INLINE lanes lanes_add(lanes a, lanes b) { return _mm512_add_ps(a, b); }
INLINE lanes lanes_sub(lanes a, lanes b) { return _mm512_sub_ps(a, b); }
INLINE lanes lanes_mul(lanes a, lanes b) { return _mm512_mul_ps(a, b); }
INLINE lanes lanes_div(lanes a, lanes b) { return _mm512_div_ps(a, b); }
INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { return _mm512_fmadd_ps(a, b, c); }
INLINE lanes lanes_max(lanes a, lanes b) { return _mm512_max_ps(a, b); }
INLINE lanes lanes_min(lanes a, lanes b) { return _mm512_min_ps(a, b); }

INLINE lanes lanes_choose(lanes a, lanes b, lanes x, lanes y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}

INLINE lanes lanes_canonical(lanes a)
{
    const __mmask16 is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(a, is_nan, _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000)));
}

/* vscalefps rounds once, as the two multiplications of the definition do. */
INLINE lanes lanes_scale(lanes p, lanes t)
{
    return _mm512_scalef_ps(p, _mm512_sub_ps(t, _mm512_set1_ps(0x1.8p+23f)));
}

INLINE lanes lanes_rotate(lanes x, lanes cos_sin)
{
    const lanes a = _mm512_moveldup_ps(x), b = _mm512_movehdup_ps(x);
    const lanes sin_cos = _mm512_permute_ps(cos_sin, 0xb1);
    return _mm512_fmaddsub_ps(a, cos_sin, _mm512_mul_ps(b, sin_cos)); /* even lanes subtract */
}

INLINE float lanes_fold(lanes a)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

INLINE float lanes_fold_max(lanes a) { return _mm512_reduce_max_ps(a); }

typedef struct lanes_f64 {
    __m512d low, high;
} lanes_f64;

INLINE lanes_f64 lanes_f64_zero(void) { return (lanes_f64){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
INLINE lanes_f64 lanes_f64_add(lanes_f64 sums, lanes a)
{
    return (lanes_f64){_mm512_add_pd(sums.low, _mm512_cvtps_pd(_mm512_castps512_ps256(a))),
                       _mm512_add_pd(sums.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)))};
}
INLINE double lanes_f64_fold(lanes_f64 sums)
{
    const __m512d eight = _mm512_add_pd(sums.low, sums.high);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

INLINE nans nans_none(void) { return 0; }
INLINE nans nans_add(nans seen, lanes a)
{
    return (nans)(seen | _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q));
}
INLINE int nans_any(nans seen) { return seen != 0; }

#include "kernels/ops_lanes.h"

void nb_kernels_fill_ops_avx512(nb_kernels *k) { fill_ops(k); }
