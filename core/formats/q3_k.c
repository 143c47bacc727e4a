#include "formats/block_parts.h"
#include "formats/scale_search.h"

/* 256 weights of 3 bits in 16 sub-blocks of 16, each with a signed 6-bit scale and no minimum. The third bits
 * lie apart, and so do the top two bits of the scales:
 *
 *     scales[0..7]    low four bits of sub-blocks 0-7 (low nibbles) and 8-15 (high nibbles)
 *     scales[8..11]   top two bits: byte 8+j holds those of sub-blocks j, 4+j, 8+j, 12+j
 *
 * Both are planes again, of 8 bytes and of 4. */

enum { SUB = 16, N_SUBS = NB_SUPER_BLOCK / SUB };

static const nb_block_field q3_k_fields[] = {
    NB_FIELD(nb_block_q3_k, hmask, "third bits: bit k of byte j belongs to code 32k+j"),
    NB_FIELD(nb_block_q3_k, qs,
             "low two bits: byte j of a half's 32 holds its codes j, 32+j, 64+j, 96+j; 4 means 0"),
    NB_FIELD(nb_block_q3_k, scales,
             "16 scales of 6 bits: low four bits in 8 bytes, top two in 4; 32 means 0"),
    NB_FIELD(nb_block_q3_k, d, "scale of the scales, f16"),
};
_Static_assert(sizeof(nb_block_q3_k) == 110, "q3_k is 110 bytes a block");

void nb_q3_k_scales_unpack(const uint8_t packed[12], uint8_t scales[N_SUBS])
{
    memset(scales, 0, N_SUBS);
    nb_planes_read(packed, 8, 4, 0, scales);
    nb_planes_read(packed + 8, 4, 2, 4, scales);
}

static void q3_k_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q3_k *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK] = {0}, scales[N_SUBS];
        nb_planes_read(block->qs, 32, 2, 0, q);
        nb_planes_read(block->qs + 32, 32, 2, 0, q + 128);
        nb_planes_read(block->hmask, 32, 1, 2, q);
        nb_q3_k_scales_unpack(block->scales, scales);
        float d = nb_read_f16(block->d);
        for (size_t s = 0; s < N_SUBS; s++) {
            float scale = d * (float)(scales[s] - 32);
            for (size_t j = s * SUB; j < (s + 1) * SUB; j++)
                values[j] = scale * (float)(q[j] - 4);
        }
    }
}

/* Without importance: the scale that is largest in size becomes -32 steps. Returns what a step is worth. */
static float plain_integers(const float scales[N_SUBS], uint8_t integers[N_SUBS])
{
    memset(integers, 0, N_SUBS);
    float max = nb_signed_max(scales, N_SUBS);
    if (max == 0)
        return 0;
    float inverse = -32 / max;
    for (size_t s = 0; s < N_SUBS; s++) {
        int l = (int8_t)nb_nearest(inverse * scales[s]);
        integers[s] = (uint8_t)(32 + (l < -32 ? -32 : l > 31 ? 31 : l));
    }
    return 1 / inverse;
}

/* Codes by the scales as stored. Where a scale is 0, they stay. */
static void recode(const float x[NB_SUPER_BLOCK], float d, const uint8_t scales[N_SUBS],
                   uint8_t q[NB_SUPER_BLOCK])
{
    for (size_t s = 0; s < N_SUBS; s++) {
        float scale = d * (float)(scales[s] - 32);
        for (size_t j = s * SUB; scale != 0 && j < (s + 1) * SUB; j++) {
            int l = nb_nearest(x[j] / scale);
            q[j] = (uint8_t)(4 + (l < -4 ? -4 : l > 3 ? 3 : l));
        }
    }
}

static void q3_k_encode_block(const float x[NB_SUPER_BLOCK], const float *importance, nb_block_q3_k *block)
{
    float scales[N_SUBS], d;
    uint8_t q[NB_SUPER_BLOCK], integers[N_SUBS];
    if (importance) {
        float weights[NB_SUPER_BLOCK], sums[N_SUBS] = {0};
        nb_search_weights(x, importance, 2 * nb_sum_of_squares(x, NB_SUPER_BLOCK) / NB_SUPER_BLOCK,
                          NB_SUPER_BLOCK, weights);
        for (size_t j = 0; j < NB_SUPER_BLOCK; j++)
            sums[j / SUB] += weights[j];
        for (size_t s = 0; s < N_SUBS; s++)
            scales[s] = nb_search_signed(x + s * SUB, weights + s * SUB, SUB, 4, q + s * SUB);
        d = nb_search_signed(scales, sums, N_SUBS, 32, integers);
    } else {
        for (size_t s = 0; s < N_SUBS; s++)
            scales[s] = nb_search_signed_descent(x + s * SUB, SUB, 4, q + s * SUB);
        d = plain_integers(scales, integers);
    }
    nb_write_f16(d, block->d);
    nb_planes_write(integers, 0, 4, block->scales, 8);
    nb_planes_write(integers, 4, 2, block->scales + 8, 4);
    recode(x, nb_read_f16(block->d), integers, q);
    nb_planes_write(q, 0, 2, block->qs, 32);
    nb_planes_write(q + 128, 0, 2, block->qs + 32, 32);
    nb_planes_write(q, 2, 1, block->hmask, 32);
}

static void q3_k_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q3_k *block = blocks;
    for (size_t i = 0; i < n; i += NB_SUPER_BLOCK)
        q3_k_encode_block(values + i, importance ? importance + i : NULL, block++);
}

const nb_format nb_format_q3_k = {
    .name = "q3_k",
    .summary = "3 bits; signed scales of 16 weights in 6 bits: 3.4375 bits a weight",
    .source = "GGUF, type 11",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 3,
    .gguf_type = 11,
    .max_rel_rmse = 0.155f,
    .decode_row = q3_k_decode,
    .encode_blocks = q3_k_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_q3_k),
    NB_FIELDS(q3_k_fields),
};
