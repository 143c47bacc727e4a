/* Round to nearest for TABLE formats (nf4, fp4), with and without double quantization. */
#ifndef NB_QUANT_TABLES_H
#define NB_QUANT_TABLES_H

#include "quant/rtn.h"

/* nb_rtn_quantize for a quantizer that has been checked and is a TABLE's. A group's scale is its largest size, and
 * codes come from that; with double quantization the scale that is kept is another one, and what is lost is measured
 * with it. Refused with their place: NaN and infinity. */
nb_status nb_table_quantize(nb_context *context, const char *what, const nb_source *source,
                            const nb_quantizer *quantizer, nb_packed **out, nb_rtn_stats *stats, nb_error *error);

#endif
