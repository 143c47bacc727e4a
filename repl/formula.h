/* Formulas of Markdown, written in LaTeX, as one line of text. */
#ifndef NB_REPL_FORMULA_H
#define NB_REPL_FORMULA_H

#include "repl/draft.h"

/* Appends latex[0..n) as a reader would write it in an e-mail: "q = clamp(⌊x/s⌉, −127, 127)", or with `utf8` false
 * "q = clamp(round(x/s), -127, 127)". Understands what lessons use: fractions, roots, indices and exponents, Greek
 * letters, sums, brackets, accents, relations. Of a command that it does not know it keeps the name. */
void nb_formula(const char *latex, size_t n, bool utf8, nb_draft *out);

#endif
