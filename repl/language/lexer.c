#include "repl/language/lexer.h"

#include "base/memory.h"
#include "base/print.h"
#include "repl/language/language.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* A Greek letter (U+0370 to U+03FF) takes two bytes and may stand in names. */
static bool is_greek(const char *text, size_t n, size_t at)
{
    const unsigned char first = at < n ? (unsigned char)text[at] : 0;
    return at + 1 < n &&
           ((first == 0xcd && (unsigned char)text[at + 1] >= 0xb0) || first == 0xce || first == 0xcf) &&
           ((unsigned char)text[at + 1] & 0xc0) == 0x80;
}

static size_t skip_name(const char *text, size_t n, size_t at)
{
    for (;;) {
        if (at < n && (is_letter(text[at]) || is_digit(text[at])))
            at++;
        else if (is_greek(text, n, at))
            at += 2;
        else
            return at;
    }
}

/* blk.0.attn_q is one name: a dot goes on to letters and digits. */
static size_t skip_dotted_name(const char *text, size_t n, size_t at)
{
    at = skip_name(text, n, at);
    while (at + 1 < n && text[at] == '.' && (is_letter(text[at + 1]) || is_digit(text[at + 1])))
        at = skip_name(text, n, at + 1);
    return at;
}

/* ---- words and signs ---- */

static const struct {
    const char *word;
    nb_lexeme_kind kind;
} words[] = {
    {"and", NB_LEXEME_AND},       {"or", NB_LEXEME_OR},
    {"not", NB_LEXEME_NOT},       {"def", NB_LEXEME_DEF},
    {"return", NB_LEXEME_RETURN}, {"if", NB_LEXEME_IF},
    {"elif", NB_LEXEME_ELIF},     {"else", NB_LEXEME_ELSE},
    {"for", NB_LEXEME_FOR},       {"in", NB_LEXEME_IN},
    {"while", NB_LEXEME_WHILE},   {"break", NB_LEXEME_BREAK},
    {"end", NB_LEXEME_END_BLOCK}, {"continue", NB_LEXEME_CONTINUE},
};
enum { N_WORDS = sizeof words / sizeof *words };

/* Longer signs stand before those that they begin with. Signs of other keyboards and of pasted text mean what
 * they look like. */
static const struct {
    const char *sign;
    nb_lexeme_kind kind;
} signs[] = {
    {"**", NB_LEXEME_POWER},
    {"//", NB_LEXEME_FLOOR_DIVIDE},
    {"==", NB_LEXEME_EQUAL},
    {"!=", NB_LEXEME_NOT_EQUAL},
    {"<=", NB_LEXEME_LESS_EQUAL},
    {">=", NB_LEXEME_GREATER_EQUAL},
    {"+-", NB_LEXEME_WITHIN},
    {"+=", NB_LEXEME_ADD_ASSIGN},
    {"-=", NB_LEXEME_SUBTRACT_ASSIGN},
    {"*=", NB_LEXEME_MULTIPLY_ASSIGN},
    {"/=", NB_LEXEME_DIVIDE_ASSIGN},
    {"\xc2\xb1", NB_LEXEME_WITHIN},            /* plus-minus sign */
    {"\xc3\x97", NB_LEXEME_MULTIPLY},          /* multiplication sign */
    {"\xc3\xb7", NB_LEXEME_DIVIDE},            /* division sign */
    {"\xe2\x88\x92", NB_LEXEME_SUBTRACT},      /* minus sign */
    {"\xe2\x80\x93", NB_LEXEME_SUBTRACT},      /* en dash */
    {"\xe2\x89\xa4", NB_LEXEME_LESS_EQUAL},    /* less or equal */
    {"\xe2\x89\xa5", NB_LEXEME_GREATER_EQUAL}, /* greater or equal */
    {"\xe2\x89\xa0", NB_LEXEME_NOT_EQUAL},     /* not equal */
    {"+", NB_LEXEME_ADD},
    {"-", NB_LEXEME_SUBTRACT},
    {"*", NB_LEXEME_MULTIPLY},
    {"/", NB_LEXEME_DIVIDE},
    {"%", NB_LEXEME_REMAINDER},
    {"^", NB_LEXEME_POWER},
    {"@", NB_LEXEME_MATMUL},
    {"<", NB_LEXEME_LESS},
    {">", NB_LEXEME_GREATER},
    {"=", NB_LEXEME_ASSIGN},
    {"(", NB_LEXEME_OPEN},
    {")", NB_LEXEME_CLOSE},
    {"[", NB_LEXEME_OPEN_ARRAY},
    {"]", NB_LEXEME_CLOSE_ARRAY},
    {",", NB_LEXEME_COMMA},
    {":", NB_LEXEME_COLON},
};
enum { N_SIGNS = sizeof signs / sizeof *signs };

const char *nb_lexeme_name(nb_lexeme_kind kind)
{
    switch (kind) {
    case NB_LEXEME_END:
    case NB_LEXEME_SEPARATOR:
        return "the end of the line";
    case NB_LEXEME_NUMBER:
        return "a number";
    case NB_LEXEME_TEXT:
        return "text";
    case NB_LEXEME_NAME:
        return "a name";
    case NB_LEXEME_BAD:
        return "this";
    default:
        break;
    }
    for (size_t i = 0; i < N_WORDS; i++) {
        if (words[i].kind == kind)
            return words[i].word;
    }
    for (size_t i = 0; i < N_SIGNS; i++) {
        if (signs[i].kind == kind && (signs[i].sign[0] & 0x80) == 0 && kind != NB_LEXEME_POWER)
            return signs[i].sign;
    }
    return "^";
}

const char *nb_keyword_at(size_t index)
{
    return index < N_WORDS ? words[index].word : NULL;
}

bool nb_language_is_keyword(const char *name, size_t n_bytes)
{
    for (size_t i = 0; i < N_WORDS; i++) {
        if (strlen(words[i].word) == n_bytes && memcmp(words[i].word, name, n_bytes) == 0)
            return true;
    }
    return false;
}

bool nb_language_is_name(const char *name)
{
    const size_t n = strlen(name);
    return n > 0 && n <= 64 && !is_digit(name[0]) && skip_name(name, n, 0) == n &&
           !nb_language_is_keyword(name, n);
}

/* ---- tokens ---- */

/* Blanks, comments, joined lines, and newlines inside brackets. */
static void skip_between(nb_lexer *lexer)
{
    const char *text = lexer->text;
    const size_t n = lexer->n_bytes;
    for (;;) {
        const size_t at = lexer->at;
        if (at < n && (is_blank(text[at]) || (text[at] == '\n' && lexer->n_open)))
            lexer->at++;
        else if (at + 1 < n && text[at] == '\\' && text[at + 1] == '\n')
            lexer->at += 2;
        else if (at < n && text[at] == '#')
            while (lexer->at < n && text[lexer->at] != '\n')
                lexer->at++;
        else
            return;
    }
}

/* 0x1f and 0b101: whole numbers up to 2^53. */
static size_t read_based(const char *text, size_t n, unsigned base, double *number)
{
    size_t at = 2, n_digits = 0;
    *number = 0;
    for (; at < n; at++) {
        const char c = text[at];
        if (c == '_')
            continue;
        const int digit = is_digit(c)            ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0 || digit >= (int)base)
            break;
        *number = *number * base + digit;
        n_digits++;
    }
    return n_digits && *number <= 9007199254740992.0 ? at : 0;
}

/* The longest run that looks like a decimal number, underscores between digits left out. */
static size_t read_decimal(const char *text, size_t n, double *number)
{
    enum { LONGEST = 400 };
    char plain[LONGEST + 1];
    size_t at = 0, kept = 0;
    bool dot = false, exponent = false;
    for (; at < n && kept < LONGEST; at++) {
        const char c = text[at];
        const bool sign = (c == '+' || c == '-') && at && (text[at - 1] == 'e' || text[at - 1] == 'E');
        if (c == '_' && at && is_digit(text[at - 1]) && at + 1 < n && is_digit(text[at + 1]))
            continue;
        if (c == '.' && !dot && !exponent)
            dot = true;
        else if ((c == 'e' || c == 'E') && !exponent && at + 1 < n &&
                 (is_digit(text[at + 1]) ||
                  ((text[at + 1] == '+' || text[at + 1] == '-') && at + 2 < n && is_digit(text[at + 2]))))
            exponent = true;
        else if (!is_digit(c) && !sign)
            break;
        plain[kept++] = c;
    }
    plain[kept] = '\0';
    const size_t used = nb_parse_f64(plain, number);
    return kept < LONGEST && (used == kept || (used + 1 == kept && plain[used] == '.')) ? at : 0;
}

static nb_lexeme read_number(nb_lexer *lexer)
{
    const char *text = lexer->text + lexer->at;
    const size_t n = lexer->n_bytes - lexer->at;
    nb_lexeme token = {.kind = NB_LEXEME_NUMBER, .at = lexer->at};
    const bool hex = n > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X'),
               binary = n > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'B');
    size_t used = hex || binary ? read_based(text, n, hex ? 16 : 2, &token.number)
                                : read_decimal(text, n, &token.number);
    if (used == 0) {
        token.kind = NB_LEXEME_BAD;
        lexer->wrong = "this is no number that can be read";
        used = 1;
    }
    const size_t end = skip_name(text, n, used);
    if (token.kind == NB_LEXEME_NUMBER && end > used) {
        token.kind = NB_LEXEME_BAD;
        lexer->wrong =
            "letters follow a number here; a product is written with *, and names start with a letter";
    }
    token.n_bytes = end;
    lexer->at += end;
    return token;
}

static nb_lexeme read_text(nb_lexer *lexer)
{
    const char quote = lexer->text[lexer->at];
    nb_lexeme token = {.kind = NB_LEXEME_TEXT, .at = lexer->at++};
    while (lexer->at < lexer->n_bytes && lexer->text[lexer->at] != quote)
        lexer->at += quote == '"' && lexer->text[lexer->at] == '\\' ? 2 : 1;
    if (lexer->at >= lexer->n_bytes) {
        lexer->at = lexer->n_bytes;
        lexer->wrong = "a quote is opened here and never closed";
        token.kind = NB_LEXEME_BAD;
    } else {
        lexer->at++;
    }
    token.n_bytes = lexer->at - token.at;
    return token;
}

static nb_lexeme read_sign(nb_lexer *lexer)
{
    const char *text = lexer->text + lexer->at;
    const size_t left = lexer->n_bytes - lexer->at;
    nb_lexeme token = {.kind = NB_LEXEME_BAD, .at = lexer->at, .n_bytes = 1};
    for (size_t i = 0; i < N_SIGNS; i++) {
        const size_t n = strlen(signs[i].sign);
        if (n <= left && memcmp(text, signs[i].sign, n) == 0) {
            token.kind = signs[i].kind;
            token.n_bytes = n;
            break;
        }
    }
    if (token.kind == NB_LEXEME_OPEN || token.kind == NB_LEXEME_OPEN_ARRAY)
        lexer->n_open++;
    else if ((token.kind == NB_LEXEME_CLOSE || token.kind == NB_LEXEME_CLOSE_ARRAY) && lexer->n_open)
        lexer->n_open--;
    else if (token.kind == NB_LEXEME_BAD)
        lexer->wrong = "this sign means nothing here";
    lexer->at += token.n_bytes;
    while (token.kind == NB_LEXEME_BAD && lexer->at < lexer->n_bytes &&
           (lexer->text[lexer->at] & 0xc0) == 0x80)
        lexer->at++, token.n_bytes++;
    return token;
}

nb_lexeme nb_lexer_next(nb_lexer *lexer)
{
    skip_between(lexer);
    const size_t at = lexer->at, n = lexer->n_bytes;
    const char *text = lexer->text;
    if (at >= n)
        return (nb_lexeme){.kind = NB_LEXEME_END, .at = n};
    if (text[at] == '\n' || text[at] == ';') {
        lexer->at++;
        return (nb_lexeme){.kind = NB_LEXEME_SEPARATOR, .at = at, .n_bytes = 1};
    }
    if (is_digit(text[at]) || (text[at] == '.' && at + 1 < n && is_digit(text[at + 1])))
        return read_number(lexer);
    if (text[at] == '"' || text[at] == '\'')
        return read_text(lexer);
    if (!is_letter(text[at]) && !is_greek(text, n, at))
        return read_sign(lexer);
    nb_lexeme token = {.kind = NB_LEXEME_NAME, .at = at};
    lexer->at = skip_dotted_name(text, n, at);
    token.n_bytes = lexer->at - at;
    for (size_t i = 0; i < N_WORDS; i++) {
        if (strlen(words[i].word) == token.n_bytes && memcmp(words[i].word, text + at, token.n_bytes) == 0)
            token.kind = words[i].kind;
    }
    return token;
}

char *nb_lexeme_text(const nb_lexer *lexer, const nb_lexeme *token, size_t *n_bytes)
{
    char *out = nb_calloc(token->n_bytes + 1, 1);
    const char *from = lexer->text + token->at + 1, *end = lexer->text + token->at + token->n_bytes - 1;
    const bool escapes = lexer->text[token->at] == '"';
    *n_bytes = 0;
    for (; out && from < end; from++) {
        char c = *from;
        if (escapes && c == '\\' && from + 1 < end) {
            c = *++from;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        out[(*n_bytes)++] = c;
    }
    return out;
}

/* ---- extents ---- */

bool nb_language_extent(const char *text, size_t n, size_t at, size_t *end)
{
    nb_lexer lexer = {.text = text, .n_bytes = n, .at = at};
    size_t n_blocks = 0, brackets_at_def = 0;
    /* After `def NAME ( ... )`, an = makes it a function of one line. */
    enum { NO_DEF, DEF_NAME, DEF_OPEN, DEF_INSIDE, DEF_CLOSED } def = NO_DEF;
    for (;;) {
        const nb_lexeme token = nb_lexer_next(&lexer);
        if (def == DEF_CLOSED) {
            n_blocks += token.kind != NB_LEXEME_ASSIGN;
            def = NO_DEF;
        }
        if (def == DEF_NAME)
            def = token.kind == NB_LEXEME_NAME ? DEF_OPEN : NO_DEF;
        else if (def == DEF_OPEN)
            def = token.kind == NB_LEXEME_OPEN ? DEF_INSIDE : NO_DEF;
        else if (def == DEF_INSIDE && token.kind == NB_LEXEME_CLOSE && lexer.n_open == brackets_at_def)
            def = DEF_CLOSED;
        if (token.kind == NB_LEXEME_DEF) {
            def = DEF_NAME;
            brackets_at_def = lexer.n_open;
        } else if (token.kind == NB_LEXEME_IF || token.kind == NB_LEXEME_FOR ||
                   token.kind == NB_LEXEME_WHILE) {
            n_blocks++;
        } else if (token.kind == NB_LEXEME_END_BLOCK && n_blocks) {
            n_blocks--;
        }
        if (token.kind == NB_LEXEME_END || (token.kind == NB_LEXEME_SEPARATOR && n_blocks == 0)) {
            *end = lexer.at;
            return n_blocks == 0 && lexer.n_open == 0;
        }
        if (token.kind == NB_LEXEME_BAD && lexer.at >= n &&
            (text[token.at] == '"' || text[token.at] == '\'')) {
            *end = n;
            return false;
        }
    }
}
