/* Expressions, by recursive descent; each function reads one level of binding:
 * or, and, not, comparisons, sums, products, signs, powers, calls and indices. */
#include "repl/language/parser.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tokens and mistakes ---- */

nb_node *nb_parser_fail(nb_parser *parser, size_t at, const char *format, ...)
{
    if (parser->status != NB_OK)
        return NULL;
    nb_error sentence;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence.text, sizeof sentence.text, format, arguments);
    va_end(arguments);
    parser->place = at;
    parser->status = nb_fail(parser->error, NB_ERR_ARGUMENT, "%s", sentence.text);
    parser->token = (nb_lexeme){.kind = NB_LEXEME_END, .at = at};
    return NULL;
}

void nb_parser_advance(nb_parser *parser)
{
    if (parser->status != NB_OK)
        return;
    parser->token = nb_lexer_next(&parser->lexer);
    if (parser->token.kind == NB_LEXEME_BAD)
        nb_parser_fail(parser, parser->token.at, "%s: %.*s", parser->lexer.wrong,
                       (int)nb_min_size(parser->token.n_bytes, 40), parser->lexer.text + parser->token.at);
}

bool nb_parser_takes(nb_parser *parser, nb_lexeme_kind kind)
{
    if (parser->token.kind != kind || parser->status != NB_OK)
        return false;
    nb_parser_advance(parser);
    return true;
}

static void describe_token(const nb_parser *parser, char text[64])
{
    const nb_lexeme *token = &parser->token;
    if (token->kind == NB_LEXEME_END || token->kind == NB_LEXEME_SEPARATOR)
        snprintf(text, 64, "%s", nb_lexeme_name(token->kind));
    else
        snprintf(text, 64, "%.*s", (int)nb_min_size(token->n_bytes, 40), parser->lexer.text + token->at);
}

nb_node *nb_parser_refuse(nb_parser *parser, const char *wanted)
{
    char found[64];
    describe_token(parser, found);
    return nb_parser_fail(parser, parser->token.at, "%s should stand here, not %s", wanted, found);
}

bool nb_parser_expects(nb_parser *parser, nb_lexeme_kind kind, const char *after)
{
    if (nb_parser_takes(parser, kind))
        return true;
    char found[64];
    describe_token(parser, found);
    nb_parser_fail(parser, parser->token.at, "%s should follow %s, not %s", nb_lexeme_name(kind), after,
                   found);
    return false;
}

bool nb_parser_descend(nb_parser *parser)
{
    if (parser->status != NB_OK)
        return false;
    if (++parser->depth <= NB_PARSER_DEEPEST)
        return true;
    nb_parser_fail(parser, parser->token.at, "this is nested more than %d deep: name a part of it first",
                   NB_PARSER_DEEPEST);
    return false;
}

/* ---- nodes ---- */

nb_node *nb_parser_node(nb_parser *parser, nb_node_kind kind, size_t at)
{
    nb_node *node = parser->status == NB_OK ? nb_tree_allocate(parser->tree, sizeof *node) : NULL;
    if (node) {
        node->kind = kind;
        node->at = at;
    } else if (parser->status == NB_OK) {
        parser->status = nb_fail(parser->error, NB_ERR_MEMORY, "no memory to read this cell");
        parser->token = (nb_lexeme){.kind = NB_LEXEME_END};
    }
    return node;
}

/* Children stand in a row whose capacity is the next power of two. */
void nb_parser_add(nb_parser *parser, nb_node *node, nb_node *child)
{
    if (parser->status != NB_OK || !node)
        return;
    const size_t n = node->n_children;
    if ((n & (n - 1)) == 0) {
        nb_node **grown = nb_tree_allocate(parser->tree, (n ? 2 * n : 1) * sizeof *grown);
        if (!grown) {
            parser->status = nb_fail(parser->error, NB_ERR_MEMORY, "no memory to read this cell");
            return;
        }
        if (n)
            memcpy(grown, node->children, n * sizeof *grown);
        node->children = grown;
    }
    node->children[node->n_children++] = child;
}

nb_node *nb_parser_named(nb_parser *parser, nb_node_kind kind, const nb_lexeme *name)
{
    nb_node *node = nb_parser_node(parser, kind, name->at);
    char *text = node ? nb_tree_allocate(parser->tree, name->n_bytes + 1) : NULL;
    if (!text) {
        if (parser->status == NB_OK)
            parser->status = nb_fail(parser->error, NB_ERR_MEMORY, "no memory to read this cell");
        return NULL;
    }
    memcpy(text, parser->lexer.text + name->at, name->n_bytes);
    node->text = text;
    node->n_bytes = name->n_bytes;
    return node;
}

static nb_node *binary(nb_parser *parser, const nb_lexeme *op, nb_node *left, nb_node *right)
{
    nb_node *node = nb_parser_node(parser, NB_NODE_BINARY, op->at);
    if (!node)
        return NULL;
    node->op = op->kind;
    nb_parser_add(parser, node, left);
    nb_parser_add(parser, node, right);
    return node;
}

/* ---- what stands alone ---- */

static nb_node *read_text(nb_parser *parser)
{
    nb_node *node = nb_parser_node(parser, NB_NODE_TEXT, parser->token.at);
    size_t n_bytes = 0;
    char *said = node ? nb_lexeme_text(&parser->lexer, &parser->token, &n_bytes) : NULL;
    char *kept = said ? nb_tree_allocate(parser->tree, n_bytes + 1) : NULL;
    if (kept) {
        memcpy(kept, said, n_bytes);
        node->text = kept;
        node->n_bytes = n_bytes;
    } else if (parser->status == NB_OK) {
        parser->status = nb_fail(parser->error, NB_ERR_MEMORY, "no memory to read this cell");
    }
    free(said);
    nb_parser_advance(parser);
    return node;
}

/* What stands between brackets is an expression of its own: +- there is not the tolerance outside. */
static nb_node *read_inside(nb_parser *parser)
{
    const bool within = parser->within;
    parser->within = false;
    nb_node *node = nb_parser_expression(parser);
    parser->within = within;
    return node;
}

static nb_node *read_array(nb_parser *parser)
{
    nb_node *node = nb_parser_node(parser, NB_NODE_ARRAY, parser->token.at);
    const size_t at = parser->token.at;
    nb_parser_advance(parser);
    while (parser->status == NB_OK && !nb_parser_sees(parser, NB_LEXEME_CLOSE_ARRAY)) {
        nb_parser_add(parser, node, read_inside(parser));
        if (!nb_parser_takes(parser, NB_LEXEME_COMMA))
            break;
    }
    if (nb_parser_sees(parser, NB_LEXEME_END))
        return nb_parser_fail(parser, at, "a bracket is opened here and never closed");
    if (!nb_parser_sees(parser, NB_LEXEME_CLOSE_ARRAY))
        return nb_parser_refuse(parser, "a comma or ]");
    nb_parser_advance(parser);
    return node;
}

static nb_node *read_primary(nb_parser *parser)
{
    nb_node *node;
    const nb_lexeme token = parser->token;
    switch (token.kind) {
    case NB_LEXEME_NUMBER:
        node = nb_parser_node(parser, NB_NODE_NUMBER, token.at);
        if (node)
            node->number = token.number;
        nb_parser_advance(parser);
        return node;
    case NB_LEXEME_TEXT:
        return read_text(parser);
    case NB_LEXEME_NAME:
        node = nb_parser_named(parser, NB_NODE_NAME, &token);
        nb_parser_advance(parser);
        return node;
    case NB_LEXEME_OPEN_ARRAY:
        return read_array(parser);
    case NB_LEXEME_OPEN:
        nb_parser_advance(parser);
        node = read_inside(parser);
        if (nb_parser_sees(parser, NB_LEXEME_END))
            return nb_parser_fail(parser, token.at, "a bracket is opened here and never closed");
        if (!nb_parser_sees(parser, NB_LEXEME_CLOSE))
            return nb_parser_refuse(parser, "an operator or )");
        nb_parser_advance(parser);
        return node;
    default:
        return nb_parser_refuse(parser, "a number, a name or a bracket");
    }
}

/* ---- calls and indices ---- */

/* NAME = EXPRESSION among arguments. A name may also be an argument, so one token is looked ahead. */
static nb_node *read_argument(nb_parser *parser)
{
    if (nb_parser_sees(parser, NB_LEXEME_NAME)) {
        nb_lexer ahead = parser->lexer;
        if (nb_lexer_next(&ahead).kind == NB_LEXEME_ASSIGN) {
            nb_node *node = nb_parser_named(parser, NB_NODE_NAMED, &parser->token);
            nb_parser_advance(parser);
            nb_parser_advance(parser);
            nb_parser_add(parser, node, read_inside(parser));
            return node;
        }
    }
    return read_inside(parser);
}

static nb_node *read_call(nb_parser *parser, const nb_node *callee)
{
    const size_t at = parser->token.at;
    if (callee->kind != NB_NODE_NAME)
        return nb_parser_fail(parser, at, "only a name can be called; a product is written with *");
    nb_node *node = nb_parser_node(parser, NB_NODE_CALL, callee->at);
    if (!node)
        return NULL;
    node->text = callee->text;
    node->n_bytes = callee->n_bytes;
    nb_parser_advance(parser);
    while (parser->status == NB_OK && !nb_parser_sees(parser, NB_LEXEME_CLOSE)) {
        nb_parser_add(parser, node, read_argument(parser));
        if (!nb_parser_takes(parser, NB_LEXEME_COMMA))
            break;
    }
    if (nb_parser_sees(parser, NB_LEXEME_END))
        return nb_parser_fail(parser, at, "a bracket is opened here and never closed");
    if (!nb_parser_sees(parser, NB_LEXEME_CLOSE))
        return nb_parser_refuse(parser, "a comma or )");
    nb_parser_advance(parser);
    return node;
}

static bool ends_bound(const nb_parser *parser)
{
    return nb_parser_sees(parser, NB_LEXEME_COLON) || nb_parser_sees(parser, NB_LEXEME_COMMA) ||
           nb_parser_sees(parser, NB_LEXEME_CLOSE_ARRAY);
}

/* An index, or begin:end:step with any of them left out. */
static nb_node *read_subscript(nb_parser *parser)
{
    const size_t at = parser->token.at;
    nb_node *begin = ends_bound(parser) ? NULL : read_inside(parser);
    if (!nb_parser_sees(parser, NB_LEXEME_COLON))
        return begin ? begin : nb_parser_refuse(parser, "an index or a :");
    nb_node *slice = nb_parser_node(parser, NB_NODE_SLICE, at);
    nb_parser_add(parser, slice, begin);
    for (int part = 0; part < 2; part++) {
        const bool given = nb_parser_takes(parser, NB_LEXEME_COLON) && !ends_bound(parser);
        nb_parser_add(parser, slice, given ? read_inside(parser) : NULL);
    }
    return slice;
}

static nb_node *read_index(nb_parser *parser, nb_node *base)
{
    const size_t at = parser->token.at;
    nb_node *node = nb_parser_node(parser, NB_NODE_INDEX, at);
    nb_parser_add(parser, node, base);
    nb_parser_advance(parser);
    do
        nb_parser_add(parser, node, read_subscript(parser));
    while (nb_parser_takes(parser, NB_LEXEME_COMMA));
    if (nb_parser_sees(parser, NB_LEXEME_END))
        return nb_parser_fail(parser, at, "a bracket is opened here and never closed");
    if (!nb_parser_sees(parser, NB_LEXEME_CLOSE_ARRAY))
        return nb_parser_refuse(parser, "a comma, a : or ]");
    nb_parser_advance(parser);
    return node;
}

static nb_node *read_postfix(nb_parser *parser)
{
    nb_node *node = read_primary(parser);
    for (size_t n = 0; parser->status == NB_OK; n++) {
        if (n > NB_PARSER_DEEPEST)
            return nb_parser_fail(parser, parser->token.at, "that is too many brackets after one another");
        if (nb_parser_sees(parser, NB_LEXEME_OPEN))
            node = read_call(parser, node);
        else if (nb_parser_sees(parser, NB_LEXEME_OPEN_ARRAY))
            node = read_index(parser, node);
        else
            break;
    }
    return node;
}

/* ---- operators ---- */

static nb_node *read_unary(nb_parser *parser);

/* -x^2 is -(x^2), 2^-1 is 2^(-1), and 2^3^2 is 2^(3^2). */
static nb_node *read_power(nb_parser *parser)
{
    nb_node *base = read_postfix(parser);
    const nb_lexeme op = parser->token;
    if (!nb_parser_takes(parser, NB_LEXEME_POWER))
        return base;
    if (!nb_parser_descend(parser))
        return NULL;
    nb_node *node = binary(parser, &op, base, read_unary(parser));
    parser->depth--;
    return node;
}

static nb_node *read_unary(nb_parser *parser)
{
    const nb_lexeme op = parser->token;
    if (!nb_parser_sees(parser, NB_LEXEME_SUBTRACT) && !nb_parser_sees(parser, NB_LEXEME_ADD))
        return read_power(parser);
    if (!nb_parser_descend(parser))
        return NULL;
    nb_parser_advance(parser);
    nb_node *node = nb_parser_node(parser, NB_NODE_UNARY, op.at);
    if (node)
        node->op = op.kind;
    nb_parser_add(parser, node, read_unary(parser));
    parser->depth--;
    return node;
}

static nb_node *read_product(nb_parser *parser)
{
    nb_node *left = read_unary(parser);
    while (parser->status == NB_OK && parser->token.kind >= NB_LEXEME_MULTIPLY &&
           parser->token.kind <= NB_LEXEME_MATMUL && parser->token.kind != NB_LEXEME_POWER) {
        const nb_lexeme op = parser->token;
        nb_parser_advance(parser);
        left = binary(parser, &op, left, read_unary(parser));
    }
    return left;
}

/* Where no tolerance can stand, +- is a plus and a sign. */
static nb_node *read_sum(nb_parser *parser)
{
    nb_node *left = read_product(parser);
    while (parser->status == NB_OK) {
        nb_lexeme op = parser->token;
        if (op.kind == NB_LEXEME_WITHIN && !parser->within)
            op.kind = NB_LEXEME_SUBTRACT;
        if (op.kind != NB_LEXEME_ADD && op.kind != NB_LEXEME_SUBTRACT)
            break;
        nb_parser_advance(parser);
        left = binary(parser, &op, left, read_product(parser));
    }
    return left;
}

static bool is_comparison(nb_lexeme_kind kind)
{
    return kind >= NB_LEXEME_EQUAL && kind <= NB_LEXEME_GREATER_EQUAL;
}

static nb_node *read_comparison(nb_parser *parser)
{
    nb_node *left = read_sum(parser);
    const nb_lexeme op = parser->token;
    if (parser->status != NB_OK || !is_comparison(op.kind))
        return left;
    const bool tolerant = op.kind == NB_LEXEME_EQUAL || op.kind == NB_LEXEME_NOT_EQUAL,
               outside = parser->within;
    nb_parser_advance(parser);
    parser->within = tolerant;
    nb_node *node = binary(parser, &op, left, read_sum(parser));
    if (tolerant && nb_parser_takes(parser, NB_LEXEME_WITHIN))
        nb_parser_add(parser, node, read_sum(parser));
    parser->within = outside;
    if (is_comparison(parser->token.kind))
        return nb_parser_fail(parser, parser->token.at,
                              "comparisons do not chain: write a < b and b < c, not a < b < c");
    return node;
}

static nb_node *read_not(nb_parser *parser)
{
    const size_t at = parser->token.at;
    if (!nb_parser_sees(parser, NB_LEXEME_NOT))
        return read_comparison(parser);
    if (!nb_parser_descend(parser))
        return NULL;
    nb_parser_advance(parser);
    nb_node *node = nb_parser_node(parser, NB_NODE_UNARY, at);
    if (node)
        node->op = NB_LEXEME_NOT;
    nb_parser_add(parser, node, read_not(parser));
    parser->depth--;
    return node;
}

static nb_node *read_and(nb_parser *parser)
{
    nb_node *left = read_not(parser);
    while (parser->status == NB_OK && nb_parser_sees(parser, NB_LEXEME_AND)) {
        const nb_lexeme op = parser->token;
        nb_parser_advance(parser);
        left = binary(parser, &op, left, read_not(parser));
    }
    return left;
}

nb_node *nb_parser_expression(nb_parser *parser)
{
    if (!nb_parser_descend(parser))
        return NULL;
    nb_node *left = read_and(parser);
    while (parser->status == NB_OK && nb_parser_sees(parser, NB_LEXEME_OR)) {
        const nb_lexeme op = parser->token;
        nb_parser_advance(parser);
        left = binary(parser, &op, left, read_and(parser));
    }
    parser->depth--;
    return left;
}

nb_node *nb_parser_expressions(nb_parser *parser)
{
    const size_t at = parser->token.at;
    nb_node *first = nb_parser_expression(parser);
    if (!nb_parser_sees(parser, NB_LEXEME_COMMA))
        return first;
    nb_node *list = nb_parser_node(parser, NB_NODE_LIST, at);
    nb_parser_add(parser, list, first);
    while (nb_parser_takes(parser, NB_LEXEME_COMMA))
        nb_parser_add(parser, list, nb_parser_expression(parser));
    return list;
}
