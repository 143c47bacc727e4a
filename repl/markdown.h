/* Markdown as text for a terminal, a pipe or a file. */
#ifndef NB_REPL_MARKDOWN_H
#define NB_REPL_MARKDOWN_H

#include "repl/render.h"

/* Appends text[0..n_bytes) as this screen shows it, at most 80 columns wide: headings, emphasis, code, lists, tables
 * fitted to the width, quotes, formulas as text, images as their sentence, links with their address. Colours and signs
 * only as far as the screen has them. A nibble that was built without md4c shows the source, wrapped. */
void nb_markdown_render(const nb_screen *screen, const char *text, size_t n_bytes, nb_draft *out);

#endif
