#include "plots/text.h"

#include "base/memory.h"
#include "plots/figure.h"
#include "plots/scale.h"
#include "plots/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 110, MAX_ROWS = 30, MAX_BLANK_COLUMN = 4096 };

/* ---- cells ---- */

void nb_grid_put(nb_grid *grid, int column, int row, unsigned rune, nb_style style)
{
    if (column >= 0 && column < grid->columns && row >= 0 && row < grid->rows)
        grid->cells[(size_t)row * (size_t)grid->columns + (size_t)column] = (nb_cell){rune, style};
}

void nb_grid_write(nb_grid *grid, int column, int row, const char *text, nb_style style)
{
    while (*text) {
        unsigned rune = nb_rune_next(&text);
        int n = nb_rune_columns(rune);
        if (n == 0)
            continue; /* a combining mark has no cell of its own */
        nb_grid_put(grid, column, row, rune, style);
        if (n == 2)
            nb_grid_put(grid, column + 1, row, 0, style);
        column += n;
    }
}

/* At most `room` columns of it. */
static void write_fitted(nb_grid *grid, int column, int row, const char *text, int room, nb_style style,
                         bool utf8)
{
    nb_buffer fitted = {0};
    nb_words_fit(&fitted, text ? text : "", room, nb_width_columns, !utf8);
    if (fitted.bytes && !fitted.failed)
        nb_grid_write(grid, column, row, fitted.bytes, style);
    grid->failed = grid->failed || fitted.failed;
    nb_buffer_free(&fitted);
}

static int columns_of(const char *text)
{
    return (int)nb_words_width(text, nb_width_columns);
}

void nb_grid_free(nb_grid *grid)
{
    free(grid->cells);
    *grid = (nb_grid){0};
}

/* ---- bytes ---- */

static const char *style_code(nb_style style, bool truecolour)
{
    switch (style) {
    case NB_STYLE_BOLD:
        return "\033[1m";
    case NB_STYLE_MUTED:
        return "\033[38;5;245m";
    case NB_STYLE_BEFORE:
        return truecolour ? "\033[38;2;76;114;168m" : "\033[38;5;67m";
    case NB_STYLE_AFTER:
        return truecolour ? "\033[38;2;217;98;43m" : "\033[38;5;166m";
    case NB_STYLE_PLAIN:
        break;
    }
    return "";
}

void nb_grid_emit(const nb_grid *grid, const nb_terminal *terminal, nb_buffer *out)
{
    out->failed = out->failed || grid->failed;
    for (int row = 0; row < grid->rows; row++) {
        const nb_cell *cells = grid->cells + (size_t)row * (size_t)grid->columns;
        int n = grid->columns;
        while (n > 0 && (cells[n - 1].rune == ' ' || cells[n - 1].rune == 0))
            n--;
        nb_style style = NB_STYLE_PLAIN;
        int covered = 0; /* columns that a wide rune before this one takes */
        for (int column = 0; column < n; column++) {
            unsigned rune = cells[column].rune ? cells[column].rune : ' ';
            if (covered > 0) {
                covered--;
                continue;
            }
            covered = nb_rune_columns(rune) - 1;
            if (terminal->colour && rune != ' ' && cells[column].style != style) {
                if (style != NB_STYLE_PLAIN)
                    nb_buffer_text(out, "\033[0m");
                style = cells[column].style;
                nb_buffer_text(out, style_code(style, terminal->truecolour));
            }
            nb_buffer_rune(out, rune);
        }
        nb_buffer_text(out, style != NB_STYLE_PLAIN ? "\033[0m\n" : "\n");
    }
}

/* ---- the frame ---- */

static int widest_label(const nb_ticks *ticks)
{
    int widest = 1;
    for (size_t i = 0; i < ticks->n; i++)
        if ((int)strlen(ticks->items[i].label) > widest)
            widest = (int)strlen(ticks->items[i].label);
    return widest;
}

/* One row: what is counted at the left, above its axis; the legend at the right. */
static void draw_legend(nb_grid *grid, const nb_figure *figure, int row, nb_legend_marks marks, bool utf8)
{
    const struct {
        const char *mark, *label;
        nb_style style;
    } entries[] = {{marks.before, figure->before.label, NB_STYLE_BEFORE},
                   {marks.after,
                    figure->after.values || figure->cells || figure->points ? figure->after.label : NULL,
                    figure->points ? NB_STYLE_MUTED : NB_STYLE_AFTER}};
    int column = grid->columns, room = grid->columns / 2 - 6;
    for (int i = 1; i >= 0; i--) {
        nb_buffer label = {0};
        if (!entries[i].label || !entries[i].label[0])
            continue;
        nb_words_fit(&label, entries[i].label, room, nb_width_columns, !utf8);
        if (label.bytes && !label.failed) {
            column -= columns_of(label.bytes);
            nb_grid_write(grid, column, row, label.bytes, NB_STYLE_PLAIN);
            column -= columns_of(entries[i].mark) + 1;
            nb_grid_write(grid, column, row, entries[i].mark, entries[i].style);
            column -= 3;
        }
        grid->failed = grid->failed || label.failed;
        nb_buffer_free(&label);
    }
    if (figure->y_label && column > 8)
        write_fitted(grid, 0, row, figure->y_label, column, NB_STYLE_MUTED, utf8);
}

static void draw_y_axis(nb_grid *grid, const nb_axes *axes, const nb_ticks *ticks, bool utf8)
{
    for (int row = 0; row < grid->height; row++)
        nb_grid_put(grid, grid->left - 1, grid->top + row, utf8 ? 0x2502 : '|', NB_STYLE_MUTED);
    for (size_t i = 0; i < ticks->n; i++) {
        const nb_tick *tick = &ticks->items[i];
        double position = nb_scale_position(tick->value, axes->y_low, axes->y_high, axes->log_y);
        int row = grid->top + grid->height - (int)lrint(position * grid->height);
        if (axes->y_down) /* numbers of rows stand beside them, not between */
            row = grid->top + (int)fmin(position * grid->height, grid->height - 1);
        if (tick->value < axes->y_low || row < grid->top)
            continue;
        bool is_corner = row == grid->top + grid->height;
        nb_grid_write(grid, grid->left - 2 - (int)strlen(tick->label), row, tick->label, NB_STYLE_MUTED);
        nb_grid_put(grid, grid->left - 1, row, utf8 ? is_corner ? 0x253c : 0x2524 : '+', NB_STYLE_MUTED);
    }
}

static void draw_x_axis(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, bool utf8)
{
    int row = grid->top + grid->height, free_from = 0;
    nb_ticks ticks;
    nb_ticks_fit(&ticks, axes->x_low, axes->x_high, grid->width, 2, nb_width_columns);
    if (axes->whole)
        nb_ticks_keep_whole(&ticks);
    nb_grid_put(grid, grid->left - 1, row, utf8 ? 0x2514 : '+', NB_STYLE_MUTED);
    for (int column = 0; column < grid->width; column++)
        nb_grid_put(grid, grid->left + column, row, utf8 ? 0x2500 : '-', NB_STYLE_MUTED);
    for (size_t i = 0; i < ticks.n; i++) {
        double position = nb_scale_position(ticks.items[i].value, axes->x_low, axes->x_high, false);
        int column = grid->left + (int)fmin(position * grid->width, grid->width - 1);
        int n = (int)strlen(ticks.items[i].label), begin = column - n / 2;
        begin = begin + n > grid->columns ? grid->columns - n : begin;
        if (begin < free_from)
            continue;
        free_from = begin + n + 1;
        nb_grid_put(grid, column, row, utf8 ? 0x252c : '+', NB_STYLE_MUTED);
        nb_grid_write(grid, begin, row + 1, ticks.items[i].label, NB_STYLE_MUTED);
    }
    if (figure->x_label) {
        int n = columns_of(figure->x_label), begin = grid->left + (grid->width - n) / 2;
        write_fitted(grid, begin > 0 ? begin : 0, row + 2, figure->x_label, grid->columns, NB_STYLE_MUTED,
                     utf8);
    }
}

nb_status nb_text_frame(nb_grid *grid, const nb_figure *figure, const nb_axes *axes,
                        const nb_terminal *terminal, nb_legend_marks marks, bool utf8, nb_error *error)
{
    /* The last column stays free (some terminals wrap there), and two rows for the prompts around it. */
    int columns = terminal->columns > 0 ? terminal->columns : 80,
        rows = terminal->rows > 0 ? terminal->rows : 24;
    *grid = (nb_grid){.columns = columns - 1 < MAX_COLUMNS ? columns - 1 : MAX_COLUMNS,
                      .rows = rows - 2 < MAX_ROWS ? rows - 2 : MAX_ROWS};
    grid->cells = nb_calloc((size_t)grid->columns * (size_t)grid->rows, sizeof(*grid->cells));
    if (!grid->cells)
        return nb_fail(error, NB_ERR_MEMORY, "no memory left to draw the figure");

    int header = 1 + (figure->subline && figure->subline[0]) + 1;
    int footer = 2 + (figure->x_label && figure->x_label[0]);
    nb_ticks ticks;
    grid->top = header;
    grid->height = grid->rows - header - footer;
    nb_ticks_choose(&ticks, axes->y_low, axes->y_marks_high, (size_t)grid->height / 3, axes->y_style,
                    axes->log_y);
    if (axes->y_down)
        nb_ticks_keep_whole(&ticks);
    grid->left = widest_label(&ticks) + 2;
    grid->width = grid->columns - grid->left;

    write_fitted(grid, 0, 0, figure->headline, grid->columns, NB_STYLE_BOLD, utf8);
    if (header == 3)
        write_fitted(grid, 0, 1, figure->subline, grid->columns, NB_STYLE_MUTED, utf8);
    draw_legend(grid, figure, header - 1, marks, utf8);
    draw_x_axis(grid, figure, axes, utf8);
    draw_y_axis(grid, axes, &ticks, utf8);
    return NB_OK;
}

static bool is_drawn(const nb_grid *grid, int column, int row)
{
    unsigned rune = grid->cells[(size_t)row * (size_t)grid->columns + (size_t)column].rune;
    return rune != 0 && rune != ' ';
}

void nb_text_note(nb_grid *grid, const nb_axes *axes, bool utf8)
{
    if (axes->is_empty) {
        int n = columns_of(axes->note), column = grid->left + (grid->width - n) / 2;
        nb_grid_write(grid, column, grid->top + grid->height / 2, axes->note, NB_STYLE_MUTED);
    }
    if (!axes->has_note)
        return;
    nb_style style = axes->note_is_before ? NB_STYLE_BEFORE : NB_STYLE_AFTER;
    double position = nb_scale_position(axes->note_x, axes->x_low, axes->x_high, false);
    int column = grid->left + (int)fmin(position * grid->width, grid->width - 1);
    nb_buffer note = {0};
    nb_words_fit(&note, axes->note, grid->width, nb_width_columns, !utf8);
    if (note.bytes && !note.failed) {
        int left = column, right = column; /* a spike can be wider than its arrow */
        while (left > grid->left && is_drawn(grid, left - 1, grid->top))
            left--;
        while (right + 1 < grid->columns && is_drawn(grid, right + 1, grid->top))
            right++;
        column = (left + right + 1) / 2;
        for (int i = left; i <= right; i++)
            nb_grid_put(grid, i, grid->top, i == column ? utf8 ? 0x25b2 : '^' : ' ', style);
        int n = columns_of(note.bytes), begin = right + 2;
        bool at_right = begin + n <= grid->columns, at_left = left - 1 - n >= grid->left;
        if (!at_right && at_left)
            begin = left - 1 - n;
        else if (!at_right) /* beside it there is no room: on top of it, as its name */
            begin = column - n / 2 < grid->left ? grid->left : column - n / 2;
        begin = begin + n > grid->columns ? grid->columns - n : begin;
        nb_grid_write(grid, begin, grid->top, note.bytes, style);
    }
    grid->failed = grid->failed || note.failed;
    nb_buffer_free(&note);
}
