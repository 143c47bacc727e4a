/* The nearest name to one that was mistyped. */
#ifndef NB_REPL_NEAREST_H
#define NB_REPL_NEAREST_H

#include <stddef.h>

/* Edits between two texts, upper and lower case alike: insert, delete, replace, or swap two neighbours, none
 * of them twice at one place (Damerau 1964; "optimal string alignment"). Only the first 63 bytes count. */
unsigned nb_edit_distance(const char *a, const char *b);

/* Offer names one by one; `best` is the nearest one that is near enough to be meant, or NULL. */
typedef struct nb_nearest {
    const char *wanted;
    const char *best; /* borrowed from whoever offered it */
    unsigned distance;
} nb_nearest;
void nb_nearest_start(nb_nearest *nearest, const char *wanted);
void nb_nearest_offer(nb_nearest *nearest, const char *name);

#endif
