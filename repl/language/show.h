/* Values as text, as numpy prints them. */
#ifndef NB_REPL_LANGUAGE_SHOW_H
#define NB_REPL_LANGUAGE_SHOW_H

#include "repl/draft.h"
#include "repl/language/value.h"

enum { NB_SHOW_WIDTH = 68 /* of a line: with Out[123]: before it and a margin it fits 80 columns */ };

/* A number: 8 significant digits; a whole number below 1e16 with all of its. */
void nb_show_number(double number, nb_draft *out);
/* A vector that fits on a line stands on it, [1, -12, 0.5]. Otherwise columns are aligned and have one number
 * of decimals, rows and blocks part as numpy parts them, and of more than a thousand numbers the first and
 * last three in each direction are shown. Arrays of whole numbers show no points. */
void nb_show_array(const nb_array *array, nb_draft *out);
/* Any value; text in quotes, unless it stands `alone`. */
void nb_show_value(const nb_value *value, bool alone, nb_draft *out);
/* "256 x 256, from -0.41 to 0.398, mean 0.0002, std 0.061" */
void nb_show_summary(const nb_array *array, nb_draft *out);

#endif
