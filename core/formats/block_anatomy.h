/* One block of a BLOCK format taken apart, number by number, for those who want to see the bits: which bits
 * of which bytes are a number's code, what its sub-block adds, and what comes out. The codecs know nothing of
 * it. */
#ifndef NB_FORMATS_BLOCK_ANATOMY_H
#define NB_FORMATS_BLOCK_ANATOMY_H

#include "formats/format.h"

/* A piece of a code: `n_bits` of a byte, `shift` from its lowest; they are `place` up in the code. */
typedef struct nb_block_bits {
    unsigned byte, shift, n_bits, place;
} nb_block_bits;

/* What the numbers of a sub-block share; a plain block is one sub-block. w = scale * level + min. */
typedef struct nb_sub_block {
    float d, dmin;    /* of the block; dmin: what min codes are multiplied by */
    int factor;       /* scale = d * factor */
    int min_factor;   /* min = -(dmin * min_factor) */
    float scale, min; /* min: 0 where the format has none */
    int factor_byte;  /* nvfp4, mxfp4: the byte that alone is the scale; -1 elsewhere */
} nb_sub_block;

/* What makes a level, the number that is multiplied, of a code. */
typedef enum nb_level_rule {
    NB_LEVEL_OFFSET,  /* code - offset */
    NB_LEVEL_SIGNED,  /* the byte, two's complement */
    NB_LEVEL_TABLE,   /* table[code] */
    NB_LEVEL_TERNARY, /* a digit of base 3, minus 1; several share a byte */
} nb_level_rule;

typedef struct nb_block_anatomy {
    const nb_format *format;
    unsigned sub_block_size;
    nb_level_rule rule;
    int offset;          /* OFFSET */
    const int8_t *table; /* TABLE: [16] */
    float table_unit;    /* TABLE: what its entries count: 1, or 0.5 for e2m1 */
    bool has_factors;    /* sub-blocks have integer scales */
    bool has_min, has_min_factors;
    /* The pieces of number i's code; returns how many, at most 2. TERNARY: the byte, and place
     * is the digit. */
    unsigned (*locate)(unsigned i, nb_block_bits pieces[2]);
    void (*share)(const uint8_t *block, unsigned sub_block, nb_sub_block *out);
} nb_block_anatomy;

/* NULL for types that are no blocks, or blocks that nibble cannot read. */
const nb_block_anatomy *nb_block_anatomy_find(uint32_t gguf_type);
size_t nb_block_anatomy_count(void);
const nb_block_anatomy *nb_block_anatomy_at(size_t index);

typedef struct nb_block_number {
    nb_block_bits pieces[2];
    unsigned n_pieces;
    unsigned code; /* TERNARY: the digit */
    int level;
    unsigned sub_block;
    nb_sub_block shared;
    float value; /* as decode_row has it */
} nb_block_number;

/* Number i of the block, i < format->block_size. */
void nb_block_number_of(const nb_block_anatomy *anatomy, const uint8_t *block, unsigned i,
                        nb_block_number *out);

#endif
