/* Jupyter's notebook format 4.5: https://nbformat.readthedocs.io/en/latest/format_description.html */
#include "repl/document/export.h"

#include "base/memory.h"
#include "repl/document/output.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>

#ifdef NB_HAVE_JANSSON
#include "plots/base64.h"
#include <jansson.h>

/* A text with what is not UTF-8 replaced, as JSON wants it; NULL without memory. */
static json_t *text_of(const char *text, size_t n)
{
    nb_draft clean = {0};
    nb_draft_add(&clean, "");
    for (size_t i = 0, used; i < n; i += used) {
        uint32_t code_point = nb_utf8_decode(text + i, n - i, &used);
        if (code_point == 0xfffd && used == 1)
            nb_draft_add(&clean, "\xef\xbf\xbd");
        else
            nb_draft_append(&clean, text + i, used);
    }
    json_t *json = clean.failed ? NULL : json_stringn(clean.text, clean.n_bytes);
    nb_draft_free(&clean);
    return json;
}

/* A list of lines with their newlines; the last one has none. */
static json_t *lines_of(const char *text)
{
    json_t *lines = json_array();
    size_t n = strlen(text);
    while (n && text[n - 1] == '\n')
        n--;
    for (size_t at = 0; at < n;) {
        size_t length = strcspn(text + at, "\n");
        length = nb_min_size(length + 1, n - at);
        json_array_append_new(lines, text_of(text + at, length));
        at += length;
    }
    return lines;
}

static json_t *text_output(const char *text)
{
    json_t *lines = lines_of(text);
    size_t n = json_array_size(lines);
    if (n) { /* a stream ends with its line */
        char *last = nb_format_text("%s\n", json_string_value(json_array_get(lines, n - 1)));
        json_array_set_new(lines, n - 1, last ? json_string(last) : NULL);
        free(last);
    }
    return json_pack("{s:s, s:s, s:o}", "output_type", "stream", "name", "stdout", "text", lines);
}

static json_t *error_output(const char *sentence)
{
    json_t *trace = json_array();
    json_array_append_new(trace, text_of(sentence, strlen(sentence)));
    return json_pack("{s:s, s:s, s:o, s:o}", "output_type", "error", "ename", "error", "evalue",
                     text_of(sentence, strlen(sentence)), "traceback", trace);
}

/* The picture, with its sentence for whoever cannot see it. */
static json_t *figure_output(const nb_piece *piece, nb_exported *out)
{
    char *png;
    size_t n_bytes;
    nb_error error;
    json_t *data = json_pack("{s:o}", "text/plain", lines_of(piece->text));
    out->n_figures++;
    if (nb_figure_draw(piece->figure, "png", false, &png, &n_bytes, &error) == NB_OK) {
        nb_buffer base64 = {0};
        nb_base64(&base64, (const uint8_t *)png, n_bytes);
        if (!base64.failed)
            json_object_set_new(data, "image/png", json_stringn(base64.bytes, base64.n_bytes));
        nb_buffer_free(&base64);
        free(png);
    } else {
        out->n_undrawn++;
    }
    return json_pack("{s:s, s:o, s:{}}", "output_type", "display_data", "data", data, "metadata");
}

static nb_status add_code(json_t *cells, const nb_notebook *notebook, size_t index, nb_exported *out, nb_error *error)
{
    const nb_outcome *outcome = &notebook->outcomes[index];
    char id[32];
    nb_pieces pieces;
    nb_pieces_make(&outcome->items, NULL, &pieces);
    json_t *outputs = json_array();
    for (size_t i = 0; i < pieces.count; i++)
        json_array_append_new(outputs, pieces.pieces[i].figure ? figure_output(&pieces.pieces[i], out)
                                                               : text_output(pieces.pieces[i].text));
    if (outcome->error)
        json_array_append_new(outputs, error_output(outcome->error));
    snprintf(id, sizeof id, "cell-%zu", index + 1);
    int failed = json_array_append_new(
        cells, json_pack("{s:s, s:I, s:s, s:{}, s:o, s:o}", "cell_type", "code", "execution_count",
                         (json_int_t)index + 1, "id", id, "metadata", "outputs", outputs, "source",
                         lines_of(notebook->cells[index])));
    out->n_cells++;
    bool whole = !pieces.failed && !failed;
    nb_pieces_free(&pieces);
    return whole ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to export the notebook");
}

/* A question is known by its first words: Markdown has nothing else to mark it with. */
static nb_status add_prose(json_t *cells, const nb_note *note, size_t index, nb_error *error)
{
    char id[32];
    nb_draft text = {0};
    snprintf(id, sizeof id, "note-%zu", index + 1);
    nb_draft_addf(&text, "%s%s", note->source ? "**Your turn.** " : "", note->text);
    const bool failed = text.failed ||
                        json_array_append_new(cells, json_pack("{s:s, s:s, s:{}, s:o}", "cell_type", "markdown", "id", id,
                                                               "metadata", "source", lines_of(nb_draft_text(&text))));
    nb_draft_free(&text);
    return failed ? nb_fail(error, NB_ERR_MEMORY, "no memory to export the notebook") : NB_OK;
}

static nb_status add_cells(json_t *cells, const nb_notebook *notebook, nb_exported *out, nb_error *error)
{
    nb_status status = NB_OK;
    size_t note = 0;
    for (size_t i = 0; status == NB_OK && i <= notebook->n_cells; i++) {
        for (; status == NB_OK && note < notebook->n_notes && notebook->notes[note].before <= i; note++)
            status = add_prose(cells, &notebook->notes[note], note, error);
        if (status == NB_OK && i < notebook->n_cells && nb_cell_is_exported(notebook->cells[i]))
            status = add_code(cells, notebook, i, out, error);
    }
    return status;
}

nb_status nb_export_ipynb(const nb_notebook *notebook, const char *path, nb_draft *text, nb_exported *out,
                          nb_error *error)
{
    json_t *cells = json_array();
    nb_status status = add_cells(cells, notebook, out, error);
    char *title = nb_export_title(notebook, path);
    json_t *root = json_pack("{s:o, s:{s:o, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s}}, s:i, s:i}", "cells", cells,
                             "metadata", "title", text_of(title ? title : "", title ? strlen(title) : 0), "kernelspec",
                             "display_name", "nibble", "language", "nibble", "name", "nibble", "language_info", "name",
                             "nibble", "file_extension", ".nibble", "mimetype", "text/x-nibble", "pygments_lexer",
                             "text", "nbformat", 4, "nbformat_minor", 5);
    char *dumped = status == NB_OK && root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (status == NB_OK && !dumped)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to export the notebook");
    if (status == NB_OK) {
        nb_draft_add(text, dumped);
        nb_draft_add(text, "\n");
    }
    free(dumped);
    free(title);
    json_decref(root);
    return status;
}

#else

nb_status nb_export_ipynb(const nb_notebook *notebook, const char *path, nb_draft *text, nb_exported *out,
                          nb_error *error)
{
    (void)notebook, (void)text, (void)out;
    return nb_fail(error, NB_ERR_UNSUPPORTED,
                   "%.200s: this nibble was built without jansson, which writes .ipynb: apt-get install libjansson-dev, "
                   "then make again", path);
}

#endif
