/* Two distributions over one axis: before as a filled curve, after as bars. */
#include "plots/figure.h"
#include "plots/scale.h"
#include "plots/script.h"

#include "base/print.h"

#include <math.h>
#include <stdio.h>

enum {
    CURVE_FROM_BINS = 30, /* with fewer, a curve would show slopes that are not there: steps */
};

/* ---- what the data asks for ---- */

static nb_status check_series(const nb_figure_series *series, size_t n, const char *which, nb_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (!(series->values[i] >= 0) || !isfinite(series->values[i])) {
            char text[32];
            nb_print_general(text, sizeof(text), series->values[i], 6);
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "bin %zu of the %s series holds %s; a count is a finite number from 0 up", i,
                           which, text);
        }
    return NB_OK;
}

/* Where the two greatest counts are: a spike is what stands alone. */
typedef struct peaks {
    size_t first;
    double highest, second, lowest_positive, total;
} peaks;

static peaks find_peaks(const double *values, size_t n)
{
    peaks found = {0};
    for (size_t i = 0; i < n; i++) {
        found.total += values[i];
        if (values[i] > 0 && (found.lowest_positive == 0 || values[i] < found.lowest_positive))
            found.lowest_positive = values[i];
        if (values[i] > found.highest) {
            found.second = found.highest;
            found.highest = values[i];
            found.first = i;
        } else if (values[i] > found.second) {
            found.second = values[i];
        }
    }
    return found;
}

static void plan_x(const nb_figure *figure, nb_axes *axes)
{
    axes->x_low = figure->x_low;
    axes->x_high = figure->x_high;
    if (axes->x_low == axes->x_high) { /* one value in all the tensor: show it in the middle of something */
        double margin = axes->x_low == 0 ? 1 : fabs(axes->x_low) / 10;
        axes->x_low -= margin;
        axes->x_high += margin;
    }
}

static double bin_width(const nb_figure *figure, const nb_axes *axes)
{
    return axes->x_high / (double)figure->n - axes->x_low / (double)figure->n;
}

static double bin_edge(const nb_figure *figure, const nb_axes *axes, size_t i)
{
    return axes->x_low + (double)i * bin_width(figure, axes);
}

/* A bar more than twice as high as all else is cut off and named, or it would flatten all else. */
static void plan_spike(const nb_figure *figure, nb_axes *axes, const peaks *spiky, double others)
{
    double left = bin_edge(figure, axes, spiky->first), right = bin_edge(figure, axes, spiky->first + 1);
    double tolerance = 1e-6 * (right - left);
    axes->has_note = true;
    axes->note_x = (left + right) / 2;
    axes->note_width = right - left;
    axes->y_high = 1.18 * others;
    axes->y_marks_high = others;
    bool at_zero = left <= tolerance && right >= -tolerance;
    if (figure->note && figure->note[0] && at_zero && !axes->note_is_before) {
        snprintf(axes->note, sizeof(axes->note), "%s", figure->note);
    } else {
        char share[32], middle[32];
        nb_print_fixed(share, sizeof(share), 100 * spiky->highest / spiky->total, 1);
        nb_print_general(middle, sizeof(middle), axes->note_x, 3);
        snprintf(axes->note, sizeof(axes->note), "%s%% in the bin at %s", share, at_zero ? "0" : middle);
    }
}

static nb_status histogram_plan(const nb_figure *figure, nb_axes *axes, nb_error *error)
{
    *axes = (nb_axes){.log_y = figure->log_y, .whole = figure->whole, .y_style = NB_TICK_COUNT};
    if (figure->n == 0 || !figure->before.values)
        return nb_fail(error, NB_ERR_ARGUMENT, "the histogram has no bins to draw");
    if (!isfinite(figure->x_low) || !isfinite(figure->x_high) || figure->x_low > figure->x_high) {
        char low[32], high[32];
        return nb_fail(error, NB_ERR_ARGUMENT, "a histogram cannot run from %s to %s",
                       nb_print_general(low, sizeof(low), figure->x_low, 6),
                       nb_print_general(high, sizeof(high), figure->x_high, 6));
    }
    nb_status status = check_series(&figure->before, figure->n, "first", error);
    if (status == NB_OK && figure->after.values)
        status = check_series(&figure->after, figure->n, "second", error);
    if (status != NB_OK)
        return status;
    plan_x(figure, axes);

    peaks before = find_peaks(figure->before.values, figure->n), after = {0};
    if (figure->after.values)
        after = find_peaks(figure->after.values, figure->n);
    double highest = fmax(before.highest, after.highest);
    if (highest == 0) {
        axes->log_y = false;
        axes->y_high = axes->y_marks_high = 1;
        axes->is_empty = true;
        snprintf(axes->note, sizeof(axes->note), "every bin is empty");
        return NB_OK;
    }
    if (axes->log_y) {
        double lowest = before.lowest_positive;
        if (after.lowest_positive > 0 && (lowest == 0 || after.lowest_positive < lowest))
            lowest = after.lowest_positive;
        axes->y_low = 0.6 * nb_power_of_ten(nb_decade(lowest)); /* a count of 1 is still a bar */
        axes->y_high = axes->y_marks_high = 1.6 * highest;
        return NB_OK;
    }
    axes->y_high = axes->y_marks_high = 1.06 * highest;
    bool is_before = before.highest > after.highest;
    const peaks *spiky = is_before ? &before : &after, *calm = is_before ? &after : &before;
    double others = fmax(spiky->second, calm->highest);
    if (others > 0 && spiky->highest > 2 * others) {
        axes->note_is_before = is_before;
        plan_spike(figure, axes, spiky, others);
    }
    return NB_OK;
}

/* ---- as a gnuplot script ---- */

static void add_point(nb_buffer *script, double x, double y, const nb_axes *axes)
{
    nb_buffer_number(script, x);
    nb_buffer_text(script, " ");
    nb_buffer_number(script, axes->log_y && y < axes->y_low ? axes->y_low : y);
    nb_buffer_text(script, "\n");
}

static void add_bars(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, const double *values)
{
    nb_buffer_text(script, "$bars << EOD\n");
    for (size_t i = 0; i < figure->n; i++)
        if (values[i] > 0)
            add_point(script, bin_edge(figure, axes, i) + bin_width(figure, axes) / 2, values[i], axes);
    nb_buffer_text(script, "EOD\n");
}

static void add_curve(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, const double *values)
{
    nb_buffer_text(script, "$curve << EOD\n");
    for (size_t i = 0; i < figure->n; i++) {
        if (figure->n < CURVE_FROM_BINS || i == 0)
            add_point(script, bin_edge(figure, axes, i), values[i], axes);
        if (figure->n >= CURVE_FROM_BINS)
            add_point(script, bin_edge(figure, axes, i) + bin_width(figure, axes) / 2, values[i], axes);
        if (figure->n < CURVE_FROM_BINS || i == figure->n - 1)
            add_point(script, bin_edge(figure, axes, i + 1), values[i], axes);
    }
    nb_buffer_text(script, "EOD\n");
}

static bool any_positive(const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (values[i] > 0)
            return true;
    return false;
}

static void histogram_script(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, nb_layer layer,
                             const nb_palette *palette, double dots, double line)
{
    const nb_figure_series *bars = figure->after.values ? &figure->after : &figure->before;
    const nb_figure_series *curve = figure->after.values ? &figure->before : NULL;
    const char *colour = curve ? palette->after : palette->before;
    double width = bin_width(figure, axes), dot = (axes->x_high - axes->x_low) / dots;
    bool draws_bars = any_positive(bars->values, figure->n);
    if (layer == (curve ? NB_LAYER_BEFORE : NB_LAYER_AFTER))
        draws_bars = false;
    if (layer == NB_LAYER_AFTER)
        curve = NULL;

    /* A gap of a tenth between bars that are wide enough to show one, and none so thin that it fades; then
     * they overlap, and see-through ones would add up. A bar of black dots includes both of its edges, so it
     * is one dot narrower. */
    const char *fill = layer != NB_LAYER_ALL ? "solid 1.0"
                       : width < 2 * dot     ? "solid 0.72"
                                             : "transparent solid 0.72";
    if (layer != NB_LAYER_ALL)
        width = fmax(width - dot, dot / 100);
    else
        width = width > 4 * dot ? 0.88 * width : fmax(width, 2 * dot);
    if (draws_bars)
        add_bars(script, figure, axes, bars->values);
    if (curve)
        add_curve(script, figure, axes, curve->values);
    nb_buffer_text(script, "set boxwidth ");
    nb_buffer_number(script, width);
    nb_buffer_text(script, " absolute\nplot ");
    if (draws_bars) {
        nb_buffer_format(script, "$bars using 1:2 with boxes fs %s noborder lc rgb '%s'", fill, colour);
        nb_script_title(script, bars->label);
    }
    if (curve) {
        nb_buffer_text(script, draws_bars ? ", " : "");
        if (layer == NB_LAYER_ALL) {
            nb_buffer_text(script, "$curve using 1:2 with filledcurves y=");
            nb_buffer_number(script, axes->y_low);
            nb_buffer_format(script, " fs transparent solid 0.2 noborder lc rgb '%s' notitle, ",
                             palette->before);
        }
        nb_buffer_format(script, "$curve using 1:2 with lines lw %.3g lc rgb '%s'", line, palette->before);
        nb_script_title(script, curve->label);
    }
    if (!draws_bars && !curve)
        nb_buffer_text(script, "NaN notitle");
    nb_buffer_text(script, "\n");
}

/* ---- in characters ---- */

/* The highest bin among those whose middle lies in this column; the bin that it lies in if none does. */
static double column_value(const nb_figure *figure, const double *values, int column, int width)
{
    double bins_per_column = (double)figure->n / width, highest = 0;
    size_t begin = (size_t)ceil(column * bins_per_column - 0.5),
           end = (size_t)ceil((column + 1) * bins_per_column - 0.5);
    if (begin >= end) {
        begin = (size_t)((column + 0.5) * bins_per_column);
        end = begin + 1;
    }
    for (size_t i = begin; i < end && i < figure->n; i++)
        highest = fmax(highest, values[i]);
    return highest;
}

static void draw_bar(nb_grid *grid, int column, double height, bool utf8, nb_style style)
{
    int eighths = (int)lrint(height * grid->height * 8);
    if (height > 0 && eighths == 0)
        eighths = 1; /* what is there is seen */
    for (int i = 0; eighths > 0; i++, eighths -= 8) {
        unsigned rune = eighths >= 8 ? 0x2588 : 0x2580 + (unsigned)eighths;
        if (!utf8)
            rune = eighths >= 6 ? '|' : eighths >= 3 ? ':' : '.';
        nb_grid_put(grid, grid->left + column, grid->top + grid->height - 1 - i, rune, style);
    }
}

static void histogram_text(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, bool utf8)
{
    bool two = figure->after.values != NULL;
    const double *bars = two ? figure->after.values : figure->before.values;
    for (int column = 0; column < grid->width; column++) {
        double value = column_value(figure, bars, column, grid->width);
        draw_bar(grid, column, nb_scale_position(value, axes->y_low, axes->y_high, axes->log_y), utf8,
                 two ? NB_STYLE_AFTER : NB_STYLE_BEFORE);
    }
    for (int column = 0; two && column < grid->width; column++) {
        double value = column_value(figure, figure->before.values, column, grid->width);
        double height = nb_scale_position(value, axes->y_low, axes->y_high, axes->log_y);
        int row = (int)lrint(height * grid->height - 0.5);
        if (value > 0)
            nb_grid_put(grid, grid->left + column, grid->top + grid->height - 1 - (row > 0 ? row : 0), 'o',
                        NB_STYLE_BEFORE);
    }
}

const nb_figure_row nb_figure_histogram = {
    .kind = NB_FIGURE_HISTOGRAM,
    .name = "histogram",
    .plan = histogram_plan,
    .script = histogram_script,
    .text = histogram_text,
};
