/* A matrix as coloured cells, the first row on top: pale is nothing, strong is much; where numbers have both
 * signs, blue lies below 0 and orange above, equally far. */
#include "plots/figure.h"
#include "plots/scale.h"
#include "plots/script.h"
#include "plots/words.h"

#include <math.h>
#include <stdio.h>

enum {
    MOST_CELLS = 1 << 20,
    GRID_UP_TO = 40 /* rows and columns between which lines are drawn */
};

static const double BAR_GAP = 0.9, BAR_WIDTH = 0.8; /* of the colours beside the plot, in ems */

/* ---- what the data asks for ---- */

static nb_status heatmap_plan(const nb_figure *figure, nb_axes *axes, nb_error *error)
{
    *axes = (nb_axes){.x_low = figure->x_low,
                      .x_high = figure->x_high,
                      .y_low = figure->y_low,
                      .y_high = figure->y_high,
                      .y_marks_high = figure->y_high,
                      .y_style = NB_TICK_COUNT,
                      .y_down = true,
                      .whole = true,
                      .right_room = 5.4};
    if (!figure->cells || figure->n_rows == 0 || figure->n_columns == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "the matrix has no cells to draw");
    if (figure->n_rows > MOST_CELLS || figure->n_columns > MOST_CELLS / figure->n_rows)
        return nb_fail(error, NB_ERR_ARGUMENT, "a picture shows at most %d cells", MOST_CELLS);
    if (!isfinite(figure->x_high - figure->x_low) || !isfinite(figure->y_high - figure->y_low) ||
        !(figure->x_low < figure->x_high) || !(figure->y_low < figure->y_high))
        return nb_fail(error, NB_ERR_ARGUMENT, "a matrix runs from a lower edge to a higher one");
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < figure->n_rows * figure->n_columns; i++) {
        if (!isfinite(figure->cells[i]))
            continue;
        low = fmin(low, figure->cells[i]);
        high = fmax(high, figure->cells[i]);
    }
    if (low > high) {
        axes->is_empty = true;
        snprintf(axes->note, sizeof(axes->note), "no cell is a number");
        low = 0, high = 1;
    }
    if (low < 0 && high > 0) {
        high = fmax(-low, high);
        low = -high;
    } else if (low == high) {
        high = low + fmax(fabs(low), 1);
    }
    axes->colour_low = low;
    axes->colour_high = high;
    return NB_OK;
}

static bool is_signed(const nb_axes *axes)
{
    return axes->colour_low < 0 && axes->colour_high > 0;
}

/* ---- as a gnuplot script ---- */

static void add_colours(nb_buffer *script, const nb_axes *axes, const nb_palette *palette)
{
    const bool on_dark = palette->paper[1] < '8';
    const char *nothing = on_dark ? "#2b303b" : "#f3eee6";
    if (is_signed(axes))
        nb_buffer_format(script, "set palette defined (-1 '%s', -0.5 '%s', 0 '%s', 0.5 '%s', 1 '%s')\n",
                         on_dark ? "#a9c8f5" : "#1f4272", palette->before, nothing, palette->after,
                         on_dark ? "#ffc9ab" : "#7a2410");
    else if (axes->colour_low < 0) /* all below 0 */
        nb_buffer_format(script, "set palette defined (0 '%s', 1 '%s', 2 '%s')\n",
                         on_dark ? "#a9c8f5" : "#1f4272", palette->before, nothing);
    else
        nb_buffer_format(script, "set palette defined (0 '%s', 1 '%s', 2 '%s', 3 '%s', 4 '%s')\n", nothing,
                         on_dark ? "#6b4a3a" : "#f3d3b0", on_dark ? "#b36a45" : "#ee9f6b", palette->after,
                         on_dark ? "#ffd9c2" : "#6b1216");
    nb_buffer_text(script, "set cbrange [");
    nb_buffer_number(script, axes->colour_low);
    nb_buffer_text(script, ":");
    nb_buffer_number(script, axes->colour_high);
    nb_buffer_text(script, "]\n");
}

/* The bar of colours at the right, with its marks. */
static void add_bar(nb_buffer *script, const nb_axes *axes, const nb_palette *palette)
{
    nb_ticks ticks;
    nb_ticks_choose(&ticks, axes->colour_low, axes->colour_high, 6, NB_TICK_PLAIN, false);
    nb_buffer_format(script,
                     "set colorbox user origin graph %.5f, graph 0 size graph %.5f, graph 1 noborder\n"
                     "set cbtics scale 0 textcolor rgb '%s' (",
                     1 + BAR_GAP * axes->area_em / axes->area_width,
                     BAR_WIDTH * axes->area_em / axes->area_width, palette->muted);
    for (size_t i = 0; i < ticks.n; i++) {
        nb_buffer_text(script, i ? ", " : "");
        nb_script_quote(script, ticks.items[i].label);
        nb_buffer_text(script, " ");
        nb_buffer_number(script, ticks.items[i].value);
    }
    nb_buffer_text(script, ")\n");
}

/* Lines of paper between few cells. */
static void add_lines(nb_buffer *script, const nb_axes *axes, char axis, size_t n, double low, double high,
                      const nb_palette *palette)
{
    (void)axes;
    for (size_t i = 1; i < n; i++) {
        const double at = low + (high - low) * (double)i / (double)n;
        nb_buffer_format(script, "set arrow from %s", axis == 'x' ? "first " : "graph 0, first ");
        nb_buffer_number(script, at);
        nb_buffer_format(script, "%s to %s", axis == 'x' ? ", graph 0" : "",
                         axis == 'x' ? "first " : "graph 1, first ");
        nb_buffer_number(script, at);
        nb_buffer_format(script, "%s nohead lw 1.6 lc rgb '%s' front\n", axis == 'x' ? ", graph 1" : "",
                         palette->paper);
    }
}

static void add_cells(nb_buffer *script, const nb_figure *figure)
{
    nb_buffer_text(script, "$cells << EOD\n");
    for (size_t row = 0; row < figure->n_rows; row++) {
        for (size_t column = 0; column < figure->n_columns; column++) {
            const double value = figure->cells[row * figure->n_columns + column];
            nb_buffer_text(script, column ? " " : "");
            nb_buffer_number(script, isfinite(value) ? value : NAN);
        }
        nb_buffer_text(script, "\n");
    }
    nb_buffer_text(script, "EOD\n");
}

/* "(low + (0.5 + $1) * width)": a cell's middle from its number. */
static void add_middle(nb_buffer *script, int column, double low, double high, size_t n)
{
    nb_buffer_text(script, "(");
    nb_buffer_number(script, low);
    nb_buffer_format(script, "+(0.5+$%d)*", column);
    nb_buffer_number(script, (high - low) / (double)n);
    nb_buffer_text(script, ")");
}

static void heatmap_script(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, nb_layer layer,
                           const nb_palette *palette, double dots, double line)
{
    (void)dots, (void)line, (void)layer;
    add_colours(script, axes, palette);
    add_bar(script, axes, palette);
    const bool few = figure->n_columns <= GRID_UP_TO && figure->n_rows <= GRID_UP_TO;
    if (few) {
        add_lines(script, axes, 'x', figure->n_columns, axes->x_low, axes->x_high, palette);
        add_lines(script, axes, 'y', figure->n_rows, axes->y_low, axes->y_high, palette);
    }
    add_cells(script, figure);
    nb_buffer_text(
        script, "unset grid\nunset key\nset border 0\nset datafile missing 'NaN'\nplot $cells matrix using ");
    add_middle(script, 1, axes->x_low, axes->x_high, figure->n_columns);
    nb_buffer_text(script, ":");
    add_middle(script, 2, axes->y_low, axes->y_high, figure->n_rows);
    /* Rectangle by rectangle a large matrix takes gnuplot many seconds. */
    nb_buffer_format(script, ":3 with image%s notitle\n", few ? " pixels" : "");
}

/* ---- in characters ---- */

/* The strongest number among the cells that a character stands for. */
static double strongest(const nb_figure *figure, const nb_grid *grid, int column, int row)
{
    const double across = (double)figure->n_columns / grid->width,
                 down = (double)figure->n_rows / grid->height;
    const size_t left = (size_t)(column * across), top = (size_t)(row * down);
    size_t right = (size_t)((column + 1) * across), bottom = (size_t)((row + 1) * down);
    right = right > left ? right : left + 1;
    bottom = bottom > top ? bottom : top + 1;
    double best = NAN;
    for (size_t i = top; i < bottom && i < figure->n_rows; i++) {
        for (size_t j = left; j < right && j < figure->n_columns; j++) {
            const double value = figure->cells[i * figure->n_columns + j];
            if (isfinite(value) && !(fabs(value) <= fabs(best)))
                best = value;
        }
    }
    return best;
}

static void heatmap_text(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, bool utf8)
{
    static const unsigned shades[] = {' ', 0x2591, 0x2592, 0x2593, 0x2588};
    static const char above[] = " .+*#", below[] = " ,-~=";
    const double range = is_signed(axes) ? axes->colour_high : axes->colour_high - axes->colour_low;
    for (int row = 0; row < grid->height; row++) {
        for (int column = 0; column < grid->width; column++) {
            const double value = strongest(figure, grid, column, row);
            if (!isfinite(value))
                continue;
            const bool negative = value < 0;
            const double from_nothing = is_signed(axes)        ? fabs(value)
                                        : axes->colour_low < 0 ? axes->colour_high - value
                                                               : value - axes->colour_low;
            const int shade = (int)fmin(5 * from_nothing / range, 4);
            nb_grid_put(grid, grid->left + column, grid->top + row,
                        utf8       ? shades[shade]
                        : negative ? (unsigned char)below[shade]
                                   : (unsigned char)above[shade],
                        negative ? NB_STYLE_BEFORE : NB_STYLE_AFTER);
        }
    }
}

const nb_figure_row nb_figure_heatmap = {
    .kind = NB_FIGURE_HEATMAP,
    .name = "heatmap",
    .plan = heatmap_plan,
    .script = heatmap_script,
    .text = heatmap_text,
    .in_characters = true,
    .marks = {"█", "█"},
    .ascii_marks = {"=", "#"},
};
