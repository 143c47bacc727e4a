/* SentencePiece-style BPE: the neighbours whose concatenation is the token with the highest score merge
 * first; a character that no token has is spelled in byte tokens. Spaces are ordinary characters, and a text
 * gets one in front. Source: Kudo and Richardson 2018, arXiv:1808.06226, and SentencePiece's bpe_model.cc. */
#include "base/memory.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>

static const char SPACE_MARK[3] = {(char)0xE2, (char)0x96, (char)0x81}; /* U+2581 */

/* Copies text[0..n) with every U+2581 turned into a space; returns the new length. `out` may be `text`. */
static size_t unmark_spaces(const char *text, size_t n, char *out)
{
    size_t length = 0;
    for (size_t i = 0; i < n;) {
        const char *mark = memchr(text + i, SPACE_MARK[0], n - i);
        size_t plain = mark ? (size_t)(mark - text) - i : n - i;
        memmove(out + length, text + i, plain);
        length += plain;
        i += plain;
        if (i < n && n - i >= sizeof SPACE_MARK && memcmp(text + i, SPACE_MARK, sizeof SPACE_MARK) == 0) {
            out[length++] = ' ';
            i += sizeof SPACE_MARK;
        } else if (i < n) {
            out[length++] = text[i++];
        }
    }
    return length;
}

bool nb_spm_piece(nb_string text, char *piece, size_t *n_bytes)
{
    *n_bytes = unmark_spaces(text.text, text.n_bytes, piece);
    return true;
}

/* The higher the score, the lower the number; equal scores, equal numbers. */
static uint32_t priority_of_score(float score)
{
    score = score == 0 ? 0 : score; /* -0 is 0 */
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

/* A word's end: a space after something that is none. */
static bool word_ends(const char *text, size_t at)
{
    return text[at] == ' ' && text[at - 1] != ' ';
}

typedef struct preparation {
    nb_tokenizer *tokenizer;
    size_t n_symbols, capacity; /* of the tokenizer's pieces */
    uint8_t *has_length;        /* [max_length + 1] whether any symbol has that many bytes */
} preparation;

/* A symbol for a character that is no token; its piece follows those of the tokens. */
static bool add_character(preparation *p, nb_string character)
{
    nb_tokenizer *t = p->tokenizer;
    if (p->n_symbols == p->capacity) {
        size_t capacity = p->capacity + p->capacity / 8 + 64;
        nb_string *larger = nb_realloc(t->pieces, capacity, sizeof *larger);
        if (!larger) {
            return false;
        }
        t->pieces = larger;
        t->symbols.strings = larger;
        p->capacity = capacity;
    }
    t->pieces[p->n_symbols] = character;
    p->has_length[character.n_bytes] = 1;
    return nb_symbol_table_add(&t->symbols, (uint32_t)p->n_symbols++);
}

/* Gives every character of a token's piece a symbol, so that merging can start from characters. */
static bool add_characters(preparation *p, nb_string piece)
{
    for (size_t i = 0; i < piece.n_bytes;) {
        nb_string character = {piece.text + i, nb_utf8_step(piece.text + i, piece.n_bytes - i)};
        if (nb_symbol_table_find(&p->tokenizer->symbols, character.text, character.n_bytes) == NB_NO_SYMBOL &&
            !add_character(p, character)) {
            return false;
        }
        i += character.n_bytes;
    }
    return true;
}

/* Every way to cut a token's piece into two symbols is a pair that merges into it. */
static bool add_pairs(preparation *p, uint32_t token, nb_string piece)
{
    nb_tokenizer *t = p->tokenizer;
    float score = t->vocabulary.scores ? t->vocabulary.scores[token] : 0;
    for (size_t i = nb_utf8_step(piece.text, piece.n_bytes); i < piece.n_bytes;
         i += nb_utf8_step(piece.text + i, piece.n_bytes - i)) {
        if (!p->has_length[i] || !p->has_length[piece.n_bytes - i]) {
            continue;
        }
        nb_pair pair = {.priority = priority_of_score(score), .merged = token};
        pair.left = nb_symbol_table_find(&t->symbols, piece.text, i);
        if (pair.left == NB_NO_SYMBOL) {
            continue;
        }
        pair.right = nb_symbol_table_find(&t->symbols, piece.text + i, piece.n_bytes - i);
        if (pair.right != NB_NO_SYMBOL && !nb_pair_table_add(&t->pairs, pair)) {
            return false;
        }
    }
    return true;
}

/* Whether the token is the one that its piece is found as (the first, if several look alike). */
static bool is_found(const nb_tokenizer *t, size_t token)
{
    nb_string piece = t->pieces[token];
    return nb_vocabulary_is_text(&t->vocabulary, token) && piece.n_bytes > 0 &&
           nb_symbol_table_find(&t->symbols, piece.text, piece.n_bytes) == token;
}

static bool fill_tables(preparation *p)
{
    nb_tokenizer *t = p->tokenizer;
    size_t n = t->vocabulary.n_tokens;
    for (size_t i = 0; i < n; i++) {
        if (is_found(t, i)) {
            p->has_length[t->pieces[i].n_bytes] = 1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (is_found(t, i) && !add_characters(p, t->pieces[i])) {
            return false;
        }
    }
    t->words_split = true;
    for (size_t i = 0; i < n; i++) {
        if (!is_found(t, i)) {
            continue;
        }
        if (!add_pairs(p, (uint32_t)i, t->pieces[i])) {
            return false;
        }
        for (size_t at = 1; at < t->pieces[i].n_bytes && t->words_split; at++) {
            t->words_split = !word_ends(t->pieces[i].text, at);
        }
    }
    return true;
}

static size_t longest_piece(const nb_tokenizer *t)
{
    size_t longest = 4; /* a character */
    for (size_t i = 0; i < t->vocabulary.n_tokens; i++) {
        longest = nb_max_size(longest, t->pieces[i].n_bytes);
    }
    return longest;
}

nb_status nb_spm_prepare(nb_tokenizer *tokenizer, nb_error *error)
{
    const nb_vocabulary *v = &tokenizer->vocabulary;
    for (size_t i = 0; v->scores && i < v->n_tokens; i++) {
        if (isnan(v->scores[i])) {
            return nb_fail(error, NB_ERR_FILE, "token %zu of the vocabulary has a score that is not a number",
                           i);
        }
    }
    preparation p = {tokenizer, v->n_tokens, v->n_tokens, nb_calloc(longest_piece(tokenizer) + 1, 1)};
    bool done = p.has_length && fill_tables(&p);
    free(p.has_length);
    return done ? NB_OK : nb_tokenizer_no_memory(error);
}

/* `text` with a space in front, if the vocabulary wants one, in the encoder's own buffer. */
static nb_status normalize(nb_encoder *encoder, const char *text, size_t n, size_t *length, nb_error *error)
{
    size_t prefix = encoder->tokenizer->vocabulary.add_space_prefix;
    if (n + prefix > encoder->normalized_capacity) {
        char *larger = nb_realloc(encoder->normalized, n + prefix, 1);
        if (!larger) {
            return nb_tokenizer_no_memory(error);
        }
        encoder->normalized = larger;
        encoder->normalized_capacity = n + prefix;
    }
    if (prefix) {
        encoder->normalized[0] = ' ';
    }
    *length = prefix + unmark_spaces(text, n, encoder->normalized + prefix);
    return NB_OK;
}

nb_status nb_spm_encode(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error)
{
    size_t n = 0;
    nb_status status = normalize(encoder, text, n_bytes, &n, error);
    const char *line = encoder->normalized;
    size_t begin = 0;
    for (size_t at = 1; at <= n && status == NB_OK; at++) {
        if (at == n || (encoder->tokenizer->words_split && word_ends(line, at))) {
            status = nb_encoder_piece(encoder, line + begin, at - begin, error);
            begin = at;
        }
    }
    return status;
}
