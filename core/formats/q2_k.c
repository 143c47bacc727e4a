#include "formats/sub_blocks.h"

/* 256 weights of 2 bits in 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum. Two f16 numbers
 * say what a step of the scales and of the minimums is worth. */

enum { SUB = 16, N_SUBS = NB_SUPER_BLOCK / SUB };

static const nb_block_field q2_k_fields[] = {
    NB_FIELD(nb_block_q2_k, scales, "16 sub-blocks: scale in the low nibble, minimum in the high one"),
    NB_FIELD(nb_block_q2_k, qs, "codes, 2 bits: byte j of a half's 32 holds its codes j, 32+j, 64+j, 96+j"),
    NB_FIELD(nb_block_q2_k, d, "scale of the scales, f16"),
    NB_FIELD(nb_block_q2_k, dmin, "scale of the minimums, f16"),
};
_Static_assert(sizeof(nb_block_q2_k) == 84, "q2_k is 84 bytes a block");

static void q2_k_decode(const void *codes, size_t n, float *values)
{
    const nb_block_q2_k *block = codes;
    for (; n > 0; n -= NB_SUPER_BLOCK, values += NB_SUPER_BLOCK, block++) {
        uint8_t q[NB_SUPER_BLOCK] = {0};
        nb_planes_read(block->qs, 32, 2, 0, q);
        nb_planes_read(block->qs + 32, 32, 2, 0, q + 128);
        float d = nb_read_f16(block->d), dmin = nb_read_f16(block->dmin);
        for (size_t s = 0; s < N_SUBS; s++) {
            float scale = d * (float)(block->scales[s] & 15), min = dmin * (float)(block->scales[s] >> 4);
            for (size_t j = s * SUB; j < (s + 1) * SUB; j++)
                values[j] = scale * (float)q[j] - min;
        }
    }
}

static const nb_sub_block_plan plan = {
    .plain = {.n = SUB, .limit = 3, .first = -0.5f, .step = 0.1f, .n_steps = 15, .absolute_error = true},
    .important = NB_SEARCH_IMPORTANT(SUB, 3),
    .scale_limit = 15,
    .mean_square = 1,
};

static void q2_k_encode(const float *values, size_t n, const float *importance, void *blocks)
{
    nb_block_q2_k *block = blocks;
    for (size_t i = 0; i < n; i += NB_SUPER_BLOCK, block++) {
        nb_sub_blocks subs;
        nb_sub_blocks_search(&plan, values + i, importance ? importance + i : NULL, &subs);
        for (size_t s = 0; s < N_SUBS; s++) {
            block->scales[s] = (uint8_t)(subs.scales[s] | subs.mins[s] << 4);
            subs.scales[s] = block->scales[s] & 15;
            subs.mins[s] = block->scales[s] >> 4;
        }
        nb_sub_blocks_recode(&plan, values + i, subs.scales, subs.mins, &subs);
        memcpy(block->d, subs.d, sizeof subs.d);
        memcpy(block->dmin, subs.dmin, sizeof subs.dmin);
        nb_planes_write(subs.codes, 0, 2, block->qs, 32);
        nb_planes_write(subs.codes + 128, 0, 2, block->qs + 32, 32);
    }
}

const nb_format nb_format_q2_k = {
    .name = "q2_k",
    .summary = "2 bits; scales and minimums of 16 weights in 4 bits each: 2.625 bits a weight",
    .source = "GGUF, type 10",
    .lesson = "kquants",
    .kind = NB_FORMAT_BLOCK,
    .bits = 2,
    .gguf_type = 10,
    .max_rel_rmse = 0.3f,
    .decode_row = q2_k_decode,
    .encode_blocks = q2_k_encode,
    .block_size = NB_SUPER_BLOCK,
    .block_bytes = sizeof(nb_block_q2_k),
    NB_FIELDS(q2_k_fields),
};
