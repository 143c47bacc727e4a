#include "repl/run_file.h"

#include "base/memory.h"
#include "repl/commands/table.h"
#include "repl/document/import.h"
#include "repl/document/record.h"
#include "repl/document/runner.h"
#include "repl/language/language.h"
#include "repl/lesson/folder.h"
#include "repl/signals.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct request {
    nb_front_options front;
    nb_parameter *parameters;
    size_t n_parameters;
    nb_call call;
} request;

static bool has(const request *r, const char *option)
{
    return nb_call_has(&r->call, option);
}

/* ---- words ---- */

/* "bits=4", which is cut at its equals sign. */
static nb_status take_parameter(request *r, char *word, nb_error *error)
{
    char *equals = word ? strchr(word, '=') : NULL;
    if (!equals || equals == word)
        return nb_fail(error, NB_ERR_ARGUMENT, "-p takes a name and a value: -p bits=4, not \"%.60s\"", word ? word : "");
    *equals = '\0';
    r->parameters[r->n_parameters++] = (nb_parameter){word, equals + 1};
    return NB_OK;
}

/* Parameters may come often; all else is as the row says. */
static nb_status read_words(request *r, int n_words, char **words, nb_word *others, nb_error *error)
{
    size_t n = 0;
    nb_status status = NB_OK;
    for (int i = 0; status == NB_OK && i < n_words; i++) {
        if (strcmp(words[i], "-p") == 0 || strcmp(words[i], "--parameter") == 0)
            status = take_parameter(r, i + 1 < n_words ? words[++i] : NULL, error);
        else
            others[n++] = (nb_word){.text = words[i]};
    }
    if (status == NB_OK)
        status = nb_call_read(&nb_subcommand_run_file, others, n, &r->call, error);
    if (status == NB_OK && has(r, "check") && has(r, "record"))
        status = nb_fail(error, NB_ERR_ARGUMENT, "--check compares what is recorded and --record replaces it: choose one");
    if (status == NB_OK && has(r, "threads"))
        r->front.n_threads = (unsigned)nb_call_number(&r->call, "threads", 0);
    return status;
}

/* ---- running ---- */

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

nb_status nb_run_script(nb_front *front, const char *path)
{
    if (strcmp(path, "-") == 0)
        return nb_front_run_stream(front, stdin, "standard input");
    FILE *file = fopen(path, "r");
    if (!file) {
        nb_error error;
        nb_fail(&error, NB_ERR_IO, "%.200s cannot be read: %s", path, strerror(errno));
        nb_front_complain("nibble", error.text);
        return NB_ERR_IO;
    }
    nb_status status = nb_front_run_stream(front, file, path);
    fclose(file);
    return status;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void say(nb_front *front, const char *path, const nb_run_report *report, nb_run_mode mode, size_t n_swept)
{
    nb_items items = {0};
    if (mode == NB_RUN_RECORD)
        nb_items_text(&items, "%s · %zu cell%s, %zu output%s%s", path, report->n_cells, plural(report->n_cells),
                      report->n_outputs, plural(report->n_outputs),
                      report->changed ? " recorded" : ", all as they were");
    else if (report->n_differ)
        nb_items_text(&items, "%s · %zu cell%s, " NB_ALERT "%zu of %zu outputs differ" NB_END, path, report->n_cells,
                      plural(report->n_cells), report->n_differ, report->n_differ + report->n_outputs);
    else
        nb_items_text(&items, "%s · %zu cell%s, %zu output%s as recorded", path, report->n_cells,
                      plural(report->n_cells), report->n_outputs, plural(report->n_outputs));
    if (n_swept)
        nb_items_text(&items, NB_MUTED "%zu picture%s that it names no more %s removed" NB_END, n_swept, plural(n_swept),
                      n_swept == 1 ? "was" : "were");
    if (report->n_unrecorded)
        nb_items_text(&items, NB_MUTED "%zu cell%s gave something and %s no output recorded: nibble run --record" NB_END,
                      report->n_unrecorded, plural(report->n_unrecorded), report->n_unrecorded == 1 ? "has" : "have");
    nb_screen_show(&front->screen, &items, 0);
    nb_items_free(&items);
}

static nb_status export_to(nb_front *front, const char *path, nb_error *error)
{
    char *cell = nb_format_text("export \"%s\"", path);
    nb_status status = cell ? nb_front_try(front, cell, strlen(cell), false, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory to export");
    free(cell);
    return status;
}

/* Markdown, or a Jupyter notebook as such. */
static nb_status open_document(const request *r, const char *path, nb_document **out, nb_error *error)
{
    nb_draft markdown = {0};
    nb_imported imported;
    if (!ends_in(path, ".ipynb"))
        return nb_document_open(path, out, error);
    if (has(r, "record"))
        return nb_fail(error, NB_ERR_ARGUMENT, "--record writes Markdown: nibble -c 'import %.120s' makes it first", path);
    nb_status status = nb_import_open(path, &markdown, &imported, error);
    if (status == NB_OK)
        status = nb_document_parse(nb_draft_text(&markdown), markdown.n_bytes, path, out, error);
    if (status == NB_OK && imported.n_kept)
        fprintf(stderr, "nibble: %zu cell%s in %s left out: nibble runs its own language only\n", imported.n_kept,
                imported.n_kept == 1 ? "" : "s", imported.language);
    nb_draft_free(&markdown);
    return status;
}

/* ---- notebooks from others ---- */

enum { MOST_SECONDS = 900, MOST_ARRAYS_MIB = 1024 };

typedef struct confinement {
    char *folder, *beside; /* NULL: not confined */
} confinement;

/* No other programs; files are written into a fresh folder and read from there and from beside the document; a limit
 * of time and of memory. */
static nb_status confine(nb_front *front, const char *path, confinement *out, nb_error *error)
{
    nb_notebook *notebook = front->notebook;
    const char *slash = strrchr(path, '/');
    *out = (confinement){0};
    out->folder = nb_fresh_folder(error);
    if (!out->folder)
        return NB_ERR_IO;
    out->beside = slash ? nb_format_text("%.*s", (int)(slash - path) + (slash == path), path) : nb_strdup(".");
    if (!out->beside)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to run %.200s", path);
    notebook->confined = true;
    notebook->folder = out->folder;
    notebook->beside = out->beside;
    nb_language_space(notebook->language)->limit_bytes = (size_t)MOST_ARRAYS_MIB << 20;
    nb_signals_limit(MOST_SECONDS);
    return NB_OK;
}

static bool is_empty(const char *folder)
{
    size_t n = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        n += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return n == 0;
}

/* Files that were meant to stay are left, and where they are is said. */
static void release(nb_front *front, confinement *c, bool keep)
{
    nb_signals_limit(0);
    front->notebook->confined = false;
    front->notebook->folder = front->notebook->beside = NULL;
    if (c->folder && keep && !is_empty(c->folder)) {
        fprintf(stderr, "nibble: the files that it wrote are in %s\n", c->folder);
        free(c->folder);
    } else if (c->folder) {
        nb_remove_folder(c->folder);
    }
    free(c->beside);
    *c = (confinement){0};
}

static void explain_stop(nb_error *error)
{
    if (nb_signals_late())
        nb_fail(error, NB_ERR_CANCELLED, "stopped after %d minutes; with --trust there is no limit", MOST_SECONDS / 60);
}

static nb_status run_document(nb_front *front, const request *r, const char *path, nb_error *error)
{
    nb_document *document;
    nb_run_report report = {0};
    nb_run_options options = {.mode = has(r, "check")    ? NB_RUN_CHECK
                                      : has(r, "record") ? NB_RUN_RECORD
                                                         : NB_RUN_SHOW,
                              .parameters = r->parameters,
                              .n_parameters = r->n_parameters};
    confinement confined = {0};
    nb_status status = open_document(r, path, &document, error);
    if (status == NB_OK && !has(r, "trust"))
        status = confine(front, path, &confined, error);
    if (status != NB_OK) {
        nb_document_close(&document);
        return status;
    }
    front->numbered = options.mode == NB_RUN_SHOW;
    const char *exported = nb_call_text(&r->call, "export", NULL);
    options.quiet = exported != NULL;
    status = nb_document_run(front, document, &options, &report, error);
    if (status == NB_ERR_CANCELLED)
        explain_stop(error);
    release(front, &confined, options.mode == NB_RUN_SHOW);
    if (status == NB_OK && exported)
        status = export_to(front, exported, error);
    if (status == NB_OK && report.changed)
        status = nb_document_save(document, path, error);
    const size_t n_swept = status == NB_OK && options.mode == NB_RUN_RECORD ? nb_figures_sweep(document) : 0;
    if (status == NB_OK && options.mode != NB_RUN_SHOW)
        say(front, path, &report, options.mode, n_swept);
    nb_document_close(&document);
    if (status == NB_OK && report.n_differ) {
        status = NB_ERR_STATE;
        error->text[0] = '\0'; /* all is said */
    }
    return status;
}

static nb_status run_opened(nb_front *front, const request *r, nb_error *error)
{
    const char *path = r->call.arguments[0];
    error->text[0] = '\0';
    if (ends_in(path, ".md") || ends_in(path, ".markdown") || ends_in(path, ".ipynb"))
        return run_document(front, r, path, error);
    if (has(r, "check") || has(r, "record") || r->n_parameters)
        return nb_fail(error, NB_ERR_ARGUMENT, "%.200s is no Markdown, so it has no outputs and no parameters: "
                       "nibble run --check lesson.md", path);
    return nb_run_script(front, path);
}

static int run_request(const request *r)
{
    nb_front front;
    nb_error error = {""};
    nb_status status = nb_front_open(&front, &r->front, &error);
    if (status == NB_OK)
        status = run_opened(&front, r, &error);
    if (status != NB_OK && *error.text)
        nb_front_complain("nibble", error.text);
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    nb_front_close(&front);
    return status == NB_OK && !lost ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int show_usage(void)
{
    nb_items items = {0};
    nb_screen screen;
    nb_screen_init(&screen, stdout);
    nb_command_describe(&nb_subcommand_run_file, &items);
    nb_screen_show(&screen, &items, 0);
    nb_screen_free(&screen);
    nb_items_free(&items);
    return EXIT_SUCCESS;
}

int nb_run_file(int n_words, char **words, const nb_front_options *options)
{
    request r = {.front = *options};
    nb_error error = {""};
    for (int i = 0; i < n_words; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0)
            return show_usage();
    }
    nb_word *others = nb_calloc((size_t)n_words + 1, sizeof *others);
    r.parameters = nb_calloc((size_t)n_words + 1, sizeof *r.parameters);
    int result = EXIT_FAILURE;
    if (!others || !r.parameters) {
        nb_front_complain("nibble", "no memory");
    } else if (read_words(&r, n_words, words, others, &error) != NB_OK) {
        nb_front_complain("nibble", error.text);
        result = 2;
    } else {
        result = run_request(&r);
    }
    free(others);
    free(r.parameters);
    return result;
}

const nb_command nb_subcommand_run_file = {
    .name = "run",
    .usage = "nibble run FILE.md [--check|--record] [-p NAME=VALUE]... [--trust]\n"
             "nibble run FILE.md --export FILE.html|FILE.ipynb|FILE.md\n"
             "nibble run FILE",
    .summary = "runs a notebook, or a file of cells, a line each; - is standard input",
    .details = "A notebook is Markdown whose cells are fences marked nibble. --check runs it and compares every output "
               "with the one that is recorded: exact values to the bit; measured ones, which stand in \u27e8 \u27e9, by "
               "presence and unit; figures by their data. --record writes the outputs anew, pictures into figures/ "
               "beside the file. -p sets a variable before the first cell. It runs confined: without !, writing into a "
               "fresh folder only, reading what is there or beside the file, for at most 15 minutes, with arrays of at "
               "most 1 GiB; --trust lifts all that.",
    .examples = {"nibble run lesson.md", "nibble run --check lesson.md", "nibble run lesson.md -p bits=4"},
    .arguments = {{"FILE", NB_WORD_FILE, false}},
    .options = {{.name = "check", .kind = NB_WORD_FLAG, .summary = "compare the outputs with the recorded ones"},
                {.name = "record", .kind = NB_WORD_FLAG, .summary = "replace the recorded outputs"},
                {.name = "trust",
                 .kind = NB_WORD_FLAG,
                 .summary = "lets it run programs, use files anywhere, and take as long as it likes"},
                {.name = "export",
                 .kind = NB_WORD_NEW_FILE,
                 .value = "FILE",
                 .summary = "then write what it gave as .html, .ipynb or .md, quietly"},
                {.name = "threads",
                 .letter = 't',
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .low = 1,
                 .high = 256,
                 .summary = "cores to compute with; all unless said"}},
};
