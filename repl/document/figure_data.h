/* A figure's data as text, and pictures that carry theirs: what a recorded figure is compared by. */
#ifndef NB_REPL_DOCUMENT_FIGURE_DATA_H
#define NB_REPL_DOCUMENT_FIGURE_DATA_H

#include "base/status.h"
#include "plots/plots.h"
#include "repl/draft.h"

/* Every word and number of it, a line each or ten numbers a line; numbers as the shortest decimals that read back
 * the same. Equal texts mean equal figures. */
void nb_figure_data(const nb_figure *figure, nb_draft *out);

/* Writes the figure as an SVG whose metadata are its data. */
nb_status nb_figure_record(const nb_figure *figure, const char *path, nb_error *error);
/* The data that such a file carries, allocated. */
nb_status nb_figure_recorded(const char *path, char **out, nb_error *error);

#endif
