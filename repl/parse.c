#include "repl/parse.h"

#include "base/memory.h"
#include "repl/command.h"
#include "repl/draft.h"
#include "repl/language/language.h"

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

/* Takes over `typed`. */
static nb_status add_word(nb_line *line, nb_draft *buffer, char *typed, bool quoted, nb_error *error)
{
    char *text = nb_draft_take(buffer);
    nb_word *words = text ? nb_realloc(line->words, line->n_words + 1, sizeof *words) : NULL;
    if (!words) {
        free(text);
        free(typed);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for this line");
    }
    words[line->n_words++] = (nb_word){text, typed, quoted};
    line->words = words;
    return NB_OK;
}

static nb_status add_piece(nb_line *line, const char *text, size_t n, nb_error *error)
{
    nb_draft buffer = {0};
    nb_draft_append(&buffer, text, n);
    return add_word(line, &buffer, NULL, false, error);
}

static size_t skip_name(const char *text, size_t n, size_t at)
{
    while (at < n && is_name(text[at]))
        at++;
    return at;
}

static bool is_command(const char *name, size_t n_bytes)
{
    char copy[64];
    if (n_bytes >= sizeof copy)
        return false;
    memcpy(copy, name, n_bytes);
    copy[n_bytes] = '\0';
    return nb_command_find(copy) != NULL;
}

/* Whether it is a command whose first word is an expression: `plot [1, 2]` does not look into a variable. */
static bool takes_expression(const char *name, size_t n_bytes)
{
    char copy[64];
    if (!is_command(name, n_bytes))
        return false;
    memcpy(copy, name, n_bytes);
    copy[n_bytes] = '\0';
    const nb_argument *first = &nb_command_find(copy)->arguments[0];
    return first->name && first->kind == NB_WORD_EXPRESSION;
}

static bool is_operator(char c)
{
    return c != '\0' && strchr("+-*/%^@<>!=", c) != NULL;
}

static bool starts_word(const char *text, size_t n, size_t at, const char *word)
{
    const size_t length = strlen(word);
    return at + length <= n && memcmp(text + at, word, length) == 0 &&
           (at + length == n || !is_name(text[at + length]));
}

/* After a name and blanks: `bits == 4` and `bits - 4` compute; `restore *`, `load /tmp/x`, `bits -3 int4` do not,
 * since nothing but a blank behind an operator makes it one there. After a name that is no command's, any will. */
static bool goes_on_as_expression(const char *text, size_t n, size_t at, bool command)
{
    size_t after = at;
    if (text[at] == '=' || text[at] == '(' || text[at] == '[')
        return true;
    while (after < n && is_operator(text[after]))
        after++;
    if (!command)
        return after > at || text[at] == ',' || (text[at] & 0x80) || starts_word(text, n, at, "and") ||
               starts_word(text, n, at, "or");
    const size_t operand = skip_blanks(text, n, after);
    return after > at && operand > after && operand < n && !is_end(text[operand]);
}

/* Whether the line at text[at..n) is an expression. */
static bool starts_expression(const char *text, size_t n, size_t at)
{
    if (!is_name_start(text[at]))
        return true;
    const size_t end = skip_name(text, n, at);
    size_t dashed = end;
    while (dashed + 1 < n && text[dashed] == '-' && is_name_start(text[dashed + 1]))
        dashed = skip_name(text, n, dashed + 1);
    if (nb_language_is_keyword(text + at, end - at))
        return true;
    const bool command = is_command(text + at, end - at);
    if (end < n && text[end] == '?')
        return false;
    if (end < n && (is_operator(text[end]) || text[end] == ',' || text[end] == '(' || text[end] == '[' ||
                    (text[end] == '.' && end + 1 < n && is_name(text[end + 1]))))
        return dashed == end || !is_command(text + at, dashed - at);
    const size_t next = skip_blanks(text, n, end);
    if (next >= n || is_end(text[next]) || text[next] == '#')
        return !command;
    if (next > end && (text[next] == '(' || text[next] == '[') && takes_expression(text + at, end - at))
        return false;
    return goes_on_as_expression(text, n, next, command);
}

static nb_status read_expression(const char *text, size_t n, size_t *at, nb_line *line, nb_error *error)
{
    const size_t begin = *at;
    nb_language_extent(text, n, begin, at);
    size_t end = *at;
    line->silent = end > begin && text[end - 1] == ';';
    while (end > begin && (is_blank(text[end - 1]) || is_end(text[end - 1])))
        end--;
    return add_piece(line, text + begin, end - begin, error);
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
        char *typed = quoted ? nb_format_text("%.*s", (int)(end - *at), text + *at) : NULL;
        if (quoted && !typed) {
            nb_draft_free(&word);
            return nb_fail(error, NB_ERR_MEMORY, "no memory for this line");
        }
        *at = end;
        status = add_word(line, &word, typed, quoted, error);
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
    if (line->kind == NB_LINE_EXPRESSION)
        return read_expression(text, n, at, line, error);
    nb_status status = read_words(text, n, at, line, error);
    if (status == NB_OK && line->kind == NB_LINE_COMMAND)
        take_question_mark(line);
    return status;
}

void nb_line_free(nb_line *line)
{
    for (size_t i = 0; i < line->n_words; i++) {
        free(line->words[i].text);
        free(line->words[i].typed);
    }
    free(line->words);
    *line = (nb_line){0};
}

bool nb_parse_is_over(const char *text, size_t n, size_t at)
{
    for (;;) {
        at = skip_blanks(text, n, at);
        if (at < n && text[at] == '#')
            at = end_of_row(text, n, at);
        if (at >= n)
            return true;
        if (!is_end(text[at]))
            return false;
        at++;
    }
}

/* ---- where a text stands at its end ---- */

/* Walks one command as read_words would. Returns where the next line begins, or n if this one goes on to the end. */
static size_t walk_command(const char *text, size_t n, size_t at, nb_parse_place *place, bool *more)
{
    bool in_word = false;
    for (size_t i = at; i < n; i++) {
        char c = text[i];
        if (place->quote) {
            if (place->quote == '"' && c == '\\')
                i++;
            else if (c == place->quote)
                place->quote = 0;
            continue;
        }
        if (c == '\\' && i + 1 >= n) {
            *more = true;
        } else if (c == '\\' && text[i + 1] == '\n') {
            i++;
            in_word = false;
        } else if (is_end(c)) {
            return i + 1;
        } else if (is_blank(c)) {
            in_word = false;
            continue;
        } else if (c == '#' && !in_word) {
            i = end_of_row(text, n, i) - 1;
            continue;
        }
        if (!in_word)
            place->word = i;
        in_word = true;
        if (c == '"' || c == '\'')
            place->quote = c;
    }
    if (!in_word && !place->quote)
        place->word = n;
    *more |= place->quote != 0;
    return n;
}

/* The same of an expression: the word is the name that is being typed, or what stands behind an open quote. */
static size_t walk_expression(const char *text, size_t n, size_t at, nb_parse_place *place, bool *more)
{
    size_t end;
    const bool finished = nb_language_extent(text, n, at, &end);
    const bool joined = end == n && n > at && text[n - 1] == '\\';
    if (end < n || (finished && !joined && is_end(text[n - 1])))
        return end;
    place->expression = true;
    for (size_t i = at; i < n; i++) {
        if (place->quote == '"' && text[i] == '\\')
            i++;
        else if (place->quote)
            place->quote = text[i] == place->quote ? 0 : place->quote;
        else if (text[i] == '#')
            i = end_of_row(text, n, i) - 1;
        else if (text[i] == '"' || text[i] == '\'')
            place->quote = text[i], place->word = i;
    }
    if (!place->quote) {
        place->word = n;
        while (place->word > at && (is_name(text[place->word - 1]) || text[place->word - 1] == '.'))
            place->word--;
    }
    *more = !finished || joined;
    return n;
}

/* Goes through the text line by line, only to know where it stands at the end. */
static void walk(const char *text, size_t n, nb_parse_place *place, bool *more)
{
    *place = (nb_parse_place){0};
    *more = false;
    for (size_t at = 0; at < n;) {
        const size_t begin = skip_blanks(text, n, at);
        place->command = at;
        place->word = n;
        if (begin >= n) {
            *more = n > at && text[n - 1] == '\\';
            return;
        }
        if (text[begin] == '!') {
            const size_t row = end_of_row(text, n, begin);
            at = row < n ? row + 1 : n;
            *more = row >= n && text[n - 1] == '\\';
        } else if (is_end(text[begin]) || text[begin] == '?' || text[begin] == '#' ||
                   !starts_expression(text, n, begin)) {
            at = walk_command(text, n, begin, place, more);
        } else {
            at = walk_expression(text, n, begin, place, more);
        }
    }
    if (n && is_end(text[n - 1]) && !*more && !place->expression) {
        place->command = place->word = n;
    }
}

bool nb_parse_wants_more(const char *text, size_t n)
{
    nb_parse_place place;
    bool more;
    walk(text, n, &place, &more);
    return more;
}

nb_parse_place nb_parse_place_of(const char *text, size_t n)
{
    nb_parse_place place;
    bool more;
    walk(text, n, &place, &more);
    return place;
}
