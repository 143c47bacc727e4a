/* Opening a lesson, and keeping how far one came. */
#include "repl/lesson/steps.h"

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

void nb_lesson_count_questions(const nb_lesson *lesson, unsigned *n, unsigned *n_answered)
{
    *n = *n_answered = 0;
    for (size_t i = 0; i < lesson->n_stops; i++) {
        *n += lesson->document->blocks[lesson->stops[i]].kind == NB_BLOCK_CHECK;
        *n_answered += lesson->answered[i];
    }
}

void nb_lesson_keep_record(nb_lesson *lesson, nb_items *items)
{
    nb_error error;
    nb_record record = {.at = (unsigned)lesson->at, .n_stops = (unsigned)lesson->n_stops};
    snprintf(record.id, sizeof record.id, "%s", lesson->id);
    nb_lesson_count_questions(lesson, &record.n_questions, &record.n_answered);
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
                  !minutes                    ? ""
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
                      "Enter runs the cell at the prompt; edit it as you like, or clear it with Ctrl-C. " NB_END NB_COMMAND
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
        nb_lesson_show_step(notebook, items);
    return NB_OK;
}
