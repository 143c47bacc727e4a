#include "base/memory.h"
#include "repl/commands/calibrate.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <stdlib.h>
#include <string.h>

/* ---- what it says ---- */

static const nb_column columns[] = {{"matrix", NB_COLUMN_LEFT},
                                    {"columns", NB_COLUMN_RIGHT},
                                    {"mean square", NB_COLUMN_RIGHT},
                                    {"largest", NB_COLUMN_RIGHT},
                                    {"in 1 % of them", NB_COLUMN_RIGHT}};

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* How uneven the columns are: if one in a hundred carries most, much is won by looking. */
static nb_status add_row(const nb_importance_entry *entry, nb_items *out, nb_error *error)
{
    float *sorted = nb_calloc(entry->n_cols, sizeof *sorted);
    if (!sorted)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu columns", entry->n_cols);
    memcpy(sorted, entry->squares, entry->n_cols * sizeof *sorted);
    qsort(sorted, entry->n_cols, sizeof *sorted, descending);
    const size_t top = entry->n_cols / 100 + 1;
    double all = 0, of_top = 0;
    for (size_t i = 0; i < entry->n_cols; i++) {
        all += (double)sorted[i];
        of_top += i < top ? (double)sorted[i] : 0;
    }
    const double n = entry->n_tokens > 0 ? (double)entry->n_tokens : 1;
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", entry->name);
    nb_items_cell(out, 1, "%zu", entry->n_cols);
    nb_items_cell(out, 2, "%s", nb_general(all / n / (double)entry->n_cols, 3).text);
    nb_items_cell(out, 3, "%s", nb_general((double)sorted[0] / n, 3).text);
    nb_items_cell(out, 4, "%s", nb_percent(all > 0 ? of_top / all : 0).text);
    free(sorted);
    return NB_OK;
}

static void describe(const nb_importance *importance, nb_items *out)
{
    nb_string text = {importance->text, strlen(importance->text)};
    nb_draft name = {0};
    nb_draft_add_written(&name, text);
    nb_items_text(out, "%zu matrices%s%s, %s chunks%s%s", importance->n_entries, text.n_bytes ? " · " : "",
                  nb_draft_text(&name), nb_count(importance->n_chunks).text,
                  importance->chunk_tokens ? " of " : "",
                  importance->chunk_tokens ? nb_count(importance->chunk_tokens).text : "");
    nb_draft_free(&name);
}

static nb_status show(const nb_importance *importance, nb_items *out, nb_error *error)
{
    nb_status status = NB_OK;
    describe(importance, out);
    nb_items_table(out, columns, 5);
    for (size_t i = 0; i < importance->n_entries && status == NB_OK; i++)
        status = add_row(&importance->entries[i], out, error);
    return status;
}

/* ---- what it does ---- */

static void keep(nb_notebook *notebook, nb_importance *importance, nb_items *out)
{
    nb_importance_destroy(&notebook->importance);
    notebook->importance = importance;
    describe(importance, out);
    nb_items_text(out, NB_COMMAND "imatrix show" NB_END "   lists it;   " NB_COMMAND
                                  "quantize all q4_k" NB_END "   weighs its errors by it");
}

static nb_status collect(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_mapping *text = NULL;
    nb_importance *importance = NULL;
    nb_status status =
        nb_notebook_calibration_text(notebook, nb_call_text(call, "text", NULL), "imatrix", &text, error);
    if (status == NB_OK)
        status = nb_importance_collect(notebook->model, (const char *)text->data, text->size,
                                       nb_file_name(text->path), (size_t)nb_call_number(call, "tokens", 0),
                                       (size_t)nb_call_number(call, "chunk", 0), &importance, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    nb_mapping_close(&text);
    if (status == NB_OK)
        keep(notebook, importance, out);
    else
        nb_importance_destroy(&importance);
    return status;
}

static nb_status load(nb_notebook *notebook, const char *typed, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_importance *importance = NULL;
    nb_status status = nb_notebook_path(notebook, typed, true, &path, error);
    if (status == NB_OK)
        status = nb_importance_open(path, &importance, error);
    free(path);
    if (status == NB_OK)
        keep(notebook, importance, out);
    return status;
}

static nb_status save(const nb_notebook *notebook, const char *typed, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_status status = nb_notebook_path(notebook, typed, false, &path, error);
    if (status == NB_OK)
        status = nb_importance_save(notebook->importance, path, error);
    if (status == NB_OK)
        nb_items_text(out, "%s · as llama-quantize --imatrix reads it", nb_file_name(path));
    free(path);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *verb = call->n_arguments ? call->arguments[0] : "collect", *file = call->arguments[1];
    const bool loads = strcmp(verb, "load") == 0, saves = strcmp(verb, "save") == 0;
    if ((loads || saves) && !file)
        return nb_fail(error, NB_ERR_ARGUMENT, "imatrix %s needs a file: imatrix %s story.imatrix.gguf", verb,
                       verb);
    if (loads)
        return load(notebook, file, out, error);
    if (strcmp(verb, "collect") == 0)
        return notebook->model ? collect(notebook, call, out, error)
                               : nb_fail(error, NB_ERR_STATE, "imatrix looks into a model: load story");
    if (strcmp(verb, "off") == 0) {
        nb_importance_destroy(&notebook->importance);
        nb_items_text(out, "Errors weigh the same in all columns.");
        return NB_OK;
    }
    if (!saves && strcmp(verb, "show") != 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "imatrix can collect, show, save, load and off, not \"%.40s\"",
                       verb);
    if (!notebook->importance)
        return nb_fail(error, NB_ERR_STATE,
                       "there is no importance matrix yet: imatrix --text FILE makes one");
    return saves ? save(notebook, file, out, error) : show(notebook->importance, out, error);
}

const nb_command nb_command_imatrix = {
    .name = "imatrix",
    .group = "Calibrating",
    .usage = "imatrix [collect] [--text FILE] [--tokens N] [--chunk N]\n"
             "imatrix show|off\n"
             "imatrix save|load FILE",
    .summary = "which columns of a matrix meet large activations",
    .details = "A matrix's column is multiplied by one number of every token. Where those numbers are large, an "
               "error of the weight counts more. imatrix reads a text, adds up their squares, and from then on "
               "formats with blocks (q4_0, q4_k, iq4_nl, ...) choose scales that keep the important columns exact, "
               "at the cost of the others. It is kept until " NB_COMMAND "imatrix off" NB_END
               ". Files are llama.cpp's, both forms. " NB_REMEMBERS_CALIBRATION_TEXT,
    .examples = {"imatrix --text calibration.txt", "imatrix show", "imatrix save story.imatrix.gguf"},
    .source = "llama.cpp, tools/imatrix",
    .arguments = {{"WHAT", NB_WORD_TEXT, true}, {"FILE", NB_WORD_FILE, true}},
    .options = {NB_CALIBRATION_TEXT_OPTIONS(0, "all unless said"),
                {.name = "chunk",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 2,
                 .high = 1e6,
                 .summary = "tokens that are read together; 512 or the context unless said"}},
    .needs = NB_WRITES_FILES,
    .run = run,
};
