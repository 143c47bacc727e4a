/* Notebooks as files for others: what is in them, that nothing in them runs, and that Jupyter's come back. */
#include "repl/document/autosave.h"
#include "repl/document/document.h"
#include "repl/document/export.h"
#include "repl/document/html.h"
#include "repl/document/import.h"
#include "repl/notebook.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_notebook *notebook;

static int create(void **state)
{
    (void)state;
    nb_context_options options = {.n_threads = 1};
    nb_error error;
    return nb_notebook_create(&options, &notebook, &error) == NB_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    nb_notebook_destroy(&notebook);
    return 0;
}

static void run(const char *cell)
{
    nb_error error;
    nb_notebook_run(notebook, cell, strlen(cell), NULL, NULL, &error);
}

/* The text of an export under this name. */
static char *exported(const char *name, nb_exported *out)
{
    nb_error error;
    size_t size;
    const char *path = temporary_path(name);
    if (nb_notebook_export(notebook, path, out, &error) != NB_OK)
        fail_msg("%s", error.text);
    char *text = (char *)read_whole_file(path, &size);
    assert_int_equal(out->n_bytes, size);
    return text;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in\n%s", part, text);
}

static void test_outcomes(void **state)
{
    (void)state;
    run("bits 0.5 f16; range int4");
    run("bits 0.5 f61");
    assert_int_equal(notebook->n_cells, 2);
    assert_true(notebook->outcomes[0].items.count >= 2);
    assert_null(notebook->outcomes[0].error);
    assert_true(notebook->outcomes[0].n_bytes > 0);
    assert_non_null(strstr(notebook->outcomes[1].error, "did you mean f16?"));
    assert_int_equal(notebook->outcome_bytes, notebook->outcomes[0].n_bytes + notebook->outcomes[1].n_bytes);
}

static void test_markdown(void **state)
{
    (void)state;
    nb_exported out;
    nb_document *document;
    nb_error error;
    run("1 + 1");
    nb_notebook_note(notebook, "/nowhere/x.md", "# Prose", NULL);
    nb_notebook_note(notebook, "/nowhere/x.md", "How many?", "```check many\nask: How many?\nwant: n == 2\n```\n");
    run("history");
    run("range f61");
    char *text = exported("monday.md", &out);
    assert_string_equal(text, "---\ntitle: monday\n---\n\n```nibble\n1 + 1\n```\n```output\n2\n```\n\n# Prose\n\n"
                              "```check many\nask: How many?\nwant: n == 2\n```\n\n"
                              "```nibble fails\nrange f61\n```\n```output\nno format \"f61\": did you mean f16?\n```\n\n");
    assert_int_equal(out.n_cells, 2);
    assert_int_equal(nb_document_parse(text, strlen(text), "x", &document, &error), NB_OK);
    assert_int_equal(document->n_blocks, 6);
    nb_document_close(&document);
    free(text);
    assert_int_equal(nb_notebook_export(notebook, temporary_path("monday.pdf"), &out, &error), NB_ERR_ARGUMENT);
    has(error.text, ".md, .ipynb or .html");
}

static void test_exported_cells(void **state)
{
    (void)state;
    assert_true(nb_cell_is_exported("load story"));
    assert_true(nb_cell_is_exported("exporter = 1"));
    assert_false(nb_cell_is_exported("  export x.md"));
    assert_false(nb_cell_is_exported("exit"));
    assert_false(nb_cell_is_exported(" \n"));
    assert_true(nb_cell_is_exported("x = 1\nexport x.md"));
}

static void test_html(void **state)
{
    (void)state;
    nb_exported out;
    nb_notebook_note(notebook, "/nowhere/x.md",
                     "# A <script>alert(1)</script> *word*\n\n"
                     "<script>alert(2)</script>\n\n<img src=x onerror=alert(3)>\n\n"
                     "[a](javascript:alert(4)) [b](JavaScript:alert(5)) [c](data:text/html,x) [d](https://example.org/)\n"
                     "[e](java&#115;cript:alert(6)) ![f](https://example.org/f.png) ![g](/etc/passwd)\n\n"
                     "The step $s = \\frac{a}{b}$, $n_{layers}$, $2^{\\text{exponent}} < x_(a$, $x_$ and $2^x$.\n\n| x | y |\n| --- | ---: |\n| 1 | 2 |\n",
                     NULL);
    run("x = \"<b>&\" # <i>");
    run("\"<script>alert(7)</script>\"");
    run("x <b>&");
    char *text = exported("page.html", &out);
    assert_int_equal(out.n_cells, 3);
    lacks(text, "<script");
    lacks(text, "onerror=alert(3)>");
    lacks(text, "href=\"java");
    lacks(text, "href=\"Java");
    lacks(text, "href=\"data:");
    lacks(text, "src=\"https:");
    lacks(text, "<b>&");
    lacks(text, "root:");
    has(text, "<a href=\"https://example.org/\">d</a>");
    has(text, "<em>word</em>");
    has(text, "<td class=\"right\">2</td>");
    has(text, "class=\"math\"");
    has(text, ">n<sub>layers</sub></span>, <span class=\"math\">2<sup>exponent</sup> &lt; x"); /* no small letters exist */
    has(text, "&lt;script&gt;alert(7)");
    has(text, "<!DOCTYPE html>");
    has(text, "</html>\n");
    has(text, "<header><h1>page</h1></header>");
    free(text);
    notebook->title = strdup("A <script>alert(1)</script> *word*");
    text = exported("page.html", &out);
    lacks(text, "<header>"); /* the prose begins with it */
    lacks(text, "<script");
    free(text);
}

static void test_marks(void **state)
{
    (void)state;
    nb_draft out = {0};
    nb_html_marked(&out, "a " NB_STRONG "b<" NB_END " " NB_MEASURED "3 s" NB_END " " NB_COMMAND "x");
    has(nb_draft_text(&out), "a <strong>b&lt;</strong> <span class=\"measured\"");
    has(nb_draft_text(&out), ">3 s</span> <code>x</code>");
    nb_draft_free(&out);
    nb_html_code(&out, "def f(x) # a \"note\"\nhist \"a b\" --log\nhist = 3");
    assert_string_equal(nb_draft_text(&out), "<span class=\"word\">def</span> f(x) <span class=\"comment\"># a &quot;note&quot;"
                                             "</span>\n<span class=\"command\">hist</span> <span class=\"text\">"
                                             "&quot;a b&quot;</span> --log\nhist = 3");
    nb_draft_free(&out);
}

/* One process after the other may go on with a session, and none with one that is open. */
static bool another_process_finds(const char *expected)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *found = nb_autosave_newest();
        _exit(expected ? !found || strcmp(found, expected) != 0 : found != NULL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_autosave(void **state)
{
    (void)state;
    nb_autosave autosave;
    size_t size;
    assert_int_equal(setenv("XDG_DATA_HOME", temporary_path("data"), 1), 0);
    nb_autosave_open(&autosave);
    assert_non_null(autosave.path);
    nb_autosave_write(&autosave, notebook);
    assert_int_not_equal(access(autosave.path, F_OK), 0); /* nothing was typed yet */
    run("x = 41");
    nb_autosave_write(&autosave, notebook);
    run("x + 1");
    nb_autosave_write(&autosave, notebook);
    char *path = strdup(autosave.path), *text = (char *)read_whole_file(path, &size);
    has(text, "```nibble\nx = 41\n```\n\n```nibble\nx + 1\n```\n```output\n42\n```\n");
    free(text);
    assert_true(another_process_finds(NULL));
    nb_autosave_close(&autosave);
    assert_true(another_process_finds(path));
    nb_autosave_open(&autosave); /* left without a cell: no session */
    nb_autosave_close(&autosave);
    assert_true(another_process_finds(path));
    free(path);
}

static void test_history(void **state)
{
    (void)state;
    run("1 + 41");
    run("range f61");
    run("history 1");
    run("history 2");
    run("history 9");
    assert_int_equal(notebook->outcomes[2].items.count, 2);
    assert_string_equal(notebook->outcomes[2].items.items[1].text, "42\n");
    has(notebook->outcomes[3].items.items[1].text, "did you mean f16?");
    has(notebook->outcomes[4].error, "there is no earlier cell 9");
}

static void test_time(void **state)
{
    (void)state;
    run("%time 1 + 1");
    assert_int_equal(notebook->outcomes[0].items.count, 2);
    has(notebook->outcomes[0].items.items[0].text, "2");
    has(notebook->outcomes[0].items.items[1].text, NB_MEASURED);
    run("%timeit sum([1, 2, 3])");
    assert_null(notebook->outcomes[1].error);
    assert_int_equal(notebook->outcomes[1].items.count, 1);
    has(notebook->outcomes[1].items.items[0].text, "at best");
    run("%time range f61");
    has(notebook->outcomes[2].error, "did you mean f16?");
    run("7 %time");
    assert_non_null(notebook->outcomes[3].error); /* a remainder by something unknown */
}

#ifdef NB_HAVE_JANSSON

static void imports(const char *json, const char *expected, size_t n_cells, size_t n_kept)
{
    nb_draft markdown = {0};
    nb_imported imported;
    nb_error error;
    if (nb_import_ipynb(json, strlen(json), "x.ipynb", &markdown, &imported, &error) != NB_OK)
        fail_msg("%s", error.text);
    assert_string_equal(nb_draft_text(&markdown), expected);
    assert_int_equal(imported.n_cells, n_cells);
    assert_int_equal(imported.n_kept, n_kept);
    nb_draft_free(&markdown);
}

static void refuses(const char *json, const char *words)
{
    nb_draft markdown = {0};
    nb_imported imported;
    nb_error error = {""};
    assert_int_not_equal(nb_import_ipynb(json, strlen(json), "x.ipynb", &markdown, &imported, &error), NB_OK);
    has(error.text, words);
    has(error.text, "x.ipynb");
    nb_draft_free(&markdown);
}

static void test_import(void **state)
{
    (void)state;
    imports("{\"nbformat\": 4, \"nbformat_minor\": 5, \"metadata\": {\"language_info\": {\"name\": \"python\"}},"
            " \"cells\": [{\"cell_type\": \"markdown\", \"source\": [\"# A\\r\\n\", \"b\"]},"
            " {\"cell_type\": \"code\", \"source\": \"print('```')\", \"outputs\": []},"
            " {\"cell_type\": \"code\", \"source\": \"%%nibble\\nload story\", \"outputs\": []},"
            " {\"cell_type\": \"raw\", \"source\": \"r\"}]}",
            "---\ntitle: Imported notebook\n---\n\n# A\nb\n\n````python\nprint('```')\n````\n\n"
            "```nibble\nload story\n```\n\n```text\nr\n```\n\n",
            1, 1);
    imports("{\"nbformat\": 4, \"metadata\": {\"title\": \"T\\nx: y\", \"kernelspec\": {\"name\": \"nibble\"}}, \"cells\": []}",
            "---\ntitle: T x: y\n---\n\n", 0, 0);
    imports("{\"nbformat\": 4, \"metadata\": {\"language_info\": {\"name\": \"a b\\n```nibble\"}}, \"cells\": "
            "[{\"cell_type\": \"code\", \"source\": \"x\"}]}",
            "---\ntitle: Imported notebook\n---\n\n```python\nx\n```\n\n", 0, 1);
}

static void test_import_refuses(void **state)
{
    (void)state;
    refuses("", "line 1: not the JSON of a notebook");
    refuses("{\"nbformat\": 4, \"cells\": [", "not the JSON of a notebook");
    refuses("[]", "no \"nbformat\"");
    refuses("{\"nbformat\": \"4\"}", "no \"nbformat\"");
    refuses("{\"nbformat\": 3, \"worksheets\": []}", "version 3");
    refuses("{\"nbformat\": 4, \"cells\": {}}", "without a list of cells");
    refuses("{\"nbformat\": 4, \"nbformat\": 4, \"cells\": []}", "duplicate");
    refuses("{\"nbformat\": 4, \"cells\": [7]}", "cell 1: its kind is \"\"");
    refuses("{\"nbformat\": 4, \"cells\": [{\"cell_type\": \"markdown\", \"source\": \"\\u0000\"}]}", "not the JSON");
    char deep[5000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    refuses(deep, "not the JSON of a notebook");
}

/* To .ipynb and back gives the cells and their words. */
static void test_there_and_back(void **state)
{
    (void)state;
    nb_exported out;
    nb_draft markdown = {0};
    nb_imported imported;
    nb_error error;
    run("1 + 1\n3");
    nb_notebook_note(notebook, "/nowhere/x.md", "# Prose\n\nhere\n", NULL);
    run("range f61");
    char *text = exported("back.ipynb", &out);
    has(text, "\"nbformat\": 4");
    has(text, "\"execution_count\": 1");
    has(text, "\"ename\": \"error\"");
    free(text);
    assert_int_equal(nb_import_open(temporary_path("back.ipynb"), &markdown, &imported, &error), NB_OK);
    assert_string_equal(nb_draft_text(&markdown),
                        "---\ntitle: back\n---\n\n```nibble\n1 + 1\n3\n```\n```output\n3\n```\n\n# Prose\n\nhere\n\n"
                        "```nibble fails\nrange f61\n```\n```output\nno format \"f61\": did you mean f16?\n```\n\n");
    assert_int_equal(imported.n_cells, 2);
    nb_draft_free(&markdown);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_outcomes, create, destroy),
        cmocka_unit_test_setup_teardown(test_markdown, create, destroy),
        cmocka_unit_test(test_exported_cells),
        cmocka_unit_test_setup_teardown(test_html, create, destroy),
        cmocka_unit_test(test_marks),
        cmocka_unit_test_setup_teardown(test_autosave, create, destroy),
        cmocka_unit_test_setup_teardown(test_history, create, destroy),
        cmocka_unit_test_setup_teardown(test_time, create, destroy),
#ifdef NB_HAVE_JANSSON
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_import_refuses),
        cmocka_unit_test_setup_teardown(test_there_and_back, create, destroy),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
