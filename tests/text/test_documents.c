/* A text is cut at lines that are the mark, and nowhere else. */
#include "text/documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the standard headers first. */
#include <cmocka.h>

/* The documents of `text`, joined by "|". */
static void check(const char *text, bool marked, const char *expected)
{
    char joined[256] = "";
    const nb_string whole = {text, strlen(text)};
    nb_string document;
    for (size_t at = 0, used = 0; nb_document_next(whole, &at, &document);)
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%.*s", used ? "|" : "",
                                 (int)document.n_bytes, document.text);
    assert_string_equal(joined, expected);
    assert_true(nb_documents_marked(whole) == marked);
}

#define M "<|endoftext|>"

static void texts_are_cut_at_marks(void **state)
{
    (void)state;
    check("", false, "");
    check("\n\r\n", false, "");
    check("one\ntwo\n\nthree\n", false, "one\ntwo\n\nthree");
    check("one\n" M "\ntwo\n", true, "one|two");
    check("one\r\n" M "\r\ntwo\r\n" M "\r\n", true, "one|two");
    check(M "\n" M "\none\n\n" M "\n\n\n" M "\ntwo\n" M, true, "one|two");
    check("one\n" M, true, "one");
    check(M, true, "");
    check("one " M "\n" M " two\n " M "\n<|endoftext|\n", false,
          "one " M "\n" M " two\n " M "\n<|endoftext|");
    check(" one \n" M "\n\ttwo\n", true, " one |\ttwo"); /* only line ends are dropped */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_cut_at_marks)};
    return cmocka_run_group_tests_name("documents", tests, NULL, NULL);
}
