/* A matrix as coloured cells. */
#include "repl/commands/plot.h"

#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 256, MOST_COLUMNS = 384 };

/* The strongest number of each block, so that what stands out is seen. */
static double *shrink(const nb_array *x, size_t down, size_t across, size_t *n_rows, size_t *n_columns)
{
    const size_t rows = x->dims[0], columns = x->dims[1];
    *n_rows = nb_div_up(rows, down);
    *n_columns = nb_div_up(columns, across);
    double *cells = nb_calloc(*n_rows * *n_columns, sizeof *cells);
    for (size_t i = 0; cells && i < *n_rows * *n_columns; i++)
        cells[i] = NAN;
    for (size_t row = 0; cells && row < rows; row++) {
        for (size_t column = 0; column < columns; column++) {
            double *cell = &cells[row / down * *n_columns + column / across];
            const double value = (double)x->data[row * columns + column];
            if (isfinite(value) && !(fabs(value) <= fabs(*cell)))
                *cell = value;
        }
    }
    return cells;
}

static void write_heatmap_words(nb_drawing *d, size_t down, size_t across)
{
    const nb_array *x = d->series[0].array;
    double low, high;
    nb_drawing_ends(x, &low, &high);
    const double std = nb_drawing_measure(x, NB_REDUCE_STD), mean = nb_drawing_measure(x, NB_REDUCE_MEAN),
                 far = fmax(high - mean, mean - low) / std;
    char shape[96];
    nb_array_shape(x, shape, sizeof shape);
    if (far > 6 && isfinite(far))
        snprintf(d->headline, sizeof d->headline, "%.80s: the farthest number is %s deviations out",
                 nb_drawing_label(d, 0), nb_fixed(far, 0).text);
    else
        snprintf(d->headline, sizeof d->headline, "%.120s", nb_drawing_label(d, 0));
    int used = snprintf(d->subline, sizeof d->subline, "%s, from %s to %s", shape, nb_general(low, 4).text,
                        nb_general(high, 4).text);
    if (down > 1 || across > 1)
        snprintf(d->subline + used, sizeof d->subline - (size_t)used,
                 "; a cell is the strongest of %zu x %zu", down, across);
    snprintf(d->sentence, sizeof d->sentence, "Heatmap of %.80s, %s; mean %s, deviation %s.",
             nb_drawing_label(d, 0), d->subline, nb_general(mean, 3).text, nb_general(std, 3).text);
}

nb_status nb_plot_heatmap(nb_drawing *d, nb_error *error)
{
    const nb_array *x = d->series[0].array;
    char shape[96];
    if (d->n > 1)
        return nb_fail(error, NB_ERR_ARGUMENT, "a heatmap shows one matrix; subtract them, or plot each");
    if (x->n_dims != 2)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a heatmap shows a matrix, and %.60s is %s; slice or reshape it",
                       nb_drawing_label(d, 0), nb_array_shape(x, shape, sizeof shape));
    const size_t down = nb_div_up(x->dims[0], MOST_ROWS), across = nb_div_up(x->dims[1], MOST_COLUMNS);
    size_t n_rows, n_columns;
    double *cells = shrink(x, down, across, &n_rows, &n_columns);
    if (!cells)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    write_heatmap_words(d, down, across);
    double low, high;
    nb_drawing_ends(x, &low, &high);
    const nb_figure figure = {
        .kind = NB_FIGURE_HEATMAP,
        .headline = nb_drawing_title(d),
        .subline = d->subline,
        .x_label = "column",
        .y_label = "row",
        .x_low = -0.5,
        .x_high = (double)(n_columns * across) - 0.5,
        .y_low = -0.5,
        .y_high = (double)(n_rows * down) - 0.5,
        .cells = cells,
        .n_rows = n_rows,
        .n_columns = n_columns,
        .before = {low < 0 ? "below 0" : NULL, NULL},
        .after = {high > 0 ? "above 0" : NULL, NULL},
        .sentence = d->sentence,
    };
    nb_status status = nb_drawing_put(d, &figure, error);
    free(cells);
    return status;
}
