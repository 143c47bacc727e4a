/* One number taken apart, for `bits` and `range`. */
#ifndef NB_FORMATS_ANATOMY_H
#define NB_FORMATS_ANATOMY_H

#include "formats/format.h"

typedef struct nb_anatomy {
    const nb_format *format;
    uint32_t code;
    char sign[2]; /* the bits of each field, as '0' and '1' */
    char exponent[16];
    char fraction[32];   /* INT: the code's bits, two's complement, are here alone; TABLE: the code's */
    const char *kind;    /* "normal", "subnormal", "zero", "infinity", "NaN", "integer", "level" */
    int exponent_value;  /* unbiased */
    double value;        /* what the code stands for, exactly */
    char exact[1200];    /* every digit of it */
    double below, above; /* its neighbours in the format; NaN where there is none */
    double error;        /* value - asked */
} nb_anatomy;

/* Rounds `value` to `format` and takes the result apart. INT formats round to the nearest integer and
 * saturate; of TABLE ones it is a number that its group's scale has divided, -1 to 1. */
void nb_anatomy_of(double value, const nb_format *format, nb_anatomy *out);

typedef struct nb_format_range {
    double min, max;                  /* finite */
    double min_normal, min_subnormal; /* 0 for INT and TABLE */
    uint64_t n_values;                /* distinct finite values */
    double epsilon;                   /* gap above 1; 1 for INT; 0 for TABLE */
    int decimal_digits;               /* that survive a round trip; 0 for TABLE */
} nb_format_range;

void nb_format_range_of(const nb_format *format, nb_format_range *out);

#endif
