/* Reading a grammar's lines:
 *
 *   # a comment
 *   include words.grammar
 *   start story quiz
 *   table child: name | he | his
 *       Mia | she | her
 *   story:
 *       * an alternative, which goes on
 *         in lines that start with no star
 *       *3 another, chosen three times as often */
#include "base/file.h"
#include "base/memory.h"
#include "text/grammar_parts.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct reader {
    nb_grammar *grammar;
    nb_error *error;
    const char *path; /* NULL: a text in memory */
    nb_place place;
    enum { IN_NOTHING, IN_TABLE, IN_RULE } inside; /* what an indented line belongs to: the last one */
    /* the alternative that is being read */
    const char *alternative;
    size_t alternative_bytes;
    nb_place alternative_place;
    uint32_t weight;
} reader;

static nb_string trim(nb_string s)
{
    while (s.n_bytes > 0 && (s.text[0] == ' ' || s.text[0] == '\t')) {
        s.text++, s.n_bytes--;
    }
    while (s.n_bytes > 0 && strchr(" \t\r\n", s.text[s.n_bytes - 1]) && s.text[s.n_bytes - 1]) {
        s.n_bytes--;
    }
    return s;
}

/* Cuts off what stands before `mark`; all of it if there is none. */
static nb_string cut(nb_string *rest, char mark)
{
    const char *found = rest->n_bytes ? memchr(rest->text, mark, rest->n_bytes) : NULL;
    nb_string part = *rest;
    if (found) {
        part.n_bytes = (size_t)(found - rest->text);
        rest->text = found + 1;
        rest->n_bytes -= part.n_bytes + 1;
    } else {
        *rest = (nb_string){rest->text + rest->n_bytes, 0};
    }
    return trim(part);
}

bool nb_is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static nb_status read_name(reader *r, nb_string text, const char *what, uint32_t *name)
{
    bool good = text.n_bytes > 0;
    for (size_t i = 0; i < text.n_bytes; i++) {
        good = good && nb_is_name_character(text.text[i]);
    }
    if (!good) {
        return nb_grammar_fail(r->grammar, r->place, r->error,
                               "\"%.*s\" is no name of a %s; letters, digits and - make one",
                               (int)nb_min_size(text.n_bytes, 60), text.text, what);
    }
    *name = nb_grammar_intern(r->grammar, text.text, text.n_bytes);
    return *name == NB_NONE ? nb_grammar_no_memory(r->error) : NB_OK;
}

/* ---- tables ---- */

static nb_status read_table_head(reader *r, nb_string head)
{
    nb_grammar *grammar = r->grammar;
    uint32_t name;
    nb_string rest = head;
    nb_status status = read_name(r, cut(&rest, ':'), "table", &name);
    if (status != NB_OK) {
        return status;
    }
    if (grammar->n_tables == NB_MAX_TABLES) {
        return nb_grammar_fail(grammar, r->place, r->error, "there are more than %d tables", NB_MAX_TABLES);
    }
    if (nb_grammar_find_table(grammar, name) != NB_NONE) {
        return nb_grammar_fail(grammar, r->place, r->error, "there is a table %s already",
                               nb_grammar_string(grammar, name));
    }
    nb_grammar_table *table = nb_grammar_append((void **)&grammar->tables, &grammar->n_tables, sizeof *table);
    if (!table) {
        return nb_grammar_no_memory(r->error);
    }
    table->name = name;
    table->place = r->place;
    do {
        uint32_t column;
        status = read_name(r, cut(&rest, '|'), "column", &column);
        if (status == NB_OK && table->n_columns == NB_MAX_COLUMNS) {
            status = nb_grammar_fail(grammar, r->place, r->error, "a table has at most %d columns",
                                     NB_MAX_COLUMNS);
        }
        if (status == NB_OK && table->n_columns > 0 && nb_grammar_column(table, column) < table->n_columns) {
            status = nb_grammar_fail(grammar, r->place, r->error, "there are two columns %s",
                                     nb_grammar_string(grammar, column));
        }
        if (status != NB_OK) {
            return status;
        }
        table->columns[table->n_columns++] = column;
    } while (rest.n_bytes > 0);
    r->inside = IN_TABLE;
    return NB_OK;
}

/* A cell's words, for `has` and `lacks`. */
static nb_status read_words(reader *r, const char *text, size_t n_bytes, nb_table_cell *cell)
{
    nb_grammar *grammar = r->grammar;
    cell->first_word = (uint32_t)grammar->n_words;
    nb_string rest = {text, n_bytes};
    while (rest.n_bytes > 0) {
        nb_string word = cut(&rest, ' ');
        if (word.n_bytes == 0) {
            continue;
        }
        uint32_t number = nb_grammar_intern(grammar, word.text, word.n_bytes);
        uint32_t *added = nb_grammar_append((void **)&grammar->words, &grammar->n_words, sizeof *added);
        if (!added || number == NB_NONE) {
            return nb_grammar_no_memory(r->error);
        }
        *added = number;
        cell->n_words++;
    }
    return NB_OK;
}

static nb_status read_cell(reader *r, nb_grammar_table *table, size_t *n_cells, nb_string text)
{
    nb_table_cell *cell = nb_grammar_append((void **)&table->cells, n_cells, sizeof *cell);
    char *plain = nb_calloc(text.n_bytes + 1, 1);
    nb_status status = cell && plain ? NB_OK : nb_grammar_no_memory(r->error);
    if (status == NB_OK) {
        size_t n = nb_grammar_plain_text(text.text, text.n_bytes, plain);
        cell->text = nb_grammar_intern(r->grammar, plain, n);
        status = cell->text == NB_NONE ? nb_grammar_no_memory(r->error) : read_words(r, plain, n, cell);
    }
    free(plain);
    return status;
}

static nb_status read_row(reader *r, nb_string line)
{
    nb_grammar_table *table = &r->grammar->tables[r->grammar->n_tables - 1];
    nb_place *place = nb_grammar_append((void **)&table->places, &table->n_rows, sizeof *place);
    if (!place) {
        return nb_grammar_no_memory(r->error);
    }
    *place = r->place;
    size_t n_cells = (table->n_rows - 1) * table->n_columns, n_before = n_cells, bars = 0;
    for (size_t i = 0; i < line.n_bytes; i++) {
        bars += line.text[i] == '|';
    }
    if (bars + 1 != table->n_columns) {
        return nb_grammar_fail(r->grammar, r->place, r->error, "this row of %s has %zu cells, not %zu",
                               nb_grammar_string(r->grammar, table->name), bars + 1, table->n_columns);
    }
    while (n_cells < n_before + table->n_columns) {
        nb_status status = read_cell(r, table, &n_cells, cut(&line, '|'));
        if (status != NB_OK) {
            return status;
        }
    }
    return NB_OK;
}

/* ---- rules ---- */

/* The alternative that was read up to here joins the last rule. */
static nb_status end_alternative(reader *r)
{
    if (!r->alternative) {
        return NB_OK;
    }
    nb_alternative alternative = {0};
    size_t rule = r->grammar->n_rules - 1; /* choices inside the text will be rules behind it */
    while (r->grammar->rules[rule].name == NB_NONE) {
        rule--;
    }
    nb_status status = nb_grammar_read_alternative(r->grammar, r->alternative_place, r->alternative,
                                                   r->alternative_bytes, &alternative, r->error);
    r->alternative = NULL;
    nb_rule *owner = &r->grammar->rules[rule];
    nb_alternative *added = NULL;
    if (status == NB_OK) {
        added = nb_grammar_append((void **)&owner->alternatives, &owner->n_alternatives, sizeof *added);
        status = added ? NB_OK : nb_grammar_no_memory(r->error);
    }
    if (status != NB_OK) {
        nb_alternative_free(&alternative);
        return status;
    }
    *added = alternative;
    added->weight = r->weight;
    return NB_OK;
}

static nb_status read_rule_head(reader *r, nb_string name_text)
{
    uint32_t name;
    nb_status status = read_name(r, name_text, "rule", &name);
    if (status != NB_OK) {
        return status;
    }
    if (nb_grammar_find_rule(r->grammar, name) != NB_NONE) {
        return nb_grammar_fail(r->grammar, r->place, r->error, "there is a rule %s already",
                               nb_grammar_string(r->grammar, name));
    }
    nb_rule *rule = nb_grammar_append((void **)&r->grammar->rules, &r->grammar->n_rules, sizeof *rule);
    if (!rule) {
        return nb_grammar_no_memory(r->error);
    }
    rule->name = name;
    rule->place = r->place;
    r->inside = IN_RULE;
    return NB_OK;
}

/* "*", "*3": returns the bytes read. */
static nb_status read_weight(reader *r, nb_string line, size_t *n_read)
{
    size_t n = 1;
    uint32_t weight = 0;
    while (n < line.n_bytes && line.text[n] != ' ') {
        char c = line.text[n++];
        if (c < '0' || c > '9' || weight > NB_MAX_WEIGHT) {
            weight = 0;
            break;
        }
        weight = weight * 10 + (uint32_t)(c - '0');
    }
    if (n == 1) {
        weight = 1;
    }
    if (weight < 1 || weight > NB_MAX_WEIGHT) {
        return nb_grammar_fail(r->grammar, r->place, r->error,
                               "after a star comes a space, or a weight from 1 to %d and a space",
                               NB_MAX_WEIGHT);
    }
    r->weight = weight;
    *n_read = n;
    return NB_OK;
}

static nb_status read_rule_line(reader *r, nb_string line)
{
    if (line.text[0] != '*') {
        if (!r->alternative) {
            return nb_grammar_fail(r->grammar, r->place, r->error, "an alternative starts with a star");
        }
        r->alternative_bytes = (size_t)(line.text + line.n_bytes - r->alternative);
        return NB_OK;
    }
    size_t n = 0;
    nb_status status = end_alternative(r);
    if (status == NB_OK) {
        status = read_weight(r, line, &n);
    }
    r->alternative = status == NB_OK ? line.text + n : NULL;
    r->alternative_bytes = line.n_bytes - n;
    r->alternative_place = r->place;
    return status;
}

/* ---- lines ---- */

static nb_status read_starts(reader *r, nb_string names)
{
    nb_grammar *grammar = r->grammar;
    while (names.n_bytes > 0) {
        nb_string part = cut(&names, ' ');
        uint32_t name = NB_NONE;
        if (part.n_bytes == 0) {
            continue;
        }
        nb_status status = read_name(r, part, "rule", &name);
        if (status != NB_OK) {
            return status;
        }
        size_t n_places = grammar->n_starts;
        nb_place *place = nb_grammar_append((void **)&grammar->start_places, &n_places, sizeof *place);
        uint32_t *start =
            place ? nb_grammar_append((void **)&grammar->starts, &grammar->n_starts, sizeof *start) : NULL;
        if (!start) {
            return nb_grammar_no_memory(r->error);
        }
        *place = r->place;
        *start = name;
    }
    return NB_OK;
}

static nb_status read_include(reader *r, nb_string name)
{
    if (!r->path) {
        return nb_grammar_fail(r->grammar, r->place, r->error, "a text in memory cannot include a file");
    }
    const char *slash = strrchr(r->path, '/');
    int n_folder = slash ? (int)(slash - r->path + 1) : 0;
    char *path = nb_format_text("%.*s%.*s", n_folder, r->path, (int)name.n_bytes, name.text);
    nb_status status =
        path ? nb_grammar_read_file(r->grammar, path, r->error) : nb_grammar_no_memory(r->error);
    free(path);
    return status;
}

static bool starts_with(nb_string line, const char *word)
{
    size_t n = strlen(word);
    return line.n_bytes > n && memcmp(line.text, word, n) == 0;
}

static nb_status read_directive(reader *r, nb_string line)
{
    nb_status status = end_alternative(r);
    r->inside = IN_NOTHING;
    if (status != NB_OK) {
        return status;
    }
    if (starts_with(line, "include ")) {
        return read_include(r, trim((nb_string){line.text + 8, line.n_bytes - 8}));
    }
    if (starts_with(line, "start ")) {
        return read_starts(r, (nb_string){line.text + 6, line.n_bytes - 6});
    }
    if (starts_with(line, "table ")) {
        return read_table_head(r, (nb_string){line.text + 6, line.n_bytes - 6});
    }
    if (line.text[line.n_bytes - 1] == ':') {
        return read_rule_head(r, trim((nb_string){line.text, line.n_bytes - 1}));
    }
    return nb_grammar_fail(r->grammar, r->place, r->error,
                           "a line at the margin is \"NAME:\", \"table NAME: ...\", \"start NAME ...\" or "
                           "\"include FILE\"");
}

static nb_status read_line(reader *r, nb_string line)
{
    bool indented = line.n_bytes > 0 && (line.text[0] == ' ' || line.text[0] == '\t');
    line = trim(line);
    if (line.n_bytes == 0 || line.text[0] == '#') {
        return r->inside == IN_RULE ? end_alternative(r) : NB_OK;
    }
    if (!indented) {
        return read_directive(r, line);
    }
    if (r->inside == IN_TABLE) {
        return read_row(r, line);
    }
    if (r->inside == IN_RULE) {
        return read_rule_line(r, line);
    }
    return nb_grammar_fail(r->grammar, r->place, r->error, "this indented line belongs to no rule or table");
}

static nb_status read_lines(nb_grammar *grammar, const char *text, size_t n_bytes, const char *name,
                            bool from_file, nb_error *error)
{
    if (grammar->n_files == NB_MAX_FILES) {
        return nb_fail(error, NB_ERR_FILE, "%s: a grammar has at most %d files; does one include itself?",
                       name, NB_MAX_FILES);
    }
    if (n_bytes > 0 && memchr(text, '\0', n_bytes)) {
        return nb_fail(error, NB_ERR_FILE, "%s is no text: it has a zero byte", name);
    }
    char *path = nb_strdup(name);
    if (!path) {
        return nb_grammar_no_memory(error);
    }
    grammar->files[grammar->n_files++] = path;
    reader r = {.grammar = grammar,
                .error = error,
                .path = from_file ? path : NULL,
                .place = {(uint32_t)grammar->n_files - 1, 0}};
    nb_status status = NB_OK;
    for (size_t at = 0; at < n_bytes && status == NB_OK;) {
        const char *end = memchr(text + at, '\n', n_bytes - at);
        size_t n = end ? (size_t)(end - text) - at : n_bytes - at;
        r.place.line++;
        status = read_line(&r, (nb_string){text + at, n});
        at += n + 1;
    }
    return status == NB_OK ? end_alternative(&r) : status;
}

nb_status nb_grammar_read_text(nb_grammar *grammar, const char *text, size_t n_bytes, const char *name,
                               nb_error *error)
{
    return read_lines(grammar, text, n_bytes, name, false, error);
}

nb_status nb_grammar_read_file(nb_grammar *grammar, const char *path, nb_error *error)
{
    nb_mapping *mapping = NULL;
    nb_status status = nb_mapping_open(path, &mapping, error);
    if (status == NB_OK) {
        status = read_lines(grammar, (const char *)mapping->data, mapping->size, path, true, error);
    }
    if (status == NB_OK) {
        status = nb_mapping_check(mapping, error);
    }
    nb_mapping_close(&mapping);
    return status;
}
