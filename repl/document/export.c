#include "repl/document/export.h"

#include "base/memory.h"
#include "repl/describe.h"
#include "repl/document/document.h"
#include "repl/document/figure_data.h"
#include "repl/document/output.h"
#include "repl/document/record.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef nb_status export_fn(const nb_notebook *notebook, const char *path, nb_draft *text, nb_exported *out,
                            nb_error *error);

/* The first word of a cell is one of these and it has no second line. */
bool nb_cell_is_exported(const char *cell)
{
    static const char *const words[] = {"export", "run", "exit", "quit", "history"};
    cell += strspn(cell, " \t\n");
    size_t n = strcspn(cell, " \t\n;");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == n && memcmp(cell, words[i], n) == 0 && !strpbrk(cell, "\n;"))
            return false;
    }
    return *cell != '\0';
}

char *nb_export_title(const nb_notebook *notebook, const char *path)
{
    if (notebook->title)
        return nb_strdup(notebook->title);
    const char *name = nb_file_name(path), *dot = strrchr(name, '.');
    return nb_format_text("%.*s", (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name)), name);
}

/* ---- Markdown ---- */

static nb_status put_figure(const nb_piece *piece, const char *path, bool pictures, nb_draft *text, nb_exported *out,
                            nb_error *error)
{
    nb_status status = NB_OK;
    char *name = nb_figure_path(path, ++out->n_figures), *file = name ? nb_beside(path, name) : NULL;
    if (!file)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for a figure's name");
    nb_error undrawn;
    bool drawn = status == NB_OK && pictures && nb_figures_folder(path, &undrawn) == NB_OK &&
                 nb_figure_record(piece->figure, file, &undrawn) == NB_OK;
    nb_draft_add(text, "\n");
    if (drawn) {
        nb_image_write(text, piece->text, name);
        nb_draft_add(text, "\n");
    } else if (status == NB_OK) {
        out->n_undrawn++;
        nb_draft_addf(text, "*%s*\n", piece->text);
    }
    free(name);
    free(file);
    return status;
}

static nb_status put_cell(const nb_notebook *notebook, size_t index, const char *path, bool pictures, nb_draft *text,
                          nb_exported *out, nb_error *error)
{
    const nb_outcome *outcome = &notebook->outcomes[index];
    nb_pieces pieces;
    nb_status status = NB_OK;
    char *cell = nb_format_text("%s\n", notebook->cells[index]);
    out->n_cells++;
    nb_fence_write(text, outcome->error ? "nibble fails" : "nibble", cell ? cell : "", "\n");
    nb_pieces_make(&outcome->items, outcome->error, &pieces);
    if (!cell || pieces.failed)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for what a cell gave");
    for (size_t i = 0; status == NB_OK && i < pieces.count; i++) {
        if (pieces.pieces[i].figure)
            status = put_figure(&pieces.pieces[i], path, pictures, text, out, error);
        else
            nb_fence_write(text, "output", pieces.pieces[i].text, "\n");
    }
    nb_draft_add(text, "\n");
    nb_pieces_free(&pieces);
    free(cell);
    return status;
}

static void put_note(const nb_note *note, nb_draft *text)
{
    const char *source = note->source ? note->source : note->text;
    nb_draft_add(text, source);
    if (*source && source[strlen(source) - 1] != '\n')
        nb_draft_add(text, "\n");
    nb_draft_add(text, "\n");
}

nb_status nb_export_markdown(const nb_notebook *notebook, const char *path, bool pictures, nb_draft *text,
                             nb_exported *out, nb_error *error)
{
    nb_status status = NB_OK;
    char *title = nb_export_title(notebook, path);
    nb_draft_addf(text, "---\ntitle: %s\n---\n\n", title ? title : "");
    free(title);
    size_t note = 0;
    for (size_t i = 0; status == NB_OK && i < notebook->n_cells; i++) {
        for (; note < notebook->n_notes && notebook->notes[note].before <= i; note++)
            put_note(&notebook->notes[note], text);
        if (nb_cell_is_exported(notebook->cells[i]))
            status = put_cell(notebook, i, path, pictures, text, out, error);
    }
    for (; note < notebook->n_notes; note++)
        put_note(&notebook->notes[note], text);
    return status;
}

/* ---- files ---- */

static nb_status markdown_with_pictures(const nb_notebook *notebook, const char *path, nb_draft *text, nb_exported *out,
                                        nb_error *error)
{
    return nb_export_markdown(notebook, path, true, text, out, error);
}

typedef struct kind {
    const char *ending;
    export_fn *write;
} kind;

static const kind kinds[] = {
    {".md", markdown_with_pictures}, {".ipynb", nb_export_ipynb}, {".html", nb_export_html}, {".htm", nb_export_html},
};

static const kind *kind_of(const char *path)
{
    const char *dot = strrchr(nb_file_name(path), '.');
    for (size_t i = 0; dot && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcasecmp(dot, kinds[i].ending) == 0)
            return &kinds[i];
    }
    return NULL;
}

nb_status nb_notebook_export(const nb_notebook *notebook, const char *path, nb_exported *out, nb_error *error)
{
    nb_draft text = {0};
    const kind *as = kind_of(path);
    *out = (nb_exported){0};
    if (!as)
        return nb_fail(error, NB_ERR_ARGUMENT, "%.200s: a notebook becomes .md, .ipynb or .html; name the file so", path);
    nb_status status = as->write(notebook, path, &text, out, error);
    if (status == NB_OK && text.failed)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to export the notebook");
    if (status == NB_OK)
        status = nb_write_whole(path, nb_draft_text(&text), text.n_bytes, error);
    out->n_bytes = text.n_bytes;
    nb_draft_free(&text);
    return status;
}
