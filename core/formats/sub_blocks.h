/* The k-quants with minimums: q2_k, q4_k, q5_k. 256 weights in sub-blocks, each with a scale and a minimum,
 * which are small integers: multiples of the super-block's two f16 numbers d and dmin. */
#ifndef NB_FORMATS_SUB_BLOCKS_H
#define NB_FORMATS_SUB_BLOCKS_H

#include "formats/block_parts.h"
#include "formats/scale_search.h"

typedef struct nb_sub_block_plan {
    nb_affine_search plain, important; /* without and with importance */
    int scale_limit;                   /* largest integer scale or minimum */
    bool add_rms; /* without importance, a weight counts |x| + the sub-block's root mean square, or |x| */
    float mean_square; /* with importance: the super-block's, times this */
} nb_sub_block_plan;

enum { NB_MAX_SUBS = 16 };
typedef struct nb_sub_blocks {
    uint8_t d[2], dmin[2]; /* f16 */
    /* The integers' low 8 bits; a sub-block whose best line falls makes one beyond the limit. */
    uint8_t scales[NB_MAX_SUBS], mins[NB_MAX_SUBS];
    uint8_t codes[NB_SUPER_BLOCK];
} nb_sub_blocks;

/* Chooses scales, minimums and codes for x: [256]. The codes are those of exact scales; after packing the
 * integers, nb_sub_blocks_recode makes them those of the scales as stored. importance: [256] or NULL. */
void nb_sub_blocks_search(const nb_sub_block_plan *plan, const float *x, const float *importance,
                          nb_sub_blocks *out);
/* scales, mins: as a reader of the packed block finds them. */
void nb_sub_blocks_recode(const nb_sub_block_plan *plan, const float *x, const uint8_t *scales,
                          const uint8_t *mins, nb_sub_blocks *blocks);

#endif
