/* The story grammar: probabilities against every derivation there is, conditions, joining, errors with their
 * lines; and what the stories of lessons/story promise. */
#include "text/grammar.h"

#include "base/memory.h"
#include "base/random.h"
#include "math/math.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static nb_grammar *parse(const char *text)
{
    nb_grammar *grammar = NULL;
    nb_error error = {""};
    if (nb_grammar_parse(text, strlen(text), "g", &grammar, &error) != NB_OK) {
        fail_msg("%s", error.text);
    }
    return grammar;
}

static nb_story expand(const nb_grammar *grammar, const char *start, uint64_t seed, uint64_t index)
{
    nb_story story;
    nb_error error = {""};
    if (nb_grammar_expand(grammar, start, seed, index, &story, &error) != NB_OK) {
        fail_msg("%s", error.text);
    }
    return story;
}

/* ---- every derivation ---- */

/* An odometer of choices: the digits of one derivation, and how large each could have been. */
typedef struct odometer {
    uint64_t digits[64], totals[64];
    size_t n, at;
} odometer;

static uint64_t turn(void *user, uint64_t total)
{
    odometer *o = user;
    assert_true(total >= 2 && o->at < 64);
    if (o->at == o->n) {
        o->digits[o->n++] = 0;
    }
    o->totals[o->at] = total;
    return o->digits[o->at++];
}

static bool advance(odometer *o)
{
    o->n = o->at;
    while (o->n > 0 && o->digits[o->n - 1] + 1 == o->totals[o->n - 1]) {
        o->n--;
    }
    o->at = 0;
    if (o->n == 0) {
        return false;
    }
    o->digits[o->n - 1]++;
    return true;
}

typedef struct told {
    char *text;
    double bits, probability; /* what the grammar says; what the odometer saw */
} told;

/* All texts of a grammar; each must have one set of bits. */
static size_t tell_all(const nb_grammar *grammar, told *all, size_t capacity)
{
    odometer o = {.n = 0};
    size_t count = 0;
    do {
        nb_story story;
        assert_int_equal(
            nb_grammar_expand_with(grammar, nb_grammar_start(grammar, 0), turn, &o, &story, NULL), NB_OK);
        double probability = 1;
        for (size_t i = 0; i < o.at; i++) {
            probability /= (double)o.totals[i];
        }
        size_t i = 0;
        while (i < count && strcmp(all[i].text, story.text) != 0) {
            i++;
        }
        if (i == count) {
            assert_true(count < capacity);
            all[count++] = (told){story.text, story.bits, probability};
        } else {
            all[i].probability += probability;
            assert_true(fabs(all[i].bits - story.bits) < 1e-12);
            nb_story_free(&story);
        }
    } while (advance(&o));
    return count;
}

static const char small[] =
    "start s\n"
    "table child: name | he | kind\n"
    "  Mia | she | girl\n"
    "  Tom | he | boy\n"
    "  Ben | he | boy\n"
    "table pet: name | can | noise\n"
    "  cat | climb purr | meow\n"
    "  owl | fly climb | hoo\n"
    "  eel | swim | blub\n"
    "s:\n"
    "  * {meet} {end}\n"
    "  *3 {meet} [p: pet, can has climb] a/an {p} said {p.noise}.\n"
    "meet:\n"
    "  * [a: child] [b: child, not a] {a} met {b}. ({very}|) {a.he} (ran|sang) to {b}!\n"
    "  *2 [a: child, kind != girl] {a} sat.\n"
    "very:\n"
    "  * then\n"
    "  * [if a.he = she] (so)|(too)\n"
    "end:\n"
    "  * [if a.kind = boy] [q: child, he = a.he, not a] {q} came.\n"
    "  *7 [if a.name != Tom] \"{a}?\" they asked.\n";

static void test_enumeration(void **state)
{
    (void)state;
    static told all[4096];
    /* (so)|(too) is no choice but a mistake: a bar outside of brackets */
    nb_grammar *grammar = NULL;
    nb_error error;
    assert_int_equal(nb_grammar_parse(small, strlen(small), "g", &grammar, &error), NB_ERR_FILE);
    char *fixed = nb_strdup(small);
    char *at = strstr(fixed, "(so)|(too)");
    memcpy(at, "(so|too)  ", 10);
    grammar = parse(fixed);
    size_t count = tell_all(grammar, all, 4096);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += nb_exp(-all[i].bits * 0.69314718055994530942);
        assert_true(fabs(all[i].probability - nb_exp(-all[i].bits * 0.69314718055994530942)) < 1e-12);
    }
    assert_true(count > 60);
    assert_true(fabs(sum - 1) < 1e-9);
    /* and the random stories come as often as that */
    enum { DRAWS = 40000 };
    size_t *seen = nb_calloc(count, sizeof *seen);
    for (uint64_t n = 0; n < DRAWS; n++) {
        nb_story story = expand(grammar, "s", 5, n);
        size_t i = 0;
        while (i < count && strcmp(all[i].text, story.text) != 0) {
            i++;
        }
        assert_true(i < count);
        seen[i]++;
        nb_story_free(&story);
    }
    for (size_t i = 0; i < count; i++) {
        double p = all[i].probability;
        if (fabs((double)seen[i] - p * DRAWS) > 5.5 * sqrt(p * DRAWS) + 1) {
            fail_msg("\"%s\" came %zu times, not %g", all[i].text, seen[i], p * DRAWS);
        }
        free(all[i].text);
    }
    free(seen);
    free(fixed);
    nb_grammar_close(&grammar);
    assert_null(grammar);
}

static void test_weights(void **state)
{
    (void)state;
    static told all[8];
    nb_grammar *grammar = parse("start s\ns:\n  *5 a\n  *2 b\n  * c\n");
    assert_int_equal(tell_all(grammar, all, 8), 3);
    const double want[] = {0.67807190511263771, 2, 3};
    for (size_t i = 0; i < 3; i++) {
        assert_true(fabs(all[i].bits - want[i]) < 1e-14);
        free(all[i].text);
    }
    nb_grammar_close(&grammar);
}

/* ---- joining ---- */

static void check_text(const char *line, const char *want)
{
    char text[512];
    snprintf(text, sizeof text, "start s\ns:\n  * %s\n", line);
    nb_grammar *grammar = parse(text);
    nb_story story = expand(grammar, "s", 0, 0);
    assert_string_equal(story.text, want);
    assert_int_equal(story.n_bytes, strlen(want));
    nb_story_free(&story);
    nb_grammar_close(&grammar);
}

static void test_joining(void **state)
{
    (void)state;
    check_text("one  two . three , four!five", "One two. Three, four!Five");
    check_text("a/an apple, a/an red one, A/an owl", "An apple, a red one, An owl");
    check_text("not alpha/an but a/an \\{e", "Not alpha/an but a {e");
}

static void test_joining_quotes(void **state)
{
    (void)state;
    check_text("\"come here,\" said Mia. \"why?\" asked Tom. he ran.",
               "\"Come here,\" said Mia. \"Why?\" asked Tom. He ran.");
    check_text("\"no!\" ^he ran. \"yes,\" he said, \"but how?\"",
               "\"No!\" He ran. \"Yes,\" he said, \"but how?\"");
    check_text("end.\\nnew \\{x\\} \\\"", "End.\nNew {x} \"");
    check_text("a ^\"b\" Mia's seven-year-old", "A \"B\" Mia's seven-year-old");
}

static void test_answer(void **state)
{
    (void)state;
    nb_grammar *grammar = parse("start q s\nq:\n  * who? answer: <the cat>.\ns:\n  * nobody asks.\n");
    nb_story story = expand(grammar, "q", 1, 2);
    assert_string_equal(story.text, "Who? Answer: the cat.");
    assert_int_equal(story.answer_end - story.answer_begin, 7);
    assert_memory_equal(story.text + story.answer_begin, "the cat", 7);
    nb_story_free(&story);
    story = expand(grammar, "s", 1, 2);
    assert_int_equal(story.answer_begin, story.n_bytes);
    assert_int_equal(story.answer_end, story.n_bytes);
    nb_story_free(&story);
    nb_grammar_close(&grammar);
}

static void test_words(void **state)
{
    (void)state;
    const char *text = "Mia's hide-and-seek: \"Go!\" she said.\n";
    assert_int_equal(nb_count_words(text, strlen(text)), 10);
    assert_int_equal(nb_count_words("", 0), 0);
}

/* ---- errors ---- */

static void refused(const char *text, const char *part)
{
    nb_grammar *grammar = NULL;
    nb_error error = {""};
    nb_status status = nb_grammar_parse(text, strlen(text), "g", &grammar, &error);
    if (status != NB_ERR_FILE || grammar || !strstr(error.text, part)) {
        print_error("%s\ngave \"%s\", not \"%s\"\n", text, error.text, part);
    }
    assert_int_equal(status, NB_ERR_FILE);
    assert_null(grammar);
    assert_non_null(strstr(error.text, part));
}

static void test_errors(void **state)
{
    (void)state;
    refused("", "g: no line says where to begin");
    refused("start s\n", "g:1: there is no rule s");
    refused("start s\ns:\n", "g:2: rule s has no alternative");
    refused("start s\ns:\n  * a {b}\n", "g:3: there is no rule and no variable b");
    refused("start s\ns:\n  * a\nb:\n  * c\n", "g:4: no start leads to rule b");
    refused("start s\ns:\n  * a\n  * b {s}\ns:\n", "g:5: there is a rule s already");
    refused("start s\ns:\n  * a {t}\nt:\n  * b {s}\n", "g:2: rule s can never end");
    refused("start s\ns:\n  * a {s}\n", "g:2: rule s can never end");
    refused("start s\ns:\n  *0 a\n", "g:3: after a star comes a space, or a weight from 1 to 1000000");
    refused("start s\ns:\n  *1000001 a\n", "g:3: after a star");
    refused("start s\ns:\n  *x a\n", "g:3: after a star");
    refused("start s\ns:\n  *-1 a\n", "g:3: after a star");
    refused("start s\ns:\n  * a\n  * b\n  *2 a\n", "g:5: two alternatives of s read the same (\"a\")");
    refused("start s\ns:\n  * x (a|b|a)\n", "g:3: two alternatives of this choice read the same");
    refused("start s\ntable t: n\n  a\n  b\n  a\ns:\n  * [x: t] {x}\n",
            "g:5: table t has a row \"a\" already");
    refused("start s\ntable t: n\ns:\n  * [x: t] {x}\n", "g:2: table t has no rows");
    refused("start s\ntable t: n | m\n  a\ns:\n  * [x: t] {x}\n", "g:3: this row of t has 1 cells, not 2");
    refused("start s\ntable t: n\n  a\ns:\n  * b\n", "g:2: nothing draws from table t");
    refused("start s\ntable t: n\n  a\ns:\n  * [x: t] b\n", "g:5: x is drawn, but nothing ever uses it");
    refused("start s\ntable t: n\n  a\ns:\n  * [x: u] {x}\n", "g:5: there is no table u");
    refused("start s\ntable t: n\n  a\ns:\n  * b\n    [x: t] {x.m}\n", "g:6: table t has no column m");
    refused("start s\ntable t: n\n  a\ns:\n  * [x: t, n = b] {x}\n", "g:5: no row has \"b\" there");
    refused("start s\ntable t: n | m\n  a | b\n  c | d\ns:\n  * [x: t, n = a, m = d] {x}\n",
            "g:6: no row of table t meets these conditions");
    refused("start s\ntable t: n\n  a\ns:\n  * [x: t, not y] {x}\n",
            "g:5: nothing is ever drawn for a variable y");
    refused("start s\ns:\n  * (a\n", "needs a )");
    refused("start s\ns:\n  * (a)\n", "g:3: (...) is a choice and needs a |");
    refused("start s\ns:\n  * a | b\n", "g:3: | has no partner");
    refused("start s\ns:\n  * a }\n", "g:3: } has no partner");
    refused("start s\ns:\n  * {a\n", "needs a }");
    refused("start s\ns:\n  * a [if b = c] d\n", "g:3: [if ...] stands at the beginning");
    refused("start s\n  * a\n", "g:2: this indented line belongs to no rule or table");
    refused("start s\nwhat is this\n", "g:2: a line at the margin is");
    refused("include other\n", "g:1: a text in memory cannot include a file");
}

static void fails_to_expand(const char *text, const char *part)
{
    nb_grammar *grammar = parse(text);
    nb_story story;
    nb_error error = {""};
    assert_int_equal(nb_grammar_expand(grammar, "s", 0, 0, &story, &error), NB_ERR_FILE);
    assert_null(story.text);
    if (!strstr(error.text, part)) {
        fail_msg("\"%s\" instead of \"%s\"", error.text, part);
    }
    nb_grammar_close(&grammar);
}

static void test_expansion_errors(void **state)
{
    (void)state;
    fails_to_expand("start s\ntable t: n\n  a\ns:\n  * [x: t] [y: t, not x] {y}\n",
                    "g:5: no row of table t is left for y");
    fails_to_expand("start s\ntable t: n\n  a\n  b\ns:\n  * [x: t, n = a] {u}\nu:\n  * [if x = b] c\n",
                    "g:7: no alternative of u meets its conditions");
    fails_to_expand("start s\ntable t: n\n  a\ns:\n  * {x} [x: t]\n",
                    "g:5: nothing has been drawn for x yet");
    fails_to_expand("start s\ns:\n  *1000000 {s} {s} {s}\n  * a\n", "this story grows without end");
    fails_to_expand(
        "start s\ns:\n  * {a} {a} {a} {a} {a} {a} {a} {a} {a} {a}\na:\n  * {b} {b} {b} {b} {b} {b} {b} {b}\n"
        "b:\n  * {c} {c} {c} {c} {c} {c} {c} {c}\nc:\n  * {d} {d} {d} {d} {d} {d} {d} {d}\n"
        "d:\n  * {e} {e} {e} {e} {e} {e} {e} {e}\ne:\n  * {f} {f} {f} {f} {f} {f} {f} {f}\n"
        "f:\n  * wordswordswords {g}\ng:\n  * wordswordswords wordswordswords\n",
        "this story grows without end");
    fails_to_expand("start s\ns:\n  * a <{t}>\nt:\n  * b <c>\n", "g:5: an <answer> stands in another");
    fails_to_expand("start s\ns:\n  * a <b\n", "an <answer> is not closed");
    nb_grammar *grammar = parse("start s\ns:\n  * a\n");
    nb_story story;
    nb_error error = {""};
    assert_int_equal(nb_grammar_expand(grammar, "t", 0, 0, &story, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "\"t\" is no start of this grammar; it has: s"));
    nb_grammar_close(&grammar);
}

static void test_hidden(void **state)
{
    (void)state;
    nb_grammar *grammar = parse("start s\ntable t: n\n  a\n  b\ns:\n  * [x: t] [x: t] {x}.\n");
    nb_story story = expand(grammar, "s", 0, 0);
    assert_int_equal(story.n_hidden, 1);
    assert_true(story.bits == 2);
    nb_story_free(&story);
    nb_grammar_close(&grammar);
}

static void test_files(void **state)
{
    (void)state;
    static const char main_file[] = "include words\nstart s\ns:\n  * {w}\n",
                      words[] = "w:\n  * b {nothing}\n";
    temporary_file("words", words, sizeof words - 1);
    const char *path = temporary_file("main", main_file, sizeof main_file - 1);
    nb_grammar *grammar = NULL;
    nb_error error = {""};
    assert_int_equal(nb_grammar_open(path, &grammar, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "words:2: there is no rule and no variable nothing"));
    temporary_file("words", "include main\n", 13);
    assert_int_equal(nb_grammar_open(path, &grammar, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "does one include itself?"));
    assert_int_equal(nb_grammar_open(temporary_path("missing"), &grammar, &error), NB_ERR_IO);
}

/* Memory that runs out at any point ends in a sentence and leaks nothing. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] =
        "start s\ntable t: n | m\n  a | b c\n  d | e\ns:\n  * [x: t, m has c] {x} (f|g) {u}\n"
        "u:\n  * [if x = a] <h>\n";
    for (long n = 1;; n++) {
        nb_grammar *grammar = NULL;
        nb_story story = {0};
        nb_error error = {""};
        nb_memory_fail_after(n);
        nb_status status = nb_grammar_parse(text, sizeof text - 1, "g", &grammar, &error);
        if (status == NB_OK) {
            status = nb_grammar_expand(grammar, "s", 0, 0, &story, &error);
        }
        nb_memory_fail_after(0);
        nb_story_free(&story);
        nb_grammar_close(&grammar);
        if (status == NB_OK) {
            assert_true(n > 30);
            break;
        }
        if (status != NB_ERR_MEMORY) {
            fail_msg("allocation %ld: \"%s\"", n, error.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enumeration), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_joining),     cmocka_unit_test(test_joining_quotes),
        cmocka_unit_test(test_answer),      cmocka_unit_test(test_words),
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_expansion_errors),
        cmocka_unit_test(test_hidden),      cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
