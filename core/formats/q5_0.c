#include "formats/block_parts.h"
#include "formats/scale_search.h"

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

static void pack(const uint8_t q[NB_BLOCK], uint8_t qs[16], uint8_t qh[4])
{
    memset(qh, 0, 4);
    for (size_t j = 0; j < NB_BLOCK; j++)
        qh[j / 8] = (uint8_t)(qh[j / 8] | (q[j] >> 4 & 1) << j % 8);
    nb_planes_write(q, 0, 4, qs, 16);
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

static void q5_0_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q5_0 *block = blocks;
    const float mean_square = importance ? nb_sum_of_squares(values, n) / (float)n : 0;
    for (size_t i = 0; i < n; i += NB_BLOCK, block++) {
        const float *x = values + i;
        uint8_t q[NB_BLOCK];
        float d;
        if (importance) {
            float weights[NB_BLOCK];
            nb_search_weights(x, importance + i, mean_square, NB_BLOCK, weights);
            d = nb_search_signed(x, weights, NB_BLOCK, 16, q);
        } else {
            d = nb_signed_max(x, NB_BLOCK) / -16;
            const float inverse = nb_inverse_step(d), zero = inverse == 0 && d != 0 ? 0 : 16.5f;
            for (size_t j = 0; j < NB_BLOCK; j++) {
                int code = (int)(x[j] * inverse + zero);
                q[j] = (uint8_t)(code < 31 ? code : 31);
            }
        }
        nb_write_f16(d, block->d);
        pack(q, block->qs, block->qh);
    }
}

static void q5_1_encode_plain(const float x[NB_BLOCK], nb_block_q5_1 *block)
{
    uint8_t q[NB_BLOCK];
    float min, max;
    nb_min_max(x, NB_BLOCK, &min, &max);
    float d = (max - min) / 31, inverse = nb_inverse_step(d);
    const float top = inverse == 0 ? min : max; /* x - min may be infinite where there is no step */
    for (size_t j = 0; j < NB_BLOCK; j++)
        q[j] = (uint8_t)(int)(((x[j] < top ? x[j] : top) - min) * inverse + 0.5f);
    nb_write_f16(d, block->d);
    nb_write_f16(min, block->m);
    pack(q, block->qs, block->qh);
}

static void q5_1_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q5_1 *block = blocks;
    if (!importance) {
        for (size_t i = 0; i < n; i += NB_BLOCK)
            q5_1_encode_plain(values + i, block++);
        return;
    }
    const float mean_square = nb_sum_of_squares(values, n) / (float)n;
    for (size_t i = 0; i < n; i += NB_SEARCH_LANES * NB_BLOCK) {
        float scales[NB_SEARCH_LANES], mins[NB_SEARCH_LANES];
        uint8_t q[NB_SEARCH_LANES * NB_BLOCK];
        size_t n_blocks =
            nb_search_affine_row(values + i, importance + i, n - i, mean_square, 31, scales, mins, q);
        for (size_t k = 0; k < n_blocks; k++, block++) {
            nb_write_f16(scales[k], block->d);
            nb_write_f16(-mins[k], block->m);
            pack(q + k * NB_BLOCK, block->qs, block->qh);
        }
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
    .max_rel_rmse = 0.044f,
    .decode_row = q5_0_decode,
    .encode_blocks = q5_0_encode,
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
    .max_rel_rmse = 0.0385f,
    .decode_row = q5_1_decode,
    .encode_blocks = q5_1_encode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_q5_1),
    NB_FIELDS(q5_1_fields),
};
