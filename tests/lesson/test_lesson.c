/* Taking a lesson: pacing, answers, hints, leaving and coming back; and what `lesson check` finds wrong in
 * one. */
#include "repl/lesson/lesson.h"
#include "repl/render.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const char ruler[] = "---\n"
                            "title: Rulers\n"
                            "goal: lay a ruler over weights\n"
                            "minutes: 5\n"
                            "---\n"
                            "\n"
                            "# One\n"
                            "\n"
                            "Here are four weights.\n"
                            "\n"
                            "```nibble\n"
                            "x = [1, -3, 2, 0.5]\n"
                            "```\n"
                            "\n"
                            "Now you.\n"
                            "\n"
                            "```check step\n"
                            "ask: The largest of them, sign aside, into `m`.\n"
                            "want: m == 3\n"
                            "wrong: m == 2 | That is the largest above zero.\n"
                            "try: m = max(x)\n"
                            "wrong: m == -3 | The sign is still there.\n"
                            "try: m = min(x)\n"
                            "wrong: m == 0.5 | That is the sum.\n"
                            "try: m = sum(x)\n"
                            "hint: Take the signs away.\n"
                            "hint: m = max(abs(x))\n"
                            "```\n"
                            "\n"
                            "```nibble\n"
                            "s = m / 127\n"
                            "s * 127\n"
                            "```\n"
                            "\n"
                            "The end of the ruler.\n";

static nb_notebook *notebook;
static nb_draft shown;
static nb_error error;

static int open_notebook(void **state)
{
    (void)state;
    char *folder = strdup(temporary_path("data"));
    setenv("XDG_DATA_HOME", folder, 1);
    free(folder);
    setenv("NIBBLE_LESSONS", temporary_path("."), 1);
    return nb_notebook_create(&(nb_context_options){.n_threads = 1}, &notebook, &error) == NB_OK ? 0 : -1;
}

static int close_notebook(void **state)
{
    (void)state;
    nb_notebook_destroy(&notebook);
    nb_draft_free(&shown);
    return 0;
}

static void start_again(void)
{
    assert_int_equal(close_notebook(NULL), 0);
    assert_int_equal(open_notebook(NULL), 0);
}

static void take(void *user, const nb_items *items, unsigned cell)
{
    nb_screen screen = {.out = stdout, .utf8 = true, .columns = 80};
    (void)user;
    nb_render_items(&screen, items, cell, &shown);
}

static nb_status run(const char *cell)
{
    nb_draft_free(&shown);
    error.text[0] = '\0';
    return nb_notebook_run(notebook, cell, strlen(cell), take, NULL, &error);
}

static void says(const char *cell, const char *part)
{
    const nb_status status = run(cell);
    if (status != NB_OK || !strstr(nb_draft_text(&shown), part))
        fail_msg("%s says\n%s%s\nwithout \"%s\"", cell, nb_draft_text(&shown), error.text, part);
}

static void says_not(const char *cell, const char *part)
{
    const nb_status status = run(cell);
    if (status != NB_OK || strstr(nb_draft_text(&shown), part))
        fail_msg("%s says\n%s%s\nwith \"%s\"", cell, nb_draft_text(&shown), error.text, part);
}

static void refuses(const char *cell, const char *part)
{
    const nb_status status = run(cell);
    if (status == NB_OK || !strstr(error.text, part))
        fail_msg("%s says\n%s\nwithout \"%s\"", cell, error.text, part);
}

static void open_lesson(const char *options)
{
    char cell[700];
    snprintf(cell, sizeof cell, "lesson %s %s", temporary_file("07-rulers.md", ruler, sizeof ruler - 1),
             options);
    says(cell, "Rulers");
}

static void test_walk(void **state)
{
    (void)state;
    start_again();
    open_lesson("--from-start");
    assert_non_null(strstr(nb_draft_text(&shown), "Here are four weights."));
    assert_string_equal(nb_lesson_offer(notebook->lesson), "x = [1, -3, 2, 0.5]\n");
    says("next", "Your turn (1 of 1). The largest of them");
    assert_null(nb_lesson_offer(notebook->lesson));
    says("next", "The question is still open");
    says("check", "Not yet");
    says("m = max(x)", "That is the largest above zero."); /* told as it happens, once */
    says_not("m = max(x)", "above zero");
    says("check", "m is 2");
    says("hint", "Hint 1 of 2. Take the signs away.");
    says("hint", "m = max(abs(x))");
    says("hint", "last hint");
    says_not("y = 5", "Right.");
    says("m = 3", "Right.");
    assert_string_equal(nb_lesson_offer(notebook->lesson), "s = m / 127\ns * 127\n");
    assert_string_equal(nb_lesson_meant(notebook->lesson, "s = m / 127\ns * 127back"), "back");
    assert_string_equal(nb_lesson_meant(notebook->lesson, "s = m / 127\ns * 127 exit\n"), "exit\n");
    assert_string_equal(nb_lesson_meant(notebook->lesson, "s = m / 127\ns * 127"), "s = m / 127\ns * 127");
    assert_string_equal(nb_lesson_meant(notebook->lesson, "s = m / 127\ns * 127 + m"),
                        "s = m / 127\ns * 127 + m");
    assert_string_equal(nb_lesson_meant(notebook->lesson, "s = m / 127back"), "s = m / 127back");
    assert_string_equal(nb_lesson_meant(NULL, "back"), "back");
    says("back", "answered before, ");
    says("next", "s = m / 127");
    says_not("1 + 1", "The end of the ruler.");   /* another cell: the lesson waits */
    says("s = m / 127", "The end of the ruler."); /* the offered one, edited */
    says("progress", "Rulers · step 3 of 3");
    says("progress", "done, 1 of 1 right");
}

/* A mistake that is there when the question is asked, from an earlier time, is none of the learner's yet. */
static void test_held(void **state)
{
    (void)state;
    static const char text[] = "---\ntitle: Held\ngoal: hold\nminutes: 1\n---\n\n"
                               "```nibble\nm = 2\n```\n\n"
                               "```check c\nask: Three, into `m`.\nwant: m == 3\n"
                               "wrong: m == 2 | That is two.\nwrong: m == 4 | That is four.\n"
                               "wrong: m == 2 or m == 5 | That is prime.\nwrong: q(1) == 9 | That is nine.\n"
                               "hint: m = 3\n```\n";
    char cell[700];
    start_again();
    snprintf(cell, sizeof cell, "lesson %s --from-start", temporary_file("08-names.md", text, sizeof text - 1));
    says(cell, "about 1 minute");
    assert_null(strstr(nb_draft_text(&shown), "minutes"));
    says("next", "Your turn");
    says_not("q = 5", "That is");
    says("check", "That is two.");
    says("m = 2", "That is two."); /* now it is: it was typed again */
    says_not("m = 2", "That is");
    says("m = 4", "That is four.");
    says("m = 2", "That is two.");
    says("m = 5", "That is prime.");
    says_not("m = 7", "That is");
    says("m = 5", "That is prime.");
    says("m = 3", "Right.");
    /* what holds since the beginning hides no mistake that is new */
    says("q = [2, 2]; m = 2; lesson 8 --from-start", "Held");
    says("skip", "Your turn");
    says_not("r = 3", "That is");
    says("def q(x) = 9", "That is nine.");
}

/* A variable may be called as a command of lessons is. */
static void test_names(void **state)
{
    (void)state;
    static const char text[] = "---\ntitle: Names\ngoal: name things\nminutes: 1\n---\n\n# One\n\n"
                               "```nibble\nback = 1\n```\n\nThe end of it.\n";
    char cell[700];
    start_again();
    snprintf(cell, sizeof cell, "lesson %s --from-start", temporary_file("08-names.md", text, sizeof text - 1));
    says(cell, "Names");
    says("back = 1", "The end of it.");
}

static void test_skip_and_back(void **state)
{
    (void)state;
    start_again();
    open_lesson("--from-start");
    says("skip", "Your turn");
    says("skip", "m = max(abs(x))");
    assert_non_null(strstr(nb_draft_text(&shown), "m is 3"));
    says("back", "Your turn");
    says("skip", "next runs");
    says("next", "0 of 1 questions answered");
    refuses("skip", "the end of the lesson");
    open_lesson("--from-start");
    refuses("back", "where the lesson begins");
    refuses("hint", "no question is open");
    /* m is there from the time before: that is no answer until somebody asks */
    says("next", "Your turn");
    says_not("1 + 1", "Right.");
    says("check", "Right.");
}

static void test_play(void **state)
{
    (void)state;
    start_again();
    open_lesson("--from-start");
    says("play", "The lesson waits");
    assert_null(nb_lesson_offer(notebook->lesson));
    says_not("x = [1, 2]", "Your turn");
    says("next", "Here are four weights.");
    says("next", "Your turn");
}

/* Left in the middle, in another notebook, another day. */
static void test_resume(void **state)
{
    (void)state;
    start_again();
    open_lesson("--from-start");
    says("next", "Your turn");
    says("m = 3", "Right.");
    start_again();
    says("lesson", "step 3 of 3");
    says("lesson 7", "You left it at step 3 of 3");
    says("m + x[1]", "Out[5]: 0"); /* lesson 7, two cells brought back, the lesson list: m and x are there */
    says("next", "1 of 1 questions answered");
}

static void test_progress_file(void **state)
{
    (void)state;
    start_again();
    open_lesson("--from-start");
    says("next", "Your turn");
    nb_records records;
    assert_int_equal(nb_records_read(&records, &error), NB_OK);
    const nb_record *record = nb_records_find(&records, "07-rulers");
    assert_non_null(record);
    assert_int_equal(record->at, 1);
    assert_int_equal(record->n_stops, 3);
    nb_records_free(&records);
    static const char newer[] = "nibble progress 2\n";
    temporary_file("data/nibble/progress", newer, sizeof newer - 1);
    refuses("progress", "of a newer nibble");
    says("m = 3", "Progress could not be kept"); /* and the lesson goes on */
    open_lesson("");
    assert_non_null(strstr(nb_draft_text(&shown), "of a newer nibble"));
    static const char other[] = "a picture\n";
    temporary_file("data/nibble/progress", other, sizeof other - 1);
    refuses("progress", "is not what nibble keeps progress in");
    static const char broken[] = "nibble progress 1\n??\n07-rulers at 3 of 3 answered 0 of 1 done 1\n";
    temporary_file("data/nibble/progress", broken, sizeof broken - 1);
    says("progress", "done, 0 of 1 right");
    static const char none[] = "nibble progress 1\n";
    temporary_file("data/nibble/progress", none, sizeof none - 1);
}

static void test_without_lesson(void **state)
{
    (void)state;
    start_again();
    static const char *const commands[] = {"next", "back", "hint", "check", "skip", "play"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        refuses(commands[i], "no lesson is open");
    refuses("lesson 99", "no lesson \"99\"");
    refuses("lesson rullers", "did you mean rulers?");
    refuses("lesson /nowhere/x.md", "/nowhere/x.md");
    refuses("lesson new", "of which file");
    refuses("lesson 1 2", "new, check, list");
}

static void test_present(void **state)
{
    (void)state;
    start_again();
    open_lesson("--from-start --present");
    says_not("next", "hint");
    refuses("hint", "no hints while presenting");
}

/* ---- lesson check ---- */

static void examine(const char *text, const char *part)
{
    nb_items items = {0};
    nb_context_options options = {.n_threads = 1};
    nb_error why = {""};
    const nb_status status =
        nb_lesson_examine(&options, temporary_file("try.md", text, strlen(text)), &items, &why);
    nb_draft_free(&shown);
    take(NULL, &items, 0);
    nb_items_free(&items);
    const char *said = status == NB_OK ? nb_draft_text(&shown) : why.text;
    if (!strstr(said, part))
        fail_msg("lesson check says\n%s\nwithout \"%s\" of\n%s", said, part, text);
}

#define HEAD  "---\ntitle: T\ngoal: g\nminutes: 1\n---\n\n"
#define CHECK "```check c\nask: q\nwant: m == 3\n"
#define DONE  "hint: m = 3\n```\n"

static void test_examine(void **state)
{
    (void)state;
    examine(ruler, "holds: 2 cells, 1 questions, 3 of 3 known mistakes tried");
    examine("# No front matter\n\n```nibble\n1\n```\n", "lacks: title");
    examine(HEAD "```nibble\nnothing_there\n```\n", "line 7: this cell fails");
    examine(HEAD "```nibble\nm = 3\n```\n" CHECK DONE, "line 10: it passes before anything was done");
    examine(HEAD CHECK "hint: m = 4\n```\n", "line 9: after the solution this does not hold: m == 3");
    examine(HEAD CHECK "hint: look here\n```\n", "its solution does not run");
    examine(HEAD CHECK "```\n", "nothing says how it is done");
    examine(HEAD CHECK "do: m = 1 +\ndo: 2\n```\n", "solution");
    examine(HEAD CHECK "wrong: m == 4 | no\ntry: m = 5\n" DONE,
            "line 10: its `try` does not make this mistake");
    examine(HEAD CHECK "wrong: m == 4 | no\ntry: m = 3\n" DONE,
            "line 10: its `try` is taken for the right answer");
    examine(HEAD CHECK "wrong: m > 3 | no\ntry: m = 5\nwrong: m == 4 | no\ntry: m = 4\n" DONE,
            "line 12: after its `try` an earlier `wrong` holds: m > 3");
    examine(HEAD CHECK "wrong: m == 4 | no\n" DONE, "nobody knows whether it can be reached");
    examine(HEAD CHECK "wrong: m == 4 | no\ntry: m = 4\n" DONE, "three mistakes at least");
    examine(HEAD "```nibble\n!ls\n```\n", "may not run other programs");
}

static void test_new(void **state)
{
    (void)state;
    start_again();
    char cell[700], path[600];
    snprintf(path, sizeof path, "%s", temporary_path("08-mine.md"));
    snprintf(cell, sizeof cell, "lesson new %s", path);
    says(cell, "a lesson to write on");
    refuses(cell, "exists: it stays as it is");
    snprintf(cell, sizeof cell, "lesson check %s", path);
    says(cell, "3 of 3 known mistakes");
    says("lesson mine", "A title of a few words");
}

/* The data folder has folders in it, which the temporary folder's own clearing leaves. */
static int close_all(void **state)
{
    static const char *const made[] = {"data/nibble/answers/07-rulers.nibsub", "data/nibble/answers/08-mine.nibsub",
                                       "data/nibble/answers", "data/nibble/progress", "data/nibble", "data"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        remove(temporary_path(made[i]));
    return close_notebook(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),          cmocka_unit_test(test_held),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_skip_and_back),
        cmocka_unit_test(test_play),          cmocka_unit_test(test_resume),
        cmocka_unit_test(test_progress_file), cmocka_unit_test(test_without_lesson),
        cmocka_unit_test(test_present),       cmocka_unit_test(test_examine),
        cmocka_unit_test(test_new),
    };
    return cmocka_run_group_tests(tests, open_notebook, close_all);
}
