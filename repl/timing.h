/* %time LINE and %timeit LINE: how long a command or an expression takes. */
#ifndef NB_REPL_TIMING_H
#define NB_REPL_TIMING_H

#include "repl/notebook.h"

typedef enum nb_timing { NB_TIMING_NONE, NB_TIMING_ONCE, NB_TIMING_OFTEN } nb_timing;

/* Reads %time or %timeit at text[*at..n) and passes over it, up to its line. */
nb_timing nb_timing_read(const char *text, size_t n, size_t *at);

/* Something that can be run again. */
typedef nb_status nb_timed_fn(void *user, nb_items *items, nb_error *error);
/* Runs it, and adds how long it took: ONCE with what it gave, OFTEN the best and the spread of rounds that are long
 * enough to be measured. */
nb_status nb_timing_run(nb_notebook *notebook, nb_timing timing, nb_timed_fn *run, void *user, nb_items *items,
                        nb_error *error);

#endif
