#include "formats/block_parts.h"
#include "formats/scale_search.h"

#include <math.h>

/* 256 weights of 6 bits in 16 sub-blocks of 16, each with a signed 8-bit scale. */

enum { SUB = 16, N_SUBS = NB_SUPER_BLOCK / SUB };

static const nb_block_field q6_k_fields[] = {
    NB_FIELD(nb_block_q6_k, ql,
             "low four bits: byte j of a half's 64 holds its codes j and 64+j; 32 means 0"),
    NB_FIELD(nb_block_q6_k, qh, "top two bits: byte j of a half's 32 holds its codes j, 32+j, 64+j, 96+j"),
    NB_FIELD(nb_block_q6_k, scales, "16 scales, signed bytes"),
    NB_FIELD(nb_block_q6_k, d, "scale of the scales, f16"),
};
_Static_assert(sizeof(nb_block_q6_k) == 210, "q6_k is 210 bytes a block");

static void q6_k_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q6_k *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK] = {0};
        for (size_t half = 0; half < 2; half++) {
            nb_planes_read(block->ql + 64 * half, 64, 4, 0, q + 128 * half);
            nb_planes_read(block->qh + 32 * half, 32, 2, 4, q + 128 * half);
        }
        float d = nb_read_f16(block->d);
        for (size_t s = 0; s < N_SUBS; s++) {
            float scale = d * (float)(int8_t)block->scales[s];
            for (size_t j = s * SUB; j < (s + 1) * SUB; j++)
                values[j] = scale * (float)(q[j] - 32);
        }
    }
}

/* The scale that is largest in size becomes -128 steps. */
static void q6_k_encode_block(const float x[NB_SUPER_BLOCK], const float *importance, nb_block_q6_k *block)
{
    float scales[N_SUBS], squares[SUB];
    uint8_t q[NB_SUPER_BLOCK];
    for (size_t s = 0; s < N_SUBS; s++) {
        const float *sub = x + s * SUB;
        for (size_t j = 0; j < SUB; j++)
            squares[j] = sub[j] * sub[j];
        scales[s] = nb_search_signed(sub, importance ? importance + s * SUB : squares, SUB, 32, q + s * SUB);
    }
    const float max = nb_signed_max(scales, N_SUBS);
    if (fabsf(max) < NB_SEARCH_ZERO) {
        memset(block, 0, sizeof *block);
        return;
    }
    const float inverse = -128 / max;
    nb_write_f16(1 / inverse, block->d);
    const float d = nb_read_f16(block->d);
    for (size_t s = 0; s < N_SUBS; s++) {
        int integer = nb_nearest(inverse * scales[s]);
        block->scales[s] = (uint8_t)(integer < 127 ? integer : 127);
        float scale = d * (float)(int8_t)block->scales[s];
        for (size_t j = s * SUB; scale != 0 && j < (s + 1) * SUB; j++) {
            int l = nb_nearest(x[j] / scale);
            q[j] = (uint8_t)(32 + (l < -32 ? -32 : l > 31 ? 31 : l));
        }
    }
    for (size_t half = 0; half < 2; half++) {
        nb_planes_write(q + 128 * half, 0, 4, block->ql + 64 * half, 64);
        nb_planes_write(q + 128 * half, 4, 2, block->qh + 32 * half, 32);
    }
}

static void q6_k_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q6_k *block = blocks;
    for (size_t i = 0; i < n; i += NB_SUPER_BLOCK)
        q6_k_encode_block(values + i, importance ? importance + i : NULL, block++);
}

const nb_format nb_format_q6_k = {
    .name = "q6_k",
    .summary = "6 bits; signed scales of 16 weights in 8 bits: 6.5625 bits a weight",
    .source = "GGUF, type 14",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 6,
    .gguf_type = 14,
    .max_rel_rmse = 0.0182f,
    .decode_row = q6_k_decode,
    .encode_blocks = q6_k_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_q6_k),
    NB_FIELDS(q6_k_fields),
};
