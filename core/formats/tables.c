#include "formats/tables.h"

#include <math.h>

/* ---- levels ---- */

/* Quantiles of the normal distribution: each code is met as often as any other. Seven lie below 0, which is one of
 * them, and eight above, so that 0 and both ends are exact. */
static const float nf4_levels[NB_TABLE_CODES] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/* A sign, two bits of exponent, one of fraction, all divided by 12, the largest; 0.0625 where the format's own rules
 * would say 1. Neither the values nor their order are those of E2M1. */
#define TWELFTHS(x) ((x) / 12.0f)
static const float fp4_levels[NB_TABLE_CODES] = {
    0.0f,  TWELFTHS(0.0625f),  TWELFTHS(8.0f),  TWELFTHS(12.0f),  TWELFTHS(4.0f),  TWELFTHS(6.0f),  TWELFTHS(2.0f),  TWELFTHS(3.0f),
    -0.0f, TWELFTHS(-0.0625f), TWELFTHS(-8.0f), TWELFTHS(-12.0f), TWELFTHS(-4.0f), TWELFTHS(-6.0f), TWELFTHS(-2.0f), TWELFTHS(-3.0f),
};
/* The magnitudes by size. */
static const uint8_t fp4_order[8] = {0, 1, 6, 7, 4, 5, 2, 3};

/* Half way between two neighbours, once rounded: their sum has few enough bits. */
static float middle(float a, float b)
{
    return 0.5f * (a + b);
}

static uint32_t nf4_encode(float x)
{
    uint32_t code = 0;
    for (size_t i = 1; i < NB_TABLE_CODES; i++)
        code += x > middle(nf4_levels[i - 1], nf4_levels[i]);
    return code;
}

static float nf4_decode(uint32_t code)
{
    return nf4_levels[code & 15];
}

static uint32_t fp4_encode(float x)
{
    size_t rank = 0;
    for (size_t i = 1; i < 8; i++)
        rank += fabsf(x) > middle(fp4_levels[fp4_order[i - 1]], fp4_levels[fp4_order[i]]);
    return fp4_order[rank] | (x < 0 ? 8u : 0u);
}

static float fp4_decode(uint32_t code)
{
    return fp4_levels[code & 15];
}

void nb_table_encode(const nb_format *format, const float *x, size_t n, float absmax, uint8_t *codes)
{
    const float least = 1e-38f, inverse = 1.0f / (absmax > least ? absmax : least);
    if (format == &nb_format_nf4)
        for (size_t i = 0; i < n; i++)
            codes[i] = (uint8_t)nf4_encode(x[i] * inverse);
    else
        for (size_t i = 0; i < n; i++)
            codes[i] = (uint8_t)fp4_encode(x[i] * inverse);
}

void nb_table_pairs(const nb_format *format, const uint8_t *codes, size_t n, uint8_t *bytes)
{
    for (size_t i = 0; i < n; i += 2)
        bytes[i / 2] = (uint8_t)(codes[i] << 4 | (i + 1 < n ? codes[i + 1] : format->encode(0)));
}

/* ---- scales of scales ---- */

/* Below power of ten i - 6: 2^i numbers, in the middles of as many equal parts of 0.1 to 1. */
#define P0 1e-6
#define P1 1e-5
#define P2 1e-4
#define P3 1e-3
#define P4 1e-2
#define P5 1e-1
#define P6 1.0
#define VALUE(i, j)      (float)(P##i * (0.1 + 0.9 * (2 * (j) + 1) / (2 << (i))))
#define UP1(i, j)        VALUE(i, j),
#define UP2(i, j)        UP1(i, j) UP1(i, (j) + 1)
#define UP4(i, j)        UP2(i, j) UP2(i, (j) + 2)
#define UP8(i, j)        UP4(i, j) UP4(i, (j) + 4)
#define UP16(i, j)       UP8(i, j) UP8(i, (j) + 8)
#define UP32(i, j)       UP16(i, j) UP16(i, (j) + 16)
#define UP64(i, j)       UP32(i, j) UP32(i, (j) + 32)
#define DOWN1(i, j)      -VALUE(i, j),
#define DOWN2(i, j)      DOWN1(i, (j) + 1) DOWN1(i, j)
#define DOWN4(i, j)      DOWN2(i, (j) + 2) DOWN2(i, j)
#define DOWN8(i, j)      DOWN4(i, (j) + 4) DOWN4(i, j)
#define DOWN16(i, j)     DOWN8(i, (j) + 8) DOWN8(i, j)
#define DOWN32(i, j)     DOWN16(i, (j) + 16) DOWN16(i, j)
#define DOWN64(i, j)     DOWN32(i, (j) + 32) DOWN32(i, j)

const float nb_dynamic_map[256] = {
    DOWN64(6, 0) DOWN32(5, 0) DOWN16(4, 0) DOWN8(3, 0) DOWN4(2, 0) DOWN2(1, 0) DOWN1(0, 0)
    0.0f,
    UP1(0, 0) UP2(1, 0) UP4(2, 0) UP8(3, 0) UP16(4, 0) UP32(5, 0) UP64(6, 0)
    1.0f,
};

/* The nearest of the map; of two that are as near the lower one. */
static uint8_t nearest_in_map(float x)
{
    unsigned low = 0, high = 255; /* the answer lies in [low, high] */
    while (low < high) {
        const unsigned at = (low + high) / 2;
        if (x > middle(nb_dynamic_map[at], nb_dynamic_map[at + 1]))
            low = at + 1;
        else
            high = at;
    }
    return (uint8_t)low;
}

void nb_nest_scales(const float *scales, size_t n, uint8_t *codes, float *nested, float *offset)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)scales[i];
    *offset = n ? (float)(sum / (double)n) : 0;
    for (size_t first = 0; first < n; first += NB_NESTED_GROUP) {
        const size_t end = n - first < NB_NESTED_GROUP ? n : first + NB_NESTED_GROUP;
        float most = 0;
        for (size_t i = first; i < end; i++) {
            const float size = fabsf(scales[i] - *offset);
            most = size > most ? size : most;
        }
        nested[first / NB_NESTED_GROUP] = most;
        for (size_t i = first; i < end; i++)
            codes[i] = nearest_in_map(most > 0 ? (scales[i] - *offset) / most : 0);
    }
}

/* ---- the rows of the table ---- */

const nb_format nb_format_nf4 = {
    .name = "nf4",
    .summary = "4 bits through a table of normal quantiles, an f32 scale per 64: 4.5 bits a weight",
    .source = "Dettmers et al., QLoRA, arXiv 2305.14314, section 3 and appendix E",
    .lesson = "tables",
    .kind = NB_FORMAT_TABLE,
    .bits = 4,
    .max_finite = 1,
    .gguf_type = -1,
    .max_rel_rmse = 0.093f,
    .encode = nf4_encode,
    .decode = nf4_decode,
    .levels = nf4_levels,
};

const nb_format nb_format_fp4 = {
    .name = "fp4",
    .summary = "4 bits through a table of small floats, an f32 scale per 64: 4.5 bits a weight",
    .source = "bitsandbytes, FP4; Dettmers et al., QLoRA, arXiv 2305.14314, table 2",
    .lesson = "tables",
    .kind = NB_FORMAT_TABLE,
    .bits = 4,
    .max_finite = 1,
    .gguf_type = -1,
    .max_rel_rmse = 0.124f,
    .encode = fp4_encode,
    .decode = fp4_decode,
    .levels = fp4_levels,
};
