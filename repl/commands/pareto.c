#include "repl/commands/figures.h"
#include "repl/commands/ppl.h"
#include "repl/commands/recipe.h"
#include "repl/commands/table.h"
#include "repl/commands/typed_way.h"
#include "repl/describe.h"
#include "repl/draft.h"
#include "repl/language/quantizer_words.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char EVERY_MATRIX[] = "all,embeddings,head";
enum { MAX_WAYS = 160, MOST_ROWS = 16 /* of a table on a screen of 24 lines */ };

/* Ways to store the model, as recipes or as they were typed, and what each came to. */
typedef struct ways {
    nb_notebook *notebook;
    const char *scope_text; /* NULL: every matrix, or what a recipe says */
    nb_scope scope;         /* if there is a text */
    size_t n;
    nb_recipe *recipes[MAX_WAYS];
    nb_typed_way *typed[MAX_WAYS];
    nb_scope scopes[MAX_WAYS];
    nb_quantizer *quantizers[MAX_WAYS];
    nb_way list[MAX_WAYS];
    nb_way_cost costs[MAX_WAYS];
    nb_draft left_out; /* names of those that the model's shapes do not allow */
} ways;

static void ways_free(ways *w)
{
    for (size_t i = 0; i < w->n; i++) {
        nb_recipe_destroy(&w->recipes[i]);
        nb_typed_way_destroy(&w->typed[i]);
        free(w->scopes[i].tensors);
        free(w->quantizers[i]);
    }
    nb_scope_free(&w->scope);
    nb_draft_free(&w->left_out);
    free(w);
}

/* ---- which ways ---- */

static bool same_way(const ways *w, size_t a, size_t b)
{
    if (w->typed[b] || w->scopes[a].count != w->scopes[b].count)
        return false;
    for (size_t i = 0; i < w->scopes[a].count; i++)
        if (w->scopes[a].tensors[i] != w->scopes[b].tensors[i] ||
            !nb_quantizer_equal(&w->quantizers[a][i], &w->quantizers[b][i]))
            return false;
    return true;
}

static bool fits(const ways *w, size_t i)
{
    for (size_t k = 0; k < w->scopes[i].count; k++) {
        const nb_format *format = w->quantizers[i][k].format;
        const nb_tensor *tensor = nb_model_tensor(w->notebook->model, w->scopes[i].tensors[k]);
        if (format->kind == NB_FORMAT_BLOCK && tensor->n_cols % format->block_size != 0)
            return false;
    }
    return true;
}

static nb_status no_room(nb_error *error)
{
    return nb_fail(error, NB_ERR_ARGUMENT, "a front has room for %d ways to store a model", MAX_WAYS);
}

/* Takes the recipe over. One that comes to what another one does is dropped; so is one that the model's shapes do not
 * allow, by name, if it was not `asked` for. */
static nb_status add_way(ways *w, nb_recipe *recipe, bool asked, nb_error *error)
{
    const size_t i = w->n;
    if (i == MAX_WAYS) {
        nb_recipe_destroy(&recipe);
        return no_room(error);
    }
    nb_status status = nb_recipe_spread(w->notebook, recipe, w->scope_text ? &w->scope : NULL, &w->scopes[i],
                                        &w->quantizers[i], error);
    const bool left = status == NB_OK && !asked && !fits(w, i);
    bool same = false;
    for (size_t other = 0; other < i && status == NB_OK && !same; other++)
        same = same_way(w, other, i);
    w->recipes[i] = recipe;
    w->list[i] = (nb_way){.name = recipe->name, .scope = &w->scopes[i], .quantizers = w->quantizers[i]};
    if (status == NB_OK && !same && !left) {
        w->n++;
        return NB_OK;
    }
    if (left)
        nb_draft_addf(&w->left_out, "%s%s", w->left_out.text ? ", " : "", recipe->name);
    nb_recipe_destroy(&w->recipes[i]);
    free(w->scopes[i].tensors);
    free(w->quantizers[i]);
    w->scopes[i] = (nb_scope){0};
    w->quantizers[i] = NULL;
    return status;
}

/* "gptq --bits 3", as `quantize SCOPE` takes it. */
static nb_status add_typed(ways *w, const char *typed, nb_error *error)
{
    const size_t i = w->n;
    if (i == MAX_WAYS)
        return no_room(error);
    nb_status status = nb_typed_way_create(w->notebook, w->scope_text ? w->scope_text : EVERY_MATRIX, typed,
                                           &w->typed[i], error);
    if (status == NB_OK)
        w->list[w->n++] = (nb_way){.name = w->typed[i]->typed, .store = nb_typed_way_store, .user = w->typed[i]};
    return status;
}

/* Every matrix in one format: weights, embeddings and head. */
static nb_status add_uniform(ways *w, const char *quantizer, const char *name, bool asked, nb_error *error)
{
    nb_recipe *recipe = NULL;
    nb_status status = nb_recipe_create(name, NULL, &recipe, error);
    if (status == NB_OK)
        status = nb_recipe_add(recipe, EVERY_MATRIX, quantizer, error);
    if (status == NB_OK)
        return add_way(w, recipe, asked, error);
    nb_recipe_destroy(&recipe);
    return status;
}

static nb_status add_mixture(ways *w, const nb_mixture *mixture, bool asked, nb_error *error)
{
    nb_recipe *recipe = NULL;
    nb_status status = nb_recipe_create(mixture->name, mixture, &recipe, error);
    return status == NB_OK ? add_way(w, recipe, asked, error) : status;
}

static nb_status add_integers(ways *w, nb_error *error)
{
    static const char *const rest[] = {"absmax/channel", "absmax/group:32", "zeropoint/group:32"};
    nb_status status = NB_OK;
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        for (unsigned bits = 8; bits >= 2 && status == NB_OK; bits--) {
            char name[40];
            snprintf(name, sizeof name, "int%u %s", bits, rest[i]);
            status = add_uniform(w, name, name, false, error);
        }
    return status;
}

/* Every recipe of fewer than 16 bits, and every such format for all matrices alike. */
static nb_status add_all(ways *w, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < nb_mixture_count() && status == NB_OK; i++)
        if (nb_format_find(nb_mixture_at(i)->base)->bits < 16)
            status = add_mixture(w, nb_mixture_at(i), false, error);
    for (size_t i = 0; i < nb_format_count() && status == NB_OK; i++) {
        const nb_format *format = nb_format_at(i);
        char name[48];
        if (format->kind == NB_FORMAT_INT || format->bits >= 16)
            continue;
        snprintf(name, sizeof name, format->kind == NB_FORMAT_BLOCK ? "%s pure" : "%s", format->name);
        status = add_uniform(w, format->name, name, false, error);
    }
    return status == NB_OK ? add_integers(w, error) : status;
}

static nb_status add_file(ways *w, const char *typed, nb_error *error)
{
    char *path = NULL;
    nb_recipe *recipe = NULL;
    nb_status status = nb_notebook_path(w->notebook, typed, true, &path, error);
    if (status == NB_OK)
        status = nb_recipe_open(path, &recipe, error);
    free(path);
    return status == NB_OK ? add_way(w, recipe, true, error) : status;
}

/* "q4_0 pure" is the format where "q4_0" is the recipe; its other words may stand behind. False if it is not pure. */
static bool take_pure(char *what)
{
    static const char word[] = " pure";
    char *pure = strstr(what, word);
    if (!pure || (pure[sizeof word - 1] && pure[sizeof word - 1] != ','))
        return false;
    memmove(pure, pure + sizeof word - 1, strlen(pure + sizeof word - 1) + 1);
    return true;
}

static nb_status add_named(ways *w, const char *name, nb_error *error)
{
    char what[NB_LISTED_BYTES];
    nb_quantizer quantizer;
    snprintf(what, sizeof what, "%s", name);
    const nb_mixture *mixture = take_pure(what) ? NULL : nb_mixture_find(what);
    if (mixture)
        return add_mixture(w, mixture, true, error);
    if (nb_is_recipe_file(what))
        return add_file(w, what, error);
    if (nb_is_typed_way(what))
        return add_typed(w, what, error);
    nb_status status = nb_quantizer_of_words(what, &quantizer, error);
    return status == NB_OK ? add_uniform(w, nb_quantizer_describe(&quantizer, what, sizeof what), name, true, error)
                           : status;
}

/* "q4_k_m, int4 absmax/group:32, q4_0 pure, mine.recipe" */
static nb_status add_listed(ways *w, const char *list, nb_error *error)
{
    char item[NB_LISTED_BYTES];
    nb_status status = nb_quantizer_list_next(&list, item, error);
    while (status == NB_OK && *item) {
        status = add_named(w, item, error);
        if (status == NB_OK)
            status = nb_quantizer_list_next(&list, item, error);
    }
    return status == NB_OK && w->n == 0
               ? nb_fail(error, NB_ERR_ARGUMENT, "--of lists ways, parted by commas, such as \"q4_k_m, q4_0\"")
               : status;
}

/* ---- what came of it ---- */

static const nb_column columns[] = {{"", NB_COLUMN_LEFT},          {"stored as", NB_COLUMN_LEFT},
                                    {"a weight", NB_COLUMN_RIGHT}, {"size", NB_COLUMN_RIGHT},
                                    {"perplexity", NB_COLUMN_RIGHT}, {"increase, paired", NB_COLUMN_RIGHT}};

static bool is_before(const nb_way_cost *x, const nb_way_cost *y)
{
    return x->n_bytes != y->n_bytes ? x->n_bytes < y->n_bytes : x->ppl < y->ppl;
}

/* Indices of the ways, the smallest first. */
static void sort_by_size(const ways *w, size_t *order)
{
    for (size_t i = 0; i < w->n; i++) {
        size_t at = i;
        for (; at > 0 && is_before(&w->costs[i], &w->costs[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* All of them, or those on the front only. */
static void show_table(const ways *w, bool all, const nb_perplexity *original, const char *text_name, nb_items *out)
{
    size_t order[MAX_WAYS], n_others = 0;
    sort_by_size(w, order);
    const uint64_t n_parameters = nb_model_n_parameters(w->notebook->model);
    nb_items_table(out, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < w->n; i++) {
        const nb_way_cost *cost = &w->costs[order[i]];
        n_others += !cost->on_front;
        if (!all && !cost->on_front)
            continue;
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", cost->on_front ? "*" : "");
        nb_items_cell(out, 1, cost->on_front ? NB_STRONG "%s" NB_END : "%s", w->list[order[i]].name);
        nb_items_cell(out, 2, "%s", nb_fixed(nb_bits_per_weight(cost->n_bytes, n_parameters), 2).text);
        nb_items_cell(out, 3, "%s", nb_bytes(cost->n_bytes).text);
        nb_items_cell(out, 4, "%s", nb_perplexity_text(cost->ppl).text);
        nb_items_cell(out, 5, "%s", nb_increase_text(cost, original).text);
    }
    nb_items_text(out,
                  NB_MUTED "%s of %s, perplexity %s as it is now. * is on the front: nothing is smaller and "
                           "better." NB_END,
                  nb_text_extent(original).text, text_name, nb_perplexity_text(original->ppl).text);
    if (!all && n_others)
        nb_items_text(out, "%zu more %s larger and no better.   " NB_COMMAND "pareto --all" NB_END "   lists all",
                      n_others, n_others == 1 ? "is" : "are");
    if (nb_notebook_changed(w->notebook))
        nb_items_text(out,
                      "The model is quantized now, and increases are from there: one below 0 is better than now. "
                      "After " NB_COMMAND "restore all" NB_END " they are from the original.");
    if (w->left_out.text)
        nb_items_text(out, "Left out, since rows of this model do not fit their blocks: %s.", w->left_out.text);
}

static nb_status draw(const ways *w, const nb_perplexity *original, const char *text_name, const nb_call *call,
                      nb_items *out, nb_error *error)
{
    char names[MAX_WAYS][48];
    nb_figure_point points[MAX_WAYS];
    char subline[280], sentence[400], headline[120];
    size_t n_front = 0;
    const double broken = 10 * original->ppl; /* what is lost beyond that tells nothing: it stands at the top */
    const nb_way_cost *smallest = NULL;
    const char *smallest_name = "";
    for (size_t i = 0; i < w->n; i++) {
        const nb_way_cost *cost = &w->costs[i];
        nb_describe_shorter(w->list[i].name, names[i], sizeof names[i]);
        points[i] = (nb_figure_point){names[i], (double)cost->n_bytes / 1e6, fmin(cost->increase, broken),
                                      cost->on_front};
        n_front += cost->on_front;
        /* The smallest that costs less than a hundredth. */
        if (cost->on_front && cost->increase < 0.01 * original->ppl &&
            (!smallest || cost->n_bytes < smallest->n_bytes)) {
            smallest = cost;
            smallest_name = w->list[i].name;
        }
    }
    if (smallest)
        snprintf(headline, sizeof headline, "%s is the smallest that costs less than 1 %% of perplexity", smallest_name);
    else
        snprintf(headline, sizeof headline, "What does each extra byte buy?");
    snprintf(subline, sizeof subline, "increase in perplexity over %s, of %.60s, %s (log scale, lower is better)",
             nb_perplexity_text(original->ppl).text, text_name, nb_text_extent(original).text);
    snprintf(sentence, sizeof sentence,
             "Size against increase in perplexity of %zu ways to store the model; %zu of them are on the Pareto front%s%s.",
             w->n, n_front, smallest ? "; the smallest that costs less than 1 % is " : "", smallest_name);
    nb_figure figure = {
        .kind = NB_FIGURE_PARETO,
        .headline = headline,
        .subline = subline,
        .x_label = "size (MB)",
        .y_label = "perplexity increase",
        .n = w->n,
        .before = {"Pareto front", NULL},
        .after = {"dominated", NULL},
        .points = points,
        .sentence = sentence,
    };
    return nb_figure_put(w->notebook, call, &figure, out, error);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *listed = nb_call_text(call, "of", NULL);
    nb_perplexity original = {0};
    const char *text_name;
    ways *w = nb_calloc(1, sizeof *w);
    if (!w)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a list of formats");
    w->notebook = notebook;
    w->scope_text = nb_call_text(call, "scope", NULL);
    nb_status status = w->scope_text ? nb_scope_resolve(notebook->model, w->scope_text, false, &w->scope, error) : NB_OK;
    if (status == NB_OK)
        status = listed ? add_listed(w, listed, error) : add_all(w, error);
    if (status == NB_OK)
        status = nb_measure_ways(notebook, call, w->list, w->n, &original, w->costs, &text_name, error);
    if (status == NB_OK) {
        status = draw(w, &original, text_name, call, out, error);
        show_table(w, w->n <= MOST_ROWS || nb_call_has(call, "all"), &original, text_name, out);
    }
    nb_perplexity_free(&original);
    ways_free(w);
    return status;
}

const nb_command nb_command_pareto = {
    .name = "pareto",
    .group = "Measuring",
    .usage = "pareto [--of \"WAY, WAY, ...\"] [--scope SCOPE] [--all] [--text FILE] [--tokens N] [--png FILE]\n"
             "       [--svg FILE]",
    .summary = "every format and recipe: size against what is lost",
    .details = "Stores the whole model, embeddings and head too, in each way in turn, measures, and puts it back. A way "
               "is a recipe (q4_k_m, mine.recipe), a format for every matrix (q4_k pure, f8_e4m3), or absmax and zeropoint "
               "(int4 absmax/group:32), or what quantize SCOPE takes (gptq --bits 3 --per group:64). Those on the front "
               "are the ones to choose from: nothing is smaller and better.",
    .examples = {"pareto", "pareto --of \"q4_0, q4_k_m, int4 absmax/group:32, q4_k pure\"",
                 "pareto --scope all --of \"int3 zeropoint/group:64, gptq --bits 3 --per group:64\""},
    .options = {{.name = "of",
                 .kind = NB_WORD_TEXT,
                 .value = "WAYS",
                 .summary = "these only, parted by commas (nf4, double is one)"},
                {.name = "scope",
                 .kind = NB_WORD_SCOPE,
                 .value = "SCOPE",
                 .summary = "which matrices; every one unless said"},
                {.name = "all", .kind = NB_WORD_FLAG, .summary = "in the table also those that are not on the front"},
                NB_WAYS_TEXT_OPTIONS,
                NB_FIGURE_OPTIONS},
    .needs = NB_NEEDS_MODEL | NB_WRITES_FILES,
    .run = run,
};
