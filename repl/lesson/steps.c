/* From stop to stop: what is shown, the commands that go, and what comes of a cell. */
#include "repl/lesson/steps.h"

#include "base/memory.h"
#include "repl/draft.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- showing ---- */

static void show_code(const char *text, nb_items *items)
{
    nb_draft lines = {0};
    for (const char *at = text; *at;) {
        const size_t n = strcspn(at, "\n");
        nb_draft_addf(&lines, "%s    " NB_COMMAND "%.*s" NB_END, lines.n_bytes ? "\n" : "", (int)n, at);
        at += n + (at[n] == '\n');
    }
    nb_items_text(items, "%s", nb_draft_text(&lines));
    nb_draft_free(&lines);
}

void nb_lesson_show_space(const nb_lesson *lesson, nb_items *items)
{
    nb_items_text(items, lesson->present ? "\n\n\n" : "\n");
}

/* The prose between two stops. */
static bool show_prose(const nb_lesson *lesson, nb_items *items)
{
    nb_draft text = {0};
    const size_t begin = lesson->at ? lesson->stops[lesson->at - 1] + 1 : 0,
                 end = lesson->at < lesson->n_stops ? lesson->stops[lesson->at] : lesson->document->n_blocks;
    for (size_t i = begin; i < end; i++) {
        const nb_block *block = &lesson->document->blocks[i];
        if (block->kind == NB_BLOCK_PROSE)
            nb_draft_addf(&text, "%s\n", block->text);
    }
    const bool any = text.n_bytes > 0;
    if (any) {
        nb_lesson_show_space(lesson, items);
        nb_items_markdown(items, text.text, text.n_bytes);
    }
    nb_draft_free(&text);
    return any;
}

static void show_end(const nb_lesson *lesson, nb_items *items)
{
    unsigned n, n_answered;
    nb_catalog catalog;
    nb_error ignored;
    nb_lesson_count_questions(lesson, &n, &n_answered);
    nb_lesson_show_space(lesson, items);
    nb_items_text(items, NB_STRONG "The end of this lesson." NB_END " %u of %u questions answered%s.",
                  n_answered, n, n_answered < n ? "; back goes to those that were skipped" : "");
    if (nb_catalog_read(&catalog, &ignored) != NB_OK)
        return;
    for (size_t i = 0; i + 1 < catalog.n; i++) {
        if (strcmp(catalog.entries[i].id, lesson->id) == 0)
            nb_items_text(items, "Next: " NB_COMMAND "lesson %u" NB_END "  %s", catalog.entries[i + 1].number,
                          catalog.entries[i + 1].title);
    }
    nb_catalog_free(&catalog);
}

void nb_lesson_show_step(nb_notebook *notebook, nb_items *items)
{
    nb_lesson *lesson = notebook->lesson;
    const nb_block *stop = nb_lesson_stop(lesson);
    show_prose(lesson, items);
    if (!stop) {
        show_end(lesson, items);
    } else if (stop->kind == NB_BLOCK_CHECK) {
        nb_lesson_ask(notebook, lesson, stop->check, items);
    } else {
        nb_lesson_show_space(lesson, items);
        if (!notebook->offers) {
            nb_items_text(items, NB_COMMAND "next" NB_END " runs");
            show_code(stop->text, items);
        }
    }
}

void nb_lesson_go_on(nb_notebook *notebook, nb_items *items)
{
    nb_lesson *lesson = notebook->lesson;
    if (lesson->at < lesson->n_stops)
        lesson->at++;
    nb_lesson_keep_record(lesson, items);
    nb_lesson_show_step(notebook, items);
}

/* ---- commands ---- */

nb_status nb_lesson_missing(nb_error *error)
{
    return nb_fail(error, NB_ERR_STATE, "no lesson is open: lesson lists them, lesson 1 opens the first");
}

static nb_status queue_cell(nb_lesson *lesson, const char *cell, bool does, nb_items *items, nb_error *error)
{
    free(lesson->queue);
    lesson->queue = nb_strdup(cell);
    lesson->queue_does = does;
    if (!lesson->queue)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a cell");
    show_code(cell, items);
    return NB_OK;
}

nb_status nb_lesson_next(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return nb_lesson_missing(error);
    const nb_block *stop = nb_lesson_stop(lesson);
    if (lesson->playing || !stop) {
        lesson->playing = false;
        nb_lesson_show_step(notebook, items);
        return NB_OK;
    }
    if (stop->kind == NB_BLOCK_CELL)
        return queue_cell(lesson, stop->text, false, items, error);
    if (lesson->answered[lesson->at]) {
        nb_lesson_go_on(notebook, items);
        return NB_OK;
    }
    nb_items_text(items, "The question is still open: " NB_COMMAND "check" NB_END
                         " looks at your answer, " NB_COMMAND "hint" NB_END " helps, " NB_COMMAND
                         "skip" NB_END " does it.");
    return NB_OK;
}

nb_status nb_lesson_back(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return nb_lesson_missing(error);
    if (lesson->at == 0)
        return nb_fail(error, NB_ERR_STATE, "this is where the lesson begins");
    lesson->playing = false;
    lesson->at--;
    nb_lesson_keep_record(lesson, items);
    nb_lesson_show_step(notebook, items);
    return NB_OK;
}

nb_status nb_lesson_play(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return nb_lesson_missing(error);
    lesson->playing = true;
    nb_items_text(items, "The lesson waits where it is; the notebook is yours. " NB_COMMAND "next" NB_END
                         " comes back.");
    return NB_OK;
}

nb_status nb_lesson_skip(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return nb_lesson_missing(error);
    const nb_block *stop = nb_lesson_stop(lesson);
    if (!stop)
        return nb_fail(error, NB_ERR_STATE, "this is the end of the lesson: nothing is left to skip");
    lesson->playing = false;
    const char *cell = stop->kind == NB_BLOCK_CELL ? stop->text : nb_check_solution(stop->check);
    if (cell)
        return queue_cell(lesson, cell, true, items, error);
    nb_lesson_go_on(notebook, items);
    return NB_OK;
}

/* ---- after a cell ---- */

static size_t first_word(const char **text)
{
    size_t n = 0;
    *text += strspn(*text, " \t\n");
    while (isalnum((unsigned char)(*text)[n]) || (*text)[n] == '_')
        n++;
    return n;
}

/* The command that a cell begins with; NULL if it is an expression, as `back = 1` is. */
static const nb_command *command_of(const char *cell)
{
    const char *word = cell;
    char name[32];
    const size_t n = first_word(&word);
    if (n == 0 || n >= sizeof name)
        return NULL;
    memcpy(name, word, n);
    name[n] = '\0';
    const char after = word[n + strspn(word + n, " \t")];
    return after == '=' || after == '(' || after == '[' ? NULL : nb_command_find(name);
}

static bool is_lesson_command(const char *cell)
{
    const char first = cell[strspn(cell, " \t\n")];
    const nb_command *command = command_of(cell);
    return first == '?' || first == '!' ||
           (command && (strcmp(command->group, "Lessons") == 0 || strcmp(command->name, "help") == 0));
}

const char *nb_lesson_meant(const nb_lesson *lesson, const char *cell)
{
    const char *offer = nb_lesson_offer(lesson);
    size_t n = offer ? strlen(offer) : 0;
    while (n > 0 && offer[n - 1] == '\n')
        n--;
    if (n == 0 || strncmp(cell, offer, n) != 0)
        return cell;
    const char *word = cell + n;
    const size_t n_word = first_word(&word);
    if (n_word == 0 || word[n_word + strspn(word + n_word, " \t\n")])
        return cell;
    const nb_command *command = command_of(word);
    return is_lesson_command(word) || (command && strcmp(command->name, "exit") == 0) ? word : cell;
}

/* A cell is the offered one, edited perhaps, if it begins alike: it sets the same name, or gives the same
 * command. */
static bool is_offered(const char *cell, const char *offer)
{
    const size_t a = first_word(&cell), b = first_word(&offer);
    return a == b && a > 0 ? memcmp(cell, offer, a) == 0 : a == 0 && b == 0;
}

/* Cells that only look at something made nothing that could be brought back. */
static bool makes_something(const char *cell)
{
    const nb_command *command = command_of(cell);
    if (!command)
        return true;
    static const char *const makers[] = {"load", "set", "undo", "restore", "imatrix", "calibrate", "activations"};
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        if (strcmp(command->name, makers[i]) == 0)
            return true;
    }
    return command->needs & NB_UNDOABLE;
}

static nb_status bring_back(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    nb_status status = NB_OK;
    lesson->brings_back = false;
    for (size_t i = 0; status == NB_OK && i < lesson->at; i++) {
        const nb_block *stop = &lesson->document->blocks[lesson->stops[i]];
        const char *cell = stop->kind == NB_BLOCK_CELL ? stop->text
                           : lesson->answered[i]       ? lesson->answers[i]
                                                       : nb_check_solution(stop->check);
        if (cell && makes_something(cell))
            status = nb_notebook_run(notebook, cell, strlen(cell), NULL, NULL, error);
        if (status != NB_OK)
            lesson->at = i;
    }
    nb_lesson_show_step(notebook, items);
    return status;
}

static nb_status run_queue(nb_notebook *notebook, nb_show_fn *show, void *user, nb_items *items,
                           nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    char *cell = lesson->queue;
    lesson->queue = NULL;
    nb_status status = nb_notebook_run(notebook, cell, strlen(cell), show, user, error);
    const bool still_open = status == NB_OK && notebook->lesson == lesson;
    if (still_open && lesson->queue_does && nb_lesson_at_question(lesson)) {
        lesson->skipped[lesson->at] = !lesson->answered[lesson->at];
        nb_check_show_values(notebook, nb_lesson_stop(lesson)->check, cell, items);
    }
    free(cell);
    if (!still_open)
        return status;
    nb_lesson_go_on(notebook, items);
    return NB_OK;
}

static nb_status follow(nb_notebook *notebook, const char *cell, nb_show_fn *show, void *user,
                        nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (lesson->brings_back)
        return bring_back(notebook, items, error);
    if (lesson->queue)
        return run_queue(notebook, show, user, items, error);
    if (lesson->playing || !nb_lesson_stop(lesson) || is_lesson_command(cell))
        return NB_OK;
    if (nb_lesson_at_question(lesson)) {
        nb_lesson_add_answer(lesson, cell);
        return nb_lesson_judge(notebook, cell, items, error);
    }
    if (is_offered(cell, nb_lesson_offer(lesson)))
        nb_lesson_go_on(notebook, items);
    return NB_OK;
}

nb_status nb_lesson_follow(nb_notebook *notebook, const char *cell, nb_show_fn *show, void *user,
                           nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson || lesson->busy || notebook->leave)
        return NB_OK;
    nb_items items = {0};
    lesson->busy = true;
    nb_status status = follow(notebook, cell, show, user, &items, error);
    if (notebook->lesson)
        notebook->lesson->busy = false;
    if (show && items.count && !items.failed)
        show(user, &items, 0);
    nb_items_free(&items);
    return status;
}
