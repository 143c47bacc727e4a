/* Matmul of many tokens for AMX: int8 weights and activations, a block at a time. Everything else is
 * avx512's.
 *
 * A tile product over the 32 columns of one block gives the int32 sums of 16 tokens by 16 rows, exactly:
 *
 *   acts      [16 tokens][32 columns]   int8, as quantized
 *   weights   [8 quads][16 rows][4]     int8: what a code is above its zero point; the lines of a packed
 * block sums      [16 tokens][16 rows]      int32
 *
 * The sums leave the tile through memory and meet their scales in vectors, lane = row, where the 16 tokens of
 * accumulators stay from the first block to the last of a panel. While one block's sums are scaled the next
 * block's are on their way. */
#include "base/memory.h"
#include "kernels/fetch.h"
#include "kernels/levels.h"
#include "kernels/limits.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Tile registers. Macros: the compilers want literal numbers. The small ones are for up to 8 tokens. */
#define SUMS       0
#define SMALL_SUMS 1
#define ACTS       2
#define SMALL_ACTS 3
#define WEIGHTS    4

enum {
    TOKENS = 16,
    SMALL_TOKENS = 8,
    LEAST_TOKENS = 13, /* fewer are as quick with avx512 */
    LINE = 64,
    BLOCK_BYTES = NB_ROWS * NB_BLOCK,
    PANEL_BLOCKS = 32,
    PANEL_GROUPS = 16,
    MOST_OUTLIERS = 32, /* that are added while the sums are in registers; more are in a pass of their own */
};

/* Intel SDM, LDTILECFG: palette 1 has tiles of up to 16 rows of 64 bytes. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;
_Static_assert(sizeof(tile_config) == 64, "as the instruction reads it");

/* Static, as is the other one: compilers do not see that loading reads all of it. */
static const tile_config config = {
    .palette = 1,
    .row_bytes =
        {[SUMS] = LINE, [SMALL_SUMS] = LINE, [ACTS] = NB_BLOCK, [SMALL_ACTS] = NB_BLOCK, [WEIGHTS] = LINE},
    .rows = {[SUMS] = TOKENS,
             [SMALL_SUMS] = SMALL_TOKENS,
             [ACTS] = TOKENS,
             [SMALL_ACTS] = SMALL_TOKENS,
             [WEIGHTS] = NB_BLOCK / 4},
};

/* Some blocks of a row group. */
typedef struct {
    _Alignas(64) uint8_t codes[PANEL_BLOCKS][BLOCK_BYTES];
    float scales[PANEL_BLOCKS][NB_ROWS];      /* only the first, if all blocks have the same */
    int16_t zeros[PANEL_BLOCKS][2 * NB_ROWS]; /* 8-bit: zero point less the 128 that the codes lost, and 0 */
} weight_panel;

/* The same blocks of 16 tokens. Tokens that do not exist are zeros. */
typedef struct {
    _Alignas(64) int8_t q[PANEL_BLOCKS][TOKENS][NB_BLOCK];
    float scales[PANEL_BLOCKS][TOKENS];
    int32_t minus_sums[PANEL_BLOCKS][TOKENS];
    float outliers[MOST_OUTLIERS][TOKENS];
} act_panel;

/* Where the sums go, which of them exist, and what f16 columns are added to them at last. */
typedef struct {
    float *y;
    size_t y_stride, n_tokens;
    __mmask16 rows;
    bool first, last; /* start from 0, not from what y holds; make every NaN the one NaN */
    const uint8_t *outliers; /* [n_outliers][16] */
    size_t n_outliers;
} tile_out;

/* --- multiplying --- */

#define MULTIPLY(SUMS_TILE, ACTS_TILE, Q, CODES, OUT)                                                        \
    _tile_loadd(ACTS_TILE, Q, NB_BLOCK);                                                                     \
    _tile_loadd(WEIGHTS, CODES, LINE);                                                                       \
    _tile_zero(SUMS_TILE);                                                                                   \
    _tile_dpbssd(SUMS_TILE, ACTS_TILE, WEIGHTS);                                                             \
    _tile_stored(SUMS_TILE, OUT, LINE)

INLINE void multiply_block(int tokens, const int8_t (*q)[NB_BLOCK], const uint8_t *codes,
                           int32_t (*sums)[NB_ROWS])
{
    if (tokens == TOKENS) {
        MULTIPLY(SUMS, ACTS, q, codes, sums);
    } else {
        MULTIPLY(SMALL_SUMS, SMALL_ACTS, q, codes, sums);
    }
}

INLINE __m512 canonical(__m512 value)
{
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
    return _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), nan);
}

/* step: 1 if each block has its own scales and zeros, else 0. */
INLINE void tile(int tokens, bool own_zeros, size_t n_blocks, const weight_panel *w, size_t step,
                 const act_panel *a, const tile_out *out)
{
    _Alignas(64) int32_t sums[2][TOKENS][NB_ROWS];
    __m512 acc[TOKENS];
    UNROLL for (int t = 0; t < tokens; t++)
    {
        const bool fresh = out->first || (size_t)t >= out->n_tokens;
        acc[t] =
            _mm512_maskz_loadu_ps(fresh ? 0 : out->rows, out->y + (fresh ? 0 : (size_t)t * out->y_stride));
    }
    multiply_block(tokens, a->q[0], w->codes[0], sums[0]);
    for (size_t b = 0; b < n_blocks; b++) {
        if (b + 1 < n_blocks)
            multiply_block(tokens, a->q[b + 1], w->codes[b + 1], sums[(b + 1) % 2]);
        const __m512 scale = _mm512_load_ps(w->scales[b * step]);
        const __m512i zero = own_zeros ? _mm512_load_si512(w->zeros[b * step]) : _mm512_setzero_si512();
        UNROLL for (int t = 0; t < tokens; t++)
        {
            __m512i sum = _mm512_load_si512(sums[b % 2][t]);
            if (own_zeros)
                sum = _mm512_dpwssd_epi32(sum, zero, _mm512_set1_epi32(a->minus_sums[b][t]));
            const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(a->scales[b][t]));
            acc[t] = _mm512_fmadd_ps(both, _mm512_cvtepi32_ps(sum), acc[t]);
        }
    }
    for (size_t o = 0; o < out->n_outliers; o++) {
        const void *column = out->outliers + o * NB_ROWS * sizeof(uint16_t);
        const __m512 weights = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)column));
        UNROLL for (int t = 0; t < tokens; t++)
            acc[t] = _mm512_fmadd_ps(weights, _mm512_set1_ps(a->outliers[o][t]), acc[t]);
    }
    UNROLL for (int t = 0; t < tokens; t++) if ((size_t)t < out->n_tokens) _mm512_mask_storeu_ps(
        out->y + (size_t)t * out->y_stride, out->rows, out->last ? canonical(acc[t]) : acc[t]);
}

typedef void tile_fn(size_t n_blocks, const weight_panel *w, size_t step, const act_panel *a,
                     const tile_out *out);

#define TILE(NAME, N_TOKENS, OWN_ZEROS)                                                                      \
    static void NAME(size_t n_blocks, const weight_panel *w, size_t step, const act_panel *a,                \
                     const tile_out *out)                                                                    \
    {                                                                                                        \
        tile(N_TOKENS, OWN_ZEROS, n_blocks, w, step, a, out);                                                \
    }
TILE(tile_whole, TOKENS, false)
TILE(tile_small, SMALL_TOKENS, false)
TILE(tile_whole_zeros, TOKENS, true)
TILE(tile_small_zeros, SMALL_TOKENS, true)

/* --- panels --- */

/* A part of a matmul: some row groups by some blocks. */
typedef struct {
    const nb_packed *w;
    const nb_acts *x;
    float *y;
    size_t y_stride;
    size_t group, n_groups;
    size_t block, n_blocks;
    bool own_zeros;
    size_t n_outliers; /* to be added in this part, which is the last of its rows: all, or none */
    nb_fetch next;     /* panel */
} pass;

static bool has_own_zeros(const nb_packed *w)
{
    return w->quantizer.format->bits == 8 && w->quantizer.scheme == NB_SCHEME_ZEROPOINT;
}

static void fill_scales(const pass *p, size_t group, weight_panel *panel)
{
    const nb_packed *w = p->w;
    const size_t n = w->n_scales == 1 ? 1 : p->n_blocks;
    for (size_t b = 0; b < n; b++) {
        const size_t scale_group = (p->block + b) / w->blocks_per_scale;
        const size_t at = group * w->scale_stride + scale_group * NB_ROWS;
        const __m512 scale = w->quantizer.scales_f32
                                 ? _mm512_loadu_ps((const float *)w->scales + at)
                                 : _mm512_cvtph_ps(_mm256_loadu_si256(
                                       (const __m256i *)(const void *)((const uint16_t *)w->scales + at)));
        _mm512_store_ps(panel->scales[b], scale);
        if (!p->own_zeros)
            continue;
        const uint8_t *zeros = w->zeros + group * w->zero_stride + scale_group * NB_ROWS;
        const __m512i zero = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)zeros));
        _mm512_store_si512(panel->zeros[b], _mm512_sub_epi16(zero, _mm512_set1_epi32(128)));
    }
}

/* 8-bit codes are above 128, whatever their zero point; narrower ones are above their zero point. */
static void fill_panel(const pass *p, size_t group, weight_panel *panel)
{
    fill_scales(p, group, panel);
    if (p->w->quantizer.format->bits < 8) {
        nb_unpack_signed_avx512(p->w, group, p->block, p->n_blocks, panel->codes[0]);
        return;
    }
    const uint8_t *from = p->w->codes + group * p->w->row_group_bytes + p->block * BLOCK_BYTES;
    for (size_t i = 0; i < p->n_blocks * BLOCK_BYTES; i += LINE)
        _mm512_store_si512(panel->codes[0] + i,
                           _mm512_xor_si512(_mm512_loadu_si512(from + i), _mm512_set1_epi8((char)0x80)));
}

static void fill_acts(const pass *p, size_t token, size_t n_tokens, act_panel *acts)
{
    if (n_tokens < TOKENS)
        memset(acts, 0, sizeof *acts);
    for (size_t t = 0; t < n_tokens; t++) {
        const nb_act_block *from = p->x->blocks + (token + t) * p->x->n_blocks + p->block;
        for (size_t b = 0; b < p->n_blocks; b++) {
            memcpy(acts->q[b][t], from[b].q, NB_BLOCK);
            acts->scales[b][t] = from[b].scale;
            acts->minus_sums[b][t] = from[b].minus_sum;
        }
        for (size_t o = 0; o < p->n_outliers; o++)
            acts->outliers[o][t] = p->x->outliers[(token + t) * p->x->outlier_stride + o];
    }
}

/* The codes of n_groups row groups from (group, block) on, while the panel's tiles are multiplied. */
static nb_fetch fetch_next(const pass *p, size_t group, size_t n_groups, size_t block)
{
    const size_t block_bytes = LINE * p->w->quantizer.format->bits;
    return nb_fetch_plan(p->w, group, n_groups, block * block_bytes,
                         nb_min_size(p->w->n_blocks - block, PANEL_BLOCKS) * block_bytes,
                         nb_div_up(p->x->n_tokens, TOKENS) * p->n_groups);
}

static void multiply_panels(pass *p, const weight_panel *panels)
{
    act_panel acts;
    const size_t step = p->w->n_scales > 1;
    for (size_t token = 0; token < p->x->n_tokens; token += TOKENS) {
        const size_t n_tokens = nb_min_size(p->x->n_tokens - token, TOKENS);
        tile_fn *run = n_tokens > SMALL_TOKENS ? p->own_zeros ? tile_whole_zeros : tile_whole
                       : p->own_zeros          ? tile_small_zeros
                                               : tile_small;
        fill_acts(p, token, n_tokens, &acts);
        for (size_t g = 0; g < p->n_groups; g++) {
            const size_t row = (p->group + g) * NB_ROWS, n_rows = nb_min_size(p->w->n_rows - row, NB_ROWS);
            tile_out out = {.y = p->y + token * p->y_stride + row,
                            .y_stride = p->y_stride,
                            .n_tokens = n_tokens,
                            .rows = (__mmask16)((1u << n_rows) - 1),
                            .first = p->block == 0,
                            .last = p->block + p->n_blocks == p->w->n_blocks,
                            .n_outliers = p->n_outliers};
            if (p->n_outliers > 0)
                out.outliers = p->w->outliers->codes + (p->group + g) * p->w->outliers->row_group_bytes;
            run(p->n_blocks, &panels[g], step, &acts, &out);
            nb_fetch_some(&p->next);
        }
    }
}

static nb_matmul_fn *of_few_tokens[9]; /* by bits; avx512's */

static void matmul_int(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                       size_t y_stride)
{
    if (x->n_tokens < LEAST_TOKENS) {
        of_few_tokens[w->quantizer.format->bits](w, begin, end, x, y, y_stride);
        return;
    }
    weight_panel panels[PANEL_GROUPS];
    const size_t n_outliers = w->outliers != NULL ? w->outliers->n_cols : 0;
    pass p = {.w = w, .x = x, .y = y, .y_stride = y_stride, .own_zeros = has_own_zeros(w)};
    _tile_loadconfig(&config);
    for (p.group = begin; p.group < end; p.group += p.n_groups) {
        p.n_groups = nb_min_size(end - p.group, PANEL_GROUPS);
        for (p.block = 0; p.block < w->n_blocks; p.block += p.n_blocks) {
            p.n_blocks = nb_min_size(w->n_blocks - p.block, PANEL_BLOCKS);
            const bool last = p.block + p.n_blocks == w->n_blocks;
            p.n_outliers = last && n_outliers <= MOST_OUTLIERS ? n_outliers : 0;
            for (size_t g = 0; g < p.n_groups; g++)
                fill_panel(&p, p.group + g, &panels[g]);
            const size_t next = p.group + p.n_groups;
            p.next = last ? fetch_next(&p, next, nb_min_size(end - next, PANEL_GROUPS), 0)
                          : fetch_next(&p, p.group, p.n_groups, p.block + p.n_blocks);
            multiply_panels(&p, panels);
        }
    }
    _tile_release();
    if (n_outliers > MOST_OUTLIERS)
        nb_add_outliers_avx512(w, begin, end, x, y, y_stride);
}

void nb_kernels_fill_matmul_amx(nb_kernels *k)
{
    nb_kernels_fill_matmul_avx512(k);
    for (unsigned bits = 2; bits <= 8; bits++) {
        of_few_tokens[bits] = k->matmul_int[bits];
        k->matmul_int[bits] = matmul_int;
    }
    k->matmul_block[NB_Q4_0] = k->matmul_block[NB_Q5_0] = k->matmul_block[NB_Q8_0] = matmul_int;
}

/* --- the tiles' own limit: products over 64 columns, nothing scaled --- */

static const tile_config whole_tiles = {
    .palette = 1,
    .row_bytes = {LINE, LINE, LINE, LINE, LINE, LINE, LINE, LINE},
    .rows = {TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS},
};

void nb_multiply_tiles_amx(size_t n)
{
    _tile_loadconfig(&whole_tiles);
    for (; n > 0; n--) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
}
