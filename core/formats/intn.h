/* The integer formats' rows of the table, for format.c. */
#ifndef NB_FORMATS_INTN_H
#define NB_FORMATS_INTN_H

#include "formats/format.h"

enum { NB_INT_MIN_BITS = 2, NB_INT_MAX_BITS = 8 };
extern const nb_format nb_format_ints[NB_INT_MAX_BITS - NB_INT_MIN_BITS + 1];

#endif
