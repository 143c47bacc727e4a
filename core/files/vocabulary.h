/* Tokenizers from files, and into them. */
#ifndef NB_FILES_VOCABULARY_H
#define NB_FILES_VOCABULARY_H

#include "files/gguf.h"
#include "text/tokenizer.h"

/* From the tokenizer.ggml.* keys. NB_OK and *out NULL when the file has none ("none", or no such keys). */
nb_status nb_tokenizer_from_gguf(const nb_gguf *gguf, nb_tokenizer **out, nb_error *error);
/* From llama2.c's tokenizer.bin, which does not say how many tokens it has. */
nb_status nb_tokenizer_from_llama2c(const char *path, size_t n_tokens, nb_tokenizer **out, nb_error *error);
/* The same from bytes that are in memory already; `name` is what sentences call them. */
nb_status nb_tokenizer_from_llama2c_memory(const void *data, size_t size, const char *name, size_t n_tokens,
                                           nb_tokenizer **out, nb_error *error);
/* Llama 2's: SentencePiece, BOS 1 and EOS 2, with texts, scores and types still to be filled in. `name` as
 * above. */
nb_status nb_vocabulary_create_llama(size_t n_tokens, const char *name, nb_vocabulary *out, nb_error *error);
/* Frees the arrays, not what the texts point to. */
void nb_vocabulary_free(nb_vocabulary *vocabulary);

/* From a GGUF that holds a vocabulary, with or without a model; one that has none is refused. */
nb_status nb_tokenizer_load(const char *path, nb_tokenizer **out, nb_error *error);

/* The tokenizer.ggml.* keys. */
nb_status nb_vocabulary_write_gguf(const nb_vocabulary *vocabulary, nb_gguf_writer *writer, nb_error *error);
nb_status nb_tokenizer_write_gguf(const nb_tokenizer *tokenizer, nb_gguf_writer *writer, nb_error *error);
/* A GGUF with these keys and no tensors. */
nb_status nb_vocabulary_save(const nb_vocabulary *vocabulary, const char *path, nb_error *error);

#endif
