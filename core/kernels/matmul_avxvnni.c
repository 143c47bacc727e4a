/* Matmul for AVX-VNNI: as avx2 with two strips a row group, but the products come from vpdpbusd. */
#include "kernels/matmul_avx2.h"

enum { OWN_ZEROS = -1, USES_WIDE = false };

/* Sums, weights and broadcasts have 16 registers. */
#define DIRECT_GROUPS(TOKENS)         ((TOKENS) == 1 ? 4 : (TOKENS) == 2 ? 2 : 1)
#define INT_DIRECT_GROUPS(TOKENS)     ((TOKENS) == 1 ? 2 : 1)
#define FLOAT_PANEL_TILES(X)          X(1, 6) X(1, 4) X(2, 2) X(4, 1)
#define INT_PANEL_TILES(X, KIND, OWN) X(KIND, OWN, 1, 3) X(KIND, OWN, 1, 2) X(KIND, OWN, 2, 1)
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

INLINE vi vi_dot(int kind, vi sum, vi line, vi act)
{
    (void)kind;
    return _mm256_dpbusd_avx_epi32(sum, line, act);
}

#include "kernels/matmul_template.h"

void nb_kernels_fill_matmul_avxvnni(nb_kernels *k)
{
    fill_matmul(k);
}

enum { LIMIT_CHAINS = 12, INT8_PER_PEAK = 64 };
INLINE vi vi_peak(vi sum, vi line, vi act)
{
    return vi_dot(8, sum, line, act);
}

#include "kernels/limits_template.h"

LIMITS(avxvnni)
