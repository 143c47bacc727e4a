/* Fuzzes documents: the Markdown reader, which must give the same bytes back, the HTML of
 * what it finds, and the import of Jupyter notebooks, which must not fall over. */
#include "repl/document/compare.h"
#include "repl/document/document.h"
#include "repl/document/html.h"
#include "repl/document/import.h"
#include "repl/document/record.h"

#include <stdlib.h>
#include <string.h>

static void check_html(const char *text)
{
    nb_draft page = {0};
    nb_html_prose(&page, text, "fuzz.md");
    if (!page.failed && (strstr(nb_draft_text(&page), "<script") || strstr(nb_draft_text(&page), "href=\"javascript")))
        abort();
    nb_draft_free(&page);
}

/* A new output in the place of the first cell's leaves a document with the same blocks elsewhere. */
static void exchange_output(nb_document *document)
{
    char text[] = "1\n```\n";
    nb_piece piece = {.text = text};
    const nb_pieces pieces = {.pieces = &piece, .count = 1};
    nb_draft written = {0};
    nb_document *again;
    nb_error error;
    size_t cell = 0, n_figures = 0, line;
    char *recorded, *now;
    while (cell < document->n_blocks && document->blocks[cell].kind != NB_BLOCK_CELL)
        cell++;
    if (cell == document->n_blocks || nb_outputs_replace(document, cell, &pieces, &n_figures, &error) != NB_OK)
        return;
    nb_document_write(document, &written);
    if (nb_document_parse(nb_draft_text(&written), written.n_bytes, "fuzz", &again, &error) != NB_OK ||
        again->n_blocks != document->n_blocks || !nb_outputs_match(again, cell, &pieces, &line, &recorded, &now))
        abort();
    nb_document_close(&again);
    nb_draft_free(&written);
}

static void read_document(const char *text, size_t n)
{
    nb_document *document;
    nb_error error;
    nb_draft written = {0};
    if (nb_document_parse(text, n, "fuzz", &document, &error) != NB_OK) {
        if (strlen(error.text) < 8)
            abort();
        return;
    }
    nb_document_write(document, &written);
    if (written.n_bytes != n || memcmp(nb_draft_text(&written), text, n) != 0)
        abort();
    for (size_t i = 0; i < document->n_blocks; i++) {
        const nb_block *block = &document->blocks[i];
        if (block->kind == NB_BLOCK_PROSE)
            check_html(block->text);
        if ((block->check != NULL) != (block->kind == NB_BLOCK_CHECK) || block->line > block->text_line)
            abort();
    }
    exchange_output(document);
    nb_draft_free(&written);
    nb_document_close(&document);
}

static void compare_halves(const char *text, size_t n)
{
    char *halves = strndup(text, n);
    nb_difference difference;
    if (!halves)
        return;
    char *second = halves + strlen(halves) / 2;
    char first = *second;
    *second = '\0';
    char *begin = strdup(halves);
    *second = first;
    if (begin && nb_outputs_agree(begin, begin, &difference) != true)
        abort(); /* a text agrees with itself */
    if (begin) {
        nb_outputs_agree(begin, second, &difference);
        nb_difference_free(&difference);
    }
    free(begin);
    free(halves);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    nb_draft markdown = {0};
    nb_imported imported;
    nb_error error;
    if (size && (text[0] == '{' || text[0] == '[')) {
        if (nb_import_ipynb(text, size, "fuzz", &markdown, &imported, &error) == NB_OK)
            read_document(nb_draft_text(&markdown), markdown.n_bytes);
        nb_draft_free(&markdown);
        return 0;
    }
    read_document(text, size);
    compare_halves(text, size);
    return 0;
}
