/* Statements, and the whole of a text. */
#include "repl/language/language.h"
#include "repl/language/parser.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static nb_node *read_statement(nb_parser *parser);

/* Behind a condition: Python's colon is passed over, and = is not what was meant. */
static void pass_colon(nb_parser *parser)
{
    if (nb_parser_sees(parser, NB_LEXEME_ASSIGN))
        nb_parser_fail(parser, parser->token.at, "= gives a name its value; == compares");
    nb_parser_takes(parser, NB_LEXEME_COLON);
}

static bool ends_block(const nb_parser *parser)
{
    return nb_parser_sees(parser, NB_LEXEME_END) || nb_parser_sees(parser, NB_LEXEME_END_BLOCK) ||
           nb_parser_sees(parser, NB_LEXEME_ELIF) || nb_parser_sees(parser, NB_LEXEME_ELSE);
}

/* Statements up to end, elif, else or the end of the text. */
static nb_node *read_block(nb_parser *parser)
{
    nb_node *block = nb_parser_node(parser, NB_NODE_BLOCK, parser->token.at);
    while (parser->status == NB_OK) {
        while (nb_parser_takes(parser, NB_LEXEME_SEPARATOR))
            continue;
        if (ends_block(parser))
            break;
        nb_parser_add(parser, block, read_statement(parser));
        if (!ends_block(parser) && !nb_parser_sees(parser, NB_LEXEME_SEPARATOR))
            return nb_parser_refuse(parser, "an operator or the end of the statement");
    }
    return block;
}

/* A block and its `end`. */
static nb_node *read_body(nb_parser *parser, size_t opened, const char *what)
{
    if (!nb_parser_descend(parser))
        return NULL;
    nb_node *block = read_block(parser);
    parser->depth--;
    if (nb_parser_takes(parser, NB_LEXEME_END_BLOCK))
        return block;
    if (nb_parser_sees(parser, NB_LEXEME_END))
        return nb_parser_fail(parser, opened,
                              "this %s has no end: the word end closes it, on a line of its own", what);
    return nb_parser_refuse(parser, "end");
}

static nb_node *read_if(nb_parser *parser)
{
    const size_t at = parser->token.at;
    nb_node *node = nb_parser_node(parser, NB_NODE_IF, at);
    if (!nb_parser_descend(parser))
        return NULL;
    do {
        nb_parser_advance(parser); /* if, elif */
        nb_parser_add(parser, node, nb_parser_expression(parser));
        pass_colon(parser);
        nb_parser_add(parser, node, read_block(parser));
    } while (parser->status == NB_OK && nb_parser_sees(parser, NB_LEXEME_ELIF));
    if (nb_parser_takes(parser, NB_LEXEME_ELSE)) {
        if (nb_parser_sees(parser, NB_LEXEME_IF))
            return nb_parser_fail(parser, parser->token.at, "else if is one word here: elif");
        pass_colon(parser);
        nb_parser_add(parser, node, read_block(parser));
    }
    parser->depth--;
    if (nb_parser_sees(parser, NB_LEXEME_END))
        return nb_parser_fail(parser, at, "this if has no end: the word end closes it, on a line of its own");
    return nb_parser_expects(parser, NB_LEXEME_END_BLOCK, "the branches of an if") ? node : NULL;
}

static nb_node *read_for(nb_parser *parser)
{
    const size_t at = parser->token.at;
    nb_node *node = nb_parser_node(parser, NB_NODE_FOR, at);
    nb_parser_advance(parser);
    const nb_lexeme name = parser->token;
    if (!nb_parser_expects(parser, NB_LEXEME_NAME, "for"))
        return NULL;
    if (memchr(parser->lexer.text + name.at, '.', name.n_bytes))
        return nb_parser_fail(parser, name.at, "a variable has no dots in its name");
    nb_parser_add(parser, node, nb_parser_named(parser, NB_NODE_NAME, &name));
    if (!nb_parser_expects(parser, NB_LEXEME_IN, "the variable of a for"))
        return NULL;
    nb_parser_add(parser, node, nb_parser_expression(parser));
    pass_colon(parser);
    parser->n_loops++;
    nb_parser_add(parser, node, read_body(parser, at, "for"));
    parser->n_loops--;
    return node;
}

static nb_node *read_while(nb_parser *parser)
{
    const size_t at = parser->token.at;
    nb_node *node = nb_parser_node(parser, NB_NODE_WHILE, at);
    nb_parser_advance(parser);
    nb_parser_add(parser, node, nb_parser_expression(parser));
    pass_colon(parser);
    parser->n_loops++;
    nb_parser_add(parser, node, read_body(parser, at, "while"));
    parser->n_loops--;
    return node;
}

/* ---- def ---- */

static bool is_parameter_taken(const nb_node *def, const nb_node *parameter)
{
    for (size_t i = 0; i < def->n_children; i++) {
        if (strcmp(def->children[i]->text, parameter->text) == 0)
            return true;
    }
    return false;
}

static bool read_parameters(nb_parser *parser, nb_node *def)
{
    bool defaults = false;
    while (parser->status == NB_OK && !nb_parser_sees(parser, NB_LEXEME_CLOSE)) {
        const nb_lexeme name = parser->token;
        if (!nb_parser_takes(parser, NB_LEXEME_NAME)) {
            nb_parser_refuse(parser, "the name of a parameter");
            return false;
        }
        const bool has_default = nb_parser_takes(parser, NB_LEXEME_ASSIGN);
        nb_node *parameter = nb_parser_named(parser, has_default ? NB_NODE_NAMED : NB_NODE_NAME, &name);
        if (parameter && !nb_language_is_name(parameter->text))
            nb_parser_fail(parser, name.at, "a parameter cannot be called %.60s", parameter->text);
        else if (parameter && is_parameter_taken(def, parameter))
            nb_parser_fail(parser, name.at, "two parameters are called %.60s", parameter->text);
        else if (defaults && !has_default)
            nb_parser_fail(parser, name.at, "parameters without a default come before those with one");
        defaults = has_default;
        if (has_default)
            nb_parser_add(parser, parameter, nb_parser_expression(parser));
        nb_parser_add(parser, def, parameter);
        if (!nb_parser_takes(parser, NB_LEXEME_COMMA))
            break;
    }
    return nb_parser_expects(parser, NB_LEXEME_CLOSE, "the parameters");
}

/* def f(x) = EXPRESSION is a body of one return. */
static nb_node *read_short_body(nb_parser *parser)
{
    nb_node *block = nb_parser_node(parser, NB_NODE_BLOCK, parser->token.at);
    nb_node *result = nb_parser_node(parser, NB_NODE_RETURN, parser->token.at);
    nb_parser_add(parser, result, nb_parser_expressions(parser));
    nb_parser_add(parser, block, result);
    return block;
}

static nb_node *read_def(nb_parser *parser)
{
    const size_t at = parser->token.at;
    if (parser->in_function)
        return nb_parser_fail(parser, at, "a function cannot be defined inside another one");
    nb_parser_advance(parser);
    const nb_lexeme name = parser->token;
    if (!nb_parser_expects(parser, NB_LEXEME_NAME, "def"))
        return NULL;
    nb_node *def = nb_parser_named(parser, NB_NODE_DEF, &name);
    if (def && !nb_language_is_name(def->text))
        return nb_parser_fail(parser, name.at, "a function cannot be called %.60s", def->text);
    if (!def || !nb_parser_expects(parser, NB_LEXEME_OPEN, "the name of a function") ||
        !read_parameters(parser, def))
        return NULL;
    const size_t loops = parser->n_loops;
    parser->in_function = true;
    parser->n_loops = 0;
    if (nb_parser_takes(parser, NB_LEXEME_ASSIGN)) {
        nb_parser_add(parser, def, read_short_body(parser));
    } else {
        pass_colon(parser);
        nb_parser_add(parser, def, read_body(parser, at, "def"));
    }
    parser->in_function = false;
    parser->n_loops = loops;
    return def;
}

/* ---- assignment ---- */

static bool is_assignment(nb_lexeme_kind kind)
{
    return kind >= NB_LEXEME_ASSIGN && kind <= NB_LEXEME_DIVIDE_ASSIGN;
}

static bool can_be_assigned(nb_parser *parser, const nb_node *target)
{
    if (target->kind == NB_NODE_INDEX && target->children[0]->kind == NB_NODE_NAME)
        target = target->children[0];
    if (target->kind != NB_NODE_NAME)
        nb_parser_fail(parser, target->at,
                       "only a name, or a part x[...] of one, can be given a value; == compares");
    else if (memchr(target->text, '.', target->n_bytes))
        nb_parser_fail(
            parser, target->at,
            "%.80s is a tensor's name: quantize and transform change tensors, variables have no dots",
            target->text);
    else if (target->text[0] == '_' && target->n_bytes > 1 &&
             strspn(target->text + 1, "0123456789") == target->n_bytes - 1)
        nb_parser_fail(parser, target->at, "%s is the result of a cell, and no variable", target->text);
    else if (!nb_language_is_name(target->text))
        nb_parser_fail(parser, target->at, "a variable cannot be called %.80s", target->text);
    return parser->status == NB_OK;
}

static nb_node *read_assignment(nb_parser *parser, nb_node *targets)
{
    nb_node *node = nb_parser_node(parser, NB_NODE_ASSIGN, parser->token.at);
    if (!node)
        return NULL;
    node->op = parser->token.kind;
    const bool several = targets->kind == NB_NODE_LIST;
    for (size_t i = 0; i < (several ? targets->n_children : 1); i++) {
        nb_node *target = several ? targets->children[i] : targets;
        if (!can_be_assigned(parser, target))
            return NULL;
        nb_parser_add(parser, node, target);
    }
    if (several && node->op != NB_LEXEME_ASSIGN)
        return nb_parser_fail(parser, node->at, "only = gives several names their values at once");
    nb_parser_advance(parser);
    nb_node *value = nb_parser_expressions(parser);
    if (is_assignment(parser->token.kind))
        return nb_parser_fail(parser, parser->token.at,
                              "one = a statement: give each name its value in turn");
    nb_parser_add(parser, node, value);
    return node;
}

static nb_node *read_simple(nb_parser *parser)
{
    const size_t at = parser->token.at;
    nb_node *value = nb_parser_expressions(parser);
    if (!value)
        return NULL;
    if (is_assignment(parser->token.kind))
        return read_assignment(parser, value);
    nb_node *node = nb_parser_node(parser, NB_NODE_EXPRESSION, at);
    nb_parser_add(parser, node, value);
    return node;
}

static nb_node *read_return(nb_parser *parser)
{
    nb_node *node = nb_parser_node(parser, NB_NODE_RETURN, parser->token.at);
    if (!parser->in_function)
        return nb_parser_fail(parser, parser->token.at, "return stands inside a function: def f(x) ... end");
    nb_parser_advance(parser);
    if (!ends_block(parser) && !nb_parser_sees(parser, NB_LEXEME_SEPARATOR))
        nb_parser_add(parser, node, nb_parser_expressions(parser));
    return node;
}

static nb_node *read_jump(nb_parser *parser)
{
    const nb_lexeme token = parser->token;
    if (parser->n_loops == 0)
        return nb_parser_fail(parser, token.at, "%s stands inside a loop: for or while",
                              nb_lexeme_name(token.kind));
    nb_parser_advance(parser);
    return nb_parser_node(parser, token.kind == NB_LEXEME_BREAK ? NB_NODE_BREAK : NB_NODE_CONTINUE, token.at);
}

static nb_node *read_statement(nb_parser *parser)
{
    switch (parser->token.kind) {
    case NB_LEXEME_DEF:
        return read_def(parser);
    case NB_LEXEME_IF:
        return read_if(parser);
    case NB_LEXEME_FOR:
        return read_for(parser);
    case NB_LEXEME_WHILE:
        return read_while(parser);
    case NB_LEXEME_RETURN:
        return read_return(parser);
    case NB_LEXEME_BREAK:
    case NB_LEXEME_CONTINUE:
        return read_jump(parser);
    default:
        return read_simple(parser);
    }
}

/* ---- a text ---- */

static nb_status read_root(nb_parser *parser)
{
    nb_parser_advance(parser);
    parser->tree->root = read_block(parser);
    if (parser->status == NB_OK && !nb_parser_sees(parser, NB_LEXEME_END))
        nb_parser_fail(parser, parser->token.at, "%s closes nothing here",
                       nb_lexeme_name(parser->token.kind));
    return parser->status;
}

nb_status nb_tree_read(const char *text, size_t n_bytes, nb_tree **out, size_t *place, nb_error *error)
{
    nb_tree *tree = nb_calloc(1, sizeof *tree);
    *out = NULL;
    *place = 0;
    if (tree) {
        tree->n_references = 1;
        tree->text = nb_calloc(n_bytes + 1, 1);
    }
    if (!tree || !tree->text) {
        nb_tree_release(&tree);
        return nb_fail(error, NB_ERR_MEMORY, "no memory to read this cell");
    }
    memcpy(tree->text, text, n_bytes);
    tree->n_bytes = n_bytes;
    nb_parser parser = {.lexer = {.text = tree->text, .n_bytes = n_bytes}, .tree = tree, .error = error};
    nb_status status = read_root(&parser);
    *place = parser.place;
    if (status != NB_OK)
        nb_tree_release(&tree);
    *out = tree;
    return status;
}
