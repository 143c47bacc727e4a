/* Jupyter notebooks as documents. */
#ifndef NB_REPL_DOCUMENT_IMPORT_H
#define NB_REPL_DOCUMENT_IMPORT_H

#include "base/status.h"
#include "repl/draft.h"

typedef struct nb_imported {
    size_t n_cells;    /* that nibble can run */
    size_t n_kept;     /* code in another language, kept as text */
    char language[32]; /* that one; "" if there is none */
} nb_imported;

/* The .ipynb in text[0..n) as Markdown. Cells of a nibble notebook, and those that begin with a line %%nibble, become
 * cells with their recorded text; other code becomes a fence of its language. Errors name `name`. */
nb_status nb_import_ipynb(const char *text, size_t n_bytes, const char *name, nb_draft *markdown, nb_imported *report,
                          nb_error *error);
/* The same from a file. */
nb_status nb_import_open(const char *path, nb_draft *markdown, nb_imported *report, nb_error *error);

#endif
