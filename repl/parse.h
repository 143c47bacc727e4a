/* Lines into words. The notebook, -c, pipes and files speak this one language. */
#ifndef NB_REPL_PARSE_H
#define NB_REPL_PARSE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum nb_line_kind {
    NB_LINE_EMPTY,   /* blank, or a comment */
    NB_LINE_COMMAND, /* words[0] is a name */
    NB_LINE_SHELL,   /* !... : words[0] is everything after the mark */
    NB_LINE_HELP,    /* ?NAME or NAME? : words[0] is NAME, or there is none */
    NB_LINE_EXPRESSION, /* words[0] is all of it, over several lines if it goes on */
} nb_line_kind;

typedef struct nb_word {
    char *text;
    char *typed; /* as it stands in the line, quotes and all; NULL: as `text` */
    bool quoted; /* it had quotes: never an option */
} nb_word;

typedef struct nb_line {
    nb_line_kind kind;
    nb_word *words;
    size_t n_words;
    bool silent; /* a ; ends it */
} nb_line;

/* Reads the next command of text[*at..n): up to a newline or a `;` outside quotes, which are passed over.
 * Blanks part words; '...' and "..." keep them together, with \n \t \" \\ in double ones; # starts a comment
 * at a word's start. A name followed by =, (, [ or an operator starts an expression, as does anything that is no
 * name, and a name alone that is no command's. An expression goes on over open brackets and to the `end` of its
 * blocks. `line` is to be freed in any case. Errors: a quote that is never closed. */
nb_status nb_parse_line(const char *text, size_t n, size_t *at, nb_line *line, nb_error *error);
void nb_line_free(nb_line *line);
/* True if only blanks, comments and ends of lines follow. */
bool nb_parse_is_over(const char *text, size_t n, size_t at);

/* True if the cell is not finished: its last line ends in a backslash, an open quote, or inside a bracket or a
 * block of an expression. */
bool nb_parse_wants_more(const char *text, size_t n);

/* The word being typed at the end of text[0..n), for completion: where the command that it belongs to starts,
 * where the word itself starts, and whether it is inside quotes ('\'' or '"', else 0). */
typedef struct nb_parse_place {
    size_t command, word;
    char quote;
    bool expression;
} nb_parse_place;
nb_parse_place nb_parse_place_of(const char *text, size_t n);

#endif
