#include "repl/commands/table.h"
#include "repl/draft.h"
#include "repl/language/language.h"
#include "repl/nearest.h"
#include "repl/notebook.h"

#include <string.h>

static const nb_column list_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};
static const nb_column plain_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};
static const nb_column option_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

/* Groups whose commands say what they do by their names share a row each, so that all fit on a screen of 24. */
static bool is_plain(const char *group)
{
    static const char *const plain[] = {"Numbers", "Calibrating", "Measuring", "Lessons", "The notebook"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(group, plain[i]) == 0)
            return true;
    }
    return false;
}

static void list_plain(const char *group, nb_items *out)
{
    nb_draft names = {0};
    for (size_t i = 0; i < nb_command_count(); i++) {
        const nb_command *command = nb_command_at(i);
        if (strcmp(command->group, group) == 0)
            nb_draft_addf(&names, "%s" NB_COMMAND "%s" NB_END, names.n_bytes ? "  " : "", command->name);
    }
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, group);
    nb_items_cell(out, 1, "%s", nb_draft_text(&names));
    nb_draft_free(&names);
}

/* First the groups that say what each command does, then the others. */
static void list_commands(nb_items *out)
{
    const char *group = "";
    nb_items_table(out, list_columns, 3);
    for (size_t i = 0; i < nb_command_count(); i++) {
        const nb_command *command = nb_command_at(i);
        if (is_plain(command->group))
            continue;
        nb_items_row(out);
        if (strcmp(group, command->group) != 0)
            nb_items_cell(out, 0, NB_MUTED "%s" NB_END, command->group);
        nb_items_cell(out, 1, NB_COMMAND "%s" NB_END, command->name);
        nb_items_cell(out, 2, "%s", command->summary);
        group = command->group;
    }
    group = "";
    nb_items_table(out, plain_columns, 2);
    for (size_t i = 0; i < nb_command_count(); i++) {
        const nb_command *command = nb_command_at(i);
        if (is_plain(command->group) && strcmp(group, command->group) != 0)
            list_plain(command->group, out);
        group = command->group;
    }
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "Expressions" NB_END);
    nb_items_cell(out, 1, "x = [1, 2]  mean(x^2)  " NB_COMMAND "help functions" NB_END NB_MUTED
                          "  ?NAME tells more" NB_END);
}

static void list_options(const nb_command *command, nb_items *out)
{
    size_t n = nb_command_option_count(command);
    if (n == 0)
        return;
    nb_items_table(out, option_columns, 2);
    for (size_t i = 0; i < n; i++) {
        const nb_option *option = &command->options[i];
        nb_items_row(out);
        nb_items_cell(out, 0, "--%s%s%s", option->name, option->value ? " " : "",
                      option->value ? option->value : "");
        nb_items_cell(out, 1, "%s", option->summary);
    }
}

void nb_command_describe(const nb_command *command, nb_items *out)
{
    nb_items_text(out, NB_STRONG "%s" NB_END "\n%s", command->usage, command->summary);
    if (command->details)
        nb_items_text(out, "%s", command->details);
    list_options(command, out);
    for (size_t i = 0; i < sizeof command->examples / sizeof *command->examples && command->examples[i]; i++)
        nb_items_text(out, "%s" NB_COMMAND "%s" NB_END,
                      i ? "             " : "For example: ", command->examples[i]);
    if (command->source)
        nb_items_text(out, NB_MUTED "Source: %s" NB_END, command->source);
}

static void list_variables(const nb_language *language, nb_items *out)
{
    const char *name;
    if (!nb_language_variable_at(language, 0))
        nb_items_text(out, "None yet: " NB_COMMAND "x = [1, 2, 3]" NB_END " makes one");
    for (size_t i = 0; (name = nb_language_variable_at(language, i)); i++)
        nb_language_describe(language, name, out);
}

/* A function is meant only if its name is nearer than any command's. */
static nb_status unknown_topic(const char *name, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, name);
    for (size_t i = 0; i < nb_command_count(); i++)
        nb_nearest_offer(&nearest, nb_command_at(i)->name);
    const char *command = nearest.best;
    for (size_t i = 0; i < nb_function_count(); i++)
        nb_nearest_offer(&nearest, nb_function_name(nb_function_at(i)));
    for (size_t i = 0; nb_keyword_at(i); i++)
        nb_nearest_offer(&nearest, nb_keyword_at(i));
    if (nearest.best && nearest.best != command)
        return nb_fail(error, NB_ERR_ARGUMENT, "no function \"%.60s\": did you mean %s?", name, nearest.best);
    return nb_command_unknown(name, error);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (call->n_arguments == 0) {
        list_commands(out);
        return NB_OK;
    }
    const char *name = call->arguments[0];
    const nb_command *command = nb_command_find(name);
    const nb_function_row *function = nb_function_find(name);
    if (strcmp(name, "functions") == 0) {
        nb_function_list(out);
        return NB_OK;
    }
    if (strcmp(name, "variables") == 0) {
        list_variables(notebook->language, out);
        return NB_OK;
    }
    if (nb_keyword_describe(name, out) || nb_language_describe(notebook->language, name, out))
        return NB_OK;
    if (command)
        nb_command_describe(command, out);
    if (command && function)
        nb_items_text(out, "In expressions:");
    if (function)
        nb_function_describe(function, out);
    return command || function ? NB_OK : unknown_topic(name, error);
}

const nb_command nb_command_help = {
    .name = "help",
    .group = "The notebook",
    .usage = "help [NAME]",
    .summary = "this list, or all about a command or a function",
    .details = "help functions lists what expressions can use, help variables what you defined.",
    .examples = {"help quantize", "help functions", "?clamp"},
    .arguments = {{"NAME", NB_WORD_COMMAND, true}},
    .run = run,
};
