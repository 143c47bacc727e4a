#include "formats/block_parts.h"
#include "formats/scale_search.h"

#include <math.h>

/* 32 weights as signed bytes with one scale: nothing to unpack. */

static const nb_block_field q8_0_fields[] = {
    NB_FIELD(nb_block_q8_0, d, "scale, f16"),
    NB_FIELD(nb_block_q8_0, qs, "codes, signed bytes"),
};
_Static_assert(sizeof(nb_block_q8_0) == 34, "q8_0 is 34 bytes a block");

static void q8_0_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q8_0 *block = codes;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++) {
        float d = nb_read_f16(block->d);
        for (size_t j = 0; j < NB_BLOCK; j++)
            values[j] = d * (float)(int8_t)block->qs[j];
    }
}

/* The largest weight becomes 127 or -127. Nothing is left to choose, so importance changes nothing. */
static void q8_0_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    (void)importance;
    nb_block_q8_0 *block = blocks;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++) {
        float d = fabsf(nb_signed_max(values, NB_BLOCK)) / 127, inverse = nb_inverse_step(d);
        for (size_t j = 0; j < NB_BLOCK; j++)
            block->qs[j] = (uint8_t)nb_round_away(values[j] * inverse);
        nb_write_f16(d, block->d);
    }
}

const nb_format nb_format_q8_0 = {
    .name = "q8_0",
    .summary = "8 bits and an f16 scale per 32: 8.5 bits a weight",
    .source = "GGUF, type 8",
    .lesson = "gguf",
    .kind = NB_FORMAT_BLOCK,
    .bits = 8,
    .gguf_type = 8,
    .max_rel_rmse = 0.0055f,
    .decode_row = q8_0_decode,
    .encode_blocks = q8_0_encode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_q8_0),
    NB_FIELDS(q8_0_fields),
};
