/* The inside of a tokenizer, shared by tokenizer.c and the two kinds of BPE in spm.c and bpe.c.
 *
 * A piece is the bytes that a token stands for. Tokens that plain text may become are found by their piece,
 * so neither U+2581 nor the byte-level alphabet is met again after loading. A symbol is a number for a piece:
 * the tokens come first, then characters that occur inside tokens without being one. */
#ifndef NB_TEXT_TOKENIZER_PARTS_H
#define NB_TEXT_TOKENIZER_PARTS_H

#include "text/merge.h"
#include "text/pretokenizer.h"
#include "text/specials.h"
#include "text/symbols.h"
#include "text/tokenizer.h"

enum {
    NB_TOKEN_SETTLED = 1, /* its whole piece, as a word of its own, becomes this one token */
    NB_TOKEN_ENDS = 2,    /* the model says with it that it is done */
};

struct nb_tokenizer {
    nb_vocabulary vocabulary; /* a copy, its texts in text_arena */
    char *text_arena;
    char kind[96];
    bool byte_level;

    nb_string *pieces; /* [symbols], in piece_arena: the tokens', then characters that occur in them */
    char *piece_arena;
    uint8_t *flags; /* [n_tokens] NB_TOKEN_SETTLED | NB_TOKEN_ENDS */

    nb_symbol_table symbols; /* by piece: tokens that plain text may become, and those characters */
    nb_pair_table pairs;
    uint32_t byte_symbols[256]; /* the symbol of one byte alone */
    int32_t byte_tokens[256];   /* what stands for a byte that belongs to no token: -1, none */
    nb_specials specials;

    bool words_split;              /* spm: no token goes on after a word's end, so words are encoded alone */
    nb_pretokenizer *pretokenizer; /* bpe */
};

/* What one call to encode works with. */
typedef struct nb_encoder {
    const nb_tokenizer *tokenizer;
    nb_merge_piece piece;
    char *normalized; /* spm: the fragment with its space prefix */
    size_t normalized_capacity;
    nb_tokens *out;
} nb_encoder;

void nb_encoder_free(nb_encoder *encoder);
/* Encodes a stretch of text that no merge leaves: one lookup if it is a settled token, else symbols and
 * merges. */
nb_status nb_encoder_piece(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error);
/* The same without the lookup. */
nb_status nb_encoder_merge(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error);
nb_status nb_tokenizer_no_memory(nb_error *error);
/* NB_TOKEN_NORMAL where the vocabulary has no types. */
int32_t nb_vocabulary_type(const nb_vocabulary *vocabulary, size_t token);
/* True for tokens that plain text may become. */
bool nb_vocabulary_is_text(const nb_vocabulary *vocabulary, size_t token);
/* The byte of a text like "<0x0A>", else -1. */
int nb_byte_token_value(nb_string text);

/* Each kind of BPE: the piece that a text stands for (written to `piece`, which has room for the text; false
 * if plain text never becomes it), the tables behind merging, and a fragment between two special tokens. */
bool nb_spm_piece(nb_string text, char *piece, size_t *n_bytes);
nb_status nb_spm_prepare(nb_tokenizer *tokenizer, nb_error *error);
nb_status nb_spm_encode(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error);
/* The other way round, in the byte-level alphabet: at most two bytes for each. Returns their number. */
size_t nb_bpe_spell(nb_string piece, char *text);
bool nb_bpe_piece(nb_string text, char *piece, size_t *n_bytes);
nb_status nb_bpe_prepare(nb_tokenizer *tokenizer, nb_error *error);
nb_status nb_bpe_encode(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error);

#endif
