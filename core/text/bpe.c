/* Byte-level BPE: text is cut into words, a word is its UTF-8 bytes, and a ranked list of merges builds
 * tokens from them. Files spell a byte as a printable character. Source: OpenAI's gpt-2, encoder.py. */
#include "base/memory.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

#include <stdlib.h>

/* The byte-level alphabet. Bytes that print in Latin-1 stand for themselves; the other 68 (0 to 32, 127 to
 * 160 and 173) are, in order, the characters from U+0100. Returns the byte of a character, -1 if it is no
 * letter. */
static int byte_of_letter(int code)
{
    if ((code >= 33 && code <= 126) || (code >= 161 && code <= 172) || (code >= 174 && code <= 255)) {
        return code;
    }
    if (code >= 0x100 && code <= 0x120) {
        return code - 0x100;
    }
    if (code >= 0x121 && code <= 0x142) {
        return code - 0x121 + 127;
    }
    return code == 0x143 ? 173 : -1;
}

/* The character of the alphabet for a byte. */
static int letter_of_byte(int byte)
{
    if (byte <= 32) {
        return 0x100 + byte;
    }
    if (byte >= 127 && byte <= 160) {
        return 0x121 + byte - 127;
    }
    return byte == 173 ? 0x143 : byte;
}

size_t nb_bpe_spell(nb_string piece, char *text)
{
    size_t length = 0;
    for (size_t i = 0; i < piece.n_bytes; i++) {
        int letter = letter_of_byte((unsigned char)piece.text[i]);
        if (letter < 0x80) {
            text[length++] = (char)letter;
        } else {
            text[length++] = (char)(0xC0 | letter >> 6);
            text[length++] = (char)(0x80 | (letter & 0x3F));
        }
    }
    return length;
}

/* The byte that the character at text[0..n) stands for, or -1, and the character's length. */
static int byte_of_character(const char *text, size_t n, size_t *step)
{
    *step = nb_utf8_step(text, n);
    unsigned char lead = (unsigned char)text[0];
    if (*step == 2) {
        return byte_of_letter((lead & 0x1F) << 6 | ((unsigned char)text[1] & 0x3F));
    }
    return *step == 1 && lead < 0x80 ? byte_of_letter(lead) : -1;
}

bool nb_bpe_piece(nb_string text, char *piece, size_t *n_bytes)
{
    size_t length = 0, step;
    for (size_t i = 0; i < text.n_bytes; i += step) {
        int byte = byte_of_character(text.text + i, text.n_bytes - i, &step);
        if (byte < 0) { /* not of the alphabet: an added token, which stands for itself */
            if (text.n_bytes > 0) {
                memcpy(piece, text.text, text.n_bytes);
            }
            *n_bytes = text.n_bytes;
            return false;
        }
        piece[length++] = (char)byte;
    }
    *n_bytes = length;
    return true;
}

/* The symbol of one side of a merge; `scratch` has room for it. */
static uint32_t merge_side(const nb_tokenizer *t, nb_string side, char *scratch)
{
    size_t n;
    return nb_bpe_piece(side, scratch, &n) ? nb_symbol_table_find(&t->symbols, scratch, n) : NB_NO_SYMBOL;
}

/* Adds "left right". A merge whose sides or whose result is no token is left out: nothing could
 * come of it. */
static nb_status add_merge(nb_tokenizer *t, size_t rank, char *scratch, nb_error *error)
{
    nb_string merge = t->vocabulary.merges[rank];
    const char *space = merge.n_bytes > 2 ? memchr(merge.text + 1, ' ', merge.n_bytes - 2) : NULL;
    if (!space) {
        return nb_fail(error, NB_ERR_FILE,
                       "merge %zu of the vocabulary is not two texts with a space between", rank);
    }
    size_t n_left = (size_t)(space - merge.text), n_right = merge.n_bytes - n_left - 1;
    nb_pair pair = {.priority = (uint32_t)rank};
    pair.left = merge_side(t, (nb_string){merge.text, n_left}, scratch);
    pair.right = merge_side(t, (nb_string){space + 1, n_right}, scratch);
    if (pair.left == NB_NO_SYMBOL || pair.right == NB_NO_SYMBOL) {
        return NB_OK;
    }
    nb_string left = t->pieces[pair.left], right = t->pieces[pair.right];
    memcpy(scratch, left.text, left.n_bytes);
    memcpy(scratch + left.n_bytes, right.text, right.n_bytes);
    pair.merged = nb_symbol_table_find(&t->symbols, scratch, left.n_bytes + right.n_bytes);
    if (pair.merged != NB_NO_SYMBOL && !nb_pair_table_add(&t->pairs, pair)) {
        return nb_tokenizer_no_memory(error);
    }
    return NB_OK;
}

nb_status nb_bpe_prepare(nb_tokenizer *tokenizer, nb_error *error)
{
    const nb_vocabulary *v = &tokenizer->vocabulary;
    nb_status status = nb_pretokenizer_create(v->pre ? v->pre : "default", &tokenizer->pretokenizer, error);
    if (status) {
        return status;
    }
    if (v->n_merges >= NB_NO_PRIORITY) {
        return nb_fail(error, NB_ERR_FILE, "the vocabulary has %zu merges, more than any tokenizer",
                       v->n_merges);
    }
    size_t longest = 1;
    for (size_t i = 0; i < v->n_merges; i++) {
        longest = nb_max_size(longest, v->merges[i].n_bytes);
    }
    char *scratch = nb_calloc(longest, 1);
    if (!scratch) {
        return nb_tokenizer_no_memory(error);
    }
    for (size_t i = 0; i < v->n_merges && status == NB_OK; i++) {
        status = add_merge(tokenizer, i, scratch, error);
    }
    free(scratch);
    return status;
}

static nb_status encode_word(void *encoder, const char *text, size_t n_bytes, nb_error *error)
{
    return nb_encoder_piece(encoder, text, n_bytes, error);
}

nb_status nb_bpe_encode(nb_encoder *encoder, const char *text, size_t n_bytes, nb_error *error)
{
    return nb_pretokenizer_split_bytes(encoder->tokenizer->pretokenizer, text, n_bytes, encode_word, encoder,
                                       error);
}
