/* Figures through a gnuplot child process, with a text fallback of our own. Takes plain arrays and knows
 * nothing of models. */
#ifndef NB_PLOTS_PLOTS_H
#define NB_PLOTS_PLOTS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum nb_figure_kind {
    NB_FIGURE_HISTOGRAM,
    NB_FIGURE_CURVE,
    NB_FIGURE_PARETO,
    NB_FIGURE_STAIRCASE,
    NB_FIGURE_HEATMAP,
} nb_figure_kind;

typedef struct nb_figure_series {
    const char *label;    /* "before (f16)" */
    const double *values; /* HISTOGRAM: counts per bin; CURVE: heights, NaN for a gap; STAIRCASE: see below */
} nb_figure_series;

/* PARETO: what is paid (x) for what is lost (y; 0 and less stand on the axis). */
typedef struct nb_figure_point {
    const char *name;
    double x, y;
    bool on_front; /* no other point is as good in both */
} nb_figure_point;

/* Borrowed pointers throughout. */
typedef struct nb_figure {
    nb_figure_kind kind;
    const char *headline; /* bold: what to see */
    const char *subline;  /* muted: tensor, count, error */
    const char *x_label, *y_label;
    double x_low, x_high; /* HISTOGRAM, HEATMAP: outer edges; CURVE, STAIRCASE: of the first and the last point */
    size_t n;             /* points or bins */
    /* after.values NULL: one series. PARETO: labels of the front and of the rest. STAIRCASE: Q(x) and the error Q(x) - x.
     * HEATMAP: labels of what lies below 0 (NULL: nothing does) and above. */
    nb_figure_series before, after;
    const nb_figure_point *points; /* PARETO: n of them */
    double clip_low, clip_high;    /* STAIRCASE: beyond these x the last step goes on; both 0: nowhere */
    const double *cells;           /* HEATMAP: [n_rows][n_columns], row 0 on top; NaN for none */
    size_t n_rows, n_columns;
    double y_low, y_high; /* HEATMAP: outer edges of the rows, the top one's first */
    bool log_y;
    bool whole; /* x counts things: CURVE and HISTOGRAM mark whole numbers only */
    /* HISTOGRAM: names a cut-off spike of `after` at 0: "19.2% of weights round to 0"; NULL: made. STAIRCASE: names the
     * first whole step right of 0: "step s = 0.333"; NULL: none */
    const char *note;
    const char *sentence; /* the figure in words, for a screen reader and Markdown; required */
} nb_figure;

typedef enum nb_picture {
    NB_PICTURE_AUTO,
    NB_PICTURE_KITTY,
    NB_PICTURE_SIXEL,
    NB_PICTURE_BRAILLE,
    NB_PICTURE_ASCII,
    NB_PICTURE_NONE,
} nb_picture;

/* What the terminal at `fd_in`/`fd_out` can show: asks it once (raw mode, at most 300 ms). */
typedef struct nb_terminal {
    bool is_terminal, colour, utf8, dark;
    bool truecolour; /* 24-bit colours; without, `colour` means 256 */
    nb_picture picture;
    int columns, rows;
    int cell_width, cell_height; /* pixels; 0 if unknown */
} nb_terminal;
void nb_terminal_probe(nb_terminal *out);
/* "kitty", "sixel", "braille", "ascii", "none"; "auto" and NULL give NB_PICTURE_AUTO. So does an unknown
 * name, and false. */
bool nb_picture_parse(const char *name, nb_picture *out);

/* Bytes to write to the terminal (escape sequences or plain text lines), allocated; free with free(). Falls
 * back from a picture to text when gnuplot is missing or fails, and says so in *notice (may be NULL; static
 * or ""). */
nb_status nb_figure_render(const nb_figure *figure, const nb_terminal *terminal, char **out, size_t *n_bytes,
                           const char **notice, nb_error *error);
/* "histogram". */
const char *nb_figure_kind_name(nb_figure_kind kind);
/* A picture's bytes, as a file of this kind has them, "svg" or "png"; allocated, with a zero after them. `dark`: on
 * dark paper. */
nb_status nb_figure_draw(const nb_figure *figure, const char *kind, bool dark, char **out, size_t *n_bytes,
                         nb_error *error);
/* A PNG or SVG file, by the name's ending; the file that stood there stays if gnuplot fails. */
nb_status nb_figure_save(const nb_figure *figure, const char *path, nb_error *error);
/* The version text of gnuplot, or "" if it cannot be run. */
void nb_gnuplot_version(char *text, size_t size);

/* A one-line sparkline of `counts`, n cells of " ▁▂▃▄▅▆▇█" (or " .:-=+*#%" without UTF-8). */
void nb_sparkline(const uint64_t *counts, size_t n, bool utf8, char *text, size_t size);

#endif
