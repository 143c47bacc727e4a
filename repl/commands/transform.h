/* The transforms that there are, by their names. */
#ifndef NB_REPL_COMMANDS_TRANSFORM_H
#define NB_REPL_COMMANDS_TRANSFORM_H

#include <stddef.h>

/* NULL beyond the last one. */
const char *nb_transform_name(size_t index);

#endif
