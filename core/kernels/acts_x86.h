/* What AVX2 and AVX-512 share of rounding activations. Included where INLINE is defined. */
#include <immintrin.h>

/* 32 codes, and the sums of their eight quads: four of each half. */
INLINE void store_block(__m256i codes, __m256i quads, nb_act_block *block)
{
    const __m128i pairs = _mm_hadd_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
    const __m128i halves = _mm_hadd_epi32(pairs, pairs);
    const int32_t first = _mm_cvtsi128_si32(halves), second = _mm_extract_epi32(halves, 1);
    block->minus_first = -first;
    block->minus_sum = -(first + second);
    _mm256_storeu_si256((__m256i *)(void *)block->q, codes);
}
