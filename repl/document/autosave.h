/* The notebook of a terminal, saved after every cell, so that a crash or a closed window loses nothing. */
#ifndef NB_REPL_DOCUMENT_AUTOSAVE_H
#define NB_REPL_DOCUMENT_AUTOSAVE_H

#include "repl/notebook.h"

typedef struct nb_autosave {
    char *path; /* sessions/DATE-TIME-PROCESS.md under the data folder; NULL: nowhere to keep it */
    int lock;   /* held while the notebook is open */
} nb_autosave;

/* The newest twenty sessions are kept. */
void nb_autosave_open(nb_autosave *autosave);
/* Replaces the file in one step. Figures stand as their sentence. */
void nb_autosave_write(const nb_autosave *autosave, const nb_notebook *notebook);
void nb_autosave_close(nb_autosave *autosave);

/* The newest session that no notebook has open; allocated, NULL if there is none. */
char *nb_autosave_newest(void);

#endif
