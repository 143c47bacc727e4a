/* Text to token ids: special tokens are cut out, the rest goes to the vocabulary's kind of BPE. */
#include "base/memory.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

#include <stdlib.h>

void nb_encoder_free(nb_encoder *encoder)
{
    nb_merge_free(&encoder->piece);
    free(encoder->normalized);
}

void nb_tokens_free(nb_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (nb_tokens){0};
}

nb_status nb_tokens_push(nb_tokens *tokens, int32_t token, nb_error *error)
{
    if (tokens->count == tokens->capacity) {
        size_t capacity = nb_max_size(64, 2 * tokens->capacity);
        int32_t *ids = nb_realloc(tokens->ids, capacity, sizeof *ids);
        if (!ids) {
            return nb_fail(error, NB_ERR_MEMORY, "there is no memory left for %zu tokens", capacity);
        }
        tokens->ids = ids;
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->count++] = token;
    return NB_OK;
}

/* Spells a character that belongs to no token in byte tokens, or says that it is unknown. */
static nb_status push_bytes(nb_encoder *encoder, const char *text, size_t n, nb_error *error)
{
    const nb_tokenizer *t = encoder->tokenizer;
    nb_status status = NB_OK;
    bool spelled = true;
    for (size_t i = 0; i < n; i++) {
        spelled = spelled && t->byte_tokens[(unsigned char)text[i]] >= 0;
    }
    if (!spelled && t->vocabulary.unknown < 0) {
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "the vocabulary has no token for the byte 0x%02X of this text, and none for what it does not "
            "know",
            (unsigned char)text[0]);
    }
    for (size_t i = 0; spelled && i < n && status == NB_OK; i++) {
        status = nb_tokens_push(encoder->out, t->byte_tokens[(unsigned char)text[i]], error);
    }
    return spelled ? status : nb_tokens_push(encoder->out, t->vocabulary.unknown, error);
}

nb_status nb_encoder_merge(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error)
{
    const nb_tokenizer *t = encoder->tokenizer;
    nb_merge_piece *piece = &encoder->piece;
    nb_status status = nb_merge_reserve(piece, n_bytes, error);
    if (status) {
        return status;
    }
    piece->count = 0;
    for (size_t i = 0; i < n_bytes;) {
        size_t step = t->byte_level ? 1 : nb_utf8_step(text + i, n_bytes - i);
        piece->symbols[piece->count] = step == 1 ? t->byte_symbols[(unsigned char)text[i]]
                                                 : nb_symbol_table_find(&t->symbols, text + i, step);
        piece->starts[piece->count++] = (uint32_t)i;
        i += step;
    }
    status = nb_merge(&t->pairs, piece, error);
    for (size_t i = 0; i < piece->count && status == NB_OK; i++) {
        if (piece->symbols[i] < t->vocabulary.n_tokens) {
            status = nb_tokens_push(encoder->out, (int32_t)piece->symbols[i], error);
        } else {
            size_t end = i + 1 < piece->count ? piece->starts[i + 1] : n_bytes;
            status = push_bytes(encoder, text + piece->starts[i], end - piece->starts[i], error);
        }
    }
    return status;
}

nb_status nb_encoder_piece(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error)
{
    const nb_tokenizer *t = encoder->tokenizer;
    uint32_t whole = nb_symbol_table_find(&t->symbols, text, n_bytes);
    if (whole < t->vocabulary.n_tokens && (t->flags[whole] & NB_TOKEN_SETTLED)) {
        return nb_tokens_push(encoder->out, (int32_t)whole, error);
    }
    return nb_encoder_merge(encoder, text, n_bytes, error);
}

static nb_status encode_fragment(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error)
{
    if (n_bytes == 0) {
        return NB_OK;
    }
    return (encoder->tokenizer->byte_level ? nb_bpe_encode : nb_spm_encode)(encoder, text, n_bytes, error);
}

/* Special tokens first; what lies between them is plain text. */
static nb_status encode_text(nb_encoder *encoder, const char *text, size_t n_bytes, bool parse_special,
                             nb_error *error)
{
    const nb_specials *specials = &encoder->tokenizer->specials;
    nb_status status = NB_OK;
    size_t begin = 0;
    bool search = specials->n_user > 0 || (parse_special && specials->count > 0);
    for (size_t at = 0; search && at < n_bytes && status == NB_OK;) {
        const nb_special *found = nb_specials_match(specials, text + at, n_bytes - at, parse_special);
        if (!found) {
            at++;
            continue;
        }
        status = encode_fragment(encoder, text + begin, at - begin, error);
        status = status ? status : nb_tokens_push(encoder->out, found->token, error);
        at += found->text.n_bytes;
        begin = at;
    }
    return status ? status : encode_fragment(encoder, text + begin, n_bytes - begin, error);
}

nb_status nb_tokenizer_encode(const nb_tokenizer *tokenizer, const char *text, size_t n_bytes, bool add_bos,
                              bool parse_special, nb_tokens *out, nb_error *error)
{
    if (n_bytes >= INT32_MAX) {
        return nb_fail(error, NB_ERR_ARGUMENT, "a text of %zu bytes is too long; feed it in parts below 2 GB",
                       n_bytes);
    }
    size_t count_before = out->count;
    nb_encoder encoder = {.tokenizer = tokenizer, .out = out};
    nb_status status = NB_OK;
    if (add_bos && nb_tokenizer_adds_bos(tokenizer)) {
        status = nb_tokens_push(out, tokenizer->vocabulary.bos, error);
    }
    status = status ? status : encode_text(&encoder, text, n_bytes, parse_special, error);
    nb_encoder_free(&encoder);
    if (status) {
        out->count = count_before;
    }
    return status;
}
