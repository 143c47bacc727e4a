/* What a cell gave, as HTML. */
#include "repl/document/html.h"

#include "base/memory.h"
#include "plots/base64.h"
#include "repl/command.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>

static void add_rune(nb_draft *out, const char *text, size_t used, uint32_t code_point)
{
    if (code_point == '<' || code_point == '>' || code_point == '&' || code_point == '"')
        nb_draft_add(out, code_point == '<'   ? "&lt;"
                          : code_point == '>' ? "&gt;"
                          : code_point == '&' ? "&amp;"
                                              : "&quot;");
    else if (code_point == 0xfffd && used == 1)
        nb_draft_add(out, "\xef\xbf\xbd");
    else if ((code_point < 0x20 && code_point != '\n' && code_point != '\t') || (code_point >= 0x7f && code_point < 0xa0))
        nb_draft_add(out, " ");
    else
        nb_draft_append(out, text, used);
}

void nb_html_escape(nb_draft *out, const char *text, size_t n)
{
    for (size_t i = 0, used; i < n; i += used) {
        uint32_t code_point = nb_utf8_decode(text + i, n - i, &used);
        add_rune(out, text + i, used, code_point);
    }
}

void nb_html_marked(nb_draft *out, const char *text)
{
    static const char *const opening[] = {
        ['\x01'] = "<span class=\"measured\" title=\"measured on the machine that ran this\">",
        ['\x02'] = "<code>",
        ['\x03'] = "<strong>",
        ['\x04'] = "<span class=\"muted\">",
        ['\x05'] = "<span class=\"alert\">",
        ['\x07'] = "<em>",
    };
    static const char *const closing[] = {
        [0] = "", ['\x06'] = "", ['\x01'] = "</span>", ['\x02'] = "</code>", ['\x03'] = "</strong>", ['\x04'] = "</span>",
        ['\x05'] = "</span>", ['\x07'] = "</em>",
    };
    unsigned char open = 0;
    for (size_t i = 0, n = strlen(text), used; i < n; i += used) {
        unsigned char c = (unsigned char)text[i];
        uint32_t code_point = nb_utf8_decode(text + i, n - i, &used);
        if (c >= 1 && c <= 7) {
            nb_draft_add(out, closing[open]);
            open = c == *NB_END ? 0 : c;
            nb_draft_add(out, open ? opening[open] : "");
        } else {
            add_rune(out, text + i, used, code_point);
        }
    }
    nb_draft_add(out, closing[open]);
}

/* ---- tables ---- */

static void add_spark(nb_draft *out, const uint64_t *counts)
{
    enum { BARS = 33, WIDTH = 3, HEIGHT = 16 };
    uint64_t sums[BARS] = {0}, most = 1;
    for (size_t i = 0; i < NB_SPARK_BINS; i++)
        sums[i * BARS / NB_SPARK_BINS] += counts[i];
    for (size_t i = 0; i < BARS; i++)
        most = sums[i] > most ? sums[i] : most;
    nb_draft_addf(out, "<svg class=\"spark\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"a small histogram\">",
                  BARS * WIDTH, HEIGHT);
    for (size_t i = 0; i < BARS; i++) {
        /* Whole pixels, so that the page is the same on every machine. */
        unsigned height = (unsigned)((sums[i] * (HEIGHT - 1) + most - 1) / most);
        if (height)
            nb_draft_addf(out, "<rect x=\"%zu\" y=\"%u\" width=\"%d\" height=\"%u\"/>", i * WIDTH, HEIGHT - height,
                          WIDTH - 1, height);
    }
    nb_draft_add(out, "</svg>");
}

static const char *class_of(nb_column_kind kind)
{
    return kind == NB_COLUMN_RIGHT ? " class=\"right\""
           : kind == NB_COLUMN_WRAP || kind == NB_COLUMN_FLOW ? " class=\"flow\""
                                                              : "";
}

static void add_table(nb_draft *out, const nb_table *table)
{
    bool titled = false;
    for (size_t c = 0; c < table->n_columns; c++)
        titled = titled || *table->columns[c].title;
    nb_draft_add(out, titled ? "<div class=\"wide\"><table>\n" : "<div class=\"wide\"><table class=\"bare\">\n");
    if (titled) {
        nb_draft_add(out, "<thead><tr>");
        for (size_t c = 0; c < table->n_columns; c++) {
            nb_draft_addf(out, "<th%s>", class_of(table->columns[c].kind));
            nb_html_marked(out, table->columns[c].title);
            nb_draft_add(out, "</th>");
        }
        nb_draft_add(out, "</tr></thead>\n");
    }
    nb_draft_add(out, "<tbody>\n");
    for (size_t row = 0; row < table->n_rows; row++) {
        nb_draft_add(out, "<tr>");
        for (size_t c = 0; c < table->n_columns; c++) {
            const nb_cell *cell = &table->cells[row * table->n_columns + c];
            nb_draft_addf(out, "<td%s>", class_of(table->columns[c].kind));
            if (cell->counts)
                add_spark(out, cell->counts);
            else if (cell->text)
                nb_html_marked(out, cell->text);
            nb_draft_add(out, "</td>");
        }
        nb_draft_add(out, "</tr>\n");
    }
    nb_draft_add(out, "</tbody></table></div>\n");
}

/* ---- figures ---- */

void nb_html_data(nb_draft *out, const char *type, const void *bytes, size_t n_bytes)
{
    nb_buffer base64 = {0};
    nb_base64(&base64, bytes, n_bytes);
    nb_draft_addf(out, "data:%s;base64,", type);
    if (base64.failed)
        out->failed = true;
    else
        nb_draft_append(out, base64.bytes ? base64.bytes : "", base64.n_bytes);
    nb_buffer_free(&base64);
}

/* On light paper, and on dark paper for a screen that is dark. */
static void add_figure(nb_draft *out, const nb_figure *figure, nb_html_figures *figures)
{
    char *light = NULL, *dark = NULL;
    size_t n_light, n_dark;
    nb_error error;
    figures->n++;
    bool drawn = nb_figure_draw(figure, "svg", false, &light, &n_light, &error) == NB_OK &&
                 nb_figure_draw(figure, "svg", true, &dark, &n_dark, &error) == NB_OK;
    if (drawn) {
        nb_draft_add(out, "<figure><picture>\n<source media=\"screen and (prefers-color-scheme: dark)\" srcset=\"");
        nb_html_data(out, "image/svg+xml", dark, n_dark);
        nb_draft_add(out, "\">\n<img alt=\"");
        nb_html_escape(out, figure->sentence, strlen(figure->sentence));
        nb_draft_add(out, "\" src=\"");
        nb_html_data(out, "image/svg+xml", light, n_light);
        nb_draft_add(out, "\">\n</picture></figure>\n");
    } else {
        figures->n_undrawn++;
        nb_draft_add(out, "<p class=\"undrawn\">");
        nb_html_escape(out, figure->sentence, strlen(figure->sentence));
        nb_draft_add(out, "</p>\n");
    }
    free(light);
    free(dark);
}

void nb_html_items(nb_draft *out, const nb_items *items, nb_html_figures *figures)
{
    for (size_t i = 0; i < items->count; i++) {
        const nb_item *item = &items->items[i];
        const char *text = item->text ? item->text : "";
        switch (item->kind) {
        case NB_ITEM_TEXT:
        case NB_ITEM_VALUE:
            nb_draft_add(out, item->kind == NB_ITEM_VALUE ? "<p class=\"value\">" : "<p>");
            nb_html_marked(out, text);
            nb_draft_add(out, "</p>\n");
            break;
        case NB_ITEM_LITERAL:
            nb_draft_add(out, "<p class=\"written\">");
            nb_html_escape(out, text, strlen(text));
            nb_draft_add(out, "</p>\n");
            break;
        case NB_ITEM_TABLE:
            add_table(out, &item->table);
            break;
        case NB_ITEM_FIGURE:
            add_figure(out, &item->figure, figures);
            break;
        case NB_ITEM_MARKDOWN:
            nb_html_prose(out, text, "");
            break;
        }
    }
}

/* ---- cells ---- */

static void add_span(nb_draft *out, const char *class, const char *text, size_t n)
{
    nb_draft_addf(out, "<span class=\"%s\">", class);
    nb_html_escape(out, text, n);
    nb_draft_add(out, "</span>");
}

/* The length of what starts at text and is one colour, and its class; NULL: none. */
static size_t next_token(const char *text, bool line_start, bool word_start, const char **class)
{
    *class = NULL;
    if (*text == '#' && word_start) {
        *class = "comment";
        return strcspn(text, "\n");
    }
    if (*text == '"' || *text == '\'') {
        size_t n = 1;
        while (text[n] && text[n] != *text && text[n] != '\n')
            n += text[n] == '\\' && text[n + 1] ? 2 : 1;
        *class = "text";
        return n + (text[n] == *text);
    }
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    if (n == 0 || !word_start)
        return n ? n : 1;
    char name[32] = "";
    memcpy(name, text, nb_min_size(n, sizeof name - 1));
    static const char *const words[] = {"def", "end", "for", "in", "if", "elif", "else", "while", "return", "and", "or", "not"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(name, words[i]) == 0)
            *class = "word";
    }
    size_t next = n + strspn(text + n, " ");
    if (line_start && nb_command_find(name) && (!text[next] || !strchr("=([.+-*/^%", text[next]) || text[next + 1] == '-'))
        *class = "command";
    return n;
}

void nb_html_code(nb_draft *out, const char *text)
{
    bool line_start = true, word_start = true;
    while (*text) {
        const char *class;
        size_t n = next_token(text, line_start, word_start, &class);
        if (class)
            add_span(out, class, text, n);
        else
            nb_html_escape(out, text, n);
        char last = text[n - 1];
        word_start = strchr(" \t\n;([{,=+-*/", last) != NULL;
        line_start = last == '\n' || last == ';' || (line_start && (last == ' ' || last == '\t'));
        text += n;
    }
}
