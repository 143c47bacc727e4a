/* TABLE formats: a code is looked up among 16 reals and multiplied by the largest size in its group. And double
 * quantization, which stores those sizes in 8 bits.
 * Source: Dettmers et al., QLoRA, arXiv 2305.14314, section 3 and appendix E; the numbers are bitsandbytes'. */
#ifndef NB_FORMATS_TABLES_H
#define NB_FORMATS_TABLES_H

#include "formats/format.h"

enum {
    NB_TABLE_CODES = 16,
    NB_TABLE_GROUP = 64,         /* columns to a group unless said */
    NB_TABLE_MOST_GROUP = 4096,
    NB_NESTED_GROUP = 256,       /* scales that share a second scale */
};

extern const nb_format nb_format_nf4, nb_format_fp4;

/* Codes of x[n], finite, in a group whose largest size is absmax: the level nearest to x / absmax; of two that are
 * as near the one closer to the format's lower end (nf4) or to 0 (fp4). */
void nb_table_encode(const nb_format *format, const float *x, size_t n, float absmax, uint8_t *codes);

/* What the 8-bit codes of scales stand for, ascending: dense near 0, which is code 127; 255 is 1.
 * Source: Dettmers, 8-Bit Approximations for Parallelism in Deep Learning, arXiv 1511.04561, section 2.2. */
extern const float nb_dynamic_map[256];

/* Scales that are quantized themselves, in runs of NB_NESTED_GROUP: scale = map[code] * nested + offset. */
static inline float nb_nested_scale(uint8_t code, float nested, float offset)
{
    const float product = nb_dynamic_map[code] * nested;
    return product + offset;
}

/* scales[n] to codes[n], nested[n_nested(n)] and the offset, which is their mean (summed forwards in f64). */
static inline size_t nb_n_nested(size_t n_scales)
{
    return n_scales / NB_NESTED_GROUP + (n_scales % NB_NESTED_GROUP != 0);
}
void nb_nest_scales(const float *scales, size_t n, uint8_t *codes, float *nested, float *offset);

/* n codes as bitsandbytes packs them, two to a byte, the first in the high half; an odd last one beside a code that
 * stands for 0. */
void nb_table_pairs(const nb_format *format, const uint8_t *codes, size_t n, uint8_t *bytes);

#endif
