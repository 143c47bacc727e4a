#include "formats/block_parts.h"

/* 32 weights to a block, 4 bits each. q4_0 has one scale and a fixed zero at code 8; q4_1 a scale and a
 * minimum. */

static const nb_block_field q4_0_fields[] = {
    NB_FIELD(nb_block_q4_0, d, "scale, f16"),
    NB_FIELD(nb_block_q4_0, qs, "codes 0-15 in the low nibbles, 16-31 in the high ones; 8 means 0"),
};
static const nb_block_field q4_1_fields[] = {
    NB_FIELD(nb_block_q4_1, d, "scale, f16"),
    NB_FIELD(nb_block_q4_1, m, "minimum, f16"),
    NB_FIELD(nb_block_q4_1, qs, "codes 0-15 in the low nibbles, 16-31 in the high ones; 0 means the minimum"),
};
_Static_assert(sizeof(nb_block_q4_0) == 18, "q4_0 is 18 bytes a block");
_Static_assert(sizeof(nb_block_q4_1) == 20, "q4_1 is 20 bytes a block");

static void q4_0_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q4_0 *block = codes;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++) {
        uint8_t q[NB_BLOCK] = {0};
        nb_planes_read(block->qs, 16, 4, 0, q);
        float d = nb_read_f16(block->d);
        for (size_t j = 0; j < NB_BLOCK; j++)
            values[j] = d * (float)(q[j] - 8);
    }
}

static void q4_1_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q4_1 *block = codes;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++) {
        uint8_t q[NB_BLOCK] = {0};
        nb_planes_read(block->qs, 16, 4, 0, q);
        float d = nb_read_f16(block->d), m = nb_read_f16(block->m);
        for (size_t j = 0; j < NB_BLOCK; j++)
            values[j] = d * (float)q[j] + m;
    }
}

const nb_format nb_format_q4_0 = {
    .name = "q4_0",
    .summary = "4 bits and an f16 scale per 32: 4.5 bits a weight",
    .source = "GGUF, type 2",
    .lesson = "gguf",
    .kind = NB_FORMAT_BLOCK,
    .bits = 4,
    .gguf_type = 2,
    .max_rel_rmse = 0.1f,
    .decode_row = q4_0_decode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_q4_0),
    NB_FIELDS(q4_0_fields),
};

const nb_format nb_format_q4_1 = {
    .name = "q4_1",
    .summary = "4 bits, an f16 scale and an f16 minimum per 32: 5 bits a weight",
    .source = "GGUF, type 3",
    .lesson = "gguf",
    .kind = NB_FORMAT_BLOCK,
    .bits = 4,
    .gguf_type = 3,
    .max_rel_rmse = 0.1f,
    .decode_row = q4_1_decode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_q4_1),
    NB_FIELDS(q4_1_fields),
};
