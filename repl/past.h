/* Cells of earlier days, kept under the XDG data folder: one a line, newlines and backslashes escaped. */
#ifndef NB_REPL_PAST_H
#define NB_REPL_PAST_H

#include <stddef.h>

typedef struct nb_past {
    char *path; /* NULL: nowhere to keep it */
} nb_past;

/* Calls `each` for the cells kept, oldest first (the newest thousand). A history that cannot be read or made
 * is none. */
void nb_past_open(nb_past *past, void (*each)(void *user, const char *cell), void *user);
void nb_past_add(const nb_past *past, const char *cell);
void nb_past_close(nb_past *past);

#endif
