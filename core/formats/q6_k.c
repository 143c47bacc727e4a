#include "formats/block_parts.h"

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

const nb_format nb_format_q6_k = {
    .name = "q6_k",
    .summary = "6 bits; signed scales of 16 weights in 8 bits: 6.5625 bits a weight",
    .source = "GGUF, type 14",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 6,
    .gguf_type = 14,
    .max_rel_rmse = 0.02f,
    .decode_row = q6_k_decode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_q6_k),
    NB_FIELDS(q6_k_fields),
};
