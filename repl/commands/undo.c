#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <stdlib.h>

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    nb_status status = nb_model_undo(notebook->model, error);
    if (status != NB_OK)
        return status;
    size_t left = nb_model_undo_depth(notebook->model);
    char *line = notebook->n_undo_lines ? notebook->undo_lines[--notebook->n_undo_lines] : NULL;
    nb_items_text(
        out, "Taken back: %s · %s, %s bits a weight · %zu more to take back", line ? line : "the last change",
        nb_bytes(nb_model_n_bytes(notebook->model)).text,
        nb_fixed(
            nb_bits_per_weight(nb_model_n_bytes(notebook->model), nb_model_n_parameters(notebook->model)), 2)
            .text,
        left);
    free(line);
    return NB_OK;
}

const nb_command nb_command_undo = {
    .name = "undo",
    .group = "Changing it",
    .usage = "undo",
    .summary = "take the last change back",
    .examples = {"undo"},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
