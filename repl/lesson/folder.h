/* A fresh folder for a notebook that may touch nothing else. */
#ifndef NB_REPL_LESSON_FOLDER_H
#define NB_REPL_LESSON_FOLDER_H

#include "base/status.h"

/* Empty, in the system's folder for such things; allocated. */
char *nb_fresh_folder(nb_error *error);
/* Removes it with the files in it, and frees its name. */
void nb_remove_folder(char *folder);

#endif
