/* 16 lanes are two ymm registers: lanes 0 to 7 and 8 to 15. */
#include <immintrin.h>

#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct lanes {
    __m256 low, high;
} lanes;
typedef __m256 nans;

enum { QUERIES = 6, TILES = 1, TILES_ALONE = 4 };

/* The first n of 16 from a window that slides over ones and zeros. */
static const int32_t window[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
INLINE __m256i first_low(size_t n) { return _mm256_loadu_si256((const __m256i *)(window + 16 - n)); }
INLINE __m256i first_high(size_t n) { return _mm256_loadu_si256((const __m256i *)(window + 24 - n)); }

INLINE lanes lanes_set(float x) { return (lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE lanes lanes_load(const float *p) { return (lanes){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
INLINE void lanes_store(float *p, lanes a)
{
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
}
INLINE lanes lanes_load_part(const float *p, size_t n, float fill)
{
    const __m256i low = first_low(n), high = first_high(n);
    const __m256 rest = _mm256_set1_ps(fill);
    return (lanes){_mm256_blendv_ps(rest, _mm256_maskload_ps(p, low), _mm256_castsi256_ps(low)),
                   _mm256_blendv_ps(rest, _mm256_maskload_ps(p + 8, high), _mm256_castsi256_ps(high))};
}
INLINE void lanes_store_part(float *p, size_t n, lanes a)
{
    _mm256_maskstore_ps(p, first_low(n), a.low);
    _mm256_maskstore_ps(p + 8, first_high(n), a.high);
}

#define BOTH(operation) (lanes){operation(a.low, b.low), operation(a.high, b.high)}
INLINE lanes lanes_add(lanes a, lanes b) { return BOTH(_mm256_add_ps); }
INLINE lanes lanes_sub(lanes a, lanes b) { return BOTH(_mm256_sub_ps); }
INLINE lanes lanes_mul(lanes a, lanes b) { return BOTH(_mm256_mul_ps); }
INLINE lanes lanes_div(lanes a, lanes b) { return BOTH(_mm256_div_ps); }
INLINE lanes lanes_max(lanes a, lanes b) { return BOTH(_mm256_max_ps); }
INLINE lanes lanes_min(lanes a, lanes b) { return BOTH(_mm256_min_ps); }
INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return (lanes){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

INLINE __m256 choose(__m256 a, __m256 b, __m256 x, __m256 y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
INLINE lanes lanes_choose(lanes a, lanes b, lanes x, lanes y)
{
    return (lanes){choose(a.low, b.low, x.low, y.low), choose(a.high, b.high, x.high, y.high)};
}

INLINE __m256 canonical(__m256 a)
{
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
    return _mm256_blendv_ps(a, nan, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
INLINE lanes lanes_canonical(lanes a) { return (lanes){canonical(a.low), canonical(a.high)}; }

/* The bits of t less those of 1.5 * 2^23 are n, which is split in halves as the definition does. */
INLINE __m256 scale(__m256 p, __m256 t)
{
    const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(0x4b400000));
    const __m256i one = _mm256_set1_epi32(127), half = _mm256_srai_epi32(n, 1);
    const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, one), 23);
    const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), one), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}
INLINE lanes lanes_scale(lanes p, lanes t) { return (lanes){scale(p.low, t.low), scale(p.high, t.high)}; }

INLINE __m256 rotate(__m256 x, __m256 cos_sin)
{
    const __m256 a = _mm256_moveldup_ps(x), b = _mm256_movehdup_ps(x);
    const __m256 sin_cos = _mm256_permute_ps(cos_sin, 0xb1);
    return _mm256_fmaddsub_ps(a, cos_sin, _mm256_mul_ps(b, sin_cos)); /* even lanes subtract */
}
INLINE lanes lanes_rotate(lanes a, lanes b) { return BOTH(rotate); }
#undef BOTH

INLINE float lanes_fold(lanes a)
{
    const __m256 eight = _mm256_add_ps(a.low, a.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

INLINE float lanes_fold_max(lanes a)
{
    const __m256 eight = _mm256_max_ps(a.low, a.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

typedef struct lanes_f64 {
    __m256d part[4]; /* 4 lanes each */
} lanes_f64;

INLINE lanes_f64 lanes_f64_zero(void)
{
    const __m256d zero = _mm256_setzero_pd();
    return (lanes_f64){{zero, zero, zero, zero}};
}
INLINE lanes_f64 lanes_f64_add(lanes_f64 sums, lanes a)
{
    return (lanes_f64){{
        _mm256_add_pd(sums.part[0], _mm256_cvtps_pd(_mm256_castps256_ps128(a.low))),
        _mm256_add_pd(sums.part[1], _mm256_cvtps_pd(_mm256_extractf128_ps(a.low, 1))),
        _mm256_add_pd(sums.part[2], _mm256_cvtps_pd(_mm256_castps256_ps128(a.high))),
        _mm256_add_pd(sums.part[3], _mm256_cvtps_pd(_mm256_extractf128_ps(a.high, 1))),
    }};
}
INLINE double lanes_f64_fold(lanes_f64 sums)
{
    const __m256d low = _mm256_add_pd(sums.part[0], sums.part[2]);
    const __m256d high = _mm256_add_pd(sums.part[1], sums.part[3]);
    const __m256d four = _mm256_add_pd(low, high);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

INLINE nans nans_none(void) { return _mm256_setzero_ps(); }
INLINE nans nans_add(nans seen, lanes a)
{
    return _mm256_or_ps(seen, _mm256_cmp_ps(a.low, a.high, _CMP_UNORD_Q)); /* either is NaN */
}
INLINE int nans_any(nans seen) { return _mm256_movemask_ps(seen) != 0; }

#include "kernels/ops_lanes.h"

void nb_kernels_fill_ops_avx2(nb_kernels *k) { fill_ops(k); }
