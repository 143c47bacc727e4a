/* What a text says, as a tree of nodes. */
#ifndef NB_REPL_LANGUAGE_TREE_H
#define NB_REPL_LANGUAGE_TREE_H

#include "base/status.h"
#include "repl/language/lexer.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum nb_node_kind {
    /* expressions */
    NB_NODE_NUMBER,
    NB_NODE_TEXT,   /* text */
    NB_NODE_NAME,   /* text */
    NB_NODE_ARRAY,  /* [a, b, ...] */
    NB_NODE_LIST,   /* a, b, ... behind `return` or = */
    NB_NODE_UNARY,  /* op ADD, SUBTRACT or NOT */
    NB_NODE_BINARY, /* op, left, right; EQUAL and NOT_EQUAL may have a tolerance as the third child */
    NB_NODE_CALL,   /* text: the function; children: the arguments */
    NB_NODE_NAMED,  /* an argument `text = child` */
    NB_NODE_INDEX,  /* base, then one child a dimension */
    NB_NODE_SLICE,  /* begin, end, step, each of which may be NULL */
    /* statements */
    NB_NODE_BLOCK,
    NB_NODE_EXPRESSION, /* child */
    NB_NODE_ASSIGN,     /* targets (NAME or INDEX), the value last; op: ASSIGN, ADD_ASSIGN, ... */
    NB_NODE_DEF,        /* text: the name; parameters (NAME, or NAMED with a default), the body last */
    NB_NODE_IF,         /* condition, block, condition, block, ..., and a block for else */
    NB_NODE_FOR,        /* NAME, expression, block */
    NB_NODE_WHILE,      /* condition, block */
    NB_NODE_RETURN,     /* child, or none */
    NB_NODE_BREAK,
    NB_NODE_CONTINUE,
} nb_node_kind;

typedef struct nb_node {
    nb_node_kind kind;
    nb_lexeme_kind op;
    size_t at; /* in the text */
    double number;
    const char *text; /* terminated */
    size_t n_bytes;   /* of text */
    struct nb_node **children;
    size_t n_children;
} nb_node;

/* A text and the nodes read from it: as long as somebody holds it, such as a function that it defines. */
typedef struct nb_tree {
    size_t n_references;
    char *text;
    size_t n_bytes;
    nb_node *root; /* a BLOCK */
    struct nb_tree_chunk *chunks;
} nb_tree;

/* Reads statements. On failure *place is where in the text it went wrong. */
nb_status nb_tree_read(const char *text, size_t n_bytes, nb_tree **out, size_t *place, nb_error *error);
nb_tree *nb_tree_retain(nb_tree *tree);
void nb_tree_release(nb_tree **tree);

/* Zeroed memory that lives as long as the tree; NULL when memory is short. */
void *nb_tree_allocate(nb_tree *tree, size_t n_bytes);

/* The row of the text that holds `at`, counted from 1, and where it begins and ends. */
size_t nb_text_row(const char *text, size_t n_bytes, size_t at, size_t *begin, size_t *end);

#endif
