#include "repl/language/machine.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

nb_value *nb_variables_find(const nb_variables *variables, const char *name)
{
    for (size_t i = 0; i < variables->count; i++) {
        if (strcmp(variables->items[i].name, name) == 0)
            return &variables->items[i].value;
    }
    return NULL;
}

nb_status nb_variables_set(nb_variables *variables, const char *name, nb_value value, nb_error *error)
{
    nb_value *known = nb_variables_find(variables, name);
    if (known) {
        nb_value_release(known);
        *known = value;
        return NB_OK;
    }
    if (variables->count == variables->capacity) {
        const size_t capacity = variables->capacity ? 2 * variables->capacity : 8;
        nb_variable *items = nb_realloc(variables->items, capacity, sizeof *items);
        if (items) {
            variables->items = items;
            variables->capacity = capacity;
        }
    }
    char *copy = variables->count < variables->capacity ? nb_strdup(name) : NULL;
    if (!copy) {
        nb_value_release(&value);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the variable %.60s", name);
    }
    variables->items[variables->count++] = (nb_variable){copy, value};
    return NB_OK;
}

nb_status nb_variables_copy(const nb_variables *from, nb_variables *to, nb_error *error)
{
    *to = (nb_variables){0};
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < from->count; i++)
        status = nb_variables_set(to, from->items[i].name, nb_value_retain(from->items[i].value), error);
    if (status != NB_OK)
        nb_variables_free(to);
    return status;
}

void nb_variables_free(nb_variables *variables)
{
    for (size_t i = 0; i < variables->count; i++) {
        free(variables->items[i].name);
        nb_value_release(&variables->items[i].value);
    }
    free(variables->items);
    *variables = (nb_variables){0};
}
