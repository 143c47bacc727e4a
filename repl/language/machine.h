/* What the evaluator's files share. */
#ifndef NB_REPL_LANGUAGE_MACHINE_H
#define NB_REPL_LANGUAGE_MACHINE_H

#include "repl/language/functions.h"
#include "repl/language/language.h"
#include "repl/language/tree.h"

enum {
    NB_DEEPEST = 1500,    /* nodes inside each other, through calls too: what the C stack is good for */
    NB_DEEPEST_CALL = 200 /* functions that call each other */
};

/* One of the learner's, or one of the table. */
typedef struct nb_function {
    size_t n_references;
    const nb_function_row *row; /* NULL: the learner's */
    nb_tree *tree;
    const nb_node *def;
} nb_function;

typedef struct nb_variable {
    char *name;
    nb_value value;
} nb_variable;

typedef struct nb_variables {
    nb_variable *items; /* in the order of their definition */
    size_t count, capacity;
} nb_variables;

nb_value *nb_variables_find(const nb_variables *variables, const char *name);
/* Takes over the value's reference, on failure too. */
nb_status nb_variables_set(nb_variables *variables, const char *name, nb_value value, nb_error *error);
nb_status nb_variables_copy(const nb_variables *from, nb_variables *to, nb_error *error);
void nb_variables_free(nb_variables *variables);

typedef struct nb_result {
    unsigned cell;
    nb_value value;
} nb_result;

struct nb_language {
    struct nb_notebook *notebook;
    nb_array_space space;
    nb_variables globals;
    nb_variables *locals; /* of the function that runs; NULL: none does */
    nb_result *results;   /* of cells, ascending */
    size_t n_results;
    nb_random random; /* what randn and rand draw from unless told a seed */
    nb_items *items;  /* where print goes; NULL: nowhere */
    size_t depth, n_calls;
    uint64_t n_steps;    /* of this run: what its progress counts; 0: it is somebody else's */
    const nb_tree *tree; /* that is being run */
    /* Where the first error of this run happened: in `failed_tree`, which is held. */
    nb_tree *failed_tree;
    size_t failed_at;
    bool failed_named; /* the sentence says in which function */
};

/* Gives NB_ERR_CANCELLED if somebody asked to stop. */
nb_status nb_language_check_stop(nb_language *language, nb_error *error);
/* Remembers where an error happened, unless a place inside is known already. Returns `status`. */
nb_status nb_language_failed_at(nb_language *language, const nb_node *node, nb_status status);

/* ---- evaluate.c ---- */
nb_status nb_evaluate(nb_language *language, const nb_node *node, nb_value *out, nb_error *error);
nb_status nb_evaluate_binary(nb_language *language, nb_lexeme_kind op, const nb_value *left,
                             const nb_value *right, nb_value *out, nb_error *error);
/* The value of a condition; an array of several numbers is none. */
nb_status nb_evaluate_condition(nb_language *language, const nb_node *node, bool *out, nb_error *error);

/* ---- names.c ---- */
nb_status nb_name_value(nb_language *language, const char *name, nb_value *out, nb_error *error);
/* A variable of that name: a local one, or a global one; NULL if there is none. */
nb_value *nb_name_variable(const nb_language *language, const char *name);
/* The tensor's numbers, as stored now or as they were. */
nb_status nb_name_tensor(nb_language *language, const char *name, bool original, nb_value *out,
                         nb_error *error);
nb_status nb_name_unknown(const nb_language *language, const char *name, bool function, nb_error *error);

/* ---- subscript.c ---- */
nb_status nb_subscript(nb_language *language, const nb_value *base, const nb_node *index, nb_value *out,
                       nb_error *error);
/* *base is the variable's own value, which is replaced. */
nb_status nb_subscript_assign(nb_language *language, nb_value *base, const nb_node *index,
                              const nb_value *value, nb_error *error);

/* ---- call.c ---- */
nb_status nb_call_node(nb_language *language, const nb_node *call, nb_value *out, nb_error *error);
nb_status nb_call_function(nb_language *language, const nb_function *function, const nb_value *arguments,
                           size_t n, nb_value *out, nb_error *error);
nb_status nb_function_of_row(const nb_function_row *row, nb_value *out, nb_error *error);

/* ---- execute.c ---- */
typedef enum nb_flow { NB_FLOW_NEXT, NB_FLOW_RETURN, NB_FLOW_BREAK, NB_FLOW_CONTINUE } nb_flow;
/* RETURN leaves its value in *out. At the top, the value of an expression that comes last does so too. */
nb_status nb_execute_block(nb_language *language, const nb_node *block, nb_value *out, nb_flow *flow,
                           nb_error *error);

#endif
