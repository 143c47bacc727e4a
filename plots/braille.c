#include "plots/braille.h"

#include <stdlib.h>
#include <string.h>

/* ---- bitmaps ---- */

/* Reads a decimal number after blanks; 0 when there is none or it is absurd. */
static int read_size(const uint8_t *bytes, size_t n_bytes, size_t *at)
{
    int value = 0;
    while (*at < n_bytes &&
           (bytes[*at] == ' ' || bytes[*at] == '\n' || bytes[*at] == '\t' || bytes[*at] == '\r'))
        (*at)++;
    while (*at < n_bytes && bytes[*at] >= '0' && bytes[*at] <= '9' && value < 100000)
        value = value * 10 + (bytes[(*at)++] - '0');
    return value < 100000 ? value : 0;
}

size_t nb_bitmap_read(const uint8_t *bytes, size_t n_bytes, nb_bitmap *out)
{
    size_t at = 2;
    *out = (nb_bitmap){0};
    if (n_bytes < 2 || memcmp(bytes, "P4", 2) != 0)
        return 0;
    out->width = read_size(bytes, n_bytes, &at);
    out->height = read_size(bytes, n_bytes, &at);
    at++; /* one blank, then the bits */
    if (out->width == 0 || out->height == 0 || at >= n_bytes)
        return 0;
    out->stride = ((size_t)out->width + 7) / 8;
    out->rows = bytes + at;
    size_t n_picture = out->stride * (size_t)out->height;
    return n_picture <= n_bytes - at ? at + n_picture : 0;
}

static bool dot_at(const nb_bitmap *bitmap, int x, int y)
{
    if (x < 0 || y < 0 || x >= bitmap->width || y >= bitmap->height)
        return false;
    return bitmap->rows[(size_t)y * bitmap->stride + (size_t)x / 8] >> (7 - x % 8) & 1;
}

unsigned nb_braille_rune(const nb_bitmap *bitmap, int x, int y)
{
    /* Dots 1 2 3 7 go down the left, 4 5 6 8 down the right: bit of [row][column]. */
    static const unsigned char bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    unsigned rune = 0x2800;
    for (int row = 0; row < 4; row++)
        for (int column = 0; column < 2; column++)
            if (dot_at(bitmap, x + column, y + row))
                rune |= bit[row][column];
    return rune;
}

/* ---- gnuplot's part ---- */

static void add_layers(nb_buffer *script, const nb_grid *grid, const nb_figure_row *row,
                       const nb_figure *figure, const nb_axes *axes)
{
    static const nb_palette black = {"#ffffff", "#000000", "#000000", "#000000", "#000000", "#000000"};
    nb_buffer_format(
        script,
        "set encoding utf8\nset terminal pbm small monochrome size %d,%d\n"
        "set lmargin at screen 0\nset rmargin at screen 1\nset tmargin at screen 1\nset bmargin at screen 0\n"
        "unset border\nunset tics\nunset key\nset xrange [",
        2 * grid->width, 4 * grid->height);
    nb_buffer_number(script, axes->x_low);
    nb_buffer_text(script, ":");
    nb_buffer_number(script, axes->x_high);
    nb_buffer_text(script, "]\nset yrange [");
    nb_buffer_number(script, axes->y_low);
    nb_buffer_text(script, ":");
    nb_buffer_number(script, axes->y_high);
    nb_buffer_text(script, axes->log_y ? "]\nset logscale y 10\n" : "]\n");
    row->script(script, figure, axes, NB_LAYER_AFTER, &black, 2 * grid->width, 1);
    row->script(script, figure, axes, NB_LAYER_BEFORE, &black, 2 * grid->width, 1);
}

/* gnuplot pads a bitmap to multiples of 8, at the top and at the right. */
static void pour(nb_grid *grid, const nb_bitmap *bitmap, nb_style style)
{
    int skipped = bitmap->height - 4 * grid->height;
    for (int row = 0; row < grid->height; row++)
        for (int column = 0; column < grid->width; column++) {
            unsigned rune = nb_braille_rune(bitmap, 2 * column, skipped + 4 * row);
            if (rune != 0x2800)
                nb_grid_put(grid, grid->left + column, grid->top + row, rune, style);
        }
}

nb_status nb_braille_draw(nb_grid *grid, const nb_figure_row *row, const nb_figure *figure,
                          const nb_axes *axes, nb_gnuplot_end *end, nb_error *error)
{
    nb_buffer script = {0};
    char *text = NULL, *out = NULL;
    size_t n_text, n_out;
    add_layers(&script, grid, row, figure, axes);
    nb_status status = nb_buffer_take(&script, &text, &n_text, error);
    if (status == NB_OK)
        status = nb_gnuplot_run(text, n_text, NB_GNUPLOT_LIMIT_MS, &out, &n_out, end, error);
    free(text);
    if (status != NB_OK)
        return status;

    nb_bitmap after, before;
    size_t n_after = nb_bitmap_read((const uint8_t *)out, n_out, &after);
    size_t n_before = n_after ? nb_bitmap_read((const uint8_t *)out + n_after, n_out - n_after, &before) : 0;
    if (n_before) {
        pour(grid, &after, NB_STYLE_AFTER);
        pour(grid, &before, NB_STYLE_BEFORE);
    } else {
        status = nb_fail(error, NB_ERR_IO, "gnuplot drew no bitmap");
    }
    free(out);
    return status;
}
