/* Quantizers as people write them. */
#ifndef NB_REPL_QUANTIZER_WORDS_H
#define NB_REPL_QUANTIZER_WORDS_H

#include "formats/format.h"

/* "int4 absmax/group:32, f32 scales", the words in any order: what nb_quantizer_parse reads, and as `quantize` does, int8
 * absmax with one scale where that goes unsaid. */
nb_status nb_quantizer_of_words(const char *text, nb_quantizer *out, nb_error *error);

enum { NB_LISTED_BYTES = 512 };
/* Takes the first of "nf4 group:64, double, q4_k_m, mine.recipe" from *list: here "nf4 group:64, double". Commas part
 * them; a part with words of a quantizer of which none is a format belongs to what stands before it. "" when nothing is
 * left. */
nb_status nb_quantizer_list_next(const char **list, char item[NB_LISTED_BYTES], nb_error *error);

#endif
