/* Inside the terminal renderer: lines with marks, and tables. */
#ifndef NB_REPL_RENDER_TABLE_H
#define NB_REPL_RENDER_TABLE_H

#include "repl/render.h"

/* text[0..n) without line breaks. *mark is the span that it starts and ends in, so that wrapped lines go on
 * as they were. */
void nb_render_span(const nb_screen *screen, const char *text, size_t n, char *mark, nb_draft *out);
/* Bytes of a line without the blanks and the newline at its end. */
size_t nb_render_line_length(const char *text, size_t n);

/* Blanks that follow a line that was broken after `taken` bytes of text: the next line
 * starts without them. */
size_t nb_render_blanks_after(const char *text, size_t taken);

/* Columns aligned by display width; fitted to the screen by narrowing prose, sparklines and gaps, then
 * wrapping. */
void nb_render_table(const nb_screen *screen, const nb_table *table, size_t indent, nb_draft *out);

#endif
