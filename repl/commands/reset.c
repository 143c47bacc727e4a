#include "repl/commands/table.h"
#include "repl/language/language.h"
#include "repl/notebook.h"

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call, (void)error;
    size_t n = 0;
    while (nb_language_variable_at(notebook->language, n))
        n++;
    nb_language_reset(notebook->language);
    nb_items_text(out, "%zu variable%s forgotten, and all results%s", n, n == 1 ? "" : "s",
                  notebook->model ? "; the model stays as it is" : "");
    return NB_OK;
}

const nb_command nb_command_reset = {
    .name = "reset",
    .group = "The notebook",
    .usage = "reset",
    .summary = "forget variables, functions and results",
    .examples = {"reset"},
    .run = run,
};
