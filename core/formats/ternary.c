#include "formats/block_parts.h"
#include "formats/scale_search.h"

#include <math.h>

/* Weights that are -1, 0 or 1 times a scale, 256 to a block. tq2_0 spends two bits on each. tq1_0 packs five
 * into a byte, since 3^5 = 243 < 256; as a fraction: the byte is ceil(256 v / 243) for the digits' number v,
 * so that multiplying it by 3 pushes the first digit out of the top of the byte, by 9 the second, and no
 * division is needed. */

static const nb_block_field tq1_0_fields[] = {
    NB_FIELD(nb_block_tq1_0, qs,
             "five digits a byte: 32 bytes hold codes 0-159, 16 bytes 160-239; 1 means 0"),
    NB_FIELD(nb_block_tq1_0, qh, "four digits a byte: codes 240-255"),
    NB_FIELD(nb_block_tq1_0, d, "scale, f16"),
};
static const nb_block_field tq2_0_fields[] = {
    NB_FIELD(nb_block_tq2_0, qs,
             "codes, 2 bits: byte j of a half's 32 holds its codes j, 32+j, 64+j, 96+j; 1 means 0"),
    NB_FIELD(nb_block_tq2_0, d, "scale, f16"),
};
_Static_assert(sizeof(nb_block_tq1_0) == 54, "tq1_0 is 54 bytes a block");
_Static_assert(sizeof(nb_block_tq2_0) == 66, "tq2_0 is 66 bytes a block");

/* n_digits ternary digits of each byte: digit k of byte j becomes code k * n_bytes + j. */
static void digits_read(const uint8_t *bytes, size_t n_bytes, size_t n_digits, uint8_t *codes)
{
    unsigned power = 1;
    for (size_t digit = 0; digit < n_digits; digit++, power *= 3)
        for (size_t j = 0; j < n_bytes; j++)
            codes[digit * n_bytes + j] = (uint8_t)((bytes[j] * power & 255) * 3 >> 8);
}

static void scale_codes(const uint8_t q[NB_SUPER_BLOCK], float d, float *values)
{
    for (size_t j = 0; j < NB_SUPER_BLOCK; j++)
        values[j] = d * (float)(q[j] - 1);
}

static void digits_write(const uint8_t *codes, size_t n_digits, uint8_t *bytes, size_t n_bytes)
{
    for (size_t j = 0; j < n_bytes; j++) {
        unsigned number = 0;
        for (size_t digit = 0; digit < 5; digit++)
            number = 3 * number + (digit < n_digits ? codes[digit * n_bytes + j] : 0);
        bytes[j] = (uint8_t)((number * 256 + 242) / 243);
    }
}

/* The scale is the largest weight's size, and what is half of it or more becomes 1 or -1. For weights that
 * were trained to be ternary; others lose most of what they say. */
static float find_codes(const float x[NB_SUPER_BLOCK], uint8_t q[NB_SUPER_BLOCK])
{
    float d = fabsf(nb_signed_max(x, NB_SUPER_BLOCK)), inverse = nb_inverse_step(d);
    for (size_t j = 0; j < NB_SUPER_BLOCK; j++)
        q[j] = (uint8_t)(1 + nb_round_away(x[j] * inverse));
    return d;
}

static void tq1_0_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    (void)importance;
    nb_block_tq1_0 *block = blocks;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK];
        nb_write_f16(find_codes(values, q), block->d);
        digits_write(q, 5, block->qs, 32);
        digits_write(q + 160, 5, block->qs + 32, 16);
        digits_write(q + 240, 4, block->qh, 4);
    }
}

static void tq2_0_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    (void)importance;
    nb_block_tq2_0 *block = blocks;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK];
        nb_write_f16(find_codes(values, q), block->d);
        nb_planes_write(q, 0, 2, block->qs, 32);
        nb_planes_write(q + 128, 0, 2, block->qs + 32, 32);
    }
}

static void tq1_0_decode(const void *codes, size_t n, float *values)
{
    const nb_block_tq1_0 *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK];
        digits_read(block->qs, 32, 5, q);
        digits_read(block->qs + 32, 16, 5, q + 160);
        digits_read(block->qh, 4, 4, q + 240);
        scale_codes(q, nb_read_f16(block->d), values);
    }
}

static void tq2_0_decode(const void *codes, size_t n, float *values)
{
    const nb_block_tq2_0 *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK] = {0};
        nb_planes_read(block->qs, 32, 2, 0, q);
        nb_planes_read(block->qs + 32, 32, 2, 0, q + 128);
        scale_codes(q, nb_read_f16(block->d), values);
    }
}

const nb_format nb_format_tq1_0 = {
    .name = "tq1_0",
    .summary = "-1, 0 or 1, five to a byte, an f16 scale per 256: 1.6875 bits a weight",
    .source = "GGUF, type 34",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 2,
    .gguf_type = 34,
    .max_rel_rmse = 0.83f,
    .decode_row = tq1_0_decode,
    .encode_blocks = tq1_0_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_tq1_0),
    NB_FIELDS(tq1_0_fields),
};

const nb_format nb_format_tq2_0 = {
    .name = "tq2_0",
    .summary = "-1, 0 or 1 in two bits, an f16 scale per 256: 2.0625 bits a weight",
    .source = "GGUF, type 35",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 2,
    .gguf_type = 35,
    .max_rel_rmse = 0.83f,
    .decode_row = tq2_0_decode,
    .encode_blocks = tq2_0_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_tq2_0),
    NB_FIELDS(tq2_0_fields),
};
