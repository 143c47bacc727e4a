#include "formats/block_parts.h"

/* q4_0 and q4_1 with a fifth bit, which lies apart: 32 of them are four bytes. */

static const nb_block_field q5_0_fields[] = {
    NB_FIELD(nb_block_q5_0, d, "scale, f16"),
    NB_FIELD(nb_block_q5_0, qh, "the fifth bits, code j's in bit j"),
    NB_FIELD(nb_block_q5_0, qs,
             "low four bits: codes 0-15 in the low nibbles, 16-31 in the high ones; 16 means 0"),
};
static const nb_block_field q5_1_fields[] = {
    NB_FIELD(nb_block_q5_1, d, "scale, f16"),
    NB_FIELD(nb_block_q5_1, m, "minimum, f16"),
    NB_FIELD(nb_block_q5_1, qh, "the fifth bits, code j's in bit j"),
    NB_FIELD(nb_block_q5_1, qs, "low four bits: codes 0-15 in the low nibbles, 16-31 in the high ones"),
};
_Static_assert(sizeof(nb_block_q5_0) == 22, "q5_0 is 22 bytes a block");
_Static_assert(sizeof(nb_block_q5_1) == 24, "q5_1 is 24 bytes a block");

static void unpack(const uint8_t qs[16], const uint8_t qh[4], uint8_t q[NB_BLOCK])
{
    for (size_t j = 0; j < NB_BLOCK; j++)
        q[j] = (uint8_t)((qh[j / 8] >> j % 8 & 1) << 4);
    nb_planes_read(qs, 16, 4, 0, q);
}

static void q5_0_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q5_0 *block = codes;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++) {
        uint8_t q[NB_BLOCK];
        unpack(block->qs, block->qh, q);
        float d = nb_read_f16(block->d);
        for (size_t j = 0; j < NB_BLOCK; j++)
            values[j] = d * (float)(q[j] - 16);
    }
}

static void q5_1_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q5_1 *block = codes;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++) {
        uint8_t q[NB_BLOCK];
        unpack(block->qs, block->qh, q);
        float d = nb_read_f16(block->d), m = nb_read_f16(block->m);
        for (size_t j = 0; j < NB_BLOCK; j++)
            values[j] = d * (float)q[j] + m;
    }
}

const nb_format nb_format_q5_0 = {
    .name = "q5_0",
    .summary = "5 bits and an f16 scale per 32: 5.5 bits a weight",
    .source = "GGUF, type 6",
    .lesson = "gguf",
    .kind = NB_FORMAT_BLOCK,
    .bits = 5,
    .gguf_type = 6,
    .max_rel_rmse = 0.05f,
    .decode_row = q5_0_decode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_q5_0),
    NB_FIELDS(q5_0_fields),
};

const nb_format nb_format_q5_1 = {
    .name = "q5_1",
    .summary = "5 bits, an f16 scale and an f16 minimum per 32: 6 bits a weight",
    .source = "GGUF, type 7",
    .lesson = "gguf",
    .kind = NB_FORMAT_BLOCK,
    .bits = 5,
    .gguf_type = 7,
    .max_rel_rmse = 0.05f,
    .decode_row = q5_1_decode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_q5_1),
    NB_FIELDS(q5_1_fields),
};
