/* Functions of the language as data: one row each. Help, completion, calls and tests read the rows. */
#ifndef NB_REPL_LANGUAGE_FUNCTIONS_H
#define NB_REPL_LANGUAGE_FUNCTIONS_H

#include "formats/format.h"
#include "repl/language/language.h"

enum { NB_MAX_PARAMETERS = 6, NB_MAX_PLACED = 16 };

/* What a function of the table is called with. */
typedef struct nb_application {
    nb_language *language;
    const nb_function_row *row;
    /* By parameter, in the order of the row's usage; NONE where nothing was given. */
    nb_value values[NB_MAX_PARAMETERS];
    /* Of the parameter that may be given several times (its name ends in ...): all of them, borrowed. */
    const nb_value *more;
    size_t n_more;
} nb_application;

typedef nb_status nb_function_run(nb_application *call, nb_value *out, nb_error *error);

/* Parameters are read off the usage: "sum(x, axis=, keep=)" has one that must be given and two that may;
 * "zeros(n, ...)" takes one or more of its first. */
struct nb_function_row {
    const char *name;
    const char *group; /* a heading of `help functions` */
    const char *usage;
    const char *summary; /* one line */
    const char *example; /* a statement that runs as it stands */
    const char *gives;   /* what the example shows */
    nb_function_run *run;
    int op;              /* for functions that share a `run` */
    unsigned takes_name; /* bit i: argument i may be a tensor's or a scope's bare name, and arrives as text */
    unsigned needs_model;
};

/* Parameter `index` of a usage. False beyond the last. */
typedef struct nb_parameter {
    char name[24];
    bool optional, several;
} nb_parameter;
bool nb_function_parameter(const nb_function_row *row, size_t index, nb_parameter *out);

/* ---- reading arguments: by index, with sentences that name the function and the parameter ---- */

static inline bool nb_argument_given(const nb_application *call, size_t index)
{
    return call->values[index].kind != NB_VALUE_NONE;
}
nb_status nb_argument_refuse(const nb_application *call, size_t index, const char *wanted, nb_error *error);
/* A number, or an array of one. */
nb_status nb_argument_number(const nb_application *call, size_t index, double *out, nb_error *error);
/* A whole number in low..high. */
nb_status nb_argument_whole(const nb_application *call, size_t index, double low, double high, double *out,
                            nb_error *error);
nb_status nb_argument_text(const nb_application *call, size_t index, const char **out, nb_error *error);
/* Number or array. */
nb_status nb_argument_operand(const nb_application *call, size_t index, nb_operand *out, nb_error *error);
/* An array; a number becomes one of one element. What is returned is held: to be released. */
nb_status nb_argument_array(const nb_application *call, size_t index, nb_array **out, nb_error *error);

#endif
