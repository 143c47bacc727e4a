#include "kernels/block_layout.h"

#include "formats/block_parts.h"

#include <string.h>

/* iq4_nl's numbers, plus 128; twice the numbers of E2M1, plus 12. */
const uint8_t nb_block_tables[3][16] = {
    [NB_TABLE_IQ4] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241},
    [NB_TABLE_E2M1] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0},
};

/* Offsets and orders of bits: ggml's block structures, as the GGUF specification has them. */
static const nb_block_layout layouts[NB_BLOCK_IDS] = {
    [NB_Q4_0] = {&nb_format_q4_0, NB_Q4_0, 32, 8, .bits_at = {{2, 4, 32}}},
    [NB_Q4_1] = {&nb_format_q4_1, NB_Q4_1, 32, 0, .scales = NB_SCALES_F16_MIN, .min_offset = 2,
                 .bits_at = {{4, 4, 32}}},
    [NB_Q5_0] = {&nb_format_q5_0, NB_Q5_0, 32, 16, .bits_at = {{6, 4, 32}, {2, 1, 8}}},
    [NB_Q5_1] = {&nb_format_q5_1, NB_Q5_1, 32, 0, .scales = NB_SCALES_F16_MIN, .min_offset = 2,
                 .bits_at = {{8, 4, 32}, {4, 1, 8}}},
    [NB_Q8_0] = {&nb_format_q8_0, NB_Q8_0, 32, 128, .flip = 0x80, .bits_at = {{2, 8, 1}}},
    [NB_Q2_K] = {&nb_format_q2_k, NB_Q2_K, 16, 0, .scales = NB_SCALES_NIBBLES_MIN, .scale_offset = 80,
                 .min_offset = 82, .pieces = NB_PIECES_BYTES, .bits_at = {{16, 2, 128}}},
    [NB_Q3_K] = {&nb_format_q3_k, NB_Q3_K, 16, 4, .scales = NB_SCALES_I8, .scale_offset = 108,
                 .pieces = NB_PIECES_K3, .pieces_offset = 96, .bits_at = {{32, 2, 128}, {0, 1, 0}}},
    [NB_Q4_K] = {&nb_format_q4_k, NB_Q4_K, 32, 0, .scales = NB_SCALES_U8_MIN, .min_offset = 2,
                 .pieces = NB_PIECES_K4, .pieces_offset = 4, .bits_at = {{16, 4, 64}}},
    [NB_Q5_K] = {&nb_format_q5_k, NB_Q5_K, 32, 0, .scales = NB_SCALES_U8_MIN, .min_offset = 2,
                 .pieces = NB_PIECES_K4, .pieces_offset = 4, .bits_at = {{48, 4, 64}, {16, 1, 0}}},
    [NB_Q6_K] = {&nb_format_q6_k, NB_Q6_K, 16, 32, .scales = NB_SCALES_I8, .scale_offset = 208,
                 .pieces = NB_PIECES_BYTES, .pieces_offset = 192, .bits_at = {{0, 4, 128}, {128, 2, 128}}},
    [NB_IQ4_NL] = {&nb_format_iq4_nl, NB_IQ4_NL, 32, 128, .table = NB_TABLE_IQ4, .bits_at = {{2, 4, 32}}},
    [NB_IQ4_XS] = {&nb_format_iq4_xs, NB_IQ4_XS, 32, 128, .table = NB_TABLE_IQ4, .scales = NB_SCALES_I8,
                   .pieces = NB_PIECES_IQ4, .pieces_offset = 2, .bits_at = {{8, 4, 32}}},
    [NB_TQ1_0] = {&nb_format_tq1_0, NB_TQ1_0, 32, 1, .scale_offset = 52},
    [NB_TQ2_0] = {&nb_format_tq2_0, NB_TQ2_0, 32, 1, .scale_offset = 64, .bits_at = {{0, 2, 128}}},
    [NB_MXFP4] = {&nb_format_mxfp4, NB_MXFP4, 32, 12, .table = NB_TABLE_E2M1, .scales = NB_SCALES_E8M0,
                  .pieces = NB_PIECES_BYTES, .bits_at = {{1, 4, 32}}},
    [NB_NVFP4] = {&nb_format_nvfp4, NB_NVFP4, 16, 12, .table = NB_TABLE_E2M1, .scales = NB_SCALES_UE4M3,
                  .pieces = NB_PIECES_BYTES, .bits_at = {{4, 4, 16}}},
};

const nb_block_layout *nb_block_layout_at(nb_block_id id)
{
    return &layouts[id];
}

const nb_block_layout *nb_block_layout_of(const nb_format *format)
{
    for (size_t i = 0; format->kind == NB_FORMAT_BLOCK && i < NB_BLOCK_IDS; i++)
        if (layouts[i].format == format)
            return &layouts[i];
    return NULL;
}

/* --- codes --- */

static void split_bits(const nb_block_layout *layout, const uint8_t *block, uint8_t *codes)
{
    const unsigned n_cols = layout->format->block_size;
    unsigned low = 0;
    memset(codes, 0, n_cols);
    for (const nb_block_code_bits *bits = layout->bits_at; bits < layout->bits_at + 2 && bits->width; bits++) {
        const unsigned chunk = bits->chunk ? bits->chunk : 256, n_bytes = chunk * bits->width / 8;
        for (unsigned e = 0; e < n_cols; e += chunk)
            nb_planes_read(block + bits->offset + e / chunk * n_bytes, n_bytes, bits->width, low, codes + e);
        low += bits->width;
    }
    for (unsigned e = 0; layout->flip && e < n_cols; e++)
        codes[e] ^= layout->flip;
}

static void join_bits(const nb_block_layout *layout, const uint8_t *codes, uint8_t *block)
{
    const unsigned n_cols = layout->format->block_size;
    uint8_t flipped[256];
    unsigned low = 0;
    for (unsigned e = 0; e < n_cols; e++)
        flipped[e] = codes[e] ^ layout->flip;
    for (const nb_block_code_bits *bits = layout->bits_at; bits < layout->bits_at + 2 && bits->width; bits++) {
        const unsigned chunk = bits->chunk ? bits->chunk : 256, n_bytes = chunk * bits->width / 8;
        for (unsigned e = 0; e < n_cols; e += chunk)
            nb_planes_write(flipped + e, low, bits->width, block + bits->offset + e / chunk * n_bytes, n_bytes);
        low += bits->width;
    }
}

/* tq1_0: five digits of base 3 a byte, the first in front of the point: byte / 256 is a little more than
 * digits / 243. Each row: where its bytes are, how many, how many digits they have. */
static const struct {
    uint8_t offset, n_bytes, n_digits;
} ternary_runs[] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
enum { N_TERNARY_RUNS = sizeof ternary_runs / sizeof ternary_runs[0] };

static void split_ternary(const uint8_t *block, uint8_t *codes)
{
    for (unsigned run = 0; run < N_TERNARY_RUNS; run++) {
        const unsigned n_bytes = ternary_runs[run].n_bytes, n_digits = ternary_runs[run].n_digits;
        for (unsigned i = 0; i < n_bytes; i++) {
            uint8_t rest = block[ternary_runs[run].offset + i];
            for (unsigned digit = 0; digit < n_digits; digit++, rest = (uint8_t)(3 * rest))
                codes[digit * n_bytes + i] = (uint8_t)(3 * rest >> 8);
        }
        codes += n_bytes * n_digits;
    }
}

static void join_ternary(const uint8_t *codes, uint8_t *block)
{
    for (unsigned run = 0; run < N_TERNARY_RUNS; run++) {
        const unsigned n_bytes = ternary_runs[run].n_bytes, n_digits = ternary_runs[run].n_digits;
        for (unsigned i = 0; i < n_bytes; i++) {
            unsigned value = 0;
            for (unsigned digit = 0; digit < 5; digit++)
                value = 3 * value + (digit < n_digits ? codes[digit * n_bytes + i] : 0);
            block[ternary_runs[run].offset + i] = (uint8_t)((value * 256 + 242) / 243);
        }
        codes += n_bytes * n_digits;
    }
}

/* --- sub-blocks' pieces --- */

static void join_k4(const nb_block_parts *parts, uint8_t *to)
{
    for (unsigned i = 0; i < 4; i++) {
        const unsigned s = parts->pieces[0][i + 4], m = parts->pieces[1][i + 4];
        to[i] = (uint8_t)(parts->pieces[0][i] | s >> 4 << 6);
        to[i + 4] = (uint8_t)(parts->pieces[1][i] | m >> 4 << 6);
        to[i + 8] = (uint8_t)((s & 15) | (m & 15) << 4);
    }
}

static void split_k3(const uint8_t *from, uint8_t *pieces)
{
    nb_q3_k_scales_unpack(from, pieces);
    for (unsigned i = 0; i < 16; i++)
        pieces[i] = (uint8_t)(pieces[i] - 32);
}

static void join_k3(const uint8_t *pieces, uint8_t *to)
{
    for (unsigned i = 0; i < 16; i++) {
        const unsigned piece = (uint8_t)(pieces[i] + 32);
        to[i % 8] = (uint8_t)(to[i % 8] | (piece & 15) << i / 8 * 4);
        to[8 + i % 4] = (uint8_t)(to[8 + i % 4] | piece >> 4 << i / 4 * 2);
    }
}

static void split_iq4(const uint8_t *from, uint8_t *pieces)
{
    const unsigned high = from[0] | (unsigned)from[1] << 8;
    for (unsigned i = 0; i < 8; i++)
        pieces[i] = (uint8_t)(((from[2 + i / 2] >> i % 2 * 4 & 15) | (high >> 2 * i & 3) << 4) - 32);
}

static void join_iq4(const uint8_t *pieces, uint8_t *to)
{
    for (unsigned i = 0; i < 8; i++) {
        const unsigned piece = (uint8_t)(pieces[i] + 32);
        to[i / 4] = (uint8_t)(to[i / 4] | piece >> 4 << 2 * (i % 4));
        to[2 + i / 2] = (uint8_t)(to[2 + i / 2] | (piece & 15) << i % 2 * 4);
    }
}

/* --- blocks --- */

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void store_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

void nb_block_split(const nb_block_layout *layout, const uint8_t *block, nb_block_parts *parts)
{
    const uint8_t *pieces = block + layout->pieces_offset;
    if (layout->bits_at[0].width)
        split_bits(layout, block, parts->codes);
    else
        split_ternary(block, parts->codes);
    parts->scale = nb_block_has_f16(layout) ? load_u16(block + layout->scale_offset) : 0;
    parts->min = nb_block_has_min(layout) ? load_u16(block + layout->min_offset) : 0;
    memset(parts->pieces, 0, sizeof parts->pieces);
    switch (layout->pieces) {
    case NB_PIECES_NONE: break;
    case NB_PIECES_BYTES: memcpy(parts->pieces[0], pieces, layout->format->block_size / layout->sub_block); break;
    case NB_PIECES_K4: nb_k_scales_unpack(pieces, parts->pieces[0], parts->pieces[1]); break;
    case NB_PIECES_K3: split_k3(pieces, parts->pieces[0]); break;
    case NB_PIECES_IQ4: split_iq4(pieces, parts->pieces[0]); break;
    }
}

void nb_block_join(const nb_block_layout *layout, const nb_block_parts *parts, uint8_t *block)
{
    uint8_t *pieces = block + layout->pieces_offset;
    memset(block, 0, layout->format->block_bytes);
    if (layout->bits_at[0].width)
        join_bits(layout, parts->codes, block);
    else
        join_ternary(parts->codes, block);
    if (nb_block_has_f16(layout))
        store_u16(block + layout->scale_offset, parts->scale);
    if (nb_block_has_min(layout))
        store_u16(block + layout->min_offset, parts->min);
    switch (layout->pieces) {
    case NB_PIECES_NONE: break;
    case NB_PIECES_BYTES: memcpy(pieces, parts->pieces[0], layout->format->block_size / layout->sub_block); break;
    case NB_PIECES_K4: join_k4(parts, pieces); break;
    case NB_PIECES_K3: join_k3(parts->pieces[0], pieces); break;
    case NB_PIECES_IQ4: join_iq4(parts->pieces[0], pieces); break;
    }
}

/* --- what the pieces say --- */

void nb_block_scale(const nb_block_layout *layout, uint16_t scale, uint16_t min, uint8_t first, uint8_t second,
                    float *scale_w, float *min_w)
{
    const float d = nb_f32_from_f16(scale), m = nb_f32_from_f16(min);
    *min_w = 0.0f;
    switch (layout->scales) {
    case NB_SCALES_F16: *scale_w = d; break;
    case NB_SCALES_F16_MIN:
        *scale_w = d;
        *min_w = m;
        break;
    case NB_SCALES_I8: *scale_w = d * (float)(int8_t)first; break;
    case NB_SCALES_U8_MIN:
        *scale_w = d * (float)first;
        *min_w = -(m * (float)second);
        break;
    case NB_SCALES_NIBBLES_MIN:
        *scale_w = d * (float)(first & 15);
        *min_w = -(m * (float)(first >> 4));
        break;
    case NB_SCALES_E8M0: *scale_w = nb_e8m0_half(first); break;
    case NB_SCALES_UE4M3: *scale_w = nb_ue4m3_half(first); break;
    }
}
