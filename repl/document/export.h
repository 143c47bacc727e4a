/* A notebook as a file that others can open: its cells, what they gave, and the prose around them. */
#ifndef NB_REPL_DOCUMENT_EXPORT_H
#define NB_REPL_DOCUMENT_EXPORT_H

#include "repl/draft.h"
#include "repl/notebook.h"

typedef struct nb_exported {
    size_t n_cells, n_figures, n_undrawn; /* of the figures those that stand as their sentence only */
    size_t n_bytes;
} nb_exported;

/* By the name's ending: .md, .ipynb or .html. Cells that export are left out. */
nb_status nb_notebook_export(const nb_notebook *notebook, const char *path, nb_exported *out, nb_error *error);

/* ---- one kind each; `path` is where it will stand ---- */

/* Markdown as document.h has it. With `pictures` figures are drawn beside the file, without they are sentences. */
nb_status nb_export_markdown(const nb_notebook *notebook, const char *path, bool pictures, nb_draft *text,
                             nb_exported *out, nb_error *error);
/* nbformat 4.5. */
nb_status nb_export_ipynb(const nb_notebook *notebook, const char *path, nb_draft *text, nb_exported *out,
                          nb_error *error);
/* One self-contained page. */
nb_status nb_export_html(const nb_notebook *notebook, const char *path, nb_draft *text, nb_exported *out,
                         nb_error *error);

/* Whether a cell belongs into an export: it is not empty, and does not itself export, run a file or leave. */
bool nb_cell_is_exported(const char *cell);
/* The title, or the file's name without its ending; allocated. */
char *nb_export_title(const nb_notebook *notebook, const char *path);

#endif
