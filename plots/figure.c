#include "plots/figure.h"

#include "base/file.h"
#include "plots/braille.h"
#include "plots/gnuplot.h"
#include "plots/kitty.h"
#include "plots/picture.h"
#include "plots/svg.h"
#include "plots/words.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const nb_figure_row *const kinds[] = {
    &nb_figure_histogram,
    &nb_figure_curve,
    &nb_figure_pareto,
    &nb_figure_staircase,
    &nb_figure_heatmap,
};

static const nb_figure_row *row_of(nb_figure_kind kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i]->kind == kind)
            return kinds[i];
    return NULL;
}

static nb_status plan(const nb_figure *figure, const nb_figure_row **row, nb_axes *axes, nb_error *error)
{
    *row = row_of(figure->kind);
    if (!*row)
        return nb_fail(error, NB_ERR_ARGUMENT, "there is no figure of kind %d", (int)figure->kind);
    return (*row)->plan(figure, axes, error);
}

/* ---- pictures ---- */

static nb_status draw_picture(const nb_figure_row *row, const nb_figure *figure, const nb_axes *axes,
                              const nb_canvas *canvas, char **out, size_t *n_out, nb_gnuplot_end *end,
                              nb_error *error)
{
    nb_buffer script = {0};
    char *text;
    size_t n_text;
    *end = NB_GNUPLOT_DONE;
    nb_picture_script(&script, row, figure, axes, canvas);
    nb_status status = nb_buffer_take(&script, &text, &n_text, error);
    if (status != NB_OK)
        return status;
    status = nb_gnuplot_run(text, n_text, NB_GNUPLOT_LIMIT_MS, out, n_out, end, error);
    free(text);
    return status;
}

/* gnuplot may succeed and yet draw something else than was asked for (an odd build, a program of the same
 * name). */
static bool is_drawn(nb_device device, const char *bytes, size_t n_bytes)
{
    switch (device) {
    case NB_DEVICE_PNG:
        return n_bytes > 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
    case NB_DEVICE_SVG:
        return strstr(bytes, "<svg") && strstr(bytes, "</svg>");
    case NB_DEVICE_SIXEL:
        return n_bytes > 2 && memcmp(bytes, "\033P", 2) == 0;
    }
    return false;
}

static nb_status draw_checked(const nb_figure_row *row, const nb_figure *figure, const nb_axes *axes,
                              const nb_canvas *canvas, char **out, size_t *n_out, nb_gnuplot_end *end,
                              nb_error *error)
{
    nb_status status = draw_picture(row, figure, axes, canvas, out, n_out, end, error);
    if (status != NB_OK || is_drawn(canvas->device, *out, *n_out))
        return status;
    free(*out);
    *out = NULL;
    *end = NB_GNUPLOT_FAILED;
    return nb_fail(error, NB_ERR_IO,
                   "gnuplot ended well but drew no picture; nibble doctor shows which gnuplot runs");
}

/* ---- in the terminal ---- */

enum {
    PICTURE_COLUMNS = 100,
    CELL_WIDTH = 10, /* where the terminal does not say */
    CELL_HEIGHT = 20,
};

/* A picture in the proportions of a slide, of whole cells, that leaves room for the prompt. */
static nb_canvas fit_canvas(const nb_terminal *terminal, nb_device device, int *columns, int *rows)
{
    bool knows_cell = terminal->cell_width > 0 && terminal->cell_height > 0;
    int cell_width = knows_cell ? terminal->cell_width : CELL_WIDTH;
    int cell_height = knows_cell ? terminal->cell_height : CELL_HEIGHT;
    int most_columns = terminal->columns > 0 ? terminal->columns - 1 : 79;
    int most_rows = terminal->rows > 0 ? terminal->rows - 3 : 21;
    *columns = most_columns < PICTURE_COLUMNS ? most_columns : PICTURE_COLUMNS;
    *rows = *columns * cell_width * 3 / 5 / cell_height;
    *rows = *rows < most_rows ? *rows : most_rows;
    return (nb_canvas){.device = device,
                       .width = *columns * cell_width,
                       .height = *rows * cell_height,
                       .em = 0.8 * cell_height,
                       .dark = terminal->dark};
}

static nb_status render_picture(const nb_figure_row *row, const nb_figure *figure, const nb_axes *axes,
                                const nb_terminal *terminal, nb_buffer *out, nb_gnuplot_end *end,
                                nb_error *error)
{
    bool kitty = terminal->picture == NB_PICTURE_KITTY;
    int columns, rows;
    nb_canvas canvas = fit_canvas(terminal, kitty ? NB_DEVICE_PNG : NB_DEVICE_SIXEL, &columns, &rows);
    char *bytes;
    size_t n_bytes;
    nb_status status = draw_checked(row, figure, axes, &canvas, &bytes, &n_bytes, end, error);
    if (status != NB_OK)
        return status;
    if (kitty)
        nb_kitty_show(out, (const uint8_t *)bytes, n_bytes, columns, rows);
    else
        nb_buffer_add(out, bytes, n_bytes);
    nb_buffer_text(out, "\n");
    free(bytes);
    return NB_OK;
}

static nb_status render_braille(const nb_figure_row *row, const nb_figure *figure, const nb_axes *axes,
                                const nb_terminal *terminal, nb_buffer *out, nb_gnuplot_end *end,
                                nb_error *error)
{
    nb_grid grid = {0};
    nb_legend_marks marks = {.before = figure->after.values ? "⠒⠒" : "⣿", .after = "⣿"};
    nb_status status = nb_text_frame(&grid, figure, axes, terminal, marks, true, error);
    if (status == NB_OK)
        status = nb_braille_draw(&grid, row, figure, axes, end, error);
    if (status == NB_OK) {
        nb_text_note(&grid, axes, true);
        nb_grid_emit(&grid, terminal, out);
    }
    nb_grid_free(&grid);
    return status;
}

static nb_status render_text(const nb_figure_row *row, const nb_figure *figure, const nb_axes *axes,
                             const nb_terminal *terminal, bool utf8, nb_buffer *out, nb_error *error)
{
    nb_grid grid = {0};
    const char *bar = utf8 ? "█" : "|";
    nb_legend_marks marks = {.before = figure->after.values ? "o" : bar, .after = bar};
    if (row->marks.before)
        marks = utf8 ? row->marks : row->ascii_marks;
    nb_status status = nb_text_frame(&grid, figure, axes, terminal, marks, utf8, error);
    if (status == NB_OK) {
        row->text(&grid, figure, axes, utf8);
        nb_text_note(&grid, axes, utf8);
        nb_grid_emit(&grid, terminal, out);
    }
    nb_grid_free(&grid);
    return status;
}

/* The figure in words, its lines as long as the terminal folds them. */
static void render_sentence(const nb_figure *figure, bool utf8, nb_buffer *out)
{
    const char *sentence = figure->sentence ? figure->sentence : figure->headline ? figure->headline : "";
    nb_words_fit(out, sentence, 1e9, nb_width_columns, !utf8);
    nb_buffer_text(out, "\n");
}

static nb_picture resolve(const nb_terminal *terminal)
{
    nb_picture picture = terminal->picture;
    if (picture == NB_PICTURE_AUTO)
        picture = terminal->is_terminal && terminal->utf8 ? NB_PICTURE_BRAILLE : NB_PICTURE_ASCII;
    bool too_small = (terminal->columns > 0 && terminal->columns < NB_TEXT_MIN_COLUMNS) ||
                     (terminal->rows > 0 && terminal->rows < NB_TEXT_MIN_ROWS);
    return too_small ? NB_PICTURE_NONE : picture;
}

static const char *describe(nb_gnuplot_end end)
{
    switch (end) {
    case NB_GNUPLOT_MISSING:
        return "gnuplot is not installed, so the figure is drawn in characters; install gnuplot-nox";
    case NB_GNUPLOT_LATE:
        return "gnuplot took too long and was stopped, so the figure is drawn in characters";
    case NB_GNUPLOT_FAILED:
        return "gnuplot failed, so the figure is drawn in characters";
    case NB_GNUPLOT_DONE:
        break;
    }
    return "";
}

nb_status nb_figure_render(const nb_figure *figure, const nb_terminal *terminal, char **out, size_t *n_bytes,
                           const char **notice, nb_error *error)
{
    const nb_figure_row *row;
    nb_axes axes;
    nb_buffer drawn = {0};
    nb_gnuplot_end end = NB_GNUPLOT_DONE;
    nb_picture picture = resolve(terminal);
    *out = NULL;
    *n_bytes = 0;
    if (notice)
        *notice = "";
    nb_status status = plan(figure, &row, &axes, error);
    if (status != NB_OK)
        return status;

    /* From the best picture down: each one that gnuplot does not manage gives way to a simpler one. */
    bool utf8 = terminal->utf8 || picture == NB_PICTURE_BRAILLE, done = false;
    if (picture == NB_PICTURE_NONE) {
        render_sentence(figure, utf8, &drawn);
        done = true;
    }
    if (picture == NB_PICTURE_KITTY || picture == NB_PICTURE_SIXEL) {
        done = render_picture(row, figure, &axes, terminal, &drawn, &end, NULL) == NB_OK;
        picture = utf8 ? NB_PICTURE_BRAILLE : NB_PICTURE_ASCII;
    }
    if (!done && picture == NB_PICTURE_BRAILLE && !row->in_characters && (end == NB_GNUPLOT_DONE || end == NB_GNUPLOT_FAILED)) {
        nb_gnuplot_end braille_end = NB_GNUPLOT_DONE;
        done = render_braille(row, figure, &axes, terminal, &drawn, &braille_end, NULL) == NB_OK;
        end = end == NB_GNUPLOT_DONE ? braille_end : end;
    }
    if (notice)
        *notice = describe(end);
    if (!done) {
        utf8 = utf8 && picture != NB_PICTURE_ASCII;
        status = render_text(row, figure, &axes, terminal, utf8, &drawn, error);
    }
    if (status == NB_OK)
        return nb_buffer_take(&drawn, out, n_bytes, error);
    nb_buffer_free(&drawn);
    return status;
}

/* ---- in a file ---- */

static bool device_of(const char *path, nb_device *device)
{
    size_t n = strlen(path);
    const char *ending = n > 4 ? path + n - 4 : "";
    *device = strcasecmp(ending, ".svg") == 0 ? NB_DEVICE_SVG : NB_DEVICE_PNG;
    return *device == NB_DEVICE_SVG || strcasecmp(ending, ".png") == 0;
}

static nb_status write_file(const char *path, const char *bytes, size_t n_bytes, nb_error *error)
{
    nb_writer *writer;
    nb_status status = nb_writer_open(path, &writer, error);
    if (status != NB_OK)
        return status;
    status = nb_writer_write(writer, bytes, n_bytes, error);
    if (status == NB_OK)
        return nb_writer_commit(&writer, error);
    nb_writer_abort(&writer);
    return status;
}

const char *nb_figure_kind_name(nb_figure_kind kind)
{
    const nb_figure_row *row = row_of(kind);
    return row ? row->name : "none";
}

nb_status nb_figure_draw(const nb_figure *figure, const char *kind, bool dark, char **out, size_t *n_bytes,
                         nb_error *error)
{
    const bool svg = strcmp(kind, "svg") == 0;
    nb_canvas canvas = {.device = svg ? NB_DEVICE_SVG : NB_DEVICE_PNG, .width = 1280, .height = 720, .em = 20, .dark = dark};
    const nb_figure_row *row;
    nb_axes axes;
    nb_buffer file = {0};
    nb_gnuplot_end end;
    char *bytes;
    nb_status status = plan(figure, &row, &axes, error);
    if (status == NB_OK)
        status = draw_checked(row, figure, &axes, &canvas, &bytes, n_bytes, &end, error);
    if (status != NB_OK)
        return status;
    if (svg)
        nb_svg_finish(&file, bytes, figure->sentence);
    else
        nb_buffer_add(&file, bytes, *n_bytes);
    free(bytes);
    return nb_buffer_take(&file, out, n_bytes, error);
}

nb_status nb_figure_save(const nb_figure *figure, const char *path, nb_error *error)
{
    nb_device device;
    char *bytes;
    size_t n_bytes;
    if (!device_of(path, &device))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: a figure is saved as .png or .svg; name the file so",
                       path);
    nb_status status =
        nb_figure_draw(figure, device == NB_DEVICE_SVG ? "svg" : "png", false, &bytes, &n_bytes, error);
    if (status != NB_OK)
        return status;
    status = write_file(path, bytes, n_bytes, error);
    free(bytes);
    return status;
}
