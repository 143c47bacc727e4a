/* The Markdown reader: what is a cell and what is not, byte for byte back, and sentences for what is broken. */
#include "base/memory.h"
#include "repl/document/document.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const char lesson[] = "---\n"
                             "title: Absmax by hand\n"
                             "goal: \"write it: yourself\"\n"
                             "needs: [lesson 3, 'a, b']\n"
                             "# a comment\n"
                             "minutes: 20\n"
                             "parameters:\n"
                             "  bits: 4\n"
                             "---\n"
                             "\n"
                             "# One ruler\n"
                             "\n"
                             "Eight weights.\n"
                             "\n"
                             "```nibble fails slow\n"
                             "x = [1.2,\n"
                             "     -0.5]\n"
                             "```\n"
                             "\n"
                             "```output\n"
                             "[1.2, -0.5]\n"
                             "```\n"
                             "![A \\[small\\] figure.](figures/absmax-1.svg)\n"
                             "\n"
                             "Prose.\n"
                             "```c\n"
                             "int x;\n"
                             "```\n"
                             "```check step\n"
                             "ask: How far apart\n"
                             "  are the marks?\n"
                             "want: s == max(x | 1) +- 1e-6\n"
                             "want: t == \"a|b\" | Right.\n"
                             "wrong: s == 5.4 / 128 | The far mark\n"
                             "   is 127.\n"
                             "\n"
                             "hint: first\n"
                             "hint: second: with a colon\n"
                             "do: def f(x)\n"
                             "      2 * x\n"
                             "    end\n"
                             "do: s = 1\n"
                             "```\n";

static nb_document *parsed(const char *text)
{
    nb_document *document;
    nb_error error = {""};
    if (nb_document_parse(text, strlen(text), "x.md", &document, &error) != NB_OK)
        fail_msg("%s", error.text);
    return document;
}

static void refused(const char *text, const char *words)
{
    nb_document *document;
    nb_error error = {""};
    assert_int_equal(nb_document_parse(text, strlen(text), "x.md", &document, &error), NB_ERR_FILE);
    assert_null(document);
    if (!strstr(error.text, words))
        fail_msg("not \"%s\" but: %s", words, error.text);
}

static void comes_back(const char *text, size_t n)
{
    nb_document *document;
    nb_error error = {""};
    nb_draft written = {0};
    if (nb_document_parse(text, n, "x.md", &document, &error) != NB_OK)
        fail_msg("%s", error.text);
    nb_document_write(document, &written);
    assert_int_equal(written.n_bytes, n);
    assert_memory_equal(nb_draft_text(&written), text, n);
    nb_draft_free(&written);
    nb_document_close(&document);
}

/* "PCO": the kinds of the blocks. */
static void has_kinds(const char *text, const char *expected)
{
    nb_document *document = parsed(text);
    char kinds[64] = "";
    for (size_t i = 0; i < document->n_blocks; i++)
        strncat(kinds, &"PCOKF"[document->blocks[i].kind], 1);
    if (strcmp(kinds, expected) != 0)
        fail_msg("%s instead of %s for:\n%s", kinds, expected, text);
    nb_document_close(&document);
    comes_back(text, strlen(text));
}

static void is_block(const nb_document *document, size_t index, size_t line, const char *text, const char *info)
{
    assert_true(index < document->n_blocks);
    assert_int_equal(document->blocks[index].line, line);
    assert_string_equal(document->blocks[index].text, text);
    assert_string_equal(document->blocks[index].info, info);
}

static void test_blocks(void **state)
{
    (void)state;
    nb_document *document = parsed(lesson);
    assert_int_equal(document->n_blocks, 6);
    is_block(document, 0, 11, "# One ruler\n\nEight weights.\n", "");
    is_block(document, 1, 15, "x = [1.2,\n     -0.5]\n", "fails slow");
    is_block(document, 2, 20, "[1.2, -0.5]\n", "");
    is_block(document, 3, 23, "figures/absmax-1.svg", "A [small] figure.");
    is_block(document, 4, 25, "Prose.\n```c\nint x;\n```\n", "");
    assert_int_equal(document->blocks[5].line, 29);
    assert_int_equal(document->blocks[1].text_line, 16);
    assert_true(nb_block_has_option(&document->blocks[1], "slow"));
    assert_true(nb_block_has_option(&document->blocks[1], "fails"));
    assert_false(nb_block_has_option(&document->blocks[1], "fail"));
    assert_false(nb_block_has_option(&document->blocks[1], "low"));
    nb_document_close(&document);
    assert_null(document);
    nb_document_close(&document);
}

static void test_front(void **state)
{
    (void)state;
    nb_document *document = parsed(lesson);
    assert_string_equal(nb_document_value(document, "title"), "Absmax by hand");
    assert_string_equal(nb_document_value(document, "goal"), "write it: yourself");
    assert_string_equal(nb_document_value(document, "minutes"), "20");
    assert_string_equal(nb_document_value(document, "parameters.bits"), "4");
    assert_null(nb_document_value(document, "# a comment"));
    assert_null(nb_document_value(document, "author"));
    static const char *const items[] = {"lesson 3", "a, b", NULL};
    for (size_t i = 0; i < 3; i++) {
        char *item = nb_front_item(nb_document_value(document, "needs"), i);
        if (items[i])
            assert_string_equal(item, items[i]);
        else
            assert_null(item);
        free(item);
    }
    nb_document_close(&document);
    document = parsed("---\nneeds:\n- 1\n- two words\nempty: []\none: x\n---\n");
    assert_string_equal(nb_document_value(document, "needs"), "[1, two words]");
    assert_null(nb_front_item(nb_document_value(document, "empty"), 0));
    char *item = nb_front_item(nb_document_value(document, "one"), 0);
    assert_string_equal(item, "x");
    free(item);
    nb_document_close(&document);
}

static void test_check(void **state)
{
    (void)state;
    nb_document *document = parsed(lesson);
    const nb_check *check = document->blocks[5].check;
    assert_string_equal(check->name, "step");
    assert_string_equal(check->ask, "How far apart\nare the marks?");
    assert_int_equal(check->n_wants, 2);
    assert_string_equal(check->wants[0].condition, "s == max(x | 1) +- 1e-6");
    assert_null(check->wants[0].sentence);
    assert_int_equal(check->wants[0].line, 32);
    assert_string_equal(check->wants[1].condition, "t == \"a|b\"");
    assert_string_equal(check->wants[1].sentence, "Right.");
    assert_int_equal(check->n_wrongs, 1);
    assert_string_equal(check->wrongs[0].condition, "s == 5.4 / 128");
    assert_string_equal(check->wrongs[0].sentence, "The far mark is 127.");
    assert_int_equal(check->wrongs[0].line, 34);
    assert_int_equal(check->n_hints, 2);
    assert_string_equal(check->hints[1], "second: with a colon");
    assert_string_equal(check->solution, "def f(x)\n  2 * x\nend\ns = 1");
    nb_document_close(&document);
}

static void test_kinds(void **state)
{
    (void)state;
    has_kinds("", "");
    has_kinds("\n\n", "");
    has_kinds("one\n\ntwo", "P");
    has_kinds("```nibble\n```\n```output\n```\n", "CO");
    has_kinds("~~~ nibble\nx\n~~~~\n\n\n```output\n```", "CO");
    has_kinds("````nibble\n```\n````\ntext", "CP");
    has_kinds("```nibbles\n```\n", "P");
    has_kinds("```output\n```\n", "P");                                        /* of no cell */
    has_kinds("```nibble\n```\ntext\n```output\n```\n", "CP");                 /* nor this one */
    has_kinds("````markdown\n```nibble\n```\n````\n", "P");                    /* about Markdown */
    has_kinds("- item\n\n  ```nibble\n  x\n  ```\n", "P");                     /* in a list */
    has_kinds("1. item\n   ```\n```nibble\n   ```\n", "P");
    has_kinds("    ```nibble\n", "P");                                         /* indented code */
    has_kinds("> ```nibble\n> x\n> ```\n", "P");                               /* a quote */
    has_kinds("<!-- not now:\n```nibble\n```\n-->\n```nibble\n```\n", "PC");   /* a comment */
    has_kinds("``` nibble `x`\n", "P");                                        /* a code span */
    has_kinds("```c\nnever closed\n```nibble\n", "P");
    has_kinds("![a](figures/a.svg)\n", "P");                                   /* of no cell */
    has_kinds("```nibble\n```\n![a](figures/a.svg)\n![b](x/figures/b.png)\n```output\n```\n", "CFFO");
    has_kinds("```nibble\n```\n![a](pictures/a.svg)\n", "CP");                 /* the writer's own */
    has_kinds("```nibble\n```\n![a](figures/a.svg) and more\n", "CP");
    has_kinds("```nibble\n```\n![a](<figures/a b.svg>)\n", "CF");
    has_kinds("```nibble\r\nx\r\n```\r\n\r\n```output\r\n1\r\n```\r\n", "CO");
    has_kinds("\xef\xbb\xbf---\na: b\n---\n```nibble\n```\n", "C");
    has_kinds("text\n---\na: b\n---\n", "P");
}

static void test_every_prefix_comes_back(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof lesson; n++) {
        nb_document *document;
        nb_error error;
        if (nb_document_parse(lesson, n, "x.md", &document, &error) == NB_OK)
            comes_back(lesson, n);
        else
            assert_non_null(strstr(error.text, "x.md, line "));
        nb_document_close(&document);
    }
    comes_back(lesson, sizeof lesson - 1);
}

/* A file's bytes end where they end: nothing stands after the last one. Seen by the address sanitizer. */
static void test_nothing_after_the_end(void **state)
{
    (void)state;
    static const char *const texts[] = {"~~~ nibble", "``` check s", "```nibble\n1\n```\n```output", "---\ntitle", "![a](b"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const size_t n = strlen(texts[i]);
        char *bytes = malloc(n);
        nb_document *document = NULL;
        nb_error error;
        assert_non_null(bytes);
        memcpy(bytes, texts[i], n);
        if (nb_document_parse(bytes, n, "x.md", &document, &error) == NB_OK)
            nb_document_close(&document);
        free(bytes);
    }
}

static void test_newlines(void **state)
{
    (void)state;
    nb_document *document = parsed("```nibble\r\nx\r\ny\r\n```\r\n");
    assert_string_equal(document->blocks[0].text, "x\ny\n");
    assert_string_equal(document->newline, "\r\n");
    nb_document_close(&document);
    document = parsed("````nibble\n```\n~~~~\n`````\n"); /* a fence ends with one of its kind, as long or longer */
    assert_int_equal(document->n_blocks, 1);
    assert_string_equal(document->blocks[0].text, "```\n~~~~\n");
    nb_document_close(&document);
}

static void test_broken(void **state)
{
    (void)state;
    refused("text\n\n```nibble\nx\n", "x.md, line 3: the cell that starts here is never closed");
    refused("```nibble\n```\n```output\n", "x.md, line 3: the output that starts here");
    refused("---\ntitle: x\n", "x.md, line 1: the front matter that starts here is never closed");
    refused("---\ntitle\n---\n", "x.md, line 2: front matter is lines like");
    refused("---\na: 1\nb: 2\na: 3\n---\n", "x.md, line 4: the front matter has a \"a\" already");
    refused("```check\nask: x\nwant: y\n```\n", "line 1: a check needs a name");
    refused("```check s\nask: x\n```\n", "the check s has no \"want");
    refused("```check s\nwant: x\n```\n", "the check s has no \"ask");
    refused("```check s\nask: x\nwnat: y\n```\n", "x.md, line 3: a check has no \"wnat\": did you mean want?");
    refused("```check s\nask: x\ncont.\n```\n", "line 3: \"cont.\" is none of");
    refused("```check s\nask: x\nwant: y\nwrong: s == 1\n```\n", "x.md, line 4: say what to answer");
    refused("```check s\nask: x\nwant: | y\n```\n", "line 3: a condition is missing");
    refused("```check s\nask: x\nwant: y\n```\n```check s\nask: x\nwant: y\n```\n",
            "line 5: the check of line 1 is named s too");
    refused("a\n\xff\xfe\n", "x.md, line 2: these bytes are not UTF-8");
    nb_document *document;
    nb_error error;
    assert_int_equal(nb_document_parse("a\n\0b", 4, "x.md", &document, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "x.md, line 2: a zero byte"));
    assert_int_equal(nb_document_open("/nowhere/x.md", &document, &error), NB_ERR_IO);
    assert_null(document);
}

static void test_memory(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        nb_document *document;
        nb_error error;
        nb_memory_fail_after(n);
        nb_status status = nb_document_parse(lesson, sizeof lesson - 1, "x.md", &document, &error);
        nb_memory_fail_after(0);
        nb_document_close(&document);
        if (status == NB_OK)
            break;
        assert_int_equal(status, NB_ERR_MEMORY);
        assert_true(n < 1000);
    }
}

static void test_file(void **state)
{
    (void)state;
    const char *path = temporary_file("lesson.md", lesson, sizeof lesson - 1);
    nb_document *document;
    nb_error error;
    size_t size;
    assert_int_equal(nb_document_open(path, &document, &error), NB_OK);
    const char *copy = temporary_path("copy.md");
    assert_int_equal(nb_document_save(document, copy, &error), NB_OK);
    uint8_t *bytes = read_whole_file(copy, &size);
    assert_int_equal(size, sizeof lesson - 1);
    assert_memory_equal(bytes, lesson, size);
    free(bytes);
    nb_document_close(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),   cmocka_unit_test(test_front),
        cmocka_unit_test(test_check),    cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_newlines), cmocka_unit_test(test_every_prefix_comes_back),
        cmocka_unit_test(test_broken),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_file),     cmocka_unit_test(test_nothing_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
