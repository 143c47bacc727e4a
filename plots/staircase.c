/* A quantizer as the stairs that it is: every x goes to the nearest step. Beside it the line on which nothing
 * would be lost, and what is. */
#include "plots/figure.h"
#include "plots/scale.h"
#include "plots/script.h"

#include <math.h>

/* ---- what the data asks for ---- */

static double place(const nb_figure *figure, size_t i)
{
    return figure->x_low + (figure->x_high - figure->x_low) * (double)i / (double)(figure->n - 1);
}

static nb_status staircase_plan(const nb_figure *figure, nb_axes *axes, nb_error *error)
{
    *axes = (nb_axes){.x_low = figure->x_low, .x_high = figure->x_high, .y_style = NB_TICK_PLAIN};
    if (figure->n < 2 || !figure->before.values)
        return nb_fail(error, NB_ERR_ARGUMENT, "stairs need two points at least");
    if (!isfinite(figure->x_low) || !isfinite(figure->x_high) || !(figure->x_low < figure->x_high))
        return nb_fail(error, NB_ERR_ARGUMENT, "stairs run from a lower end to a higher one");
    double low = figure->x_low, high = figure->x_high;
    for (size_t i = 0; i < figure->n; i++) {
        if (!isfinite(figure->before.values[i]))
            return nb_fail(error, NB_ERR_ARGUMENT, "the quantizer makes something that is no number");
        low = fmin(low, figure->before.values[i]);
        high = fmax(high, figure->before.values[i]);
    }
    axes->y_low = low;
    axes->y_high = axes->y_marks_high = high;
    return NB_OK;
}

static bool clips(const nb_figure *figure)
{
    return figure->clip_low != 0 || figure->clip_high != 0;
}

/* ---- as a gnuplot script ---- */

static void add_row(nb_buffer *script, double x, double y)
{
    nb_buffer_number(script, x);
    nb_buffer_text(script, " ");
    nb_buffer_number(script, y);
    nb_buffer_text(script, " ");
    nb_buffer_number(script, y - x);
    nb_buffer_text(script, "\n");
}

/* x, Q(x) and the error at the ends of every step; where Q jumps between two points, it does so upright
 * between them. */
static void add_points(nb_buffer *script, const nb_figure *figure)
{
    const double *q = figure->before.values;
    nb_buffer_text(script, "$stairs << EOD\n");
    for (size_t i = 0; i < figure->n; i++) {
        if (i > 0 && q[i] != q[i - 1]) {
            const double middle = (place(figure, i - 1) + place(figure, i)) / 2;
            add_row(script, middle, q[i - 1]);
            add_row(script, middle, q[i]);
        }
        if (i == 0 || i == figure->n - 1)
            add_row(script, place(figure, i), q[i]);
    }
    nb_buffer_text(script, "EOD\n");
}

static void add_position(nb_buffer *script, double x, double y)
{
    nb_buffer_number(script, x);
    nb_buffer_text(script, ",");
    nb_buffer_number(script, y);
}

static void add_zone(nb_buffer *script, double from, double to, const nb_axes *axes,
                     const nb_palette *palette)
{
    if (!(from < to))
        return;
    nb_buffer_text(script, "set object rectangle from ");
    add_position(script, from, axes->y_low);
    nb_buffer_text(script, " to ");
    add_position(script, to, axes->y_high);
    nb_buffer_format(script, " fc rgb '%s' fs transparent solid 0.06 noborder behind\n", palette->after);
}

/* Where x is beyond the last step; named in the wider of the two, below the line of no loss. */
static void add_clipping(nb_buffer *script, const nb_figure *figure, const nb_axes *axes,
                         const nb_palette *palette)
{
    const double right = axes->x_high - figure->clip_high, left = figure->clip_low - axes->x_low;
    add_zone(script, axes->x_low, figure->clip_low, axes, palette);
    add_zone(script, figure->clip_high, axes->x_high, axes, palette);
    if (!(fmax(left, right) > 0.07 * (axes->x_high - axes->x_low)))
        return;
    const bool at_right = right >= left;
    nb_buffer_text(script, "set label 'clipped' at ");
    add_position(script, at_right ? figure->clip_high + right / 2 : figure->clip_low - left / 2,
                 axes->y_low + (at_right ? 0.1 : 0.9) * (axes->y_high - axes->y_low));
    nb_buffer_format(script, " center font ',%.2f' tc rgb '%s' noenhanced front\n", 0.9 * axes->area_font,
                     palette->after);
}

static void add_line(nb_buffer *script, double from_x, double from_y, double to_x, double to_y,
                     const char *look, const char *colour)
{
    nb_buffer_text(script, "set arrow from ");
    add_position(script, from_x, from_y);
    nb_buffer_text(script, " to ");
    add_position(script, to_x, to_y);
    nb_buffer_format(script, " %s lw 1 lc rgb '%s'\n", look, colour);
}

/* The first two jumps right of 0 hold a whole step between them. */
static void add_note(nb_buffer *script, const nb_figure *figure, const nb_axes *axes,
                     const nb_palette *palette)
{
    const double *q = figure->before.values;
    double begin = NAN, end = NAN, height = 0, rise = 0;
    for (size_t i = 1; i < figure->n && !(end == end); i++) {
        const double middle = (place(figure, i - 1) + place(figure, i)) / 2;
        if (middle <= 0 || q[i] == q[i - 1])
            continue;
        if (begin == begin) {
            end = middle;
            break;
        }
        begin = middle;
        height = q[i];
        rise = q[i] - q[i - 1];
    }
    if (!figure->note || !(end - begin > 0.03 * (axes->x_high - axes->x_low)))
        return;
    height -= 0.4 * rise;
    add_line(script, begin, height, end, height, "heads filled size graph 0.006,20,60 front", palette->muted);
    nb_buffer_text(script, "set label ");
    nb_script_quote(script, figure->note);
    nb_buffer_text(script, " at ");
    add_position(script, end, height);
    nb_buffer_format(script, " left offset 0.6,0 font ',%.2f' tc rgb '%s' noenhanced front\n",
                     0.9 * axes->area_font, palette->muted);
}

static void staircase_script(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, nb_layer layer,
                             const nb_palette *palette, double dots, double line)
{
    (void)dots;
    const bool picture = layer == NB_LAYER_ALL;
    add_points(script, figure);
    if (picture) {
        if (clips(figure))
            add_clipping(script, figure, axes, palette);
        if (axes->x_low < 0 && axes->x_high > 0)
            add_line(script, 0, axes->y_low, 0, axes->y_high, "nohead", palette->muted);
        if (axes->y_low < 0 && axes->y_high > 0)
            add_line(script, axes->x_low, 0, axes->x_high, 0, "nohead", palette->muted);
        add_note(script, figure, axes, palette);
        nb_buffer_format(script, "plot x with lines lw 1.3 dt (14,14) lc rgb '%s' title 'identity', ",
                         palette->muted);
    } else {
        nb_buffer_text(script, "plot ");
    }
    if (layer != NB_LAYER_BEFORE) {
        nb_buffer_format(script, "$stairs using 1:3 with filledcurves y=0 fs %s noborder lc rgb '%s'",
                         picture ? "transparent solid 0.25" : "solid 1.0", palette->after);
        nb_script_title(script, figure->after.label);
    }
    if (layer != NB_LAYER_AFTER) {
        nb_buffer_format(script, "%s$stairs using 1:2 with lines lw %.3g lc rgb '%s'", picture ? ", " : "",
                         line * 1.3, palette->before);
        nb_script_title(script, figure->before.label);
    }
    nb_buffer_text(script, "\n");
}

/* ---- in characters ---- */

static int row_of(const nb_grid *grid, const nb_axes *axes, double y)
{
    const double height = nb_scale_position(y, axes->y_low, axes->y_high, false);
    return grid->top + grid->height - 1 - (int)lrint(height * (grid->height - 1));
}

/* The point in the middle of a column. */
static size_t point_of(const nb_figure *figure, const nb_grid *grid, int column)
{
    const size_t i = (size_t)(((double)column + 0.5) / grid->width * (double)figure->n);
    return i < figure->n ? i : figure->n - 1;
}

static void draw_error(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, int column, bool utf8)
{
    const size_t i = point_of(figure, grid, column);
    const double error = figure->before.values[i] - place(figure, i);
    const int rows = (int)lrint(fabs(error) / (axes->y_high - axes->y_low) * (grid->height - 1));
    for (int row = 1; row <= rows; row++)
        nb_grid_put(grid, grid->left + column, row_of(grid, axes, 0) + (error > 0 ? -row : row),
                    utf8 ? 0x2591 : ':', NB_STYLE_AFTER);
}

/* A step, and the corner and the wall up or down to it. */
static void draw_step(nb_grid *grid, int column, int from, int to, bool utf8)
{
    const int x = grid->left + column;
    if (from == to) {
        nb_grid_put(grid, x, to, utf8 ? 0x2501 : '-', NB_STYLE_BEFORE);
        return;
    }
    const bool up = to < from;
    for (int row = (up ? to : from) + 1; row < (up ? from : to); row++)
        nb_grid_put(grid, x, row, utf8 ? 0x2503 : '|', NB_STYLE_BEFORE);
    nb_grid_put(grid, x, from, utf8 ? up ? 0x251b : 0x2513 : '+', NB_STYLE_BEFORE);
    nb_grid_put(grid, x, to, utf8 ? up ? 0x250f : 0x2517 : '+', NB_STYLE_BEFORE);
}

static void staircase_text(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, bool utf8)
{
    const double *q = figure->before.values;
    for (int column = 0; column < grid->width; column++)
        draw_error(grid, figure, axes, column, utf8);
    for (int column = 0; column < grid->width; column += 2)
        nb_grid_put(grid, grid->left + column,
                    row_of(grid, axes, place(figure, point_of(figure, grid, column))), utf8 ? 0xb7 : '.',
                    NB_STYLE_MUTED);
    int from = row_of(grid, axes, q[point_of(figure, grid, 0)]);
    for (int column = 0; column < grid->width; column++) {
        const int to = row_of(grid, axes, q[point_of(figure, grid, column)]);
        draw_step(grid, column, from, to, utf8);
        from = to;
    }
}

const nb_figure_row nb_figure_staircase = {
    .kind = NB_FIGURE_STAIRCASE,
    .name = "staircase",
    .plan = staircase_plan,
    .script = staircase_script,
    .text = staircase_text,
    .in_characters = true,
    .marks = {"━", "░"},
    .ascii_marks = {"-", ":"},
};
