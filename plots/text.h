/* A figure in characters: a grid of cells, the frame around the plot area, and how cells become bytes. */
#ifndef NB_PLOTS_TEXT_H
#define NB_PLOTS_TEXT_H

#include "plots/buffer.h"
#include "plots/plots.h"

struct nb_axes;

typedef enum nb_style {
    NB_STYLE_PLAIN,
    NB_STYLE_BOLD,
    NB_STYLE_MUTED,
    NB_STYLE_BEFORE,
    NB_STYLE_AFTER
} nb_style;

typedef struct nb_cell {
    unsigned rune; /* 0: nothing here; the second column of a wide one is 0 too */
    nb_style style;
} nb_cell;

typedef struct nb_grid {
    int columns, rows;
    nb_cell *cells;               /* rows of columns */
    int left, top, width, height; /* the plot area */
    bool failed;                  /* memory ran out for a word */
} nb_grid;

/* The marks that stand for the two series in the legend. */
typedef struct nb_legend_marks {
    const char *before, *after;
} nb_legend_marks;

/* The smallest terminal that a figure is drawn for; a smaller one gets its sentence. */
enum { NB_TEXT_MIN_COLUMNS = 40, NB_TEXT_MIN_ROWS = 12 };

/* A grid of the terminal's size, within reason, with headline, subline, legend and axes; the plot area is
 * blank. Free with nb_grid_free. */
nb_status nb_text_frame(nb_grid *grid, const nb_figure *figure, const struct nb_axes *axes,
                        const nb_terminal *terminal, nb_legend_marks marks, bool utf8, nb_error *error);
/* Written last, over what the plot area holds: the spike that leaves the top, named. */
void nb_text_note(nb_grid *grid, const struct nb_axes *axes, bool utf8);
void nb_grid_put(nb_grid *grid, int column, int row, unsigned rune, nb_style style);
void nb_grid_write(nb_grid *grid, int column, int row, const char *text, nb_style style);
/* Lines without trailing blanks. Colour as the terminal has it: none, 256 or all. */
void nb_grid_emit(const nb_grid *grid, const nb_terminal *terminal, nb_buffer *out);
void nb_grid_free(nb_grid *grid);

#endif
