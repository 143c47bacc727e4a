/* Four f32 that the CPU adds or multiplies in one operation, on every CPU that nibble runs on. */
#ifndef NB_BASE_FOURS_H
#define NB_BASE_FOURS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float nb_four __attribute__((vector_size(16)));
typedef int32_t nb_four_int __attribute__((vector_size(16)));

static inline nb_four nb_four_of(float x)
{
    return (nb_four){x, x, x, x};
}

static inline nb_four nb_four_load(const float *x)
{
    nb_four four;
    memcpy(&four, x, sizeof four);
    return four;
}

/* a where the mask is all ones (a comparison that holds), b where it is 0. */
static inline nb_four nb_four_choose(nb_four_int mask, nb_four a, nb_four b)
{
    return (nb_four)((mask & (nb_four_int)a) | (~mask & (nb_four_int)b));
}

static inline nb_four nb_four_abs(nb_four x)
{
    return (nb_four)((nb_four_int)x & 0x7fffffff);
}

#endif
