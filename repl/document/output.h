/* What a cell gave, as a document records it: runs of text, and figures between them. */
#ifndef NB_REPL_DOCUMENT_OUTPUT_H
#define NB_REPL_DOCUMENT_OUTPUT_H

#include "repl/draft.h"
#include "repl/items.h"

enum { NB_DOCUMENT_COLUMNS = 80 };

/* Brackets around a measured value: what another machine, or another day, would show differently. */
#define NB_MEASURED_OPEN  "\u27e8"
#define NB_MEASURED_CLOSE "\u27e9"

typedef struct nb_piece {
    char *text;              /* lines, each ending in \n; a figure's sentence, without */
    const nb_figure *figure; /* borrowed from the items; NULL: text */
} nb_piece;

typedef struct nb_pieces {
    nb_piece *pieces;
    size_t count;
    bool failed; /* no memory: what follows is dropped */
} nb_pieces;

/* In their order, neighbouring texts joined. `error` is the sentence that ended the cell, NULL if it went well. The
 * text is that of a terminal of 80 columns, without colours, and the same on every machine but for what stands in
 * brackets. */
void nb_pieces_make(const nb_items *items, const char *error, nb_pieces *out);
void nb_pieces_free(nb_pieces *pieces);

/* A text with marks as plain text, measured values in their brackets. Allocated; NULL without memory. */
char *nb_plain_text(const char *text);

#endif
