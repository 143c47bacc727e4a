/* Whether an output is what was recorded: exact values to the bit, measured ones by presence and unit. */
#ifndef NB_REPL_DOCUMENT_COMPARE_H
#define NB_REPL_DOCUMENT_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

/* Where two texts part. */
typedef struct nb_difference {
    size_t line; /* of the recorded text, from 0 */
    char *recorded, *now; /* those lines; "" where a text is over. NULL without memory */
} nb_difference;

/* Where either text has measured values, in their brackets (output.h), words are compared and the blanks between
 * them are not: a longer number moves its neighbours. `out` is to be freed if this is false. */
bool nb_outputs_agree(const char *recorded, const char *now, nb_difference *out);
void nb_difference_free(nb_difference *difference);

#endif
