/* A notebook for tests, and cells that must give or refuse something. */
#ifndef NB_TESTS_CELLS_H
#define NB_TESTS_CELLS_H

#include "repl/notebook.h"
#include "repl/render.h"

typedef struct cells {
    nb_notebook *notebook;
    nb_screen screen;
    nb_draft shown; /* of the last cell */
    nb_draft value; /* the text of its last value, "" if it has none */
    nb_error error;
} cells;

/* Set-up and tear-down of a test: *state is a `cells` with two threads and no model. */
int cells_open(void **state);
int cells_close(void **state);

/* Loads a random model of two layers, 64 wide. */
void cells_load_tiny(cells *c);
/* The name of a file of 4,000 letters and spaces, the same ones every time. */
const char *cells_text(void);

nb_status cells_run(cells *c, const char *cell);
/* The cell must succeed, and its last value read exactly so. */
void gives(cells *c, const char *cell, const char *value);
/* The cell must succeed and show this among what it shows. */
void says(cells *c, const char *cell, const char *part);
/* The cell must fail with one sentence that holds this. */
void refuses(cells *c, const char *cell, const char *part);
/* What the Tab key offers behind this text, in one line. */
void completes(cells *c, const char *text, const char *names);

#endif
