/* Calls: arguments to parameters, of the table's functions and of the learner's. */
#include "repl/language/machine.h"

#include "base/memory.h"
#include "repl/draft.h"
#include "repl/nearest.h"
#include "repl/notebook.h"

#include <stdlib.h>
#include <string.h>

/* Evaluated arguments: those by place, then those by name. */
typedef struct arguments {
    nb_value placed[NB_MAX_PLACED];
    size_t n_placed;
    const char *names[NB_MAX_PARAMETERS];
    nb_value named[NB_MAX_PARAMETERS];
    size_t n_named;
} arguments;

static void free_arguments(arguments *a)
{
    for (size_t i = 0; i < a->n_placed; i++)
        nb_value_release(&a->placed[i]);
    for (size_t i = 0; i < a->n_named; i++)
        nb_value_release(&a->named[i]);
}

nb_status nb_function_of_row(const nb_function_row *row, nb_value *out, nb_error *error)
{
    nb_function *function = nb_calloc(1, sizeof *function);
    if (!function)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the function %s", row->name);
    *function = (nb_function){.n_references = 1, .row = row};
    *out = (nb_value){.kind = NB_VALUE_FUNCTION, .function = function};
    return NB_OK;
}

/* ---- functions of the table ---- */

static nb_status bind_named(const nb_function_row *row, const arguments *a, nb_application *call,
                            nb_error *error)
{
    nb_parameter parameter;
    for (size_t k = 0; k < a->n_named; k++) {
        nb_nearest nearest;
        nb_parameter all[NB_MAX_PARAMETERS];
        size_t i = 0;
        nb_nearest_start(&nearest, a->names[k]);
        for (; nb_function_parameter(row, i, &parameter); i++) {
            if (strcmp(parameter.name, a->names[k]) == 0)
                break;
            all[i] = parameter;
            nb_nearest_offer(&nearest, all[i].name);
        }
        if (!nb_function_parameter(row, i, &parameter))
            return nearest.best
                       ? nb_fail(error, NB_ERR_ARGUMENT, "%s has no \"%.40s\": did you mean %s?", row->usage,
                                 a->names[k], nearest.best)
                       : nb_fail(error, NB_ERR_ARGUMENT, "%s has no \"%.40s\"", row->usage, a->names[k]);
        if (call->values[i].kind != NB_VALUE_NONE)
            return nb_fail(error, NB_ERR_ARGUMENT, "%s is given twice: %s", parameter.name, row->usage);
        call->values[i] = a->named[k];
    }
    return NB_OK;
}

static nb_status bind_row(const nb_function_row *row, const arguments *a, nb_application *call,
                          nb_error *error)
{
    nb_parameter parameter;
    size_t n = 0, n_wanted = 0;
    bool several = false;
    for (; nb_function_parameter(row, n, &parameter); n++) {
        several |= parameter.several;
        n_wanted += !parameter.optional;
    }
    if (several) {
        call->more = a->placed;
        call->n_more = a->n_placed;
    } else if (a->n_placed > n) {
        return nb_fail(error, NB_ERR_ARGUMENT, "%s takes %zu argument%s at most, not %zu: %s", row->name, n,
                       n == 1 ? "" : "s", a->n_placed, row->usage);
    } else {
        memcpy(call->values, a->placed, a->n_placed * sizeof *a->placed);
    }
    nb_status status = bind_named(row, a, call, error);
    if (status == NB_OK && several && a->n_placed < n_wanted)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s wants at least %zu argument%s: %s", row->name, n_wanted,
                       n_wanted == 1 ? "" : "s", row->usage);
    for (size_t i = 0; status == NB_OK && !several && i < n; i++) {
        nb_function_parameter(row, i, &parameter);
        if (!parameter.optional && call->values[i].kind == NB_VALUE_NONE)
            status =
                nb_fail(error, NB_ERR_ARGUMENT, "%s wants %s: %s", row->name, parameter.name, row->usage);
    }
    return status;
}

static nb_status call_row(nb_language *language, const nb_function_row *row, const arguments *a,
                          nb_value *out, nb_error *error)
{
    nb_application call = {.language = language, .row = row};
    nb_status status = nb_language_check_stop(language, error);
    if (status == NB_OK)
        status = bind_row(row, a, &call, error);
    if (status == NB_OK && row->needs_model && !language->notebook->model)
        status =
            nb_fail(error, NB_ERR_STATE, "%s needs a model, and none is loaded yet: load FILE", row->name);
    return status == NB_OK ? row->run(&call, out, error) : status;
}

/* ---- the learner's functions ---- */

static void describe_usage(const nb_node *def, nb_draft *out)
{
    nb_draft_addf(out, "%s(", def->text);
    for (size_t i = 0; i + 1 < def->n_children; i++)
        nb_draft_addf(out, "%s%s%s", i ? ", " : "", def->children[i]->text,
                      def->children[i]->kind == NB_NODE_NAMED ? "=" : "");
    nb_draft_add(out, ")");
}

static nb_status refuse_call(const nb_node *def, const char *what, const char *name, nb_error *error)
{
    nb_draft usage = {0};
    describe_usage(def, &usage);
    const nb_status status = nb_fail(error, NB_ERR_ARGUMENT, "%s %s \"%.40s\": it is %.200s", def->text, what,
                                     name, nb_draft_text(&usage));
    nb_draft_free(&usage);
    return status;
}

static const nb_node *parameter_of(const nb_node *def, const char *name)
{
    for (size_t i = 0; i + 1 < def->n_children; i++) {
        if (strcmp(def->children[i]->text, name) == 0)
            return def->children[i];
    }
    return NULL;
}

static nb_status bind_given(const nb_node *def, const arguments *a, nb_variables *locals, nb_error *error)
{
    nb_status status = NB_OK;
    if (a->n_placed > def->n_children - 1) {
        nb_draft usage = {0};
        describe_usage(def, &usage);
        status =
            nb_fail(error, NB_ERR_ARGUMENT, "%s takes %zu argument%s, not %zu: it is %.200s", def->text,
                    def->n_children - 1, def->n_children == 2 ? "" : "s", a->n_placed, nb_draft_text(&usage));
        nb_draft_free(&usage);
        return status;
    }
    for (size_t i = 0; status == NB_OK && i < a->n_placed; i++)
        status = nb_variables_set(locals, def->children[i]->text, nb_value_retain(a->placed[i]), error);
    for (size_t i = 0; status == NB_OK && i < a->n_named; i++) {
        if (!parameter_of(def, a->names[i]))
            return refuse_call(def, "has no", a->names[i], error);
        if (nb_variables_find(locals, a->names[i]))
            return refuse_call(def, "is given twice", a->names[i], error);
        status = nb_variables_set(locals, a->names[i], nb_value_retain(a->named[i]), error);
    }
    return status;
}

/* Defaults are evaluated in the call: they may speak of the parameters before them. */
static nb_status bind_defaults(nb_language *language, const nb_node *def, nb_variables *locals,
                               nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i + 1 < def->n_children; i++) {
        const nb_node *parameter = def->children[i];
        nb_value value = {0};
        if (nb_variables_find(locals, parameter->text))
            continue;
        if (parameter->kind != NB_NODE_NAMED)
            return refuse_call(def, "is called without", parameter->text, error);
        status = nb_evaluate(language, parameter->children[0], &value, error);
        if (status == NB_OK)
            status = nb_variables_set(locals, parameter->text, value, error);
    }
    return status;
}

/* An error says in which function it happened: the innermost one. */
static void add_function_name(nb_language *language, const nb_function *function, nb_error *error)
{
    const size_t n = error ? strlen(error->text) : 0;
    if (n == 0 || language->failed_named || language->failed_tree != function->tree ||
        n + 100 > sizeof error->text)
        return;
    language->failed_named = true;
    size_t begin, end;
    const size_t row =
        nb_text_row(function->tree->text, function->tree->n_bytes, language->failed_at, &begin, &end);
    const size_t first =
        nb_text_row(function->tree->text, function->tree->n_bytes, function->def->at, &begin, &end);
    nb_draft text = {0};
    nb_draft_addf(&text, "%s (in %.40s", error->text, function->def->text);
    if (row > first)
        nb_draft_addf(&text, ", line %zu", row - first + 1);
    nb_draft_add(&text, ")");
    if (!text.failed && text.n_bytes < sizeof error->text)
        memcpy(error->text, text.text, text.n_bytes + 1);
    nb_draft_free(&text);
}

static nb_status run_body(nb_language *language, const nb_function *function, nb_value *out, nb_error *error)
{
    nb_flow flow = NB_FLOW_NEXT;
    nb_value result = {0};
    const nb_node *def = function->def;
    nb_status status = nb_execute_block(language, def->children[def->n_children - 1], &result, &flow, error);
    if (status == NB_OK && flow == NB_FLOW_RETURN)
        *out = result;
    else
        nb_value_release(&result);
    return status;
}

static nb_status call_own(nb_language *language, nb_function *function, const arguments *a, nb_value *out,
                          nb_error *error)
{
    if (language->n_calls >= NB_DEEPEST_CALL)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s calls itself more than %d deep: it needs a case in which it does not",
                       function->def->text, NB_DEEPEST_CALL);
    nb_variables frame = {0}, *before = language->locals;
    const nb_tree *tree = language->tree;
    function->n_references++; /* it may be redefined while it runs */
    nb_status status = bind_given(function->def, a, &frame, error);
    const bool bound = status == NB_OK;
    language->locals = &frame;
    language->tree = function->tree;
    language->n_calls++;
    if (status == NB_OK)
        status = bind_defaults(language, function->def, &frame, error);
    if (status == NB_OK)
        status = run_body(language, function, out, error);
    language->n_calls--;
    language->tree = tree;
    language->locals = before;
    if (bound && status != NB_OK && status != NB_ERR_CANCELLED)
        add_function_name(language, function, error);
    nb_variables_free(&frame);
    nb_value held = {.kind = NB_VALUE_FUNCTION, .function = function};
    nb_value_release(&held);
    return status;
}

nb_status nb_call_function(nb_language *language, const nb_function *function, const nb_value *values,
                           size_t n, nb_value *out, nb_error *error)
{
    arguments a = {.n_placed = n};
    *out = (nb_value){0};
    for (size_t i = 0; i < n; i++)
        a.placed[i] = values[i]; /* borrowed */
    return function->row ? call_row(language, function->row, &a, out, error)
                         : call_own(language, (nb_function *)(uintptr_t)function, &a, out, error);
}

/* ---- the call in the text ---- */

/* Argument `index` may be a tensor's or a scope's name: a name that is no variable stands for itself. */
static nb_status evaluate_argument(nb_language *language, const nb_function *function, const nb_node *node,
                                   size_t index, nb_value *out, nb_error *error)
{
    const bool bare = function->row && (function->row->takes_name >> index & 1) && node->kind == NB_NODE_NAME;
    if (bare && !nb_name_variable(language, node->text))
        return nb_value_text(node->text, node->n_bytes, out, error);
    return nb_evaluate(language, node, out, error);
}

static size_t parameter_index(const nb_function *function, const char *name)
{
    nb_parameter parameter;
    for (size_t i = 0; function->row && nb_function_parameter(function->row, i, &parameter); i++) {
        if (strcmp(parameter.name, name) == 0)
            return i;
    }
    return NB_MAX_PARAMETERS;
}

static nb_status evaluate_arguments(nb_language *language, const nb_function *function, const nb_node *call,
                                    arguments *a, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < call->n_children; i++) {
        const nb_node *node = call->children[i];
        const bool named = node->kind == NB_NODE_NAMED;
        if (named ? a->n_named == NB_MAX_PARAMETERS : a->n_placed == NB_MAX_PLACED)
            return nb_fail(error, NB_ERR_ARGUMENT, "%s is called with too many arguments", call->text);
        if (!named && a->n_named)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "in %s(...), arguments with a name come after those without", call->text);
        if (named) {
            a->names[a->n_named] = node->text;
            status = evaluate_argument(language, function, node->children[0],
                                       parameter_index(function, node->text), &a->named[a->n_named], error);
            a->n_named += status == NB_OK;
        } else {
            status = evaluate_argument(language, function, node, a->n_placed, &a->placed[a->n_placed], error);
            a->n_placed += status == NB_OK;
        }
    }
    return status;
}

/* A variable of that name if it is a function, else the table's: `bits = 4` leaves bits(all) as it was. */
static nb_status find_callee(nb_language *language, const nb_node *call, nb_value *out, nb_error *error)
{
    const nb_value *variable = nb_name_variable(language, call->text);
    if (variable && variable->kind == NB_VALUE_FUNCTION) {
        *out = nb_value_retain(*variable);
        return NB_OK;
    }
    const nb_function_row *row = nb_function_find(call->text);
    if (row)
        return nb_function_of_row(row, out, error);
    if (variable)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s is %s, and cannot be called: a product is written with *, a part with [...]",
                       call->text, nb_value_describe(variable).text);
    if (nb_command_find(call->text))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s is a command, not a function: it is written without brackets: %.*s", call->text,
                       (int)strcspn(nb_command_find(call->text)->usage, "\n"),
                       nb_command_find(call->text)->usage);
    return nb_name_unknown(language, call->text, true, error);
}

nb_status nb_call_node(nb_language *language, const nb_node *call, nb_value *out, nb_error *error)
{
    nb_value callee = {0};
    arguments a = {0};
    nb_status status = find_callee(language, call, &callee, error);
    if (status == NB_OK)
        status = evaluate_arguments(language, callee.function, call, &a, error);
    if (status == NB_OK && callee.function->row)
        status = call_row(language, callee.function->row, &a, out, error);
    else if (status == NB_OK)
        status = call_own(language, callee.function, &a, out, error);
    free_arguments(&a);
    nb_value_release(&callee);
    return status;
}
