#include "repl/lesson/submission.h"

#include "base/file.h"
#include "base/memory.h"
#include "repl/data.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { VERSION = 1 };

static const char kind[] = "nibble submission";

/* ---- reading ---- */

void nb_submission_free(nb_submission *submission)
{
    for (size_t i = 0; i < submission->n; i++) {
        free(submission->answers[i].question);
        free(submission->answers[i].cells);
    }
    free(submission->answers);
    free(submission->lesson);
    free(submission->name);
    free(submission->date);
    *submission = (nb_submission){0};
}

const nb_handed_in *nb_submission_find(const nb_submission *submission, const char *question)
{
    for (size_t i = 0; i < submission->n; i++) {
        if (strcmp(submission->answers[i].question, question) == 0)
            return &submission->answers[i];
    }
    return NULL;
}

static nb_status no_memory(nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "no memory for a submission");
}

/* Every heading of the prose is a question's name; the word under it says how it was left. */
static nb_status read_prose(nb_submission *s, const char *text, nb_error *error)
{
    for (const char *line = text; *line;) {
        const size_t n = strcspn(line, "\n");
        if (n > 2 && line[0] == '#' && line[1] == ' ') {
            nb_handed_in *grown = nb_realloc(s->answers, s->n + 1, sizeof *grown);
            if (!grown)
                return no_memory(error);
            s->answers = grown;
            grown[s->n] = (nb_handed_in){.question = nb_format_text("%.*s", (int)n - 2, line + 2)};
            if (!grown[s->n++].question)
                return no_memory(error);
        } else if (s->n && n == 7 && memcmp(line, "skipped", 7) == 0) {
            s->answers[s->n - 1].skipped = true;
        }
        line += n + (line[n] == '\n');
    }
    return NB_OK;
}

static nb_status read_cell(nb_submission *s, const char *text, nb_error *error)
{
    if (s->n == 0)
        return NB_OK;
    nb_handed_in *answer = &s->answers[s->n - 1];
    char *cells = nb_format_text("%s%s", answer->cells ? answer->cells : "", text);
    if (!cells)
        return no_memory(error);
    free(answer->cells);
    answer->cells = cells;
    return NB_OK;
}

static nb_status read_front(nb_submission *s, const nb_document *document, nb_error *error)
{
    const char *is = nb_document_value(document, "kind"), *version = nb_document_value(document, "version"),
               *lesson = nb_document_value(document, "lesson"), *name = nb_document_value(document, "name"),
               *date = nb_document_value(document, "date");
    if (!is || strcmp(is, kind) != 0 || !version || !lesson)
        return nb_fail(error, NB_ERR_FILE, "%.200s is no submission: submit writes one", document->name);
    if (strtoul(version, NULL, 10) > VERSION)
        return nb_fail(
            error, NB_ERR_UNSUPPORTED,
            "%.200s was written by a newer nibble: it is a submission of version %.10s, this one reads %d",
            document->name, version, VERSION);
    s->lesson = nb_strdup(lesson);
    s->name = nb_strdup(name ? name : "");
    s->date = nb_strdup(date ? date : "");
    return s->lesson && s->name && s->date ? NB_OK : no_memory(error);
}

nb_status nb_submission_open(const char *path, nb_submission *out, nb_error *error)
{
    nb_document *document = NULL;
    *out = (nb_submission){0};
    nb_status status = nb_document_open(path, &document, error);
    if (status == NB_OK)
        status = read_front(out, document, error);
    for (size_t i = 0; status == NB_OK && i < document->n_blocks; i++) {
        if (document->blocks[i].kind == NB_BLOCK_PROSE)
            status = read_prose(out, document->blocks[i].text, error);
        else if (document->blocks[i].kind == NB_BLOCK_CELL)
            status = read_cell(out, document->blocks[i].text, error);
    }
    nb_document_close(&document);
    if (status != NB_OK)
        nb_submission_free(out);
    return status;
}

/* ---- writing ---- */

/* One line of the front matter. */
static void add_value(nb_draft *text, const char *key, const char *value)
{
    nb_draft_addf(text, "%s: ", key);
    for (const char *c = value; *c; c++) {
        if ((unsigned char)*c >= 0x20 && *c != '"')
            nb_draft_append(text, c, 1);
    }
    nb_draft_add(text, "\n");
}

static void add_cells(nb_draft *text, const char *cells)
{
    size_t fence = 3;
    for (const char *c = cells; *c; c++) {
        const size_t ticks = strspn(c, "`");
        fence = nb_max_size(fence, ticks + 1);
        c += ticks ? ticks - 1 : 0;
    }
    nb_draft_add(text, "\n");
    nb_draft_repeat(text, "`", fence);
    nb_draft_addf(text, "nibble\n%s", cells);
    nb_draft_repeat(text, "`", fence);
    nb_draft_add(text, "\n");
}

nb_status nb_submission_write(const nb_lesson *lesson, const char *name, const char *date, const char *path,
                              nb_error *error)
{
    nb_draft text = {0};
    nb_draft_addf(&text, "---\nkind: %s\nversion: %d\n", kind, VERSION);
    add_value(&text, "lesson", lesson->id);
    add_value(&text, "title", nb_lesson_title(lesson->document));
    if (name)
        add_value(&text, "name", name);
    if (date)
        add_value(&text, "date", date);
    nb_draft_add(&text, "---\n");
    for (size_t i = 0; i < lesson->n_stops; i++) {
        const nb_block *block = &lesson->document->blocks[lesson->stops[i]];
        if (block->kind != NB_BLOCK_CHECK)
            continue;
        nb_draft_addf(&text, "\n# %s\n\n%s\n", block->check->name,
                      lesson->answered[i]  ? "answered"
                      : lesson->skipped[i] ? "skipped"
                                           : "open");
        if (lesson->answers[i])
            add_cells(&text, lesson->answers[i]);
    }
    nb_writer *writer = NULL;
    nb_status status = text.failed ? no_memory(error) : nb_writer_open(path, &writer, error);
    if (status == NB_OK)
        status = nb_writer_write(writer, text.text, text.n_bytes, error);
    if (status == NB_OK)
        status = nb_writer_commit(&writer, error);
    nb_writer_abort(&writer);
    nb_draft_free(&text);
    return status;
}

/* ---- kept for another day ---- */

static char *answers_path(const nb_lesson *lesson)
{
    char *folder = nb_data_path("answers"), *path = NULL;
    if (folder) {
        mkdir(folder, 0700);
        path = nb_format_text("%s/%s.nibsub", folder, lesson->id);
    }
    free(folder);
    return path;
}

void nb_answers_keep(const nb_lesson *lesson, nb_items *items)
{
    nb_error error;
    char *path = answers_path(lesson);
    if (path && nb_submission_write(lesson, NULL, NULL, path, &error) != NB_OK)
        nb_items_text(items, NB_ALERT "Answers could not be kept: %s" NB_END, error.text);
    free(path);
}

void nb_answers_bring_back(nb_lesson *lesson)
{
    nb_submission kept;
    nb_error ignored;
    char *path = answers_path(lesson);
    if (path && nb_submission_open(path, &kept, &ignored) == NB_OK) {
        for (size_t i = 0; i < lesson->n_stops; i++) {
            const nb_block *block = &lesson->document->blocks[lesson->stops[i]];
            const nb_handed_in *answer =
                block->kind == NB_BLOCK_CHECK ? nb_submission_find(&kept, block->check->name) : NULL;
            if (!answer)
                continue;
            lesson->answers[i] = answer->cells ? nb_strdup(answer->cells) : NULL;
            lesson->skipped[i] = answer->skipped;
            lesson->answered[i] = answer->cells && !answer->skipped && i < lesson->at;
        }
        nb_submission_free(&kept);
    }
    free(path);
}
