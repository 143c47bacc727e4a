/* What rounds activations to int8, written once. Included by one file per CPU level, which first defines
 *
 *   INLINE              static, and inlined whatever the compiler thinks
 *   LANES               floats, or int32, in one vector: vf, vi
 *   vf_load set1 mul div
 *   vi_set1 vi_max      the larger of two non-negative int32
 *   vi_greatest(a)      of all lanes
 *   vi_total(a)         their sum
 *   vi_any_above(a, n)  whether any lane is more
 *   vi_absolute(x)      the bits of |x|, which order as the values do, with infinity and NaN above all
 *   vi_round(x)         rint(x) clamped to 127 on either side; 0 of NaN
 *   vi_count(n, x)      one more in the lanes where rint(x) is beyond 127
 *   store_codes(q, block)   32 int32 as the block's codes and their sums
 *   widen(blocks, n_blocks, wide)   the codes as the level's matmul wants them besides
 *
 * A last block that is not whole is read from a copy with zeros behind it. */
#include <stdbool.h>
#include <string.h>

enum { PARTS = NB_BLOCK / LANES, LARGEST_FINITE = 0x7f7fffff, ONE_NAN = 0x7fc00000 };

INLINE float float_of(int32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Columns [32 b, 32 b + 32) of a row. */
INLINE const float *columns_of(const float *x, size_t n_cols, size_t b, float copy[NB_BLOCK])
{
    const float *from = x + b * NB_BLOCK;
    if (n_cols - b * NB_BLOCK >= NB_BLOCK)
        return from;
    memset(copy, 0, NB_BLOCK * sizeof *copy);
    memcpy(copy, from, (n_cols - b * NB_BLOCK) * sizeof *copy);
    return copy;
}

INLINE void empty_block(float scale, nb_act_block *block)
{
    memset(block, 0, sizeof *block);
    block->scale = scale;
}

/* --- a scale a block --- */

INLINE void quantize_block(const float *x, nb_act_block *block)
{
    vf part[PARTS];
    vi most = vi_set1(0), q[PARTS];
    for (int i = 0; i < PARTS; i++) {
        part[i] = vf_load(x + i * LANES);
        most = vi_max(most, vi_absolute(part[i]));
    }
    const int32_t bits = vi_greatest(most);
    if (bits == 0 || bits > LARGEST_FINITE) {
        empty_block(bits == 0 ? 0.0f : float_of(ONE_NAN), block);
        return;
    }
    const vf inverse = vf_set1(127.0f / float_of(bits));
    for (int i = 0; i < PARTS; i++)
        q[i] = vi_round(vf_mul(part[i], inverse));
    store_codes(q, block);
    block->scale = float_of(bits) / 127.0f;
}

static void quantize_acts(const float *x, size_t n_cols, nb_act_block *blocks, int16_t *wide)
{
    float copy[NB_BLOCK];
    const size_t n_blocks = nb_div_up(n_cols, NB_BLOCK);
    for (size_t b = 0; b < n_blocks; b++)
        quantize_block(columns_of(x, n_cols, b, copy), &blocks[b]);
    widen(blocks, n_blocks, wide);
}

/* --- one scale for all --- */

/* Adds to *n_clipped, lane by lane. */
INLINE void quantize_block_scaled(const float *x, float scale, nb_act_block *block, vi *n_clipped)
{
    vf part[PARTS];
    vi most = vi_set1(0), q[PARTS];
    for (int i = 0; i < PARTS; i++) {
        part[i] = vf_load(x + i * LANES);
        most = vi_max(most, vi_absolute(part[i]));
    }
    if (vi_any_above(most, LARGEST_FINITE)) {
        empty_block(float_of(ONE_NAN), block);
        return;
    }
    for (int i = 0; i < PARTS; i++) {
        const vf scaled = vf_div(part[i], vf_set1(scale));
        q[i] = vi_round(scaled);
        *n_clipped = vi_count(*n_clipped, scaled);
    }
    store_codes(q, block);
    block->scale = scale;
}

/* The bits of the largest |x|. */
static int32_t largest_bits(const float *x, size_t n_cols)
{
    float copy[NB_BLOCK];
    vi most[PARTS];
    for (int i = 0; i < PARTS; i++)
        most[i] = vi_set1(0);
    for (size_t b = 0; b * NB_BLOCK < n_cols; b++) {
        const float *from = columns_of(x, n_cols, b, copy);
        for (int i = 0; i < PARTS; i++)
            most[i] = vi_max(most[i], vi_absolute(vf_load(from + i * LANES)));
    }
    for (int i = 1; i < PARTS; i++)
        most[0] = vi_max(most[0], most[i]);
    return vi_greatest(most[0]);
}

static size_t quantize_acts_scaled(const float *x, size_t n_cols, const float *scale, nb_act_block *blocks,
                                   int16_t *wide)
{
    float copy[NB_BLOCK];
    const size_t n_blocks = nb_div_up(n_cols, NB_BLOCK);
    const int32_t bits = scale != NULL ? 0 : largest_bits(x, n_cols);
    const float used = scale != NULL            ? *scale
                       : bits <= LARGEST_FINITE ? float_of(bits) / 127.0f
                                                : float_of(ONE_NAN);
    vi n_clipped = vi_set1(0);
    for (size_t b = 0; b < n_blocks; b++) {
        if (used > 0.0f)
            quantize_block_scaled(columns_of(x, n_cols, b, copy), used, &blocks[b], &n_clipped);
        else /* all of x is 0 or nearly so, or not all of it is finite */
            empty_block(used, &blocks[b]);
    }
    widen(blocks, n_blocks, wide);
    return (size_t)vi_total(n_clipped);
}

static void fill_acts(nb_kernels *k)
{
    k->quantize_acts = quantize_acts;
    k->quantize_acts_scaled = quantize_acts_scaled;
}
