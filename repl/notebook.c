#include "repl/notebook.h"

#include "quant/calibration.h"

#include "base/work.h"

#include "repl/document/document.h"
#include "repl/library.h"

#include "repl/commands/budget.h"
#include "repl/commands/table.h"
#include "repl/draft.h"
#include "repl/language/language.h"
#include "repl/lesson/lesson.h"
#include "repl/nearest.h"
#include "repl/timing.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *const nb_scope_words[] = {"attention", "mlp", "embeddings", "head", "all", NULL};

nb_status nb_notebook_create(const nb_context_options *options, nb_notebook **out, nb_error *error)
{
    nb_notebook *notebook = nb_calloc(1, sizeof *notebook);
    if (!notebook)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a notebook");
    notebook->settings = (nb_settings){.sampling = {.top_p = 1}, .n_tokens = 60, .picture = NB_PICTURE_AUTO};
    nb_status status = nb_context_create(options, &notebook->context, error);
    if (status == NB_OK)
        status = nb_language_create(notebook, &notebook->language, error);
    if (status != NB_OK)
        nb_notebook_destroy(&notebook);
    *out = notebook;
    return status;
}

void nb_notebook_forget_chat(nb_notebook *notebook)
{
    nb_conversation *chat = &notebook->chat;
    for (size_t i = 0; i < chat->n_turns; i++)
        free((char *)(uintptr_t)chat->turns[i].text);
    free(chat->turns);
    *chat = (nb_conversation){0};
}

void nb_notebook_destroy(nb_notebook **notebook)
{
    nb_notebook *gone = *notebook;
    if (!gone)
        return;
    nb_notebook_forget_chat(gone);
    nb_language_destroy(&gone->language);
    nb_lesson_close(&gone->lesson);
    nb_document_close(&gone->to_run);
    nb_importance_destroy(&gone->importance);
    nb_calibration_destroy(&gone->calibration);
    nb_measured_budget_destroy(&gone->budget);
    nb_model_destroy(&gone->model);
    nb_context_destroy(&gone->context);
    for (size_t i = 0; i < gone->n_cells; i++) {
        free(gone->cells[i]);
        free(gone->outcomes[i].error);
        nb_items_free(&gone->outcomes[i].items);
    }
    for (size_t i = 0; i < gone->n_undo_lines; i++)
        free(gone->undo_lines[i]);
    for (size_t i = 0; i < gone->n_notes; i++) {
        free(gone->notes[i].text);
        free(gone->notes[i].source);
        free(gone->notes[i].path);
    }
    free(gone->cells);
    free(gone->outcomes);
    free(gone->notes);
    free(gone->title);
    free(gone->undo_lines);
    free(gone->settings.text);
    free(gone->settings.quiz);
    free(gone->settings.calibration);
    free(gone);
    *notebook = NULL;
}

unsigned nb_notebook_next(const nb_notebook *notebook)
{
    return (unsigned)notebook->n_cells + 1;
}

/* ---- cells ---- */

static nb_status run_shell(nb_notebook *notebook, const char *line, nb_error *error)
{
    if (notebook->confined || !notebook->shell)
        return nb_fail(error, NB_ERR_STATE, "this notebook may not run other programs");
    if (*line == '\0')
        return nb_fail(error, NB_ERR_ARGUMENT, "! runs a command of your shell: !ls");
    int result = notebook->shell(notebook->user, line);
    if (result < 0)
        return nb_fail(error, NB_ERR_IO, "the shell could not be started");
    if (result > 0)
        return nb_fail(error, NB_ERR_IO, "the shell's command ended with status %d", result);
    return NB_OK;
}

/* `quantize --help`, as other programs have it. */
static bool asks_for_help(const nb_word *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++)
        if (!words[i].quoted && strcmp(words[i].text, "--help") == 0)
            return true;
    return n_words == 1 && !words[0].quoted && strcmp(words[0].text, "-h") == 0;
}

static nb_status run_command(nb_notebook *notebook, const char *name, const nb_word *words, size_t n_words,
                             nb_items *items, nb_error *error)
{
    const nb_command *command = nb_command_find(name);
    if (!command)
        return nb_command_unknown(name, error);
    if (asks_for_help(words, n_words)) {
        nb_command_describe(command, items);
        return NB_OK;
    }
    nb_call call;
    nb_status status = nb_call_read(command, words, n_words, &call, error);
    if (status != NB_OK)
        return status;
    if ((command->needs & NB_NEEDS_MODEL) && !notebook->model)
        return nb_fail(error, NB_ERR_STATE, "%s needs a model, and none is loaded yet: load FILE",
                       command->name);
    status = command->run(notebook, &call, items, error);
    if (status == NB_OK && items->failed)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to show the result of %s", command->name);
    return status;
}

/* The last number that a command gave is `_`. */
static void keep_number(nb_notebook *notebook, const nb_items *items)
{
    for (size_t i = items->count; i > 0; i--) {
        const nb_item *item = &items->items[i - 1];
        if (!isnan(item->number)) {
            nb_language_keep_result(notebook->language, (unsigned)notebook->n_cells, item->number);
            return;
        }
    }
}

/* `bits` alone, after `bits = 4`: the command would want more words, so the variable is meant. */
static bool means_variable(const nb_notebook *notebook, const nb_line *line)
{
    nb_value value;
    const nb_command *command = nb_command_find(line->words[0].text);
    return line->n_words == 1 && command && nb_command_argument_count(command) && !command->arguments[0].optional &&
           nb_language_variable(notebook->language, line->words[0].text, &value);
}

static nb_status run_expression(nb_notebook *notebook, const nb_line *line, bool last, nb_items *items,
                                nb_error *error)
{
    const char *text = line->words[0].text;
    nb_status status = nb_language_run(notebook->language, text, strlen(text), (unsigned)notebook->n_cells,
                                       last && !line->silent, items, error);
    if (status == NB_OK && items->failed)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to show the result");
    return status;
}

/* Of a cell's expressions the last line's is shown. */
static nb_status run_line(nb_notebook *notebook, const nb_line *line, bool last, nb_items *items, nb_error *error)
{
    nb_word help = {.text = "help"};
    nb_status status = NB_OK;
    switch (line->kind) {
    case NB_LINE_EMPTY:
        return NB_OK;
    case NB_LINE_SHELL:
        return run_shell(notebook, line->words[0].text, error);
    case NB_LINE_HELP:
        return run_command(notebook, help.text, line->words, line->n_words, items, error);
    case NB_LINE_COMMAND:
        if (means_variable(notebook, line))
            return run_expression(notebook, line, last, items, error);
        status = run_command(notebook, line->words[0].text, line->words + 1, line->n_words - 1, items, error);
        if (status == NB_OK)
            keep_number(notebook, items);
        return status;
    case NB_LINE_EXPRESSION:
        return run_expression(notebook, line, last, items, error);
    }
    return status;
}

/* A line of a cell, for timing. */
typedef struct timed_line {
    nb_notebook *notebook;
    const nb_line *line;
    bool last;
} timed_line;

static nb_status run_timed_line(void *user, nb_items *items, nb_error *error)
{
    const timed_line *timed = user;
    return run_line(timed->notebook, timed->line, timed->last, items, error);
}

static nb_status remember_cell(nb_notebook *notebook, const char *text, size_t n_bytes, nb_error *error)
{
    nb_draft copy = {0};
    while (n_bytes && (text[n_bytes - 1] == '\n' || text[n_bytes - 1] == '\r'))
        n_bytes--;
    nb_draft_append(&copy, text, n_bytes);
    char *cell = nb_draft_take(&copy);
    char **cells = cell ? nb_realloc(notebook->cells, notebook->n_cells + 1, sizeof *cells) : NULL;
    notebook->cells = cells ? cells : notebook->cells;
    nb_outcome *outcomes = cells ? nb_realloc(notebook->outcomes, notebook->n_cells + 1, sizeof *outcomes) : NULL;
    if (!outcomes) {
        free(cell);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for another cell");
    }
    notebook->outcomes = outcomes;
    outcomes[notebook->n_cells] = (nb_outcome){0};
    cells[notebook->n_cells++] = cell;
    return NB_OK;
}

/* Keeps a command's items with its cell, and lets the oldest cells' go where there are too many. */
static void keep_items(nb_notebook *notebook, size_t cell, nb_items *items)
{
    nb_outcome *outcome = &notebook->outcomes[cell];
    nb_items_move(&outcome->items, items);
    notebook->outcome_bytes -= outcome->n_bytes;
    outcome->n_bytes = nb_items_size(&outcome->items);
    notebook->outcome_bytes += outcome->n_bytes;
    for (size_t i = 0; notebook->outcome_bytes > NB_OUTCOME_BYTES && i <= cell; i++) {
        nb_outcome *oldest = &notebook->outcomes[i];
        notebook->outcome_bytes -= oldest->n_bytes;
        oldest->dropped = oldest->dropped || oldest->n_bytes > 0;
        oldest->n_bytes = 0;
        nb_items_free(&oldest->items);
    }
}

void nb_notebook_note(nb_notebook *notebook, const char *path, const char *text, const char *source)
{
    nb_note note = {notebook->n_cells, nb_strdup(text), source ? nb_strdup(source) : NULL, nb_strdup(path)};
    nb_note *notes = note.text && note.path && (note.source || !source)
                         ? nb_realloc(notebook->notes, notebook->n_notes + 1, sizeof *notes)
                         : NULL;
    if (!notes) {
        free(note.text);
        free(note.source);
        free(note.path);
        return;
    }
    notes[notebook->n_notes++] = note;
    notebook->notes = notes;
}

/* A sentence quotes what was typed and what files say, and stays one line all the same. */
static void keep_one_line(nb_error *error)
{
    for (char *c = error->text; *c; c++) {
        if (*c == '\n' || *c == '\t')
            *c = ' ';
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

nb_status nb_notebook_run(nb_notebook *notebook, const char *text, size_t n_bytes, nb_show_fn *show,
                          void *user, nb_error *error)
{
    nb_status status = remember_cell(notebook, text, n_bytes, error);
    const size_t cell = notebook->n_cells - (status == NB_OK);
    for (size_t at = 0; status == NB_OK && at < n_bytes && !notebook->leave;) {
        nb_line line;
        nb_items items = {0};
        const nb_timing timing = nb_timing_read(text, n_bytes, &at);
        status = nb_parse_line(text, n_bytes, &at, &line, error);
        timed_line timed = {notebook, &line, nb_parse_is_over(text, n_bytes, at)};
        if (status == NB_OK)
            status = nb_timing_run(notebook, timing, run_timed_line, &timed, &items, error);
        if (show && items.count && !items.failed)
            show(user, &items, (unsigned)cell + 1);
        keep_items(notebook, cell, &items);
        nb_line_free(&line);
    }
    if (status == NB_OK && notebook->lesson) {
        nb_draft cell = {0}; /* terminated, and its own: a lesson runs cells as well */
        nb_draft_append(&cell, text, n_bytes);
        status = nb_lesson_follow(notebook, nb_draft_text(&cell), show, user, error);
        nb_draft_free(&cell);
    }
    if (status != NB_OK && error)
        keep_one_line(error);
    if (status != NB_OK && error && cell < notebook->n_cells)
        notebook->outcomes[cell].error = nb_strdup(error->text);
    return status;
}

/* ---- names ---- */

nb_status nb_notebook_tensor(const nb_notebook *notebook, const char *name, const nb_tensor **out,
                             nb_error *error)
{
    long index = nb_model_find_tensor(notebook->model, name);
    if (index >= 0) {
        *out = nb_model_tensor(notebook->model, (size_t)index);
        return NB_OK;
    }
    nb_nearest nearest;
    nb_nearest_start(&nearest, name);
    size_t n = nb_model_tensor_count(notebook->model);
    for (size_t i = 0; i < n; i++)
        nb_nearest_offer(&nearest, nb_model_tensor(notebook->model, i)->name);
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "no tensor \"%.80s\": did you mean %.80s?", name,
                       nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT, "no tensor \"%.80s\" in this model: layers lists them", name);
}

nb_status nb_notebook_format(const char *name, const nb_format **out, nb_error *error)
{
    *out = nb_format_find(name);
    if (*out)
        return NB_OK;
    nb_nearest nearest;
    nb_nearest_start(&nearest, name);
    for (size_t i = 0; i < nb_format_count(); i++)
        nb_nearest_offer(&nearest, nb_format_at(i)->name);
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "no format \"%.60s\": did you mean %s?", name, nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT, "no format \"%.60s\": formats lists them", name);
}

/* ---- files ---- */

static nb_status missing_file(const char *path, nb_error *error)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = nb_format_text("%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    char best[256] = "";
    nb_nearest nearest;
    nb_nearest_start(&nearest, name);
    DIR *directory = folder ? opendir(folder) : NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        unsigned before = nearest.distance;
        nb_nearest_offer(&nearest, entry->d_name);
        if (nearest.distance < before)
            snprintf(best, sizeof best, "%s", entry->d_name);
    }
    if (directory)
        closedir(directory);
    free(folder);
    if (*best)
        return nb_fail(error, NB_ERR_IO, "no file %.160s: did you mean %.*s%.160s?", path,
                       slash ? (int)nb_min_size((size_t)(slash - path + 1), 160) : 0, path, best);
    return nb_fail(error, NB_ERR_IO, "no file %.200s", path);
}

/* In its folder; what is to be read may also be beside the document. */
static char *confined_path(const nb_notebook *notebook, const char *typed, bool to_read)
{
    char *path = nb_format_text("%s/%s", notebook->folder, typed);
    if (!to_read || !notebook->beside || !path || access(path, F_OK) == 0)
        return path;
    free(path);
    return nb_format_text("%s/%s", notebook->beside, typed);
}

nb_status nb_notebook_path(const nb_notebook *notebook, const char *typed, bool to_read, char **out,
                           nb_error *error)
{
    const char *home = getenv("HOME");
    *out = NULL;
    if (*typed == '\0')
        return nb_fail(error, NB_ERR_ARGUMENT, "a file needs a name");
    if (notebook->confined && (strchr(typed, '/') || typed[0] == '.'))
        return nb_fail(error, NB_ERR_STATE, "this notebook may only use files of its own folder, not %.120s",
                       typed);
    if (notebook->confined)
        *out = confined_path(notebook, typed, to_read);
    else if (typed[0] == '~' && typed[1] == '/' && home)
        *out = nb_format_text("%s%s", home, typed + 1);
    else
        *out = nb_strdup(typed);
    if (!*out)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a file's name");
    /* A folder cannot be meant: a model that comes with nibble may have its name. */
    struct stat info;
    const bool is_folder = stat(*out, &info) == 0 && S_ISDIR(info.st_mode);
    if (!to_read || (!is_folder && (access(*out, F_OK) == 0 || errno != ENOENT)))
        return NB_OK;
    char *built_in = nb_library_find_model(typed);
    if (!built_in && is_folder)
        return NB_OK; /* whoever opens it says so */
    nb_status status = built_in ? NB_OK : missing_file(*out, error);
    free(*out);
    *out = built_in;
    return status;
}

/* `remembered` is where the path of the last time stands. */
static nb_status open_text(nb_notebook *notebook, char **remembered, const char *typed, const char *command,
                           nb_mapping **out, nb_error *error)
{
    if (!typed && !*remembered)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s needs a text to read: %s --text FILE", command, command);
    char *path = NULL;
    nb_status status = typed ? nb_notebook_path(notebook, typed, true, &path, error) : NB_OK;
    if (status == NB_OK)
        status = nb_mapping_open(path ? path : *remembered, out, error);
    if (status == NB_OK && (*out)->size == 0) {
        status =
            nb_fail(error, NB_ERR_FILE, "%.300s is empty: there is nothing to read in it", (*out)->path);
        nb_mapping_close(out);
    }
    if (status != NB_OK || !path) {
        free(path);
        return status;
    }
    free(*remembered);
    *remembered = path;
    return NB_OK;
}

nb_status nb_notebook_text(nb_notebook *notebook, const char *typed, const char *command, nb_mapping **out,
                           nb_error *error)
{
    return open_text(notebook, &notebook->settings.text, typed, command, out, error);
}

nb_status nb_notebook_quiz(nb_notebook *notebook, const char *typed, const char *command, nb_mapping **out,
                           nb_error *error)
{
    return open_text(notebook, &notebook->settings.quiz, typed, command, out, error);
}

nb_status nb_notebook_calibration_text(nb_notebook *notebook, const char *typed, const char *command,
                                       nb_mapping **out, nb_error *error)
{
    return open_text(notebook, &notebook->settings.calibration, typed, command, out, error);
}

/* ---- undo ---- */

bool nb_notebook_changed(const nb_notebook *notebook)
{
    size_t n = nb_model_tensor_count(notebook->model);
    for (size_t i = 0; i < n; i++) {
        if (nb_model_tensor(notebook->model, i)->changed)
            return true;
    }
    return false;
}

void nb_notebook_note_undo(nb_notebook *notebook, const nb_call *call)
{
    nb_draft line = {0};
    nb_draft_add(&line, call->command->name);
    for (size_t i = 0; i < call->n_arguments; i++)
        nb_draft_addf(&line, " %s", call->arguments[i]);
    for (size_t i = 0; i < nb_command_option_count(call->command); i++) {
        if (!call->options[i].given)
            continue;
        nb_draft_addf(&line, " --%s", call->command->options[i].name);
        if (call->options[i].text)
            nb_draft_addf(&line, " %s", call->options[i].text);
    }
    char *text = nb_draft_take(&line);
    char **lines = text ? nb_realloc(notebook->undo_lines, notebook->n_undo_lines + 1, sizeof *lines) : NULL;
    if (!lines) {
        free(text); /* undo works without its name */
        return;
    }
    lines[notebook->n_undo_lines++] = text;
    notebook->undo_lines = lines;
}

/* ---- speed ---- */

double nb_seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Writes up to `n` tokens, or for `seconds`; returns tokens per second. */
static nb_status write_tokens(nb_session *session, size_t n, double seconds, double *rate, nb_error *error)
{
    const float *logits;
    int32_t token = 1;
    nb_status status = NB_OK;
    double begin = nb_seconds_now(), elapsed = 0;
    size_t done = 0;
    nb_session_reset(session);
    for (; status == NB_OK && done < n && elapsed < seconds; done++) {
        status = nb_session_eval(session, &token, 1, NB_LOGITS_LAST, &logits, error);
        elapsed = nb_seconds_now() - begin;
    }
    *rate = elapsed > 0 ? (double)done / elapsed : 0;
    return status;
}

nb_status nb_notebook_measure_speed(nb_notebook *notebook, double seconds, nb_speed *out, nb_error *error)
{
    enum { MOST = 64, ROUNDS = 4 };
    size_t n_ctx = nb_min_size(MOST, nb_model_hparams(notebook->model)->n_ctx);
    nb_session *session = NULL;
    nb_pool *pool = notebook->context->pool;
    const uint64_t work = nb_pool_work(pool);
    *out = (nb_speed){.n_threads = nb_pool_size(pool)};
    nb_status status = nb_session_create(notebook->model, NB_WEIGHTS_CURRENT, n_ctx, &session, error);
    /* The first round wakes caches, threads and the clock; the best one is what this machine can do. A model
     * so large that one round takes longer than all should gets no more. */
    double begin = nb_seconds_now();
    for (int round = 0; status == NB_OK && round < ROUNDS && nb_seconds_now() - begin < seconds; round++) {
        double rate;
        status = write_tokens(session, n_ctx, seconds / ROUNDS, &rate, error);
        if (status == NB_OK && rate > out->tokens_per_second)
            out->tokens_per_second = rate;
    }
    nb_session_destroy(&session);
    nb_pool_add_work(pool, work - nb_pool_work(pool)); /* how much it was, the clock decided: it counts for nothing */
    return status;
}
