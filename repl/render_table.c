#include "repl/render_table.h"

#include "base/memory.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct layout {
    size_t *widths; /* [n_columns] */
    size_t gap, indent, spark;
} layout;

static size_t widest_line(const char *text)
{
    size_t widest = 0;
    while (*text) {
        size_t n = strcspn(text, "\n");
        widest = nb_max_size(widest, nb_utf8_width(text, n));
        text += n + (text[n] == '\n');
    }
    return widest;
}

static size_t longest_word(const char *text)
{
    size_t longest = 0;
    while (*text) {
        size_t n = strcspn(text, " \n");
        longest = nb_max_size(longest, nb_utf8_width(text, n));
        text += n + (text[n] != '\0');
    }
    return longest;
}

static const nb_cell *cell_at(const nb_table *table, size_t row, size_t column)
{
    return &table->cells[row * table->n_columns + column];
}

static size_t column_measure(const nb_table *table, size_t column, size_t (*measure)(const char *))
{
    size_t most = measure(table->columns[column].title);
    for (size_t row = 0; row < table->n_rows; row++) {
        const nb_cell *cell = cell_at(table, row, column);
        if (cell->text)
            most = nb_max_size(most, measure(cell->text));
    }
    return most;
}

static size_t total_width(const nb_table *table, const layout *l)
{
    size_t total = l->indent;
    for (size_t c = 0; c < table->n_columns; c++)
        total += l->widths[c] + (c ? l->gap : 0);
    return total;
}

/* Takes `over` columns away from all columns of one kind, the widest first, none below `least` or its longest
 * word. */
static void narrow(const nb_table *table, layout *l, nb_column_kind kind, size_t least, size_t screen)
{
    while (total_width(table, l) > screen) {
        size_t widest = table->n_columns;
        for (size_t c = 0; c < table->n_columns; c++) {
            if (table->columns[c].kind == kind && l->widths[c] > least &&
                (widest == table->n_columns || l->widths[c] > l->widths[widest]))
                widest = c;
        }
        if (widest == table->n_columns)
            return;
        size_t floor =
            nb_max_size(least, kind == NB_COLUMN_WRAP ? column_measure(table, widest, longest_word) : 0);
        if (l->widths[widest] <= floor)
            return;
        l->widths[widest]--;
    }
}

static void set_spark(const nb_table *table, layout *l, size_t bars)
{
    l->spark = bars;
    for (size_t c = 0; c < table->n_columns; c++) {
        if (table->columns[c].kind == NB_COLUMN_SPARK)
            l->widths[c] = bars;
    }
}

static void fit(const nb_table *table, layout *l, size_t screen)
{
    static const size_t bars[] = {15, 11, 7, 5};
    for (size_t c = 0; c < table->n_columns; c++)
        l->widths[c] = column_measure(table, c, widest_line);
    set_spark(table, l, bars[0]);
    narrow(table, l, NB_COLUMN_FLOW, 16, screen);
    narrow(table, l, NB_COLUMN_CUT, 16, screen);
    for (size_t i = 1; i < 3 && total_width(table, l) > screen; i++)
        set_spark(table, l, bars[i]);
    if (total_width(table, l) > screen)
        l->gap = 1;
    if (total_width(table, l) > screen)
        set_spark(table, l, bars[3]);
    if (total_width(table, l) > screen)
        l->indent = 0;
    narrow(table, l, NB_COLUMN_WRAP, 8, screen);
    narrow(table, l, NB_COLUMN_FLOW, 8, screen);
    narrow(table, l, NB_COLUMN_LEFT, 8, screen);
}

/* One line of a cell: text[*at..], as much as fits. Moves *at past it. */
static void render_piece(const nb_screen *screen, const char *text, size_t *at, char *mark, size_t width,
                         nb_column_kind kind, bool last, nb_draft *out)
{
    size_t n = strlen(text) - *at;
    bool wraps = kind == NB_COLUMN_WRAP || kind == NB_COLUMN_FLOW;
    size_t taken = n ? nb_utf8_fit(text + *at, n, width, wraps) : 0;
    size_t shown = nb_render_line_length(text + *at, taken);
    bool cut = !wraps && taken < n && !(taken && text[*at + taken - 1] == '\n');
    if (cut) {
        shown = nb_utf8_fit(text + *at, n, width > 1 ? width - 1 : 1, false);
        taken = n;
    }
    size_t used = nb_utf8_width(text + *at, shown) + cut;
    size_t padding = used < width ? width - used : 0;
    if (kind == NB_COLUMN_RIGHT)
        nb_draft_repeat(out, " ", padding);
    nb_render_span(screen, text + *at, shown, mark, out);
    if (cut)
        nb_draft_add(out, screen->utf8 ? "\u2026" : "~");
    if (kind != NB_COLUMN_RIGHT && !last)
        nb_draft_repeat(out, " ", padding);
    *at += taken + (wraps ? nb_render_blanks_after(text + *at, taken) : 0);
}

static void render_spark(const nb_screen *screen, const uint64_t *counts, size_t bars, nb_draft *out)
{
    uint64_t sums[15] = {0};
    char text[64];
    for (size_t i = 0; i < NB_SPARK_BINS; i++)
        sums[i * bars / NB_SPARK_BINS] += counts[i];
    nb_sparkline(sums, bars, screen->utf8, text, sizeof text);
    nb_draft_add(out, text);
}

typedef struct cursor {
    size_t at;
    char mark;
} cursor;

static bool row_has_more(const nb_table *table, const nb_cell *cells, const cursor *cursors)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        if (cells[c].text && cells[c].text[cursors[c].at])
            return true;
    }
    return false;
}

static void trim(nb_draft *out)
{
    while (out->n_bytes && out->text[out->n_bytes - 1] == ' ')
        out->text[--out->n_bytes] = '\0';
}

static void render_row(const nb_screen *screen, const nb_table *table, const layout *l, const nb_cell *cells,
                       cursor *cursors, nb_draft *out)
{
    memset(cursors, 0, table->n_columns * sizeof *cursors);
    bool first = true;
    do {
        nb_draft_repeat(out, " ", l->indent);
        for (size_t c = 0; c < table->n_columns; c++) {
            if (c)
                nb_draft_repeat(out, " ", l->gap);
            if (cells[c].counts) {
                if (first)
                    render_spark(screen, cells[c].counts, l->spark, out);
                else
                    nb_draft_repeat(out, " ", l->widths[c]);
                continue;
            }
            render_piece(screen, cells[c].text ? cells[c].text : "", &cursors[c].at, &cursors[c].mark,
                         l->widths[c], table->columns[c].kind, c + 1 == table->n_columns, out);
        }
        trim(out);
        nb_draft_add(out, "\n");
        first = false;
    } while (row_has_more(table, cells, cursors));
}

static void render_titles(const nb_screen *screen, const nb_table *table, const layout *l, nb_draft *out)
{
    bool any = false;
    for (size_t c = 0; c < table->n_columns; c++)
        any = any || *table->columns[c].title;
    if (!any)
        return;
    nb_draft line = {0};
    nb_draft_repeat(&line, " ", l->indent);
    for (size_t c = 0; c < table->n_columns; c++) {
        size_t at = 0;
        char mark = 0;
        if (c)
            nb_draft_repeat(&line, " ", l->gap);
        bool last = c + 1 == table->n_columns;
        size_t width = l->widths[c];
        const bool right = table->columns[c].kind == NB_COLUMN_RIGHT;
        if (last && !right &&
            total_width(table, l) < (size_t)screen->columns) /* nothing follows: it may be longer */
            width += (size_t)screen->columns - total_width(table, l);
        render_piece(screen, table->columns[c].title, &at, &mark, width, table->columns[c].kind, last, &line);
    }
    trim(&line);
    nb_draft_addf(out, "%s%s%s\n", screen->colour ? "\x1b[2m" : "", nb_draft_text(&line),
                  screen->colour ? "\x1b[0m" : "");
    nb_draft_free(&line);
}

void nb_render_table(const nb_screen *screen, const nb_table *table, size_t indent, nb_draft *out)
{
    layout l = {.gap = 2, .indent = indent};
    l.widths = nb_calloc(table->n_columns, sizeof *l.widths);
    cursor *cursors = nb_calloc(table->n_columns, sizeof *cursors);
    if (l.widths && cursors) {
        fit(table, &l, (size_t)screen->columns);
        render_titles(screen, table, &l, out);
        for (size_t row = 0; row < table->n_rows; row++)
            render_row(screen, table, &l, cell_at(table, row, 0), cursors, out);
    } else {
        out->failed = true;
    }
    free(l.widths);
    free(cursors);
}
