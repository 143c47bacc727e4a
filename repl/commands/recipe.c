#include "repl/commands/recipe.h"

#include "base/file.h"
#include "repl/commands/quantize.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/nearest.h"
#include "repl/numbers.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which recipe ---- */

static nb_status unknown(const char *what, nb_error *error)
{
    nb_nearest nearest;
    nb_nearest_start(&nearest, what);
    for (size_t i = 0; i < nb_mixture_count(); i++)
        nb_nearest_offer(&nearest, nb_mixture_at(i)->name);
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "no recipe is called \"%.60s\": did you mean %s?", what,
                       nearest.best);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "no recipe and no file is called \"%.60s\": recipe lists those that nibble has", what);
}

/* "SCOPE=FORMAT ...": in `list`, which is cut up. */
static nb_status overrule(nb_recipe *recipe, char *list, nb_error *error)
{
    nb_status status = NB_OK;
    for (char *item = list + strspn(list, " "); *item && status == NB_OK;) {
        char *end = item + strcspn(item, " "), *next = end + strspn(end, " ");
        *end = 0;
        char *equals = strchr(item, '=');
        if (!equals)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "--tensor-type takes SCOPE=FORMAT, such as attention=q8_0, not \"%.60s\"", item);
        *equals = 0;
        status = nb_recipe_add(recipe, item, equals + 1, error);
        item = next;
    }
    return status;
}

bool nb_is_recipe(const char *what)
{
    return nb_mixture_find(what) || strpbrk(what, "./");
}

bool nb_is_recipe_file(const char *name)
{
    static const char ending[] = ".recipe";
    const size_t n = strlen(name), m = sizeof ending - 1;
    return n > m && strcmp(name + n - m, ending) == 0;
}

bool nb_is_recipe_option(const char *option)
{
    static const nb_option of_recipes[] = {NB_RECIPE_OPTIONS};
    for (size_t i = 0; i < sizeof of_recipes / sizeof *of_recipes; i++)
        if (strcmp(of_recipes[i].name, option) == 0)
            return true;
    return false;
}

nb_status nb_recipe_check_options(const nb_call *call, nb_error *error)
{
    if (nb_call_has(call, "pure") || nb_call_has(call, "tensor-type"))
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "--pure and --tensor-type change a recipe, such as q4_k_m; a format is stored as it is said");
    return NB_OK;
}

nb_status nb_recipe_read(const nb_notebook *notebook, const char *what, const nb_call *call, nb_recipe **out,
                         nb_error *error)
{
    const nb_mixture *mixture = nb_mixture_find(what);
    *out = NULL;
    if (!nb_is_recipe(what))
        return unknown(what, error);
    char *path = NULL;
    nb_status status = mixture ? nb_recipe_create(what, mixture, out, error)
                               : nb_notebook_path(notebook, what, true, &path, error);
    if (status == NB_OK && !mixture)
        status = nb_recipe_open(path, out, error);
    free(path);
    if (status == NB_OK && nb_call_has(call, "pure"))
        (*out)->pure = true;
    const char *types = nb_call_text(call, "tensor-type", NULL), *keep = nb_call_text(call, "keep", NULL);
    if (status == NB_OK && types) {
        nb_draft list = {0};
        nb_draft_add(&list, types);
        status = list.failed ? nb_fail(error, NB_ERR_MEMORY, "no memory for --tensor-type")
                             : overrule(*out, list.text, error);
        nb_draft_free(&list);
    }
    if (status == NB_OK && keep)
        status = nb_recipe_add(*out, keep, "keep", error);
    if (status != NB_OK)
        nb_recipe_destroy(out);
    return status;
}

static nb_status plan(const nb_notebook *notebook, const nb_recipe *recipe, nb_recipe_choice **out,
                      nb_error *error)
{
    *out = nb_calloc(nb_model_tensor_count(notebook->model), sizeof **out);
    if (!*out)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for what each tensor gets");
    return nb_recipe_plan(recipe, notebook->model, notebook->importance != NULL, *out, error);
}

/* ---- apply ---- */

static nb_status gather(const nb_model *model, const nb_recipe_choice *choices, const nb_scope *within,
                        nb_scope *scope, nb_quantizer **quantizers, nb_error *error)
{
    const size_t n = within ? within->count : nb_model_tensor_count(model);
    scope->tensors = nb_calloc(n, sizeof *scope->tensors);
    *quantizers = nb_calloc(n, sizeof **quantizers);
    if (!scope->tensors || !*quantizers)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a list of tensors");
    for (size_t i = 0; i < n; i++) {
        const size_t index = within ? within->tensors[i] : i;
        if (!choices[index].quantizer.format)
            continue;
        (*quantizers)[scope->count] = choices[index].quantizer;
        scope->tensors[scope->count++] = index;
    }
    return scope->count ? NB_OK : nb_fail(error, NB_ERR_ARGUMENT, "the recipe changes none of these tensors");
}

nb_status nb_recipe_spread(const nb_notebook *notebook, const nb_recipe *recipe, const nb_scope *within,
                           nb_scope *scope, nb_quantizer **quantizers, nb_error *error)
{
    nb_recipe_choice *choices = NULL;
    *quantizers = NULL;
    nb_status status = plan(notebook, recipe, &choices, error);
    if (status == NB_OK)
        status = gather(notebook->model, choices, within, scope, quantizers, error);
    free(choices);
    return status;
}

static void report(const nb_notebook *notebook, const nb_recipe *recipe, const nb_scope *scope,
                   uint64_t before, nb_items *out)
{
    const uint64_t after = nb_model_n_bytes(notebook->model);
    nb_draft storage = {0};
    nb_describe_model_storage(notebook->model, &storage);
    nb_items_text(out, "recipe %s · %zu tensors · %s -> %s (%s bits a weight, everything counted)",
                  recipe->name, scope->count, nb_bytes(before).text, nb_bytes(after).text,
                  nb_fixed(nb_bits_per_weight(after, nb_model_n_parameters(notebook->model)), 2).text);
    if (notebook->only_call)
        nb_items_text(out, "%s.", nb_draft_text(&storage));
    else
        nb_items_text(out,
                      "%s.   " NB_COMMAND "recipe show %s" NB_END "   says which tensor got what, and why",
                      nb_draft_text(&storage), recipe->name);
    nb_draft_free(&storage);
}

nb_status nb_recipe_apply(nb_notebook *notebook, const nb_recipe *recipe, const nb_scope *within,
                          const nb_call *call, nb_items *out, nb_error *error)
{
    nb_scope scope = {0};
    nb_quantizer *quantizers = NULL;
    const uint64_t before = nb_model_n_bytes(notebook->model);
    nb_status status = nb_recipe_spread(notebook, recipe, within, &scope, &quantizers, error);
    if (status == NB_OK)
        status = nb_quantize_know_speed(notebook, error);
    if (status == NB_OK)
        status =
            nb_model_quantize_each(notebook->model, &scope, quantizers, notebook->importance, NULL, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        report(notebook, recipe, &scope, before, out);
    }
    free(quantizers);
    free(scope.tensors);
    return status;
}

/* ---- show ---- */

static const nb_column columns[] = {{"tensors", NB_COLUMN_LEFT},
                                    {"columns", NB_COLUMN_RIGHT},
                                    {"get", NB_COLUMN_LEFT},
                                    {"because of", NB_COLUMN_FLOW}};

/* "attn_v" of "blk.3.attn_v"; the whole name of a tensor outside the blocks. */
static const char *part_of(const nb_tensor *tensor)
{
    const char *at = tensor->name;
    if (tensor->layer < 0 || strncmp(at, "blk.", 4) != 0)
        return at;
    for (at += 4; isdigit((unsigned char)*at);)
        at++;
    return *at == '.' ? at + 1 : tensor->name;
}

static bool same_choice(const nb_recipe_choice *a, const nb_recipe_choice *b)
{
    return nb_quantizer_equal(&a->quantizer, &b->quantizer) && strcmp(a->why, b->why) == 0;
}

/* "blk.0-1,3.attn_v": the tensors that share a part and a choice with the first, which are then done. */
static void name_together(const nb_model *model, const nb_recipe_choice *choices, size_t first, bool *done,
                          nb_draft *name)
{
    const size_t n = nb_model_tensor_count(model);
    const nb_tensor *head = nb_model_tensor(model, first);
    const char *part = part_of(head);
    if (part == head->name) {
        nb_draft_add(name, head->name);
        return;
    }
    int begin = -1, last = -2;
    const char *comma = "blk.";
    for (size_t i = first; i <= n; i++) {
        const nb_tensor *t = i < n ? nb_model_tensor(model, i) : NULL;
        const bool fits = t && strcmp(part_of(t), part) == 0 && same_choice(&choices[i], &choices[first]);
        if (t && !fits)
            continue;
        if ((!t || t->layer != last + 1) && begin >= 0) {
            nb_draft_addf(name, begin == last ? "%s%d" : "%s%d-%d", comma, begin, last);
            comma = ",";
            begin = -1;
        }
        if (t) {
            begin = begin < 0 ? t->layer : begin;
            last = t->layer;
            done[i] = true;
        }
    }
    nb_draft_addf(name, ".%s", part);
}

static nb_status show(nb_notebook *notebook, const nb_recipe *recipe, nb_items *out, nb_error *error)
{
    const nb_model *model = notebook->model;
    const size_t n = nb_model_tensor_count(model);
    nb_recipe_choice *choices = NULL;
    bool *done = nb_calloc(n, sizeof *done);
    nb_status status = done ? plan(notebook, recipe, &choices, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory for a table");
    double bits = 0;
    if (status == NB_OK)
        nb_items_table(out, columns, 4);
    for (size_t i = 0; i < n && status == NB_OK; i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        const nb_quantizer *q = choices[i].quantizer.format ? &choices[i].quantizer : NULL;
        char text[96];
        bits += q ? nb_quantizer_bits_per_weight(q, t->n_rows, t->n_cols) * (double)nb_tensor_n_weights(t)
                  : 8 * (double)nb_tensor_n_bytes(t);
        if (done[i] || t->is_vector)
            continue;
        nb_draft name = {0};
        name_together(model, choices, i, done, &name);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_draft_text(&name));
        nb_items_cell(out, 1, "%zu", t->n_cols);
        nb_items_cell(out, 2, "%s", q ? nb_quantizer_describe(q, text, sizeof text) : "stays");
        nb_items_cell(out, 3, "%s", choices[i].why);
        nb_draft_free(&name);
    }
    if (status == NB_OK)
        nb_items_text(out, "%s bits a weight. Vectors stay f32.   " NB_COMMAND "recipe apply %s" NB_END,
                      nb_fixed(bits / (double)nb_model_n_parameters(model), 2).text, recipe->name);
    free(done);
    free(choices);
    return status;
}

/* ---- save ---- */

nb_status nb_recipe_store(const nb_notebook *notebook, const nb_recipe *recipe, const char *typed,
                          const char *comment, nb_error *error)
{
    nb_writer *writer = NULL;
    char *path = NULL, *text = nb_recipe_write(recipe),
         *line = comment ? nb_format_text("# %s\n", comment) : NULL;
    nb_status status = text && (line || !comment)
                           ? nb_notebook_path(notebook, typed, false, &path, error)
                           : nb_fail(error, NB_ERR_MEMORY, "no memory for a recipe's text");
    if (status == NB_OK)
        status = nb_writer_open(path, &writer, error);
    if (status == NB_OK) {
        status = nb_writer_write(writer, text, strlen(text), error);
        if (status == NB_OK && line)
            status = nb_writer_write(writer, line, strlen(line), error);
        if (status == NB_OK)
            status = nb_writer_commit(&writer, error);
        else
            nb_writer_abort(&writer);
    }
    free(path);
    free(text);
    free(line);
    return status;
}

/* What was done to the model beyond the formats of its tensors, which are all that a recipe says: "" if
 * nothing was. */
static void add_left_out(const nb_model *model, nb_draft *to)
{
    size_t n_made = 0, n_activated = 0, n_transformed = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        n_made += t->changed && nb_tensor_provenance(t);
        n_activated += t->input && (t->input->scaling != NB_INPUT_BLOCKS || t->input->outliers);
        n_transformed += t->transforms != NULL;
    }
    const struct {
        const char *what;
        size_t n;
    } parts[] = {{"codes that a method chose", n_made},
                 {"scales and outliers of activations", n_activated},
                 {"transforms", n_transformed}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].n)
            nb_draft_addf(to, "%s%s (%zu tensor%s)", to->n_bytes ? ", " : "", parts[i].what, parts[i].n,
                          parts[i].n == 1 ? "" : "s");
}

static void say_saved(const nb_model *model, const nb_recipe *recipe, const char *typed, nb_items *out)
{
    nb_draft left_out = {0};
    add_left_out(model, &left_out);
    nb_items_text(out, "%s · %zu tensors.   " NB_COMMAND "recipe apply %s" NB_END "   %s",
                  nb_file_name(typed), recipe->n_lines, typed,
                  left_out.n_bytes ? "rounds a model's tensors to these formats"
                                   : "does the same to a model");
    if (left_out.n_bytes)
        nb_items_text(out, "A recipe says formats and no more. Not in it: %s.", nb_draft_text(&left_out));
    nb_draft_free(&left_out);
}

/* How the model's matrices are stored now, as a recipe without a mixture. */
static nb_status save(const nb_notebook *notebook, const char *typed, nb_items *out, nb_error *error)
{
    const nb_model *model = notebook->model;
    nb_recipe *recipe = NULL;
    char what[96];
    nb_status status = nb_recipe_create(typed, NULL, &recipe, error);
    for (size_t i = 0; status == NB_OK && i < nb_model_tensor_count(model); i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        if (t->simulated)
            status = nb_fail(error, NB_ERR_STATE,
                             "%s is simulated by a function, which a recipe cannot say: restore it first",
                             t->name);
        else if (t->changed && !t->is_vector)
            status = nb_recipe_add(recipe, t->name, nb_quantizer_describe(&t->quantizer, what, sizeof what),
                                   error);
    }
    if (status == NB_OK && recipe->n_lines == 0)
        status = nb_fail(error, NB_ERR_STATE, "nothing is quantized, so there is no recipe to save");
    if (status == NB_OK)
        status = nb_recipe_store(notebook, recipe, typed, NULL, error);
    if (status == NB_OK)
        say_saved(model, recipe, typed, out);
    nb_recipe_destroy(&recipe);
    return status;
}

/* ---- the command ---- */

static void list(nb_items *out)
{
    static const nb_column list_columns[] = {
        {"recipe", NB_COLUMN_LEFT}, {"base", NB_COLUMN_LEFT}, {"and better ones for", NB_COLUMN_FLOW}};
    nb_items_table(out, list_columns, 3);
    for (size_t i = 0; i < nb_mixture_count(); i++) {
        const nb_mixture *m = nb_mixture_at(i);
        nb_draft better = {0};
        for (size_t r = 0; r < sizeof m->rules / sizeof m->rules[0] && m->rules[r].format; r++)
            nb_draft_addf(&better, "%s%s %s", r ? ", " : "", nb_part_name(m->rules[r].part),
                          m->rules[r].format);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", m->name);
        nb_items_cell(out, 1, "%s", m->base);
        nb_items_cell(out, 2, "%s", nb_draft_text(&better));
        nb_draft_free(&better);
    }
    nb_items_text(out, "The head gets q6_k, or q8_0 with q8_0.   " NB_COMMAND "recipe show q4_k_m" NB_END
                       "   says what each tensor of the model would get, and why");
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *verb = call->n_arguments ? call->arguments[0] : "list", *what = call->arguments[1];
    if (strcmp(verb, "list") == 0) {
        list(out);
        return NB_OK;
    }
    const bool shows = strcmp(verb, "show") == 0, applies = strcmp(verb, "apply") == 0;
    if (!shows && !applies && strcmp(verb, "save") != 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "recipe can list, show, apply and save, not \"%.40s\"", verb);
    if (!what)
        return nb_fail(error, NB_ERR_ARGUMENT, "recipe %s needs a name: recipe %s %s", verb, verb,
                       shows || applies ? "q4_k_m" : "mine.recipe");
    if (!notebook->model)
        return nb_fail(error, NB_ERR_STATE, "recipe %s speaks of a model's tensors: load story", verb);
    if (!shows && !applies)
        return save(notebook, what, out, error);
    nb_recipe *recipe = NULL;
    nb_status status = nb_recipe_read(notebook, what, call, &recipe, error);
    if (status == NB_OK)
        status = shows ? show(notebook, recipe, out, error)
                       : nb_recipe_apply(notebook, recipe, NULL, call, out, error);
    nb_recipe_destroy(&recipe);
    return status;
}

const nb_command nb_command_recipe = {
    .name = "recipe",
    .group = "Changing it",
    .usage = "recipe\n"
             "recipe show|apply NAME|FILE [--tensor-type \"SCOPE=FORMAT ...\"] [--pure] [--keep SCOPE]\n"
             "recipe save FILE",
    .summary = "which tensor gets which format: q4_k_m and its kin",
    .details =
        "q4_k_m is no format but a recipe: q4_k, and q6_k for the tensors that mind most. show says which "
        "tensor "
        "would get what and why; apply stores the whole model so, embeddings and head too. save writes how "
        "the model is stored now into a text file of lines SCOPE FORMAT, which show and apply read; such a "
        "file may begin with a built-in one: start q4_k_m.",
    .examples = {"recipe show q4_k_m", "recipe apply q4_k_m --tensor-type \"blk.0.*=q8_0\"",
                 "recipe save mine.recipe"},
    .source = "llama.cpp, llama-quantize",
    .arguments = {{"WHAT", NB_WORD_TEXT, true}, {"NAME", NB_WORD_RECIPE, true}},
    .options = {NB_RECIPE_OPTIONS},
    .needs = NB_UNDOABLE | NB_WRITES_FILES,
    .run = run,
};
