#include "formats/sub_blocks.h"

/* q4_k and q5_k: 256 weights in 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum. The sixteen
 * 6-bit numbers fill 12 bytes to the last bit: sub-blocks 0-3 have a byte each for scale and for minimum,
 * whose top two bits lend room to the top two bits of sub-blocks 4-7:
 *
 *     byte   0-3    | scale 4-7: bits 5,4 | scale 0-3, six bits        |
 *     byte   4-7    | min   4-7: bits 5,4 | min   0-3, six bits        |
 *     byte   8-11   | min 4-7: bits 3-0       | scale 4-7: bits 3-0    | */

/* How the scales come about: every sub-block of 32 looks for its best line scale * q + min (scale_search.c).
 * Of the 8 scales the largest becomes 63 steps of d, the others whole numbers of such steps; the same for the
 * minimums with dmin. That moves the lines a little, so all weights choose their codes again, by the lines as
 * stored. */

enum { SUB = 32, N_SUBS = NB_SUPER_BLOCK / SUB };

static const nb_block_field q4_k_fields[] = {
    NB_FIELD(nb_block_q4_k, d, "scale of the scales, f16"),
    NB_FIELD(nb_block_q4_k, dmin, "scale of the minimums, f16"),
    NB_FIELD(nb_block_q4_k, scales, "8 scales and 8 minimums of 6 bits"),
    NB_FIELD(nb_block_q4_k, qs, "codes: 32 bytes hold two sub-blocks, in low and in high nibbles"),
};
static const nb_block_field q5_k_fields[] = {
    NB_FIELD(nb_block_q5_k, d, "scale of the scales, f16"),
    NB_FIELD(nb_block_q5_k, dmin, "scale of the minimums, f16"),
    NB_FIELD(nb_block_q5_k, scales, "8 scales and 8 minimums of 6 bits"),
    NB_FIELD(nb_block_q5_k, qh, "fifth bits: bit s of byte j belongs to code j of sub-block s"),
    NB_FIELD(nb_block_q5_k, qs, "low four bits: 32 bytes hold two sub-blocks, in low and in high nibbles"),
};
_Static_assert(sizeof(nb_block_q4_k) == 144, "q4_k is 144 bytes a block");
_Static_assert(sizeof(nb_block_q5_k) == 176, "q5_k is 176 bytes a block");

void nb_k_scales_unpack(const uint8_t packed[12], uint8_t scales[N_SUBS], uint8_t mins[N_SUBS])
{
    for (size_t j = 0; j < 4; j++) {
        scales[j] = packed[j] & 63;
        mins[j] = packed[4 + j] & 63;
        scales[4 + j] = (uint8_t)((packed[8 + j] & 15) | packed[j] >> 6 << 4);
        mins[4 + j] = (uint8_t)(packed[8 + j] >> 4 | packed[4 + j] >> 6 << 4);
    }
}

/* Integers beyond 63 spill as the reference's do. */
static void k_scales_pack(const uint8_t scales[N_SUBS], const uint8_t mins[N_SUBS], uint8_t packed[12])
{
    for (size_t j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(scales[j] | scales[4 + j] >> 4 << 6);
        packed[4 + j] = (uint8_t)(mins[j] | mins[4 + j] >> 4 << 6);
        packed[8 + j] = (uint8_t)((scales[4 + j] & 15) | (mins[4 + j] & 15) << 4);
    }
}

/* q: [256] codes. */
static void scale_codes(const uint8_t *q, const uint8_t d_bytes[2], const uint8_t dmin_bytes[2],
                        const uint8_t packed[12], float *values)
{
    uint8_t scales[N_SUBS], mins[N_SUBS];
    nb_k_scales_unpack(packed, scales, mins);
    float d = nb_read_f16(d_bytes), dmin = nb_read_f16(dmin_bytes);
    for (size_t s = 0; s < N_SUBS; s++) {
        float scale = d * (float)scales[s], min = dmin * (float)mins[s];
        for (size_t j = s * SUB; j < (s + 1) * SUB; j++)
            values[j] = scale * (float)q[j] - min;
    }
}

static void q4_k_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q4_k *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK] = {0};
        for (size_t pair = 0; pair < N_SUBS / 2; pair++)
            nb_planes_read(block->qs + SUB * pair, SUB, 4, 0, q + 2 * SUB * pair);
        scale_codes(q, block->d, block->dmin, block->scales, values);
    }
}

static void q5_k_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q5_k *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK] = {0};
        for (size_t pair = 0; pair < N_SUBS / 2; pair++)
            nb_planes_read(block->qs + SUB * pair, SUB, 4, 0, q + 2 * SUB * pair);
        nb_planes_read(block->qh, 32, 1, 4, q);
        scale_codes(q, block->d, block->dmin, block->scales, values);
    }
}

static const nb_sub_block_plan q4_k_plan = {
    .plain = {.n = SUB, .limit = 15, .first = -1, .step = 0.1f, .n_steps = 20},
    .important = NB_SEARCH_IMPORTANT(SUB, 15),
    .scale_limit = 63,
    .add_rms = true,
    .mean_square = 2,
};
static const nb_sub_block_plan q5_k_plan = {
    .plain = {.n = SUB, .limit = 31, .first = -0.5f, .step = 0.1f, .n_steps = 15},
    .important = NB_SEARCH_IMPORTANT(SUB, 31),
    .scale_limit = 63,
    .add_rms = true,
    .mean_square = 2,
};

/* clamps: whether integers beyond 63 become 63. q4_k's reference does so without importance only. */
static void encode_subs(const nb_sub_block_plan *plan, const float *x, const float *importance, bool clamps,
                        uint8_t packed[12], nb_sub_blocks *subs)
{
    nb_sub_blocks_search(plan, x, importance, subs);
    for (size_t s = 0; clamps && s < N_SUBS; s++) {
        subs->scales[s] = subs->scales[s] < 63 ? subs->scales[s] : 63;
        subs->mins[s] = subs->mins[s] < 63 ? subs->mins[s] : 63;
    }
    k_scales_pack(subs->scales, subs->mins, packed);
    nb_k_scales_unpack(packed, subs->scales, subs->mins);
    nb_sub_blocks_recode(plan, x, subs->scales, subs->mins, subs);
}

static void q4_k_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q4_k *block = blocks;
    for (size_t i = 0; i < n; i += NB_SUPER_BLOCK, block++) {
        nb_sub_blocks subs;
        encode_subs(&q4_k_plan, values + i, importance ? importance + i : NULL, !importance, block->scales,
                    &subs);
        memcpy(block->d, subs.d, sizeof subs.d);
        memcpy(block->dmin, subs.dmin, sizeof subs.dmin);
        for (size_t pair = 0; pair < N_SUBS / 2; pair++)
            nb_planes_write(subs.codes + 2 * SUB * pair, 0, 4, block->qs + SUB * pair, SUB);
    }
}

static void q5_k_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q5_k *block = blocks;
    for (size_t i = 0; i < n; i += NB_SUPER_BLOCK, block++) {
        nb_sub_blocks subs;
        encode_subs(&q5_k_plan, values + i, importance ? importance + i : NULL, true, block->scales, &subs);
        memcpy(block->d, subs.d, sizeof subs.d);
        memcpy(block->dmin, subs.dmin, sizeof subs.dmin);
        for (size_t pair = 0; pair < N_SUBS / 2; pair++)
            nb_planes_write(subs.codes + 2 * SUB * pair, 0, 4, block->qs + SUB * pair, SUB);
        nb_planes_write(subs.codes, 4, 1, block->qh, 32);
    }
}

const nb_format nb_format_q4_k = {
    .name = "q4_k",
    .summary = "4 bits; scales and minimums of 32 weights in 6 bits each: 4.5 bits a weight",
    .source = "GGUF, type 12",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 4,
    .gguf_type = 12,
    .max_rel_rmse = 0.073f,
    .decode_row = q4_k_decode,
    .encode_blocks = q4_k_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_q4_k),
    NB_FIELDS(q4_k_fields),
};

const nb_format nb_format_q5_k = {
    .name = "q5_k",
    .summary = "5 bits; scales and minimums of 32 weights in 6 bits each: 5.5 bits a weight",
    .source = "GGUF, type 13",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 5,
    .gguf_type = 13,
    .max_rel_rmse = 0.037f,
    .decode_row = q5_k_decode,
    .encode_blocks = q5_k_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_q5_k),
    NB_FIELDS(q5_k_fields),
};
