/* What the parts of `plot` share. */
#ifndef NB_REPL_COMMANDS_PLOT_H
#define NB_REPL_COMMANDS_PLOT_H

#include "repl/notebook.h"

/* `plot staircase WHAT`: WHAT is the rest of the expression's words. */
nb_status nb_plot_staircase(nb_notebook *notebook, const nb_call *call, const char *what, nb_items *out,
                            nb_error *error);

#endif
