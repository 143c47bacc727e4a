/* Commands as data: one row each, in one file each. Help, completion and checks read the rows. */
#ifndef NB_REPL_COMMAND_H
#define NB_REPL_COMMAND_H

#include "base/status.h"
#include "repl/items.h"
#include "repl/parse.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb_notebook;

/* What a word may be: for checks, typos and the Tab key. */
typedef enum nb_word_kind {
    NB_WORD_FLAG, /* options only: no value follows */
    NB_WORD_TEXT,
    NB_WORD_COUNT,    /* a whole number in low..high */
    NB_WORD_NUMBER,   /* any number in low..high */
    NB_WORD_CHOICE,   /* one of `choices` */
    NB_WORD_FILE,     /* to read */
    NB_WORD_NEW_FILE, /* to write */
    NB_WORD_SCOPE,
    NB_WORD_TENSOR,
    NB_WORD_FORMAT,
    NB_WORD_STORAGE, /* a scheme or a FLOAT format: quantize's WHAT */
    NB_WORD_PER,     /* tensor, channel, group:N */
    NB_WORD_COMMAND,
    NB_WORD_SETTING,
    NB_WORD_TRANSFORM,
    NB_WORD_SHAPE,  /* a published model's name, or a number of parameters */
    NB_WORD_LESSON, /* a number, a name, a file; or new, check, list */
    NB_WORD_FUNCTION, /* of the learner */
    NB_WORD_RECIPE, /* a mixture's name, or a file */
    NB_WORD_EXPRESSION, /* of the language: all words up to the options, which have two dashes after it */
} nb_word_kind;

typedef struct nb_option {
    const char *name;  /* "tokens" for --tokens */
    const char *alias; /* another spelling: "temp" beside "temperature"; or NULL */
    char letter;       /* -n, or 0 */
    nb_word_kind kind;
    const char *value; /* "N" in --tokens N; NULL for flags */
    const char *summary;
    const char *choices; /* CHOICE: "f32 int8" */
    double low, high;    /* COUNT, NUMBER: both included */
} nb_option;

typedef struct nb_argument {
    const char *name; /* "SCOPE" */
    nb_word_kind kind;
    bool optional;
} nb_argument;

enum { NB_MAX_OPTIONS = 32, NB_MAX_ARGUMENTS = 4 };

/* Parsed words of one command. */
typedef struct nb_call {
    const struct nb_command *command;
    const char *arguments[NB_MAX_ARGUMENTS]; /* NULL beyond n_arguments */
    size_t n_arguments;
    const nb_word *expression; /* the words of an EXPRESSION argument, of which arguments[] holds the first */
    size_t n_expression;
    struct {
        bool given;
        const char *text;
        double number;
    } options[NB_MAX_OPTIONS]; /* as in the row */
} nb_call;

enum {
    NB_NEEDS_MODEL = 1 << 0,
    NB_UNDOABLE = 1 << 1, /* changes how tensors are stored */
    NB_WRITES_FILES = 1 << 2,
    NB_LEAVES = 1 << 3, /* ends the notebook */
};

typedef nb_status nb_run_fn(struct nb_notebook *notebook, const nb_call *call, nb_items *out,
                            nb_error *error);

typedef struct nb_command {
    const char *name;
    const char *alias; /* exit is quit too; or NULL */
    const char *group; /* a heading of `help` */
    const char *usage;
    const char *summary; /* one line */
    const char *details; /* more, with marks; or NULL */
    const char *examples[3];
    const char *source; /* the paper or standard behind it; or NULL */
    nb_argument arguments[NB_MAX_ARGUMENTS];
    nb_option options[NB_MAX_OPTIONS];
    unsigned needs;
    nb_run_fn *run;
} nb_command;

size_t nb_command_count(void);
const nb_command *nb_command_at(size_t index);
/* By name or alias; NULL if there is none. */
const nb_command *nb_command_find(const char *name);
size_t nb_command_option_count(const nb_command *command);
size_t nb_command_argument_count(const nb_command *command);
/* By --name, --alias or -letter as it is typed; NULL if there is none. */
const nb_option *nb_command_find_option(const nb_command *command, const char *typed);

/* Reads a command's words (without its name) as its row says. Texts are borrowed from `words`. Errors name
 * the word that is wrong and the nearest one that is right. */
nb_status nb_call_read(const nb_command *command, const nb_word *words, size_t n_words, nb_call *call,
                       nb_error *error);

/* The whole text as a number: what nb_parse_f64 reads, and inf, -inf, nan. */
bool nb_word_number(const char *text, double *number);

/* Options of a call by their name; a name that the row lacks is a programmer's mistake. */
bool nb_call_has(const nb_call *call, const char *option);
const char *nb_call_text(const nb_call *call, const char *option, const char *otherwise);
double nb_call_number(const nb_call *call, const char *option, double otherwise);

/* The words of an EXPRESSION from the `first` on, as they were typed, a blank between them; allocated, NULL when memory
 * is short. */
char *nb_call_expression(const nb_call *call, size_t first);

/* "no command "quantise": did you mean quantize?" */
nb_status nb_command_unknown(const char *name, nb_error *error);

#endif
