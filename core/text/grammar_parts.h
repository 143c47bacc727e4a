/* The inside of a grammar: what grammar_read.c and grammar_pieces.c make of the text, grammar_check.c
 * resolves, and grammar_expand.c walks. Names and texts are numbers of interned strings. */
#ifndef NB_TEXT_GRAMMAR_PARTS_H
#define NB_TEXT_GRAMMAR_PARTS_H

#include "base/view.h"
#include "text/grammar.h"
#include "text/symbols.h"

#include <stdbool.h>

#define NB_NONE UINT32_MAX

/* Characters that stand for what only the joining of texts can decide (story_text.c). */
enum { NB_MARK_CAPITAL = 1, NB_MARK_ARTICLE = 2 };

enum {
    NB_MAX_WEIGHT = 1000000,
    NB_MAX_COLUMNS = 32,
    NB_MAX_TABLES = 64, /* sets of tables are bits of a word */
    NB_MAX_NESTING = 32,
    NB_MAX_FILES = 32,
};

typedef struct nb_place {
    uint32_t file, line;
} nb_place;

typedef enum nb_test {
    NB_TEST_EQUAL,     /* column = word, column = variable.column */
    NB_TEST_DIFFERENT, /* != */
    NB_TEST_HAS,       /* the cell's words include it */
    NB_TEST_LACKS,
    NB_TEST_NOT_ROW, /* not variable */
} nb_test;

typedef struct nb_condition {
    nb_test test;
    nb_place place;
    uint32_t left_variable; /* NB_NONE: the row that is being drawn */
    uint32_t left_column;   /* a name; NB_NONE: the first column */
    uint32_t right_variable, right_column;
    uint32_t right_text; /* NB_NONE: right_variable.right_column */
} nb_condition;

typedef enum nb_piece_kind {
    NB_PIECE_TEXT,
    NB_PIECE_NAME, /* {name}, before it is known to be one of the next two */
    NB_PIECE_RULE,
    NB_PIECE_SHOW,  /* {variable.column} */
    NB_PIECE_DRAW,  /* [variable: table, conditions] */
    NB_PIECE_ALIAS, /* [variable = other] */
    NB_PIECE_ANSWER_BEGIN,
    NB_PIECE_ANSWER_END,
} nb_piece_kind;

typedef struct nb_piece {
    nb_piece_kind kind;
    nb_place place;
    uint32_t name;   /* TEXT: the text; NAME, SHOW: the name; DRAW: the table's name; ALIAS: the other's */
    uint32_t column; /* NAME, SHOW: the column's name or NB_NONE */
    uint32_t target; /* RULE: which rule; SHOW, DRAW, ALIAS: which variable */
    uint32_t other;  /* DRAW: which table; ALIAS: which variable */
    nb_condition *conditions;
    size_t n_conditions;
} nb_piece;

typedef struct nb_alternative {
    nb_place place;
    uint32_t weight;
    uint32_t source; /* its text without what stands in brackets: alternatives of a rule must differ in it */
    nb_condition *conditions;
    size_t n_conditions;
    nb_piece *pieces;
    size_t n_pieces;
} nb_alternative;

typedef struct nb_rule {
    uint32_t name; /* NB_NONE: a choice inside a text, (a|b) */
    nb_place place;
    nb_alternative *alternatives;
    size_t n_alternatives;
    bool reached, ends;
} nb_rule;

typedef struct nb_table_cell {
    uint32_t text;
    uint32_t first_word, n_words; /* in grammar->words */
} nb_table_cell;

typedef struct nb_grammar_table {
    uint32_t name;
    nb_place place;
    uint32_t columns[NB_MAX_COLUMNS];
    size_t n_columns, n_rows;
    nb_table_cell *cells; /* [n_rows][n_columns] */
    nb_place *places;     /* [n_rows] */
    bool used;
} nb_grammar_table;

typedef struct nb_variable {
    uint32_t name;
    nb_place place;
    uint64_t tables; /* a bit for each table whose rows it may hold */
    bool used;
} nb_variable;

struct nb_grammar {
    nb_string *strings; /* each allocated */
    size_t n_strings;
    nb_symbol_table symbols;
    char *files[NB_MAX_FILES]; /* their paths */
    size_t n_files;
    nb_rule *rules;
    size_t n_rules;
    nb_grammar_table *tables;
    size_t n_tables;
    nb_variable *variables;
    size_t n_variables;
    uint32_t *words;
    size_t n_words;
    uint32_t *starts; /* rules */
    nb_place *start_places;
    size_t n_starts;
};

/* Fails as "FILE:LINE: ...". */
nb_status nb_grammar_fail(const nb_grammar *grammar, nb_place place, nb_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
nb_status nb_grammar_no_memory(nb_error *error);
/* The number of a text; NB_NONE when memory is short. */
uint32_t nb_grammar_intern(nb_grammar *grammar, const char *text, size_t n_bytes);
const char *nb_grammar_string(const nb_grammar *grammar, uint32_t string);
/* Makes room for one more element behind `count`, which counts it; NULL when memory is short. New elements
 * are zero. */
void *nb_grammar_append(void **array, size_t *count, size_t size);
/* By name; NB_NONE if there is none. */
uint32_t nb_grammar_find_rule(const nb_grammar *grammar, uint32_t name);
uint32_t nb_grammar_find_table(const nb_grammar *grammar, uint32_t name);
uint32_t nb_grammar_find_variable(const nb_grammar *grammar, uint32_t name);
/* The number of a column of the table; the first for NB_NONE; n_columns if there is none. */
size_t nb_grammar_column(const nb_grammar_table *table, uint32_t name);
bool nb_is_name_character(char c);

/* grammar_pieces.c: an alternative's text, from after its weight; line ends count as spaces. */
nb_status nb_grammar_read_alternative(nb_grammar *grammar, nb_place place, const char *text, size_t n_bytes,
                                      nb_alternative *out, nb_error *error);
/* Writes `text` without its backslashes, a/an and ^ as marks, and returns its new length.
 * `out` has n_bytes. */
size_t nb_grammar_plain_text(const char *text, size_t n_bytes, char *out);
/* grammar_read.c */
nb_status nb_grammar_read_file(nb_grammar *grammar, const char *path, nb_error *error);
nb_status nb_grammar_read_text(nb_grammar *grammar, const char *text, size_t n_bytes, const char *name,
                               nb_error *error);
/* grammar_check.c: resolves names and refuses what cannot work. */
nb_status nb_grammar_check(nb_grammar *grammar, nb_error *error);

void nb_alternative_free(nb_alternative *alternative);
void nb_rule_free(nb_rule *rule);
/* Whether a cell has the text, by the test. */
bool nb_grammar_cell_passes(const nb_grammar *grammar, const nb_table_cell *cell, nb_test test,
                            uint32_t text);

/* story_text.c: joins what an expansion says. One space between words and none before punctuation; a capital
 * after a sentence's end, after an opening quote and where the grammar says ^; a or an as the next word
 * begins. */
typedef struct nb_story_text {
    char *text;
    size_t n_bytes, capacity;
    bool space, capital, article, quoted, failed;
} nb_story_text;
void nb_story_text_add(nb_story_text *out, const char *text, size_t n_bytes);
/* Writes the space that is due, so that what follows begins at n_bytes. */
void nb_story_text_settle(nb_story_text *out);

#endif
