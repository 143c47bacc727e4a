/* What a kind of figure is to the rest of the room. A kind is one file and one row of the table in figure.c:
 * it checks its data and settles its axes, writes its part of a gnuplot script, and draws itself in
 * characters where there is no gnuplot. The frame around it is everybody's: picture.c, text.c. */
#ifndef NB_PLOTS_FIGURE_H
#define NB_PLOTS_FIGURE_H

#include "plots/buffer.h"
#include "plots/plots.h"
#include "plots/scale.h"
#include "plots/text.h"

/* The frame that a figure's data asks for. */
typedef struct nb_axes {
    double x_low, x_high, y_low, y_high; /* low < high */
    bool log_y;                          /* y_low > 0 */
    bool y_down;                         /* y grows downwards, and counts rows */
    bool whole;                          /* x counts things: marks at whole numbers only */
    double right_room;                   /* ems beside the plot area that the figure needs for itself */
    double colour_low, colour_high;      /* HEATMAP */
    nb_tick_style y_style;
    double y_marks_high;                 /* no marks above: there stands the note */
    bool has_note, note_is_before;       /* a bar of that series leaves the top at note_x; `note` names it */
    bool is_empty;                       /* nothing to draw: `note` says so in the middle */
    double note_x, note_width;           /* the middle and the width of that bar */
    char note[192];
    /* Of a picture's plot area, in pixels: its size, that of its letters, and how gnuplot is told the latter. */
    double area_width, area_height, area_em, area_font;
} nb_axes;

/* What to draw: all of it in colour, or one series alone, in black, for a terminal's dots. */
typedef enum nb_layer { NB_LAYER_ALL, NB_LAYER_BEFORE, NB_LAYER_AFTER } nb_layer;

typedef struct nb_palette {
    const char *paper, *ink, *muted, *grid, *before, *after; /* '#rrggbb' */
} nb_palette;

typedef struct nb_figure_row {
    nb_figure_kind kind;
    const char *name;
    nb_status (*plan)(const nb_figure *figure, nb_axes *axes, nb_error *error);
    /* The `plot` command and its data, after the frame. A picture's plot area is `dots` wide; `line` is the
     * width of its lines. */
    void (*script)(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, nb_layer layer,
                   const nb_palette *palette, double dots, double line);
    void (*text)(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, bool utf8);
    bool in_characters;             /* a terminal without pictures gets `text` rather than dots: it has names in it */
    nb_legend_marks marks, ascii_marks; /* of the legend in characters, where they are not a curve's or a bar's */
} nb_figure_row;

extern const nb_figure_row nb_figure_histogram, nb_figure_curve, nb_figure_pareto, nb_figure_staircase,
    nb_figure_heatmap;

#endif
