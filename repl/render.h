/* Items as text for a terminal, a pipe or a file. */
#ifndef NB_REPL_RENDER_H
#define NB_REPL_RENDER_H

#include "repl/draft.h"
#include "repl/items.h"

#include <stdio.h>

/* Where output goes and what can be shown there. */
typedef struct nb_screen {
    FILE *out;
    bool is_terminal, colour, utf8;
    int columns;        /* at least 40; 80 off a terminal */
    nb_picture picture; /* NB_PICTURE_AUTO: ask the terminal, once, when the first figure comes */
    bool probed;
    nb_terminal terminal;
    int rows_kept; /* below a picture, for what is shown after it */
    bool at_line_start; /* of what was streamed */
    size_t stream_column, stream_blanks;
    nb_draft stream_word; /* held back until its end is known, so that lines break between words */
} nb_screen;

void nb_screen_init(nb_screen *screen, FILE *out);
void nb_screen_free(nb_screen *screen);
/* Asks for the terminal's size again: it may have changed. */
void nb_screen_measure(nb_screen *screen);
/* What the terminal can show, asked once. */
const nb_terminal *nb_screen_terminal(nb_screen *screen);

/* Appends the items as this screen shows them. `cell` numbers values: Out[3]; 0: values stand alone. */
void nb_render_items(nb_screen *screen, const nb_items *items, unsigned cell, nb_draft *out);
/* One paragraph with marks, wrapped to the screen and indented. */
void nb_render_paragraph(const nb_screen *screen, const char *text, size_t indent, nb_draft *out);
/* Renders and writes. */
void nb_screen_show(nb_screen *screen, const nb_items *items, unsigned cell);

/* Text that arrives in pieces: wrapped between words on a terminal, as it is elsewhere. nb_screen_stream_end
 * finishes the line. */
void nb_screen_stream(nb_screen *screen, const char *text, size_t n_bytes);
void nb_screen_stream_end(nb_screen *screen);

#endif
