/* What stands between a notebook and the person: the screen, the progress line, Ctrl-C, the shell. */
#ifndef NB_REPL_FRONT_H
#define NB_REPL_FRONT_H

#include "repl/notebook.h"
#include "repl/progress.h"
#include "repl/render.h"

typedef struct nb_front {
    nb_notebook *notebook;
    nb_screen screen;
    nb_progress progress;
    bool numbered; /* values are shown as Out[n] */
} nb_front;

typedef struct nb_front_options {
    unsigned n_threads;  /* 0: one per core */
    const char *picture; /* NULL: ask the terminal */
} nb_front_options;

nb_status nb_front_open(nb_front *front, const nb_front_options *options, nb_error *error);
void nb_front_close(nb_front *front);

/* Runs one cell, shows what it returns, and writes its error to standard error, after `where` if that is not
 * NULL. Fails also when standard output is gone. */
nb_status nb_front_run(nb_front *front, const char *text, size_t n_bytes, const char *where);
/* The same without a word about its error; with `quiet` nothing is shown at all. The notebook keeps its items. */
nb_status nb_front_try(nb_front *front, const char *text, size_t n_bytes, bool quiet, nb_error *error);
/* Every cell of a file or a pipe, up to the first that fails; `name` is for errors. */
nb_status nb_front_run_stream(nb_front *front, FILE *in, const char *name);
/* The notebook on a terminal, until exit or Ctrl-D. `first` is run first; NULL: nothing. `resume`: goes on where the
 * newest session ended. Every cell is saved as soon as it has run (document/autosave.h). */
nb_status nb_front_converse(nb_front *front, const char *first, bool resume);
/* Runs the cells of the newest session again that no notebook has open, quietly, and says what became of it. What
 * `!` starts and what failed then is not run. */
nb_status nb_front_resume(nb_front *front, nb_error *error);
/* "nibble: SENTENCE" on standard error. */
void nb_front_complain(const char *where, const char *sentence);

#endif
