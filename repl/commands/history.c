#include "repl/commands/table.h"
#include "repl/document/output.h"
#include "repl/notebook.h"

#include <string.h>

static const nb_column columns[] = {{"", NB_COLUMN_RIGHT}, {"", NB_COLUMN_FLOW}};

/* One cell, and what it gave once more. */
static nb_status show_cell(const nb_notebook *notebook, const char *typed, nb_items *out, nb_error *error)
{
    double number;
    if (!nb_word_number(typed, &number) || !(number >= 1 && number < (double)notebook->n_cells))
        return nb_fail(error, NB_ERR_ARGUMENT, "there is no earlier cell %.40s: history lists them", typed);
    const size_t index = (size_t)number - 1;
    const nb_outcome *outcome = &notebook->outcomes[index];
    nb_pieces pieces;
    nb_pieces_make(&outcome->items, outcome->error, &pieces);
    nb_items_text(out, NB_STRONG "%s" NB_END, notebook->cells[index]);
    for (size_t i = 0; i < pieces.count; i++) {
        const nb_piece *piece = &pieces.pieces[i];
        if (piece->figure)
            nb_items_figure(out, piece->figure);
        else
            nb_items_literal(out, piece->text, strlen(piece->text), false);
    }
    if (outcome->dropped)
        nb_items_text(out, NB_MUTED "what it gave was too much to keep" NB_END);
    out->failed = out->failed || pieces.failed;
    nb_pieces_free(&pieces);
    return NB_OK;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (call->n_arguments)
        return show_cell(notebook, call->arguments[0], out, error);
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
    .usage = "history [CELL] [--last N]",
    .summary = "the cells so far; Ctrl-R searches all",
    .details = "With a cell's number: that cell, and what it gave once more.",
    .examples = {"history", "history --last 5", "history 3"},
    .arguments = {{"CELL", NB_WORD_TEXT, true}},
    .options = {{.name = "last",
                 .letter = 'n',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 1e9,
                 .summary = "only the last N"}},
    .run = run,
};
