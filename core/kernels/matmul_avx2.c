/* Matmul for AVX2. vpmaddubsw multiplies unsigned codes with signed activations and adds pairs in 16 bits, where
 * it saturates: codes of up to 7 bits are safe, and the narrower they are the more products fit before they
 * must be widened. 8-bit codes are widened first, against activations that were widened once (`wide`). */
#include "kernels/matmul_avx2.h"

enum { OWN_ZEROS = -1, USES_WIDE = true };

/* Sums, weights and broadcasts have 16 registers. */
#define DIRECT_GROUPS(TOKENS) ((TOKENS) == 1 ? 4 : (TOKENS) == 2 ? 2 : 1)
#define INT_DIRECT_GROUPS(TOKENS) ((TOKENS) == 1 ? 2 : 1)
#define FLOAT_PANEL_TILES(X) X(1, 6) X(1, 4) X(2, 2) X(4, 1)
#define INT_PANEL_TILES(X, KIND, OWN) X(KIND, OWN, 1, 3) X(KIND, OWN, 1, 2) X(KIND, OWN, 2, 1)
/* Panels hold the bare codes. Kind 16 + n: of up to n bits. */
#define INT_PANEL_FAMILIES(X) X(8, 1) X(20, 1) X(21, 1) X(22, 1) X(23, 1)
#define PANEL_TILES(BITS, ABSMAX)                                                                                    \
    ((void)(ABSMAX), (BITS) == 8   ? int_panel_tiles_8_1                                                             \
                     : (BITS) == 7 ? int_panel_tiles_23_1                                                            \
                     : (BITS) == 6 ? int_panel_tiles_22_1                                                            \
                     : (BITS) == 5 ? int_panel_tiles_21_1                                                            \
                                   : int_panel_tiles_20_1)
#define PANEL_ZERO(BITS, ABSMAX) ((void)(ABSMAX), OWN_ZEROS)
#define BLOCK_PANEL_FAMILIES(X)                                                                                      \
    X(20, min32) X(21, min32) X(20, min16) X(21, plain32) X(22, plain16) X(8, plain32)
#define V4 20
#define V5 21
#define V6 22
#define V8 8
#define BLOCK_PANEL_ZERO(ZERO)  (ZERO)
#define DIRECT_ZERO(KIND, ZERO) (ZERO)
#define HAS_BLOCK_SUMS

#include "kernels/matmul_template.h"

/* Quads whose products fit 16 bits together: 2 * 127 * (2^bits - 1) each. */
INLINE int quads_in_16_bits(int bits) { return bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1; }

INLINE void narrow_sums(int kind, int first, int n, int groups, int tokens, const uint8_t *codes, size_t group_bytes,
                        const int_acts *a, vi sum[MAX_STRIPS][MAX_TOKENS])
{
    const int strips = groups * STRIPS_PER_GROUP, most = quads_in_16_bits(kind & 15), chunk = most < n ? most : n;
    UNROLL for (int c = first; c < first + n; c += chunk) {
        vi part[MAX_STRIPS][MAX_TOKENS];
        UNROLL for (int i = 0; i < chunk; i++) {
            vi line[MAX_STRIPS];
            UNROLL for (int s = 0; s < strips; s++)
                line[s] = load_line(kind, codes + (size_t)(s / STRIPS_PER_GROUP) * group_bytes, c + i,
                                    s % STRIPS_PER_GROUP);
            UNROLL for (int t = 0; t < tokens; t++) {
                const vi act = vi_quad(a->blocks[(size_t)t * a->stride].q + 4 * (c + i));
                UNROLL for (int s = 0; s < strips; s++) {
                    const vi products = _mm256_maddubs_epi16(line[s], act);
                    part[s][t] = i == 0 ? products : _mm256_add_epi16(part[s][t], products);
                }
            }
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int s = 0; s < strips; s++)
                sum[s][t] = _mm256_add_epi32(sum[s][t], _mm256_madd_epi16(part[s][t], _mm256_set1_epi16(1)));
        }
    }
}

/* 8-bit codes: columns 0 and 2 of a quad as 16-bit pairs, then 1 and 3. */
INLINE void wide_sums(int kind, int first, int n, int groups, int tokens, const uint8_t *codes, size_t group_bytes,
                      const int_acts *a, vi sum[MAX_STRIPS][MAX_TOKENS])
{
    const int strips = groups * STRIPS_PER_GROUP;
    UNROLL for (int c = first; c < first + n; c++) {
        vi even[MAX_STRIPS], odd[MAX_STRIPS];
        UNROLL for (int s = 0; s < strips; s++) {
            const vi line =
                load_line(kind, codes + (size_t)(s / STRIPS_PER_GROUP) * group_bytes, c, s % STRIPS_PER_GROUP);
            even[s] = _mm256_and_si256(line, _mm256_set1_epi16(0xff));
            odd[s] = _mm256_srli_epi16(line, 8);
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            const int16_t *wide = a->wide + (size_t)t * a->wide_stride + 4 * c;
            const vi act_even = vi_quad(wide), act_odd = vi_quad(wide + 2);
            UNROLL for (int s = 0; s < strips; s++)
                sum[s][t] = _mm256_add_epi32(sum[s][t], _mm256_add_epi32(_mm256_madd_epi16(even[s], act_even),
                                                                         _mm256_madd_epi16(odd[s], act_odd)));
        }
    }
}

INLINE void block_sums(int kind, int first, int n, int groups, int tokens, const uint8_t *codes, size_t group_bytes,
                       const int_acts *a, vi sum[MAX_STRIPS][MAX_TOKENS])
{
    if ((kind & 15) == 8)
        wide_sums(kind, first, n, groups, tokens, codes, group_bytes, a, sum);
    else
        narrow_sums(kind, first, n, groups, tokens, codes, group_bytes, a, sum);
}

void nb_kernels_fill_matmul_avx2(nb_kernels *k) { fill_matmul(k); }

enum { LIMIT_CHAINS = 12, INT8_PER_PEAK = 64 };
/* As narrow codes do it; 8-bit ones take twice as many. The barrier keeps the product inside the loop. */
INLINE vi vi_peak(vi sum, vi line, vi act)
{
    __asm__ volatile("" : "+x"(line));
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(line, act));
}

#include "kernels/limits_template.h"

LIMITS(avx2)
