#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/document/document.h"
#include "repl/document/import.h"
#include "repl/notebook.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* x.ipynb becomes x.md, here. */
static char *name_for(const char *typed)
{
    const char *name = nb_file_name(typed), *dot = strrchr(name, '.');
    return nb_format_text("%.*s.md", (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name)), name);
}

static nb_status write_markdown(nb_notebook *notebook, const char *name, bool chosen, const nb_draft *markdown,
                                nb_error *error)
{
    char *path = NULL;
    nb_document *document = NULL;
    nb_status status = nb_notebook_path(notebook, name, false, &path, error);
    if (status == NB_OK && !chosen && access(path, F_OK) == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "%.200s is there already; say where to: import FILE.ipynb FILE.md", name);
    if (status == NB_OK) /* what is written must be read again */
        status = nb_document_parse(nb_draft_text(markdown), markdown->n_bytes, name, &document, error);
    if (status == NB_OK)
        status = nb_document_save(document, path, error);
    nb_document_close(&document);
    free(path);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const bool chosen = call->n_arguments > 1;
    char *path = NULL, *name = chosen ? nb_strdup(call->arguments[1]) : name_for(call->arguments[0]);
    nb_draft markdown = {0};
    nb_imported imported;
    nb_status status = name ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for a file's name");
    if (status == NB_OK)
        status = nb_notebook_path(notebook, call->arguments[0], true, &path, error);
    if (status == NB_OK)
        status = nb_import_open(path, &markdown, &imported, error);
    if (status == NB_OK)
        status = write_markdown(notebook, name, chosen, &markdown, error);
    if (status == NB_OK) {
        nb_items_text(out, "%s · %zu cell%s   " NB_COMMAND "run %s" NB_END, name, imported.n_cells,
                      imported.n_cells == 1 ? "" : "s", name);
        if (imported.n_kept)
            nb_items_text(out, "%zu cell%s in %s %s kept as text: nibble runs its own language only", imported.n_kept,
                          imported.n_kept == 1 ? "" : "s", imported.language, imported.n_kept == 1 ? "is" : "are");
    }
    nb_draft_free(&markdown);
    free(path);
    free(name);
    return status;
}

const nb_command nb_command_import = {
    .name = "import",
    .group = "The notebook",
    .usage = "import FILE.ipynb [FILE.md]",
    .summary = "a Jupyter notebook as Markdown",
    .details = "Its nibble cells (those of a notebook that nibble exported, and code that begins with a line "
               "%%nibble) become cells; code in other languages is kept to read.",
    .examples = {"import monday.ipynb"},
    .arguments = {{"FILE.ipynb", NB_WORD_FILE, false}, {"FILE.md", NB_WORD_NEW_FILE, true}},
    .needs = NB_WRITES_FILES,
    .run = run,
};
