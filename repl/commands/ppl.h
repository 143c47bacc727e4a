/* What the commands that read a text share. */
#ifndef NB_REPL_COMMANDS_PPL_H
#define NB_REPL_COMMANDS_PPL_H

#include "repl/notebook.h"

enum { NB_PPL_TOKENS = 20480 }; /* of a text, unless told otherwise: forty windows of 512 */

/* Decimals that show two digits of an error. */
int nb_error_digits(double standard_error);

#endif
