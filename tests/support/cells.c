#include "tests/support/cells.h"

#include "nibble.h"
#include "repl/complete.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

int cells_open(void **state)
{
    cells *c = calloc(1, sizeof *c);
    assert_non_null(c);
    nb_context_options options = {.n_threads = 2};
    assert_int_equal(nb_notebook_create(&options, &c->notebook, &c->error), NB_OK);
    c->screen = (nb_screen){
        .out = stdout, .utf8 = true, .columns = 80, .at_line_start = true, .picture = NB_PICTURE_NONE};
    *state = c;
    return 0;
}

int cells_close(void **state)
{
    cells *c = *state;
    nb_notebook_destroy(&c->notebook);
    nb_screen_free(&c->screen);
    nb_draft_free(&c->shown);
    nb_draft_free(&c->value);
    free(c);
    return 0;
}

static void take(void *user, const nb_items *items, unsigned cell)
{
    cells *c = user;
    nb_render_items(&c->screen, items, cell, &c->shown);
    for (size_t i = 0; i < items->count; i++) {
        if (items->items[i].kind != NB_ITEM_VALUE)
            continue;
        nb_draft_free(&c->value);
        nb_draft_add(&c->value, items->items[i].text);
    }
}

void cells_load_tiny(cells *c)
{
    static const nb_synthetic tiny = {.n_layers = 2,
                                      .n_embd = 64,
                                      .n_heads = 4,
                                      .n_kv_heads = 2,
                                      .n_ff = 96,
                                      .n_vocab = 300,
                                      .n_ctx = 64,
                                      .format = &nb_format_f16,
                                      .seed = 5};
    char cell[600];
    assert_int_equal(nb_synthetic_write(temporary_path("tiny.gguf"), &tiny, &c->error), NB_OK);
    snprintf(cell, sizeof cell, "load '%s'", temporary_path("tiny.gguf"));
    assert_int_equal(cells_run(c, cell), NB_OK);
}

const char *cells_text(void)
{
    static char words[4000];
    for (size_t i = 0; i + 1 < sizeof words; i++)
        words[i] = i % 7 == 6 ? ' ' : (char)('a' + (i * i + i / 11) % 26);
    return temporary_file("seen.txt", words, sizeof words - 1);
}

nb_status cells_run(cells *c, const char *cell)
{
    nb_draft_free(&c->shown);
    nb_draft_free(&c->value);
    c->error.text[0] = '\0';
    const nb_status status = nb_notebook_run(c->notebook, cell, strlen(cell), take, c, &c->error);
    assert_int_equal(status == NB_OK, c->error.text[0] == '\0');
    return status;
}

static void expect(const cells *c, bool fine, const char *cell, const char *wanted)
{
    if (!fine)
        print_error("cell:\n%s\nwanted:\n%s\ngot:\n%s%s\n", cell, wanted, nb_draft_text(&c->shown),
                    c->error.text);
    assert_true(fine);
}

void gives(cells *c, const char *cell, const char *value)
{
    const nb_status status = cells_run(c, cell);
    expect(c, status == NB_OK && strcmp(nb_draft_text(&c->value), value) == 0, cell, value);
}

void says(cells *c, const char *cell, const char *part)
{
    const nb_status status = cells_run(c, cell);
    expect(c, status == NB_OK && strstr(nb_draft_text(&c->shown), part) != NULL, cell, part);
}

void refuses(cells *c, const char *cell, const char *part)
{
    const nb_status status = cells_run(c, cell);
    expect(c, status != NB_OK && strstr(c->error.text, part) != NULL && !strchr(c->error.text, '\n'), cell,
           part);
}

void completes(cells *c, const char *text, const char *names)
{
    nb_choices choices;
    nb_draft joined = {0};
    nb_complete(c->notebook, text, strlen(text), &choices);
    for (size_t i = 0; i < choices.count; i++)
        nb_draft_addf(&joined, "%s%s", i ? " " : "", choices.names[i]);
    nb_choices_free(&choices);
    assert_string_equal(nb_draft_text(&joined), names);
    nb_draft_free(&joined);
}
