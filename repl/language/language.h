/* The language of a notebook: expressions over numbers, texts and arrays, variables, functions of one's own.
 *
 *   x = [1.2, -0.5, 5.4]; s = max(abs(x)) / 127        blk.0.attn_q[0:4, :]        x[x > 1] = 1
 *   def mine(x, bits=4) = round(x / s)                  def ... end, if/elif/else/end, for/end, while/end
 *   s == 5.4 / 127 +- 1e-6                              true where both are that near
 *
 * A number is f64, an array f32 (array/array.h). Names mean, in this order: a variable, a constant, a
 * function, a tensor of the loaded model, whose numbers as they are stored now become an array. */
#ifndef NB_REPL_LANGUAGE_H
#define NB_REPL_LANGUAGE_H

#include "repl/items.h"
#include "repl/language/value.h"

struct nb_notebook;
typedef struct nb_language nb_language;

/* `notebook` outlives it. */
nb_status nb_language_create(struct nb_notebook *notebook, nb_language **out, nb_error *error);
void nb_language_destroy(nb_language **language);

/* ---- running ---- */

/* Runs statements (what nb_parse_line calls one expression). The last one's value is kept as that of cell
 * `cell` and, if `show`, added to the items. An error that has a place in the text adds that line with a
 * caret. */
nb_status nb_language_run(nb_language *language, const char *text, size_t n_bytes, unsigned cell, bool show,
                          nb_items *items, nb_error *error);
/* The value of an expression, with nothing kept: neither variables nor _. For checks of lessons. What it
 * holds is the caller's to release. */
nb_status nb_language_evaluate(nb_language *language, const char *text, nb_value *out, nb_error *error);
/* The same of a condition: whether it holds. */
nb_status nb_language_holds(nb_language *language, const char *text, bool *out, nb_error *error);
/* Calls a function of that name (the learner's own, or one of the language) with one array. What it prints
 * goes to the items, which may be NULL. */
nb_status nb_language_apply(nb_language *language, const char *function, const nb_value *argument,
                            nb_items *items, nb_value *out, nb_error *error);
/* A tensor's numbers as an array: as it is stored now, or as it was. */
nb_status nb_language_tensor(nb_language *language, const char *name, bool original, nb_value *out,
                             nb_error *error);
/* NB_OK if `name` can be called with one array; else the nearest name. */
nb_status nb_language_check_function(nb_language *language, const char *name, nb_error *error);

/* ---- variables ---- */

/* Sets a variable, as `name = value` does: for parameters and lessons. The value stays the caller's. */
nb_status nb_language_define(nb_language *language, const char *name, const nb_value *value, nb_error *error);
/* The same from text: a number, quoted or bare text: "4", "absmax". */
nb_status nb_language_define_text(nb_language *language, const char *name, const char *text, nb_error *error);
/* A variable; false if there is none of that name. Borrowed until the next run. */
bool nb_language_variable(const nb_language *language, const char *name, nb_value *out);
/* Names of the variables and of the learner's functions, in the order of their definition; NULL beyond. */
const char *nb_language_variable_at(const nb_language *language, size_t index);
bool nb_language_variable_is_function(const nb_language *language, size_t index);
/* What `name` is, and the text of a function of the learner; false if it is none of theirs. */
bool nb_language_describe(const nb_language *language, const char *name, nb_items *out);
/* Forgets variables, functions and results. */
void nb_language_reset(nb_language *language);

/* What a command computed becomes `_` and the value of its cell. */
void nb_language_keep_result(nb_language *language, unsigned cell, double number);

/* Where arrays of this notebook live; limit_bytes may be set. */
nb_array_space *nb_language_space(nb_language *language);

/* ---- its text ---- */

/* How far the statement goes that begins at text[at..n): over open brackets, quotes and blocks. *end is
 * behind its newline or `;`, or n. False if it is not finished. */
bool nb_language_extent(const char *text, size_t n, size_t at, size_t *end);
/* Whether a name is a word of the language: def, if, and, ... */
bool nb_language_is_keyword(const char *name, size_t n_bytes);
/* Whether a variable can be called that. */
bool nb_language_is_name(const char *name);

/* Functions of the language, in the order of `help functions`. */
typedef struct nb_function_row nb_function_row;
size_t nb_function_count(void);
const nb_function_row *nb_function_at(size_t index);
const nb_function_row *nb_function_find(const char *name);
const char *nb_function_name(const nb_function_row *row);
void nb_function_describe(const nb_function_row *row, nb_items *out);
/* The same of `def`, `if`, `for` ...; false if it is none of these. */
bool nb_keyword_describe(const char *name, nb_items *out);
/* The words that it knows, one after the other; NULL after the last. */
const char *nb_keyword_at(size_t index);
void nb_function_list(nb_items *out);

#endif
