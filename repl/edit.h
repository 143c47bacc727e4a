/* Typing a cell: libedit on a terminal, plain lines without it. */
#ifndef NB_REPL_EDIT_H
#define NB_REPL_EDIT_H

#include "repl/notebook.h"
#include "repl/render.h"

typedef struct nb_editor nb_editor;

/* For a notebook on a terminal. Brings the cells of earlier days along. */
nb_status nb_editor_create(nb_notebook *notebook, const nb_screen *screen, nb_editor **out, nb_error *error);
/* Whether it can put a cell at the prompt, to be run or edited. */
bool nb_editor_can_offer(void);
/* The next cell read starts with this text, once. */
void nb_editor_offer(nb_editor *editor, const char *text);
/* A whole cell, allocated: several lines if it was not finished on one. NULL when there is no more (Ctrl-D).
 * Ctrl-C drops what was typed and starts again. */
char *nb_editor_read(nb_editor *editor);
void nb_editor_destroy(nb_editor **editor);

#endif
