/* Training a byte-level BPE: beside a slow trainer that encodes everything anew for every merge, the
 * published example, what another implementation makes of a text, and hostile input. */
#include "text/bpe_train.h"

#include "base/memory.h"
#include "base/random.h"
#include "files/vocabulary.h"
#include "tests/support/temporary.h"
#include "text/documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Byte-level BPE is there only with PCRE2. */
#ifdef NB_HAVE_PCRE2
#define NEEDS_PCRE2() (void)0
#else
#define NEEDS_PCRE2() skip()
#endif

static nb_context *context;

static nb_bpe_trained train(const char *text, size_t n_bytes, size_t n_tokens)
{
    const nb_string whole = {text, n_bytes};
    const nb_bpe_options options = {.n_tokens = n_tokens};
    nb_bpe_trained made;
    nb_error error = {""};
    if (nb_bpe_train(context, &whole, 1, &options, &made, &error) != NB_OK)
        fail_msg("%s", error.text);
    return made;
}

static void check_merges(const nb_bpe_trained *made, const char *const *want, size_t n)
{
    assert_int_equal(made->vocabulary.n_merges, n);
    for (size_t i = 0; i < n; i++) {
        const nb_string merge = made->vocabulary.merges[i];
        if (!nb_string_equal(merge, want[i]))
            fail_msg("merge %zu is \"%.*s\", not \"%s\"", i, (int)merge.n_bytes, merge.text, want[i]);
    }
}

/* ---- the example of Sennrich et al. 2016, figure 1 ---- */

/* Theirs ends a word with a mark, ours begins it with a space (U+0120), and ours says what goes first of
 * equals: "e s", "es t" and "l o" are in both. Worked out by hand. */
static void the_published_example(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    static const char text[] =
        " low low low low low lower lower newest newest newest newest newest newest widest "
        "widest widest";
    static const char *const want[] = {
        "e s",           /* 9, like "s t" */
        "es t",          /* 9 */
        "l o",           /* 7, like "o w" and U+0120 "l" */
        "\u0120 lo",     /* 7, like "lo w" */
        "\u0120lo w",    /* 7 */
        "e w",           /* 6, like "n e" and what follows it */
        "n ew",          /* 6 */
        "\u0120 new",    /* 6 */
        "\u0120new est", /* 6 */
        "d est",         /* 3, like "w i", "i d" and U+0120 "w" */
        "i dest",        /* 3 */
        "w idest",       /* 3 */
        "\u0120 widest", /* 3 */
        "e r",           /* 2 */
        "\u0120low er",  /* 2 */
    };
    nb_bpe_trained made = train(text, strlen(text), 1000);
    check_merges(&made, want, sizeof want / sizeof *want);
    assert_int_equal(made.vocabulary.n_tokens, 257 + 15);
    assert_int_equal(made.n_words, 16);
    assert_int_equal(made.n_distinct_words, 4);
    assert_int_equal(made.n_text_tokens, 16);
    assert_int_equal(made.n_bytes, strlen(text));
    nb_bpe_trained_free(&made);
    made = train(text, strlen(text), 257 + 3);
    check_merges(&made, want, 3);
    nb_bpe_trained_free(&made);
}

/* ---- another implementation ---- */

static const char licence[] =
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and "
    "associated documentation files (the \"Software\"), to deal in the Software without restriction, "
    "including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, "
    "and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, "
    "subject to the following conditions: The above copyright notice and this permission notice shall be "
    "included in all copies or substantial portions of the Software.";

/* The merges that the BPE trainer of Hugging Face's tokenizers (ByteLevel pre-tokenizer, no prefix space)
 * makes of this text, as long as a pair occurs twice; its rule among equals is the same. */
static void agrees_with_another_trainer(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    static const char *const want[] = {
#include "licence_merges.h"
    };
    nb_bpe_trained made = train(licence, strlen(licence), 5000);
    check_merges(&made, want, sizeof want / sizeof *want);
    nb_bpe_trained_free(&made);
}

/* ---- a slow trainer ---- */

enum { SLOW_TOKENS = 257 + 60, SLOW_WORDS = 64, SLOW_LENGTH = 24 };

typedef struct slow {
    char words[SLOW_WORDS][SLOW_LENGTH];
    int n_words;
    char tokens[SLOW_TOKENS][2 * SLOW_LENGTH]; /* as bytes */
    int n_tokens;
    int merges[SLOW_TOKENS][3];
    int n_merges;
} slow;

static int slow_find(const slow *s, const char *bytes)
{
    for (int i = 1; i < s->n_tokens; i++)
        if (strcmp(s->tokens[i], bytes) == 0)
            return i;
    return -1;
}

static int slow_encode(const slow *s, const char *word, int *ids)
{
    int n = 0;
    for (; word[n]; n++)
        ids[n] = slow_find(s, (char[]){word[n], '\0'});
    for (;;) {
        int best = s->n_merges, place = -1;
        for (int i = 0; i + 1 < n; i++)
            for (int m = 0; m < best; m++)
                if (s->merges[m][0] == ids[i] && s->merges[m][1] == ids[i + 1])
                    best = m, place = i;
        if (place < 0)
            return n;
        ids[place] = s->merges[best][2];
        memmove(&ids[place + 1], &ids[place + 2], (size_t)(n - place - 2) * sizeof *ids);
        n--;
    }
}

/* Counts all pairs of all words, encoded with the merges so far, and adds the best; false if none occurs
 * twice. */
static bool slow_step(slow *s)
{
    static int counts[SLOW_TOKENS][SLOW_TOKENS];
    int left = 0, right = 0, ids[SLOW_LENGTH];
    memset(counts, 0, sizeof counts);
    for (int w = 0; w < s->n_words; w++) {
        const int n = slow_encode(s, s->words[w], ids);
        for (int i = 0; i + 1 < n; i++)
            counts[ids[i]][ids[i + 1]]++;
    }
    for (int a = 0; a < s->n_tokens; a++)
        for (int b = 0; b < s->n_tokens; b++)
            if (counts[a][b] > counts[left][right])
                left = a, right = b;
    if (counts[left][right] < 2)
        return false;
    char joined[4 * SLOW_LENGTH];
    snprintf(joined, sizeof joined, "%s%s", s->tokens[left], s->tokens[right]);
    assert_int_equal(slow_find(s, joined), -1); /* no two merges spell one token */
    const int merged = s->n_tokens++;
    memcpy(s->tokens[merged], joined, strlen(joined) + 1); /* a part of a word */
    int *merge = s->merges[s->n_merges++];
    merge[0] = left, merge[1] = right, merge[2] = merged;
    return true;
}

/* The alphabet's order: ! to ~ are tokens 1 to 94, and a space is the 33rd of those that do not print. */
static void slow_begin(slow *s)
{
    memset(s, 0, sizeof *s);
    for (int c = 33; c <= 126; c++)
        s->tokens[c - 32][0] = (char)c;
    s->tokens[189 + 32][0] = ' ';
    s->n_tokens = 257;
}

/* Words of few letters, so that pairs overlap ("aaa"). */
static size_t random_words(slow *s, nb_random *random, char *text)
{
    size_t n = 0;
    const unsigned n_letters = 1 + (unsigned)nb_random_below(random, 4);
    s->n_words = 1 + (int)nb_random_below(random, SLOW_WORDS);
    for (int w = 0; w < s->n_words; w++) {
        const int length = 1 + (int)nb_random_below(random, SLOW_LENGTH - 3);
        s->words[w][0] = ' ';
        for (int i = 1; i <= length; i++)
            s->words[w][i] = (char)('a' + (int)nb_random_below(random, n_letters));
        memcpy(text + n, s->words[w], (size_t)length + 1);
        n += (size_t)length + 1;
    }
    return n;
}

static void spell(const char *bytes, char *text)
{
    for (; *bytes; bytes++) {
        const char *letter = *bytes == ' ' ? "\u0120" : (char[]){*bytes, '\0'};
        memcpy(text, letter, strlen(letter));
        text += strlen(letter);
    }
    *text = '\0';
}

static void agrees_with_a_slow_trainer(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    static slow s;
    static char text[SLOW_WORDS * SLOW_LENGTH];
    nb_random random;
    nb_random_seed(&random, 1);
    for (int round = 0; round < 150; round++) {
        slow_begin(&s);
        const size_t n_bytes = random_words(&s, &random, text);
        while (s.n_tokens < SLOW_TOKENS && slow_step(&s))
            continue;
        nb_bpe_trained made = train(text, n_bytes, SLOW_TOKENS);
        assert_int_equal(made.vocabulary.n_merges, s.n_merges);
        assert_int_equal(made.vocabulary.n_tokens, s.n_tokens);
        for (int i = 0; i < s.n_merges; i++) {
            char left[4 * SLOW_LENGTH], right[4 * SLOW_LENGTH], both[8 * SLOW_LENGTH + 2];
            spell(s.tokens[s.merges[i][0]], left);
            spell(s.tokens[s.merges[i][1]], right);
            snprintf(both, sizeof both, "%s %s", left, right);
            if (!nb_string_equal(made.vocabulary.merges[i], both))
                fail_msg("round %d, merge %d is not \"%s\"", round, i, both);
        }
        uint64_t n_text_tokens = 0;
        int ids[SLOW_LENGTH];
        for (int w = 0; w < s.n_words; w++)
            n_text_tokens += (uint64_t)slow_encode(&s, s.words[w], ids);
        assert_int_equal(made.n_text_tokens, n_text_tokens);
        nb_bpe_trained_free(&made);
    }
}

/* ---- the vocabulary at work ---- */

static size_t count_tokens(const nb_tokenizer *tokenizer, const char *text, size_t n)
{
    nb_tokens tokens = {0};
    nb_error error = {""};
    assert_int_equal(nb_tokenizer_encode(tokenizer, text, n, false, false, &tokens, &error), NB_OK);
    size_t n_decoded, count = tokens.count;
    char *decoded = nb_tokenizer_decode(tokenizer, tokens.ids, tokens.count, &n_decoded);
    assert_non_null(decoded);
    assert_int_equal(n_decoded, n);
    assert_memory_equal(decoded, text, n);
    free(decoded);
    nb_tokens_free(&tokens);
    return count;
}

/* Letters, digits, spaces, line ends, characters of two to four bytes and bytes that belong to none. */
static size_t random_text(nb_random *random, char *text, size_t size)
{
    static const char *const parts[] = {
        "the", "cat", " ",    "  ",       "\n",           "1234", "it's",
        "!?",  "\t",  "\xFF", "\xC3\xA9", "\xE2\x82\xAC", "\x80", "\xF0\x9F\x98\x80",
        "er",  "\xE2"};
    size_t n = 0;
    while (n + 8 < size) {
        const char *part = parts[nb_random_below(random, sizeof parts / sizeof *parts)];
        memcpy(text + n, part, strlen(part));
        n += strlen(part);
    }
    return n;
}

static void encodes_and_decodes(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    static const char *const pres[] = {"gpt-2", "llama-bpe", "default"};
    enum { SIZE = 6000 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    nb_random random;
    nb_random_seed(&random, 2);
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++) {
        const nb_string whole = {text, random_text(&random, text, SIZE)};
        const nb_bpe_options options = {.n_tokens = 700, .pre = pres[i]};
        nb_bpe_trained made;
        nb_tokenizer *tokenizer;
        assert_int_equal(nb_bpe_train(context, &whole, 1, &options, &made, NULL), NB_OK);
        assert_int_equal(nb_tokenizer_create(&made.vocabulary, &tokenizer, NULL), NB_OK);
        nb_string document;
        size_t at = 0;
        assert_true(nb_document_next(whole, &at, &document));
        const size_t n = count_tokens(tokenizer, document.text, document.n_bytes);
        /* llama-bpe takes a word that is a token as that, whatever the merges make of it */
        assert_true(n == made.n_text_tokens || (strcmp(pres[i], "llama-bpe") == 0 && n < made.n_text_tokens));
        assert_int_equal(made.n_bytes, document.n_bytes);
        count_tokens(tokenizer, whole.text, whole.n_bytes);
        nb_tokenizer_destroy(&tokenizer);
        nb_bpe_trained_free(&made);
    }
    free(text);
}

static void first_tokens_and_keys(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    nb_bpe_trained made = train("a\xC2\x80 \xAD", 5, 257);
    const nb_vocabulary *v = &made.vocabulary;
    assert_int_equal(v->n_tokens, 257);
    assert_int_equal(v->n_merges, 0);
    assert_string_equal(v->model, "gpt2");
    assert_string_equal(v->pre, "gpt-2");
    assert_true(nb_string_equal(v->texts[0], "<|endoftext|>") && v->types[0] == NB_TOKEN_CONTROL);
    /* the order of OpenAI's encoder.py: ids 0, 93, 94, 188 and 255 there */
    assert_true(nb_string_equal(v->texts[1], "!") && nb_string_equal(v->texts[94], "~"));
    assert_true(nb_string_equal(v->texts[95], "\xC2\xA1") && nb_string_equal(v->texts[189], "\xC4\x80"));
    assert_true(nb_string_equal(v->texts[256], "\xC5\x83"));
    assert_true(v->bos == 0 && v->eos == 0 && v->eot == -1 && v->unknown == -1);
    assert_true(v->add_bos && !v->add_eos && !v->add_space_prefix && !v->scores);
    nb_bpe_trained_free(&made);
}

static void goes_through_a_file(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    const char *path = temporary_path("trained.gguf");
    nb_error error = {""};
    for (size_t n = 257; n <= 300; n += 43) {
        nb_bpe_trained made = train(licence, strlen(licence), n);
        nb_tokenizer *tokenizer;
        assert_int_equal(nb_vocabulary_save(&made.vocabulary, path, &error), NB_OK);
        if (nb_tokenizer_load(path, &tokenizer, &error) != NB_OK)
            fail_msg("%s", error.text);
        const nb_vocabulary *v = &made.vocabulary, *back = nb_tokenizer_vocabulary(tokenizer);
        assert_true(back->n_tokens == v->n_tokens && back->n_merges == v->n_merges);
        for (size_t i = 0; i < v->n_tokens; i++)
            assert_true(v->texts[i].n_bytes == back->texts[i].n_bytes && v->types[i] == back->types[i] &&
                        memcmp(v->texts[i].text, back->texts[i].text, v->texts[i].n_bytes) == 0);
        for (size_t i = 0; i < v->n_merges; i++)
            assert_true(v->merges[i].n_bytes == back->merges[i].n_bytes &&
                        memcmp(v->merges[i].text, back->merges[i].text, v->merges[i].n_bytes) == 0);
        assert_true(back->bos == 0 && back->eos == 0 && back->eot == -1 && back->unknown == -1);
        assert_true(back->add_bos && !back->add_eos && !back->add_space_prefix);
        assert_string_equal(back->pre, "gpt-2");
        assert_int_equal(count_tokens(tokenizer, licence, strlen(licence)), made.n_text_tokens);
        nb_tokenizer_destroy(&tokenizer);
        nb_bpe_trained_free(&made);
    }
}

/* ---- documents ---- */

static void marks_are_not_learned_from(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    static const char text[] = "<|endoftext|>\nbcd\n<|endoftext|>\nbcd\n<|endoftext|>\n";
    static const char *const want[] = {"b c", "bc d"};
    nb_bpe_trained made = train(text, strlen(text), 1000);
    check_merges(&made, want, 2);
    assert_int_equal(made.n_documents, 2);
    assert_int_equal(made.n_bytes, 6);
    nb_bpe_trained_free(&made);
}

/* ---- hostile ---- */

static void refused(const nb_string *texts, size_t n, nb_bpe_options options, const char *words)
{
    nb_bpe_trained made;
    nb_error error = {""};
    assert_int_equal(nb_bpe_train(context, texts, n, &options, &made, &error), NB_ERR_ARGUMENT);
    if (!strstr(error.text, words))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_null(made.vocabulary.texts);
}

static void what_cannot_be_learned_is_refused(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    const nb_string empty = {NULL, 0}, marks = nb_string_of("\n<|endoftext|>\n\n"),
                    good = nb_string_of("a b");
    const nb_string both[] = {empty, marks};
    refused(&empty, 1, (nb_bpe_options){.n_tokens = 300}, "no text to learn from");
    refused(both, 2, (nb_bpe_options){.n_tokens = 300}, "no text to learn from");
    refused(NULL, 0, (nb_bpe_options){.n_tokens = 300}, "no text to learn from");
    refused(&good, 1, (nb_bpe_options){.n_tokens = 256}, "257");
    refused(&good, 1, (nb_bpe_options){.n_tokens = 0}, "257");
    refused(&good, 1, (nb_bpe_options){.n_tokens = SIZE_MAX}, "257");
    nb_bpe_trained made;
    nb_error error = {""};
    const nb_bpe_options options = {.n_tokens = 300, .pre = "nonsense"};
    assert_int_equal(nb_bpe_train(context, &good, 1, &options, &made, &error), NB_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "nonsense"));
}

/* One word of a quarter of a million letters: only what costs no more than n log n is done with it soon. */
static void one_endless_word(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    enum { N = 1 << 18 };
    char *text = malloc(N);
    assert_non_null(text);
    memset(text, 'a', N);
    nb_bpe_trained made = train(text, N, 257 + 17);
    assert_int_equal(made.vocabulary.n_merges, 17);
    assert_int_equal(made.vocabulary.texts[257 + 16].n_bytes, 1 << 17);
    assert_int_equal(made.n_text_tokens, 2);
    nb_bpe_trained_free(&made);
    free(text);
}

static void can_be_stopped(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    const nb_string whole = nb_string_of(licence);
    const nb_bpe_options options = {.n_tokens = 1000};
    nb_bpe_trained made;
    atomic_store(&context->cancel, true);
    assert_int_equal(nb_bpe_train(context, &whole, 1, &options, &made, NULL), NB_ERR_CANCELLED);
    assert_null(made.vocabulary.texts);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    NEEDS_PCRE2();
    const nb_string whole = nb_string_of(licence);
    const nb_bpe_options options = {.n_tokens = 400};
    nb_status status = NB_ERR_MEMORY;
    long n = 0;
    while (status != NB_OK) {
        nb_bpe_trained made;
        nb_memory_fail_after(++n);
        status = nb_bpe_train(context, &whole, 1, &options, &made, NULL);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || status == NB_ERR_MEMORY);
        nb_bpe_trained_free(&made);
    }
    assert_true(n > 20);
}

static int begin(void **state)
{
    (void)state;
    return nb_context_create(NULL, &context, NULL) == NB_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    nb_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_example),
        cmocka_unit_test(agrees_with_another_trainer),
        cmocka_unit_test(agrees_with_a_slow_trainer),
        cmocka_unit_test(encodes_and_decodes),
        cmocka_unit_test(first_tokens_and_keys),
        cmocka_unit_test(goes_through_a_file),
        cmocka_unit_test(marks_are_not_learned_from),
        cmocka_unit_test(what_cannot_be_learned_is_refused),
        cmocka_unit_test(one_endless_word),
        cmocka_unit_test(can_be_stopped),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests_name("bpe training", tests, begin, end);
}
