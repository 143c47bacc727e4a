#include "base/memory.h"
#include "text/tokenizer_parts.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Texts of tokens with which models say that a turn or a document is over, where the file does not say so.
 * Facts from the models' tokenizer_config.json, as llama.cpp collects them. */
static const char *const end_texts[] = {
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    ("<\xEF\xBD\x9C"
     "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"),
};

/* What an unknown token reads as: U+2047 between spaces, as SentencePiece has it. */
static const char unknown_piece[] = " \xE2\x81\x87 ";

nb_status nb_tokenizer_no_memory(nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "there is no memory left for the tokenizer");
}

int32_t nb_vocabulary_type(const nb_vocabulary *vocabulary, size_t token)
{
    int32_t type = vocabulary->types ? vocabulary->types[token] : NB_TOKEN_NORMAL;
    return type == 0 ? NB_TOKEN_NORMAL : type; /* 0: the file's maker did not say */
}

bool nb_vocabulary_is_text(const nb_vocabulary *vocabulary, size_t token)
{
    int32_t type = nb_vocabulary_type(vocabulary, token);
    return type == NB_TOKEN_NORMAL || type == NB_TOKEN_UNUSED ||
           (type == NB_TOKEN_USER && strcmp(vocabulary->model, "llama") == 0);
}

int nb_byte_token_value(nb_string text)
{
    if (text.n_bytes != 6 || memcmp(text.text, "<0x", 3) != 0 || text.text[5] != '>') {
        return -1;
    }
    int value = 0;
    for (int i = 3; i < 5; i++) {
        char c = text.text[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c - 'a' + 10;
        if (digit < 0 || digit > 15) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* ---- making one ---- */

static nb_status check_token(const char *what, int32_t token, size_t n_tokens, nb_error *error)
{
    if (token < -1 || (token >= 0 && (size_t)token >= n_tokens)) {
        return nb_fail(error, NB_ERR_FILE, "the vocabulary's %s token is number %d, but it has %zu tokens",
                       what, (int)token, n_tokens);
    }
    return NB_OK;
}

static nb_status check_vocabulary(const nb_vocabulary *v, nb_error *error)
{
    if (!v->model || (strcmp(v->model, "llama") != 0 && strcmp(v->model, "gpt2") != 0)) {
        return nb_fail(
            error, NB_ERR_UNSUPPORTED,
            "the vocabulary is of the kind \"%.64s\", which nibble does not know; it knows \"llama\" "
            "(SentencePiece-style BPE) and \"gpt2\" (byte-level BPE)",
            v->model ? v->model : "");
    }
    if (v->n_tokens == 0 || v->n_tokens > INT32_MAX / 2) {
        return nb_fail(error, NB_ERR_FILE, "the vocabulary has %zu tokens; it needs 1 to %d", v->n_tokens,
                       INT32_MAX / 2);
    }
    for (size_t i = 0; v->types && i < v->n_tokens; i++) {
        if (v->types[i] < 0 || v->types[i] > NB_TOKEN_BYTE) {
            return nb_fail(error, NB_ERR_FILE,
                           "token %zu of the vocabulary has the type %d; types are 1 to 6", i,
                           (int)v->types[i]);
        }
    }
    nb_status status = check_token("beginning-of-text (bos)", v->bos, v->n_tokens, error);
    status = status ? status : check_token("end-of-text (eos)", v->eos, v->n_tokens, error);
    status = status ? status : check_token("end-of-turn (eot)", v->eot, v->n_tokens, error);
    return status ? status : check_token("unknown", v->unknown, v->n_tokens, error);
}

static nb_string arena_add(char **arena, nb_string text)
{
    nb_string copy = {*arena, text.n_bytes};
    if (text.n_bytes > 0) {
        memcpy(*arena, text.text, text.n_bytes);
    }
    (*arena)[text.n_bytes] = '\0';
    *arena += text.n_bytes + 1;
    return copy;
}

/* Room for all texts with a terminator each. A symbol is a 32-bit number, and no text has more of them than
 * bytes, so that the sum must stay below. */
static bool text_size(const nb_vocabulary *v, size_t *size)
{
    size_t sum = strlen(v->model) + 1 + (v->pre ? strlen(v->pre) : 0) + 1;
    if (!nb_add_size(sum, v->chat_template.n_bytes, &sum) || !nb_add_size(sum, 1, &sum) || sum > INT32_MAX) {
        return false;
    }
    for (size_t i = 0; i < v->n_tokens + v->n_merges; i++) {
        nb_string text = i < v->n_tokens ? v->texts[i] : v->merges[i - v->n_tokens];
        if (!nb_add_size(sum, text.n_bytes, &sum) || !nb_add_size(sum, 1, &sum) || sum > INT32_MAX) {
            return false;
        }
    }
    *size = sum;
    return true;
}

static nb_status copy_vocabulary(nb_tokenizer *t, const nb_vocabulary *v, nb_error *error)
{
    nb_vocabulary *copy = &t->vocabulary;
    size_t size;
    *copy = *v;
    copy->chat_template = (nb_string){"", 0};
    copy->texts = copy->merges = NULL;
    copy->scores = NULL;
    copy->types = NULL;
    if (v->n_merges > INT32_MAX || !text_size(v, &size)) {
        return nb_fail(error, NB_ERR_FILE, "the vocabulary's texts are more than 2 GB");
    }
    t->text_arena = nb_calloc(size, 1);
    copy->texts = nb_calloc(v->n_tokens, sizeof *copy->texts);
    copy->merges = v->n_merges ? nb_calloc(v->n_merges, sizeof *copy->merges) : NULL;
    copy->scores = v->scores ? nb_calloc(v->n_tokens, sizeof *copy->scores) : NULL;
    copy->types = v->types ? nb_calloc(v->n_tokens, sizeof *copy->types) : NULL;
    if (!t->text_arena || !copy->texts || (v->n_merges && !copy->merges) || (v->scores && !copy->scores) ||
        (v->types && !copy->types)) {
        return nb_tokenizer_no_memory(error);
    }
    char *arena = t->text_arena;
    copy->model = arena_add(&arena, nb_string_of(v->model)).text;
    copy->pre = v->pre ? arena_add(&arena, nb_string_of(v->pre)).text : NULL;
    if (v->chat_template.n_bytes > 0) {
        copy->chat_template = arena_add(&arena, v->chat_template);
    }
    for (size_t i = 0; i < v->n_tokens; i++) {
        copy->texts[i] = arena_add(&arena, v->texts[i]);
    }
    for (size_t i = 0; i < v->n_merges; i++) {
        copy->merges[i] = arena_add(&arena, v->merges[i]);
    }
    if (v->scores) {
        memcpy(copy->scores, v->scores, v->n_tokens * sizeof *copy->scores);
    }
    if (v->types) {
        memcpy(copy->types, v->types, v->n_tokens * sizeof *copy->types);
    }
    return NB_OK;
}

/* The bytes of one token, written to `piece` where they are not its text; true if plain text
 * may become it. */
static bool make_piece(const nb_tokenizer *t, size_t token, char *piece, size_t *n_bytes)
{
    nb_string text = t->vocabulary.texts[token];
    int byte = nb_byte_token_value(text);
    int32_t type = nb_vocabulary_type(&t->vocabulary, token);
    if (byte >= 0 && (type == NB_TOKEN_BYTE || (!t->vocabulary.types && !t->byte_level))) {
        piece[0] = (char)byte;
        *n_bytes = 1;
        return false;
    }
    if (type == NB_TOKEN_USER && t->byte_level) {
        memcpy(piece, text.text, text.n_bytes);
        *n_bytes = text.n_bytes;
        return false;
    }
    if (type == NB_TOKEN_CONTROL || type == NB_TOKEN_UNKNOWN) {
        *n_bytes = 0;
        return false;
    }
    bool is_text = t->byte_level ? nb_bpe_piece(text, piece, n_bytes) : nb_spm_piece(text, piece, n_bytes);
    return is_text && *n_bytes > 0 && nb_vocabulary_is_text(&t->vocabulary, token);
}

/* Pieces, the symbols of those that plain text may become, byte tokens. */
static nb_status make_pieces(nb_tokenizer *t, nb_error *error)
{
    const nb_vocabulary *v = &t->vocabulary;
    size_t size;
    t->pieces = nb_calloc(v->n_tokens, sizeof *t->pieces);
    t->flags = nb_calloc(v->n_tokens, sizeof *t->flags);
    t->piece_arena = text_size(v, &size) ? nb_calloc(size, 1) : NULL;
    if (!t->pieces || !t->flags || !t->piece_arena ||
        !nb_symbol_table_create(&t->symbols, t->pieces, v->n_tokens) ||
        !nb_pair_table_create(&t->pairs, nb_max_size(v->n_merges, v->n_tokens))) {
        return nb_tokenizer_no_memory(error);
    }
    char *arena = t->piece_arena;
    for (int b = 0; b < 256; b++) {
        t->byte_tokens[b] = -1;
    }
    for (size_t i = 0; i < v->n_tokens; i++) {
        nb_string piece = {arena, 0};
        bool is_text = make_piece(t, i, arena, &piece.n_bytes);
        arena += piece.n_bytes;
        int32_t type = nb_vocabulary_type(v, i);
        t->pieces[i] = type == NB_TOKEN_UNKNOWN ? nb_string_of(unknown_piece) : piece;
        if (is_text && !nb_symbol_table_add(&t->symbols, (uint32_t)i)) {
            return nb_tokenizer_no_memory(error);
        }
        if (piece.n_bytes == 1 && !is_text && (type == NB_TOKEN_BYTE || !v->types)) {
            int32_t *token = &t->byte_tokens[(unsigned char)piece.text[0]];
            *token = *token < 0 ? (int32_t)i : *token;
        }
    }
    return NB_OK;
}

static nb_status make_specials(nb_tokenizer *t, nb_error *error)
{
    const nb_vocabulary *v = &t->vocabulary;
    nb_specials *specials = &t->specials;
    size_t count = 0;
    for (size_t i = 0; i < v->n_tokens; i++) {
        int32_t type = nb_vocabulary_type(v, i);
        count += type == NB_TOKEN_CONTROL || type == NB_TOKEN_UNKNOWN || type == NB_TOKEN_USER;
    }
    if (count > 0 && !(specials->sorted = nb_calloc(count, sizeof *specials->sorted))) {
        return nb_tokenizer_no_memory(error);
    }
    for (size_t i = 0; i < v->n_tokens; i++) {
        int32_t type = nb_vocabulary_type(v, i);
        bool is_control = type == NB_TOKEN_CONTROL || type == NB_TOKEN_UNKNOWN;
        nb_string text = is_control ? v->texts[i] : t->pieces[i];
        if ((is_control || type == NB_TOKEN_USER) && text.n_bytes > 0) {
            specials->sorted[specials->count++] = (nb_special){text, (int32_t)i, is_control};
        }
    }
    nb_specials_sort(specials);
    return NB_OK;
}

/* Finds the tokens whose own piece merges into them and nothing else: most words of a text are such a token,
 * and one lookup then stands for all their merges. */
static nb_status settle_tokens(nb_tokenizer *t, nb_error *error)
{
    nb_tokens made = {0};
    nb_encoder encoder = {.tokenizer = t, .out = &made};
    bool all = t->pretokenizer && nb_pretokenizer_ignores_merges(t->pretokenizer);
    nb_status status = NB_OK;
    for (size_t i = 0; i < t->vocabulary.n_tokens && status == NB_OK; i++) {
        nb_string piece = t->pieces[i];
        if (!nb_vocabulary_is_text(&t->vocabulary, i) ||
            nb_symbol_table_find(&t->symbols, piece.text, piece.n_bytes) != i) {
            continue;
        }
        made.count = 0;
        if (!all) {
            status = nb_encoder_merge(&encoder, piece.text, piece.n_bytes, error);
        }
        if (all || (made.count == 1 && made.ids[0] == (int32_t)i)) {
            t->flags[i] |= NB_TOKEN_SETTLED;
        }
    }
    nb_encoder_free(&encoder);
    nb_tokens_free(&made);
    return status;
}

/* A beginning of text ends the text before it: llama2.c's models part their stories with nothing else. */
static void note_ends(nb_tokenizer *t)
{
    const nb_vocabulary *v = &t->vocabulary;
    for (size_t i = 0; i < v->n_tokens; i++) {
        bool ends = (int32_t)i == v->eos || (int32_t)i == v->eot || (int32_t)i == v->bos;
        for (size_t e = 0; e < sizeof end_texts / sizeof end_texts[0] && !ends; e++) {
            ends = nb_string_equal(v->texts[i], end_texts[e]) && nb_vocabulary_type(v, i) != NB_TOKEN_UNKNOWN;
        }
        t->flags[i] |= ends ? NB_TOKEN_ENDS : 0;
    }
}

static nb_status build(nb_tokenizer *t, const nb_vocabulary *vocabulary, nb_error *error)
{
    t->byte_level = strcmp(vocabulary->model, "gpt2") == 0;
    if (t->byte_level) {
        snprintf(t->kind, sizeof t->kind, "byte-level bpe (%.64s)",
                 vocabulary->pre ? vocabulary->pre : "default");
    } else {
        snprintf(t->kind, sizeof t->kind, "sentencepiece bpe");
    }
    nb_status status = copy_vocabulary(t, vocabulary, error);
    status = status ? status : make_pieces(t, error);
    status = status ? status : make_specials(t, error);
    status = status ? status : (t->byte_level ? nb_bpe_prepare : nb_spm_prepare)(t, error);
    if (status) {
        return status;
    }
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        t->byte_symbols[b] = nb_symbol_table_find(&t->symbols, &byte, 1);
    }
    note_ends(t);
    return settle_tokens(t, error);
}

nb_status nb_tokenizer_create(const nb_vocabulary *vocabulary, nb_tokenizer **out, nb_error *error)
{
    nb_status status = check_vocabulary(vocabulary, error);
    if (status) {
        return status;
    }
    nb_tokenizer *made = nb_calloc(1, sizeof *made);
    if (!made) {
        return nb_tokenizer_no_memory(error);
    }
    status = build(made, vocabulary, error);
    if (status) {
        nb_tokenizer_destroy(&made);
        return status;
    }
    *out = made;
    return NB_OK;
}

void nb_tokenizer_destroy(nb_tokenizer **tokenizer)
{
    nb_tokenizer *t = *tokenizer;
    if (!t) {
        return;
    }
    free(t->vocabulary.texts);
    free(t->vocabulary.merges);
    free(t->vocabulary.scores);
    free(t->vocabulary.types);
    free(t->text_arena);
    free(t->pieces);
    free(t->piece_arena);
    free(t->flags);
    free(t->specials.sorted);
    nb_symbol_table_free(&t->symbols);
    nb_pair_table_free(&t->pairs);
    nb_pretokenizer_destroy(&t->pretokenizer);
    free(t);
    *tokenizer = NULL;
}

/* ---- asking it ---- */

const nb_vocabulary *nb_tokenizer_vocabulary(const nb_tokenizer *tokenizer)
{
    return &tokenizer->vocabulary;
}
size_t nb_tokenizer_size(const nb_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.n_tokens;
}
const char *nb_tokenizer_kind(const nb_tokenizer *tokenizer)
{
    return tokenizer->kind;
}
int32_t nb_tokenizer_bos(const nb_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.bos;
}
int32_t nb_tokenizer_eos(const nb_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.eos;
}

static bool is_token(const nb_tokenizer *tokenizer, int32_t token)
{
    return token >= 0 && (size_t)token < tokenizer->vocabulary.n_tokens;
}

bool nb_tokenizer_is_end(const nb_tokenizer *tokenizer, int32_t token)
{
    return is_token(tokenizer, token) && (tokenizer->flags[token] & NB_TOKEN_ENDS);
}

bool nb_tokenizer_adds_bos(const nb_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.add_bos && tokenizer->vocabulary.bos >= 0;
}

nb_string nb_tokenizer_text(const nb_tokenizer *tokenizer, int32_t token)
{
    return is_token(tokenizer, token) ? tokenizer->vocabulary.texts[token] : nb_string_of("");
}

/* ---- tokens to text ---- */

nb_string nb_tokenizer_piece(const nb_tokenizer *tokenizer, int32_t previous, int32_t token)
{
    if (!is_token(tokenizer, token)) {
        return nb_string_of("");
    }
    nb_string piece = tokenizer->pieces[token];
    const nb_vocabulary *v = &tokenizer->vocabulary;
    if (!tokenizer->byte_level && v->add_space_prefix && previous >= 0 && previous == v->bos &&
        piece.n_bytes > 0 && piece.text[0] == ' ') {
        piece.text++;
        piece.n_bytes--;
    }
    return piece;
}

char *nb_tokenizer_decode(const nb_tokenizer *tokenizer, const int32_t *ids, size_t count, size_t *n_bytes)
{
    size_t size = 1;
    for (size_t i = 0; i < count; i++) {
        if (!nb_add_size(size, nb_tokenizer_piece(tokenizer, i ? ids[i - 1] : -1, ids[i]).n_bytes, &size)) {
            return NULL;
        }
    }
    char *text = nb_calloc(size, 1);
    size_t length = 0;
    for (size_t i = 0; i < count && text; i++) {
        nb_string piece = nb_tokenizer_piece(tokenizer, i ? ids[i - 1] : -1, ids[i]);
        memcpy(text + length, piece.text, piece.n_bytes);
        length += piece.n_bytes;
    }
    *n_bytes = length;
    return text;
}
