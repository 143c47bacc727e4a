/* nibble run FILE: a document, or a plain file of cells. */
#ifndef NB_REPL_RUN_FILE_H
#define NB_REPL_RUN_FILE_H

#include "repl/command.h"
#include "repl/front.h"

/* Its row, for help. */
extern const nb_command nb_subcommand_run_file;

/* `words` come after `nibble run`. Returns the program's exit status. */
int nb_run_file(int n_words, char **words, const nb_front_options *options);
/* Cells of a stream, as they come from a pipe. `path` may be "-". */
nb_status nb_run_script(nb_front *front, const char *path);

#endif
