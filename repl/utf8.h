/* UTF-8 as columns of a terminal. */
#ifndef NB_REPL_UTF8_H
#define NB_REPL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at text[0..n), n > 0, and its length in *used (1 for a byte that starts nothing whole, which
 * then is U+FFFD). */
uint32_t nb_utf8_decode(const char *text, size_t n, size_t *used);
/* Columns that a code point takes: 0 for combining marks and for the marks of items.h, 2 for wide ones. */
int nb_utf8_columns(uint32_t code_point);
/* Columns that text[0..n) takes on one line. */
size_t nb_utf8_width(const char *text, size_t n);
/* How many bytes of text[0..n) fit in `columns`, at least one character. With `at_words` the cut is after the
 * last blank that fits, if there is one. A newline ends the line and is counted in. */
size_t nb_utf8_fit(const char *text, size_t n, size_t columns, bool at_words);

#endif
