/* What a float format is, straight from its definition, in f64 arithmetic that is exact for every format of
 * at most 16 bits: the independent truth that encoders and decoders are tested against. */
#ifndef NB_TESTS_FORMATS_DEFINITION_H
#define NB_TESTS_FORMATS_DEFINITION_H

#include "formats/format.h"

#include <math.h>

/* The value of a code: (-1)^s 2^(e - bias) (1 + f / 2^m), or 2^(1 - bias) f / 2^m where e is 0. Infinity and
 * NaN are left to the caller. */
static inline double definition_value(const nb_format *format, uint32_t code)
{
    int m = (int)format->mantissa_bits;
    uint32_t fraction = code & ((1U << m) - 1);
    int field = (int)(code >> m & ((1U << format->exponent_bits) - 1));
    double value = field == 0 ? ldexp((double)fraction, 1 - format->bias - m)
                              : ldexp((double)(fraction + (1U << m)), field - format->bias - m);
    return code >> (format->bits - 1) & 1 ? -value : value;
}

#endif
