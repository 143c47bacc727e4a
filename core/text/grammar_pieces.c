/* Reading what an alternative says:
 *
 *   [if hero.he = she]          taken only then; first of all
 *   words, "talk" and marks     themselves; a/an becomes one of the two; ^ makes the next letter a capital
 *   {rule}                      an alternative of that rule
 *   {hero}  {hero.his}          what the row drawn for hero has in its first column, in column his
 *   (big|small|)                one of these texts, nothing too
 *   [toy: thing, kind = toy, not gift]   draws a row of table thing for toy, alike likely among those that
 * fit [who = hero]                from now on who is what hero is
 *   <{toy}>                     the answer of a quiz
 *   \{  \n                      the character itself; a new line */
#include "base/memory.h"
#include "text/grammar_parts.h"

#include <stdlib.h>

typedef struct cursor {
    nb_grammar *grammar;
    nb_error *error;
    const char *at, *end;
    nb_place place;
    unsigned nesting;
} cursor;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char take(cursor *c)
{
    c->place.line += *c->at == '\n';
    return *c->at++;
}

static void skip_spaces(cursor *c)
{
    while (c->at < c->end && is_space(*c->at)) {
        take(c);
    }
}

static bool take_if(cursor *c, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0) {
        return false;
    }
    c->at += n;
    return true;
}

static nb_status expect(cursor *c, const char *mark, const char *what)
{
    skip_spaces(c);
    if (take_if(c, mark)) {
        return NB_OK;
    }
    return nb_grammar_fail(c->grammar, c->place, c->error, "%s needs a %s", what, mark);
}

static nb_status read_name(cursor *c, const char *what, uint32_t *name)
{
    skip_spaces(c);
    const char *begin = c->at;
    while (c->at < c->end && nb_is_name_character(*c->at)) {
        c->at++;
    }
    if (c->at == begin) {
        return nb_grammar_fail(c->grammar, c->place, c->error, "here should stand the name of a %s", what);
    }
    *name = nb_grammar_intern(c->grammar, begin, (size_t)(c->at - begin));
    return *name == NB_NONE ? nb_grammar_no_memory(c->error) : NB_OK;
}

/* name, name.column */
static nb_status read_path(cursor *c, const char *what, uint32_t *name, uint32_t *column)
{
    *column = NB_NONE;
    nb_status status = read_name(c, what, name);
    return status == NB_OK && take_if(c, ".") ? read_name(c, "column", column) : status;
}

static nb_piece *add_piece(cursor *c, nb_alternative *out, nb_piece_kind kind)
{
    nb_piece *piece = nb_grammar_append((void **)&out->pieces, &out->n_pieces, sizeof *piece);
    if (piece) {
        *piece = (nb_piece){.kind = kind, .place = c->place, .column = NB_NONE};
    }
    return piece;
}

/* ---- brackets ---- */

/* The right side: a word as it stands, or variable.column. */
static nb_status read_right(cursor *c, nb_condition *condition)
{
    uint32_t word;
    nb_status status = read_name(c, "word, or a variable and a point", &word);
    condition->right_text = word;
    if (status == NB_OK && take_if(c, ".")) {
        condition->right_text = NB_NONE;
        condition->right_variable = word;
        status = read_name(c, "column", &condition->right_column);
    }
    return status;
}

static nb_status read_test(cursor *c, nb_condition *condition)
{
    skip_spaces(c);
    if (take_if(c, "!=")) {
        condition->test = NB_TEST_DIFFERENT;
    } else if (take_if(c, "=")) {
        condition->test = NB_TEST_EQUAL;
    } else if (take_if(c, "has ")) {
        condition->test = NB_TEST_HAS;
    } else if (take_if(c, "lacks ")) {
        condition->test = NB_TEST_LACKS;
    } else {
        return nb_grammar_fail(c->grammar, c->place, c->error,
                               "a condition compares with =, !=, has or lacks");
    }
    return read_right(c, condition);
}

/* Of a draw: COLUMN = WORD, not VARIABLE. Of an alternative: VARIABLE.COLUMN = WORD. */
static nb_status read_condition(cursor *c, bool of_draw, nb_condition *out)
{
    *out = (nb_condition){.place = c->place,
                          .left_variable = NB_NONE,
                          .left_column = NB_NONE,
                          .right_variable = NB_NONE,
                          .right_column = NB_NONE,
                          .right_text = NB_NONE};
    skip_spaces(c);
    if (of_draw && take_if(c, "not ")) {
        out->test = NB_TEST_NOT_ROW;
        return read_name(c, "variable", &out->right_variable);
    }
    nb_status status = of_draw ? read_name(c, "column", &out->left_column)
                               : read_path(c, "variable", &out->left_variable, &out->left_column);
    return status == NB_OK ? read_test(c, out) : status;
}

/* Conditions with commas between, up to the bracket. */
static nb_status read_conditions(cursor *c, bool of_draw, nb_condition **conditions, size_t *count)
{
    do {
        nb_condition read;
        nb_status status = read_condition(c, of_draw, &read);
        nb_condition *added =
            status == NB_OK ? nb_grammar_append((void **)conditions, count, sizeof *added) : NULL;
        if (!added) {
            return status == NB_OK ? nb_grammar_no_memory(c->error) : status;
        }
        *added = read;
        skip_spaces(c);
    } while (take_if(c, ","));
    return expect(c, "]", "a list of conditions");
}

static nb_status read_bracket(cursor *c, nb_alternative *out, bool first)
{
    if (take_if(c, "if ")) {
        if (!first) {
            return nb_grammar_fail(c->grammar, c->place, c->error,
                                   "[if ...] stands at the beginning of its alternative, once");
        }
        return read_conditions(c, false, &out->conditions, &out->n_conditions);
    }
    uint32_t variable, other;
    nb_status status = read_name(c, "variable", &variable);
    skip_spaces(c);
    bool alias = take_if(c, "=");
    if (status == NB_OK && !alias) {
        status = expect(c, ":", "drawing for a variable");
    }
    if (status == NB_OK) {
        status = read_name(c, alias ? "variable" : "table", &other);
    }
    nb_piece *piece = status == NB_OK ? add_piece(c, out, alias ? NB_PIECE_ALIAS : NB_PIECE_DRAW) : NULL;
    if (!piece) {
        return status == NB_OK ? nb_grammar_no_memory(c->error) : status;
    }
    piece->target = variable;
    piece->name = other;
    skip_spaces(c);
    if (!alias && take_if(c, ",")) {
        return read_conditions(c, true, &piece->conditions, &piece->n_conditions);
    }
    return expect(c, "]", "what starts with [");
}

/* ---- text ---- */

static bool is_word_character(char c)
{
    return nb_is_name_character(c) || c == '\'' || c == '/';
}

size_t nb_grammar_plain_text(const char *text, size_t n_bytes, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        char c = text[i];
        bool article = n_bytes - i >= 4 && (c == 'a' || c == 'A') && memcmp(text + i + 1, "/an", 3) == 0 &&
                       (i == 0 || !is_word_character(text[i - 1])) &&
                       (i + 4 == n_bytes || !is_word_character(text[i + 4]));
        if (c == '\\' && i + 1 < n_bytes) {
            c = text[++i];
            out[n++] = c == 'n' ? '\n' : c;
        } else if (article) {
            if (c == 'A') {
                out[n++] = NB_MARK_CAPITAL;
            }
            out[n++] = NB_MARK_ARTICLE;
            i += 3;
        } else if (c == '^') {
            out[n++] = NB_MARK_CAPITAL;
        } else if (!is_space(c)) {
            out[n++] = c;
        } else if (n == 0 || out[n - 1] != ' ') {
            out[n++] = ' ';
        }
    }
    return n;
}

static nb_status add_text(cursor *c, nb_alternative *out, const char *begin, const char *end)
{
    size_t n_bytes = (size_t)(end - begin);
    char *plain = nb_calloc(n_bytes + 1, 1);
    nb_piece *piece = plain ? add_piece(c, out, NB_PIECE_TEXT) : NULL;
    if (piece) {
        size_t n = nb_grammar_plain_text(begin, n_bytes, plain);
        piece->name = nb_grammar_intern(c->grammar, plain, n);
    }
    free(plain);
    return piece && piece->name != NB_NONE ? NB_OK : nb_grammar_no_memory(c->error);
}

static nb_status read_sequence(cursor *c, nb_alternative *out);

/* (a|b|c): a rule without a name. */
static nb_status read_choice(cursor *c, nb_alternative *out)
{
    nb_rule rule = {.name = NB_NONE, .place = c->place};
    nb_status status = NB_OK;
    if (++c->nesting > NB_MAX_NESTING) {
        return nb_grammar_fail(c->grammar, c->place, c->error,
                               "choices stand inside choices, more than %d deep", NB_MAX_NESTING);
    }
    do {
        nb_alternative *added =
            nb_grammar_append((void **)&rule.alternatives, &rule.n_alternatives, sizeof *added);
        if (added) {
            *added = (nb_alternative){.place = c->place, .weight = 1};
        }
        status = added ? read_sequence(c, added) : nb_grammar_no_memory(c->error);
    } while (status == NB_OK && take_if(c, "|"));
    c->nesting--;
    if (status == NB_OK) {
        status = expect(c, ")", "what starts with (");
    }
    if (status == NB_OK && rule.n_alternatives < 2) {
        status = nb_grammar_fail(c->grammar, rule.place, c->error, "(...) is a choice and needs a |");
    }
    nb_piece *piece = status == NB_OK ? add_piece(c, out, NB_PIECE_RULE) : NULL;
    nb_rule *owned =
        piece ? nb_grammar_append((void **)&c->grammar->rules, &c->grammar->n_rules, sizeof rule) : NULL;
    if (!owned) {
        nb_rule_free(&rule);
        return status == NB_OK ? nb_grammar_no_memory(c->error) : status;
    }
    *owned = rule;
    piece->target = (uint32_t)c->grammar->n_rules - 1;
    return NB_OK;
}

static nb_status read_brace(cursor *c, nb_alternative *out)
{
    uint32_t name, column;
    nb_status status = read_path(c, "rule or variable", &name, &column);
    nb_piece *piece = status == NB_OK ? add_piece(c, out, NB_PIECE_NAME) : NULL;
    if (!piece) {
        return status == NB_OK ? nb_grammar_no_memory(c->error) : status;
    }
    piece->name = name;
    piece->column = column;
    return expect(c, "}", "what starts with {");
}

static nb_status read_special(cursor *c, nb_alternative *out)
{
    switch (take(c)) {
    case '{':
        return read_brace(c, out);
    case '(':
        return read_choice(c, out);
    case '[':
        return read_bracket(c, out, out->n_pieces == 0 && out->n_conditions == 0);
    case '<':
        return add_piece(c, out, NB_PIECE_ANSWER_BEGIN) ? NB_OK : nb_grammar_no_memory(c->error);
    case '>':
        return add_piece(c, out, NB_PIECE_ANSWER_END) ? NB_OK : nb_grammar_no_memory(c->error);
    default:
        return nb_grammar_fail(c->grammar, c->place, c->error,
                               "%c has no partner before it; \\%c is the character itself", c->at[-1],
                               c->at[-1]);
    }
}

/* Whether what stands in brackets, from begin on, is [a = b]: a choice of its own, told later in the text. */
static bool is_alias(const char *begin, const char *end)
{
    if (end - begin > 4 && memcmp(begin, "[if ", 4) == 0) {
        return false;
    }
    while (begin < end && *begin != ':' && *begin != ']') {
        begin++;
    }
    return begin < end && *begin == ']';
}

/* What an alternative looks like beside its fellows: without draws and conditions, spaces as one. */
static nb_status note_source(cursor *c, nb_alternative *out, const char *begin, const char *end)
{
    char *source = nb_calloc((size_t)(end - begin) + 1, 1);
    size_t n = 0;
    bool skipped = false;
    if (!source) {
        return nb_grammar_no_memory(c->error);
    }
    for (; begin < end; begin++) {
        skipped = skipped || (*begin == '[' && !is_alias(begin, end));
        if (!skipped && (!is_space(*begin) || (n > 0 && source[n - 1] != ' '))) {
            source[n++] = is_space(*begin) ? ' ' : *begin;
        }
        skipped = skipped && *begin != ']';
    }
    n -= n > 0 && source[n - 1] == ' ';
    out->source = nb_grammar_intern(c->grammar, source, n);
    free(source);
    return out->source == NB_NONE ? nb_grammar_no_memory(c->error) : NB_OK;
}

/* Up to the end, or to the | or ) of the choice that it stands in. */
static nb_status read_sequence(cursor *c, nb_alternative *out)
{
    const char *begin = c->at;
    bool leading = true;
    while (c->at < c->end && !(c->nesting > 0 && (*c->at == '|' || *c->at == ')'))) {
        nb_status status;
        if (strchr("{}()[]<>|", *c->at)) {
            status = read_special(c, out);
        } else {
            const char *text = c->at;
            while (c->at < c->end && !strchr("{}()[]<>|", *c->at)) {
                leading = leading && is_space(*c->at);
                if (take(c) == '\\' && c->at < c->end) {
                    take(c);
                }
            }
            /* space before [if ...] says nothing */
            status = leading && c->at < c->end && *c->at == '[' ? NB_OK : add_text(c, out, text, c->at);
        }
        if (status != NB_OK) {
            return status;
        }
    }
    return note_source(c, out, begin, c->at);
}

nb_status nb_grammar_read_alternative(nb_grammar *grammar, nb_place place, const char *text, size_t n_bytes,
                                      nb_alternative *out, nb_error *error)
{
    cursor c = {.grammar = grammar, .error = error, .at = text, .end = text + n_bytes, .place = place};
    out->place = place;
    skip_spaces(&c);
    return read_sequence(&c, out);
}
