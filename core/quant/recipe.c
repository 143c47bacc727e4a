/* Recipes as objects and as text. */
#include "quant/recipe.h"

#include "base/file.h"
#include "base/memory.h"
#include "model/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 400, MOST_LINES = 10000 };

/* ---- making one ---- */

static char *copy(const char *text)
{
    const size_t n = strlen(text) + 1;
    char *made = nb_calloc(n, 1);
    return made ? memcpy(made, text, n) : NULL;
}

nb_status nb_recipe_create(const char *name, const nb_mixture *mixture, nb_recipe **out, nb_error *error)
{
    *out = nb_calloc(1, sizeof **out);
    if (*out) {
        (*out)->name = copy(name);
        (*out)->mixture = mixture;
    }
    if (*out && (*out)->name)
        return NB_OK;
    nb_recipe_destroy(out);
    return nb_fail(error, NB_ERR_MEMORY, "no memory for a recipe");
}

void nb_recipe_destroy(nb_recipe **recipe)
{
    if (!*recipe)
        return;
    for (size_t i = 0; i < (*recipe)->n_lines; i++)
        free((*recipe)->lines[i].scope);
    free((*recipe)->lines);
    free((*recipe)->name);
    free(*recipe);
    *recipe = NULL;
}

nb_status nb_recipe_add(nb_recipe *recipe, const char *scope, const char *what, nb_error *error)
{
    nb_recipe_line line = {.keep = strcmp(what, "keep") == 0};
    nb_status status = line.keep ? NB_OK : nb_quantizer_parse(what, &line.quantizer, error);
    if (status != NB_OK)
        return status;
    nb_recipe_line *grown = nb_realloc(recipe->lines, recipe->n_lines + 1, sizeof *grown);
    if (grown)
        recipe->lines = grown;
    line.scope = grown ? copy(scope) : NULL;
    if (!line.scope)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a line of a recipe");
    recipe->lines[recipe->n_lines++] = line;
    return NB_OK;
}

/* ---- text ---- */

typedef struct reader {
    const char *name;
    size_t line;
    nb_recipe *recipe;
    bool greeted;
    nb_error *error;
} reader;

static nb_status read_greeting(reader *r, const char *line)
{
    int version = 0, used = 0;
    if (sscanf(line, "nibble recipe %9d%n", &version, &used) != 1 || line[used])
        return nb_fail(r->error, NB_ERR_FILE, "%s:%zu: a recipe begins with the line: nibble recipe 1", r->name,
                       r->line);
    if (version != 1)
        return nb_fail(r->error, NB_ERR_UNSUPPORTED,
                       "%s: a recipe of version %d, and this nibble reads version 1; get a newer nibble", r->name,
                       version);
    r->greeted = true;
    return NB_OK;
}

static nb_status read_start(reader *r, char *what)
{
    char *space = strchr(what, ' ');
    const bool pure = space && strcmp(space, " pure") == 0;
    if (pure)
        *space = 0;
    r->recipe->mixture = nb_mixture_find(what);
    r->recipe->pure = pure;
    if (r->recipe->mixture)
        return NB_OK;
    return nb_fail(r->error, NB_ERR_FILE, "%s:%zu: no recipe is called \"%.40s\" to start from", r->name, r->line,
                   what);
}

static nb_status read_line(reader *r, char *line)
{
    if (!r->greeted)
        return read_greeting(r, line);
    char *what = line + strcspn(line, " \t");
    if (!*what)
        return nb_fail(r->error, NB_ERR_FILE, "%s:%zu: a line is SCOPE QUANTIZER, such as: blk.0.* q6_k", r->name,
                       r->line);
    *what++ = 0;
    what += strspn(what, " \t");
    if (strcmp(line, "start") == 0)
        return read_start(r, what);
    nb_error inner;
    nb_status status = nb_recipe_add(r->recipe, line, what, &inner);
    return status == NB_OK ? NB_OK : nb_fail(r->error, status, "%s:%zu: %s", r->name, r->line, inner.text);
}

/* Without its comment and the blanks around it. */
static char *trim(char *line)
{
    line[strcspn(line, "#\r")] = 0;
    line += strspn(line, " \t");
    size_t n = strlen(line);
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        line[--n] = 0;
    return line;
}

nb_status nb_recipe_parse(const char *text, size_t n_bytes, const char *name, nb_recipe **out, nb_error *error)
{
    reader r = {.name = name, .error = error};
    nb_status status = nb_recipe_create(name, NULL, &r.recipe, error);
    *out = NULL;
    for (const char *end = text + n_bytes; status == NB_OK && text < end;) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((stop ? stop : end) - text);
        char line[LONGEST_LINE + 1];
        if (++r.line > MOST_LINES || n > LONGEST_LINE || memchr(text, 0, n))
            status = nb_fail(error, NB_ERR_FILE, "%s:%zu: this is no recipe: lines of at most %d letters, %d of them",
                             name, r.line, LONGEST_LINE, MOST_LINES);
        else {
            memcpy(line, text, n);
            line[n] = 0;
            char *trimmed = trim(line);
            status = *trimmed ? read_line(&r, trimmed) : NB_OK;
        }
        text += n + (stop != NULL);
    }
    if (status == NB_OK && !r.greeted)
        status = nb_fail(error, NB_ERR_FILE, "%s: a recipe begins with the line: nibble recipe 1", name);
    if (status == NB_OK)
        *out = r.recipe;
    else
        nb_recipe_destroy(&r.recipe);
    return status;
}

nb_status nb_recipe_open(const char *path, nb_recipe **out, nb_error *error)
{
    nb_mapping *mapping;
    *out = NULL;
    nb_status status = nb_mapping_open(path, &mapping, error);
    if (status != NB_OK)
        return status;
    status = nb_recipe_parse((const char *)mapping->data, mapping->size, path, out, error);
    nb_mapping_close(&mapping);
    return status;
}

char *nb_recipe_write(const nb_recipe *recipe)
{
    enum { SHORT = 120 };
    size_t size = SHORT, n = 0;
    for (size_t i = 0; i < recipe->n_lines; i++)
        size += strlen(recipe->lines[i].scope) + SHORT;
    char *text = nb_calloc(size, 1), what[96];
    if (!text)
        return NULL;
    n += (size_t)snprintf(text, size, "nibble recipe 1\n");
    if (recipe->mixture)
        n += (size_t)snprintf(text + n, size - n, "start %s%s\n", recipe->mixture->name,
                              recipe->pure ? " pure" : "");
    for (size_t i = 0; i < recipe->n_lines; i++) {
        const nb_recipe_line *line = &recipe->lines[i];
        n += (size_t)snprintf(text + n, size - n, "%s %s\n", line->scope,
                              line->keep ? "keep" : nb_quantizer_describe(&line->quantizer, what, sizeof what));
    }
    return text;
}

/* ---- what it means for a model ---- */

static nb_status choose_by_mixture(const nb_recipe *recipe, const nb_model *model, bool guided, size_t index,
                                   nb_recipe_choice *choice, nb_error *error)
{
    const nb_hparams *h = nb_model_hparams(model);
    const nb_tensor *t = nb_model_tensor(model, index);
    const nb_mixture_case about = {.tensor = t->name,
                                   .n_cols = t->n_cols,
                                   .layer = t->layer,
                                   .n_layers = (int)h->n_layers,
                                   .n_heads = h->n_heads,
                                   .n_kv_heads = h->n_kv_heads,
                                   .architecture = h->architecture,
                                   .tied = h->tied,
                                   .guided = guided,
                                   .pure = recipe->pure};
    const char *name = nb_mixture_choose(recipe->mixture, &about, choice->why, sizeof choice->why);
    choice->quantizer = (nb_quantizer){.format = name ? nb_format_find(name) : NULL};
    if (name && !choice->quantizer.format)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "recipe %s wants %s for %s, which this nibble does not have",
                       recipe->name, name, t->name);
    return NB_OK;
}

static nb_status apply_line(const nb_recipe *recipe, const nb_recipe_line *line, const nb_model *model,
                            nb_recipe_choice *choices, nb_error *error)
{
    nb_scope scope;
    nb_error inner;
    nb_status status = nb_scope_resolve(model, line->scope, false, &scope, &inner);
    if (status != NB_OK)
        return nb_fail(error, status, "recipe %s: %s", recipe->name, inner.text);
    for (size_t i = 0; i < scope.count; i++) {
        nb_recipe_choice *choice = &choices[scope.tensors[i]];
        choice->quantizer = line->keep ? (nb_quantizer){0} : line->quantizer;
        snprintf(choice->why, sizeof choice->why, "the recipe says %.60s", line->scope);
    }
    nb_scope_free(&scope);
    return NB_OK;
}

nb_status nb_recipe_plan(const nb_recipe *recipe, const nb_model *model, bool guided, nb_recipe_choice *choices,
                         nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < nb_model_tensor_count(model) && status == NB_OK; i++) {
        choices[i] = (nb_recipe_choice){.why = "nothing is said of it"};
        if (nb_model_tensor(model, i)->is_vector)
            snprintf(choices[i].why, sizeof choices[i].why, "a vector, too small to matter");
        else if (recipe->mixture)
            status = choose_by_mixture(recipe, model, guided, i, &choices[i], error);
    }
    for (size_t i = 0; i < recipe->n_lines && status == NB_OK; i++)
        status = apply_line(recipe, &recipe->lines[i], model, choices, error);
    return status;
}
