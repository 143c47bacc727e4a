/* Exchanging what a document records. */
#ifndef NB_REPL_DOCUMENT_RECORD_H
#define NB_REPL_DOCUMENT_RECORD_H

#include "repl/document/document.h"
#include "repl/document/output.h"

/* How many blocks after the cell at `cell` are its outputs and figures. */
size_t nb_outputs_of(const nb_document *document, size_t cell);
/* Whether these are the pieces; the first difference goes to *line (of the file), *recorded and *now, both allocated
 * (NULL without memory). */
bool nb_outputs_match(const nb_document *document, size_t cell, const nb_pieces *pieces, size_t *line, char **recorded,
                      char **now);
/* Puts the pieces in their place. Pictures are written beside the document, numbered on from *n_figures. */
nb_status nb_outputs_replace(nb_document *document, size_t cell, const nb_pieces *pieces, size_t *n_figures,
                             nb_error *error);

/* Removes the pictures that were recorded for this document and that it names no more; returns how many. */
size_t nb_figures_sweep(const nb_document *document);

/* The path of a file that a document at `document` names, seen from here. Allocated; NULL without memory. */
char *nb_beside(const char *document, const char *path);

/* A fenced block: as many backticks as its text needs. */
void nb_fence_write(nb_draft *out, const char *info, const char *text, const char *newline);
/* ![ALT](PATH) */
void nb_image_write(nb_draft *out, const char *alt, const char *path);
/* "figures/monday-2.svg", for monday.md; allocated. */
char *nb_figure_path(const char *document, size_t number);
/* Makes the folder `figures` beside a document. */
nb_status nb_figures_folder(const char *document, nb_error *error);

#endif
