/* Text to token ids and back: SentencePiece-style BPE ("llama") and byte-level BPE ("gpt2"). */
#ifndef NB_TEXT_TOKENIZER_H
#define NB_TEXT_TOKENIZER_H

#include "base/status.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nb_tokenizer nb_tokenizer;

typedef enum nb_token_type { /* the numbers of tokenizer.ggml.token_type */
    NB_TOKEN_NORMAL = 1, NB_TOKEN_UNKNOWN, NB_TOKEN_CONTROL, NB_TOKEN_USER, NB_TOKEN_UNUSED, NB_TOKEN_BYTE,
} nb_token_type;

/* Everything that defines a tokenizer; files/ fills it from GGUF keys or a tokenizer.bin. */
typedef struct nb_vocabulary {
    const char *model;     /* "llama": SentencePiece-style; "gpt2": byte-level */
    const char *pre;       /* "gpt2" only: name of the pre-tokenizer, "default", "gpt-2", "llama-bpe", "qwen2", ... */
    size_t n_tokens;
    nb_string *texts;      /* [n_tokens] as GGUF spells them: U+2581 for a space, or the byte-level alphabet */
    float *scores;         /* [n_tokens] or NULL */
    int32_t *types;        /* [n_tokens] nb_token_type, or NULL: all normal */
    size_t n_merges;
    nb_string *merges;     /* "left right", best first; "gpt2" only */
    int32_t bos, eos, eot, unknown; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
    nb_string chat_template; /* how conversations are written (text/chat.h); empty: it came without */
} nb_vocabulary;

/* Copies what it needs. Refuses models and pre-tokenizers that it does not know, by name, and ids out of range. */
nb_status nb_tokenizer_create(const nb_vocabulary *vocabulary, nb_tokenizer **out, nb_error *error);
void nb_tokenizer_destroy(nb_tokenizer **tokenizer);
/* What it was made from: for saving. */
const nb_vocabulary *nb_tokenizer_vocabulary(const nb_tokenizer *tokenizer);

size_t nb_tokenizer_size(const nb_tokenizer *tokenizer);
const char *nb_tokenizer_kind(const nb_tokenizer *tokenizer); /* "sentencepiece bpe", "byte-level bpe (gpt-2)" */
int32_t nb_tokenizer_bos(const nb_tokenizer *tokenizer); /* -1: none */
int32_t nb_tokenizer_eos(const nb_tokenizer *tokenizer);
bool nb_tokenizer_is_end(const nb_tokenizer *tokenizer, int32_t token); /* eos, eot and their kin */
bool nb_tokenizer_adds_bos(const nb_tokenizer *tokenizer);

typedef struct nb_tokens {
    int32_t *ids;
    size_t count, capacity;
} nb_tokens;
nb_status nb_tokens_push(nb_tokens *tokens, int32_t token, nb_error *error);
void nb_tokens_free(nb_tokens *tokens);

/* Appends the ids of `text` (any bytes; invalid UTF-8 goes through as bytes). add_bos: put BOS first if the
 * model wants one. parse_special: control tokens' texts become their ids. */
nb_status nb_tokenizer_encode(const nb_tokenizer *tokenizer, const char *text, size_t n_bytes, bool add_bos,
                              bool parse_special, nb_tokens *out, nb_error *error);
/* The bytes that a token stands for, into the tokenizer's own storage: a view, not terminated. Control tokens
 * are empty. `previous` is the token before it (-1: none): SentencePiece drops the space after BOS. */
nb_string nb_tokenizer_piece(const nb_tokenizer *tokenizer, int32_t previous, int32_t token);
/* The token as the vocabulary spells it, for showing. */
nb_string nb_tokenizer_text(const nb_tokenizer *tokenizer, int32_t token);
/* All pieces together, allocated; free with free(). */
char *nb_tokenizer_decode(const nb_tokenizer *tokenizer, const int32_t *ids, size_t count, size_t *n_bytes);

/* How many of the last bytes of text[0..n) are the start of a UTF-8 sequence still to be finished (0..3), so
 * that a stream never prints half a character. */
size_t nb_utf8_incomplete(const char *text, size_t n);

#endif
