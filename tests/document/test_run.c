/* nibble run on documents, as a person runs it: shown, recorded, compared, with parameters, and confined. */
#include "base/file.h"
#include "base/memory.h"
#include "tests/support/program.h"
#include "tests/support/temporary.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

/* The outputs that differ are shown in several lines. */
static void differed(const char *part)
{
    if (program_status == 0 || !strstr(program_err, part))
        fail_msg("not \"%s\" but: %s", part, program_err);
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in\n%s", part, text);
}

static const char *write_document(const char *name, const char *text)
{
    return temporary_file(name, text, strlen(text));
}

static const char notebook[] = "---\ntitle: Test\nparameters:\n  bits: 4\n---\n\nProse.\n\n"
                               "```nibble\nx = 2 ^ bits\nx + 1\n```\n\n"
                               "```nibble fails\nrange f61\n```\n\n"
                               "```nibble skip\n!touch /nowhere\n```\n\n"
                               "```check square\nask: The square of x, in y.\nwant: y == x ^ 2\ndo: y = x ^ 2\n```\n\n"
                               "```nibble\n%time y\n```\n\nThe end.\n";

static void test_shown(void **state)
{
    (void)state;
    program_run(NULL, "run", write_document("shown.md", notebook), NULL);
    assert_int_equal(program_status, 0);
    says(program_out, "In [1]: x = 2 ^ bits\n   ...: x + 1\nOut[1]: 17\n");
    says(program_out, "Out[4]: 256\n");
    assert_null(strstr(program_out, "Prose"));
    says(program_err, "did you mean f16?");
}

static void test_recorded(void **state)
{
    (void)state;
    const char *path = write_document("recorded.md", notebook);
    program_run(NULL, "run", "--check", path, NULL);
    program_succeeded();
    says(program_out, "4 cells, 0 outputs as recorded");
    says(program_out, "3 cells gave something and have no output recorded");
    program_run(NULL, "run", "--record", path, NULL);
    program_succeeded();
    char *text = read_whole_text(path);
    says(text, "x + 1\n```\n```output\n17\n```\n\n```nibble fails\nrange f61\n```\n```output\nno format");
    says(text, "%time y\n```\n```output\n256\ntook \u27e8");
    says(text, "do: y = x ^ 2\n```\n");
    program_run(NULL, "run", "--check", path, NULL);
    program_succeeded();
    says(program_out, "4 cells, 3 outputs as recorded");
    program_run(NULL, "run", "--record", path, NULL); /* what is measured stays as it was recorded */
    program_succeeded();
    says(program_out, "all as they were");
    char *again = read_whole_text(path);
    assert_string_equal(text, again);
    free(text);
    free(again);
}

/* Pictures that a document names no more go; what is not of its recording stays. */
static void test_stale_figures(void **state)
{
    (void)state;
    static const char two[] = "```nibble\nplot [1, 2, 3]\n```\n\n```nibble\nplot [3, 1]\n```\n",
                      one[] = "```nibble\nplot [1, 2, 3]\n```\n\nDrawn by hand: ![x](figures/stale-4.svg)\n";
    char path[600], first[600], second[600], third[600], named[600], foreign[600];
    snprintf(path, sizeof path, "%s", write_document("stale.md", two));
    program_run(NULL, "run", "--record", path, NULL);
    program_succeeded();
    snprintf(first, sizeof first, "%s", temporary_path("figures/stale-1.svg"));
    snprintf(second, sizeof second, "%s", temporary_path("figures/stale-2.svg"));
    assert_int_equal(access(first, F_OK), 0);
    assert_int_equal(access(second, F_OK), 0);
    char *picture = read_whole_text(second);
    snprintf(third, sizeof third, "%s", temporary_file("figures/stale-3.svg", "<svg/>\n", 7));
    snprintf(named, sizeof named, "%s", temporary_file("figures/stale-4.svg", picture, strlen(picture)));
    snprintf(foreign, sizeof foreign, "%s", temporary_file("figures/stale-b-5.svg", picture, strlen(picture)));
    free(picture);
    write_document("stale.md", one);
    program_run(NULL, "run", "--record", path, NULL);
    program_succeeded();
    says(program_out, "1 picture that it names no more was removed");
    assert_int_equal(access(first, F_OK), 0);
    assert_int_not_equal(access(second, F_OK), 0);
    assert_int_equal(access(third, F_OK), 0);   /* not recorded: drawn by somebody */
    assert_int_equal(access(named, F_OK), 0);   /* the prose names it */
    assert_int_equal(access(foreign, F_OK), 0); /* of stale-b.md */
    const char *const made[] = {first, third, named, foreign};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        unlink(made[i]);
    rmdir(temporary_path("figures"));
}

static void test_difference(void **state)
{
    (void)state;
    const char *path = write_document("differs.md", "```nibble\n1 + 1\n```\n```output\n2\n```\n\n"
                                                    "```nibble\n[1, 2, 3] / 2\n```\n```output\n[0.5, 1.0, 1.5]\n```\n");
    program_run(NULL, "run", "--check", path, NULL);
    differed("differs.md, line 12: the cell of line 8 gave something else than was recorded\n");
    says(program_err, "  recorded [0.5, 1.0, 1.5]\n  now      [0.5");
    says(program_out, "2 cells, 1 of 2 outputs differ");
    path = write_document("gone.md", "```nibble\nx = 1\n```\n```output\n1\n```\n");
    program_run(NULL, "run", "--check", path, NULL);
    differed("gone.md, line 4");
    says(program_err, "  now      (nothing)\n");
}

static void test_errors(void **state)
{
    (void)state;
    program_run(NULL, "run", write_document("wrong.md", "a\n\n```nibble\nrange f61\n```\n"), NULL);
    program_failed("wrong.md, line 3: no format \"f61\": did you mean f16?");
    program_run(NULL, "run", "--check", write_document("fine.md", "```nibble fails\n1\n```\n"), NULL);
    program_failed("fine.md, line 1: this cell is said to fail, and went well");
    program_run(NULL, "run", write_document("open.md", "```nibble\n1\n"), NULL);
    program_failed("open.md, line 1: the cell that starts here is never closed");
    program_run(NULL, "run", write_document("want.md", "```check a\nask: x\nwant: 1 == 2\ndo: x = 1\n```\n"), NULL);
    program_failed("want.md, line 3: after its solution this does not hold: 1 == 2");
    program_run(NULL, "run", "--check", "--record", "x.md", NULL);
    program_failed("choose one");
    program_run(NULL, "run", "--check", write_document("cells", "1\n"), NULL);
    program_failed("is no Markdown");
    program_run(NULL, "run", "--check", "/nowhere/x.md", NULL);
    program_failed("/nowhere/x.md");
}

static void test_parameters(void **state)
{
    (void)state;
    const char *path = write_document("parameters.md", "---\nparameters:\n  bits: 4\n  name: absmax\n---\n"
                                                       "```nibble\nbits * 10\n```\n```nibble parameters\nn = 1\n```\n"
                                                       "```nibble\nn\n```\n");
    program_run(NULL, "run", path, NULL);
    program_succeeded();
    says(program_out, "Out[1]: 40\n");
    says(program_out, "Out[3]: 1\n");
    program_run(NULL, "run", path, "-p", "bits=8", "-p", "n=7", NULL);
    program_succeeded();
    says(program_out, "Out[1]: 80\n");
    says(program_out, "Out[3]: 7\n");
    program_run(NULL, "run", path, "-p", "bits", NULL);
    program_failed("-p bits=4");
    program_run(NULL, "run", path, "-p", "1x=2", NULL);
    program_failed("1x");
}

static void test_confined(void **state)
{
    (void)state;
    const char *shell = write_document("shell.md", "```nibble\n!echo hello\n```\n");
    program_run(NULL, "run", shell, NULL);
    program_failed("may not run other programs");
    program_run(NULL, "run", "--trust", shell, NULL);
    program_succeeded();
    says(program_out, "hello\n");
    program_run(NULL, "run", write_document("reads.md", "```nibble\nload /etc/passwd\n```\n"), NULL);
    program_failed("may only use files of its own folder, not /etc/passwd");
    program_run(NULL, "run", write_document("up.md", "```nibble\nexport ../up.html\n```\n"), NULL);
    program_failed("may only use files of its own folder");
    write_document("cells.txt", "1 + 1\n");
    program_run(NULL, "run", write_document("inner.md", "```nibble\nrun cells.txt\n```\n"), NULL);
    program_failed("cannot run another");
    size_t before = temporary_count();
    program_run(NULL, "run", write_document("writes.md", "```nibble\nx = 1\nexport page.html\n```\n"), NULL);
    assert_int_equal(program_status, 0);
    says(program_err, "the files that it wrote are in ");
    assert_int_equal(temporary_count(), before + 1); /* writes.md itself, and no page.html beside it */
}

static void test_exports(void **state)
{
    (void)state;
    char page[600];
    const char *path = write_document("exports.md", notebook);
    snprintf(page, sizeof page, "%s", temporary_path("exports.html"));
    program_run(NULL, "run", path, "--export", page, NULL);
    assert_int_equal(program_status, 0);
    char *text = read_whole_text(page);
    says(text, "<title>Test</title>");
    says(text, "Your turn");
    says(text, "The end.");
    says(text, "<p class=\"value\">17</p>");
    free(text);
    assert_null(strstr(program_out, "In [1]"));
    snprintf(page, sizeof page, "%s", temporary_path("exports.ipynb"));
    program_run(NULL, "run", path, "--export", page, NULL);
    assert_int_equal(program_status, 0);
    text = read_whole_text(page);
    says(text, "\"**Your turn.** ");
    free(text);
}

static void test_resumed(void **state)
{
    (void)state;
    char folder[600], path[700];
    snprintf(folder, sizeof folder, "%s", temporary_path("data"));
    setenv("XDG_DATA_HOME", folder, 1);
    program_run(NULL, "--resume", "-c", "1", NULL);
    program_failed("there is no earlier notebook");
    snprintf(path, sizeof path, "mkdir -p '%s/nibble/sessions'", folder);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/nibble/sessions/20260102-030405-1.md", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("```nibble\nx = 41\n```\n\n```nibble fails\nrange f61\n```\n\n```nibble\n!touch /nowhere/x\n```\n", file);
    fclose(file);
    program_run(NULL, "--resume", "-c", "x + 1", NULL);
    program_succeeded();
    says(program_out, "the notebook of 2026-01-02, 03:04 · 1 cell run again");
    says(program_out, "2 not: they had failed, or start other programs");
    says(program_out, "42\n");
}

static int tear_down(void **state)
{
    (void)state;
    program_forget();
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    if (!program_find(argv[0]))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),      cmocka_unit_test(test_recorded), cmocka_unit_test(test_difference),
        cmocka_unit_test(test_stale_figures),
        cmocka_unit_test(test_errors),     cmocka_unit_test(test_parameters), cmocka_unit_test(test_confined),
        cmocka_unit_test(test_exports),    cmocka_unit_test(test_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
