/* What the Tab key offers: read off the command rows, knows no editor. */
#ifndef NB_REPL_COMPLETE_H
#define NB_REPL_COMPLETE_H

#include "repl/notebook.h"

typedef struct nb_choices {
    char **names; /* each in place of the whole word, sorted */
    size_t count, capacity;
    size_t word; /* where in the text that word begins */
    bool failed;
} nb_choices;

/* What could stand in place of the word at the end of text[0..n). */
void nb_complete(const nb_notebook *notebook, const char *text, size_t n, nb_choices *out);
void nb_choices_free(nb_choices *choices);
/* Bytes that all of them begin with. */
size_t nb_choices_common(const nb_choices *choices);
/* True if a blank belongs after the only choice: it is no folder, no half of a tensor's name and no function. */
bool nb_choice_is_whole(const char *name);

#endif
