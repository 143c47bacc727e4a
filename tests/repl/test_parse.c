/* Lines into words, and what a mistyped one was meant to be. */
#include "repl/nearest.h"
#include "repl/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

/* Reads the first line of `text` and compares: kind, then its words with | between them. */
static void check_line(const char *text, nb_line_kind kind, const char *words)
{
    nb_line line;
    size_t at = 0;
    char joined[256] = "";
    assert_int_equal(nb_parse_line(text, strlen(text), &at, &line, NULL), NB_OK);
    for (size_t i = 0; i < line.n_words; i++) {
        strcat(joined, i ? "|" : "");
        strcat(joined, line.words[i].text);
    }
    assert_int_equal(line.kind, kind);
    assert_string_equal(joined, words);
    nb_line_free(&line);
}

static void test_words(void **state)
{
    (void)state;
    check_line("load story", NB_LINE_COMMAND, "load|story");
    check_line("  hist\tblk.0.attn_q  --log \r\n", NB_LINE_COMMAND, "hist|blk.0.attn_q|--log");
    check_line("generate \"Once upon\" --seed 3", NB_LINE_COMMAND, "generate|Once upon|--seed|3");
    check_line("generate 'a \"b\" \\n'", NB_LINE_COMMAND, "generate|a \"b\" \\n");
    check_line("generate \"a\\n\\t\\\"\\\\b\"", NB_LINE_COMMAND, "generate|a\n\t\"\\b");
    check_line("generate a\"b c\"d", NB_LINE_COMMAND, "generate|ab cd");
    check_line("generate \"\"", NB_LINE_COMMAND, "generate|");
    check_line("info # what is it", NB_LINE_COMMAND, "info");
    check_line("load a#b", NB_LINE_COMMAND, "load|a#b");
    check_line("bits 0.1 \\\n f16", NB_LINE_COMMAND, "bits|0.1|f16");
    check_line("", NB_LINE_EMPTY, "");
    check_line("   ", NB_LINE_EMPTY, "");
    check_line("# nothing", NB_LINE_EMPTY, "");
}

static void test_kinds(void **state)
{
    (void)state;
    check_line("?quantize", NB_LINE_HELP, "quantize");
    check_line("? quantize", NB_LINE_HELP, "quantize");
    check_line("?", NB_LINE_HELP, "");
    check_line("quantize?", NB_LINE_HELP, "quantize");
    check_line("!ls -l; echo 'x", NB_LINE_SHELL, "ls -l; echo 'x");
    check_line("! ls\ninfo", NB_LINE_SHELL, "ls");
    check_line("!", NB_LINE_SHELL, "");
    /* a name followed by =, ( or [ is an expression, and so is what is no name */
    static const char *const expressions[] = {"bits = 4", "bits=4", "range(3)", "range (3)", "W[0:4, :]",
                                              "W [0]",    "2 + 3",  "-1",       "(1)",       "\"text\"",
                                              "= 3",      ".5",     "\xff\xfe", "_3 = 2"};
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        nb_line line;
        size_t at = 0;
        assert_int_equal(nb_parse_line(expressions[i], strlen(expressions[i]), &at, &line, NULL), NB_OK);
        assert_int_equal(line.kind, NB_LINE_EXPRESSION);
        nb_line_free(&line);
    }
}

/* A zero byte is as good as a blank: a word is a C string. */
static void test_zero_bytes(void **state)
{
    (void)state;
    nb_line line;
    size_t at = 0;
    assert_int_equal(nb_parse_line("bits\0001\000f16", 10, &at, &line, NULL), NB_OK);
    assert_int_equal(line.n_words, 3);
    assert_string_equal(line.words[2].text, "f16");
    nb_line_free(&line);
}

static void test_several(void **state)
{
    (void)state;
    const char *text = "load a; ppl --text 'x;y' ;;\ninfo # a; b\n!echo 1; echo 2\nundo";
    static const char *const first[] = {"load", "ppl", "info", "echo 1; echo 2", "undo"};
    size_t at = 0, n = 0;
    while (at < strlen(text)) {
        nb_line line;
        assert_int_equal(nb_parse_line(text, strlen(text), &at, &line, NULL), NB_OK);
        if (line.n_words == 0)
            assert_int_equal(line.kind, NB_LINE_EMPTY);
        else
            assert_string_equal(line.words[0].text, first[n++]);
        nb_line_free(&line);
    }
    assert_int_equal(n, sizeof first / sizeof *first);
}

static void test_open_quote(void **state)
{
    (void)state;
    nb_line line;
    nb_error error;
    size_t at = 0;
    const char *text = "generate \"Once";
    assert_int_equal(nb_parse_line(text, strlen(text), &at, &line, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "never closed"));
    nb_line_free(&line);
    assert_true(at >= strlen(text));
}

static void test_unfinished(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool more;
    } cases[] = {{"info", false},           {"generate \"Once", true},     {"generate 'it", true},
                 {"generate \"a\"", false}, {"bits 0.1 \\", true},         {"bits 0.1 \\\nf16", false},
                 {"# don't", false},        {"!echo 'x", false},           {"generate \"a\\\"", true},
                 {"info; ppl '", true},     {"generate \"a\nb\" \\", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nb_parse_wants_more(cases[i].text, strlen(cases[i].text)), cases[i].more);
}

static void test_place(void **state)
{
    (void)state;
    nb_parse_place place = nb_parse_place_of("info; show blk.0", 16);
    assert_int_equal(place.command, 5);
    assert_int_equal(place.word, 11);
    assert_int_equal(place.quote, 0);
    place = nb_parse_place_of("show ", 5);
    assert_int_equal(place.word, 5);
    place = nb_parse_place_of("load \"my mo", 11);
    assert_int_equal(place.word, 5);
    assert_int_equal(place.quote, '"');
    place = nb_parse_place_of("", 0);
    assert_int_equal(place.word, 0);
}

/* Damerau's four kinds of slips, and pairs with known distances. */
static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(nb_edit_distance("quantize", "quantize"), 0);
    assert_int_equal(nb_edit_distance("quantise", "quantize"), 1);  /* another letter */
    assert_int_equal(nb_edit_distance("quantze", "quantize"), 1);   /* one missing */
    assert_int_equal(nb_edit_distance("quanntize", "quantize"), 1); /* one too many */
    assert_int_equal(nb_edit_distance("qunatize", "quantize"), 1);  /* two swapped */
    assert_int_equal(nb_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(nb_edit_distance("ca", "abc"), 3); /* not 2: no place is edited twice */
    assert_int_equal(nb_edit_distance("", "abc"), 3);
    assert_int_equal(nb_edit_distance("LOAD", "load"), 0);
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(nb_edit_distance(longer, ""), 63);
}

static const char *nearest_of(const char *wanted)
{
    static const char *const names[] = {"quantize", "generate", "load", "ppl", "undo", "f16", "bf16"};
    nb_nearest nearest;
    nb_nearest_start(&nearest, wanted);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        nb_nearest_offer(&nearest, names[i]);
    return nearest.best ? nearest.best : "";
}

static void test_nearest(void **state)
{
    (void)state;
    assert_string_equal(nearest_of("quantise"), "quantize");
    assert_string_equal(nearest_of("quan"), "quantize"); /* begun and left */
    assert_string_equal(nearest_of("laod"), "load");
    assert_string_equal(nearest_of("pl"), "ppl");
    assert_string_equal(nearest_of("bf61"), "bf16");
    assert_string_equal(nearest_of("zebra"), "");
    assert_string_equal(nearest_of(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),      cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_several),    cmocka_unit_test(test_zero_bytes),
        cmocka_unit_test(test_open_quote), cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_place),      cmocka_unit_test(test_distance),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
