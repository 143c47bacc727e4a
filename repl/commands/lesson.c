#include "repl/lesson/lesson.h"
#include "repl/commands/table.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const nb_column columns[] = {
    {"", NB_COLUMN_RIGHT}, {"lesson", NB_COLUMN_LEFT}, {"minutes", NB_COLUMN_RIGHT}, {"so far", NB_COLUMN_LEFT}};

/* ---- the list ---- */

static void show_progress(const nb_record *record, nb_items *out)
{
    if (!record)
        return;
    if (record->at < record->n_stops && (record->at > 0 || !record->done))
        nb_items_cell(out, 3, "step %u of %u", record->at + 1, record->n_stops);
    else
        nb_items_cell(out, 3, "done, %u of %u right", record->n_answered, record->n_questions);
}

static nb_status list_lessons(nb_items *out, nb_error *error)
{
    nb_catalog catalog = {0};
    nb_records records = {0};
    nb_status status = nb_catalog_read(&catalog, error);
    if (status == NB_OK && catalog.n == 0)
        status =
            nb_fail(error, NB_ERR_STATE,
                    "no lessons were found beside the program; NIBBLE_LESSONS=FOLDER says where they are");
    if (status == NB_OK)
        status = nb_records_read(&records, error);
    if (status == NB_OK) {
        nb_items_table(out, columns, 4);
        for (size_t i = 0; i < catalog.n; i++) {
            const nb_lesson_entry *entry = &catalog.entries[i];
            nb_items_row(out);
            nb_items_cell(out, 0, "%u", entry->number);
            nb_items_cell(out, 1, "%s", entry->title);
            nb_items_cell(out, 2, "%s", entry->minutes);
            show_progress(nb_records_find(&records, entry->id), out);
        }
        const nb_lesson_entry *next = nb_catalog_suggest(&catalog, &records);
        if (next)
            nb_items_text(out, NB_COMMAND "lesson %u" NB_END " %s: you will %s.", next->number,
                          nb_records_find(&records, next->id) ? "goes on where you left it" : "is next", next->goal);
    }
    nb_records_free(&records);
    nb_catalog_free(&catalog);
    return status;
}

/* ---- for those who write lessons ---- */

static const char skeleton[] =
    "---\n"
    "title: A title of a few words\n"
    "goal: say what the learner can do afterwards, in one line that goes on \"You will\"\n"
    "needs: [lesson 1]\n"
    "minutes: 20\n"
    "---\n"
    "\n"
    "# The first step\n"
    "\n"
    "Begin with something to look at: a picture or a number, before the formula that explains it.\n"
    "\n"
    "```nibble\n"
    "x = [1.2, -0.5, -4.3, 5.4]\n"
    "```\n"
    "\n"
    "Say what one has just seen, briefly, and then ask.\n"
    "\n"
    "```check largest\n"
    "ask: The largest of these weights, sign aside. Put it in `m`.\n"
    "want: m == 5.4 +- 1e-6\n"
    "wrong: m == 4.3 +- 1e-6 | That is the largest below zero. 5.4 is farther from zero.\n"
    "try: m = 4.3\n"
    "wrong: m == 1.8 +- 1e-6 | That is their sum.\n"
    "try: m = sum(x)\n"
    "wrong: m == 9.7 +- 1e-5 | That is the distance from the smallest to the largest.\n"
    "try: m = max(x) - min(x)\n"
    "hint: abs takes signs away.\n"
    "hint: max(abs(x)) is a number.\n"
    "hint: m = max(abs(x))\n"
    "```\n"
    "\n"
    "The last exercise uses the model.\n";

static nb_status write_new(nb_notebook *notebook, const char *typed, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_writer *writer = NULL;
    nb_status status = nb_notebook_path(notebook, typed, false, &path, error);
    if (status == NB_OK && access(path, F_OK) == 0)
        status = nb_fail(error, NB_ERR_STATE, "%.200s exists: it stays as it is", path);
    if (status == NB_OK)
        status = nb_writer_open(path, &writer, error);
    if (status == NB_OK)
        status = nb_writer_write(writer, skeleton, sizeof skeleton - 1, error);
    if (status == NB_OK)
        status = nb_writer_commit(&writer, error);
    nb_writer_abort(&writer);
    if (status == NB_OK)
        nb_items_text(out,
                      "%s · a lesson to write on. " NB_COMMAND "lesson check %s" NB_END
                      " tries it, " NB_COMMAND "lesson %s" NB_END " opens it.",
                      path, typed, typed);
    free(path);
    return status;
}

static nb_status examine(nb_notebook *notebook, const char *typed, nb_items *out, nb_error *error)
{
    char *path = NULL;
    nb_context_options options = {.n_threads = nb_pool_size(notebook->context->pool),
                                  .level = notebook->context->kernels->name};
    nb_status status = nb_catalog_find(notebook, typed, &path, error);
    if (status == NB_OK)
        status = nb_lesson_examine(&options, path, out, error);
    free(path);
    return status;
}

/* ---- the commands ---- */

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *word = call->n_arguments > 0 ? call->arguments[0] : NULL,
               *file = call->n_arguments > 1 ? call->arguments[1] : NULL;
    const bool writes = word && strcmp(word, "new") == 0, checks = word && strcmp(word, "check") == 0;
    if (!word || (strcmp(word, "list") == 0 && !file))
        return list_lessons(out, error);
    if ((writes || checks) && !file)
        return nb_fail(error, NB_ERR_ARGUMENT, "of which file? lesson %s FILE", word);
    if (writes)
        return write_new(notebook, file, out, error);
    if (checks)
        return examine(notebook, file, out, error);
    if (file)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "lesson does not know what to do with \"%.60s\"; it knows new, check, list", file);
    char *path = NULL;
    nb_status status = nb_catalog_find(notebook, word, &path, error);
    if (status == NB_OK)
        status = nb_lesson_open(notebook, path, nb_call_has(call, "from-start"), nb_call_has(call, "present"),
                                out, error);
    free(path);
    return status;
}

const nb_command nb_command_lesson = {
    .name = "lesson",
    .group = "Lessons",
    .usage = "lesson [NUMBER | FILE] | lesson new FILE | lesson check FILE",
    .summary = "the course: lists it, or goes on with a lesson",
    .details = "In a lesson the next cell stands at the prompt, ready to run or to edit. next goes on, hint "
               "and check help with "
               "a question, skip does it, back goes back, play leaves for a while.",
    .examples = {"lesson", "lesson 1", "lesson check mine.md"},
    .arguments = {{"LESSON", NB_WORD_LESSON, true}, {"FILE", NB_WORD_FILE, true}},
    .options = {{.name = "from-start", .kind = NB_WORD_FLAG, .summary = "from its beginning again"},
                {.name = "present",
                 .kind = NB_WORD_FLAG,
                 .summary = "for a projector: more space, no hints"}},
    .run = run,
};

static nb_status run_next(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    return nb_lesson_next(notebook, out, error);
}

const nb_command nb_command_next = {
    .name = "next",
    .group = "Lessons",
    .usage = "next",
    .summary = "runs the lesson's next cell, or comes back to it",
    .examples = {"next"},
    .run = run_next,
};

static nb_status run_back(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    return nb_lesson_back(notebook, out, error);
}

const nb_command nb_command_back = {
    .name = "back",
    .group = "Lessons",
    .usage = "back",
    .summary = "goes back one step; what was computed stays",
    .examples = {"back"},
    .run = run_back,
};

static nb_status run_hint(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    return nb_lesson_hint(notebook, out, error);
}

const nb_command nb_command_hint = {
    .name = "hint",
    .group = "Lessons",
    .usage = "hint",
    .summary = "a hint for the open question; the last is the answer",
    .examples = {"hint"},
    .run = run_hint,
};

static nb_status run_check(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    return nb_lesson_check(notebook, out, error);
}

const nb_command nb_command_check = {
    .name = "check",
    .group = "Lessons",
    .usage = "check",
    .summary = "looks at your answer; says what is wrong with it",
    .examples = {"check"},
    .run = run_check,
};

static nb_status run_skip(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    return nb_lesson_skip(notebook, out, error);
}

const nb_command nb_command_skip = {
    .name = "skip",
    .group = "Lessons",
    .usage = "skip",
    .summary = "does the step, says what it made, and goes on",
    .examples = {"skip"},
    .run = run_skip,
};

static nb_status run_play(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    return nb_lesson_play(notebook, out, error);
}

const nb_command nb_command_play = {
    .name = "play",
    .group = "Lessons",
    .usage = "play",
    .summary = "leaves the lesson for a while; next comes back",
    .examples = {"play"},
    .run = run_play,
};

static nb_status run_progress(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call;
    const nb_lesson *lesson = notebook->lesson;
    if (lesson)
        nb_items_text(out, NB_STRONG "%s" NB_END " · step %zu of %zu%s", nb_lesson_title(lesson->document),
                      nb_min_size(lesson->at + 1, lesson->n_stops), lesson->n_stops,
                      lesson->playing ? " · it waits: " NB_COMMAND "next" NB_END : "");
    return list_lessons(out, error);
}

const nb_command nb_command_progress = {
    .name = "progress",
    .group = "Lessons",
    .usage = "progress",
    .summary = "how far you came in every lesson",
    .examples = {"progress"},
    .run = run_progress,
};
