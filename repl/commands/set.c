#include "repl/commands/table.h"
#include "repl/notebook.h"
#include "repl/settings.h"

static const nb_column columns[] = {
    {"setting", NB_COLUMN_LEFT}, {"is", NB_COLUMN_LEFT}, {"what it does", NB_COLUMN_FLOW}};

static void show_value(const nb_notebook *notebook, const nb_setting *setting, nb_items *out)
{
    nb_draft value = {0};
    setting->get(setting, notebook, &value);
    nb_items_text(out, "%s is " NB_STRONG "%s" NB_END ": %s", setting->name, nb_draft_text(&value),
                  setting->summary);
    nb_draft_free(&value);
}

static void show_all(const nb_notebook *notebook, nb_items *out)
{
    nb_items_table(out, columns, 3);
    for (size_t i = 0; i < nb_setting_count(); i++) {
        const nb_setting *setting = nb_setting_at(i);
        nb_draft value = {0};
        setting->get(setting, notebook, &value);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", setting->name);
        nb_items_cell(out, 1, "%s", nb_draft_text(&value));
        nb_items_cell(out, 2, "%s", setting->summary);
        nb_draft_free(&value);
    }
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (call->n_arguments == 0) {
        show_all(notebook, out);
        return NB_OK;
    }
    const nb_setting *setting = nb_setting_find(call->arguments[0], error);
    if (!setting)
        return NB_ERR_ARGUMENT;
    nb_status status =
        call->n_arguments > 1 ? setting->set(setting, notebook, call->arguments[1], error) : NB_OK;
    if (status == NB_OK)
        show_value(notebook, setting, out);
    return status;
}

const nb_command nb_command_set = {
    .name = "set",
    .group = "The notebook",
    .usage = "set [NAME [VALUE]]",
    .summary = "threads, seed, text, how figures are drawn",
    .examples = {"set", "set threads 2", "set plot braille"},
    .arguments = {{"NAME", NB_WORD_SETTING, true}, {"VALUE", NB_WORD_TEXT, true}},
    .run = run,
};
