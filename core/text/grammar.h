/* A story grammar: rules with weighted alternatives that expand into text, and tables of people, places and
 * things whose rows are drawn once and then remembered through a story. lessons/story/README.md shows how one
 * is written. A grammar that opened is never changed again, so threads may share it. */
#ifndef NB_TEXT_GRAMMAR_H
#define NB_TEXT_GRAMMAR_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct nb_grammar nb_grammar;

/* Reads and checks a grammar, and the files that it includes (named as seen from its own folder). Refused,
 * with a sentence that begins FILE:LINE: a rule, table, column or variable that nothing defines or nothing
 * uses; a rule that cannot end; a choice among nothing; two alternatives that would read the same; a weight
 * that is no whole number from 1 to 1000000. */
nb_status nb_grammar_open(const char *path, nb_grammar **out, nb_error *error);
/* The same of a text in memory, which may not include files. `name` stands where a path would in errors. */
nb_status nb_grammar_parse(const char *text, size_t n_bytes, const char *name, nb_grammar **out,
                           nb_error *error);
void nb_grammar_close(nb_grammar **grammar);

/* The rules that its `start` line names, which texts can be expanded from. */
size_t nb_grammar_start_count(const nb_grammar *grammar);
const char *nb_grammar_start(const nb_grammar *grammar, size_t index);

/* Bytes of a text. */
typedef struct nb_span {
    size_t begin, end;
} nb_span;

typedef struct nb_story {
    char *text; /* terminated */
    size_t n_bytes;
    /* -log2 of the probability of all choices that were made: the text's own, if no two ways through the
     * grammar write the same text. */
    double bits;
    /* Draws from a table of which nothing was written afterwards: `bits` counts them, but the text does not
     * tell. A good grammar has none. */
    size_t n_hidden;
    nb_span *answers; /* [n_answers]: every <answer>, in order; NULL if there is none */
    size_t n_answers;
    size_t answer_begin, answer_end; /* of the last; both n_bytes if there is none */
} nb_story;
void nb_story_free(nb_story *story);

/* Story number `index` of `seed`: always the same, whatever was expanded before, on any thread. Fails when
 * no alternative or row meets its conditions, or when a story grows without end. */
nb_status nb_grammar_expand(const nb_grammar *grammar, const char *start, uint64_t seed, uint64_t index,
                            nb_story *story, nb_error *error);

/* Answers a number below `total`, which is at least 2. */
typedef uint64_t nb_choose_fn(void *user, uint64_t total);
/* The same with choices made by the caller, who can thus walk through all that a grammar says. */
nb_status nb_grammar_expand_with(const nb_grammar *grammar, const char *start, nb_choose_fn *choose,
                                 void *user, nb_story *story, nb_error *error);

/* Words and punctuation marks: runs of letters, digits, apostrophes, hyphens and bytes beyond ASCII are
 * words; every other printed character is one mark. */
size_t nb_count_words(const char *text, size_t n_bytes);

#endif
