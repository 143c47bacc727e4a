#include "repl/complete.h"

#include "repl/commands/method.h"
#include "repl/commands/transform.h"
#include "repl/draft.h"
#include "repl/language/language.h"
#include "repl/lesson/lesson.h"
#include "repl/settings.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MANY = 24 }; /* more tensors than this are offered by the next part of their names */

typedef struct typing {
    const nb_notebook *notebook;
    const char *word; /* what was typed of it, without an opening quote */
    size_t length;
    char quote;
    nb_choices *out;
} typing;

static void add_owned(nb_choices *choices, char *name)
{
    if (!name || choices->failed) {
        choices->failed = true;
        free(name);
        return;
    }
    if (choices->count == choices->capacity) {
        size_t capacity = choices->capacity ? 2 * choices->capacity : 16;
        char **names = nb_realloc(choices->names, capacity, sizeof *names);
        if (!names) {
            choices->failed = true;
            free(name);
            return;
        }
        choices->names = names;
        choices->capacity = capacity;
    }
    choices->names[choices->count++] = name;
}

static void offer(typing *t, const char *name)
{
    if (strncmp(name, t->word, t->length) == 0)
        add_owned(t->out, nb_strdup(name));
}

static void offer_list(typing *t, const char *list)
{
    char word[64];
    for (size_t n; list && *list; list += n + (list[n] == ' ')) {
        n = strcspn(list, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, list);
        offer(t, word);
    }
}

/* ---- kinds of words ---- */

static void offer_commands(typing *t)
{
    for (size_t i = 0; i < nb_command_count(); i++)
        offer(t, nb_command_at(i)->name);
}

static void offer_formats(typing *t, bool schemes)
{
    if (schemes)
        offer_list(t, "absmax zeropoint");
    for (size_t i = 0; i < nb_format_count(); i++)
        offer(t, nb_format_at(i)->name);
}

/* A file name with a blank in it needs a quote, which is added where none is open. */
static void offer_file(typing *t, const char *folder, size_t folder_length, const char *name)
{
    struct stat info;
    nb_draft path = {0};
    nb_draft_append(&path, folder, folder_length);
    nb_draft_add(&path, name);
    bool is_folder = stat(nb_draft_text(&path), &info) == 0 && S_ISDIR(info.st_mode);
    char quote = t->quote ? t->quote : strpbrk(nb_draft_text(&path), " ;#'\"") ? '"' : '\0';
    nb_draft whole = {0};
    if (quote)
        nb_draft_append(&whole, &quote, 1);
    nb_draft_add(&whole, nb_draft_text(&path));
    if (is_folder)
        nb_draft_add(&whole, "/");
    add_owned(t->out, nb_draft_take(&whole));
    nb_draft_free(&path);
}

static void offer_files(typing *t)
{
    size_t folder_length = t->length;
    while (folder_length && t->word[folder_length - 1] != '/')
        folder_length--;
    const char *stem = t->word + folder_length;
    size_t stem_length = t->length - folder_length;
    char *folder = folder_length ? nb_format_text("%.*s", (int)folder_length, t->word) : nb_strdup(".");
    DIR *directory = folder && !t->notebook->confined ? opendir(folder) : NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        const char *name = entry->d_name;
        if (strncmp(name, stem, stem_length) == 0 && (name[0] != '.' || stem[0] == '.') &&
            strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            offer_file(t, t->word, folder_length, name);
    }
    if (directory)
        closedir(directory);
    free(folder);
}

/* "blk.3.attn_q" up to the dot after what was typed: "blk.3." */
static void offer_first_parts(typing *t, size_t word_offset)
{
    nb_choices *out = t->out;
    for (size_t i = 0; i < out->count; i++) {
        char *dot = strchr(out->names[i] + word_offset + t->length, '.');
        if (dot)
            dot[1] = '\0';
    }
}

static void offer_tensors(typing *t, bool scope)
{
    if (!t->notebook->model)
        return;
    size_t before = 0; /* a scope may be several parts with commas: only the last is completed */
    for (size_t i = 0; scope && i < t->length; i++)
        before = t->word[i] == ',' ? i + 1 : before;
    typing part = *t;
    part.word += before;
    part.length -= before;
    for (size_t i = 0; scope && nb_scope_words[i]; i++)
        offer(&part, nb_scope_words[i]);
    for (size_t i = 0; i < nb_model_tensor_count(t->notebook->model); i++) {
        const nb_tensor *tensor = nb_model_tensor(t->notebook->model, i);
        if (!scope || !tensor->is_vector)
            offer(&part, tensor->name);
    }
    if (t->out->count > MANY)
        offer_first_parts(&part, 0);
    for (size_t i = 0; before && i < t->out->count; i++) {
        char *whole = nb_format_text("%.*s%s", (int)before, t->word, t->out->names[i]);
        t->out->failed |= !whole;
        free(t->out->names[i]);
        t->out->names[i] = whole;
    }
}

static void offer_lessons(typing *t)
{
    nb_catalog catalog;
    nb_error ignored;
    offer_list(t, "new check list");
    if (nb_catalog_read(&catalog, &ignored) == NB_OK) {
        for (size_t i = 0; i < catalog.n; i++)
            offer(t, catalog.entries[i].id + strspn(catalog.entries[i].id, "0123456789") + 1);
        nb_catalog_free(&catalog);
    }
    offer_files(t);
}

static void offer_variables(typing *t, bool functions_only)
{
    const nb_language *language = t->notebook->language;
    const char *name;
    for (size_t i = 0; (name = nb_language_variable_at(language, i)); i++) {
        if (!functions_only || nb_language_variable_is_function(language, i))
            offer(t, name);
    }
}

static void offer_functions(typing *t, const char *after)
{
    char name[64];
    for (size_t i = 0; i < nb_function_count(); i++) {
        snprintf(name, sizeof name, "%s%s", nb_function_name(nb_function_at(i)), after);
        offer(t, name);
    }
}

/* In an expression: variables, functions, tensors. Where a line begins a command is likelier than a function. */
static void offer_names(typing *t, bool begins)
{
    offer_variables(t, false);
    if (begins)
        offer_commands(t);
    if (begins && t->out->count)
        return;
    offer_functions(t, "(");
    offer_tensors(t, false);
}

/* Whatever `help` can tell about. */
static void offer_topics(typing *t)
{
    offer_commands(t);
    offer_functions(t, "");
    offer_variables(t, false);
    offer(t, "functions");
    offer(t, "variables");
    for (size_t i = 0; nb_keyword_at(i); i++)
        offer(t, nb_keyword_at(i));
}

static void offer_kind(typing *t, nb_word_kind kind, const char *choices)
{
    switch (kind) {
    case NB_WORD_CHOICE:
        offer_list(t, choices);
        break;
    case NB_WORD_FILE:
    case NB_WORD_NEW_FILE:
        offer_files(t);
        break;
    case NB_WORD_SCOPE:
        offer_tensors(t, true);
        break;
    case NB_WORD_TENSOR:
        offer_tensors(t, false);
        break;
    case NB_WORD_FORMAT:
        offer_formats(t, false);
        break;
    case NB_WORD_STORAGE:
        offer_formats(t, true);
        offer(t, "with");
        for (size_t i = 0; nb_method_at(i); i++)
            offer(t, nb_method_at(i)->name);
        break;
    case NB_WORD_FUNCTION:
        offer_variables(t, true);
        break;
    case NB_WORD_TRANSFORM:
        for (size_t i = 0; nb_transform_name(i); i++)
            offer(t, nb_transform_name(i));
        break;
    case NB_WORD_RECIPE:
        for (size_t i = 0; i < nb_mixture_count(); i++)
            offer(t, nb_mixture_at(i)->name);
        offer_files(t);
        break;
    case NB_WORD_EXPRESSION:
        offer_list(t, "curve hist heatmap staircase");
        offer_names(t, false);
        break;
    case NB_WORD_LESSON:
        offer_lessons(t);
        break;
    case NB_WORD_SHAPE:
        for (size_t i = 0; i < nb_shape_count(); i++)
            offer(t, nb_shape_at(i)->name);
        break;
    case NB_WORD_PER:
        offer_list(t, "tensor channel group:32 group:64 group:128");
        break;
    case NB_WORD_COMMAND:
        offer_topics(t);
        break;
    case NB_WORD_SETTING:
        for (size_t i = 0; i < nb_setting_count(); i++)
            offer(t, nb_setting_at(i)->name);
        break;
    case NB_WORD_FLAG:
    case NB_WORD_TEXT:
    case NB_WORD_COUNT:
    case NB_WORD_NUMBER:
        break;
    }
}

static void offer_options(typing *t, const nb_command *command)
{
    for (size_t i = 0; i < nb_command_option_count(command); i++) {
        char name[64];
        snprintf(name, sizeof name, "--%s", command->options[i].name);
        offer(t, name);
    }
}

/* `set plot ...`: what a setting may be is in its own row. */
static void offer_setting_value(typing *t, const char *name)
{
    const nb_setting *setting = nb_setting_find(name, NULL);
    if (setting && setting->choices)
        offer_list(t, setting->choices);
    else if (setting && strcmp(setting->value, "FILE") == 0)
        offer_files(t);
}

static void offer_after(typing *t, const nb_command *command, const nb_word *words, size_t n_words)
{
    size_t n_arguments = 0;
    const nb_option *pending = NULL;
    for (size_t i = 0; i < n_words; i++) {
        const nb_option *option =
            pending || words[i].quoted ? NULL : nb_command_find_option(command, words[i].text);
        if (!pending && !option)
            n_arguments++;
        pending = option && option->kind != NB_WORD_FLAG && !strchr(words[i].text, '=') ? option : NULL;
    }
    if (pending)
        offer_kind(t, pending->kind, pending->choices);
    else if (t->length && t->word[0] == '-' && !t->quote)
        offer_options(t, command);
    else if (n_arguments == 1 && command->arguments[0].kind == NB_WORD_SETTING)
        offer_setting_value(t, words[0].text);
    else if (n_arguments < nb_command_argument_count(command))
        offer_kind(t, command->arguments[n_arguments].kind, NULL);
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_and_merge(nb_choices *choices)
{
    if (choices->count < 2)
        return;
    qsort(choices->names, choices->count, sizeof *choices->names, by_name);
    size_t kept = 1;
    for (size_t i = 1; i < choices->count; i++) {
        if (strcmp(choices->names[i], choices->names[kept - 1]) == 0)
            free(choices->names[i]);
        else
            choices->names[kept++] = choices->names[i];
    }
    choices->count = kept;
}

static void offer_for_line(typing *t, const nb_line *line)
{
    if (line->kind == NB_LINE_EMPTY && line->n_words == 0)
        offer_commands(t);
    else if (line->kind == NB_LINE_HELP && line->n_words == 0)
        offer_topics(t);
    else if (line->kind == NB_LINE_COMMAND) {
        const nb_command *command = nb_command_find(line->words[0].text);
        if (command)
            offer_after(t, command, line->words + 1, line->n_words - 1);
    }
}

void nb_complete(const nb_notebook *notebook, const char *text, size_t n, nb_choices *out)
{
    *out = (nb_choices){0};
    nb_parse_place place = nb_parse_place_of(text, n);
    size_t begin = place.word;
    if (begin < n && text[begin] == '?')
        begin++;
    out->word = begin;
    size_t skip = begin < n && place.quote && text[begin] == place.quote;
    typing t = {notebook, NULL, n - begin - skip, place.quote, out};
    char *word = nb_format_text("%.*s", (int)t.length, text + begin + skip);
    t.word = word;
    t.length = word ? strlen(word) : 0; /* a zero byte ends it */
    nb_line line;
    size_t at = place.command;
    if (word && place.expression && place.quote == 0)
        offer_names(&t, strspn(text + place.command, " \t") >= begin - place.command);
    else if (word && place.expression)
        offer_tensors(&t, false);
    else if (word && !memchr(word, '\n', t.length) && nb_parse_line(text, begin, &at, &line, NULL) == NB_OK) {
        offer_for_line(&t, &line);
        nb_line_free(&line);
    }
    free(word);
    if (out->failed)
        nb_choices_free(out);
    sort_and_merge(out);
}

void nb_choices_free(nb_choices *choices)
{
    for (size_t i = 0; i < choices->count; i++)
        free(choices->names[i]);
    free(choices->names);
    *choices = (nb_choices){.word = choices->word};
}

size_t nb_choices_common(const nb_choices *choices)
{
    if (choices->count == 0)
        return 0;
    size_t common = strlen(choices->names[0]);
    for (size_t i = 1; i < choices->count; i++) {
        size_t n = 0;
        while (n < common && choices->names[i][n] == choices->names[0][n])
            n++;
        common = n;
    }
    return common;
}

bool nb_choice_is_whole(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && name[n - 1] != '/' && name[n - 1] != '.' && name[n - 1] != '(';
}
