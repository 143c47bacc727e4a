#include "repl/command.h"

#include "base/print.h"
#include "formats/format.h"
#include "repl/commands/table.h"
#include "repl/draft.h"
#include "repl/nearest.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

size_t nb_command_count(void)
{
    return nb_n_commands;
}
const nb_command *nb_command_at(size_t index)
{
    return nb_commands[index];
}

const nb_command *nb_command_find(const char *name)
{
    for (size_t i = 0; i < nb_n_commands; i++) {
        const nb_command *command = nb_commands[i];
        if (strcmp(command->name, name) == 0 || (command->alias && strcmp(command->alias, name) == 0))
            return command;
    }
    return NULL;
}

size_t nb_command_option_count(const nb_command *command)
{
    size_t n = 0;
    while (n < NB_MAX_OPTIONS && command->options[n].name)
        n++;
    return n;
}

size_t nb_command_argument_count(const nb_command *command)
{
    size_t n = 0;
    while (n < NB_MAX_ARGUMENTS && command->arguments[n].name)
        n++;
    return n;
}

const nb_option *nb_command_find_option(const nb_command *command, const char *typed)
{
    if (typed[0] != '-' || typed[1] == '\0')
        return NULL;
    bool is_long = typed[1] == '-';
    const char *name = typed + 1 + is_long;
    size_t n = strcspn(name, "="), n_options = nb_command_option_count(command);
    for (size_t i = 0; i < n_options; i++) {
        const nb_option *option = &command->options[i];
        bool same = is_long ? (strlen(option->name) == n && strncmp(option->name, name, n) == 0) ||
                                  (option->alias && strlen(option->alias) == n &&
                                   strncmp(option->alias, name, n) == 0)
                            : option->letter && option->letter == name[0] && name[1] == '\0';
        if (same)
            return option;
    }
    return NULL;
}

/* ---- what a value may be ---- */

bool nb_word_number(const char *text, double *number)
{
    size_t used = nb_parse_f64(text, number);
    if (used > 0)
        return text[used] == '\0';
    bool negative = text[0] == '-';
    bool infinite = strcmp(text + negative, "inf") == 0;
    *number = infinite ? (negative ? -(double)INFINITY : (double)INFINITY) : (double)NAN;
    return infinite || strcmp(text + negative, "nan") == 0;
}

static nb_status check_number(const nb_option *option, const char *text, double *number, nb_error *error)
{
    char low[32], high[32];
    bool fine = nb_word_number(text, number) && *number >= option->low && *number <= option->high &&
                (option->kind == NB_WORD_NUMBER || *number == rint(*number));
    if (fine)
        return NB_OK;
    const char *what = option->kind == NB_WORD_COUNT ? "a whole number" : "a number";
    nb_print_general(low, sizeof low, option->low, 10);
    nb_print_general(high, sizeof high, option->high, 10);
    if (isinf(option->high))
        return nb_fail(error, NB_ERR_ARGUMENT, "--%s takes %s of at least %s, not \"%.60s\"", option->name,
                       what, low, text);
    return nb_fail(error, NB_ERR_ARGUMENT, "--%s takes %s from %s to %s, not \"%.60s\"", option->name, what,
                   low, high, text);
}

static nb_status check_choice(const nb_option *option, const char *text, nb_error *error)
{
    char word[32], best[32] = "";
    nb_nearest nearest;
    nb_nearest_start(&nearest, text);
    for (const char *at = option->choices; *at;) {
        size_t n = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        if (strcmp(word, text) == 0)
            return NB_OK;
        unsigned before = nearest.distance;
        nb_nearest_offer(&nearest, word);
        if (nearest.distance < before)
            memcpy(best, word, sizeof best);
        at += n + (at[n] == ' ');
    }
    if (*best)
        return nb_fail(error, NB_ERR_ARGUMENT, "--%s knows no \"%.60s\": did you mean %s?", option->name,
                       text, best);
    return nb_fail(error, NB_ERR_ARGUMENT, "--%s takes one of %s, not \"%.60s\"", option->name,
                   option->choices, text);
}

static nb_status take_value(nb_call *call, const nb_option *option, const char *text, nb_error *error)
{
    size_t index = (size_t)(option - call->command->options);
    call->options[index].given = true;
    call->options[index].text = text;
    switch (option->kind) {
    case NB_WORD_COUNT:
    case NB_WORD_NUMBER:
        return check_number(option, text, &call->options[index].number, error);
    case NB_WORD_CHOICE:
        return check_choice(option, text, error);
    default:
        return NB_OK;
    }
}

/* ---- words ---- */

static nb_status unknown_option(const nb_command *command, const char *typed, nb_error *error)
{
    nb_nearest nearest;
    char name[64];
    bool is_long = typed[1] == '-';
    snprintf(name, sizeof name, "%.*s", (int)strcspn(typed + 1 + is_long, "="), typed + 1 + is_long);
    nb_nearest_start(&nearest, name);
    size_t n_options = nb_command_option_count(command);
    for (size_t i = 0; i < n_options; i++) {
        nb_nearest_offer(&nearest, command->options[i].name);
        if (command->options[i].alias)
            nb_nearest_offer(&nearest, command->options[i].alias);
    }
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s has no option %.60s: did you mean --%s?", command->name,
                       typed, nearest.best);
    if (n_options == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s takes no options, so not %.60s either", command->name,
                       typed);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s has no option %.60s: help %s lists what it has", command->name,
                   typed, command->name);
}

/* Whether the next argument is an expression, or goes on as one. */
static bool is_in_expression(const nb_call *call, bool options_came)
{
    if (options_came)
        return false;
    const size_t next = call->n_arguments - (call->expression != NULL);
    return next < NB_MAX_ARGUMENTS && call->command->arguments[next].name &&
           call->command->arguments[next].kind == NB_WORD_EXPRESSION;
}

/* -0.5 and -inf are numbers, not options; "-" alone is a word, and in an expression so is -x. */
static bool looks_like_option(const nb_word *word)
{
    double number;
    return !word->quoted && word->text[0] == '-' && word->text[1] != '\0' &&
           !nb_word_number(word->text, &number);
}

static nb_status take_option(nb_call *call, const nb_word *words, size_t n_words, size_t *at, nb_error *error)
{
    const char *typed = words[*at].text;
    const nb_option *option = nb_command_find_option(call->command, typed);
    if (!option)
        return unknown_option(call->command, typed, error);
    const char *equals = typed[1] == '-' ? strchr(typed, '=') : NULL;
    if (option->kind == NB_WORD_FLAG) {
        if (equals)
            return nb_fail(error, NB_ERR_ARGUMENT, "--%s stands alone, without a value", option->name);
        call->options[option - call->command->options].given = true;
        return NB_OK;
    }
    if (equals)
        return take_value(call, option, equals + 1, error);
    if (*at + 1 >= n_words || looks_like_option(&words[*at + 1]))
        return nb_fail(error, NB_ERR_ARGUMENT, "--%s wants a value: --%s %s", option->name, option->name,
                       option->value);
    return take_value(call, option, words[++*at].text, error);
}

static nb_status too_many(const nb_command *command, const char *word, nb_error *error)
{
    return nb_fail(error, NB_ERR_ARGUMENT, "%s does not know what to do with \"%.60s\": %.*s", command->name,
                   word, (int)strcspn(command->usage, "\n"), command->usage);
}

nb_status nb_call_read(const nb_command *command, const nb_word *words, size_t n_words, nb_call *call,
                       nb_error *error)
{
    *call = (nb_call){.command = command};
    size_t most = nb_command_argument_count(command);
    bool options_over = false, options_came = false;
    for (size_t i = 0; i < n_words; i++) {
        const bool option = looks_like_option(&words[i]);
        if (is_in_expression(call, options_came) && (!option || words[i].text[1] != '-')) {
            if (call->n_expression++ == 0) {
                call->expression = &words[i];
                call->arguments[call->n_arguments++] = words[i].text;
            }
        } else if (!options_over && !words[i].quoted && strcmp(words[i].text, "--") == 0) {
            options_over = true;
        } else if (!options_over && option) {
            options_came = call->expression != NULL;
            nb_status status = take_option(call, words, n_words, &i, error);
            if (status != NB_OK)
                return status;
        } else if (call->n_arguments == most) {
            return too_many(command, words[i].text, error);
        } else {
            call->arguments[call->n_arguments++] = words[i].text;
        }
    }
    if (call->n_arguments < most && !command->arguments[call->n_arguments].optional)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s wants %s: %.*s", command->name,
                       command->arguments[call->n_arguments].name, (int)strcspn(command->usage, "\n"),
                       command->usage);
    return NB_OK;
}

char *nb_call_expression(const nb_call *call, size_t first)
{
    nb_draft text = {0};
    nb_draft_append(&text, "", 0);
    for (size_t i = first; i < call->n_expression; i++) {
        const nb_word *word = &call->expression[i];
        const char *typed = word->typed ? word->typed : word->text;
        nb_draft_append(&text, i > first ? " " : "", i > first);
        nb_draft_append(&text, typed, strlen(typed));
    }
    return nb_draft_take(&text);
}

static size_t option_index(const nb_call *call, const char *option)
{
    size_t n = nb_command_option_count(call->command);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(call->command->options[i].name, option) == 0)
            return i;
    }
    assert(!"an option that the command's row lacks");
    return 0;
}

bool nb_call_has(const nb_call *call, const char *option)
{
    return call->options[option_index(call, option)].given;
}

const char *nb_call_text(const nb_call *call, const char *option, const char *otherwise)
{
    size_t i = option_index(call, option);
    return call->options[i].given ? call->options[i].text : otherwise;
}

double nb_call_number(const nb_call *call, const char *option, double otherwise)
{
    size_t i = option_index(call, option);
    return call->options[i].given ? call->options[i].number : otherwise;
}

nb_status nb_command_unknown(const char *name, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, name);
    for (size_t i = 0; i < nb_n_commands; i++) {
        nb_nearest_offer(&nearest, nb_commands[i]->name);
        if (nb_commands[i]->alias)
            nb_nearest_offer(&nearest, nb_commands[i]->alias);
    }
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "no command \"%.60s\": did you mean %s?", name, nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT, "no command \"%.60s\": help lists them all", name);
}
