/* Running cells of the language, and what a notebook keeps of it. */
#include "repl/language/language.h"

#include "repl/describe.h"
#include "repl/draft.h"
#include "repl/language/machine.h"
#include "repl/language/show.h"
#include "repl/nearest.h"
#include "repl/notebook.h"
#include "repl/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESULTS_BYTES = 64 << 20 /* of arrays among the results, but for the newest */, DESCRIBED = 1000 };

/* Half of the machine's memory, so that a slip of the fingers does not stop it. */
static size_t memory_limit(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages / 2 * (size_t)size : (size_t)1 << 30;
}

nb_status nb_language_create(nb_notebook *notebook, nb_language **out, nb_error *error)
{
    nb_language *language = nb_calloc(1, sizeof *language);
    *out = language;
    if (!language)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the language");
    language->notebook = notebook;
    language->space = (nb_array_space){.context = notebook->context, .limit_bytes = memory_limit()};
    nb_random_seed(&language->random, 0);
    return NB_OK;
}

void nb_language_reset(nb_language *language)
{
    nb_variables_free(&language->globals);
    for (size_t i = 0; i < language->n_results; i++)
        nb_value_release(&language->results[i].value);
    free(language->results);
    language->results = NULL;
    language->n_results = 0;
    nb_random_seed(&language->random, 0);
}

void nb_language_destroy(nb_language **language)
{
    if (!*language)
        return;
    nb_language_reset(*language);
    free(*language);
    *language = NULL;
}

nb_array_space *nb_language_space(nb_language *language)
{
    return &language->space;
}

/* ---- results ---- */

/* Old results make room for new ones. */
static void drop_results(nb_language *language)
{
    size_t n_bytes = 0, kept = 0, n = language->n_results;
    nb_result *results = language->results;
    for (size_t i = n; i > 0; i--) { /* from the newest, which stays */
        const nb_value *value = &results[i - 1].value;
        const size_t size = value->kind == NB_VALUE_ARRAY ? value->array->size * sizeof(float) : 0;
        n_bytes += size;
        if (size && i < n && n_bytes > RESULTS_BYTES)
            nb_value_release(&results[i - 1].value);
    }
    for (size_t i = 0; i < n; i++) {
        if (results[i].value.kind != NB_VALUE_NONE)
            results[kept++] = results[i];
    }
    language->n_results = kept;
}

/* The last of a cell counts. Takes over the value. */
static void keep_result(nb_language *language, unsigned cell, nb_value value)
{
    nb_result *last = language->n_results ? &language->results[language->n_results - 1] : NULL;
    if (last && last->cell == cell) {
        nb_value_release(&last->value);
        last->value = value;
        return;
    }
    nb_result *grown = nb_realloc(language->results, language->n_results + 1, sizeof *grown);
    if (!grown) {
        nb_value_release(&value); /* a result that cannot be kept is not worth an error */
        return;
    }
    language->results = grown;
    language->results[language->n_results++] = (nb_result){cell, value};
    drop_results(language);
}

void nb_language_keep_result(nb_language *language, unsigned cell, double number)
{
    keep_result(language, cell, nb_value_number(number));
}

/* ---- showing ---- */

/* The statement's own tensor: `blk.0.attn_q`, `W = blk.0.attn_q`. NULL if it is none. */
static const nb_tensor *tensor_of(const nb_language *language, const nb_node *node)
{
    const nb_model *model = language->notebook->model;
    if (node->kind != NB_NODE_NAME || !model || nb_name_variable(language, node->text) ||
        nb_function_find(node->text))
        return NULL;
    const long index = nb_model_find_tensor(model, node->text);
    return index < 0 ? NULL : nb_model_tensor(model, (size_t)index);
}

/* "f16 tensor, 256 x 256, from -0.412 to 0.398, mean 0.0002, std 0.0613" */
static void describe_tensor(const nb_tensor *tensor, const nb_array *array, nb_draft *out)
{
    nb_draft_addf(out, "%s tensor, ", nb_describe_storage(tensor).text);
    nb_show_summary(array, out);
}

static void show_result(const nb_language *language, const nb_node *node, const nb_value *value,
                        nb_items *items)
{
    nb_draft text = {0};
    const nb_tensor *tensor = tensor_of(language, node);
    const bool large = value->kind == NB_VALUE_ARRAY && value->array->size > DESCRIBED;
    if (tensor && value->kind == NB_VALUE_ARRAY)
        describe_tensor(tensor, value->array, &text);
    else if (large)
        nb_show_summary(value->array, &text);
    if (text.n_bytes)
        nb_draft_add(&text, "\n");
    nb_show_value(value, false, &text);
    if (text.failed)
        items->failed = true;
    else if (value->kind != NB_VALUE_NONE)
        nb_items_value(items, "%s", nb_draft_text(&text));
    nb_draft_free(&text);
}

/* `W = blk.0.attn_q` says what came; other assignments are silent. */
static void show_assignment(const nb_language *language, const nb_node *node, nb_items *items)
{
    const nb_tensor *tensor = node->n_children == 2 ? tensor_of(language, node->children[1]) : NULL;
    const nb_value *value = tensor && node->children[0]->kind == NB_NODE_NAME
                                ? nb_name_variable(language, node->children[0]->text)
                                : NULL;
    if (!value || value->kind != NB_VALUE_ARRAY)
        return;
    nb_draft text = {0};
    describe_tensor(tensor, value->array, &text);
    nb_items_text(items, "%s", nb_draft_text(&text));
    nb_draft_free(&text);
}

/* The line of the text that an error speaks of, and a caret under the place. */
static void show_place(const char *text, size_t n_bytes, size_t at, nb_items *items)
{
    enum { BEFORE = 40, LONGEST = 72 };
    size_t begin, end;
    nb_draft lines = {0};
    nb_text_row(text, n_bytes, at, &begin, &end);
    const size_t from = at > begin + BEFORE + 20 ? at - BEFORE : begin;
    size_t first = from;
    while (first < at && ((unsigned char)text[first] & 0xc0) == 0x80)
        first++;
    size_t last = nb_min_size(end, first + LONGEST);
    while (last < end && last > at && ((unsigned char)text[last] & 0xc0) == 0x80)
        last--;
    const char *gap = first > begin ? "..." : "";
    nb_draft_addf(&lines, "%s%.*s%s\n", gap, (int)(last - first), text + first, last < end ? "..." : "");
    nb_draft_repeat(&lines, " ", strlen(gap) + nb_utf8_width(text + first, nb_min_size(at, end) - first));
    nb_draft_add(&lines, "^");
    for (size_t i = 0; i < lines.n_bytes; i++)
        lines.text[i] = lines.text[i] == '\t' ? ' ' : lines.text[i];
    if (!lines.failed)
        nb_items_literal(items, lines.text, lines.n_bytes, false);
    nb_draft_free(&lines);
}

/* ---- running ---- */

static nb_status run_statement(nb_language *language, const nb_node *node, nb_value *result, nb_error *error)
{
    nb_flow flow = NB_FLOW_NEXT;
    nb_node *statement = (nb_node *)(uintptr_t)node;
    const nb_node block = {.kind = NB_NODE_BLOCK, .children = &statement, .n_children = 1};
    nb_value_release(result);
    if (node->kind == NB_NODE_EXPRESSION)
        return nb_evaluate(language, node->children[0], result, error);
    nb_value unused = {0};
    const nb_status status = nb_execute_block(language, &block, &unused, &flow, error);
    nb_value_release(&unused);
    return status;
}

static void begin(nb_language *language, const nb_tree *tree, nb_items *items)
{
    language->tree = tree;
    language->items = items;
    language->depth = language->n_calls = 0;
    language->locals = NULL;
    language->failed_named = false;
    nb_tree_release(&language->failed_tree);
}

static void end(nb_language *language)
{
    language->tree = NULL;
    language->items = NULL;
    language->n_steps = 0;
    nb_tree_release(&language->failed_tree);
}

nb_status nb_language_run(nb_language *language, const char *text, size_t n_bytes, unsigned cell, bool show,
                          nb_items *items, nb_error *error)
{
    nb_tree *tree = NULL;
    size_t place = 0;
    nb_value result = {0};
    nb_status status = nb_tree_read(text, n_bytes, &tree, &place, error);
    if (status != NB_OK) {
        if (status == NB_ERR_ARGUMENT)
            show_place(text, n_bytes, place, items);
        return status;
    }
    begin(language, tree, items);
    language->n_steps = 1;
    const nb_node *root = tree->root, *last = NULL;
    for (size_t i = 0; status == NB_OK && i < root->n_children; i++) {
        last = root->children[i];
        status = run_statement(language, last, &result, error);
    }
    if (status == NB_OK && last && last->kind == NB_NODE_EXPRESSION && result.kind != NB_VALUE_NONE) {
        if (show)
            show_result(language, last->children[0], &result, items);
        keep_result(language, cell, result);
        result = (nb_value){0};
    } else if (status == NB_OK && last && last->kind == NB_NODE_ASSIGN && show) {
        show_assignment(language, last, items);
    } else if (status != NB_OK && status != NB_ERR_CANCELLED && language->failed_tree == tree &&
               memchr(text, '\n', n_bytes ? n_bytes - 1 : 0)) {
        show_place(tree->text, tree->n_bytes, language->failed_at, items);
    }
    if (status == NB_ERR_CANCELLED)
        nb_fail(error, status, "stopped; variables keep what they were given so far");
    nb_value_release(&result);
    end(language);
    nb_tree_release(&tree);
    return status;
}

/* Nothing is kept, so the numbers that randn draws next are not changed by it either. */
nb_status nb_language_evaluate(nb_language *language, const char *text, nb_value *out, nb_error *error)
{
    nb_tree *tree = NULL;
    size_t place = 0;
    const nb_random random = language->random;
    *out = (nb_value){0};
    nb_status status = nb_tree_read(text, strlen(text), &tree, &place, error);
    if (status == NB_OK &&
        (tree->root->n_children != 1 || tree->root->children[0]->kind != NB_NODE_EXPRESSION))
        status = nb_fail(error, NB_ERR_ARGUMENT, "this is not one expression: %.80s", text);
    if (status == NB_OK) {
        begin(language, tree, NULL);
        status = nb_evaluate(language, tree->root->children[0]->children[0], out, error);
        end(language);
    }
    language->random = random;
    nb_tree_release(&tree);
    return status;
}

nb_status nb_language_holds(nb_language *language, const char *text, bool *out, nb_error *error)
{
    nb_value value = {0};
    const nb_status status = nb_language_evaluate(language, text, &value, error);
    *out = status == NB_OK && nb_value_holds(&value);
    nb_value_release(&value);
    return status;
}

/* ---- functions by name ---- */

static nb_status find_function(nb_language *language, const char *name, nb_value *out, nb_error *error)
{
    const nb_value *variable = nb_variables_find(&language->globals, name);
    const nb_function_row *row = nb_function_find(name);
    if (variable && variable->kind == NB_VALUE_FUNCTION)
        *out = nb_value_retain(*variable);
    else if (row)
        return nb_function_of_row(row, out, error);
    else
        return nb_name_unknown(language, name, true, error);
    return NB_OK;
}

nb_status nb_language_check_function(nb_language *language, const char *name, nb_error *error)
{
    nb_value function = {0};
    const nb_status status = find_function(language, name, &function, error);
    nb_value_release(&function);
    return status;
}

nb_status nb_language_tensor(nb_language *language, const char *name, bool original, nb_value *out,
                             nb_error *error)
{
    return nb_name_tensor(language, name, original, out, error);
}

nb_status nb_language_apply(nb_language *language, const char *name, const nb_value *argument,
                            nb_items *items, nb_value *out, nb_error *error)
{
    nb_value function = {0};
    *out = (nb_value){0};
    nb_status status = find_function(language, name, &function, error);
    if (status != NB_OK)
        return status;
    begin(language, NULL, items);
    status = nb_call_function(language, function.function, argument, 1, out, error);
    end(language);
    nb_value_release(&function);
    return status;
}

/* ---- variables ---- */

nb_status nb_language_define(nb_language *language, const char *name, const nb_value *value, nb_error *error)
{
    if (!nb_language_is_name(name))
        return nb_fail(error, NB_ERR_ARGUMENT, "a variable cannot be called \"%.60s\"", name);
    return nb_variables_set(&language->globals, name, nb_value_retain(*value), error);
}

nb_status nb_language_define_text(nb_language *language, const char *name, const char *text, nb_error *error)
{
    double number;
    nb_value value = {0};
    const size_t n = strlen(text);
    const bool quoted = n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n - 1] == text[0];
    nb_status status = NB_OK;
    if (nb_word_number(text, &number))
        value = nb_value_number(number);
    else
        status = nb_value_text(quoted ? text + 1 : text, quoted ? n - 2 : n, &value, error);
    if (status == NB_OK)
        status = nb_language_define(language, name, &value, error);
    nb_value_release(&value);
    return status;
}

bool nb_language_variable(const nb_language *language, const char *name, nb_value *out)
{
    const nb_value *value = nb_variables_find(&language->globals, name);
    *out = value ? *value : (nb_value){0};
    return value != NULL;
}

const char *nb_language_variable_at(const nb_language *language, size_t index)
{
    return index < language->globals.count ? language->globals.items[index].name : NULL;
}

bool nb_language_variable_is_function(const nb_language *language, size_t index)
{
    return language->globals.items[index].value.kind == NB_VALUE_FUNCTION;
}

/* The text that defines a function, from `def` to its end. */
static void show_definition(const nb_function *function, nb_items *out)
{
    const nb_tree *tree = function->tree;
    size_t begin = function->def->at, end = tree->n_bytes;
    while (begin >= 3 && memcmp(tree->text + begin - 3, "def", 3) != 0)
        begin--;
    begin = begin >= 3 ? begin - 3 : 0;
    nb_language_extent(tree->text, tree->n_bytes, begin, &end);
    while (end > begin && (tree->text[end - 1] == '\n' || tree->text[end - 1] == ';'))
        end--;
    nb_items_literal(out, tree->text + begin, end - begin, false);
}

bool nb_language_describe(const nb_language *language, const char *name, nb_items *out)
{
    const nb_value *value = nb_variables_find(&language->globals, name);
    if (!value)
        return false;
    nb_draft text = {0};
    if (value->kind == NB_VALUE_FUNCTION && !value->function->row) {
        nb_items_text(out, NB_STRONG "%s" NB_END " is a function of your own:", name);
        show_definition(value->function, out);
        return true;
    }
    if (value->kind == NB_VALUE_ARRAY)
        nb_show_summary(value->array, &text);
    else
        nb_show_value(value, false, &text);
    nb_items_text(out, NB_STRONG "%s" NB_END " is %s%s%s", name,
                  value->kind == NB_VALUE_ARRAY ? "an array: " : nb_value_describe(value).text,
                  value->kind == NB_VALUE_ARRAY ? "" : ": ", nb_draft_text(&text));
    nb_draft_free(&text);
    return true;
}
