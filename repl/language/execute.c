/* Statements. */
#include "repl/language/machine.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static nb_variables *scope_of(nb_language *language)
{
    return language->locals ? language->locals : &language->globals;
}

/* ---- assignment ---- */

/* x += y reads x first. */
static nb_status combine(nb_language *language, const nb_node *target, nb_lexeme_kind op, nb_value *value,
                         nb_error *error)
{
    nb_value before = {0}, after = {0};
    nb_status status = nb_evaluate(language, target, &before, error);
    if (status == NB_OK)
        status = nb_evaluate_binary(language, op, &before, value, &after, error);
    nb_value_release(&before);
    if (status == NB_OK) {
        nb_value_release(value);
        *value = after;
    }
    return status;
}

/* A part of a variable. Inside a function an array from outside is copied first: what happens there stays
 * there. */
static nb_status assign_part(nb_language *language, const nb_node *target, const nb_value *value,
                             nb_error *error)
{
    const char *name = target->children[0]->text;
    nb_variables *scope = scope_of(language);
    nb_value *variable = nb_variables_find(scope, name);
    if (!variable && nb_name_variable(language, name)) {
        const nb_status status =
            nb_variables_set(scope, name, nb_value_retain(*nb_name_variable(language, name)), error);
        if (status != NB_OK)
            return status;
        variable = nb_variables_find(scope, name);
    }
    if (!variable)
        return nb_name_unknown(language, name, false, error);
    return nb_subscript_assign(language, variable, target, value, error);
}

/* Takes over the value. `_` takes anything and keeps nothing. */
static nb_status assign(nb_language *language, const nb_node *target, nb_lexeme_kind op, nb_value *value,
                        nb_error *error)
{
    nb_status status = op == NB_LEXEME_ASSIGN ? NB_OK : combine(language, target, op, value, error);
    if (status == NB_OK && target->kind == NB_NODE_INDEX) {
        status = assign_part(language, target, value, error);
    } else if (status == NB_OK && value->kind == NB_VALUE_NONE) {
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "there is no value to give to %s: the function returned nothing", target->text);
    } else if (status == NB_OK && strcmp(target->text, "_") != 0) {
        status = nb_variables_set(scope_of(language), target->text, *value, error);
        *value = (nb_value){0};
    }
    nb_value_release(value);
    return nb_language_failed_at(language, target, status);
}

/* Part `i` of what several names are given. */
static nb_status part_of(const nb_value *value, size_t i, nb_value *out, nb_error *error)
{
    nb_array *part = NULL;
    if (value->kind == NB_VALUE_LIST) {
        *out = nb_value_retain(value->list->values[i]);
        return NB_OK;
    }
    const nb_slice slice = {.kind = NB_SLICE_INDEX, .begin = (int64_t)i};
    nb_status status = nb_array_slice(value->array, &slice, 1, &part, error);
    if (status == NB_OK) {
        *out = nb_value_array(part);
        out->truth = value->truth;
    }
    return status;
}

static size_t count_parts(const nb_value *value)
{
    return value->kind == NB_VALUE_LIST    ? value->list->count
           : value->kind == NB_VALUE_ARRAY ? value->array->dims[0]
                                           : 0;
}

static nb_status assign_several(nb_language *language, const nb_node *node, const nb_value *value,
                                nb_error *error)
{
    const size_t n = node->n_children - 1;
    if (count_parts(value) != n || (value->kind != NB_VALUE_LIST && value->kind != NB_VALUE_ARRAY))
        return nb_fail(error, NB_ERR_ARGUMENT, "%zu names are given %s", n, nb_value_describe(value).text);
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < n; i++) {
        nb_value part = {0};
        status = part_of(value, i, &part, error);
        if (status == NB_OK)
            status = assign(language, node->children[i], NB_LEXEME_ASSIGN, &part, error);
    }
    return status;
}

static nb_status execute_assign(nb_language *language, const nb_node *node, nb_error *error)
{
    nb_value value = {0};
    const size_t n = node->n_children - 1;
    nb_status status = nb_evaluate(language, node->children[n], &value, error);
    if (status != NB_OK)
        return status;
    if (n == 1)
        return assign(language, node->children[0], node->op, &value, error);
    status = assign_several(language, node, &value, error);
    nb_value_release(&value);
    return nb_language_failed_at(language, node, status);
}

static nb_status execute_def(nb_language *language, const nb_node *node, nb_error *error)
{
    nb_function *function = nb_calloc(1, sizeof *function);
    if (!function)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the function %s", node->text);
    nb_tree *tree = nb_tree_retain((nb_tree *)(uintptr_t)language->tree);
    *function = (nb_function){.n_references = 1, .tree = tree, .def = node};
    const nb_value value = {.kind = NB_VALUE_FUNCTION, .function = function};
    return nb_variables_set(scope_of(language), node->text, value, error);
}

/* ---- control ---- */

static nb_status execute_if(nb_language *language, const nb_node *node, nb_value *out, nb_flow *flow,
                            nb_error *error)
{
    size_t i = 0;
    for (; i + 1 < node->n_children; i += 2) {
        bool holds = false;
        const nb_status status = nb_evaluate_condition(language, node->children[i], &holds, error);
        if (status != NB_OK)
            return status;
        if (holds)
            return nb_execute_block(language, node->children[i + 1], out, flow, error);
    }
    return i < node->n_children ? nb_execute_block(language, node->children[i], out, flow, error) : NB_OK;
}

/* True while the loop goes on: a break ends it, and so does a return. */
static bool goes_on(nb_flow *flow)
{
    const nb_flow was = *flow;
    if (was == NB_FLOW_BREAK || was == NB_FLOW_CONTINUE)
        *flow = NB_FLOW_NEXT;
    return was == NB_FLOW_NEXT || was == NB_FLOW_CONTINUE;
}

static nb_status execute_while(nb_language *language, const nb_node *node, nb_value *out, nb_flow *flow,
                               nb_error *error)
{
    for (;;) {
        bool holds = false;
        nb_status status = nb_language_check_stop(language, error);
        if (status == NB_OK)
            status = nb_evaluate_condition(language, node->children[0], &holds, error);
        if (status != NB_OK || !holds)
            return status;
        status = nb_execute_block(language, node->children[1], out, flow, error);
        if (status != NB_OK || !goes_on(flow))
            return status;
    }
}

static nb_status execute_for(nb_language *language, const nb_node *node, nb_value *out, nb_flow *flow,
                             nb_error *error)
{
    nb_value over = {0};
    nb_status status = nb_evaluate(language, node->children[1], &over, error);
    if (status == NB_OK && over.kind != NB_VALUE_ARRAY && over.kind != NB_VALUE_LIST)
        status = nb_language_failed_at(
            language, node->children[1],
            nb_fail(error, NB_ERR_ARGUMENT, "for goes over an array or a list, not over %s: range(n) counts",
                    nb_value_describe(&over).text));
    const size_t n = status == NB_OK ? count_parts(&over) : 0;
    for (size_t i = 0; status == NB_OK && i < n; i++) {
        nb_value part = {0};
        status = nb_language_check_stop(language, error);
        if (status == NB_OK)
            status = part_of(&over, i, &part, error);
        if (status == NB_OK)
            status = assign(language, node->children[0], NB_LEXEME_ASSIGN, &part, error);
        if (status == NB_OK)
            status = nb_execute_block(language, node->children[2], out, flow, error);
        if (status == NB_OK && !goes_on(flow))
            break;
    }
    nb_value_release(&over);
    return status;
}

static nb_status execute_return(nb_language *language, const nb_node *node, nb_value *out, nb_flow *flow,
                                nb_error *error)
{
    *flow = NB_FLOW_RETURN;
    nb_value_release(out);
    return node->n_children ? nb_evaluate(language, node->children[0], out, error) : NB_OK;
}

static nb_status execute(nb_language *language, const nb_node *node, nb_value *out, nb_flow *flow,
                         nb_error *error)
{
    nb_value unused = {0};
    nb_status status;
    switch (node->kind) {
    case NB_NODE_EXPRESSION:
        status = nb_evaluate(language, node->children[0], &unused, error);
        nb_value_release(&unused);
        return status;
    case NB_NODE_ASSIGN:
        return execute_assign(language, node, error);
    case NB_NODE_DEF:
        return execute_def(language, node, error);
    case NB_NODE_IF:
        return execute_if(language, node, out, flow, error);
    case NB_NODE_FOR:
        return execute_for(language, node, out, flow, error);
    case NB_NODE_WHILE:
        return execute_while(language, node, out, flow, error);
    case NB_NODE_RETURN:
        return execute_return(language, node, out, flow, error);
    case NB_NODE_BREAK:
        *flow = NB_FLOW_BREAK;
        return NB_OK;
    case NB_NODE_CONTINUE:
        *flow = NB_FLOW_CONTINUE;
        return NB_OK;
    default:
        return nb_fail(error, NB_ERR_ARGUMENT, "this is no statement");
    }
}

nb_status nb_execute_block(nb_language *language, const nb_node *block, nb_value *out, nb_flow *flow,
                           nb_error *error)
{
    nb_status status = NB_OK;
    if (language->depth >= NB_DEEPEST)
        return nb_language_failed_at(language, block, nb_fail(error, NB_ERR_ARGUMENT, "this goes too deep"));
    language->depth++;
    for (size_t i = 0; status == NB_OK && *flow == NB_FLOW_NEXT && i < block->n_children; i++)
        status = nb_language_failed_at(language, block->children[i],
                                       execute(language, block->children[i], out, flow, error));
    language->depth--;
    return status;
}
