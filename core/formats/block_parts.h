/* What the block formats' codecs share. */
#ifndef NB_FORMATS_BLOCK_PARTS_H
#define NB_FORMATS_BLOCK_PARTS_H

#include "formats/blocks.h"
#include "formats/small_float.h"

static inline float nb_read_f16(const uint8_t bytes[2])
{
    return nb_f32_from_f16((uint16_t)(bytes[0] | bytes[1] << 8));
}

/* Squares of weights beyond 1e15 overflow, and a search among them may end with NaN: one with the same bits
 * on every CPU. */
static inline void nb_write_f16(float value, uint8_t bytes[2])
{
    uint16_t code = value == value ? nb_f16_from_f32(value) : 0xfe00;
    bytes[0] = (uint8_t)code;
    bytes[1] = (uint8_t)(code >> 8);
}

/* To nearest, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction in the sum, whose
 * low 22 bits then are the integer. Beyond, and for NaN, some number that is the same everywhere. */
#define NB_NEAREST_MAGIC 0x1.8p23f
static inline int nb_nearest(float x)
{
    return (int)(nb_f32_bits(x + NB_NEAREST_MAGIC) & 0x7fffff) - 0x400000;
}

/* To nearest, ties away from 0. |x| < 2^31. */
static inline int nb_round_away(float x)
{
    int whole = (int)x;
    float fraction = x - (float)whole;
    return whole + (fraction >= 0.5f) - (fraction <= -0.5f);
}

/* Adds a field of `bits` bits, laid out in planes (see blocks.h), to n_bytes * 8 / bits codes, `shift` bits
 * up. */
static inline void nb_planes_read(const uint8_t *bytes, size_t n_bytes, unsigned bits, unsigned shift,
                                  uint8_t *codes)
{
    for (size_t plane = 0; plane < 8 / bits; plane++)
        for (size_t j = 0; j < n_bytes; j++) {
            unsigned field = bytes[j] >> (plane * bits) & ((1U << bits) - 1);
            codes[plane * n_bytes + j] = (uint8_t)(codes[plane * n_bytes + j] | field << shift);
        }
}

/* The reverse: writes the `bits` bits of each code that lie `shift` bits up. */
static inline void nb_planes_write(const uint8_t *codes, unsigned shift, unsigned bits, uint8_t *bytes,
                                   size_t n_bytes)
{
    for (size_t j = 0; j < n_bytes; j++) {
        unsigned byte = 0;
        for (size_t plane = 0; plane < 8 / bits; plane++)
            byte |= (codes[plane * n_bytes + j] >> shift & ((1U << bits) - 1)) << (plane * bits);
        bytes[j] = (uint8_t)byte;
    }
}

#define NB_FIELD(type, field, text)                                                                          \
    {                                                                                                        \
#field, text, offsetof(type, field), sizeof(((type *)0)->field)                                      \
    }
#define NB_FIELDS(array) .fields = array, .n_fields = sizeof(array) / sizeof *(array)

#endif
