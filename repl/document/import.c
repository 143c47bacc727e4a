#include "repl/document/import.h"

#include "base/file.h"
#include "base/memory.h"
#include "repl/document/document.h"
#include "repl/document/output.h"
#include "repl/document/record.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MIB = 64 };

#ifdef NB_HAVE_JANSSON
#include <jansson.h>

static const char magic[] = "%%nibble";

/* A source or a text: a string, or a list of strings. Without carriage returns, which JSON may hide anywhere. */
static void add_lines(const json_t *lines, nb_draft *out)
{
    nb_draft_add(out, "");
    for (size_t i = 0; i < (json_is_array(lines) ? json_array_size(lines) : 1); i++) {
        const json_t *line = json_is_array(lines) ? json_array_get(lines, i) : lines;
        const char *text = json_is_string(line) ? json_string_value(line) : "";
        for (const char *c = text; *c; c++) {
            if (*c != '\r')
                nb_draft_append(out, c, 1);
        }
    }
    if (out->n_bytes && out->text[out->n_bytes - 1] != '\n')
        nb_draft_add(out, "\n");
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Lower-case letters, digits and a few signs: what may follow a fence. */
static void take_language(const json_t *root, nb_imported *report)
{
    const json_t *metadata = json_object_get(root, "metadata");
    const char *name = text_at(json_object_get(metadata, "language_info"), "name");
    if (!*name)
        name = text_at(json_object_get(metadata, "kernelspec"), "language");
    if (!*name)
        name = text_at(json_object_get(metadata, "kernelspec"), "name");
    if (!*name || strlen(name) >= sizeof report->language || strcmp(name, "output") == 0 || strcmp(name, "check") == 0 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_#.") != strlen(name))
        name = "python";
    strcpy(report->language, name);
}

static void add_title(const json_t *root, nb_draft *out)
{
    const char *title = text_at(json_object_get(root, "metadata"), "title");
    nb_draft_add(out, "---\ntitle: ");
    for (const char *c = *title ? title : "Imported notebook"; *c; c++)
        nb_draft_append(out, (unsigned char)*c < ' ' ? " " : c, 1);
    nb_draft_add(out, "\n---\n\n");
}

/* ---- outputs ---- */

/* What an output says in words; false for pictures and what else there is. */
static bool add_output_text(const json_t *output, nb_draft *text)
{
    const char *type = text_at(output, "output_type");
    const json_t *data = json_object_get(output, "data");
    const json_t *lines = strcmp(type, "stream") == 0           ? json_object_get(output, "text")
                          : strcmp(type, "execute_result") == 0 ? json_object_get(data, "text/plain")
                                                                : NULL;
    if (lines)
        add_lines(lines, text);
    return lines != NULL;
}

/* The sentence of an error, or NULL. */
static const char *error_of(const json_t *outputs)
{
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        const json_t *output = json_array_get(outputs, i);
        if (strcmp(text_at(output, "output_type"), "error") == 0)
            return text_at(output, "evalue");
    }
    return NULL;
}

static void add_outputs(const json_t *outputs, const char *failed, nb_draft *out)
{
    nb_draft text = {0};
    nb_pieces pieces;
    const nb_items none = {0};
    for (size_t i = 0; i < json_array_size(outputs); i++)
        add_output_text(json_array_get(outputs, i), &text);
    nb_pieces_make(&none, failed, &pieces);
    for (size_t i = 0; i < pieces.count; i++)
        nb_draft_add(&text, pieces.pieces[i].text);
    if (text.n_bytes)
        nb_fence_write(out, "output", text.text, "\n");
    out->failed = out->failed || text.failed || pieces.failed;
    nb_pieces_free(&pieces);
    nb_draft_free(&text);
}

/* ---- cells ---- */

static void add_code(const json_t *cell, nb_imported *report, nb_draft *out)
{
    nb_draft source = {0};
    add_lines(json_object_get(cell, "source"), &source);
    const char *code = nb_draft_text(&source);
    bool marked = strncmp(code, magic, sizeof magic - 1) == 0 && strchr(" \t\n", code[sizeof magic - 1]);
    if (marked) {
        code += strcspn(code, "\n");
        code += *code == '\n';
    }
    if (marked || strcmp(report->language, "nibble") == 0) {
        const json_t *outputs = json_object_get(cell, "outputs");
        const char *failed = error_of(outputs);
        nb_fence_write(out, failed ? "nibble fails" : "nibble", code, "\n");
        add_outputs(outputs, failed, out);
        report->n_cells++;
    } else if (*code) {
        nb_fence_write(out, report->language, code, "\n");
        report->n_kept++;
    }
    nb_draft_add(out, "\n");
    out->failed = out->failed || source.failed;
    nb_draft_free(&source);
}

static nb_status add_cell(const json_t *cell, size_t index, const char *name, nb_imported *report, nb_draft *out,
                          nb_error *error)
{
    const char *type = text_at(cell, "cell_type");
    nb_draft source = {0};
    if (strcmp(type, "code") == 0) {
        add_code(cell, report, out);
        return NB_OK;
    }
    if (strcmp(type, "markdown") != 0 && strcmp(type, "raw") != 0)
        return nb_fail(error, NB_ERR_FILE, "%.200s, cell %zu: its kind is \"%.40s\", and not code, markdown or raw", name,
                       index + 1, type);
    add_lines(json_object_get(cell, "source"), &source);
    if (source.n_bytes && *type == 'r')
        nb_fence_write(out, "text", source.text, "\n");
    else
        nb_draft_append(out, nb_draft_text(&source), source.n_bytes);
    nb_draft_add(out, "\n");
    out->failed = out->failed || source.failed;
    nb_draft_free(&source);
    return NB_OK;
}

static nb_status check_root(const json_t *root, const char *name, nb_error *error)
{
    const json_t *version = json_object_get(root, "nbformat");
    if (!json_is_integer(version) || !json_is_object(root))
        return nb_fail(error, NB_ERR_FILE, "%.200s is JSON, but no Jupyter notebook: it has no \"nbformat\"", name);
    if (json_integer_value(version) != 4)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%.200s has version %lld of Jupyter's format, and nibble reads 4: jupyter nbconvert --to notebook "
                       "makes one of the other", name, (long long)json_integer_value(version));
    if (!json_is_array(json_object_get(root, "cells")))
        return nb_fail(error, NB_ERR_FILE, "%.200s is a Jupyter notebook without a list of cells", name);
    return NB_OK;
}

static nb_status convert(const json_t *root, const char *name, nb_draft *markdown, nb_imported *report, nb_error *error)
{
    const json_t *cells = json_object_get(root, "cells");
    nb_status status = check_root(root, name, error);
    if (status != NB_OK)
        return status;
    take_language(root, report);
    add_title(root, markdown);
    for (size_t i = 0; status == NB_OK && i < json_array_size(cells); i++)
        status = add_cell(json_array_get(cells, i), i, name, report, markdown, error);
    if (status == NB_OK && markdown->failed)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to import %.200s", name);
    return status;
}

nb_status nb_import_ipynb(const char *text, size_t n_bytes, const char *name, nb_draft *markdown, nb_imported *report,
                          nb_error *error)
{
    json_error_t wrong;
    *report = (nb_imported){0};
    if (n_bytes > (size_t)MOST_MIB << 20)
        return nb_fail(error, NB_ERR_FILE, "%.200s is too large: at most %d MiB; clear its outputs first", name, MOST_MIB);
    json_t *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &wrong);
    if (!root)
        return nb_fail(error, NB_ERR_FILE, "%.200s, line %d: not the JSON of a notebook: %.120s", name, wrong.line,
                       wrong.text);
    nb_status status = convert(root, name, markdown, report, error);
    json_decref(root);
    return status;
}

#else

nb_status nb_import_ipynb(const char *text, size_t n_bytes, const char *name, nb_draft *markdown, nb_imported *report,
                          nb_error *error)
{
    (void)text, (void)n_bytes, (void)markdown, (void)report;
    return nb_fail(error, NB_ERR_UNSUPPORTED,
                   "%.200s: this nibble was built without jansson, which reads .ipynb: apt-get install libjansson-dev, "
                   "then make again", name);
}

#endif

nb_status nb_import_open(const char *path, nb_draft *markdown, nb_imported *report, nb_error *error)
{
    nb_mapping *file;
    nb_status status = nb_mapping_open(path, &file, error);
    if (status != NB_OK)
        return status;
    status = nb_import_ipynb((const char *)file->data, file->size, path, markdown, report, error);
    if (status == NB_OK)
        status = nb_mapping_check(file, error);
    nb_mapping_close(&file);
    return status;
}
