/* Going on where a notebook was left, or lost. */
#include "repl/front.h"

#include "base/memory.h"
#include "repl/document/autosave.h"
#include "repl/document/document.h"

#include <stdlib.h>
#include <string.h>

typedef struct resumed {
    size_t n_run, n_left, n_failed;
    char first_error[256];
} resumed;

/* A line of it starts another program. */
static bool starts_program(const char *cell)
{
    for (const char *at = cell; *at;) {
        at += strspn(at, " \t");
        if (*at == '!')
            return true;
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    return false;
}

static nb_status run_again(nb_front *front, const nb_block *cell, resumed *r)
{
    nb_error error;
    if (nb_block_has_option(cell, "fails") || starts_program(cell->text)) {
        r->n_left++;
        return NB_OK;
    }
    nb_status status = nb_front_try(front, cell->text, strlen(cell->text), true, &error);
    r->n_run++;
    if (status == NB_ERR_CANCELLED)
        return status;
    if (status != NB_OK && r->n_failed++ == 0)
        snprintf(r->first_error, sizeof r->first_error, "%.250s", error.text);
    return NB_OK;
}

static void say(nb_front *front, const char *path, const resumed *r, size_t n_cells)
{
    nb_items items = {0};
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char when[32] = "";
    if (strlen(name) > 13) /* 20261121-173000-... */
        snprintf(when, sizeof when, "%.4s-%.2s-%.2s, %.2s:%.2s", name, name + 4, name + 6, name + 9, name + 11);
    nb_items_text(&items, "the notebook of " NB_MEASURED "%s" NB_END " · %zu cell%s run again", when, r->n_run,
                  r->n_run == 1 ? "" : "s");
    if (r->n_left)
        nb_items_text(&items, NB_MUTED "%zu not: they had failed, or start other programs" NB_END, r->n_left);
    if (r->n_run + r->n_left < n_cells)
        nb_items_text(&items, NB_ALERT "stopped: %zu not run" NB_END, n_cells - r->n_run - r->n_left);
    if (r->n_failed)
        nb_items_text(&items, NB_ALERT "%zu failed now, the first with: %s" NB_END, r->n_failed, r->first_error);
    nb_items_text(&items, NB_COMMAND "history" NB_END "   shows the cells");
    nb_screen_show(&front->screen, &items, 0);
    nb_items_free(&items);
}

nb_status nb_front_resume(nb_front *front, nb_error *error)
{
    nb_document *document;
    resumed r = {0};
    char *path = nb_autosave_newest();
    if (!path)
        return nb_fail(error, NB_ERR_STATE, "there is no earlier notebook to go on with");
    nb_status status = nb_document_open(path, &document, error), running = NB_OK;
    size_t n_cells = 0;
    for (size_t i = 0; status == NB_OK && i < document->n_blocks; i++) {
        const nb_block *block = &document->blocks[i];
        n_cells += block->kind == NB_BLOCK_CELL;
        if (running == NB_OK && block->kind == NB_BLOCK_CELL)
            running = run_again(front, block, &r);
    }
    if (status == NB_OK)
        say(front, path, &r, n_cells);
    nb_document_close(&document);
    free(path);
    return status;
}
