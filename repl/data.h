/* Where nibble keeps what belongs to a person: history, progress in lessons. */
#ifndef NB_REPL_DATA_H
#define NB_REPL_DATA_H

/* The path of `name` in the folder nibble under XDG_DATA_HOME (or ~/.local/share), which is made. Allocated; NULL if there
 * is no such place. */
char *nb_data_path(const char *name);

#endif
