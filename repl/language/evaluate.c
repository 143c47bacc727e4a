/* Expressions to values. */
#include "repl/language/machine.h"

#include "repl/notebook.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

nb_status nb_language_check_stop(nb_language *language, nb_error *error)
{
    enum { STEPS = 1024 }; /* between two looks at the clock */
    nb_context *context = language->space.context;
    if (language->n_steps && ++language->n_steps % STEPS == 0 && context->progress)
        context->progress(context->progress_user, "computing", language->n_steps, 0, "steps");
    if (atomic_load_explicit(&context->cancel, memory_order_relaxed) &&
        atomic_exchange(&context->cancel, false))
        return nb_fail(error, NB_ERR_CANCELLED, "stopped");
    return NB_OK;
}

nb_status nb_language_failed_at(nb_language *language, const nb_node *node, nb_status status)
{
    if (status != NB_OK && !language->failed_tree && language->tree) {
        language->failed_tree = nb_tree_retain((nb_tree *)(uintptr_t)language->tree);
        language->failed_at = node->at;
    }
    return status;
}

/* ---- operators ---- */

static bool binary_of(nb_lexeme_kind token, nb_binary *out)
{
    static const struct {
        nb_lexeme_kind token;
        nb_binary op;
    } ops[] = {
        {NB_LEXEME_ADD, NB_BINARY_ADD},
        {NB_LEXEME_ADD_ASSIGN, NB_BINARY_ADD},
        {NB_LEXEME_SUBTRACT, NB_BINARY_SUBTRACT},
        {NB_LEXEME_SUBTRACT_ASSIGN, NB_BINARY_SUBTRACT},
        {NB_LEXEME_MULTIPLY, NB_BINARY_MULTIPLY},
        {NB_LEXEME_MULTIPLY_ASSIGN, NB_BINARY_MULTIPLY},
        {NB_LEXEME_DIVIDE, NB_BINARY_DIVIDE},
        {NB_LEXEME_DIVIDE_ASSIGN, NB_BINARY_DIVIDE},
        {NB_LEXEME_FLOOR_DIVIDE, NB_BINARY_DIVIDE},
        {NB_LEXEME_REMAINDER, NB_BINARY_REMAINDER},
        {NB_LEXEME_POWER, NB_BINARY_POWER},
        {NB_LEXEME_EQUAL, NB_BINARY_EQUAL},
        {NB_LEXEME_NOT_EQUAL, NB_BINARY_NOT_EQUAL},
        {NB_LEXEME_LESS, NB_BINARY_LESS},
        {NB_LEXEME_LESS_EQUAL, NB_BINARY_LESS_EQUAL},
        {NB_LEXEME_GREATER, NB_BINARY_GREATER},
        {NB_LEXEME_GREATER_EQUAL, NB_BINARY_GREATER_EQUAL},
        {NB_LEXEME_AND, NB_BINARY_AND},
        {NB_LEXEME_OR, NB_BINARY_OR},
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (ops[i].token == token) {
            *out = ops[i].op;
            return true;
        }
    }
    return false;
}

static bool gives_truth(nb_binary op, const nb_value *left, const nb_value *right)
{
    return op >= NB_BINARY_EQUAL || (op == NB_BINARY_MULTIPLY && left->truth && right->truth);
}

/* Texts join and compare. */
static bool text_binary(nb_lexeme_kind op, const nb_text *a, const nb_text *b, nb_value *out,
                        nb_status *status, nb_error *error)
{
    const bool equal = a->n_bytes == b->n_bytes && memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
    *status = NB_OK;
    if (op == NB_LEXEME_EQUAL || op == NB_LEXEME_NOT_EQUAL) {
        *out = nb_value_number(equal == (op == NB_LEXEME_EQUAL));
        return true;
    }
    if (op != NB_LEXEME_ADD && op != NB_LEXEME_ADD_ASSIGN)
        return false;
    if (a->n_bytes + b->n_bytes > 1 << 20) {
        *status = nb_fail(error, NB_ERR_MEMORY, "a text of more than a megabyte is too long");
        return true;
    }
    char *joined = malloc(a->n_bytes + b->n_bytes + 1);
    if (joined) {
        memcpy(joined, a->bytes, a->n_bytes);
        memcpy(joined + a->n_bytes, b->bytes, b->n_bytes);
        *status = nb_value_text(joined, a->n_bytes + b->n_bytes, out, error);
    } else {
        *status = nb_fail(error, NB_ERR_MEMORY, "no memory to join two texts");
    }
    free(joined);
    return true;
}

static nb_status refuse_operands(nb_lexeme_kind op, const nb_value *left, const nb_value *right,
                                 nb_error *error)
{
    const char *hint =
        left->kind == NB_VALUE_TEXT && op == NB_LEXEME_ADD ? ": str(x) makes text of a number" : "";
    return nb_fail(error, NB_ERR_ARGUMENT, "%s does not work on %s and %s%s", nb_lexeme_name(op),
                   nb_value_describe(left).text, nb_value_describe(right).text, hint);
}

static nb_status matmul(nb_language *language, const nb_value *left, const nb_value *right, nb_value *out,
                        nb_error *error)
{
    if (left->kind != NB_VALUE_ARRAY || right->kind != NB_VALUE_ARRAY)
        return nb_fail(error, NB_ERR_ARGUMENT, "@ multiplies two arrays, not %s and %s",
                       nb_value_describe(left).text, nb_value_describe(right).text);
    nb_array *product = NULL;
    nb_status status = nb_array_matmul(&language->space, left->array, right->array, &product, error);
    if (status == NB_OK)
        *out = nb_value_array(product);
    return status;
}

nb_status nb_evaluate_binary(nb_language *language, nb_lexeme_kind token, const nb_value *left,
                             const nb_value *right, nb_value *out, nb_error *error)
{
    nb_binary op;
    nb_operand a, b;
    nb_status status = NB_OK;
    *out = (nb_value){0};
    if (token == NB_LEXEME_MATMUL)
        return matmul(language, left, right, out, error);
    if (left->kind == NB_VALUE_TEXT && right->kind == NB_VALUE_TEXT &&
        text_binary(token, left->text, right->text, out, &status, error))
        return status;
    if ((token == NB_LEXEME_EQUAL || token == NB_LEXEME_NOT_EQUAL) &&
        (left->kind == NB_VALUE_TEXT || right->kind == NB_VALUE_TEXT || left->kind == NB_VALUE_NONE ||
         right->kind == NB_VALUE_NONE)) {
        *out = nb_value_number((left->kind == right->kind) == (token == NB_LEXEME_EQUAL));
        return NB_OK;
    }
    if (!binary_of(token, &op) || !nb_value_operand(left, &a) || !nb_value_operand(right, &b))
        return refuse_operands(token, left, right, error);
    if (!a.array && !b.array) {
        const double number = nb_number_binary(op, a.number, b.number);
        *out = nb_value_number(token == NB_LEXEME_FLOOR_DIVIDE ? floor(number) : number);
        return NB_OK;
    }
    nb_array *result = NULL, *whole = NULL;
    status = nb_array_binary(&language->space, op, a, b, &result, error);
    if (status == NB_OK && token == NB_LEXEME_FLOOR_DIVIDE) {
        status = nb_array_unary(&language->space, NB_UNARY_FLOOR, result, &whole, error);
        nb_array_release(&result);
        result = whole;
    }
    if (status == NB_OK) {
        *out = nb_value_array(result);
        out->truth = gives_truth(op, left, right);
    }
    return status;
}

/* left == right +- tolerance: equal, or no farther apart than that. */
static nb_status within(nb_language *language, const nb_node *node, const nb_value *left,
                        const nb_value *right, nb_value *out, nb_error *error)
{
    nb_value tolerance = {0}, difference = {0}, near = {0}, equal = {0}, either = {0};
    nb_operand d;
    nb_status status = nb_evaluate(language, node->children[2], &tolerance, error);
    if (status == NB_OK)
        status = nb_evaluate_binary(language, NB_LEXEME_SUBTRACT, left, right, &difference, error);
    if (status == NB_OK && difference.kind == NB_VALUE_NUMBER) {
        difference.number = fabs(difference.number);
    } else if (status == NB_OK && nb_value_operand(&difference, &d)) {
        nb_array *distance = NULL;
        status = nb_array_unary(&language->space, NB_UNARY_ABS, d.array, &distance, error);
        nb_value_release(&difference);
        if (status == NB_OK)
            difference = nb_value_array(distance);
    }
    if (status == NB_OK)
        status = nb_evaluate_binary(language, NB_LEXEME_LESS_EQUAL, &difference, &tolerance, &near, error);
    if (status == NB_OK)
        status = nb_evaluate_binary(language, NB_LEXEME_EQUAL, left, right, &equal, error);
    if (status == NB_OK)
        status = nb_evaluate_binary(language, NB_LEXEME_OR, &near, &equal, &either, error);
    if (status == NB_OK && node->op == NB_LEXEME_NOT_EQUAL) {
        const nb_value zero = nb_value_number(0);
        status = nb_evaluate_binary(language, NB_LEXEME_EQUAL, &either, &zero, out, error);
    } else if (status == NB_OK) {
        *out = either;
        either = (nb_value){0};
    }
    nb_value *const gone[] = {&tolerance, &difference, &near, &equal, &either};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        nb_value_release(gone[i]);
    return status;
}

/* With a number on the left, the right side is looked at only if it matters. */
static bool is_decided(const nb_node *node, const nb_value *left)
{
    return left->kind == NB_VALUE_NUMBER && ((node->op == NB_LEXEME_AND && left->number == 0) ||
                                             (node->op == NB_LEXEME_OR && left->number != 0));
}

static nb_status evaluate_binary(nb_language *language, const nb_node *node, nb_value *out, nb_error *error)
{
    nb_value left = {0}, right = {0};
    nb_status status = nb_evaluate(language, node->children[0], &left, error);
    if (status == NB_OK && is_decided(node, &left)) {
        *out = nb_value_number(node->op == NB_LEXEME_OR);
        return NB_OK;
    }
    if (status == NB_OK)
        status = nb_evaluate(language, node->children[1], &right, error);
    if (status == NB_OK && node->n_children == 3)
        status = within(language, node, &left, &right, out, error);
    else if (status == NB_OK)
        status = nb_evaluate_binary(language, node->op, &left, &right, out, error);
    nb_value_release(&left);
    nb_value_release(&right);
    return status;
}

static nb_status evaluate_unary(nb_language *language, const nb_node *node, nb_value *out, nb_error *error)
{
    nb_value x = {0};
    nb_array *result = NULL;
    nb_status status = nb_evaluate(language, node->children[0], &x, error);
    const nb_unary op = node->op == NB_LEXEME_NOT ? NB_UNARY_NOT : NB_UNARY_NEGATE;
    if (status != NB_OK)
        return status;
    if (x.kind != NB_VALUE_NUMBER && x.kind != NB_VALUE_ARRAY) {
        status = nb_fail(error, NB_ERR_ARGUMENT, "%s takes a number or an array, not %s",
                         nb_lexeme_name(node->op), nb_value_describe(&x).text);
    } else if (node->op == NB_LEXEME_ADD) {
        *out = x;
        return NB_OK;
    } else if (x.kind == NB_VALUE_NUMBER) {
        *out = nb_value_number(nb_number_unary(op, x.number));
    } else {
        status = nb_array_unary(&language->space, op, x.array, &result, error);
        if (status == NB_OK) {
            *out = nb_value_array(result);
            out->truth = op == NB_UNARY_NOT;
        }
    }
    nb_value_release(&x);
    return status;
}

/* ---- arrays ---- */

static nb_status vector_of(nb_language *language, const nb_value *values, size_t n, nb_value *out,
                           nb_error *error)
{
    nb_array *array = NULL;
    nb_status status = nb_array_create(&language->space, 1, &n, &array, error);
    if (status != NB_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        array->data[i] = (float)values[i].number;
    *out = nb_value_array(array);
    return NB_OK;
}

/* Rows of one shape become an array with one dimension more. */
static nb_status stack(nb_language *language, const nb_value *values, size_t n, nb_value *out,
                       nb_error *error)
{
    const nb_array *first = values[0].array;
    size_t dims[NB_ARRAY_MAX_DIMS + 1] = {n};
    char a[96], b[96];
    for (size_t i = 1; i < n; i++) {
        const nb_array *row = values[i].array;
        if (row->n_dims != first->n_dims || memcmp(row->dims, first->dims, sizeof row->dims) != 0)
            return nb_fail(error, NB_ERR_ARGUMENT,
                           "the rows of an array have one shape: the first is %s and number %zu is %s",
                           nb_array_shape(first, a, sizeof a), i + 1, nb_array_shape(row, b, sizeof b));
    }
    if (first->n_dims == NB_ARRAY_MAX_DIMS)
        return nb_fail(error, NB_ERR_ARGUMENT, "an array has at most %d dimensions", NB_ARRAY_MAX_DIMS);
    memcpy(dims + 1, first->dims, (size_t)first->n_dims * sizeof *dims);
    nb_array *array = NULL;
    nb_status status = nb_array_create(&language->space, first->n_dims + 1, dims, &array, error);
    if (status != NB_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        if (first->size)
            memcpy(array->data + i * first->size, values[i].array->data, first->size * sizeof *array->data);
    *out = nb_value_array(array);
    return NB_OK;
}

/* Numbers make a vector, arrays of one shape a larger array, and texts among them a list. */
static nb_status gather(nb_language *language, nb_value *values, size_t n, nb_value *out, nb_error *error)
{
    size_t n_numbers = 0, n_arrays = 0;
    for (size_t i = 0; i < n; i++) {
        n_numbers += values[i].kind == NB_VALUE_NUMBER;
        n_arrays += values[i].kind == NB_VALUE_ARRAY;
    }
    if (n_numbers == n)
        return vector_of(language, values, n, out, error);
    if (n_arrays == n)
        return stack(language, values, n, out, error);
    if (n_numbers && n_arrays && n_numbers + n_arrays == n)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "an array holds numbers, or rows of one shape, not both: concat(a, b) joins");
    nb_value *held = values;
    for (size_t i = 0; i < n; i++)
        nb_value_retain(held[i]);
    return nb_value_list(held, n, out, error);
}

static nb_status evaluate_array(nb_language *language, const nb_node *node, nb_value *out, nb_error *error)
{
    nb_value *values = nb_calloc(node->n_children + 1, sizeof *values);
    if (!values)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu numbers", node->n_children);
    nb_status status = NB_OK;
    size_t n = 0;
    for (; status == NB_OK && n < node->n_children; n++)
        status = nb_evaluate(language, node->children[n], &values[n], error);
    if (status == NB_OK && node->kind == NB_NODE_LIST) {
        status = nb_value_list(values, n, out, error);
        n = 0; /* the list has them */
    } else if (status == NB_OK) {
        status = gather(language, values, n, out, error);
    }
    for (size_t i = 0; i < n; i++)
        nb_value_release(&values[i]);
    free(values);
    return status;
}

/* ---- all of them ---- */

static nb_status evaluate_index(nb_language *language, const nb_node *node, nb_value *out, nb_error *error)
{
    nb_value base = {0};
    nb_status status = nb_evaluate(language, node->children[0], &base, error);
    if (status == NB_OK)
        status = nb_subscript(language, &base, node, out, error);
    nb_value_release(&base);
    return status;
}

static nb_status evaluate(nb_language *language, const nb_node *node, nb_value *out, nb_error *error)
{
    switch (node->kind) {
    case NB_NODE_NUMBER:
        *out = nb_value_number(node->number);
        return NB_OK;
    case NB_NODE_TEXT:
        return nb_value_text(node->text, node->n_bytes, out, error);
    case NB_NODE_NAME:
        return nb_name_value(language, node->text, out, error);
    case NB_NODE_ARRAY:
    case NB_NODE_LIST:
        return evaluate_array(language, node, out, error);
    case NB_NODE_UNARY:
        return evaluate_unary(language, node, out, error);
    case NB_NODE_BINARY:
        return evaluate_binary(language, node, out, error);
    case NB_NODE_CALL:
        return nb_call_node(language, node, out, error);
    case NB_NODE_INDEX:
        return evaluate_index(language, node, out, error);
    default:
        return nb_fail(error, NB_ERR_ARGUMENT, "this is no expression");
    }
}

nb_status nb_evaluate(nb_language *language, const nb_node *node, nb_value *out, nb_error *error)
{
    *out = (nb_value){0};
    if (language->depth >= NB_DEEPEST)
        return nb_language_failed_at(
            language, node,
            nb_fail(error, NB_ERR_ARGUMENT,
                    "this goes too deep: a function that calls itself needs a case in which it does not"));
    language->depth++;
    const nb_status status = evaluate(language, node, out, error);
    language->depth--;
    return nb_language_failed_at(language, node, status);
}

nb_status nb_evaluate_condition(nb_language *language, const nb_node *node, bool *out, nb_error *error)
{
    nb_value value = {0};
    double number = 0;
    nb_status status = nb_evaluate(language, node, &value, error);
    if (status == NB_OK && !nb_value_is_number(&value, &number))
        status = nb_language_failed_at(
            language, node,
            nb_fail(error, NB_ERR_ARGUMENT, "a condition is one number, not %s%s",
                    nb_value_describe(&value).text,
                    value.kind == NB_VALUE_ARRAY ? ": any(...) or all(...) says which is meant" : ""));
    *out = number != 0;
    nb_value_release(&value);
    return status;
}
