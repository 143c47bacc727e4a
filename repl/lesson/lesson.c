#include "repl/lesson/lesson.h"

#include "base/memory.h"
#include "repl/draft.h"
#include "repl/lesson/submission.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *nb_lesson_title(const nb_document *document)
{
    const char *title = nb_document_value(document, "title");
    return title && *title ? title : document->name;
}

const nb_block *nb_lesson_stop(const nb_lesson *lesson)
{
    return lesson->at < lesson->n_stops ? &lesson->document->blocks[lesson->stops[lesson->at]] : NULL;
}

bool nb_lesson_at_question(const nb_lesson *lesson)
{
    const nb_block *stop = nb_lesson_stop(lesson);
    return stop && stop->kind == NB_BLOCK_CHECK;
}

const char *nb_lesson_offer(const nb_lesson *lesson)
{
    const nb_block *stop = lesson && !lesson->playing ? nb_lesson_stop(lesson) : NULL;
    return stop && stop->kind == NB_BLOCK_CELL ? stop->text : NULL;
}

void nb_lesson_close(nb_lesson **lesson)
{
    nb_lesson *gone = *lesson;
    if (!gone)
        return;
    nb_document_close(&gone->document);
    for (size_t i = 0; gone->answers && i < gone->n_stops; i++)
        free(gone->answers[i]);
    free(gone->answers);
    free(gone->skipped);
    free(gone->path);
    free(gone->id);
    free(gone->stops);
    free(gone->answered);
    free(gone->queue);
    free(gone);
    *lesson = NULL;
}

/* ---- how far one came ---- */

static void count_questions(const nb_lesson *lesson, unsigned *n, unsigned *n_answered)
{
    *n = *n_answered = 0;
    for (size_t i = 0; i < lesson->n_stops; i++) {
        *n += lesson->document->blocks[lesson->stops[i]].kind == NB_BLOCK_CHECK;
        *n_answered += lesson->answered[i];
    }
}

static void keep_record(nb_lesson *lesson, nb_items *items)
{
    nb_error error;
    nb_record record = {.at = (unsigned)lesson->at, .n_stops = (unsigned)lesson->n_stops};
    snprintf(record.id, sizeof record.id, "%s", lesson->id);
    count_questions(lesson, &record.n_questions, &record.n_answered);
    record.done = lesson->done_before || lesson->at == lesson->n_stops;
    if (nb_record_keep(&record, &error) != NB_OK)
        nb_items_text(items, NB_ALERT "Progress could not be kept: %s" NB_END, error.text);
    nb_answers_keep(lesson, items);
}

/* Progress that cannot be read keeps nobody from taking a lesson. */
static void read_record(nb_lesson *lesson, bool from_start, nb_items *items)
{
    nb_records records;
    nb_error error;
    if (nb_records_read(&records, &error) != NB_OK) {
        nb_items_text(items, NB_ALERT "%s" NB_END, error.text);
        return;
    }
    const nb_record *record = nb_records_find(&records, lesson->id);
    if (record)
        lesson->done_before = record->done;
    if (record && !from_start && record->n_stops == lesson->n_stops && record->at < record->n_stops)
        lesson->at = record->at;
    if (!from_start)
        nb_answers_bring_back(lesson);
    nb_records_free(&records);
}

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

static void show_space(const nb_lesson *lesson, nb_items *items)
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
        show_space(lesson, items);
        nb_items_markdown(items, text.text, text.n_bytes);
    }
    nb_draft_free(&text);
    return any;
}

static void ask(nb_notebook *notebook, nb_lesson *lesson, const nb_check *check, nb_items *items)
{
    unsigned n = 0, number = 0;
    nb_draft text = {0};
    for (size_t i = 0; i < lesson->n_stops; i++) {
        const bool is_question = lesson->document->blocks[lesson->stops[i]].kind == NB_BLOCK_CHECK;
        n += is_question;
        number += is_question && i <= lesson->at;
    }
    nb_draft_addf(&text, "**Your turn** (%u of %u). %s", number, n, check->ask);
    show_space(lesson, items);
    nb_items_markdown(items, nb_draft_text(&text), text.n_bytes);
    nb_draft_free(&text);
    if (!lesson->present)
        nb_items_text(items, NB_COMMAND "check" NB_END "   " NB_COMMAND "hint" NB_END "   " NB_COMMAND
                                        "skip" NB_END);
    nb_error ignored;
    lesson->n_hints = 0;
    lesson->told = 0;
    lesson->held = 0;
    nb_judgement now;
    lesson->was_right = false;
    if (nb_check_is_quick(check) && nb_check_wrongs(notebook, check, &lesson->held, &ignored) == NB_OK &&
        nb_check_judge(notebook, check, &now, &ignored) == NB_OK)
        lesson->was_right = now.verdict == NB_VERDICT_RIGHT;
}

static void show_end(const nb_lesson *lesson, nb_items *items)
{
    unsigned n, n_answered;
    nb_catalog catalog;
    nb_error ignored;
    count_questions(lesson, &n, &n_answered);
    show_space(lesson, items);
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

/* The open stop and the prose that leads to it. */
static void show_step(nb_notebook *notebook, nb_items *items)
{
    nb_lesson *lesson = notebook->lesson;
    const nb_block *stop = nb_lesson_stop(lesson);
    show_prose(lesson, items);
    if (!stop) {
        show_end(lesson, items);
    } else if (stop->kind == NB_BLOCK_CHECK) {
        ask(notebook, lesson, stop->check, items);
    } else {
        show_space(lesson, items);
        if (!notebook->offers) {
            nb_items_text(items, NB_COMMAND "next" NB_END " runs");
            show_code(stop->text, items);
        }
    }
}

static void go_on(nb_notebook *notebook, nb_items *items)
{
    nb_lesson *lesson = notebook->lesson;
    if (lesson->at < lesson->n_stops)
        lesson->at++;
    keep_record(lesson, items);
    show_step(notebook, items);
}

/* ---- opening ---- */

static nb_status find_stops(nb_lesson *lesson, nb_error *error)
{
    const nb_document *document = lesson->document;
    lesson->stops = nb_calloc(document->n_blocks + 1, sizeof *lesson->stops);
    lesson->answered = nb_calloc(document->n_blocks + 1, sizeof *lesson->answered);
    lesson->skipped = nb_calloc(document->n_blocks + 1, sizeof *lesson->skipped);
    lesson->answers = nb_calloc(document->n_blocks + 1, sizeof *lesson->answers);
    if (!lesson->stops || !lesson->answered || !lesson->skipped || !lesson->answers)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a lesson");
    for (size_t i = 0; i < document->n_blocks; i++) {
        if (document->blocks[i].kind == NB_BLOCK_CELL || document->blocks[i].kind == NB_BLOCK_CHECK)
            lesson->stops[lesson->n_stops++] = i;
    }
    return NB_OK;
}

static char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    char *id = nb_format_text("%.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
    for (char *c = id; c && *c; c++) {
        if (isspace((unsigned char)*c))
            *c = '-'; /* a record's line is parted by blanks */
    }
    return id;
}

static void introduce(const nb_lesson *lesson, nb_items *items)
{
    const char *goal = nb_document_value(lesson->document, "goal"),
               *minutes = nb_document_value(lesson->document, "minutes"),
               *needs = nb_document_value(lesson->document, "needs");
    nb_items_text(items, NB_STRONG "%s" NB_END "%s%s%s", nb_lesson_title(lesson->document),
                  minutes ? NB_MUTED " · about " : "", minutes ? minutes : "",
                  !minutes                     ? ""
                  : strcmp(minutes, "1") == 0 ? " minute" NB_END
                                              : " minutes" NB_END);
    if (goal)
        nb_items_text(items, "You will %s.", goal);
    nb_draft before = {0};
    char *item;
    for (size_t i = 0; needs && (item = nb_front_item(needs, i)); i++) {
        nb_draft_addf(&before, "%s%s", i ? ", " : "", item);
        free(item);
    }
    if (before.n_bytes && lesson->at == 0)
        nb_items_text(items, "It builds on " NB_COMMAND "%s" NB_END ".", nb_draft_text(&before));
    nb_draft_free(&before);
    char number[16] = ""; /* of a lesson that comes with nibble; others are known by their file */
    if (isdigit((unsigned char)lesson->id[0]))
        snprintf(number, sizeof number, "%lu", strtoul(lesson->id, NULL, 10));
    if (lesson->at)
        nb_items_text(
            items,
            "You left it at step %zu of %zu; what the steps before it made is brought back. " NB_COMMAND
            "lesson %s --from-start" NB_END " begins anew.",
            lesson->at + 1, lesson->n_stops, *number ? number : lesson->path);
    else if (!lesson->present)
        nb_items_text(items, NB_MUTED
                      "Enter runs the cell at the prompt; edit it as you like. " NB_END NB_COMMAND
                      "back" NB_END "   " NB_COMMAND "play" NB_END NB_MUTED
                      " leaves for a while, " NB_END NB_COMMAND "next" NB_END NB_MUTED " goes on" NB_END);
}

nb_status nb_lesson_open(nb_notebook *notebook, const char *path, bool from_start, bool present,
                         nb_items *items, nb_error *error)
{
    nb_lesson *lesson = nb_calloc(1, sizeof *lesson);
    if (!lesson)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a lesson");
    lesson->present = present;
    nb_status status = nb_document_open(path, &lesson->document, error);
    lesson->path = nb_strdup(path);
    lesson->id = stem_of(path);
    if (status == NB_OK && (!lesson->path || !lesson->id))
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for a lesson");
    if (status == NB_OK)
        status = find_stops(lesson, error);
    if (status == NB_OK && lesson->n_stops == 0)
        status = nb_fail(error, NB_ERR_FILE,
                         "%.200s has no cells and no questions: a cell is a block ```nibble", path);
    if (status != NB_OK) {
        nb_lesson_close(&lesson);
        return status;
    }
    read_record(lesson, from_start, items);
    nb_lesson_close(&notebook->lesson);
    notebook->lesson = lesson;
    introduce(lesson, items);
    lesson->brings_back = lesson->at > 0;
    if (!lesson->brings_back)
        show_step(notebook, items);
    return NB_OK;
}

/* ---- commands ---- */

static nb_status no_lesson(nb_error *error)
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
        return no_lesson(error);
    const nb_block *stop = nb_lesson_stop(lesson);
    if (lesson->playing || !stop) {
        lesson->playing = false;
        show_step(notebook, items);
        return NB_OK;
    }
    if (stop->kind == NB_BLOCK_CELL)
        return queue_cell(lesson, stop->text, false, items, error);
    nb_items_text(items, "The question is still open: " NB_COMMAND "check" NB_END
                         " looks at your answer, " NB_COMMAND "hint" NB_END " helps, " NB_COMMAND
                         "skip" NB_END " does it.");
    return NB_OK;
}

nb_status nb_lesson_back(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return no_lesson(error);
    if (lesson->at == 0)
        return nb_fail(error, NB_ERR_STATE, "this is where the lesson begins");
    lesson->playing = false;
    lesson->at--;
    keep_record(lesson, items);
    show_step(notebook, items);
    return NB_OK;
}

nb_status nb_lesson_play(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return no_lesson(error);
    lesson->playing = true;
    nb_items_text(items, "The lesson waits where it is; the notebook is yours. " NB_COMMAND "next" NB_END
                         " comes back.");
    return NB_OK;
}

/* The open question, or a sentence. */
static nb_status open_question(const nb_notebook *notebook, const nb_check **check, nb_error *error)
{
    const nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return no_lesson(error);
    if (!nb_lesson_at_question(lesson))
        return nb_fail(error, NB_ERR_STATE, "no question is open here: next goes on");
    *check = nb_lesson_stop(lesson)->check;
    return NB_OK;
}

nb_status nb_lesson_hint(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    const nb_check *check = NULL;
    nb_status status = open_question(notebook, &check, error);
    if (status != NB_OK)
        return status;
    nb_lesson *lesson = notebook->lesson;
    if (lesson->present)
        return nb_fail(error, NB_ERR_STATE, "no hints while presenting");
    if (lesson->n_hints >= check->n_hints) {
        nb_items_text(items, check->n_hints ? "That was the last hint. " NB_COMMAND "skip" NB_END " does it."
                                            : "This question has no hints. " NB_COMMAND "skip" NB_END
                                              " does it.");
        return NB_OK;
    }
    nb_draft text = {0};
    nb_draft_addf(&text, "*Hint %zu of %zu.* %s", lesson->n_hints + 1, check->n_hints,
                  check->hints[lesson->n_hints]);
    nb_items_markdown(items, nb_draft_text(&text), text.n_bytes);
    nb_draft_free(&text);
    lesson->n_hints++;
    return NB_OK;
}

static void say_right(nb_notebook *notebook, nb_items *items)
{
    nb_lesson *lesson = notebook->lesson;
    nb_items_text(items, NB_STRONG "Right." NB_END);
    lesson->answered[lesson->at] = true;
    lesson->skipped[lesson->at] = false;
    go_on(notebook, items);
}

static void say_sentence(const char *sentence, nb_items *items)
{
    nb_items_markdown(items, sentence, strlen(sentence));
}

static void say_not_right(nb_notebook *notebook, const nb_check *check, const nb_judgement *judgement,
                          nb_items *items)
{
    const nb_lesson *lesson = notebook->lesson;
    switch (judgement->verdict) {
    case NB_VERDICT_WRONG:
        say_sentence(check->wrongs[judgement->which].sentence, items);
        break;
    case NB_VERDICT_UNDEFINED:
        nb_items_text(items, "Not yet: %s.", judgement->why.text);
        break;
    default:
        if (check->wants[judgement->which].sentence)
            say_sentence(check->wants[judgement->which].sentence, items);
        else
            nb_items_text(items, "Not yet.");
        break;
    }
    if (lesson->answers[lesson->at])
        nb_check_show_values(notebook, check, lesson->answers[lesson->at], items);
    if (!lesson->present && lesson->n_hints < check->n_hints)
        nb_items_text(items, NB_COMMAND "hint" NB_END);
}

nb_status nb_lesson_check(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    const nb_check *check = NULL;
    nb_judgement judgement;
    nb_status status = open_question(notebook, &check, error);
    if (status == NB_OK)
        status = nb_check_judge(notebook, check, &judgement, error);
    if (status != NB_OK)
        return status;
    if (judgement.verdict == NB_VERDICT_RIGHT)
        say_right(notebook, items);
    else
        say_not_right(notebook, check, &judgement, items);
    return NB_OK;
}

nb_status nb_lesson_skip(nb_notebook *notebook, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    if (!lesson)
        return no_lesson(error);
    const nb_block *stop = nb_lesson_stop(lesson);
    if (!stop)
        return nb_fail(error, NB_ERR_STATE, "this is the end of the lesson: nothing is left to skip");
    lesson->playing = false;
    const char *cell = stop->kind == NB_BLOCK_CELL ? stop->text : nb_check_solution(stop->check);
    if (cell)
        return queue_cell(lesson, cell, true, items, error);
    go_on(notebook, items);
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

/* A cell is the offered one, edited perhaps, if it begins alike: it sets the same name, or gives the same
 * command. */
static bool is_offered(const char *cell, const char *offer)
{
    const size_t a = first_word(&cell), b = first_word(&offer);
    return a == b && a > 0 ? memcmp(cell, offer, a) == 0 : a == 0 && b == 0;
}

/* All that was tried is part of the answer, up to a length. */
static void add_answer(nb_lesson *lesson, const char *cell)
{
    enum { LONGEST = 1 << 16 };
    char **answer = &lesson->answers[lesson->at];
    const size_t n = strlen(cell);
    if ((*answer ? strlen(*answer) : 0) + n > LONGEST)
        return;
    char *longer =
        nb_format_text("%s%s%s", *answer ? *answer : "", cell, n && cell[n - 1] == '\n' ? "" : "\n");
    if (longer) {
        free(*answer);
        *answer = longer;
    }
}

/* The wrong answer to tell now, unasked; n_wrongs: none. One that was there when the question was asked is none of this
 * cell's, until it has gone or the learner sets it again. */
static nb_status find_fresh_wrong(nb_notebook *notebook, const nb_check *check, const char *cell, size_t *which,
                                  nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    uint32_t now;
    *which = check->n_wrongs;
    const nb_status status = nb_check_wrongs(notebook, check, &now, error);
    if (status != NB_OK)
        return status;
    lesson->held &= now;
    for (size_t i = check->n_wrongs < 32 ? check->n_wrongs : 32; i-- > 0;) {
        const uint32_t bit = (uint32_t)1 << i;
        if (lesson->held & bit && nb_condition_set_by(check->wrongs[i].condition, cell))
            lesson->held &= ~bit;
        if (now & ~lesson->held & bit)
            *which = i;
    }
    return NB_OK;
}

static nb_status judge_quietly(nb_notebook *notebook, const char *cell, nb_items *items, nb_error *error)
{
    nb_lesson *lesson = notebook->lesson;
    const nb_check *check = nb_lesson_stop(lesson)->check;
    nb_judgement judgement;
    size_t which;
    if (!nb_check_is_quick(check))
        return NB_OK;
    nb_status status = nb_check_judge(notebook, check, &judgement, error);
    if (status == NB_OK && judgement.verdict == NB_VERDICT_RIGHT) {
        if (!lesson->was_right)
            say_right(notebook, items);
        return NB_OK;
    }
    if (status == NB_OK)
        status = find_fresh_wrong(notebook, check, cell, &which, error);
    if (status != NB_OK)
        return status;
    if (which < check->n_wrongs && lesson->told != which + 1)
        say_sentence(check->wrongs[which].sentence, items);
    lesson->told = which < check->n_wrongs ? which + 1 : 0;
    return NB_OK;
}

/* Cells that only look at something made nothing that could be brought back. */
static bool makes_something(const char *cell)
{
    const nb_command *command = command_of(cell);
    if (!command)
        return true;
    static const char *const makers[] = {"load", "set", "undo", "restore", "imatrix"};
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
    show_step(notebook, items);
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
    go_on(notebook, items);
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
        add_answer(lesson, cell);
        return judge_quietly(notebook, cell, items, error);
    }
    if (is_offered(cell, nb_lesson_offer(lesson)))
        go_on(notebook, items);
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
