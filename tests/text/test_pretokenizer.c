/* The patterns by name: cuts worked out by hand, and what holds for every text. */
#include "text/pretokenizer.h"

#include "base/random.h"
#include "text/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef NB_HAVE_PCRE2

/* The pieces with a bar between them. */
static nb_status join(void *user, const char *piece, size_t n, nb_error *error)
{
    char *joined = user;
    (void)error;
    assert_true(n > 0);
    size_t length = strlen(joined);
    if (length > 0) {
        joined[length++] = '|';
    }
    memcpy(joined + length, piece, n);
    joined[length + n] = '\0';
    return NB_OK;
}

static void check(const char *name, const char *text, const char *want)
{
    nb_pretokenizer *p;
    nb_error error;
    assert_int_equal(nb_pretokenizer_create(name, &p, &error), NB_OK);
    char joined[512] = "";
    assert_int_equal(nb_pretokenizer_split(p, text, strlen(text), join, joined, &error), NB_OK);
    assert_string_equal(joined, want);
    nb_pretokenizer_destroy(&p);
    assert_null(p);
}

static void test_gpt2(void **state)
{
    (void)state;
    check("gpt-2", "Hello world", "Hello| world");
    check("gpt-2", "I'm we'll I'M", "I|'m| we|'ll| I|'|M");
    /* a run of spaces leaves its last one to the word */
    check("gpt-2", "a   b", "a|  | b");
    check("gpt-2", "a \t b", "a| \t| b");
    check("gpt-2", "a\n\nb", "a|\n|\n|b");
    check("gpt-2", "a\tb", "a|\t|b");
    check("gpt-2", "a  ", "a|  ");
    check("gpt-2", "  ", "  ");
    check("gpt-2", "12345 67 8a", "12345| 67| 8|a");
    check("gpt-2", "so!? (x)", "so|!?| (|x|)");
    check("phi-2", "\xC3\xA9t\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87\xEF\xBC\x81",
          "\xC3\xA9t\xC3\xA9| \xE4\xB8\xAD\xE6\x96\x87|\xEF\xBC\x81");
    check("gpt-2", "\xC2\xBD \xE2\x85\xA7",
          "\xC2\xBD| \xE2\x85\xA7");                        /* fractions and numerals are numbers */
    check("gpt-2", "x\xC2\x85 y", "x|\xC2\x85| y"); /* U+0085 is white space, U+180E is not */
    check("gpt-2", "\xE1\xA0\x8E\xE1\xA0\x8E!", "\xE1\xA0\x8E\xE1\xA0\x8E!");
}

static void test_llama3(void **state)
{
    (void)state;
    check("llama-bpe", "I'M 12345 a\n\nb", "I|'M| |123|45| a|\n\n|b");
    check("llama3", "x=(y)\n", "x|=(|y|)\n");
    check("llama3", "a  \n  b", "a|  \n| | b");
    check("llama3", "tab\tbed", "tab|\tbed");
    check("qwen2", "a123", "a|1|2|3");
    check("qwen2", "it's  fine", "it|'s| | fine");
}

static void test_others(void **state)
{
    (void)state;
    check("smollm", "a 12b", "a| |1|2|b");
    check("default", "12345", "123|45");
    check("default", "a.b $5", "a|.|b| |$|5");
    check("falcon", "1234567", "123|456|7");
    check("tekken", "helloWorld ABC a1/\n", "hello|World| ABC| a|1|/\n");
    check("gpt-4o", "Don't HTMLParser 12345", "Don't| HTMLParser| |123|45");
    check("gpt-4o", "camelCase", "camel|Case");
    check("deepseek-coder", "ab 12\n", "ab| |1|2|\n");
    check("deepseek-llm", "ab 12!?\n", "ab| |12|!?|\n");
    check("deepseek-v3", "abc12345 \xE4\xB8\xADx", "abc|123|45| |\xE4\xB8\xAD|x");
    check("deepseek-v3", "f(x, y)", "f|(x|,| y|)");
    check("viking", "a b1", "a| b|1");
    check("poro-chat", "hi, you", "hi|,| you");
    check("qwen35", "e\xCC\x81t", "e\xCC\x81t"); /* a combining mark stays with its letter */
}

/* For every name: the pieces are the text again. */
static nb_status append(void *user, const char *piece, size_t n, nb_error *error)
{
    const char **at = user;
    (void)error;
    assert_ptr_equal(piece, *at); /* in order, without a gap */
    *at += n;
    return NB_OK;
}

static const char *const names[] = {
    "default",    "gpt-2",      "llama-bpe", "dbrx",   "qwen2",        "qwen35",         "smollm",
    "falcon",     "tekken",     "gpt-4o",    "o200k",  "deepseek-llm", "deepseek-coder", "deepseek-v3",
    "seed-coder", "bailingmoe", "bloom",     "viking", "mpt",          "olmo",           "refact",
    "command-r",  "starcoder",  "phi-2",     "llama3", "jais",
};

static void test_nothing_is_lost(void **state)
{
    (void)state;
    static const char *const parts[] = {"a",
                                        "B",
                                        "'s",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "7",
                                        "!",
                                        "\xC3\xA9",
                                        "\xE4\xB8\xAD",
                                        "\xF0\x9F\xA6\x99",
                                        "\xE3\x80\x80",
                                        "\t",
                                        "\xCC\x81",
                                        "_"};
    nb_random random;
    nb_random_seed(&random, 2);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        nb_pretokenizer *p;
        assert_int_equal(nb_pretokenizer_create(names[i], &p, NULL), NB_OK);
        for (int round = 0; round < 200; round++) {
            char text[256];
            size_t n = 0;
            for (uint64_t k = nb_random_below(&random, 60); k > 0; k--) {
                const char *part = parts[nb_random_below(&random, sizeof parts / sizeof parts[0])];
                memcpy(text + n, part, strlen(part));
                n += strlen(part);
            }
            const char *at = text;
            assert_int_equal(nb_pretokenizer_split(p, text, n, append, &at, NULL), NB_OK);
            assert_ptr_equal(at, text + n);
        }
        nb_pretokenizer_destroy(&p);
    }
}

/* A megabyte of one letter, digit, space or sign passes every pattern in a moment and in whole. */
static void test_long_runs(void **state)
{
    (void)state;
    const size_t n = 1 << 20;
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        nb_pretokenizer *p;
        assert_int_equal(nb_pretokenizer_create(names[i], &p, NULL), NB_OK);
        for (const char *letter = "aA !7\n"; *letter; letter++) {
            memset(text, *letter, n);
            const char *at = text;
            nb_error error;
            assert_int_equal(nb_pretokenizer_split(p, text, n, append, &at, &error), NB_OK);
            assert_ptr_equal(at, text + n);
        }
        nb_pretokenizer_destroy(&p);
    }
    free(text);
}

static void test_unknown(void **state)
{
    (void)state;
    nb_pretokenizer *p = NULL;
    nb_error error;
    assert_int_equal(nb_pretokenizer_create("klingon", &p, &error), NB_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "\"klingon\""));
    assert_non_null(strstr(error.text, "llama-bpe"));
    assert_int_equal(nb_pretokenizer_create("", &p, &error), NB_ERR_UNSUPPORTED);
    assert_int_equal(nb_pretokenizer_create("gpt-2 phi-2", &p, &error), NB_ERR_UNSUPPORTED);
    assert_int_equal(nb_pretokenizer_create("gpt-", &p, &error), NB_ERR_UNSUPPORTED);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),      cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_others),    cmocka_unit_test(test_nothing_is_lost),
        cmocka_unit_test(test_long_runs), cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_refused(void **state)
{
    (void)state;
    nb_pretokenizer *p = NULL;
    nb_error error;
    assert_int_equal(nb_pretokenizer_create("gpt-2", &p, &error), NB_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "libpcre2-dev"));
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
