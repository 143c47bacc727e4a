#include "repl/front.h"

#include "repl/document/autosave.h"
#include "repl/document/runner.h"
#include "repl/draft.h"
#include "repl/edit.h"
#include "repl/lesson/lesson.h"
#include "repl/library.h"
#include "repl/signals.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS_OF_PROSE = 5 }; /* so that in a lesson a picture and what is said of it are seen together */

extern char **environ;

static void show(void *user, const nb_items *items, unsigned cell)
{
    nb_front *front = user;
    nb_progress_clear(&front->progress);
    nb_screen_stream_end(&front->screen);
    front->screen.picture = front->notebook->settings.picture;
    const nb_lesson *lesson = front->notebook->lesson;
    front->screen.rows_kept = front->numbered && lesson && !lesson->playing ? ROWS_OF_PROSE : 0;
    nb_screen_show(&front->screen, items, front->numbered ? cell : 0);
}

static void stream(void *user, const char *text, size_t n_bytes)
{
    nb_front *front = user;
    nb_progress_clear(&front->progress);
    nb_screen_stream(&front->screen, text, n_bytes);
}

/* A shell gets Ctrl-C and broken pipes as it would outside. */
static int run_shell(void *user, const char *command)
{
    nb_front *front = user;
    char *const arguments[] = {"sh", "-c", (char *)command, NULL};
    posix_spawnattr_t attributes;
    sigset_t defaults;
    pid_t child;
    int status = -1;
    fflush(front->screen.out);
    if (posix_spawnattr_init(&attributes) != 0)
        return -1;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int failed = posix_spawn(&child, "/bin/sh", NULL, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    if (failed)
        return -1;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

nb_status nb_front_open(nb_front *front, const nb_front_options *options, nb_error *error)
{
    *front = (nb_front){0};
    nb_picture picture;
    if (!nb_picture_parse(options->picture, &picture))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "--plot takes auto, kitty, sixel, braille, ascii or none, not \"%.60s\"",
                       options->picture);
    nb_context_options context = {.n_threads = options->n_threads};
    nb_status status = nb_notebook_create(&context, &front->notebook, error);
    if (status != NB_OK)
        return status;
    nb_screen_init(&front->screen, stdout);
    nb_progress_attach(&front->progress, front->notebook->context);
    nb_signals_install(front->notebook->context);
    front->notebook->settings.picture = picture;
    front->notebook->screen = &front->screen;
    front->notebook->user = front;
    front->notebook->shell = run_shell;
    front->notebook->stream = front->screen.is_terminal ? stream : NULL;
    return NB_OK;
}

void nb_front_close(nb_front *front)
{
    if (front->notebook)
        nb_signals_remove();
    nb_notebook_destroy(&front->notebook);
    nb_screen_free(&front->screen);
}

void nb_front_complain(const char *where, const char *sentence)
{
    fflush(stdout);
    nb_draft line = {0};
    nb_draft_addf(&line, "%s%s%s\n", where ? where : "", where ? ": " : "", sentence);
    for (size_t i = 0; i + 1 < line.n_bytes; i++) {
        if ((unsigned char)line.text[i] < 0x20 || line.text[i] == 0x7f)
            line.text[i] = '?'; /* names come from files: they may not steer a terminal */
    }
    fputs(nb_draft_text(&line), stderr);
    nb_draft_free(&line);
}

/* In the notebook an error is a paragraph like any other; elsewhere it says where it comes from. */
static void show_error(nb_front *front, const char *where, const char *sentence)
{
    if (where || !isatty(STDERR_FILENO)) {
        nb_front_complain(where, sentence);
        return;
    }
    fflush(stdout);
    nb_draft marked = {0}, out = {0};
    nb_draft_addf(&marked, NB_ALERT "%s" NB_END, sentence);
    nb_render_paragraph(&front->screen, nb_draft_text(&marked), 2, &out);
    fputs(nb_draft_text(&out), stderr);
    nb_draft_free(&marked);
    nb_draft_free(&out);
}

nb_status nb_front_try(nb_front *front, const char *text, size_t n_bytes, bool quiet, nb_error *error)
{
    void (*streams)(void *, const char *, size_t) = front->notebook->stream;
    error->text[0] = '\0';
    front->progress.total = 0;
    if (quiet)
        front->notebook->stream = NULL;
    nb_signals_begin();
    nb_status status = nb_notebook_run(front->notebook, text, n_bytes, quiet ? NULL : show, front, error);
    nb_signals_end();
    front->notebook->stream = streams;
    nb_progress_clear(&front->progress);
    nb_screen_stream_end(&front->screen);
    if (status == NB_ERR_CANCELLED && front->progress.draws)
        fputs("\r\x1b[K", stderr); /* over the ^C that the terminal echoed */
    if (status == NB_ERR_CANCELLED && strcmp(error->text, "stopped") == 0)
        nb_progress_stopped(&front->progress, error->text, sizeof error->text);
    return status;
}

/* The cells of the file that `run` opened, shown as if they were typed. */
static nb_status run_opened(nb_front *front, nb_error *error)
{
    const nb_run_options options = {.mode = NB_RUN_SHOW};
    nb_run_report report;
    nb_document *document = front->notebook->to_run;
    front->notebook->to_run = NULL;
    nb_status status = nb_document_run(front, document, &options, &report, error);
    nb_document_close(&document);
    return status;
}

nb_status nb_front_run(nb_front *front, const char *text, size_t n_bytes, const char *where)
{
    nb_error error;
    nb_status status = nb_front_try(front, text, n_bytes, false, &error);
    if (status == NB_OK && front->notebook->to_run)
        status = run_opened(front, &error);
    if (status != NB_OK)
        show_error(front, where, error.text);
    else if (ferror(stdout))
        status = NB_ERR_IO; /* whoever read our output has left: nobody is there to be told */
    return status;
}

nb_status nb_front_run_stream(nb_front *front, FILE *in, const char *name)
{
    nb_draft cell = {0};
    char *line = NULL, where[320];
    size_t capacity = 0, n_lines = 0, first = 1;
    nb_status status = NB_OK;
    for (ssize_t n; status == NB_OK && !front->notebook->leave && (n = getline(&line, &capacity, in)) > 0;) {
        n_lines++;
        nb_draft_append(&cell, line, (size_t)n);
        if (nb_parse_wants_more(cell.text, cell.n_bytes - (line[n - 1] == '\n')))
            continue;
        snprintf(where, sizeof where, "nibble: %.256s, line %zu", name, first);
        if (cell.n_bytes > 1)
            status = nb_front_run(front, cell.text, cell.n_bytes, where);
        cell.n_bytes = 0;
        first = n_lines + 1;
    }
    if (status == NB_OK && cell.n_bytes && !front->notebook->leave) {
        snprintf(where, sizeof where, "nibble: %.256s, line %zu", name, first);
        status = nb_front_run(front, cell.text, cell.n_bytes, where);
    }
    nb_draft_free(&cell);
    free(line);
    return status;
}

/* What Enter does at the first prompt: "lesson 4", the next one to take; "" if there is none. */
static void suggest_lesson(nb_items *items, char *suggestion, size_t size)
{
    nb_catalog catalog = {0};
    nb_records records = {0};
    nb_error ignored;
    *suggestion = '\0';
    if (nb_catalog_read(&catalog, &ignored) == NB_OK && nb_records_read(&records, &ignored) == NB_OK) {
        const nb_lesson_entry *next = nb_catalog_suggest(&catalog, &records);
        const nb_record *record = next ? nb_records_find(&records, next->id) : NULL;
        if (next) {
            snprintf(suggestion, size, "lesson %u", next->number);
            nb_items_text(items, NB_COMMAND "Enter" NB_END " %s lesson %u: %s",
                          record && record->at ? "goes on with" : "opens", next->number, next->title);
        }
    }
    nb_records_free(&records);
    nb_catalog_free(&catalog);
}

static void greet(nb_front *front, char *suggestion, size_t size)
{
    nb_items items = {0};
    const nb_context *context = front->notebook->context;
    unsigned n_threads = nb_pool_size(context->pool);
    nb_items_text(&items,
                  NB_STRONG "nibble %.3s" NB_END " · " NB_MEASURED "%s, %u thread%s" NB_END " · no model yet",
                  NIBBLE_VERSION, context->kernels->title, n_threads, n_threads == 1 ? "" : "s");
    char *story = nb_library_find_model("story");
    nb_items_text(&items,
                  "Four to start with:  " NB_COMMAND "lesson" NB_END "   " NB_COMMAND "load %s" NB_END "   " NB_COMMAND
                  "help" NB_END "   " NB_COMMAND "?quantize" NB_END,
                  story ? "story" : "FILE");
    free(story);
    suggest_lesson(&items, suggestion, size);
    nb_draft out = {0};
    for (size_t i = 0; i < items.count; i++)
        nb_render_paragraph(&front->screen, items.items[i].text, 0, &out);
    printf("%s\n", nb_draft_text(&out));
    nb_draft_free(&out);
    nb_items_free(&items);
}

nb_status nb_front_converse(nb_front *front, const char *first, bool resume)
{
    nb_editor *editor = NULL;
    nb_autosave autosave;
    nb_error error;
    nb_status status = nb_editor_create(front->notebook, &front->screen, &editor, &error);
    if (status != NB_OK) {
        nb_front_complain("nibble", error.text);
        return status;
    }
    front->numbered = true;
    front->notebook->offers = nb_editor_can_offer();
    char suggestion[32];
    greet(front, suggestion, sizeof suggestion);
    if (resume && nb_front_resume(front, &error) != NB_OK)
        show_error(front, NULL, error.text);
    nb_autosave_open(&autosave);
    if (first)
        nb_front_run(front, first, strlen(first), NULL);
    while (!front->notebook->leave && !ferror(stdout)) {
        const char *offer = nb_lesson_offer(front->notebook->lesson);
        if (offer)
            nb_editor_offer(editor, offer);
        char *cell = nb_editor_read(editor);
        if (!cell) {
            putchar('\n');
            break;
        }
        const char *text =
            cell[strspn(cell, " \t\n")] ? nb_lesson_meant(front->notebook->lesson, cell) : suggestion;
        if (*text)
            nb_front_run(front, text, strlen(text), NULL);
        *suggestion = '\0'; /* for the first prompt only */
        free(cell);
        nb_autosave_write(&autosave, front->notebook);
    }
    nb_autosave_close(&autosave);
    nb_editor_destroy(&editor);
    return NB_OK;
}
