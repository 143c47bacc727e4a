/* The definition of what rounds activations to int8: plain C that a reader can follow, never optimised. */
#include "base/memory.h"
#include "kernels/levels.h"

#include <math.h>
#include <string.h>

/* The one NaN that leaves kernels. */
static float one_nan(void)
{
    static const uint32_t bits = 0x7fc00000;
    float nan;
    memcpy(&nan, &bits, sizeof nan);
    return nan;
}

static float clamped(float value)
{
    value = value < -127.0f ? -127.0f : value;
    return value > 127.0f ? 127.0f : value;
}

/* Numbers that are not finite count above all. */
static float largest(const float *x, size_t n)
{
    float amax = 0.0f;
    for (size_t k = 0; k < n; k++) {
        if (!isfinite(x[k]))
            return INFINITY;
        amax = fabsf(x[k]) > amax ? fabsf(x[k]) : amax;
    }
    return amax;
}

static void set_code(nb_act_block *block, size_t k, float rounded)
{
    block->q[k] = (int8_t)rounded;
    block->minus_sum -= block->q[k];
    block->minus_first -= k < NB_BLOCK / 2 ? block->q[k] : 0;
}

/* --- a scale a block --- */

static void quantize_block(const float *x, size_t n, nb_act_block *block)
{
    const float amax = largest(x, n), inverse = 127.0f / amax;
    *block = (nb_act_block){.scale = isfinite(amax) ? amax / 127.0f : one_nan()};
    if (!isfinite(amax) || amax == 0.0f)
        return;
    for (size_t k = 0; k < n; k++) {
        const float scaled = x[k] * inverse; /* NaN if 0 * Inf: the inverse of a tiny maximum overflows */
        set_code(block, k, scaled != scaled ? 0.0f : rintf(clamped(scaled)));
    }
}

static void quantize_acts(const float *x, size_t n_cols, nb_act_block *blocks, int16_t *wide)
{
    (void)wide; /* the definition reads the blocks */
    for (size_t b = 0; b * NB_BLOCK < n_cols; b++)
        quantize_block(x + b * NB_BLOCK, nb_min_size(NB_BLOCK, n_cols - b * NB_BLOCK), &blocks[b]);
}

/* --- one scale for all --- */

static size_t quantize_block_scaled(const float *x, size_t n, float scale, nb_act_block *block)
{
    const bool finite = isfinite(scale) && isfinite(largest(x, n));
    size_t n_clipped = 0;
    *block = (nb_act_block){.scale = finite ? scale : one_nan()};
    if (!finite || scale == 0.0f)
        return 0;
    for (size_t k = 0; k < n; k++) {
        const float rounded = rintf(x[k] / scale);
        set_code(block, k, clamped(rounded));
        n_clipped += fabsf(rounded) > 127.0f;
    }
    return n_clipped;
}

static size_t quantize_acts_scaled(const float *x, size_t n_cols, const float *scale, nb_act_block *blocks,
                                   int16_t *wide)
{
    (void)wide;
    const float used = scale != NULL ? *scale : largest(x, n_cols) / 127.0f;
    size_t n_clipped = 0;
    for (size_t b = 0; b * NB_BLOCK < n_cols; b++)
        n_clipped += quantize_block_scaled(x + b * NB_BLOCK, nb_min_size(NB_BLOCK, n_cols - b * NB_BLOCK), used,
                                           &blocks[b]);
    return n_clipped;
}

void nb_kernels_fill_acts_scalar(nb_kernels *k)
{
    k->quantize_acts = quantize_acts;
    k->quantize_acts_scaled = quantize_acts_scaled;
}
