/* What `save` and the subcommands that write models share. */
#ifndef NB_REPL_COMMANDS_SAVE_H
#define NB_REPL_COMMANDS_SAVE_H

#include "repl/notebook.h"

/* Whether both paths lead to one file that is there. */
bool nb_same_file(const char *a, const char *b);
/* Writes the model as it is now, and says what the file holds. What stood there stays until the new file is
 * whole. */
nb_status nb_save_model(const nb_notebook *notebook, const char *path, nb_items *out, nb_error *error);

#endif
