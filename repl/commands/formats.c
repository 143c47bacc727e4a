#include "repl/commands/table.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

static const nb_column columns[] = {{"format", NB_COLUMN_LEFT},
                                    {"bits", NB_COLUMN_RIGHT},
                                    {"largest", NB_COLUMN_RIGHT},
                                    {"what it is", NB_COLUMN_FLOW}};

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)notebook, (void)call, (void)error;
    nb_items_table(out, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < nb_format_count(); i++) {
        const nb_format *format = nb_format_at(i);
        nb_format_range range;
        nb_format_range_of(format, &range);
        nb_items_row(out);
        nb_items_cell(out, 0, NB_STRONG "%s" NB_END, format->name);
        nb_items_cell(out, 1, "%u", format->bits);
        nb_items_cell(out, 2, "%s", format->kind == NB_FORMAT_BLOCK || format->kind == NB_FORMAT_TABLE ? "" : nb_general(range.max, 5).text);
        nb_items_cell(out, 3, "%s", format->summary);
    }
    nb_items_text(out, "Look closer: " NB_COMMAND "range f16" NB_END "   " NB_COMMAND "bits 0.1 f16" NB_END);
    return NB_OK;
}

const nb_command nb_command_formats = {
    .name = "formats",
    .group = "Numbers",
    .usage = "formats",
    .summary = "every way in which numbers can be stored",
    .examples = {"formats"},
    .run = run,
};
