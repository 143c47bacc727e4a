/* Shared by the two halves of the parser: expressions (parser.c) and statements (statements.c). */
#ifndef NB_REPL_LANGUAGE_PARSER_H
#define NB_REPL_LANGUAGE_PARSER_H

#include "repl/language/tree.h"

enum { NB_PARSER_DEEPEST = 100 }; /* brackets and blocks inside each other */

typedef struct nb_parser {
    nb_lexer lexer;
    nb_lexeme token; /* the one at hand */
    nb_tree *tree;
    size_t depth;
    bool within;      /* +- after a comparison is the tolerance */
    bool in_function; /* return is allowed */
    size_t n_loops;   /* around: break and continue are allowed */
    nb_status status; /* of the first mistake; nothing is read after it */
    size_t place;
    nb_error *error;
} nb_parser;

void nb_parser_advance(nb_parser *parser);
static inline bool nb_parser_sees(const nb_parser *parser, nb_lexeme_kind kind)
{
    return parser->token.kind == kind;
}
/* Passes over the token if it is this one. */
bool nb_parser_takes(nb_parser *parser, nb_lexeme_kind kind);
/* The same, or a mistake: "here should stand ..., not ...". */
bool nb_parser_expects(nb_parser *parser, nb_lexeme_kind kind, const char *after);
/* Remembers the first mistake. Returns NULL. */
nb_node *nb_parser_fail(nb_parser *parser, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "... is not expected here" of the token at hand. */
nb_node *nb_parser_refuse(nb_parser *parser, const char *wanted);
bool nb_parser_descend(nb_parser *parser);

/* NULL when memory is short (which is remembered). */
nb_node *nb_parser_node(nb_parser *parser, nb_node_kind kind, size_t at);
nb_node *nb_parser_named(nb_parser *parser, nb_node_kind kind, const nb_lexeme *name);
/* Appends a child; does nothing if either is NULL after a mistake. */
void nb_parser_add(nb_parser *parser, nb_node *node, nb_node *child);

nb_node *nb_parser_expression(nb_parser *parser);
/* a, b, ...: one expression, or a LIST. */
nb_node *nb_parser_expressions(nb_parser *parser);

#endif
