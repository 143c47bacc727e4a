/* The real program for tests: build/nibble run with some words, and what came of it. */
#ifndef NB_TESTS_PROGRAM_H
#define NB_TESTS_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

extern char program[PATH_MAX];
extern char *program_out, *program_err; /* of the last run */
extern int program_status;              /* its exit status */

/* Sets `program`: the tests are BUILD/tests/ROOM/test_NAME, which is argv[0], the program is BUILD/nibble. False, with a
 * word on standard error, if there is no such place. */
bool program_find(const char *test);
/* Runs it with these words, to a NULL; `input` (NULL: nothing) stands on its standard input. */
void program_run(const char *input, ...);
/* Frees what the last run left. */
void program_forget(void);

/* The last run must have ended well and said nothing on standard error. */
void program_succeeded(void);
/* It must have ended badly, with one sentence on standard error that holds this. */
void program_failed(const char *part);

#endif
