/* What tests of loading and saving share: one context, and calls that fail the test when they fail. */
#ifndef NB_TESTS_FILES_H
#define NB_TESTS_FILES_H

#include "nibble.h"

/* Rows of 72, 104 and 40 numbers and 40 or 88 rows: tails in every direction. */
extern const nb_synthetic ragged_shape;

/* The group's set-up and tear-down: a context with two threads. */
extern nb_context *file_context;
int file_context_create(void **state);
int file_context_destroy(void **state);

/* `tokenizer` as in nb_load_options. */
nb_model *load_file(const char *path, const char *tokenizer);
/* Loading must end like this, with a sentence that holds `words` and the path. */
void load_is_refused(const char *path, nb_status expected, const char *words);
void save_file(nb_model *model, const char *path);

#endif
