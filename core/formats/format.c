#include "formats/format.h"

#include "formats/blocks.h"
#include "formats/intn.h"
#include "formats/tables.h"

#include <string.h>

static const nb_format *const floats[] = {
    &nb_format_f32, &nb_format_f16, &nb_format_bf16, &nb_format_f8_e4m3, &nb_format_f8_e5m2,
};
static const nb_format *const blocks[] = {
    &nb_format_q8_0, &nb_format_q5_1,   &nb_format_q5_0,   &nb_format_q4_1,  &nb_format_q4_0,  &nb_format_q6_k,
    &nb_format_q5_k, &nb_format_q4_k,   &nb_format_q3_k,   &nb_format_q2_k,  &nb_format_iq4_nl, &nb_format_iq4_xs,
    &nb_format_mxfp4, &nb_format_nvfp4, &nb_format_tq2_0, &nb_format_tq1_0,
};
static const nb_format *const tables[] = {&nb_format_nf4, &nb_format_fp4};
enum {
    N_FLOATS = sizeof floats / sizeof floats[0],
    N_INTS = sizeof nb_format_ints / sizeof nb_format_ints[0],
    N_BLOCKS = sizeof blocks / sizeof blocks[0],
    N_TABLES = sizeof tables / sizeof tables[0],
};

size_t nb_format_count(void)
{
    return N_FLOATS + N_INTS + N_BLOCKS + N_TABLES;
}

const nb_format *nb_format_at(size_t index)
{
    if (index < N_FLOATS)
        return floats[index];
    if (index < N_FLOATS + N_INTS)
        return &nb_format_ints[N_FLOATS + N_INTS - 1 - index]; /* int8 first */
    index -= N_FLOATS + N_INTS;
    if (index < N_BLOCKS)
        return blocks[index];
    return index < N_BLOCKS + N_TABLES ? tables[index - N_BLOCKS] : NULL;
}

const nb_format *nb_format_find(const char *name)
{
    for (size_t i = 0; i < nb_format_count(); i++)
        if (strcmp(nb_format_at(i)->name, name) == 0)
            return nb_format_at(i);
    return NULL;
}

const nb_format *nb_format_int(unsigned bits)
{
    return bits >= NB_INT_MIN_BITS && bits <= NB_INT_MAX_BITS ? &nb_format_ints[bits - NB_INT_MIN_BITS]
                                                              : NULL;
}

size_t nb_format_row_bytes(const nb_format *format, size_t n)
{
    return format->kind == NB_FORMAT_BLOCK ? n / format->block_size * format->block_bytes : n * (format->bits / 8);
}

void nb_format_decode_row(const nb_format *format, const void *codes, size_t n, float *out)
{
    format->decode_row(codes, n, out);
}

void nb_format_encode_row(const nb_format *format, const float *values, size_t n, void *codes)
{
    format->encode_row(values, n, codes);
}
