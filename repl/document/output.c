#include "repl/document/output.h"

#include "base/memory.h"
#include "repl/markdown.h"
#include "repl/render.h"
#include "repl/render_table.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>

static nb_screen document_screen(void)
{
    return (nb_screen){.utf8 = true, .columns = NB_DOCUMENT_COLUMNS, .at_line_start = true};
}

char *nb_plain_text(const char *text)
{
    nb_draft out = {0};
    bool measured = false;
    nb_draft_add(&out, "");
    for (const char *c = text; *c; c++) {
        bool ends = *c == *NB_END;
        if (*c == *NB_MEASURED)
            nb_draft_add(&out, NB_MEASURED_OPEN);
        else if (ends && measured)
            nb_draft_add(&out, NB_MEASURED_CLOSE);
        else if (*c < 1 || *c > *NB_EMPHASIS)
            nb_draft_append(&out, c, 1);
        if (*c == *NB_MEASURED || ends)
            measured = !ends;
    }
    if (measured)
        nb_draft_add(&out, NB_MEASURED_CLOSE);
    return nb_draft_take(&out);
}

/* ---- the kinds of items ---- */

static void write_text(const char *marked, nb_draft *out)
{
    nb_screen screen = document_screen();
    char *text = nb_plain_text(marked);
    if (text)
        nb_render_paragraph(&screen, text, 0, out);
    else
        out->failed = true;
    free(text);
}

/* What a model wrote: its own lines, broken between words where they are too long. */
static void write_literal(const char *text, nb_draft *out)
{
    nb_screen screen = document_screen();
    char mark = 0;
    for (size_t at = 0, n = strlen(text); at < n;) {
        size_t taken = nb_utf8_fit(text + at, n - at, NB_DOCUMENT_COLUMNS, true);
        nb_render_span(&screen, text + at, nb_render_line_length(text + at, taken), &mark, out);
        nb_draft_add(out, "\n");
        at += taken;
    }
}

static void write_table(const nb_table *table, nb_draft *out)
{
    nb_screen screen = document_screen();
    size_t n = table->n_rows * table->n_columns;
    nb_table plain = *table;
    plain.cells = nb_calloc(n ? n : 1, sizeof *plain.cells);
    bool whole = plain.cells != NULL;
    for (size_t i = 0; whole && i < n; i++) {
        plain.cells[i].counts = table->cells[i].counts;
        plain.cells[i].text = table->cells[i].text ? nb_plain_text(table->cells[i].text) : NULL;
        whole = !table->cells[i].text || plain.cells[i].text;
    }
    if (whole)
        nb_render_table(&screen, &plain, 0, out);
    else
        out->failed = true;
    for (size_t i = 0; plain.cells && i < n; i++)
        free(plain.cells[i].text);
    free(plain.cells);
}

/* ---- pieces ---- */

static void add_piece(nb_pieces *out, char *text, const nb_figure *figure)
{
    nb_piece *pieces = text ? nb_realloc(out->pieces, out->count + 1, sizeof *pieces) : NULL;
    if (!pieces) {
        free(text);
        out->failed = true;
        return;
    }
    out->pieces = pieces;
    pieces[out->count++] = (nb_piece){text, figure};
}

static void end_text(nb_pieces *out, nb_draft *text)
{
    if (text->failed)
        out->failed = true;
    else if (text->n_bytes)
        add_piece(out, nb_draft_take(text), NULL);
    nb_draft_free(text);
}

static void write_item(const nb_item *item, nb_draft *text)
{
    const char *words = item->text ? item->text : "";
    const nb_screen screen = document_screen();
    if (item->kind == NB_ITEM_MARKDOWN)
        nb_markdown_render(&screen, words, strlen(words), text);
    else if (item->kind == NB_ITEM_TABLE)
        write_table(&item->table, text);
    else if (item->kind == NB_ITEM_LITERAL)
        write_literal(words, text);
    else
        write_text(words, text);
}

void nb_pieces_make(const nb_items *items, const char *error, nb_pieces *out)
{
    nb_draft text = {0};
    *out = (nb_pieces){0};
    for (size_t i = 0; i < items->count; i++) {
        const nb_item *item = &items->items[i];
        if (item->kind == NB_ITEM_FIGURE) {
            end_text(out, &text);
            add_piece(out, nb_plain_text(item->figure.sentence), &item->figure);
        } else {
            write_item(item, &text);
        }
    }
    if (error)
        write_text(error, &text);
    end_text(out, &text);
}

void nb_pieces_free(nb_pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++)
        free(pieces->pieces[i].text);
    free(pieces->pieces);
    *pieces = (nb_pieces){0};
}
