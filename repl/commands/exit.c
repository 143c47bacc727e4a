#include "repl/commands/table.h"
#include "repl/notebook.h"

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call, (void)out, (void)error;
    notebook->leave = true;
    return NB_OK;
}

const nb_command nb_command_exit = {
    .name = "exit",
    .alias = "quit",
    .group = "The notebook",
    .usage = "exit",
    .summary = "leave; Ctrl-D does too",
    .examples = {"exit"},
    .needs = NB_LEAVES,
    .run = run,
};
