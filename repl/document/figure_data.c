#include "repl/document/figure_data.h"

#include "base/file.h"
#include "base/memory.h"
#include "plots/buffer.h"
#include "repl/document/document.h"

#include <stdlib.h>
#include <string.h>

static const char begin_mark[] = "<metadata>nibble figure 1\n", end_mark[] = "</metadata>\n";

/* ---- the data ---- */

static void add_word(nb_draft *out, const char *name, const char *text)
{
    if (!text)
        return;
    nb_draft_addf(out, "%s ", name);
    for (const char *c = text; *c; c++)
        nb_draft_append(out, *c == '\n' ? " " : c, 1);
    nb_draft_add(out, "\n");
}

static void add_numbers(nb_draft *out, const char *name, const double *values, size_t n)
{
    enum { A_LINE = 10 };
    nb_buffer line = {0};
    for (size_t i = 0; i < n; i++) {
        nb_buffer_format(&line, "%s", i % A_LINE ? " " : name);
        if (i % A_LINE == 0)
            nb_buffer_format(&line, " %zu:  ", i);
        nb_buffer_number(&line, values[i]);
        if (i % A_LINE == A_LINE - 1 || i + 1 == n)
            nb_buffer_text(&line, "\n");
    }
    if (line.failed)
        out->failed = true;
    else
        nb_draft_append(out, line.bytes ? line.bytes : "", line.n_bytes);
    nb_buffer_free(&line);
}

static void add_series(nb_draft *out, const char *name, const nb_figure_series *series, size_t n)
{
    if (!series->values)
        return;
    add_word(out, name, series->label ? series->label : "");
    add_numbers(out, name, series->values, n);
}

static void add_cells(nb_draft *out, const nb_figure *figure)
{
    const double rows[2] = {figure->y_low, figure->y_high};
    add_numbers(out, "rows", rows, 2);
    nb_draft_addf(out, "cells %zu x %zu\n", figure->n_rows, figure->n_columns);
    add_numbers(out, "cells", figure->cells, figure->n_rows * figure->n_columns);
}

void nb_figure_data(const nb_figure *figure, nb_draft *out)
{
    const double range[2] = {figure->x_low, figure->x_high};
    nb_draft_addf(out, "kind %s\n", nb_figure_kind_name(figure->kind));
    add_word(out, "headline", figure->headline);
    add_word(out, "subline", figure->subline);
    add_word(out, "x", figure->x_label);
    add_word(out, "y", figure->y_label);
    add_word(out, "note", figure->note);
    add_numbers(out, "range", range, 2);
    nb_draft_addf(out, "axis %s\n", figure->log_y ? "logarithmic" : "linear");
    add_series(out, "before", &figure->before, figure->n);
    add_series(out, "after", &figure->after, figure->n);
    if (figure->clip_low != 0 || figure->clip_high != 0) {
        const double clip[2] = {figure->clip_low, figure->clip_high};
        add_numbers(out, "clip", clip, 2);
    }
    if (figure->cells)
        add_cells(out, figure);
    for (size_t i = 0; figure->points && i < figure->n; i++) {
        const double place[2] = {figure->points[i].x, figure->points[i].y};
        add_word(out, figure->points[i].on_front ? "front" : "point", figure->points[i].name);
        add_numbers(out, "at", place, 2);
    }
}

/* ---- in a picture ---- */

static void add_escaped(nb_draft *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '<' || *c == '>' || *c == '&')
            nb_draft_add(out, *c == '<' ? "&lt;" : *c == '>' ? "&gt;" : "&amp;");
        else if ((unsigned char)*c >= ' ' || *c == '\n')
            nb_draft_append(out, c, 1);
    }
}

static char *unescaped(const char *text, size_t n)
{
    static const char *const entities[] = {"&lt;", "&gt;", "&amp;"};
    nb_draft out = {0};
    nb_draft_add(&out, "");
    for (size_t i = 0; i < n;) {
        size_t used = 1;
        char c = text[i];
        for (size_t e = 0; c == '&' && e < 3; e++) {
            size_t length = strlen(entities[e]);
            if (n - i >= length && memcmp(text + i, entities[e], length) == 0) {
                c = "<>&"[e];
                used = length;
            }
        }
        nb_draft_append(&out, &c, 1);
        i += used;
    }
    return nb_draft_take(&out);
}

/* The place behind the <svg ...> tag; NULL if there is none. */
static const char *inside(const char *svg)
{
    const char *tag = strstr(svg, "<svg"), *end = tag ? strchr(tag, '>') : NULL;
    return end ? end + 1 : NULL;
}

nb_status nb_figure_record(const nb_figure *figure, const char *path, nb_error *error)
{
    char *svg;
    size_t n_bytes;
    nb_draft data = {0}, out = {0};
    nb_status status = nb_figure_draw(figure, "svg", false, &svg, &n_bytes, error);
    if (status != NB_OK)
        return status;
    const char *place = inside(svg);
    nb_figure_data(figure, &data);
    if (place) {
        nb_draft_append(&out, svg, (size_t)(place - svg));
        nb_draft_add(&out, begin_mark);
        add_escaped(&out, nb_draft_text(&data));
        nb_draft_add(&out, end_mark);
        nb_draft_add(&out, place);
        status = out.failed || data.failed ? nb_fail(error, NB_ERR_MEMORY, "no memory to write %.200s", path)
                                           : nb_write_whole(path, out.text, out.n_bytes, error);
    } else {
        status = nb_fail(error, NB_ERR_IO, "gnuplot drew no SVG for %.200s; nibble doctor shows which gnuplot runs", path);
    }
    free(svg);
    nb_draft_free(&data);
    nb_draft_free(&out);
    return status;
}

nb_status nb_figure_recorded(const char *path, char **out, nb_error *error)
{
    nb_mapping *file;
    *out = NULL;
    nb_status status = nb_mapping_open(path, &file, error);
    if (status != NB_OK)
        return status;
    const char *text = (const char *)file->data, *end = text + file->size;
    const size_t n_begin = sizeof begin_mark - 1, n_end = sizeof end_mark - 1;
    const char *begin = NULL;
    for (const char *at = text; !*out && status == NB_OK && (at = memchr(at, '<', (size_t)(end - at))); at++) {
        if (!begin && (size_t)(end - at) >= n_begin && memcmp(at, begin_mark, n_begin) == 0)
            begin = at + n_begin;
        else if (begin && (size_t)(end - at) >= n_end && memcmp(at, end_mark, n_end) == 0)
            status = (*out = unescaped(begin, (size_t)(at - begin)))
                         ? NB_OK
                         : nb_fail(error, NB_ERR_MEMORY, "no memory to read %.200s", path);
    }
    if (status == NB_OK && !*out)
        status = nb_fail(error, NB_ERR_FILE, "%.200s carries no data of a figure; nibble run --record draws it anew",
                         path);
    nb_mapping_close(&file);
    return status;
}
