/* What BLOCK formats are made of, told once for packing, the definition and every level's kernels.
 *
 * A weight is scale_w * (u - zero) + min_w, where u is the stored code or what a table of 16 makes of it. scale_w and
 * min_w belong to a sub-block of 32 or 16 columns and are put together from the pieces that `scales` names:
 *
 *   F16            scale_w = d
 *   F16_MIN        scale_w = d          min_w = m
 *   I8             scale_w = d * s      s: int8
 *   U8_MIN         scale_w = d * s      min_w = -(dmin * m)      s, m: uint8
 *   NIBBLES_MIN    the same, s in the low and m in the high half of one byte
 *   E8M0           scale_w = 2^(s - 128): half of what the byte says, as the table holds twice the numbers
 *   UE4M3          scale_w = half of the number
 *
 * d, dmin and a float m are f16 and belong to a whole block. All products are exact in f32. */
#ifndef NB_KERNELS_BLOCK_LAYOUT_H
#define NB_KERNELS_BLOCK_LAYOUT_H

#include "formats/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel tables' index. */
typedef enum nb_block_id {
    NB_Q4_0, NB_Q4_1, NB_Q5_0, NB_Q5_1, NB_Q8_0, NB_Q2_K, NB_Q3_K, NB_Q4_K, NB_Q5_K, NB_Q6_K,
    NB_IQ4_NL, NB_IQ4_XS, NB_TQ1_0, NB_TQ2_0, NB_MXFP4, NB_NVFP4,
    NB_BLOCK_IDS,
} nb_block_id;

typedef enum nb_block_scales {
    NB_SCALES_F16, NB_SCALES_F16_MIN, NB_SCALES_I8, NB_SCALES_U8_MIN, NB_SCALES_NIBBLES_MIN, NB_SCALES_E8M0,
    NB_SCALES_UE4M3,
} nb_block_scales;

typedef enum nb_block_table { NB_TABLE_NONE, NB_TABLE_IQ4, NB_TABLE_E2M1 } nb_block_table;

/* How the pieces of sub-blocks lie in a block. */
typedef enum nb_block_pieces {
    NB_PIECES_NONE,
    NB_PIECES_BYTES, /* one after the other */
    NB_PIECES_K4,    /* 8 pairs of 6 bits in 12 bytes: q4_k, q5_k */
    NB_PIECES_K3,    /* 16 of 6 bits in 12 bytes, 32 too high: q3_k */
    NB_PIECES_IQ4,   /* 8 of 6 bits: the high 2 in a uint16, then the low 4 in 4 bytes; 32 too high: iq4_xs */
} nb_block_pieces;

/* Some bits of every code. Elements come in chunks: element e of one has `width` bits in byte e % n of the chunk's n =
 * chunk * width / 8, at bit width * (e / n). */
typedef struct nb_block_code_bits {
    uint8_t offset, width, chunk; /* width 0: there are no such bits; chunk 0: 256 */
} nb_block_code_bits;

typedef struct nb_block_layout {
    const nb_format *format; /* its bits are those of a stored code */
    nb_block_id id;
    unsigned sub_block; /* columns that share scale_w: 32 or 16 */
    int zero;
    nb_block_table table;
    nb_block_scales scales;
    uint8_t scale_offset, min_offset; /* of d, and of dmin or m */
    nb_block_pieces pieces;
    uint8_t pieces_offset;
    uint8_t flip;            /* exclusive or on codes: the int8 of q8_0 become unsigned */
    nb_block_code_bits bits_at[2]; /* from the low bits of a code up; none: base 3 (tq1_0) */
} nb_block_layout;

/* NULL for formats that are no blocks, or unknown. */
const nb_block_layout *nb_block_layout_of(const nb_format *format);
const nb_block_layout *nb_block_layout_at(nb_block_id id);

/* What table codes stand for, before `zero` is taken away: uint8. */
extern const uint8_t nb_block_tables[3][16];

/* u - zero, what scale_w multiplies. */
static inline int nb_block_value(const nb_block_layout *layout, unsigned code)
{
    return (int)(layout->table == NB_TABLE_NONE ? code : nb_block_tables[layout->table][code]) - layout->zero;
}
static inline bool nb_block_has_min(const nb_block_layout *layout)
{
    return layout->scales == NB_SCALES_F16_MIN || layout->scales == NB_SCALES_U8_MIN ||
           layout->scales == NB_SCALES_NIBBLES_MIN;
}
static inline bool nb_block_has_f16(const nb_block_layout *layout)
{
    return layout->scales != NB_SCALES_E8M0 && layout->scales != NB_SCALES_UE4M3;
}
/* Bytes that each sub-block has of its own. */
static inline unsigned nb_block_pieces_each(const nb_block_layout *layout)
{
    return layout->scales == NB_SCALES_U8_MIN                                               ? 2
           : layout->scales == NB_SCALES_F16 || layout->scales == NB_SCALES_F16_MIN ? 0
                                                                                            : 1;
}

/* One block taken apart. */
typedef struct nb_block_parts {
    uint8_t codes[256];
    uint16_t scale, min;    /* f16 */
    uint8_t pieces[2][16];  /* of each sub-block: s, then m */
} nb_block_parts;

void nb_block_split(const nb_block_layout *layout, const uint8_t *block, nb_block_parts *parts);
void nb_block_join(const nb_block_layout *layout, const nb_block_parts *parts, uint8_t *block);

/* scale_w and min_w (0 where there is none) of a sub-block. */
void nb_block_scale(const nb_block_layout *layout, uint16_t scale, uint16_t min, uint8_t first, uint8_t second,
                    float *scale_w, float *min_w);

#endif
