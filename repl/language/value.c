#include "repl/language/value.h"

#include "base/memory.h"
#include "repl/language/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

nb_value nb_value_array(nb_array *array)
{
    if (array->n_dims > 0)
        return (nb_value){.kind = NB_VALUE_ARRAY, .array = array};
    const double number = (double)array->data[0];
    nb_array_release(&array);
    return nb_value_number(number);
}

nb_status nb_value_text(const char *text, size_t n_bytes, nb_value *out, nb_error *error)
{
    *out = (nb_value){0};
    size_t size;
    nb_text *made = nb_add_size(sizeof *made + 1, n_bytes, &size) ? nb_calloc(1, size) : NULL;
    if (!made)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a text of %zu bytes", n_bytes);
    made->n_references = 1;
    made->n_bytes = n_bytes;
    if (n_bytes)
        memcpy(made->bytes, text, n_bytes);
    *out = (nb_value){.kind = NB_VALUE_TEXT, .text = made};
    return NB_OK;
}

nb_status nb_value_list(const nb_value *values, size_t count, nb_value *out, nb_error *error)
{
    *out = (nb_value){0};
    nb_list *list = nb_calloc(1, sizeof *list + count * sizeof *values);
    if (!list) {
        for (size_t i = 0; i < count; i++) {
            nb_value gone = values[i];
            nb_value_release(&gone);
        }
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu values", count);
    }
    list->n_references = 1;
    list->count = count;
    if (count)
        memcpy(list->values, values, count * sizeof *values);
    *out = (nb_value){.kind = NB_VALUE_LIST, .list = list};
    return NB_OK;
}

nb_value nb_value_retain(nb_value value)
{
    switch (value.kind) {
    case NB_VALUE_TEXT:
        value.text->n_references++;
        break;
    case NB_VALUE_ARRAY:
        nb_array_retain(value.array);
        break;
    case NB_VALUE_FUNCTION:
        value.function->n_references++;
        break;
    case NB_VALUE_LIST:
        value.list->n_references++;
        break;
    case NB_VALUE_NONE:
    case NB_VALUE_NUMBER:
        break;
    }
    return value;
}

static void release_function(nb_function *function)
{
    if (--function->n_references)
        return;
    nb_tree_release(&function->tree);
    free(function);
}

static void release_list(nb_list *list)
{
    if (--list->n_references)
        return;
    for (size_t i = 0; i < list->count; i++)
        nb_value_release(&list->values[i]);
    free(list);
}

void nb_value_release(nb_value *value)
{
    const nb_value gone = *value;
    *value = (nb_value){0};
    nb_array *array = gone.kind == NB_VALUE_ARRAY ? gone.array : NULL;
    nb_array_release(&array);
    if (gone.kind == NB_VALUE_TEXT && --gone.text->n_references == 0)
        free(gone.text);
    else if (gone.kind == NB_VALUE_FUNCTION)
        release_function(gone.function);
    else if (gone.kind == NB_VALUE_LIST)
        release_list(gone.list);
}

nb_kind_text nb_value_describe(const nb_value *value)
{
    nb_kind_text out;
    char shape[96];
    switch (value->kind) {
    case NB_VALUE_NONE:
        snprintf(out.text, sizeof out.text, "nothing");
        break;
    case NB_VALUE_NUMBER:
        snprintf(out.text, sizeof out.text, "a number");
        break;
    case NB_VALUE_TEXT:
        snprintf(out.text, sizeof out.text, "text");
        break;
    case NB_VALUE_ARRAY:
        nb_array_shape(value->array, shape, sizeof shape);
        if (value->array->n_dims == 1)
            snprintf(out.text, sizeof out.text, "an array of %s", shape);
        else
            snprintf(out.text, sizeof out.text, "a %s array", shape);
        break;
    case NB_VALUE_FUNCTION:
        snprintf(out.text, sizeof out.text, "a function");
        break;
    case NB_VALUE_LIST:
        snprintf(out.text, sizeof out.text, "a list of %zu", value->list->count);
        break;
    }
    return out;
}

bool nb_value_holds(const nb_value *value)
{
    if (value->kind == NB_VALUE_NUMBER)
        return value->number != 0;
    if (value->kind != NB_VALUE_ARRAY || value->array->size == 0)
        return false;
    for (size_t i = 0; i < value->array->size; i++) {
        if (value->array->data[i] == 0)
            return false;
    }
    return true;
}

bool nb_value_is_number(const nb_value *value, double *number)
{
    if (value->kind == NB_VALUE_NUMBER)
        *number = value->number;
    else if (value->kind == NB_VALUE_ARRAY && value->array->size == 1)
        *number = (double)value->array->data[0];
    else
        return false;
    return true;
}

bool nb_value_operand(const nb_value *value, nb_operand *operand)
{
    if (value->kind == NB_VALUE_NUMBER)
        *operand = nb_operand_number(value->number);
    else if (value->kind == NB_VALUE_ARRAY)
        *operand = nb_operand_of(value->array);
    else
        return false;
    return true;
}
