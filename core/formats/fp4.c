#include "base/fours.h"
#include "formats/block_parts.h"
#include "formats/scale_search.h"

#include <math.h>

/* 4-bit floats, sign, two bits of exponent, one of mantissa: 0 0.5 1 1.5 2 3 4 6. mxfp4 scales 32 of them by
 * a power of two, nvfp4 16 of them by an 8-bit float. The table holds twice the numbers, and the scales are
 * halved. */

enum { NV_BLOCK = 64, NV_SUB = 16 };

const int8_t nb_e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static const nb_block_field mxfp4_fields[] = {
    NB_FIELD(nb_block_mxfp4, e, "scale, a power of two: e8m0, exponent + 127"),
    NB_FIELD(nb_block_mxfp4, qs, "e2m1 codes 0-15 in the low nibbles, 16-31 in the high ones"),
};
static const nb_block_field nvfp4_fields[] = {
    NB_FIELD(nb_block_nvfp4, d, "scales of the 4 sub-blocks: e4m3, never negative"),
    NB_FIELD(nb_block_nvfp4, qs,
             "e2m1 codes, 8 bytes a sub-block: its codes 0-7 in the low nibbles, 8-15 high"),
};
_Static_assert(sizeof(nb_block_mxfp4) == 17, "mxfp4 is 17 bytes a block");
_Static_assert(sizeof(nb_block_nvfp4) == 36, "nvfp4 is 36 bytes a block");

float nb_e8m0_half(uint8_t e)
{
    /* 2^-128 and 2^-127 are subnormal. ff, not a number in the standard, is one more power of two here. */
    return nb_f32_of_bits(e < 2 ? 0x00200000U << e : (uint32_t)(e - 1) << 23);
}

float nb_ue4m3_half(uint8_t code)
{
    /* 7f is NaN in f8_e4m3. A negative scale makes no sense; what a sign bit does is what
     * the reference does. */
    if (code == 0x7f)
        return 0;
    return nb_f32_of_bits(nb_small_float_widen(code & 0x7f, 3, 7)) * 0.5f;
}

/* 2 * n_bytes weights. */
static void look_up(const uint8_t *qs, size_t n_bytes, float half_scale, float *values)
{
    uint8_t q[NB_BLOCK] = {0};
    nb_planes_read(qs, n_bytes, 4, 0, q);
    for (size_t j = 0; j < 2 * n_bytes; j++)
        values[j] = half_scale * (float)nb_e2m1_doubled[q[j]];
}

static void mxfp4_decode(const void *codes, size_t n, float *values)
{
    const nb_block_mxfp4 *block = codes;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++)
        look_up(block->qs, sizeof block->qs, nb_e8m0_half(block->e), values);
}

static void nvfp4_decode(const void *codes, size_t n, float *values)
{
    const nb_block_nvfp4 *block = codes;
    for (; n > 0; n -= NV_BLOCK, values += NV_BLOCK, block++)
        for (size_t s = 0; s < NV_BLOCK / NV_SUB; s++)
            look_up(block->qs + NV_SUB / 2 * s, NV_SUB / 2, nb_ue4m3_half(block->d[s]), values + NV_SUB * s);
}

/* The nearest of the 16 numbers; of two as near, the one closer to 0. -0 does not occur. x: [2 n_bytes]. */
static void write_codes(const float *x, float half_scale, uint8_t *qs, size_t n_bytes)
{
    uint8_t q[NB_BLOCK];
    for (size_t j = 0; j < 2 * n_bytes; j += 4) {
        const nb_four number = nb_four_load(x + j), size = nb_four_abs(number);
        nb_four best = size; /* the error of code 0 */
        nb_four_int code = {0};
        for (int k = 1; k < 8; k++) {
            nb_four error = nb_four_abs((float)nb_e2m1_doubled[k] * half_scale - size);
            nb_four_int better = error < best;
            best = nb_four_choose(better, error, best);
            code = (better & k) | (~better & code);
        }
        code += (number < 0) & (code > 0) & 8;
        for (size_t lane = 0; lane < 4; lane++)
            q[j + lane] = (uint8_t)code[lane];
    }
    nb_planes_write(q, 0, 4, qs, n_bytes);
}

/* The power of two of log2(x) rounded to f32, x > 0. So close below a power of two that the logarithm rounds
 * up to it, it is that power; the reference's scale doubles there, and so does ours. */
static int floor_of_log2(float x)
{
    int exponent;
    double fraction = frexp((double)x, &exponent); /* x = fraction 2^exponent, fraction in [0.5, 1) */
    /* Next to 1, log2(1 - e) = -(e + e^2 / 2) / ln 2 to within e^3. */
    double e = 1 - fraction;
    if (e < 0x1p-16 && (float)((double)exponent - (e + e * e / 2) * 0x1.71547652b82fep0) == (float)exponent)
        return exponent;
    return exponent - 1;
}

static void mxfp4_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    (void)importance;
    nb_block_mxfp4 *block = blocks;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++) {
        float max = fabsf(nb_signed_max(values, NB_BLOCK));
        /* The largest code, 6, is 1.5 times 2^2. */
        int e = max > 0 ? floor_of_log2(max) - 2 + 127 : 0;
        block->e = (uint8_t)(e < 0 ? 0 : e);
        write_codes(values, nb_e8m0_half(block->e), block->qs, sizeof block->qs);
    }
}

/* A scale as e4m3: to nearest, ties upwards; 256 and more become 448, the largest. Not negative. */
static uint8_t ue4m3_encode(float x)
{
    if (!(x > 0))
        return 0;
    if (x < 0x1p-6f) { /* subnormal, steps of 2^-9 */
        int steps = (int)(x * 512 + 0.5f);
        return (uint8_t)(steps < 7 ? steps : 7);
    }
    if (x >= 256)
        return 0x7e;
    uint32_t rounded =
        (nb_f32_bits(x) + (1U << 19)) >> 20; /* exponent and 3 bits of fraction, a carry included */
    uint32_t code = rounded - ((127 - 7) << 3);
    return (uint8_t)(code < 0x78 ? code : 0x7e);
}

static void nvfp4_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    (void)importance;
    nb_block_nvfp4 *block = blocks;
    for (; n > 0; n -= NV_BLOCK, values += NV_BLOCK, block++)
        for (size_t s = 0; s < NV_BLOCK / NV_SUB; s++) {
            const float *x = values + NV_SUB * s;
            block->d[s] = ue4m3_encode(fabsf(nb_signed_max(x, NV_SUB)) / 6);
            write_codes(x, nb_ue4m3_half(block->d[s]), block->qs + NV_SUB / 2 * s, NV_SUB / 2);
        }
}

const nb_format nb_format_mxfp4 = {
    .name = "mxfp4",
    .summary = "4-bit floats and a power of two per 32: 4.25 bits a weight",
    .source = "OCP Microscaling Formats (MX) Specification; GGUF, type 39",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 4,
    .gguf_type = 39,
    .max_rel_rmse = 0.118f,
    .decode_row = mxfp4_decode,
    .encode_blocks = mxfp4_encode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_mxfp4),
    NB_FIELDS(mxfp4_fields),
};

const nb_format nb_format_nvfp4 = {
    .name = "nvfp4",
    .summary = "4-bit floats and an 8-bit float per 16: 4.5 bits a weight",
    .source = "NVIDIA NVFP4; GGUF, type 40",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 4,
    .gguf_type = 40,
    .max_rel_rmse = 0.097f,
    .decode_row = nvfp4_decode,
    .encode_blocks = nvfp4_encode,
    .block_size = NV_BLOCK,
    .block_bytes = sizeof(nb_block_nvfp4),
    NB_FIELDS(nvfp4_fields),
};
