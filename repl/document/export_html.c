/* The notebook as one page that needs nothing else: for a teacher's site, a mail, a printer. */
#include "repl/document/export.h"

#include "base/memory.h"
#include "repl/document/html.h"

#include <stdlib.h>
#include <string.h>

static void add_title(nb_draft *page, const char *title)
{
    nb_html_escape(page, title, strlen(title));
}

/* Whether the prose begins with the title as a heading of its own. */
static bool has_heading(const nb_notebook *notebook, const char *title)
{
    const char *text = notebook->n_notes && notebook->notes[0].before == 0 ? notebook->notes[0].text : "";
    size_t n = strlen(title);
    return strncmp(text, "# ", 2) == 0 && strncmp(text + 2, title, n) == 0 && strcspn(text + 2 + n, "\n") == 0;
}

static void add_head(nb_draft *page, const nb_notebook *notebook, const char *title)
{
    nb_draft_add(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                       "<meta name=\"generator\" content=\"nibble " NIBBLE_VERSION "\">\n<title>");
    add_title(page, title);
    nb_draft_add(page, "</title>\n<style>\n");
    for (size_t i = 0; nb_html_style[i]; i++)
        nb_draft_add(page, nb_html_style[i]);
    nb_draft_add(page, "</style>\n</head>\n<body>\n<main>\n");
    if (!has_heading(notebook, title)) {
        nb_draft_add(page, "<header><h1>");
        add_title(page, title);
        nb_draft_add(page, "</h1></header>\n");
    }
}

static void add_note(nb_draft *page, const nb_note *note)
{
    nb_draft_add(page, note->source ? "<section class=\"question\"><b>Your turn</b>\n" : "<section>\n");
    nb_html_prose(page, note->text, note->path);
    nb_draft_add(page, "</section>\n");
}

static void add_cell(nb_draft *page, const nb_notebook *notebook, size_t index, nb_exported *out)
{
    const nb_outcome *outcome = &notebook->outcomes[index];
    nb_html_figures figures = {0};
    nb_draft given = {0};
    nb_html_items(&given, &outcome->items, &figures);
    nb_draft_addf(page, "<section class=\"cell\">\n<div class=\"code\"><span class=\"label\">In [%zu]</span><pre>", index + 1);
    nb_html_code(page, notebook->cells[index]);
    nb_draft_add(page, "</pre></div>\n");
    if (given.n_bytes || outcome->error || outcome->dropped) {
        nb_draft_add(page, "<div class=\"out\">\n");
        nb_draft_append(page, nb_draft_text(&given), given.n_bytes);
        if (outcome->dropped)
            nb_draft_add(page, "<p class=\"muted\">(what this cell gave was too much to keep)</p>\n");
        if (outcome->error) {
            nb_draft_add(page, "<p class=\"error\">");
            nb_html_escape(page, outcome->error, strlen(outcome->error));
            nb_draft_add(page, "</p>\n");
        }
        nb_draft_add(page, "</div>\n");
    }
    nb_draft_add(page, "</section>\n");
    page->failed = page->failed || given.failed;
    nb_draft_free(&given);
    out->n_cells++;
    out->n_figures += figures.n;
    out->n_undrawn += figures.n_undrawn;
}

nb_status nb_export_html(const nb_notebook *notebook, const char *path, nb_draft *page, nb_exported *out, nb_error *error)
{
    char *title = nb_export_title(notebook, path);
    if (!title)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to export the notebook");
    add_head(page, notebook, title);
    size_t note = 0;
    for (size_t i = 0; i <= notebook->n_cells; i++) {
        for (; note < notebook->n_notes && notebook->notes[note].before <= i; note++)
            add_note(page, &notebook->notes[note]);
        if (i < notebook->n_cells && nb_cell_is_exported(notebook->cells[i]))
            add_cell(page, notebook, i, out);
    }
    nb_draft_add(page, "</main>\n<footer>Made with nibble " NIBBLE_VERSION
                       ". Dotted values were measured on the machine that ran this; all others are the same "
                       "everywhere.</footer>\n</body>\n</html>\n");
    free(title);
    return NB_OK;
}
