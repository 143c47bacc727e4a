#include "repl/commands/table.h"
#include "repl/notebook.h"

static const nb_column columns[] = {{"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_FLOW}};

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)error;
    size_t wanted = (size_t)nb_call_number(call, "last", 0);
    size_t first = wanted && wanted < notebook->n_cells ? notebook->n_cells - wanted : 0;
    nb_items_table(out, columns, 2);
    for (size_t i = first; i < notebook->n_cells; i++) {
        nb_items_row(out);
        nb_items_cell(out, 0, NB_MUTED "%zu" NB_END, i + 1);
        nb_items_cell(out, 1, "%s", notebook->cells[i]);
    }
    return NB_OK;
}

const nb_command nb_command_history = {
    .name = "history",
    .group = "The notebook",
    .usage = "history [--last N]",
    .summary = "the cells so far; Ctrl-R searches all",
    .examples = {"history", "history --last 5"},
    .options = {{.name = "last",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e9,
                 .summary = "only the last N"}},
    .run = run,
};
