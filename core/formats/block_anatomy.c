#include "formats/block_anatomy.h"

#include "formats/block_parts.h"

#include <stddef.h>

/* ---- where codes are ---- */

/* `bits` wide codes in planes of n bytes from `base` (blocks.h), the next plane where a byte is used up. */
static nb_block_bits in_planes(unsigned i, unsigned base, unsigned n, unsigned bits, unsigned place)
{
    const unsigned run = n * 8 / bits, within = i % run;
    return (nb_block_bits){base + i / run * n + within % n, within / n * bits, bits, place};
}

static unsigned locate_4_at_2(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, 2, 16, 4, 0);
    return 1;
}

static unsigned locate_4_at_4(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, 4, 16, 4, 0);
    return 1;
}

static unsigned locate_mxfp4(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_mxfp4, qs), 16, 4, 0);
    return 1;
}

static unsigned locate_nvfp4(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_nvfp4, qs), 8, 4, 0);
    return 1;
}

/* A little-endian word of 32 fifth bits: code i is bit i. */
static nb_block_bits fifth_bit(unsigned i, unsigned base)
{
    return (nb_block_bits){base + i / 8, i % 8, 1, 4};
}

static unsigned locate_q5_0(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_q5_0, qs), 16, 4, 0);
    pieces[1] = fifth_bit(i, offsetof(nb_block_q5_0, qh));
    return 2;
}

static unsigned locate_q5_1(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_q5_1, qs), 16, 4, 0);
    pieces[1] = fifth_bit(i, offsetof(nb_block_q5_1, qh));
    return 2;
}

static unsigned locate_q8_0(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = (nb_block_bits){(unsigned)offsetof(nb_block_q8_0, qs) + i, 0, 8, 0};
    return 1;
}

static unsigned locate_q2_k(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_q2_k, qs), 32, 2, 0);
    return 1;
}

static unsigned locate_q3_k(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_q3_k, qs), 32, 2, 0);
    pieces[1] = in_planes(i, offsetof(nb_block_q3_k, hmask), 32, 1, 2);
    return 2;
}

static unsigned locate_q4_k(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_q4_k, qs), 32, 4, 0);
    return 1;
}

static unsigned locate_q5_k(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_q5_k, qs), 32, 4, 0);
    pieces[1] = in_planes(i, offsetof(nb_block_q5_k, qh), 32, 1, 4);
    return 2;
}

static unsigned locate_q6_k(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_q6_k, ql), 64, 4, 0);
    pieces[1] = in_planes(i, offsetof(nb_block_q6_k, qh), 32, 2, 4);
    return 2;
}

static unsigned locate_iq4_xs(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_iq4_xs, qs), 16, 4, 0);
    return 1;
}

static unsigned locate_tq2_0(unsigned i, nb_block_bits pieces[2])
{
    pieces[0] = in_planes(i, offsetof(nb_block_tq2_0, qs), 32, 2, 0);
    return 1;
}

/* Five digits a byte for the first 240 numbers, in two runs of 32 and 16 bytes; four for the last 16. */
static unsigned locate_tq1_0(unsigned i, nb_block_bits pieces[2])
{
    const unsigned base = i < 160 ? 0 : i < 240 ? 32 : 48, n = i < 160 ? 32 : i < 240 ? 16 : 4;
    const unsigned within = i < 160 ? i : i < 240 ? i - 160 : i - 240;
    pieces[0] = (nb_block_bits){base + within % n, 0, 8, within / n};
    return 1;
}

/* ---- what numbers share ---- */

static void share_d(float d, nb_sub_block *out)
{
    *out = (nb_sub_block){.d = d, .factor = 1, .scale = d, .factor_byte = -1};
}

static void share_factor(float d, int factor, nb_sub_block *out)
{
    *out = (nb_sub_block){.d = d, .factor = factor, .scale = d * (float)factor, .factor_byte = -1};
}

static void share_min(float dmin, int min_factor, nb_sub_block *out)
{
    out->dmin = dmin;
    out->min_factor = min_factor;
    out->min = -(dmin * (float)min_factor);
}

static void share_first(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    (void)s;
    share_d(nb_read_f16(block), out);
}

/* q4_1, q5_1 */
static void share_first_and_min(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    share_first(block, s, out);
    out->min = nb_read_f16(block + 2);
}

static void share_q2_k(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    const nb_block_q2_k *b = (const nb_block_q2_k *)block;
    share_factor(nb_read_f16(b->d), b->scales[s] & 15, out);
    share_min(nb_read_f16(b->dmin), b->scales[s] >> 4, out);
}

static void share_q3_k(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    const nb_block_q3_k *b = (const nb_block_q3_k *)block;
    const unsigned low = s < 8 ? b->scales[s] & 15u : b->scales[s - 8] >> 4;
    const unsigned high = b->scales[8 + s % 4] >> 2 * (s / 4) & 3u;
    share_factor(nb_read_f16(b->d), (int)(low | high << 4) - 32, out);
}

/* q4_k and q5_k begin alike. */
static void share_q4_k(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    const nb_block_q4_k *b = (const nb_block_q4_k *)block;
    const uint8_t *packed = b->scales;
    unsigned scale = packed[s % 4] & 63u, min = packed[s % 4 + 4] & 63u;
    if (s >= 4) {
        scale = (packed[s + 4] & 15u) | (unsigned)packed[s - 4] >> 6 << 4;
        min = (unsigned)packed[s + 4] >> 4 | (unsigned)packed[s] >> 6 << 4;
    }
    share_factor(nb_read_f16(b->d), (int)scale, out);
    share_min(nb_read_f16(b->dmin), (int)min, out);
}

static void share_q6_k(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    const nb_block_q6_k *b = (const nb_block_q6_k *)block;
    share_factor(nb_read_f16(b->d), (int8_t)b->scales[s], out);
}

static void share_iq4_xs(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    const nb_block_iq4_xs *b = (const nb_block_iq4_xs *)block;
    const unsigned all_high = (unsigned)(b->scales_h[0] | b->scales_h[1] << 8);
    const unsigned low = b->scales_l[s / 2] >> 4 * (s % 2) & 15u, high = all_high >> 2 * s & 3u;
    share_factor(nb_read_f16(b->d), (int)(low | high << 4) - 32, out);
}

static void share_tq1_0(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    (void)s;
    share_d(nb_read_f16(block + offsetof(nb_block_tq1_0, d)), out);
}

static void share_tq2_0(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    (void)s;
    share_d(nb_read_f16(block + offsetof(nb_block_tq2_0, d)), out);
}

static void share_mxfp4(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    (void)s;
    share_d(nb_e8m0_half(block[0]), out);
    out->factor_byte = 0;
}

static void share_nvfp4(const uint8_t *block, unsigned s, nb_sub_block *out)
{
    share_d(nb_ue4m3_half(block[s]), out);
    out->factor_byte = (int)s;
}

/* ---- the table ---- */

static const nb_block_anatomy anatomies[] = {
    {.format = &nb_format_q4_0,
     .sub_block_size = 32,
     .offset = 8,
     .locate = locate_4_at_2,
     .share = share_first},
    {.format = &nb_format_q4_1,
     .sub_block_size = 32,
     .has_min = true,
     .locate = locate_4_at_4,
     .share = share_first_and_min},
    {.format = &nb_format_q5_0,
     .sub_block_size = 32,
     .offset = 16,
     .locate = locate_q5_0,
     .share = share_first},
    {.format = &nb_format_q5_1,
     .sub_block_size = 32,
     .has_min = true,
     .locate = locate_q5_1,
     .share = share_first_and_min},
    {.format = &nb_format_q8_0,
     .sub_block_size = 32,
     .rule = NB_LEVEL_SIGNED,
     .locate = locate_q8_0,
     .share = share_first},
    {.format = &nb_format_q2_k,
     .sub_block_size = 16,
     .has_factors = true,
     .has_min = true,
     .has_min_factors = true,
     .locate = locate_q2_k,
     .share = share_q2_k},
    {.format = &nb_format_q3_k,
     .sub_block_size = 16,
     .offset = 4,
     .has_factors = true,
     .locate = locate_q3_k,
     .share = share_q3_k},
    {.format = &nb_format_q4_k,
     .sub_block_size = 32,
     .has_factors = true,
     .has_min = true,
     .has_min_factors = true,
     .locate = locate_q4_k,
     .share = share_q4_k},
    {.format = &nb_format_q5_k,
     .sub_block_size = 32,
     .has_factors = true,
     .has_min = true,
     .has_min_factors = true,
     .locate = locate_q5_k,
     .share = share_q4_k},
    {.format = &nb_format_q6_k,
     .sub_block_size = 16,
     .offset = 32,
     .has_factors = true,
     .locate = locate_q6_k,
     .share = share_q6_k},
    {.format = &nb_format_iq4_nl,
     .sub_block_size = 32,
     .rule = NB_LEVEL_TABLE,
     .table = nb_iq4_table,
     .table_unit = 1,
     .locate = locate_4_at_2,
     .share = share_first},
    {.format = &nb_format_iq4_xs,
     .sub_block_size = 32,
     .rule = NB_LEVEL_TABLE,
     .table = nb_iq4_table,
     .table_unit = 1,
     .has_factors = true,
     .locate = locate_iq4_xs,
     .share = share_iq4_xs},
    {.format = &nb_format_tq1_0,
     .sub_block_size = 256,
     .rule = NB_LEVEL_TERNARY,
     .locate = locate_tq1_0,
     .share = share_tq1_0},
    {.format = &nb_format_tq2_0,
     .sub_block_size = 256,
     .offset = 1,
     .locate = locate_tq2_0,
     .share = share_tq2_0},
    {.format = &nb_format_mxfp4,
     .sub_block_size = 32,
     .rule = NB_LEVEL_TABLE,
     .table = nb_e2m1_doubled,
     .table_unit = 0.5f,
     .locate = locate_mxfp4,
     .share = share_mxfp4},
    {.format = &nb_format_nvfp4,
     .sub_block_size = 16,
     .rule = NB_LEVEL_TABLE,
     .table = nb_e2m1_doubled,
     .table_unit = 0.5f,
     .locate = locate_nvfp4,
     .share = share_nvfp4},
};

size_t nb_block_anatomy_count(void)
{
    return sizeof anatomies / sizeof *anatomies;
}

const nb_block_anatomy *nb_block_anatomy_at(size_t index)
{
    return index < nb_block_anatomy_count() ? &anatomies[index] : NULL;
}

const nb_block_anatomy *nb_block_anatomy_find(uint32_t gguf_type)
{
    for (size_t i = 0; i < nb_block_anatomy_count(); i++) {
        if ((uint32_t)anatomies[i].format->gguf_type == gguf_type)
            return &anatomies[i];
    }
    return NULL;
}

/* Digit n of a byte: times 3^n, modulo 256, the byte is a fraction whose next ternary digit comes first. */
static unsigned ternary_digit(unsigned byte, unsigned n)
{
    static const unsigned powers[5] = {1, 3, 9, 27, 81};
    return (byte * powers[n] & 255u) * 3 >> 8;
}

void nb_block_number_of(const nb_block_anatomy *a, const uint8_t *block, unsigned i, nb_block_number *out)
{
    *out = (nb_block_number){.sub_block = i / a->sub_block_size};
    out->n_pieces = a->locate(i, out->pieces);
    for (unsigned k = 0; k < out->n_pieces; k++) {
        const nb_block_bits *p = &out->pieces[k];
        const unsigned field = (unsigned)block[p->byte] >> p->shift & ((1u << p->n_bits) - 1);
        out->code |= a->rule == NB_LEVEL_TERNARY ? ternary_digit(field, p->place) : field << p->place;
    }
    switch (a->rule) {
    case NB_LEVEL_OFFSET:
        out->level = (int)out->code - a->offset;
        break;
    case NB_LEVEL_SIGNED:
        out->level = (int8_t)out->code;
        break;
    case NB_LEVEL_TABLE:
        out->level = a->table[out->code];
        break;
    case NB_LEVEL_TERNARY:
        out->level = (int)out->code - 1;
        break;
    }
    a->share(block, out->sub_block, &out->shared);
    out->value = out->shared.scale * (float)out->level;
    if (a->has_min)
        out->value += out->shared.min;
}
