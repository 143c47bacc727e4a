#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/document/document.h"
#include "repl/document/record.h"
#include "repl/notebook.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A plain file of cells is one cell. */
static nb_status open_cells(const char *path, nb_document **out, nb_error *error)
{
    nb_mapping *file;
    nb_draft text = {0};
    nb_status status = nb_mapping_open(path, &file, error);
    if (status != NB_OK)
        return status;
    if (file->size && memchr(file->data, '\0', file->size)) {
        status = nb_fail(error, NB_ERR_FILE, "%.200s is no text: run takes Markdown, or a file of cells", path);
    } else {
        char *cells = nb_format_text("%.*s", (int)nb_min_size(file->size, 64 << 20), (const char *)file->data);
        nb_fence_write(&text, "nibble", cells ? cells : "", "\n");
        status = cells && !text.failed ? nb_document_parse(text.text, text.n_bytes, path, out, error)
                                       : nb_fail(error, NB_ERR_MEMORY, "no memory to run %.200s", path);
        free(cells);
    }
    nb_draft_free(&text);
    nb_mapping_close(&file);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)out;
    char *path = NULL;
    nb_document *document = NULL;
    if (notebook->is_running || notebook->to_run)
        return nb_fail(error, NB_ERR_STATE, "a file that is being run cannot run another: put its cells here");
    nb_status status = nb_notebook_path(notebook, call->arguments[0], true, &path, error);
    const char *dot = path ? strrchr(nb_file_name(path), '.') : NULL;
    bool markdown = dot && (strcasecmp(dot, ".md") == 0 || strcasecmp(dot, ".markdown") == 0);
    if (status == NB_OK)
        status = markdown ? nb_document_open(path, &document, error) : open_cells(path, &document, error);
    free(path);
    notebook->to_run = document;
    return status;
}

const nb_command nb_command_run = {
    .name = "run",
    .group = "The notebook",
    .usage = "run FILE",
    .summary = "run the cells of a notebook, or of any file",
    .details = "A Markdown notebook, or a file with a cell a line. The cells are run one after the other as if they "
               "were typed, up to the first that fails. What they define stays.",
    .examples = {"run monday.md"},
    .arguments = {{"FILE", NB_WORD_FILE, false}},
    .run = run,
};
