/* Vocabularies of a few dozen tokens that tests and the fuzzer make for themselves. */
#ifndef NB_TESTS_SMALL_VOCABULARY_H
#define NB_TESTS_SMALL_VOCABULARY_H

#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_MAX 1024
#define MARK      "\xE2\x96\x81" /* U+2581 */

typedef struct small_vocabulary {
    nb_vocabulary vocabulary;
    nb_string texts[SMALL_MAX], merges[SMALL_MAX];
    float scores[SMALL_MAX];
    int32_t types[SMALL_MAX];
    char arena[64 * SMALL_MAX];
    size_t used;
} small_vocabulary;

static inline nb_string small_keep(small_vocabulary *s, const char *text, size_t n)
{
    if (s->used + n > sizeof s->arena) {
        abort();
    }
    nb_string kept = {s->arena + s->used, n};
    memcpy(s->arena + s->used, text, n);
    s->used += n;
    return kept;
}

static inline int32_t small_add_bytes(small_vocabulary *s, const char *text, size_t n, float score,
                                      int32_t type)
{
    size_t i = s->vocabulary.n_tokens++;
    if (i >= SMALL_MAX) {
        abort();
    }
    s->texts[i] = small_keep(s, text, n);
    s->scores[i] = score;
    s->types[i] = type;
    return (int32_t)i;
}

static inline int32_t small_add(small_vocabulary *s, const char *text, float score, int32_t type)
{
    return small_add_bytes(s, text, strlen(text), score, type);
}

static inline void small_begin(small_vocabulary *s, const char *model, const char *pre)
{
    memset(s, 0, sizeof *s);
    s->vocabulary = (nb_vocabulary){.model = model,
                                    .pre = pre,
                                    .texts = s->texts,
                                    .types = s->types,
                                    .bos = -1,
                                    .eos = -1,
                                    .eot = -1,
                                    .unknown = -1};
}

/* <unk> 0, <s> 1, </s> 2, and byte tokens 3 to 258 if wanted. */
static inline void small_spm(small_vocabulary *s, bool with_bytes)
{
    small_begin(s, "llama", NULL);
    s->vocabulary.scores = s->scores;
    s->vocabulary.unknown = small_add(s, "<unk>", 0, NB_TOKEN_UNKNOWN);
    s->vocabulary.bos = small_add(s, "<s>", 0, NB_TOKEN_CONTROL);
    s->vocabulary.eos = small_add(s, "</s>", 0, NB_TOKEN_CONTROL);
    s->vocabulary.add_bos = s->vocabulary.add_space_prefix = true;
    for (int b = 0; with_bytes && b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        small_add(s, text, 0, NB_TOKEN_BYTE);
    }
}

/* The character of the byte-level alphabet for a byte, counted out as gpt-2's encoder.py does. */
static inline size_t small_letter(int byte, char *out)
{
    int others = 0, code = byte;
    for (int b = 0; b <= byte; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
        code = prints ? b : 256 + others++;
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
}

/* The 256 bytes are tokens 0 to 255. */
static inline void small_bpe(small_vocabulary *s, const char *pre)
{
    small_begin(s, "gpt2", pre);
    s->vocabulary.merges = s->merges;
    for (int b = 0; b < 256; b++) {
        char text[2];
        small_add_bytes(s, text, small_letter(b, text), 0, NB_TOKEN_NORMAL);
    }
}

/* Merges two tokens into a new one, whose id it returns. */
static inline int32_t small_merge(small_vocabulary *s, int32_t left, int32_t right)
{
    nb_string l = s->texts[left], r = s->texts[right];
    char text[512];
    memcpy(text, l.text, l.n_bytes);
    text[l.n_bytes] = ' ';
    memcpy(text + l.n_bytes + 1, r.text, r.n_bytes);
    s->merges[s->vocabulary.n_merges++] = small_keep(s, text, l.n_bytes + 1 + r.n_bytes);
    memmove(text + l.n_bytes, text + l.n_bytes + 1, r.n_bytes);
    return small_add_bytes(s, text, l.n_bytes + r.n_bytes, 0, NB_TOKEN_NORMAL);
}

#endif
