/* Points, each with its name: what one pays against what one gets. The front, of those that no other point beats, is
 * a line of steps; the rest stands grey. Low and left is good, and height is on a logarithmic axis. */
#include "plots/figure.h"
#include "plots/scale.h"
#include "plots/script.h"
#include "plots/words.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what the data asks for ---- */

enum { MAX_POINTS = 512, MOST_DECADES = 6 };

/* A step of the front begins at a point and runs right, to where the next one lies lower. */
static const nb_figure_point *next_on_front(const nb_figure *figure, const nb_figure_point *after)
{
    const nb_figure_point *best = NULL;
    for (size_t i = 0; i < figure->n; i++) {
        const nb_figure_point *point = &figure->points[i];
        if (point->on_front && (!after || point->x > after->x) && (!best || point->x < best->x))
            best = point;
    }
    return best;
}

static nb_status pareto_plan(const nb_figure *figure, nb_axes *axes, nb_error *error)
{
    double left = INFINITY, right = -INFINITY, low = INFINITY, high = 0;
    *axes = (nb_axes){.y_style = NB_TICK_INCREASE, .log_y = true};
    if (figure->n == 0 || !figure->points)
        return nb_fail(error, NB_ERR_ARGUMENT, "there are no points to draw");
    if (figure->n > MAX_POINTS)
        return nb_fail(error, NB_ERR_ARGUMENT, "a figure shows at most %d points, not %zu", MAX_POINTS, figure->n);
    for (size_t i = 0; i < figure->n; i++) {
        const nb_figure_point *point = &figure->points[i];
        if (!isfinite(point->x) || !isfinite(point->y))
            return nb_fail(error, NB_ERR_ARGUMENT, "a point of the figure is no number");
        left = fmin(left, point->x);
        right = fmax(right, point->x);
        high = fmax(high, point->y);
        if (point->y > 0)
            low = fmin(low, point->y);
    }
    if (!(high > 0))
        low = high = 1;
    low = fmax(low, high / nb_power_of_ten(MOST_DECADES));
    const double margin = right > left ? 0.06 * (right - left) : fmax(0.1 * fabs(left), 0.5);
    axes->x_low = left - margin;
    axes->x_high = right + margin;
    axes->y_low = 0.5 * low; /* what costs nothing stands on the axis */
    axes->y_high = axes->y_marks_high = 2.2 * high;
    return NB_OK;
}

static double height_of(const nb_figure_point *point, const nb_axes *axes)
{
    return point->y > axes->y_low ? point->y : axes->y_low;
}

/* ---- names that do not cover each other ---- */

typedef struct box {
    double left, top, right, bottom;
} box;

/* Boxes that are taken; all in one unit: pixels, or a terminal's cells. */
typedef struct board {
    double width, height;
    box *taken;
    size_t n, capacity;
} board;

static bool is_free(const board *board, const box *b)
{
    if (b->left < 0 || b->top < 0 || b->right > board->width || b->bottom > board->height)
        return false;
    for (size_t i = 0; i < board->n; i++) {
        const box *other = &board->taken[i];
        if (b->left < other->right && other->left < b->right && b->top < other->bottom && other->top < b->bottom)
            return false;
    }
    return true;
}

static void take(board *board, box b)
{
    if (board->n < board->capacity)
        board->taken[board->n++] = b;
}

/* One point in the board's unit, y downwards. */
static void position(const nb_figure_point *point, const nb_axes *axes, const board *board, double *x, double *y)
{
    *x = board->width * nb_scale_position(point->x, axes->x_low, axes->x_high, false);
    *y = board->height * (1 - nb_scale_position(height_of(point, axes), axes->y_low, axes->y_high, true));
}

static void take_front(board *board, const nb_figure *figure, const nb_axes *axes, double thick)
{
    const nb_figure_point *from = next_on_front(figure, NULL);
    while (from) {
        const nb_figure_point *to = next_on_front(figure, from);
        double x, y, end_x = board->width, end_y;
        position(from, axes, board, &x, &y);
        if (to) {
            position(to, axes, board, &end_x, &end_y);
            take(board, (box){end_x - thick, y, end_x + thick, end_y});
        }
        take(board, (box){x, y - thick, end_x, y + thick});
        from = to;
    }
}

/* False: no memory. */
static bool board_create(board *board, size_t capacity)
{
    board->capacity = capacity;
    board->taken = nb_calloc(board->capacity, sizeof *board->taken);
    return board->taken != NULL;
}

/* Where a name may stand: right above its point, as on a step of the front; else at another corner or side. */
static const struct {
    double along; /* of its width that lies left of the point */
    double gap;   /* from there, in ems */
    int rise;     /* in lines */
} corners[] = {{0, 0.5, 1}, {1, -0.6, -1}, {1, -0.7, 0}, {0, 0.7, 0}, {0, 0.5, -1}, {1, -0.5, 1}, {0.5, 0, 1}, {0.5, 0, -1}};

/* The first free place for a name: `width` wide and `height` high, a line lying `line` above or below. *x is its left
 * end, *y its middle. */
static bool place_name(board *board, double point_x, double point_y, double width, double height, double line,
                       double em, double *x, double *y)
{
    for (size_t i = 0; i < sizeof corners / sizeof *corners; i++) {
        *x = point_x - corners[i].along * width + corners[i].gap * em;
        *y = point_y - corners[i].rise * line;
        const box wanted = {*x, *y - height / 2, *x + width, *y + height / 2};
        if (!is_free(board, &wanted))
            continue;
        take(board, wanted);
        return true;
    }
    return false;
}

/* ---- as a gnuplot script ---- */

static void add_names(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, const nb_palette *palette,
                      board *board, bool of_front)
{
    const double em = 0.9 * axes->area_em;
    for (size_t i = 0; i < figure->n; i++) {
        const nb_figure_point *point = &figure->points[i];
        if (point->on_front != of_front || !point->name)
            continue;
        double x, y, name_x, name_y;
        position(point, axes, board, &x, &y);
        if (!place_name(board, x, y, em * nb_words_width(point->name, nb_width_sans), em, 0.8 * em, em,
                        &name_x, &name_y))
            continue;
        nb_buffer_text(script, "set label ");
        nb_script_quote(script, point->name);
        nb_buffer_format(script, " at graph %.5f,%.5f left font ',%.2f' tc rgb '%s' noenhanced front\n",
                         name_x / board->width, 1 - name_y / board->height, 0.9 * axes->area_font,
                         of_front ? palette->ink : palette->muted);
    }
}

static void label_points(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, const nb_palette *palette)
{
    board board = {.width = axes->area_width, .height = axes->area_height};
    if (!board_create(&board, 4 * figure->n)) { /* a point, its name, two pieces of a step */
        script->failed = true;
        return;
    }
    for (size_t i = 0; i < figure->n; i++) {
        double x, y, radius = 0.3 * axes->area_em;
        position(&figure->points[i], axes, &board, &x, &y);
        take(&board, (box){x - radius, y - radius, x + radius, y + radius});
    }
    take_front(&board, figure, axes, 2);
    add_names(script, figure, axes, palette, &board, true);
    add_names(script, figure, axes, palette, &board, false);
    free(board.taken);
}

static void add_point(nb_buffer *script, double x, double y)
{
    nb_buffer_number(script, x);
    nb_buffer_text(script, " ");
    nb_buffer_number(script, y);
    nb_buffer_text(script, "\n");
}

static bool add_points(nb_buffer *script, const char *name, const nb_figure *figure, const nb_axes *axes,
                       bool on_front)
{
    bool any = false;
    nb_buffer_format(script, "%s << EOD\n", name);
    for (size_t i = 0; i < figure->n; i++)
        if (figure->points[i].on_front == on_front) {
            add_point(script, figure->points[i].x, height_of(&figure->points[i], axes));
            any = true;
        }
    nb_buffer_text(script, "EOD\n");
    return any;
}

static void add_steps(nb_buffer *script, const nb_figure *figure, const nb_axes *axes)
{
    nb_buffer_text(script, "$steps << EOD\n");
    const nb_figure_point *from = next_on_front(figure, NULL);
    while (from) {
        const nb_figure_point *to = next_on_front(figure, from);
        add_point(script, from->x, height_of(from, axes));
        add_point(script, to ? to->x : axes->x_high, height_of(from, axes));
        from = to;
    }
    nb_buffer_text(script, "EOD\n");
}

static void pareto_script(nb_buffer *script, const nb_figure *figure, const nb_axes *axes, nb_layer layer,
                          const nb_palette *palette, double dots, double line)
{
    (void)dots;
    const bool picture = layer == NB_LAYER_ALL;
    const double size = picture ? 1.1 : 0.2;
    bool front = layer != NB_LAYER_AFTER && add_points(script, "$front", figure, axes, true);
    bool rest = layer != NB_LAYER_BEFORE && add_points(script, "$rest", figure, axes, false);
    if (picture)
        label_points(script, figure, axes, palette);
    if (front)
        add_steps(script, figure, axes);
    nb_buffer_text(script, "plot ");
    if (rest) {
        nb_buffer_format(script, "$rest using 1:2 with points pt 7 ps %.3g lc rgb '%s'", 0.8 * size, palette->muted);
        nb_script_title(script, figure->after.label);
    }
    if (front) {
        nb_buffer_format(script, "%s$steps using 1:2 with lines lw %.3g lc rgb '%s'", rest ? ", " : "", line,
                         palette->before);
        nb_script_title(script, figure->before.label);
        nb_buffer_format(script, ", $front using 1:2 with points pt 7 ps %.3g lc rgb '%s' notitle", size,
                         palette->before);
    }
    if (!front && !rest)
        nb_buffer_text(script, "NaN notitle");
    nb_buffer_text(script, "\n");
}

/* ---- in characters ---- */

static void cell_of(const nb_grid *grid, const nb_figure_point *point, const nb_axes *axes, int *column, int *row)
{
    *column = (int)(nb_scale_position(point->x, axes->x_low, axes->x_high, false) * (grid->width - 1));
    const double height = nb_scale_position(height_of(point, axes), axes->y_low, axes->y_high, true);
    *row = grid->height - 1 - (int)lrint(height * (grid->height - 1));
}

static void write_names(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, board *board, bool of_front)
{
    for (size_t i = 0; i < figure->n; i++) {
        const char *name = figure->points[i].name;
        double x, y;
        int column, row;
        if (figure->points[i].on_front != of_front || !name)
            continue;
        cell_of(grid, &figure->points[i], axes, &column, &row);
        if (!place_name(board, column + 0.5, row + 0.5, nb_words_width(name, nb_width_columns), 0.9, 1, 1, &x, &y))
            continue;
        nb_grid_write(grid, grid->left + (int)ceil(x), grid->top + (int)floor(y), name,
                      of_front ? NB_STYLE_PLAIN : NB_STYLE_MUTED);
    }
}

/* One cell of a step, where nothing else stands yet. */
static void put_step(nb_grid *grid, board *board, int column, int row, unsigned rune)
{
    nb_grid_put(grid, grid->left + column, grid->top + row, rune, NB_STYLE_BEFORE);
    take(board, (box){column, row, column + 1, row + 1});
}

/* Right along a step, then down to where the next one begins. */
static void draw_steps(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, board *board, bool utf8)
{
    const nb_figure_point *from = next_on_front(figure, NULL);
    while (from) {
        const nb_figure_point *to = next_on_front(figure, from);
        int column, row, end = grid->width, end_row = 0;
        cell_of(grid, from, axes, &column, &row);
        if (to)
            cell_of(grid, to, axes, &end, &end_row);
        for (int i = column; i < end; i++)
            put_step(grid, board, i, row, utf8 ? 0x2500 : '-');
        if (to && end_row > row)
            put_step(grid, board, end, row, utf8 ? end > column ? 0x2510 : 0x2502 : '+');
        for (int i = row + 1; to && i < end_row; i++)
            put_step(grid, board, end, i, utf8 ? 0x2502 : '|');
        from = to;
    }
}

static void pareto_text(nb_grid *grid, const nb_figure *figure, const nb_axes *axes, bool utf8)
{
    board board = {.width = grid->width, .height = grid->height};
    if (!board_create(&board, 4 * figure->n + (size_t)grid->width * (size_t)grid->height)) {
        grid->failed = true;
        return;
    }
    draw_steps(grid, figure, axes, &board, utf8);
    for (int front = 0; front < 2; front++) /* the front last: its marks are the ones to see */
        for (size_t i = 0; i < figure->n; i++) {
            int column, row;
            if (figure->points[i].on_front != (front == 1))
                continue;
            cell_of(grid, &figure->points[i], axes, &column, &row);
            nb_grid_put(grid, grid->left + column, grid->top + row, front ? utf8 ? 0x25cf : 'o' : utf8 ? 0xb7 : '.',
                        front ? NB_STYLE_BEFORE : NB_STYLE_MUTED);
            take(&board, (box){column, row, column + 1, row + 1});
        }
    write_names(grid, figure, axes, &board, true);
    write_names(grid, figure, axes, &board, false);
    free(board.taken);
}

const nb_figure_row nb_figure_pareto = {
    .kind = NB_FIGURE_PARETO,
    .name = "pareto",
    .plan = pareto_plan,
    .script = pareto_script,
    .text = pareto_text,
    .in_characters = true,
    .marks = {"●", "·"},
    .ascii_marks = {"o", "."},
};
