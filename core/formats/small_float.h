/* Rounding an f32 to a shorter IEEE-style float and back, without branches, so that compilers vectorize the
 * rows. What the formats do with overflow and NaN is theirs. */
#ifndef NB_FORMATS_SMALL_FLOAT_H
#define NB_FORMATS_SMALL_FLOAT_H

#include <stdint.h>
#include <string.h>

static inline uint32_t nb_f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float nb_f32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* a where the mask is all ones, b where it is 0. */
static inline uint32_t nb_select_u32(uint32_t mask, uint32_t a, uint32_t b)
{
    return (a & mask) | (b & ~mask);
}

/* The code, without sign, of |x| given as f32 bits, as if the exponent had no upper end: to nearest, ties to
 * even. Codes beyond the format's largest mean overflow (infinity gives one too); NaN gives nonsense. */
static inline uint32_t nb_small_float_round(uint32_t magnitude, unsigned mantissa_bits, int bias)
{
    unsigned shift = 23 - mantissa_bits;
    /* Normal: drop `shift` bits; a carry into the exponent is right as it is. */
    uint32_t odd = magnitude >> shift & 1;
    uint32_t normal = (magnitude - ((uint32_t)(127 - bias) << 23) + ((1U << (shift - 1)) - 1) + odd) >> shift;
    /* Subnormal: adding the power of two whose last place is the format's smallest step lets
     * the FPU round. */
    uint32_t magic = (uint32_t)(127 + 1 - bias + (int)shift) << 23;
    uint32_t subnormal = nb_f32_bits(nb_f32_of_bits(magnitude) + nb_f32_of_bits(magic)) - magic;
    uint32_t is_small = 0U - (uint32_t)(magnitude < (uint32_t)(127 + 1 - bias) << 23);
    return nb_select_u32(is_small, subnormal, normal);
}

/* The f32 bits of a code without sign, every exponent field read as that of a finite number. */
static inline uint32_t nb_small_float_widen(uint32_t magnitude, unsigned mantissa_bits, int bias)
{
    unsigned shift = 23 - mantissa_bits;
    uint32_t normal = (magnitude << shift) + ((uint32_t)(127 - bias) << 23);
    /* Subnormal: mantissa * 2^(1 - bias - mantissa_bits), made as (power + that) - power, which is exact. */
    uint32_t magic = (uint32_t)(127 + 1 - bias + (int)shift) << 23;
    uint32_t subnormal = nb_f32_bits(nb_f32_of_bits(magic | magnitude) - nb_f32_of_bits(magic));
    uint32_t is_small = 0U - (uint32_t)(magnitude < 1U << mantissa_bits);
    return nb_select_u32(is_small, subnormal, normal);
}

#endif
