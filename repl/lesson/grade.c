/* Doing a learner's submission again, and saying which of its answers are right. */
#include "repl/lesson/submission.h"

#include "base/memory.h"
#include "repl/front.h"
#include "repl/lesson/folder.h"
#include "repl/subcommands.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SECONDS = 60,
    MOST_MEMORY_MB = 4096,
    MOST_FILE_MB = 64,
};

const char nb_grade_heading[] = "file,name,date,lesson,right,questions,remarks\n";

/* ---- in the process of its own ---- */

typedef struct marking {
    nb_notebook *notebook;
    const nb_submission *submission;
    unsigned n_right, n_questions;
    nb_draft remarks;
} marking;

static void remark(marking *m, const char *question, const char *why)
{
    nb_draft_addf(&m->remarks, "%s%s: %s", m->remarks.n_bytes ? "; " : "", question, why);
}

static nb_status run_cell(const marking *m, const char *cell, nb_error *error)
{
    return nb_notebook_run(m->notebook, cell, strlen(cell), NULL, NULL, error);
}

/* Marks one question. Whatever came of it, the next one starts from where a right answer leads to. */
static nb_status mark(marking *m, const nb_check *check, nb_error *error)
{
    const nb_handed_in *answer = nb_submission_find(m->submission, check->name);
    nb_judgement judgement = {.verdict = NB_VERDICT_UNDEFINED};
    nb_error failed = {""};
    nb_status status = NB_OK;
    m->n_questions++;
    if (answer && answer->cells && !answer->skipped) {
        run_cell(m, answer->cells, &failed);
        status = nb_check_judge(m->notebook, check, &judgement, error);
    }
    if (status == NB_OK && judgement.verdict == NB_VERDICT_RIGHT) {
        m->n_right++;
        return NB_OK;
    }
    if (!answer || !answer->cells)
        remark(m, check->name, answer && answer->skipped ? "skipped" : "not answered");
    else if (answer->skipped)
        remark(m, check->name, "skipped");
    else if (failed.text[0])
        remark(m, check->name, failed.text);
    else if (judgement.verdict == NB_VERDICT_WRONG)
        remark(m, check->name, check->wrongs[judgement.which].sentence);
    else
        remark(m, check->name, judgement.why.text[0] ? judgement.why.text : "not right");
    const char *solution = nb_check_solution(check);
    return status == NB_OK && solution ? run_cell(m, solution, error) : status;
}

static nb_status mark_all(marking *m, const nb_document *key, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < key->n_blocks; i++) {
        const nb_block *block = &key->blocks[i];
        if (block->kind == NB_BLOCK_CELL)
            status = run_cell(m, block->text, error);
        else if (block->kind == NB_BLOCK_CHECK)
            status = mark(m, block->check, error);
    }
    return status;
}

/* Writes "right questions remarks" to `to`. */
static void mark_and_tell(const nb_submission *submission, const nb_document *key, const char *folder, int to)
{
    nb_error error = {""};
    marking m = {.submission = submission};
    nb_draft line = {0};
    nb_status status = nb_notebook_create(&(nb_context_options){.n_threads = 1}, &m.notebook, &error);
    if (status == NB_OK) {
        m.notebook->confined = true;
        m.notebook->folder = folder;
        status = mark_all(&m, key, &error);
    }
    if (status != NB_OK)
        remark(&m, "stopped", error.text);
    nb_draft_addf(&line, "%u %u %s", m.n_right, m.n_questions, nb_draft_text(&m.remarks));
    for (size_t at = 0; at < line.n_bytes;) {
        const ssize_t n = write(to, line.text + at, line.n_bytes - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    nb_notebook_destroy(&m.notebook);
    nb_draft_free(&m.remarks);
    nb_draft_free(&line);
}

/* Sanitizers reserve terabytes of addresses. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
enum { LIMITS_MEMORY = 0 };
#else
enum { LIMITS_MEMORY = 1 };
#endif

static void set_limit(int what, rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(what, &limit) == 0 && (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > most)) {
        limit.rlim_cur = most;
        setrlimit(what, &limit);
    }
}

/* ---- around it ---- */

/* What the child said, allocated; *status is how it ended. */
static char *run_child(const nb_submission *submission, const nb_document *key, const char *folder,
                       unsigned seconds, int *status)
{
    int ends[2];
    nb_draft said = {0};
    char piece[512];
    if (pipe(ends) != 0)
        return NULL;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        signal(SIGALRM, SIG_DFL);
        signal(SIGXCPU, SIG_DFL);
        alarm(2 * seconds); /* a cell may sleep as well as compute */
        set_limit(RLIMIT_CPU, seconds);
        set_limit(RLIMIT_FSIZE, (rlim_t)MOST_FILE_MB << 20);
        if (LIMITS_MEMORY)
            set_limit(RLIMIT_AS, (rlim_t)MOST_MEMORY_MB << 20);
        mark_and_tell(submission, key, folder, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; child > 0 && ((n = read(ends[0], piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR));)
        nb_draft_append(&said, piece, n > 0 ? (size_t)n : 0);
    close(ends[0]);
    *status = -1;
    while (child > 0 && waitpid(child, status, 0) < 0 && errno == EINTR)
        ;
    nb_draft_add(&said, "");
    return nb_draft_take(&said);
}

/* A field in quotes, with quotes doubled; a spreadsheet takes what starts with these signs for a formula. */
static void add_field(nb_draft *csv, const char *text, bool last)
{
    nb_draft_add(csv, strchr("=+-@", *text) && *text ? "\"'" : "\"");
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            nb_draft_add(csv, "\"\"");
        else
            nb_draft_append(csv, (unsigned char)*c < 0x20 ? " " : c, 1);
    }
    nb_draft_add(csv, last ? "\"\n" : "\",");
}

static nb_status open_key(const nb_grading *grading, const nb_submission *submission, nb_document **key,
                          nb_error *error)
{
    if (grading->key)
        return nb_document_open(grading->key, key, error);
    nb_catalog catalog;
    nb_status status = nb_catalog_read(&catalog, error);
    const char *path = NULL;
    for (size_t i = 0; status == NB_OK && i < catalog.n; i++) {
        if (strcmp(catalog.entries[i].id, submission->lesson) == 0)
            path = catalog.entries[i].path;
    }
    if (status == NB_OK && !path)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "no lesson %.80s comes with nibble: say which file has its checks, --key FILE",
                         submission->lesson);
    if (status == NB_OK)
        status = nb_document_open(path, key, error);
    nb_catalog_free(&catalog);
    return status;
}

nb_status nb_grade(const nb_grading *grading, const char *path, nb_draft *csv, nb_error *error)
{
    nb_submission submission = {0};
    nb_document *key = NULL;
    nb_status status = nb_submission_open(path, &submission, error);
    if (status == NB_OK)
        status = open_key(grading, &submission, &key, error);
    char *folder = status == NB_OK ? nb_fresh_folder(error) : NULL;
    if (status == NB_OK && !folder)
        status = NB_ERR_IO;
    if (status == NB_OK) {
        int ended = -1, at = 0;
        unsigned n_right = 0, n_questions = 0;
        char *said = run_child(&submission, key, folder, grading->seconds, &ended);
        if (!said || sscanf(said, "%u %u %n", &n_right, &n_questions, &at) < 2)
            at = -1;
        const char *remarks =
            at >= 0 ? said + at
            : WIFSIGNALED(ended) &&
                    (WTERMSIG(ended) == SIGALRM || WTERMSIG(ended) == SIGXCPU || WTERMSIG(ended) == SIGKILL)
                ? "stopped: it took too long"
                : "stopped: it took too much memory, or ended by itself";
        add_field(csv, path, false);
        add_field(csv, submission.name, false);
        add_field(csv, submission.date, false);
        add_field(csv, submission.lesson, false);
        if (at >= 0)
            nb_draft_addf(csv, "%u,%u,", n_right, n_questions);
        else
            nb_draft_add(csv, ",,");
        add_field(csv, remarks, true);
        free(said);
    }
    if (folder)
        nb_remove_folder(folder);
    nb_document_close(&key);
    nb_submission_free(&submission);
    return status;
}

/* ---- nibble grade ---- */

static nb_status no_row(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)notebook, (void)call, (void)out;
    return nb_fail(error, NB_ERR_UNSUPPORTED, "grade runs outside of a notebook");
}

const nb_command nb_subcommand_grade = {
    .name = "grade",
    .group = "Lessons",
    .usage = "nibble grade [--key LESSON.md] [--seconds N] FILE.nibsub...",
    .summary = "does what learners handed in again; a line of CSV each",
    .details = "Each submission runs in a process of its own: no shell, an empty folder, 4 GB of memory and "
               "--seconds of time.",
    .examples = {"nibble grade *.nibsub > grades.csv", "nibble grade --key key.md ada.nibsub"},
    .options = {{.name = "key",
                 .kind = NB_WORD_FILE,
                 .value = "FILE",
                 .summary = "a lesson file with the checks; the lesson that comes with nibble unless said"},
                {.name = "seconds",
                 .kind = NB_WORD_COUNT,
                 .value = "N",
                 .summary = "of computing, for one submission; 60 unless said",
                 .low = 1,
                 .high = 86400}},
    .run = no_row,
};

/* Files may be many; the rest is as the row says. */
static int grade_all(const nb_grading *grading, char **files, size_t n)
{
    int result = EXIT_SUCCESS;
    fputs(nb_grade_heading, stdout);
    for (size_t i = 0; i < n; i++) {
        nb_draft csv = {0};
        nb_error error = {""};
        if (nb_grade(grading, files[i], &csv, &error) == NB_OK && !csv.failed) {
            fputs(nb_draft_text(&csv), stdout);
            fflush(stdout);
        } else {
            nb_front_complain("nibble", error.text);
            result = EXIT_FAILURE;
        }
        nb_draft_free(&csv);
    }
    return fflush(stdout) == 0 ? result : EXIT_FAILURE;
}

int nb_grade_main(int n_words, char **words)
{
    nb_error error = {""};
    nb_call call;
    nb_word *options = nb_calloc((size_t)n_words + 1, sizeof *options);
    char **files = nb_calloc((size_t)n_words + 1, sizeof *files);
    size_t n_options = 0, n_files = 0;
    int result = 2;
    for (int i = 1; options && files && i < n_words; i++) {
        const bool is_option = words[i][0] == '-' && words[i][1];
        if (!is_option) {
            files[n_files++] = words[i];
            continue;
        }
        options[n_options++] = (nb_word){.text = words[i]};
        if (!strchr(words[i], '=') && i + 1 < n_words &&
            nb_command_find_option(&nb_subcommand_grade, words[i]))
            options[n_options++] = (nb_word){.text = words[++i]};
    }
    if (!options || !files)
        nb_front_complain("nibble", "no memory");
    else if (nb_call_read(&nb_subcommand_grade, options, n_options, &call, &error) != NB_OK)
        nb_front_complain("nibble", error.text);
    else if (n_files == 0)
        nb_front_complain("nibble", "grade what? nibble grade *.nibsub");
    else
        result = grade_all(&(nb_grading){.key = nb_call_text(&call, "key", NULL),
                                         .seconds = (unsigned)nb_call_number(&call, "seconds", SECONDS)},
                           files, n_files);
    free(options);
    free(files);
    return result;
}
