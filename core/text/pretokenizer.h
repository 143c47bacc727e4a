/* What byte-level BPE does first: cut a text into words, digits, punctuation and spaces, by a regular
 * expression that belongs to the vocabulary and is known by a name (tokenizer.ggml.pre). Merges never cross a
 * cut. */
#ifndef NB_TEXT_PRETOKENIZER_H
#define NB_TEXT_PRETOKENIZER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct nb_pretokenizer nb_pretokenizer;

/* Refuses a name that it does not know, and every name in a build without PCRE2. */
nb_status nb_pretokenizer_create(const char *name, nb_pretokenizer **out, nb_error *error);
void nb_pretokenizer_destroy(nb_pretokenizer **pretokenizer);
/* The vocabulary's makers take a whole piece that is a token as that token, whatever the merges
 * make of it. */
bool nb_pretokenizer_ignores_merges(const nb_pretokenizer *pretokenizer);

/* Called for the pieces in order; together they are the text. */
typedef nb_status nb_pretoken_fn(void *user, const char *piece, size_t n_bytes, nb_error *error);
/* `text` is well-formed UTF-8. */
nb_status nb_pretokenizer_split(const nb_pretokenizer *pretokenizer, const char *text, size_t n_bytes,
                                nb_pretoken_fn *fn, void *user, nb_error *error);
/* The same for any bytes. The patterns are defined for characters: a run of bytes that belong to none is a piece
 * of its own. */
nb_status nb_pretokenizer_split_bytes(const nb_pretokenizer *pretokenizer, const char *text, size_t n_bytes,
                                      nb_pretoken_fn *fn, void *user, nb_error *error);

#endif
