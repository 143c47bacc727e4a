/* Handing in and grading: right, wrong, skipped and unanswered questions; submissions that misbehave. */
#include "repl/lesson/submission.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const char lesson[] =
    "---\ntitle: Two\ngoal: g\nminutes: 1\n---\n\n"
    "```nibble\nx = [1, -3, 2]\n```\n\n"
    "```check largest\nask: q\nwant: m == 3\nwrong: m == 2 | The sign, please.\nhint: m = 3\n```\n\n"
    "```check twice\nask: q\nwant: d == 2 * m\nhint: d = 2 * m\n```\n\n"
    "```check last\nask: q\nwant: e == d + 1\nhint: e = d + 1\n```\n";

#define HEAD                                                                                                 \
    "---\nkind: nibble submission\nversion: 1\nlesson: 09-two\nname: Ada, \"A\"\ndate: 2026-11-21\n---\n"

static nb_error error;
static char key[600];

static int set_up(void **state)
{
    (void)state;
    setenv("XDG_DATA_HOME", "none", 1); /* not absolute: progress is kept nowhere that matters */
    setenv("HOME", "none", 1);
    snprintf(key, sizeof key, "%s", temporary_file("09-two.md", lesson, sizeof lesson - 1));
    return 0;
}

static void grades(const char *path, unsigned seconds, const char *part)
{
    nb_draft csv = {0};
    const nb_grading grading = {.key = key, .seconds = seconds};
    error.text[0] = '\0';
    const nb_status status = nb_grade(&grading, path, &csv, &error);
    const char *said = status == NB_OK ? nb_draft_text(&csv) : error.text;
    if (!strstr(said, part))
        fail_msg("grading says\n%s\nwithout \"%s\"", said, part);
    nb_draft_free(&csv);
}

static void text_grades(const char *text, const char *part)
{
    grades(temporary_file("one.nibsub", text, strlen(text)), 20, part);
}

static void test_marks(void **state)
{
    (void)state;
    text_grades(HEAD "# largest\n\n```nibble\nm = max(abs(x))\n```\n# twice\n```nibble\nd = 6\n```\n# "
                     "last\n```nibble\ne = 7\n```\n",
                "\"Ada, \"\"A\"\"\",\"2026-11-21\",\"09-two\",3,3,\"\"\n");
    text_grades(HEAD "# largest\n\n```nibble\nm = max(x)\n```\n# twice\n```nibble\nd = 2 * m\n```\n",
                ",1,3,\"largest: The sign, please.; last: not answered\"");
    text_grades(HEAD "# largest\n\n```nibble\nm = 7\n```\n# twice\nskipped\n```nibble\nd = 6\n```\n# "
                     "last\n```nibble\ne = d + 1\n```\n",
                ",1,3,\"largest: not right; twice: skipped\"");
}

static void test_misbehaviour(void **state)
{
    (void)state;
    text_grades(HEAD "# largest\n```nibble\n!echo 3\n```\n",
                "largest: this notebook may not run other programs");
    text_grades(HEAD "# largest\n```nibble\nload /etc/passwd\n```\n", "may only use files of its own folder");
    text_grades(HEAD "# largest\n```nibble\nm = )\n```\n", ",0,3,\"largest: ");
    const char *endless = HEAD "# largest\n```nibble\nwhile 1\n    m = 1\nend\n```\n";
    grades(temporary_file("endless.nibsub", endless, strlen(endless)), 1, ",,,\"stopped: it took too long\"");
    const char *huge =
        HEAD "# largest\n```nibble\nm = zeros(100000, 100000)\n```\n# twice\n```nibble\nd = 2 * m\n```\n";
    text_grades(huge, ",1,3,\"largest: ");
}

static void test_refused(void **state)
{
    (void)state;
    text_grades("---\nkind: nibble submission\nversion: 2\nlesson: 09-two\n---\n# a\n", "by a newer nibble");
    text_grades("# a\n", "is no submission");
    grades("/nowhere.nibsub", 1, "/nowhere.nibsub");
    text_grades("---\nkind: nibble submission\nversion: 1\nlesson: 09-two\nname: =1+1\n---\n# a\n",
                ",\"'=1+1\",");
}

/* What the notebook writes is what grading reads. */
static void test_submit(void **state)
{
    (void)state;
    nb_notebook *notebook = NULL;
    char cell[700], path[600];
    assert_int_equal(nb_notebook_create(&(nb_context_options){.n_threads = 1}, &notebook, &error), NB_OK);
    snprintf(path, sizeof path, "%s", temporary_path("ada.nibsub"));
    snprintf(cell, sizeof cell, "lesson %s", key);
    const char *const cells[] = {
        cell, "next", "m = max(x)", "m = 3", "skip", "check", "t = \"a ``` b\"; e = 7"};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        if (nb_notebook_run(notebook, cells[i], strlen(cells[i]), NULL, NULL, &error) != NB_OK)
            fail_msg("%s: %s", cells[i], error.text);
    }
    snprintf(cell, sizeof cell, "submit Ada %s", path);
    if (nb_notebook_run(notebook, cell, strlen(cell), NULL, NULL, &error) != NB_OK)
        fail_msg("%s", error.text);
    grades(path, 20, "\"Ada\",");
    grades(path, 20, ",2,3,\"twice: skipped\"");
    nb_submission submission;
    assert_int_equal(nb_submission_open(path, &submission, &error), NB_OK);
    assert_string_equal(nb_submission_find(&submission, "largest")->cells, "m = max(x)\nm = 3\n");
    assert_string_equal(nb_submission_find(&submission, "last")->cells, "t = \"a ``` b\"; e = 7\n");
    nb_submission_free(&submission);
    nb_notebook_destroy(&notebook);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_marks), cmocka_unit_test(test_misbehaviour),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_submit)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
