/* Text into tokens. */
#ifndef NB_REPL_LANGUAGE_LEXER_H
#define NB_REPL_LANGUAGE_LEXER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum nb_lexeme_kind {
    NB_LEXEME_END,       /* of the text */
    NB_LEXEME_SEPARATOR, /* a newline outside brackets, or ; */
    NB_LEXEME_BAD,       /* what no token starts with; see the lexer's `wrong` */
    NB_LEXEME_NUMBER,
    NB_LEXEME_TEXT,
    NB_LEXEME_NAME, /* with dots in it if it is a tensor's */
    /* operators */
    NB_LEXEME_ADD,
    NB_LEXEME_SUBTRACT,
    NB_LEXEME_MULTIPLY,
    NB_LEXEME_DIVIDE,
    NB_LEXEME_FLOOR_DIVIDE,
    NB_LEXEME_REMAINDER,
    NB_LEXEME_POWER,
    NB_LEXEME_MATMUL,
    NB_LEXEME_EQUAL,
    NB_LEXEME_NOT_EQUAL,
    NB_LEXEME_LESS,
    NB_LEXEME_LESS_EQUAL,
    NB_LEXEME_GREATER,
    NB_LEXEME_GREATER_EQUAL,
    NB_LEXEME_WITHIN, /* +- */
    NB_LEXEME_ASSIGN,
    NB_LEXEME_ADD_ASSIGN,
    NB_LEXEME_SUBTRACT_ASSIGN,
    NB_LEXEME_MULTIPLY_ASSIGN,
    NB_LEXEME_DIVIDE_ASSIGN,
    NB_LEXEME_OPEN, /* ( */
    NB_LEXEME_CLOSE,
    NB_LEXEME_OPEN_ARRAY, /* [ */
    NB_LEXEME_CLOSE_ARRAY,
    NB_LEXEME_COMMA,
    NB_LEXEME_COLON,
    /* words of the language */
    NB_LEXEME_AND,
    NB_LEXEME_OR,
    NB_LEXEME_NOT,
    NB_LEXEME_DEF,
    NB_LEXEME_RETURN,
    NB_LEXEME_IF,
    NB_LEXEME_ELIF,
    NB_LEXEME_ELSE,
    NB_LEXEME_FOR,
    NB_LEXEME_IN,
    NB_LEXEME_WHILE,
    NB_LEXEME_BREAK,
    NB_LEXEME_CONTINUE,
    NB_LEXEME_END_BLOCK, /* end */
} nb_lexeme_kind;

typedef struct nb_lexeme {
    nb_lexeme_kind kind;
    size_t at, n_bytes; /* in the text */
    double number;
} nb_lexeme;

typedef struct nb_lexer {
    const char *text;
    size_t n_bytes, at;
    size_t n_open;     /* brackets around `at`: newlines between them are blanks */
    const char *wrong; /* why a token is BAD; static */
} nb_lexer;

nb_lexeme nb_lexer_next(nb_lexer *lexer);
/* "a number", "end", "the end of the line": for sentences. */
const char *nb_lexeme_name(nb_lexeme_kind kind);

/* What a quoted token says, allocated, and its length; NULL without memory. */
char *nb_lexeme_text(const nb_lexer *lexer, const nb_lexeme *token, size_t *n_bytes);

#endif
