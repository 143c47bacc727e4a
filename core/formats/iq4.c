#include "formats/block_parts.h"
#include "formats/scale_search.h"

/* 4-bit codes that are looked up: the 16 numbers lie closer together around 0, where most weights are. iq4_nl
 * is q4_0 with the table; iq4_xs groups 8 such blocks, whose 6-bit scales share one f16. */

enum { SUB = 32, N_SUBS = NB_SUPER_BLOCK / SUB };

const int8_t nb_iq4_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static const nb_block_field iq4_nl_fields[] = {
    NB_FIELD(nb_block_iq4_nl, d, "scale, f16"),
    NB_FIELD(nb_block_iq4_nl, qs,
             "places in the table: codes 0-15 in the low nibbles, 16-31 in the high ones"),
};
static const nb_block_field iq4_xs_fields[] = {
    NB_FIELD(nb_block_iq4_xs, d, "scale of the scales, f16"),
    NB_FIELD(nb_block_iq4_xs, scales_h, "top two bits of the 8 scales, lowest bits first"),
    NB_FIELD(nb_block_iq4_xs, scales_l, "low four bits of the 8 scales, low nibble first; 32 means 0"),
    NB_FIELD(nb_block_iq4_xs, qs,
             "places in the table, 16 bytes a sub-block: its codes 0-15 low, 16-31 high"),
};
_Static_assert(sizeof(nb_block_iq4_nl) == 18, "iq4_nl is 18 bytes a block");
_Static_assert(sizeof(nb_block_iq4_xs) == 136, "iq4_xs is 136 bytes a block");

/* 32 weights. */
static void look_up(const uint8_t qs[16], float scale, float *values)
{
    uint8_t q[SUB] = {0};
    nb_planes_read(qs, 16, 4, 0, q);
    for (size_t j = 0; j < SUB; j++)
        values[j] = scale * (float)nb_iq4_table[q[j]];
}

static void iq4_nl_decode(const void *codes, size_t n, float *values)
{
    const nb_block_iq4_nl *block = codes;
    for (; n > 0; n -= NB_BLOCK, values += NB_BLOCK, block++)
        look_up(block->qs, nb_read_f16(block->d), values);
}

static void iq4_xs_decode(const void *codes, size_t n, float *values)
{
    const nb_block_iq4_xs *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        float d = nb_read_f16(block->d);
        for (size_t s = 0; s < N_SUBS; s++) {
            int low = block->scales_l[s / 2] >> 4 * (s % 2) & 15,
                high = block->scales_h[s / 4] >> 2 * (s % 4) & 3;
            look_up(block->qs + 16 * s, d * (float)((low | high << 4) - 32), values + SUB * s);
        }
    }
}

/* The best scale of 32 weights. mean_square: of the block that they belong to, doubled;
 * importance or NULL. */
static float search_scale(const float x[SUB], const float *importance, float mean_square)
{
    float weights[SUB];
    if (importance)
        nb_search_weights(x, importance, mean_square, SUB, weights);
    else
        for (size_t j = 0; j < SUB; j++)
            weights[j] = x[j] * x[j];
    return nb_search_iq4(x, weights);
}

static void write_codes(const float x[SUB], float scale, uint8_t qs[16])
{
    uint8_t q[SUB];
    nb_iq4_nearest(x, scale != 0 ? 1 / scale : 0, q);
    nb_planes_write(q, 0, 4, qs, 16);
}

/* The codes are those of the scale before it becomes an f16. */
static void iq4_nl_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_iq4_nl *block = blocks;
    for (size_t i = 0; i < n; i += NB_BLOCK, block++) {
        const float *x = values + i;
        float scale =
            search_scale(x, importance ? importance + i : NULL, nb_sum_of_squares(x, SUB) * (2.0f / SUB));
        nb_write_f16(scale, block->d);
        write_codes(x, scale, block->qs);
    }
}

/* The scale that is largest in size becomes -32 steps of d. */
static void iq4_xs_encode_block(const float x[NB_SUPER_BLOCK], const float *importance,
                                nb_block_iq4_xs *block)
{
    const float mean_square = nb_sum_of_squares(x, NB_SUPER_BLOCK) * (2.0f / NB_SUPER_BLOCK);
    float scales[N_SUBS];
    for (size_t s = 0; s < N_SUBS; s++)
        scales[s] = search_scale(x + SUB * s, importance ? importance + SUB * s : NULL, mean_square);
    const float d = -nb_signed_max(scales, N_SUBS) / 32, inverse = d != 0 ? 1 / d : 0;
    nb_write_f16(d, block->d);
    uint8_t integers[N_SUBS];
    for (size_t s = 0; s < N_SUBS; s++) {
        int l = nb_nearest(inverse * scales[s]);
        l = l < -32 ? -32 : l > 31 ? 31 : l;
        integers[s] = (uint8_t)(l + 32);
        write_codes(x + SUB * s, d * (float)l, block->qs + 16 * s);
    }
    for (size_t s = 0; s < N_SUBS; s += 2)
        block->scales_l[s / 2] = (uint8_t)((integers[s] & 15) | (integers[s + 1] & 15) << 4);
    memset(block->scales_h, 0, sizeof block->scales_h);
    for (size_t s = 0; s < N_SUBS; s++)
        block->scales_h[s / 4] = (uint8_t)(block->scales_h[s / 4] | integers[s] >> 4 << 2 * (s % 4));
}

static void iq4_xs_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_iq4_xs *block = blocks;
    for (size_t i = 0; i < n; i += NB_SUPER_BLOCK)
        iq4_xs_encode_block(values + i, importance ? importance + i : NULL, block++);
}

const nb_format nb_format_iq4_nl = {
    .name = "iq4_nl",
    .summary = "4 bits through a table of 16 numbers, an f16 scale per 32: 4.5 bits a weight",
    .source = "GGUF, type 20",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 4,
    .gguf_type = 20,
    .max_rel_rmse = 0.078f,
    .decode_row = iq4_nl_decode,
    .encode_blocks = iq4_nl_encode,
    .block_size = NB_BLOCK,
    .block_bytes = sizeof(nb_block_iq4_nl),
    NB_FIELDS(iq4_nl_fields),
};

const nb_format nb_format_iq4_xs = {
    .name = "iq4_xs",
    .summary = "4 bits through a table, signed scales of 32 weights in 6 bits: 4.25 bits a weight",
    .source = "GGUF, type 23",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 4,
    .gguf_type = 23,
    .max_rel_rmse = 0.078f,
    .decode_row = iq4_xs_decode,
    .encode_blocks = iq4_xs_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_iq4_xs),
    NB_FIELDS(iq4_xs_fields),
};
