#include "plots/picture.h"

#include "plots/scale.h"
#include "plots/script.h"
#include "plots/words.h"

#include <math.h>
#include <string.h>

static const nb_palette light = {"#fbfaf7", "#2e3440", "#7a8194", "#e6e3db", "#4c72a8", "#d9622b"};
static const nb_palette dark = {"#1d2129", "#e5e9f0", "#9aa3b2", "#343a46", "#7fa8e0", "#ee8350"};

/* Everything in pixels from the top left corner. */
typedef struct layout {
    double left, right, top, bottom; /* the plot area's edges */
    double pad;
    double headline_y, subline_y, legend_x, legend_y;
    double room;       /* between the pads */
    bool legend_below; /* it has a row of its own, from the left */
} layout;

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* ---- layout ---- */

static double label_width(const nb_figure_series *series)
{
    return series->label ? nb_words_width(series->label, nb_width_sans) : 0;
}

/* Where the legend stands: beside headline and subline if both leave room, else in a row below. */
static void place_legend(layout *layout, const nb_figure *figure, const nb_canvas *canvas)
{
    double em = canvas->em, room = canvas->width - 2 * layout->pad;
    double legend = 2.8 + fmax(label_width(&figure->before), label_width(&figure->after));
    double headline = 1.25 * nb_words_width(or_empty(figure->headline), nb_width_sans_bold);
    double subline = nb_words_width(or_empty(figure->subline), nb_width_sans);
    bool has_subline = subline > 0;
    layout->headline_y = 1.9 * em;
    layout->subline_y = layout->headline_y + 1.75 * em;
    double header = has_subline ? layout->subline_y : layout->headline_y;
    layout->legend_below = (fmax(headline, subline) + legend + 2) * em > room;
    if (layout->legend_below) {
        layout->legend_x = layout->pad;
        layout->legend_y = header + 0.9 * em;
        layout->top = header + 3.4 * em;
    } else {
        layout->legend_x = canvas->width - layout->pad;
        layout->legend_y = 1.0 * em;
        layout->top = fmax(header, layout->legend_y + 2.6 * em) + 2.0 * em;
    }
    layout->room = room;
}

static layout make_layout(const nb_figure *figure, const nb_axes *axes, const nb_canvas *canvas,
                          const nb_ticks *y_ticks)
{
    layout layout = {.pad = 1.4 * canvas->em};
    double widest = 0, em = canvas->em;
    for (size_t i = 0; i < y_ticks->n; i++)
        widest = fmax(widest, nb_words_width(y_ticks->items[i].label, nb_width_sans));
    bool has_x = figure->x_label && figure->x_label[0], has_y = figure->y_label && figure->y_label[0];
    layout.left = layout.pad + ((has_y ? 1.7 : 0.2) + widest + 0.7) * em;
    layout.right = canvas->width - layout.pad - (0.6 + axes->right_room) * em;
    layout.bottom = canvas->height - (has_x ? 3.9 : 2.3) * em;
    place_legend(&layout, figure, canvas);
    return layout;
}

/* ---- words ---- */

/* gnuplot counts in points at 72 to the inch; its SVG in pixels. */
static double font_size(const nb_canvas *canvas, double ems)
{
    return ems * canvas->em * (canvas->device == NB_DEVICE_SVG ? 1.0 : 0.75);
}

static void add_label(nb_buffer *script, const nb_canvas *canvas, double x, double y, const char *where,
                      const char *text, double room, bool bold, double ems, const char *colour)
{
    nb_buffer fitted = {0};
    nb_rune_width *width = bold ? nb_width_sans_bold : nb_width_sans;
    double needed = nb_words_width(or_empty(text), width) * ems * canvas->em;
    if (needed > room)
        ems *= fmax(room / needed, 0.8); /* smaller letters first, then fewer */
    nb_words_fit(&fitted, or_empty(text), room / (ems * canvas->em), width, false);
    if (fitted.failed)
        script->failed = true;
    nb_buffer_text(script, "set label ");
    nb_script_quote(script, fitted.bytes ? fitted.bytes : "");
    nb_buffer_free(&fitted);
    nb_buffer_format(script,
                     " at screen %.5f,%.5f %s font 'DejaVu Sans%s,%.2f' tc rgb '%s' noenhanced front\n",
                     x / canvas->width, 1 - y / canvas->height, where, bold ? ":Bold" : "",
                     font_size(canvas, ems), colour);
}

static void add_terminal(nb_buffer *script, const nb_canvas *canvas, const nb_palette *palette)
{
    double size = font_size(canvas, 1), line = canvas->em / 20;
    switch (canvas->device) {
    case NB_DEVICE_PNG: /* cairo's letters are better; every gnuplot with gd has the other */
        nb_buffer_format(script,
                         "if (strstrt(GPVAL_TERMINALS, ' pngcairo ') > 0) {\n"
                         "set terminal pngcairo noenhanced size %d,%d font 'DejaVu Sans,%.2f' linewidth %.3g "
                         "background '%s'\n"
                         "} else {\n"
                         "set terminal png truecolor noenhanced size %d,%d font 'DejaVu Sans,%.2f' linewidth "
                         "%.3g background '%s'\n"
                         "}\n",
                         canvas->width, canvas->height, size, line, palette->paper, canvas->width,
                         canvas->height, size, line, palette->paper);
        break;
    case NB_DEVICE_SVG:
        nb_buffer_format(
            script,
            "set terminal svg noenhanced dynamic size %d,%d font 'DejaVu Sans,%.2f' linewidth %.3g "
            "background '%s'\n",
            canvas->width, canvas->height, size, line, palette->paper);
        break;
    case NB_DEVICE_SIXEL:
        nb_buffer_format(
            script,
            "set terminal sixelgd truecolor noenhanced size %d,%d font 'DejaVu Sans,%.2f' linewidth %.3g "
            "background '%s'\n",
            canvas->width, canvas->height, size, line, palette->paper);
        break;
    }
}

/* ---- axes ---- */

static void add_ticks(nb_buffer *script, char axis, const nb_ticks *ticks)
{
    nb_buffer_format(script, "set %ctics (", axis);
    for (size_t i = 0; i < ticks->n; i++) {
        nb_buffer_text(script, i ? ", " : "");
        nb_script_quote(script, ticks->items[i].label);
        nb_buffer_text(script, " ");
        nb_buffer_number(script, ticks->items[i].value);
    }
    nb_buffer_text(script, ")\n");
}

static void add_range(nb_buffer *script, char axis, double low, double high)
{
    nb_buffer_format(script, "set %crange [", axis);
    nb_buffer_number(script, low);
    nb_buffer_text(script, ":");
    nb_buffer_number(script, high);
    nb_buffer_text(script, "]\n");
}

static void add_axes(nb_buffer *script, const nb_axes *axes, const layout *layout, const nb_canvas *canvas,
                     const nb_ticks *y_ticks, const nb_palette *palette)
{
    nb_ticks x_ticks;
    nb_ticks_fit(&x_ticks, axes->x_low, axes->x_high, (layout->right - layout->left) / canvas->em, 2,
                 nb_width_sans);
    if (axes->whole)
        nb_ticks_keep_whole(&x_ticks);
    nb_buffer_format(script,
                     "set lmargin at screen %.5f\nset rmargin at screen %.5f\n"
                     "set tmargin at screen %.5f\nset bmargin at screen %.5f\n",
                     layout->left / canvas->width, layout->right / canvas->width,
                     1 - layout->top / canvas->height, 1 - layout->bottom / canvas->height);
    add_range(script, 'x', axes->x_low, axes->x_high);
    add_range(script, 'y', axes->y_down ? axes->y_high : axes->y_low, axes->y_down ? axes->y_low : axes->y_high);
    if (axes->log_y)
        nb_buffer_text(script, "set logscale y 10\n");
    nb_buffer_format(script,
                     "set border 1 lc rgb '%s' lw 1\nset grid ytics back lt 1 lw 1 lc rgb '%s'\n"
                     "set tics nomirror textcolor rgb '%s'\nset xtics out scale 0.4\nset ytics scale 0\n",
                     palette->muted, palette->grid, palette->muted);
    if (canvas->device == NB_DEVICE_SVG)
        nb_buffer_text(script, "set xtics offset 0,0.35\n"); /* it sets them lower than the others do */
    add_ticks(script, 'x', &x_ticks);
    add_ticks(script, 'y', y_ticks);
}

/* The spike that leaves the top: an arrow on it and its name beside it, where there is more room. */
static void add_note(nb_buffer *script, const nb_axes *axes, const layout *layout, const nb_canvas *canvas,
                     const nb_palette *palette)
{
    double width = layout->right - layout->left, em = canvas->em;
    if (axes->is_empty)
        add_label(script, canvas, layout->left + width / 2, (layout->top + layout->bottom) / 2, "center",
                  axes->note, width, false, 1, palette->muted);
    if (!axes->has_note)
        return;
    const char *colour = axes->note_is_before ? palette->before : palette->after;
    double x = layout->left + width * nb_scale_position(axes->note_x, axes->x_low, axes->x_high, false);
    double aside =
        width * axes->note_width / (axes->x_high - axes->x_low) / 2 + 0.6 * em; /* past bar and arrow */
    double needed = 0.9 * em * nb_words_width(axes->note, nb_width_sans) + aside;
    bool at_right = x + needed <= layout->right || x - layout->left < width / 2;
    double room = (at_right ? layout->right - x : x - layout->left) - aside, screen_x = x / canvas->width;
    nb_buffer_format(
        script,
        "set arrow from screen %.5f,%.5f to screen %.5f,%.5f head filled size screen %.5f,22,60 lw 1 "
        "lc rgb '%s' front\n",
        screen_x, 1 - (layout->top + 1.3 * em) / canvas->height, screen_x,
        1 - (layout->top - 0.25 * em) / canvas->height, 0.9 * em / canvas->width, colour);
    add_label(script, canvas, x + (at_right ? aside : -aside), layout->top + 0.75 * em,
              at_right ? "left" : "right", axes->note, room, false, 0.9, colour);
}

static void add_key(nb_buffer *script, const layout *layout, const nb_canvas *canvas,
                    const nb_palette *palette)
{
    nb_buffer_format(script,
                     "set key at screen %.5f,%.5f %s Left reverse samplen 1.3 spacing 1.05 "
                     "font 'DejaVu Sans,%.2f' textcolor rgb '%s' noenhanced\n",
                     layout->legend_x / canvas->width, 1 - layout->legend_y / canvas->height,
                     layout->legend_below ? "left top horizontal" : "right top vertical",
                     font_size(canvas, 0.9), palette->ink);
}

void nb_picture_script(nb_buffer *script, const nb_figure_row *row, const nb_figure *figure,
                       const nb_axes *axes, const nb_canvas *canvas)
{
    const nb_palette *palette = canvas->dark ? &dark : &light;
    nb_ticks y_ticks;
    nb_ticks_choose(&y_ticks, axes->y_low, axes->y_marks_high, (size_t)(canvas->height / (5 * canvas->em)),
                    axes->y_style, axes->log_y);
    if (axes->y_down)
        nb_ticks_keep_whole(&y_ticks);
    layout layout = make_layout(figure, axes, canvas, &y_ticks);
    double middle = (layout.left + layout.right) / 2, em = canvas->em;

    nb_buffer_text(script, "set encoding utf8\n");
    add_terminal(script, canvas, palette);
    add_axes(script, axes, &layout, canvas, &y_ticks, palette);
    add_key(script, &layout, canvas, palette);
    add_label(script, canvas, layout.pad, layout.headline_y, "left", figure->headline, layout.room, true,
              1.25, palette->ink);
    add_label(script, canvas, layout.pad, layout.subline_y, "left", figure->subline, layout.room, false, 0.95,
              palette->muted);
    if (figure->x_label && figure->x_label[0])
        add_label(script, canvas, middle, canvas->height - 1.05 * em, "center", figure->x_label,
                  layout.right - layout.left, false, 1, palette->muted);
    if (figure->y_label && figure->y_label[0])
        add_label(script, canvas, layout.pad + 0.2 * em, (layout.top + layout.bottom) / 2,
                  "center rotate by 90", figure->y_label, layout.bottom - layout.top, false, 1,
                  palette->muted);
    add_note(script, axes, &layout, canvas, palette);
    nb_axes placed = *axes;
    placed.area_width = layout.right - layout.left;
    placed.area_height = layout.bottom - layout.top;
    placed.area_em = em;
    placed.area_font = font_size(canvas, 1);
    row->script(script, figure, &placed, NB_LAYER_ALL, palette, placed.area_width, 2.6);
}
