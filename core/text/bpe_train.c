#include "text/bpe_train.h"

#include "base/memory.h"
#include "text/bpe_learn.h"
#include "text/documents.h"
#include "text/tokenizer_parts.h"

#include <stdlib.h>

static nb_status no_memory(nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "there is no memory left to learn a vocabulary from this text");
}

/* ---- counting words ---- */

enum { TICK_WORDS = 1 << 14 };

typedef struct counter {
    nb_context *context;
    nb_string *words; /* [n_words] the first place where each stands */
    uint64_t *counts;
    size_t n_words, capacity;
    nb_symbol_table table; /* by text */
    uint64_t n_seen, n_documents, n_document_bytes;
    const char *begin;          /* of the text that is being read */
    uint64_t n_before, n_bytes; /* of texts before it; of all */
} counter;

static nb_status add_word(counter *c, const char *text, size_t n_bytes, nb_error *error)
{
    if (c->n_words == c->capacity) {
        const size_t capacity = nb_max_size(1024, 2 * c->capacity);
        nb_string *words = nb_realloc(c->words, capacity, sizeof *words);
        c->words = words ? words : c->words;
        uint64_t *counts = nb_realloc(c->counts, capacity, sizeof *counts);
        c->counts = counts ? counts : c->counts;
        c->table.strings = c->words;
        if (!words || !counts)
            return no_memory(error);
        c->capacity = capacity;
    }
    c->words[c->n_words] = (nb_string){text, n_bytes};
    c->counts[c->n_words] = 1;
    return c->n_words + 1 < NB_NO_SYMBOL && nb_symbol_table_add(&c->table, (uint32_t)c->n_words++)
               ? NB_OK
               : no_memory(error);
}

static nb_status count_word(void *user, const char *text, size_t n_bytes, nb_error *error)
{
    counter *c = user;
    if (c->n_seen++ % TICK_WORDS == 0) {
        const uint64_t done = c->n_before + (uint64_t)(text - c->begin);
        nb_status status = nb_context_tick(c->context, "counting words", done, c->n_bytes, "bytes", error);
        if (status != NB_OK)
            return status;
    }
    const uint32_t known = nb_symbol_table_find(&c->table, text, n_bytes);
    if (known == NB_NO_SYMBOL)
        return add_word(c, text, n_bytes, error);
    c->counts[known]++;
    return NB_OK;
}

static nb_status count_words(counter *c, const nb_string *texts, size_t n_texts, const char *pre,
                             nb_error *error)
{
    nb_pretokenizer *pretokenizer = NULL;
    nb_status status = nb_pretokenizer_create(pre, &pretokenizer, error);
    if (status == NB_OK && !nb_symbol_table_create(&c->table, c->words, 4096))
        status = no_memory(error);
    for (size_t i = 0; i < n_texts; i++)
        c->n_bytes += texts[i].n_bytes;
    for (size_t i = 0; i < n_texts && status == NB_OK; i++) {
        nb_string document;
        c->begin = texts[i].text;
        for (size_t at = 0; status == NB_OK && nb_document_next(texts[i], &at, &document);) {
            c->n_documents++;
            c->n_document_bytes += document.n_bytes;
            status = nb_pretokenizer_split_bytes(pretokenizer, document.text, document.n_bytes, count_word, c,
                                                 error);
        }
        c->n_before += texts[i].n_bytes;
    }
    nb_pretokenizer_destroy(&pretokenizer);
    if (status == NB_OK && c->n_words == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "there is no text to learn from: only empty lines and " NB_DOCUMENT_MARK " marks");
    return status;
}

static void counter_free(counter *c)
{
    free(c->words);
    free(c->counts);
    nb_symbol_table_free(&c->table);
}

/* ---- the vocabulary ---- */

/* The order of the alphabet: bytes that print as themselves, then the others. */
static bool prints_as_itself(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

typedef struct first_tokens {
    char bytes[256];
    nb_string pieces[NB_BPE_LEAST_TOKENS]; /* the first is empty: it stands for no bytes */
    uint32_t byte_tokens[256];
} first_tokens;

static void make_first_tokens(first_tokens *first)
{
    uint32_t token = 0;
    first->pieces[token++] = nb_string_of("");
    for (int others = 0; others < 2; others++) {
        for (int b = 0; b < 256; b++) {
            if (prints_as_itself(b) != (others == 0))
                continue;
            first->bytes[b] = (char)b;
            first->byte_tokens[b] = token;
            first->pieces[token++] = (nb_string){&first->bytes[b], 1};
        }
    }
}

/* Bytes that all texts and merges take when they are spelled. */
static bool spelled_size(const nb_bpe_learned *learned, size_t *size)
{
    size_t sum = sizeof NB_DOCUMENT_MARK;
    bool fits = true;
    for (size_t i = 0; i < learned->n_tokens && fits; i++)
        fits = nb_add_size(sum, 2 * learned->pieces[i].n_bytes, &sum);
    for (size_t i = 0; i < learned->n_merges && fits; i++)
        fits = nb_add_size(sum, 2 * learned->pieces[learned->merges[i].merged].n_bytes + 1, &sum);
    *size = sum;
    return fits;
}

static nb_status make_vocabulary(const nb_bpe_learned *learned, nb_bpe_trained *out, nb_error *error)
{
    nb_vocabulary *v = &out->vocabulary;
    size_t size;
    v->n_tokens = learned->n_tokens;
    v->n_merges = learned->n_merges;
    v->texts = nb_calloc(v->n_tokens, sizeof *v->texts);
    v->types = nb_calloc(v->n_tokens, sizeof *v->types);
    v->merges = nb_calloc(v->n_merges + 1, sizeof *v->merges);
    out->arena = spelled_size(learned, &size) ? nb_calloc(size, 1) : NULL;
    if (!v->texts || !v->types || !v->merges || !out->arena)
        return no_memory(error);
    char *at = out->arena;
    v->texts[0] = nb_string_of(NB_DOCUMENT_MARK);
    v->types[0] = NB_TOKEN_CONTROL;
    for (size_t i = 1; i < v->n_tokens; i++) {
        v->texts[i] = (nb_string){at, nb_bpe_spell(learned->pieces[i], at)};
        v->types[i] = NB_TOKEN_NORMAL;
        at += v->texts[i].n_bytes;
    }
    for (size_t i = 0; i < v->n_merges; i++) {
        const nb_string left = v->texts[learned->merges[i].left], right = v->texts[learned->merges[i].right];
        v->merges[i] = (nb_string){at, left.n_bytes + 1 + right.n_bytes};
        memcpy(at, left.text, left.n_bytes);
        at[left.n_bytes] = ' ';
        memcpy(at + left.n_bytes + 1, right.text, right.n_bytes);
        at += v->merges[i].n_bytes;
    }
    return NB_OK;
}

static nb_status train(nb_context *context, const counter *words, const nb_bpe_options *options,
                       nb_bpe_trained *out, nb_error *error)
{
    first_tokens first;
    make_first_tokens(&first);
    const nb_bpe_lesson lesson = {
        .words = words->words,
        .counts = words->counts,
        .n_words = words->n_words,
        .pieces = first.pieces,
        .n_tokens = NB_BPE_LEAST_TOKENS,
        .wanted = options->n_tokens,
        .byte_tokens = first.byte_tokens,
    };
    nb_bpe_learned learned;
    nb_status status = nb_bpe_learn(context, &lesson, &learned, error);
    if (status != NB_OK)
        return status;
    out->n_text_tokens = learned.n_text_tokens;
    status = make_vocabulary(&learned, out, error);
    nb_bpe_learned_free(&learned);
    return status;
}

nb_status nb_bpe_train(nb_context *context, const nb_string *texts, size_t n_texts,
                       const nb_bpe_options *options, nb_bpe_trained *out, nb_error *error)
{
    const char *pre = options->pre ? options->pre : "gpt-2";
    *out = (nb_bpe_trained){0};
    if (options->n_tokens < NB_BPE_LEAST_TOKENS || options->n_tokens > NB_BPE_MOST_TOKENS)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a byte-level vocabulary has %d to %d tokens, not %zu: " NB_DOCUMENT_MARK
                       " and the 256 bytes come before the first merge",
                       NB_BPE_LEAST_TOKENS, NB_BPE_MOST_TOKENS, options->n_tokens);
    counter words = {.context = context};
    nb_status status = count_words(&words, texts, n_texts, pre, error);
    if (status == NB_OK)
        status = train(context, &words, options, out, error);
    out->n_bytes = words.n_document_bytes;
    out->n_documents = words.n_documents;
    out->n_words = words.n_seen;
    out->n_distinct_words = words.n_words;
    counter_free(&words);
    out->vocabulary.model = "gpt2";
    out->vocabulary.pre = out->pre = nb_strdup(pre);
    out->vocabulary.eot = out->vocabulary.unknown = -1; /* bos and eos are token 0 */
    out->vocabulary.add_bos = true;
    if (status == NB_OK && !out->pre)
        status = no_memory(error);
    if (status != NB_OK)
        nb_bpe_trained_free(out);
    return status;
}

void nb_bpe_trained_free(nb_bpe_trained *trained)
{
    free(trained->vocabulary.texts);
    free(trained->vocabulary.types);
    free(trained->vocabulary.merges);
    free(trained->arena);
    free(trained->pre);
    *trained = (nb_bpe_trained){0};
}
