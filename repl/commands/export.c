#include "repl/commands/table.h"
#include "repl/document/export.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <stdlib.h>

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_exported exported;
    nb_status status = nb_notebook_path(notebook, call->arguments[0], false, &path, error);
    if (status == NB_OK)
        status = nb_notebook_export(notebook, path, &exported, error);
    free(path);
    if (status != NB_OK)
        return status;
    nb_items_text(out, "%s · %zu cell%s, %zu figure%s, %s", call->arguments[0], exported.n_cells,
                  exported.n_cells == 1 ? "" : "s", exported.n_figures, exported.n_figures == 1 ? "" : "s",
                  nb_bytes(exported.n_bytes).text);
    if (exported.n_undrawn)
        nb_items_text(out, "%zu of the figures could not be drawn and stand as their sentence; " NB_COMMAND
                           "doctor" NB_END " says why", exported.n_undrawn);
    return NB_OK;
}

const nb_command nb_command_export = {
    .name = "export",
    .group = "The notebook",
    .usage = "export FILE.md|FILE.ipynb|FILE.html",
    .summary = "the cells and what they gave, as a file for others",
    .details = "Markdown (pictures go to figures/ beside it; nibble run FILE.md runs it again), a Jupyter notebook, or "
               "one page with all pictures inside that a browser shows and prints.",
    .examples = {"export monday.html", "export monday.md"},
    .arguments = {{"FILE", NB_WORD_NEW_FILE, false}},
    .needs = NB_WRITES_FILES,
    .run = run,
};
