/* What the parts of `plot` share. */
#ifndef NB_REPL_COMMANDS_PLOT_H
#define NB_REPL_COMMANDS_PLOT_H

#include "array/array.h"
#include "repl/notebook.h"

/* One or two arrays, and what they were typed as. */
typedef struct nb_drawing {
    nb_notebook *notebook;
    const nb_call *call;
    nb_items *out;
    struct {
        nb_array *array;
        char *label;
    } series[2];
    size_t n;
    bool from_list; /* both came from one expression */
    char subline[240], sentence[600], headline[160];
} nb_drawing;

/* Of the numbers that are finite; NaN where none is. Returns how many are not. */
size_t nb_drawing_ends(const nb_array *x, double *low, double *high);
/* NaN where it cannot be had. */
double nb_drawing_measure(const nb_array *x, nb_reduction op);
/* "1,000 values from -0.4 to 0.38" */
void nb_drawing_range(const nb_array *x, char *text, size_t size);
/* "abs(W)", "abs(W) and V" */
void nb_drawing_names(const nb_drawing *d, char *text, size_t size);
const char *nb_drawing_label(const nb_drawing *d, size_t i);
/* --title, or d->headline */
const char *nb_drawing_title(const nb_drawing *d);
nb_status nb_drawing_put(const nb_drawing *d, const nb_figure *figure, nb_error *error);

nb_status nb_plot_histogram(nb_drawing *d, nb_error *error);
/* Counts and their edges, as `histogram` gives them? */
bool nb_plot_are_counts(const nb_drawing *d);
nb_status nb_plot_counts(nb_drawing *d, nb_error *error);
nb_status nb_plot_heatmap(nb_drawing *d, nb_error *error);
/* `plot staircase WHAT`: WHAT is the rest of the expression's words. */
nb_status nb_plot_staircase(nb_notebook *notebook, const nb_call *call, const char *what, nb_items *out,
                            nb_error *error);

#endif
