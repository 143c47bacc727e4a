#include "repl/document/runner.h"

#include "base/memory.h"
#include "repl/document/output.h"
#include "repl/document/record.h"
#include "repl/language/language.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct run {
    nb_front *front;
    nb_document *document;
    const nb_run_options *options;
    nb_run_report *report;
    size_t n_figures;
    nb_error *error;
} run;

/* ---- what is shown ---- */

/* "In [3]: " and the cell, its further lines under the first. */
static void show_cell(const run *r, const nb_block *cell)
{
    const bool colour = r->front->screen.colour;
    char label[32];
    nb_draft out = {0};
    int width = snprintf(label, sizeof label, "In [%u]:", nb_notebook_next(r->front->notebook));
    bool first = true;
    for (const char *at = cell->text; *at; first = false) {
        int n = (int)strcspn(at, "\n");
        if (!first)
            snprintf(label, sizeof label, "%*s", width, "...:");
        nb_draft_addf(&out, "%s%s%s %.*s\n", colour ? first ? "\x1b[32m" : "\x1b[2m" : "", label, colour ? "\x1b[0m" : "",
                      n, at);
        at += n + (at[n] == '\n');
    }
    for (size_t i = 0; i < out.n_bytes; i++) {
        unsigned char c = (unsigned char)out.text[i];
        if (!colour && ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f))
            out.text[i] = '?'; /* nothing from a file may steer the terminal */
    }
    fwrite(nb_draft_text(&out), 1, out.n_bytes, r->front->screen.out);
    nb_draft_free(&out);
}

static void show_difference(const run *r, const nb_block *cell, size_t line, const char *recorded, const char *now)
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%.200s, line %zu: the cell of line %zu gave something else than was recorded",
             r->document->name, line, cell->line);
    nb_front_complain("nibble", sentence);
    const char *const labels[] = {"  recorded ", "  now      "}, *const texts[] = {recorded, now};
    for (size_t i = 0; i < 2; i++) {
        const char *text = !texts[i] ? "(no memory)" : *texts[i] ? texts[i] : "(nothing)";
        nb_draft out = {0};
        nb_draft_append(&out, labels[i], strlen(labels[i]));
        nb_draft_append(&out, text, strcspn(text, "\n"));
        nb_front_complain(NULL, nb_draft_text(&out));
        nb_draft_free(&out);
    }
}

/* ---- running ---- */

static nb_status fail_at(const run *r, nb_status status, size_t line, const char *sentence)
{
    char kept[400];
    snprintf(kept, sizeof kept, "%.*s", (int)nb_utf8_fit(sentence, strlen(sentence), sizeof kept - 1, false), sentence);
    return nb_fail(r->error, status, "%.100s, line %zu: %s", r->document->name, line, kept);
}

static nb_status run_lines(const run *r, const nb_block *cell, const char *text)
{
    nb_error error;
    bool shows = r->options->mode == NB_RUN_SHOW && !r->options->quiet, fails = nb_block_has_option(cell, "fails");
    if (shows && cell->kind == NB_BLOCK_CELL)
        show_cell(r, cell);
    nb_status status = nb_front_try(r->front, text, strlen(text), !shows, &error);
    if (fails && status == NB_OK)
        return fail_at(r, NB_ERR_STATE, cell->line, "this cell is said to fail, and went well");
    if (fails && status != NB_ERR_CANCELLED && status != NB_ERR_MEMORY) {
        if (shows)
            nb_front_complain(NULL, error.text);
        return NB_OK;
    }
    return status == NB_OK ? NB_OK : fail_at(r, status, cell->line, error.text);
}

static nb_status compare(run *r, size_t index, const nb_pieces *pieces)
{
    const nb_block *cell = &r->document->blocks[index];
    size_t line = 0;
    char *recorded, *now;
    if (nb_outputs_of(r->document, index) == 0) {
        r->report->n_unrecorded += pieces->count > 0;
        return NB_OK;
    }
    if (nb_outputs_match(r->document, index, pieces, &line, &recorded, &now)) {
        r->report->n_outputs++;
        return NB_OK;
    }
    if (r->report->n_differ++ == 0)
        show_difference(r, cell, line, recorded, now);
    free(recorded);
    free(now);
    return NB_OK;
}

/* Whether the figures of a cell have the names that their places give them; counts them. */
static bool figures_in_place(run *r, size_t index)
{
    size_t n = nb_outputs_of(r->document, index), at = r->n_figures;
    bool same = true;
    for (size_t i = 1; i <= n; i++) {
        const nb_block *block = &r->document->blocks[index + i];
        char *path = block->kind == NB_BLOCK_FIGURE ? nb_figure_path(r->document->name, ++at) : NULL;
        same = same && (block->kind != NB_BLOCK_FIGURE || (path && strcmp(path, block->text) == 0));
        free(path);
    }
    if (same)
        r->n_figures = at;
    return same;
}

static nb_status record(run *r, size_t index, const nb_pieces *pieces)
{
    size_t line = 0;
    char *recorded = NULL, *now = NULL;
    r->report->n_outputs += pieces->count > 0;
    bool same = nb_outputs_match(r->document, index, pieces, &line, &recorded, &now) && figures_in_place(r, index);
    free(recorded);
    free(now);
    if (same)
        return NB_OK;
    r->report->changed = true;
    return nb_outputs_replace(r->document, index, pieces, &r->n_figures, r->error);
}

static nb_status run_cell(run *r, size_t index)
{
    const nb_block *cell = &r->document->blocks[index];
    if (nb_block_has_option(cell, "skip"))
        return NB_OK;
    nb_status status = run_lines(r, cell, cell->text);
    if (status != NB_OK || r->options->mode == NB_RUN_SHOW)
        return status;
    const nb_outcome *outcome = &r->front->notebook->outcomes[r->front->notebook->n_cells - 1];
    nb_pieces pieces;
    nb_pieces_make(&outcome->items, outcome->error, &pieces);
    if (pieces.failed)
        status = nb_fail(r->error, NB_ERR_MEMORY, "no memory for what a cell gave");
    else
        status = (r->options->mode == NB_RUN_CHECK ? compare : record)(r, index, &pieces);
    nb_pieces_free(&pieces);
    return status;
}

/* What `skip` would do in a lesson; then what is asked for must be there. A check without a solution is left out. */
static nb_status run_check(run *r, const nb_block *block)
{
    const nb_check *check = block->check;
    const char *solution = nb_check_solution(check);
    nb_status status = solution ? run_lines(r, block, solution) : NB_OK;
    for (size_t i = 0; solution && status == NB_OK && i < check->n_wants; i++) {
        nb_error error;
        bool holds = false;
        char sentence[256];
        status = nb_language_holds(r->front->notebook->language, check->wants[i].condition, &holds, &error);
        if (status != NB_OK)
            return fail_at(r, status, check->wants[i].line, error.text);
        snprintf(sentence, sizeof sentence, "after its solution this does not hold: %.180s",
                 check->wants[i].condition);
        if (!holds)
            return fail_at(r, NB_ERR_STATE, check->wants[i].line, sentence);
    }
    return status;
}

/* ---- parameters ---- */

static nb_status define(const run *r, const char *name, const char *value)
{
    return nb_language_define_text(r->front->notebook->language, name, value, r->error);
}

/* Those of the front matter first, so that the command line's win. */
static nb_status set_parameters(const run *r, bool defaults)
{
    static const char key[] = "parameters.";
    nb_status status = NB_OK;
    for (size_t i = 0; defaults && status == NB_OK && i < r->document->n_front; i++) {
        const nb_front_entry *entry = &r->document->front[i];
        if (strncmp(entry->key, key, sizeof key - 1) == 0)
            status = define(r, entry->key + sizeof key - 1, entry->value);
    }
    for (size_t i = 0; status == NB_OK && i < r->options->n_parameters; i++)
        status = define(r, r->options->parameters[i].name, r->options->parameters[i].value);
    return status;
}

/* The first document with a title gives it to what is exported. */
static void take_title(const run *r)
{
    const char *title = nb_document_value(r->document, "title");
    if (title && !r->front->notebook->title)
        r->front->notebook->title = nb_strdup(title);
}

nb_status nb_document_run(nb_front *front, nb_document *document, const nb_run_options *options, nb_run_report *report,
                          nb_error *error)
{
    run r = {.front = front, .document = document, .options = options, .report = report, .error = error};
    nb_notebook *notebook = front->notebook;
    nb_status status = set_parameters(&r, true);
    *report = (nb_run_report){0};
    take_title(&r);
    notebook->is_running = true;
    for (size_t i = 0; status == NB_OK && i < document->n_blocks && !notebook->leave; i++) {
        const nb_block *block = &document->blocks[i];
        if (block->kind == NB_BLOCK_PROSE) {
            nb_notebook_note(notebook, document->name, block->text, NULL);
        } else if (block->kind == NB_BLOCK_CHECK) {
            nb_notebook_note(notebook, document->name, block->check->ask, block->source);
            status = run_check(&r, block);
        } else if (block->kind == NB_BLOCK_CELL) {
            report->n_cells++;
            status = run_cell(&r, i);
            if (status == NB_OK && nb_block_has_option(&document->blocks[i], "parameters"))
                status = set_parameters(&r, false);
        }
    }
    notebook->is_running = false;
    return status;
}
