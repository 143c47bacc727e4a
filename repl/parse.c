#include "repl/parse.h"

#include "base/memory.h"
#include "repl/draft.h"

#include <stdlib.h>
#include <string.h>

/* A zero byte parts words too: no word may hold one. */
static bool is_blank(char c)
{
    return c == '\0' || c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}
static bool is_end(char c)
{
    return c == '\n' || c == ';';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

/* A backslash before the end of a line joins the next one to it. */
static size_t skip_blanks(const char *text, size_t n, size_t at)
{
    for (;;) {
        if (at < n && is_blank(text[at]))
            at++;
        else if (at + 1 < n && text[at] == '\\' && text[at + 1] == '\n')
            at += 2;
        else
            return at;
    }
}

static size_t end_of_row(const char *text, size_t n, size_t at)
{
    while (at < n && text[at] != '\n')
        at++;
    return at;
}

static char escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    default:
        return c;
    }
}

/* One word from text[at..n), which does not start with a blank. Returns where it ends, or n + 1 for an open
 * quote. */
static size_t read_word(const char *text, size_t n, size_t at, nb_draft *word, bool *quoted)
{
    char quote = 0;
    *quoted = false;
    nb_draft_append(word, "", 0);
    for (; at < n; at++) {
        char c = text[at];
        if (quote) {
            if (c == quote) {
                quote = 0;
                continue;
            }
            if (quote == '"' && c == '\\' && at + 1 < n)
                c = escaped(text[++at]);
        } else if (is_blank(c) || is_end(c) || (c == '\\' && at + 1 < n && text[at + 1] == '\n')) {
            return at;
        } else if (c == '"' || c == '\'') {
            quote = c;
            *quoted = true;
            continue;
        }
        nb_draft_append(word, &c, 1);
    }
    return quote ? n + 1 : at;
}

static nb_status add_word(nb_line *line, nb_draft *buffer, bool quoted, nb_error *error)
{
    char *text = nb_draft_take(buffer);
    nb_word *words = text ? nb_realloc(line->words, line->n_words + 1, sizeof *words) : NULL;
    if (!words) {
        free(text);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for this line");
    }
    words[line->n_words++] = (nb_word){text, quoted};
    line->words = words;
    return NB_OK;
}

static nb_status add_piece(nb_line *line, const char *text, size_t n, nb_error *error)
{
    nb_draft buffer = {0};
    nb_draft_append(&buffer, text, n);
    return add_word(line, &buffer, false, error);
}

/* Where the name at text[at..n) ends, and whether what follows makes it an expression. */
static bool starts_expression(const char *text, size_t n, size_t at)
{
    if (!is_name_start(text[at]))
        return true;
    while (at < n && (is_name(text[at]) || (text[at] == '-' && at + 1 < n && is_name_start(text[at + 1]))))
        at++;
    at = skip_blanks(text, n, at);
    return at < n && (text[at] == '=' || text[at] == '(' || text[at] == '[');
}

/* !COMMAND takes its whole row, semicolons and all. */
static nb_status read_shell(const char *text, size_t n, size_t *at, nb_line *line, nb_error *error)
{
    size_t begin = skip_blanks(text, n, *at + 1), end = end_of_row(text, n, begin);
    line->kind = NB_LINE_SHELL;
    *at = end < n ? end + 1 : end;
    return add_piece(line, text + begin, end > begin ? end - begin : 0, error);
}

static nb_status read_words(const char *text, size_t n, size_t *at, nb_line *line, nb_error *error)
{
    nb_status status = NB_OK;
    while (status == NB_OK) {
        *at = skip_blanks(text, n, *at);
        if (*at < n && text[*at] == '#')
            *at = end_of_row(text, n, *at);
        if (*at >= n)
            break;
        if (is_end(text[*at])) {
            ++*at;
            break;
        }
        nb_draft word = {0};
        bool quoted;
        size_t end = read_word(text, n, *at, &word, &quoted);
        if (end > n) {
            nb_draft_free(&word);
            size_t shown = nb_min_size(end_of_row(text, n, *at) - *at, 60);
            status = nb_fail(error, NB_ERR_ARGUMENT, "a quote is opened here and never closed: %.*s",
                             (int)shown, text + *at);
            *at = n;
            return status;
        }
        *at = end;
        status = add_word(line, &word, quoted, error);
    }
    return status;
}

static void take_question_mark(nb_line *line)
{
    if (line->n_words != 1 || line->words[0].quoted)
        return;
    char *name = line->words[0].text;
    size_t length = strlen(name);
    if (length > 1 && name[length - 1] == '?') {
        name[length - 1] = '\0';
        line->kind = NB_LINE_HELP;
    }
}

nb_status nb_parse_line(const char *text, size_t n, size_t *at, nb_line *line, nb_error *error)
{
    *line = (nb_line){.kind = NB_LINE_EMPTY};
    size_t begin = skip_blanks(text, n, *at);
    *at = begin;
    if (begin >= n)
        return NB_OK;
    if (text[begin] == '!')
        return read_shell(text, n, at, line, error);
    if (text[begin] == '?') {
        line->kind = NB_LINE_HELP;
        ++*at;
    } else if (text[begin] != '#' && !is_end(text[begin])) {
        line->kind = starts_expression(text, n, begin) ? NB_LINE_EXPRESSION : NB_LINE_COMMAND;
    }
    nb_status status = read_words(text, n, at, line, error);
    if (status == NB_OK && line->kind == NB_LINE_COMMAND)
        take_question_mark(line);
    return status;
}

void nb_line_free(nb_line *line)
{
    for (size_t i = 0; i < line->n_words; i++)
        free(line->words[i].text);
    free(line->words);
    *line = (nb_line){0};
}

/* Walks the text as nb_parse_line would, only to know where it stands at the end. */
static void walk(const char *text, size_t n, nb_parse_place *place, bool *joined)
{
    bool at_start = true, in_word = false;
    *place = (nb_parse_place){0};
    *joined = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (place->quote) {
            if (place->quote == '"' && c == '\\')
                i++;
            else if (c == place->quote)
                place->quote = 0;
            continue;
        }
        if (c == '\\' && i + 1 >= n) {
            *joined = true;
        } else if (c == '\\' && text[i + 1] == '\n') {
            i++;
            in_word = false;
        } else if (is_end(c)) {
            place->command = i + 1;
            in_word = false;
            at_start = true;
            continue;
        } else if (is_blank(c)) {
            in_word = false;
            continue;
        } else if ((c == '#' && !in_word) || (c == '!' && at_start)) {
            i = end_of_row(text, n, i) - 1;
            continue;
        }
        if (!in_word)
            place->word = i;
        in_word = true;
        at_start = false;
        if (c == '"' || c == '\'')
            place->quote = c;
    }
    if (!in_word && !place->quote)
        place->word = n;
}

bool nb_parse_wants_more(const char *text, size_t n)
{
    nb_parse_place place;
    bool joined;
    walk(text, n, &place, &joined);
    return joined || place.quote;
}

nb_parse_place nb_parse_place_of(const char *text, size_t n)
{
    nb_parse_place place;
    bool joined;
    walk(text, n, &place, &joined);
    return place;
}
