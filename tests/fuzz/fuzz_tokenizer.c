/* Fuzzes both kinds of tokenizers: the input describes a small vocabulary and then is text. Whatever comes,
 * every id is a token, and where the vocabulary knows all bytes the text comes back.
 *
 *   byte 0   1: byte-level; 2: space prefix; 4: parse special tokens; 8: no byte tokens; 16: no scores
 *   byte 1   which pre-tokenizer
 *   byte 2   how many entries follow
 *   entry    (sentencepiece) type and length, score, the token's text;
 *            (byte-level) 0 to 239 and two bytes: merge two tokens; above: length less 240, an added token
 *   the rest is text */
#include "tests/text/small_vocabulary.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTE_LEVEL = 1, SPACE_PREFIX = 2, PARSE_SPECIAL = 4, NO_BYTES = 8, NO_SCORES = 16, MAX_ENTRIES = 64 };

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static unsigned take(input *in)
{
    return in->left > 0 ? (in->left--, *in->at++) : 0;
}

static nb_string take_text(input *in, size_t n)
{
    n = n < in->left ? n : in->left;
    nb_string text = {(const char *)in->at, n};
    in->at += n;
    in->left -= n;
    return text;
}

static void add_spm_entry(small_vocabulary *s, input *in)
{
    static const int32_t types[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 5, 2, 3, 6};
    unsigned head = take(in);
    float score = -(float)take(in) / 8;
    nb_string text = take_text(in, head & 15);
    small_add_bytes(s, text.text, text.n_bytes, score, types[head >> 4]);
}

static void add_bpe_entry(small_vocabulary *s, input *in)
{
    unsigned head = take(in);
    if (head >= 240) {
        nb_string text = take_text(in, head - 240);
        small_add_bytes(s, text.text, text.n_bytes, 0, head % 2 ? NB_TOKEN_USER : NB_TOKEN_CONTROL);
        return;
    }
    int32_t left = (int32_t)(take(in) % s->vocabulary.n_tokens),
            right = (int32_t)(take(in) % s->vocabulary.n_tokens);
    if (head % 2) { /* one of those made here */
        left = (int32_t)s->vocabulary.n_tokens - 1;
    }
    if (s->texts[left].n_bytes + s->texts[right].n_bytes < 32) {
        small_merge(s, left, right);
    }
}

/* Takes out spaces and U+2581, also one that only comes together when others are gone. */
static size_t without_spaces(char *text, size_t n)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != ' ') {
            text[length++] = text[i];
        }
        if (length >= 3 && memcmp(text + length - 3, MARK, 3) == 0) {
            length -= 3;
        }
    }
    return length;
}

/* The same bytes; SentencePiece may differ in spaces where it puts them in front, or met U+2581. */
static void compare(const small_vocabulary *s, const char *text, size_t n, char *decoded, size_t n_decoded)
{
    bool loose = !(s->vocabulary.merges) && (s->vocabulary.add_space_prefix || memchr(text, 0xE2, n));
    if (loose) {
        char *copy = malloc(n + 1);
        if (!copy) {
            return;
        }
        memcpy(copy, text, n);
        size_t n_copy = without_spaces(copy, n);
        if (without_spaces(decoded, n_decoded) != n_copy || memcmp(copy, decoded, n_copy) != 0) {
            abort();
        }
        free(copy);
    } else if (n_decoded != n || memcmp(text, decoded, n) != 0) {
        abort();
    }
}

static void encode(const small_vocabulary *s, const nb_tokenizer *t, nb_string text, bool special,
                   bool lossless)
{
    nb_tokens tokens = {0};
    nb_error error;
    nb_status status = nb_tokenizer_encode(t, text.text, text.n_bytes, true, special, &tokens, &error);
    if (status != NB_OK && lossless) {
        abort();
    }
    for (size_t i = 0; i < tokens.count; i++) {
        if (tokens.ids[i] < 0 || (size_t)tokens.ids[i] >= nb_tokenizer_size(t)) {
            abort();
        }
    }
    size_t n_decoded;
    char *decoded = nb_tokenizer_decode(t, tokens.ids, tokens.count, &n_decoded);
    if (decoded && lossless && !special) {
        compare(s, text.text, text.n_bytes, decoded, n_decoded);
    }
    if (decoded && nb_utf8_incomplete(decoded, n_decoded) > 3) {
        abort();
    }
    free(decoded);
    nb_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"gpt-2",          "llama-bpe",   "default", "qwen2",
                                        "smollm",         "tekken",      "gpt-4o",  "deepseek-llm",
                                        "deepseek-coder", "deepseek-v3", "falcon",  "viking"};
    static small_vocabulary s;
    if (size < 4) {
        return 0;
    }
    input in = {data, size};
    unsigned flags = take(&in);
    const char *name = names[take(&in) % (sizeof names / sizeof names[0])];
    if (flags & BYTE_LEVEL) {
        small_bpe(&s, name);
    } else {
        small_spm(&s, !(flags & NO_BYTES));
        s.vocabulary.add_space_prefix = (flags & SPACE_PREFIX) != 0;
        s.vocabulary.scores = flags & NO_SCORES ? NULL : s.scores;
    }
    for (unsigned i = take(&in) % MAX_ENTRIES; i > 0; i--) {
        (flags & BYTE_LEVEL ? add_bpe_entry : add_spm_entry)(&s, &in);
    }
    nb_tokenizer *t = NULL;
    nb_error error;
    if (nb_tokenizer_create(&s.vocabulary, &t, &error) == NB_OK) {
        nb_string text = {(const char *)in.at, in.left};
        encode(&s, t, text, (flags & PARSE_SPECIAL) != 0, (flags & BYTE_LEVEL) || !(flags & NO_BYTES));
        nb_tokenizer_destroy(&t);
    }
    return 0;
}
