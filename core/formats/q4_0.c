#include "formats/block_parts.h"
#include "formats/scale_search.h"

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

/* The largest weight becomes code 0, -8 steps: its sign is the scale's. One step is lost on the other side,
 * where the largest one's opposite would be 8. */
static void q4_0_encode_plain(const float x[NB_BLOCK], nb_block_q4_0 *block)
{
    uint8_t q[NB_BLOCK];
    float d = nb_signed_max(x, NB_BLOCK) / -8, inverse = nb_inverse_step(d);
    /* Steps too small for an f32 leave codes of 0; a block of zeros has codes that mean 0. */
    const float zero = inverse == 0 && d != 0 ? 0 : 8.5f;
    for (size_t j = 0; j < NB_BLOCK; j++) {
        int code = (int)(x[j] * inverse + zero);
        q[j] = (uint8_t)(code < 15 ? code : 15);
    }
    nb_write_f16(d, block->d);
    nb_planes_write(q, 0, 4, block->qs, 16);
}

static void q4_0_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q4_0 *block = blocks;
    const float mean_square = importance ? nb_sum_of_squares(values, n) / (float)n : 0;
    for (size_t i = 0; i < n; i += NB_BLOCK, block++) {
        if (!importance) {
            q4_0_encode_plain(values + i, block);
            continue;
        }
        float weights[NB_BLOCK];
        uint8_t q[NB_BLOCK];
        nb_search_weights(values + i, importance + i, mean_square, NB_BLOCK, weights);
        nb_write_f16(nb_search_signed(values + i, weights, NB_BLOCK, 8, q), block->d);
        nb_planes_write(q, 0, 4, block->qs, 16);
    }
}

/* The smallest weight becomes code 0, the largest one 15. */
static void q4_1_encode_plain(const float x[NB_BLOCK], nb_block_q4_1 *block)
{
    uint8_t q[NB_BLOCK];
    float min, max;
    nb_min_max(x, NB_BLOCK, &min, &max);
    float d = (max - min) / 15, inverse = nb_inverse_step(d);
    const float top = inverse == 0 ? min : max; /* x - min may be infinite where there is no step */
    for (size_t j = 0; j < NB_BLOCK; j++) {
        int code = (int)(((x[j] < top ? x[j] : top) - min) * inverse + 0.5f);
        q[j] = (uint8_t)(code < 15 ? code : 15);
    }
    nb_write_f16(d, block->d);
    nb_write_f16(min, block->m);
    nb_planes_write(q, 0, 4, block->qs, 16);
}

static void q4_1_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q4_1 *block = blocks;
    if (!importance) {
        for (size_t i = 0; i < n; i += NB_BLOCK)
            q4_1_encode_plain(values + i, block++);
        return;
    }
    const float mean_square = nb_sum_of_squares(values, n) / (float)n;
    for (size_t i = 0; i < n; i += NB_SEARCH_LANES * NB_BLOCK) {
        float scales[NB_SEARCH_LANES], mins[NB_SEARCH_LANES];
        uint8_t q[NB_SEARCH_LANES * NB_BLOCK];
        size_t n_blocks =
            nb_search_affine_row(values + i, importance + i, n - i, mean_square, 15, scales, mins, q);
        for (size_t k = 0; k < n_blocks; k++, block++) {
            nb_write_f16(scales[k], block->d);
            nb_write_f16(-mins[k], block->m);
            nb_planes_write(q + k * NB_BLOCK, 0, 4, block->qs, 16);
        }
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
    .max_rel_rmse = 0.088f,
    .decode_row = q4_0_decode,
    .encode_blocks = q4_0_encode,
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
    .max_rel_rmse = 0.08f,
    .decode_row = q4_1_decode,
    .encode_blocks = q4_1_encode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_q4_1),
    NB_FIELDS(q4_1_fields),
};
