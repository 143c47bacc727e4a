/* A grammar's life, and what is looked up in it. */
#include "text/grammar.h"

#include "base/memory.h"
#include "text/grammar_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

nb_status nb_grammar_fail(const nb_grammar *grammar, nb_place place, nb_error *error, const char *format, ...)
{
    char what[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return nb_fail(error, NB_ERR_FILE, "%s:%u: %s", grammar->files[place.file], (unsigned)place.line, what);
}

nb_status nb_grammar_no_memory(nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "there is no memory left for the grammar");
}

void *nb_grammar_append(void **array, size_t *count, size_t size)
{
    size_t n = *count;
    if ((n & (n - 1)) == 0) { /* grown at powers of two */
        void *larger = nb_realloc(*array, n ? 2 * n : 1, size);
        if (!larger) {
            return NULL;
        }
        *array = larger;
    }
    char *added = (char *)*array + n * size;
    memset(added, 0, size);
    *count = n + 1;
    return added;
}

uint32_t nb_grammar_intern(nb_grammar *grammar, const char *text, size_t n_bytes)
{
    grammar->symbols.strings = grammar->strings;
    uint32_t known = nb_symbol_table_find(&grammar->symbols, text, n_bytes);
    if (known != NB_NO_SYMBOL) {
        return known;
    }
    char *copy = nb_calloc(n_bytes + 1, 1);
    nb_string *added =
        copy ? nb_grammar_append((void **)&grammar->strings, &grammar->n_strings, sizeof *added) : NULL;
    if (!added) {
        free(copy);
        return NB_NONE;
    }
    memcpy(copy, text, n_bytes);
    *added = (nb_string){copy, n_bytes};
    grammar->symbols.strings = grammar->strings;
    uint32_t number = (uint32_t)(grammar->n_strings - 1);
    return nb_symbol_table_add(&grammar->symbols, number) ? number : NB_NONE;
}

const char *nb_grammar_string(const nb_grammar *grammar, uint32_t string)
{
    return grammar->strings[string].text;
}

uint32_t nb_grammar_find_rule(const nb_grammar *grammar, uint32_t name)
{
    for (size_t i = 0; i < grammar->n_rules; i++) {
        if (grammar->rules[i].name == name) {
            return (uint32_t)i;
        }
    }
    return NB_NONE;
}

uint32_t nb_grammar_find_table(const nb_grammar *grammar, uint32_t name)
{
    for (size_t i = 0; i < grammar->n_tables; i++) {
        if (grammar->tables[i].name == name) {
            return (uint32_t)i;
        }
    }
    return NB_NONE;
}

uint32_t nb_grammar_find_variable(const nb_grammar *grammar, uint32_t name)
{
    for (size_t i = 0; i < grammar->n_variables; i++) {
        if (grammar->variables[i].name == name) {
            return (uint32_t)i;
        }
    }
    return NB_NONE;
}

size_t nb_grammar_column(const nb_grammar_table *table, uint32_t name)
{
    size_t column = 0;
    while (name != NB_NONE && column < table->n_columns && table->columns[column] != name) {
        column++;
    }
    return column;
}

/* ---- opening and closing ---- */

static nb_grammar *create(void)
{
    nb_grammar *grammar = nb_calloc(1, sizeof *grammar);
    if (grammar && !nb_symbol_table_create(&grammar->symbols, NULL, 1024)) {
        free(grammar);
        grammar = NULL;
    }
    return grammar;
}

static nb_status finish(nb_grammar *grammar, nb_status status, nb_grammar **out, nb_error *error)
{
    if (status == NB_OK) {
        status = nb_grammar_check(grammar, error);
    }
    if (status != NB_OK) {
        nb_grammar_close(&grammar);
    }
    *out = grammar;
    return status;
}

nb_status nb_grammar_open(const char *path, nb_grammar **out, nb_error *error)
{
    *out = NULL;
    nb_grammar *grammar = create();
    if (!grammar) {
        return nb_grammar_no_memory(error);
    }
    return finish(grammar, nb_grammar_read_file(grammar, path, error), out, error);
}

nb_status nb_grammar_parse(const char *text, size_t n_bytes, const char *name, nb_grammar **out,
                           nb_error *error)
{
    *out = NULL;
    nb_grammar *grammar = create();
    if (!grammar) {
        return nb_grammar_no_memory(error);
    }
    return finish(grammar, nb_grammar_read_text(grammar, text, n_bytes, name, error), out, error);
}

void nb_alternative_free(nb_alternative *alternative)
{
    for (size_t i = 0; i < alternative->n_pieces; i++) {
        free(alternative->pieces[i].conditions);
    }
    free(alternative->pieces);
    free(alternative->conditions);
}

void nb_rule_free(nb_rule *rule)
{
    for (size_t i = 0; i < rule->n_alternatives; i++) {
        nb_alternative_free(&rule->alternatives[i]);
    }
    free(rule->alternatives);
}

void nb_grammar_close(nb_grammar **grammar_pointer)
{
    nb_grammar *grammar = *grammar_pointer;
    if (!grammar) {
        return;
    }
    for (size_t i = 0; i < grammar->n_rules; i++) {
        nb_rule_free(&grammar->rules[i]);
    }
    for (size_t i = 0; i < grammar->n_tables; i++) {
        free(grammar->tables[i].cells);
        free(grammar->tables[i].places);
    }
    for (size_t i = 0; i < grammar->n_strings; i++) {
        free((char *)(uintptr_t)grammar->strings[i].text);
    }
    for (size_t i = 0; i < grammar->n_files; i++) {
        free(grammar->files[i]);
    }
    nb_symbol_table_free(&grammar->symbols);
    free(grammar->strings);
    free(grammar->rules);
    free(grammar->tables);
    free(grammar->variables);
    free(grammar->words);
    free(grammar->starts);
    free(grammar->start_places);
    free(grammar);
    *grammar_pointer = NULL;
}

size_t nb_grammar_start_count(const nb_grammar *grammar)
{
    return grammar->n_starts;
}
const char *nb_grammar_start(const nb_grammar *grammar, size_t index)
{
    return nb_grammar_string(grammar, grammar->rules[grammar->starts[index]].name);
}

void nb_story_free(nb_story *story)
{
    free(story->text);
    free(story->answers);
    *story = (nb_story){0};
}
