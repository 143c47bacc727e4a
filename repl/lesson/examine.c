/* Trying a lesson as a learner would who makes every mistake that it knows. */
#include "repl/lesson/lesson.h"

#include "base/work.h"
#include "repl/lesson/folder.h"
#include "repl/markdown.h"
#include "repl/numbers.h"

#include <stdlib.h>
#include <string.h>

enum {
    FEWEST_WRONGS = 3, /* mistakes that a question should know */
    MOST_LINES = 20,   /* of prose between two stops, so that it fits a screen of 24 */
};

/* Multiply-adds that a lesson may cost a learner, to be quick on any laptop and under emulation. */
static const uint64_t most_work = 20000000000;

typedef struct examination {
    nb_notebook *notebook;
    const nb_document *document;
    nb_items *items;
    nb_error *error;
    size_t n_cells, n_questions, n_wrongs, n_tried;
    uint64_t work; /* of cells and solutions: what a learner makes who makes no mistake */
    uint64_t most; /* the costliest of them, and where it is */
    size_t most_line;
} examination;

static nb_status fail_at(const examination *e, size_t line, const char *what, const char *detail)
{
    return nb_fail(e->error, NB_ERR_FILE, "%.160s, line %zu: %.300s%s%.300s", e->document->name, line, what,
                   detail && *detail ? ": " : "", detail ? detail : "");
}

static void remark(const examination *e, size_t line, const char *what)
{
    nb_items_text(e->items, NB_ALERT "line %zu" NB_END ": %s", line, what);
}

static uint64_t work_so_far(const examination *e)
{
    return nb_pool_work(e->notebook->context->pool);
}

static void count_work(examination *e, uint64_t before, size_t line)
{
    const uint64_t work = work_so_far(e) - before;
    e->work += work;
    if (work > e->most) {
        e->most = work;
        e->most_line = line;
    }
}

/* ---- cells ---- */

static nb_status run_cell(const examination *e, const char *text, size_t line, const char *what)
{
    nb_error why = {""};
    const nb_status status = nb_notebook_run(e->notebook, text, strlen(text), NULL, NULL, &why);
    return status == NB_OK ? NB_OK : fail_at(e, line, what, why.text);
}

/* Takes back what a mistake did to the model. */
static nb_status undo_to(const examination *e, size_t depth)
{
    nb_status status = NB_OK;
    while (status == NB_OK && e->notebook->model && nb_model_undo_depth(e->notebook->model) > depth)
        status = run_cell(e, "undo", 0, "undo");
    return status;
}

/* ---- questions ---- */

static nb_status try_wrong(examination *e, const nb_check *check, size_t index)
{
    const nb_answer *wrong = &check->wrongs[index];
    const size_t depth = e->notebook->model ? nb_model_undo_depth(e->notebook->model) : 0;
    nb_judgement judgement;
    nb_status status = run_cell(e, wrong->example, wrong->line, "its `try` does not run");
    if (status == NB_OK)
        status = nb_check_judge(e->notebook, check, &judgement, e->error);
    if (status != NB_OK)
        return status;
    if (judgement.verdict == NB_VERDICT_RIGHT)
        return fail_at(e, wrong->line, "its `try` is taken for the right answer", wrong->example);
    if (judgement.verdict != NB_VERDICT_WRONG)
        return fail_at(e, wrong->line, "its `try` does not make this mistake", wrong->example);
    if (judgement.which != index)
        return fail_at(e, wrong->line, "after its `try` an earlier `wrong` holds",
                       check->wrongs[judgement.which].condition);
    e->n_tried++;
    return undo_to(e, depth);
}

static nb_status solve(examination *e, const nb_block *block)
{
    const nb_check *check = block->check;
    const char *solution = nb_check_solution(check);
    nb_judgement judgement;
    if (!solution)
        return fail_at(e, block->line,
                       "nothing says how it is done: a `do:` line, or a last hint that is code", NULL);
    nb_status status = run_cell(e, solution, block->line, "its solution does not run");
    if (status == NB_OK)
        status = nb_check_judge(e->notebook, check, &judgement, e->error);
    if (status != NB_OK || judgement.verdict == NB_VERDICT_RIGHT)
        return status;
    if (judgement.verdict == NB_VERDICT_WRONG)
        return fail_at(e, check->wrongs[judgement.which].line,
                       "after the solution this `wrong` holds, and a `want` does not",
                       check->wrongs[judgement.which].condition);
    return fail_at(e, check->wants[judgement.which].line, "after the solution this does not hold",
                   judgement.why.text[0] ? judgement.why.text : check->wants[judgement.which].condition);
}

static nb_status examine_check(examination *e, const nb_block *block)
{
    const nb_check *check = block->check;
    nb_judgement judgement;
    nb_status status = nb_check_judge(e->notebook, check, &judgement, e->error);
    if (status == NB_OK && judgement.verdict == NB_VERDICT_RIGHT)
        status = fail_at(e, block->line, "it passes before anything was done", check->name);
    for (size_t i = 0; status == NB_OK && i < check->n_wrongs; i++) {
        e->n_wrongs++;
        if (check->wrongs[i].example)
            status = try_wrong(e, check, i);
        else
            remark(e, check->wrongs[i].line,
                   "this `wrong` has no `try`, so nobody knows whether it can be reached");
    }
    if (check->n_wrongs < FEWEST_WRONGS)
        remark(e, block->line, "a question should know three mistakes at least");
    if (check->n_hints > 3)
        remark(e, block->line, "three hints are enough: where to look, how, and the answer");
    e->n_questions++;
    const uint64_t before = work_so_far(e);
    if (status == NB_OK)
        status = solve(e, block);
    count_work(e, before, block->line);
    return status;
}

/* ---- prose ---- */

static void examine_prose(const examination *e, const nb_block *block)
{
    nb_screen screen = {.out = stdout, .utf8 = true, .columns = 80};
    nb_draft shown = {0};
    size_t n_lines = 0;
    nb_markdown_render(&screen, block->text, strlen(block->text), &shown);
    for (const char *c = nb_draft_text(&shown); *c; c++)
        n_lines += *c == '\n';
    if (n_lines > MOST_LINES) {
        nb_draft text = {0};
        nb_draft_addf(&text, "%zu lines of prose without a cell are more than a screen of 24 shows", n_lines);
        remark(e, block->line, nb_draft_text(&text));
        nb_draft_free(&text);
    }
    nb_draft_free(&shown);
}

static nb_status examine_front(const examination *e)
{
    static const char *const wanted[] = {"title", "goal", "minutes"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *value = nb_document_value(e->document, wanted[i]);
        if (!value || !*value)
            return fail_at(e, 1, "the front matter lacks", wanted[i]);
    }
    return NB_OK;
}

static nb_status examine_blocks(examination *e)
{
    nb_status status = examine_front(e);
    uint64_t before;
    for (size_t i = 0; status == NB_OK && i < e->document->n_blocks; i++) {
        const nb_block *block = &e->document->blocks[i];
        switch (block->kind) {
        case NB_BLOCK_CELL:
            before = work_so_far(e);
            status = run_cell(e, block->text, block->line, "this cell fails");
            count_work(e, before, block->line);
            e->n_cells++;
            break;
        case NB_BLOCK_CHECK:
            status = examine_check(e, block);
            break;
        case NB_BLOCK_PROSE:
            examine_prose(e, block);
            break;
        default:
            break;
        }
    }
    return status;
}

/* ---- a notebook of its own ---- */

static void conclude(const examination *e, double seconds)
{
    nb_items_text(
        e->items,
        NB_STRONG
        "%s" NB_END
        " holds: %zu cells, %zu questions, %zu of %zu known mistakes tried. It costs a learner " NB_MEASURED
        "%s" NB_END " billion multiply-adds of %s at most. " NB_MEASURED "%s s" NB_END,
        nb_lesson_title(e->document), e->n_cells, e->n_questions, e->n_tried, e->n_wrongs,
        nb_fixed((double)e->work / 1e9, 1).text, nb_fixed((double)most_work / 1e9, 0).text,
        nb_fixed(seconds, 1).text);
    if (e->work > most_work) {
        nb_draft text = {0};
        nb_draft_addf(&text,
                      "this costs most of all, %s billion: let ppl and compare read fewer tokens, or "
                      "generate write fewer",
                      nb_fixed((double)e->most / 1e9, 1).text);
        remark(e, e->most_line, nb_draft_text(&text));
        nb_draft_free(&text);
    }
}

nb_status nb_lesson_examine(nb_context_options *options, const char *path, nb_items *items, nb_error *error)
{
    nb_document *document = NULL;
    examination e = {.items = items, .error = error};
    nb_status status = nb_document_open(path, &document, error);
    e.document = document;
    char *folder = status == NB_OK ? nb_fresh_folder(error) : NULL;
    if (status == NB_OK && !folder)
        status = NB_ERR_IO;
    if (status == NB_OK)
        status = nb_notebook_create(options, &e.notebook, error);
    if (status == NB_OK) {
        const double begin = nb_seconds_now();
        e.notebook->confined = true;
        e.notebook->folder = folder;
        status = examine_blocks(&e);
        if (status == NB_OK)
            conclude(&e, nb_seconds_now() - begin);
    }
    nb_notebook_destroy(&e.notebook);
    nb_document_close(&document);
    if (folder)
        nb_remove_folder(folder);
    return status;
}
