/* One or two curves over evenly spaced places: before as a thinner line, after as a thicker one on top. What is no number
 * leaves a gap. */
#include "plots/figure.h"
#include "plots/scale.h"
#include "plots/script.h"

#include <math.h>
#include <stdio.h>

/* ---- what the data asks for ---- */

static void widen(const nb_figure_series *series, size_t n, double *low, double *high)
{
    for (size_t i = 0; i < n && series->values; i++) {
        if (!isfinite(series->values[i]))
            continue;
        *low = fmin(*low, series->values[i]);
        *high = fmax(*high, series->values[i]);
    }
}

static nb_status curve_plan(const nb_figure *figure, nb_axes *axes, nb_error *error)
{
    double low = INFINITY, high = -INFINITY;
    *axes = (nb_axes){
        .x_low = figure->x_low, .x_high = figure->x_high, .whole = figure->whole, .y_style = NB_TICK_PLAIN};
    if (figure->n == 0 || !figure->before.values)
        return nb_fail(error, NB_ERR_ARGUMENT, "the curve has no points to draw");
    if (!isfinite(figure->x_low) || !isfinite(figure->x_high) || figure->x_low > figure->x_high)
        return nb_fail(error, NB_ERR_ARGUMENT, "a curve cannot run from an end that lies above the other");
    if (axes->x_low == axes->x_high)
        axes->x_low -= 0.5, axes->x_high += 0.5;
    widen(&figure->before, figure->n, &low, &high);
    widen(&figure->after, figure->n, &low, &high);
    if (low > high) {
        axes->y_high = axes->y_marks_high = 1;
        axes->is_empty = true;
        snprintf(axes->note, sizeof(axes->note), "no value is a number");
        return NB_OK;
    }
    axes->log_y = figure->log_y && low > 0;
    const double margin = high > low ? 0.06 * (high - low) : high != 0 ? 0.1 * fabs(high) : 1;
    axes->y_high = axes->y_marks_high = axes->log_y ? 1.1 * high : high + margin;
    axes->y_low = axes->log_y ? low / 1.1 : low >= 0 && low < high - low ? 0 : low - margin;
    return NB_OK;
}

static double place(const nb_figure *figure, size_t i)
{
    return figure->n < 2 ? figure->x_low
                         : figure->x_low + (figure->x_high - figure->x_low) * (double)i / (double)(figure->n - 1);
}

/* ---- as a gnuplot script ---- */

static void add_points(nb_buffer *script, const char *name, const nb_figure *figure, const double *values)
{
    nb_buffer_format(script, "%s << EOD\n", name);
    for (size_t i = 0; i < figure->n; i++) {
        if (isfinite(values[i])) {
            nb_buffer_number(script, place(figure, i));
            nb_buffer_text(script, " ");
            nb_buffer_number(script, values[i]);
        }
        nb_buffer_text(script, "\n"); /* an empty line breaks the curve */
    }
    nb_buffer_text(script, "EOD\n");
}

static void add_curve(nb_buffer *script, const char *name, const char *label, double width, const char *colour,
                      bool first)
{
    nb_buffer_format(script, "%s%s using 1:2 with lines lw %.3g lc rgb '%s'", first ? "" : ", ", name, width, colour);
    nb_script_title(script, label);
}

static void curve_script(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, nb_layer layer,
                         const nb_palette *palette, double dots, double line)
{
    (void)dots;
    const bool before = layer != NB_LAYER_AFTER && !axes->is_empty;
    const bool after = figure->after.values && layer != NB_LAYER_BEFORE && !axes->is_empty;
    const bool alone = !figure->after.values;
    if (before)
        add_points(script, "$before", figure, figure->before.values);
    if (after)
        add_points(script, "$after", figure, figure->after.values);
    nb_buffer_text(script, "plot ");
    if (before)
        add_curve(script, "$before", figure->before.label, alone ? line : 0.6 * line, palette->before, true);
    if (after)
        add_curve(script, "$after", figure->after.label, line, palette->after, !before);
    if (!before && !after)
        nb_buffer_text(script, "NaN notitle");
    nb_buffer_text(script, "\n");
}

/* ---- in characters ---- */

/* The mean of the points that fall into a column; of the nearest one where none does. */
static double column_value(const nb_figure *figure, const double *values, int column, int width)
{
    size_t begin = (size_t)((double)figure->n * column / width);
    size_t end = (size_t)((double)figure->n * (column + 1) / width), count = 0;
    double sum = 0;
    if (end <= begin)
        end = begin + 1;
    for (size_t i = begin; i < end && i < figure->n; i++)
        if (isfinite(values[i]))
            sum += values[i], count++;
    return count ? sum / (double)count : NAN;
}

static void draw_curve(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, const nb_figure_series *series,
                       unsigned rune, nb_style style)
{
    for (int column = 0; column < grid->width && series->values; column++) {
        const double value = column_value(figure, series->values, column, grid->width);
        if (!isfinite(value))
            continue;
        const double height = nb_scale_position(value, axes->y_low, axes->y_high, axes->log_y);
        const int row = (int)lrint(height * (grid->height - 1));
        nb_grid_put(grid, grid->left + column, grid->top + grid->height - 1 - row, rune, style);
    }
}

static void curve_text(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, bool utf8)
{
    const unsigned mark = utf8 ? 0x2588 : '|'; /* as the legend shows it */
    const bool two = figure->after.values != NULL;
    draw_curve(grid, figure, axes, &figure->before, two ? 'o' : mark, NB_STYLE_BEFORE);
    draw_curve(grid, figure, axes, &figure->after, mark, NB_STYLE_AFTER);
}

const nb_figure_row nb_figure_curve = {
    .kind = NB_FIGURE_CURVE,
    .name = "curve",
    .plan = curve_plan,
    .script = curve_script,
    .text = curve_text,
};
