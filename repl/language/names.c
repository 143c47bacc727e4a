/* What names mean: variables, constants, functions, tensors of the model. */
#include "repl/language/machine.h"

#include "repl/nearest.h"
#include "repl/notebook.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    double value;
} constants[] = {
    {"pi", 3.14159265358979323846},
    {"inf", (double)INFINITY},
    {"nan", (double)NAN},
    {"true", 1},
    {"false", 0},
    {"True", 1},
    {"False", 0},
};
enum { N_CONSTANTS = sizeof constants / sizeof *constants };

nb_value *nb_name_variable(const nb_language *language, const char *name)
{
    nb_value *local = language->locals ? nb_variables_find(language->locals, name) : NULL;
    return local ? local : nb_variables_find(&language->globals, name);
}

/* ---- results of earlier cells ---- */

static nb_status find_result(const nb_language *language, const char *name, nb_value *out, nb_error *error)
{
    const size_t n = language->n_results;
    if (name[1] == '\0') {
        if (n == 0)
            return nb_fail(error, NB_ERR_ARGUMENT, "_ is the last result, and there is none yet");
        *out = nb_value_retain(language->results[n - 1].value);
        return NB_OK;
    }
    const unsigned long cell = strtoul(name + 1, NULL, 10);
    for (size_t i = 0; i < n; i++) {
        if (language->results[i].cell == cell) {
            *out = nb_value_retain(language->results[i].value);
            return NB_OK;
        }
    }
    return nb_fail(error, NB_ERR_ARGUMENT, "%s is the result of cell %lu, which has none that was kept", name,
                   cell);
}

static bool is_result(const char *name)
{
    return name[0] == '_' && strspn(name + 1, "0123456789") == strlen(name + 1) && strlen(name) < 10;
}

/* ---- tensors ---- */

nb_status nb_name_tensor(nb_language *language, const char *name, bool original, nb_value *out,
                         nb_error *error)
{
    const nb_notebook *notebook = language->notebook;
    const nb_tensor *tensor;
    *out = (nb_value){0};
    if (!notebook->model)
        return nb_fail(error, NB_ERR_STATE, "%.80s needs a model, and none is loaded yet: load FILE", name);
    nb_status status = nb_notebook_tensor(notebook, name, &tensor, error);
    if (status == NB_OK)
        status = nb_model_check(notebook->model, error);
    if (status == NB_OK && original && !tensor->is_vector && !tensor->source_format)
        status = nb_fail(error, NB_ERR_STATE, "%s: its file holds it only as it is stored now", tensor->name);
    if (status != NB_OK)
        return status;
    const size_t dims[2] = {tensor->is_vector ? tensor->n_cols : tensor->n_rows, tensor->n_cols};
    nb_array *array = NULL;
    status = nb_array_create(&language->space, tensor->is_vector ? 1 : 2, dims, &array, error);
    const size_t n_rows = tensor->is_vector ? 1 : tensor->n_rows;
    for (size_t row = 0; status == NB_OK && row < n_rows; row++) {
        float *to = array->data + row * tensor->n_cols;
        if (original)
            nb_tensor_source_row(tensor, row, to);
        else
            nb_tensor_current_row(tensor, row, to);
        if (row % 256 == 255)
            status = nb_language_check_stop(language, error);
    }
    if (status == NB_OK)
        *out = nb_value_array(array);
    else
        nb_array_release(&array);
    return status;
}

/* ---- all of them ---- */

static void offer_names(const nb_language *language, bool function, nb_nearest *nearest)
{
    const nb_variables *tables[] = {language->locals, &language->globals};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; tables[t] && i < tables[t]->count; i++) {
            const nb_variable *variable = &tables[t]->items[i];
            if (!function || variable->value.kind == NB_VALUE_FUNCTION)
                nb_nearest_offer(nearest, variable->name);
        }
    }
    for (size_t i = 0; i < nb_function_count(); i++)
        nb_nearest_offer(nearest, nb_function_at(i)->name);
    if (function)
        return;
    for (size_t i = 0; i < N_CONSTANTS; i++)
        nb_nearest_offer(nearest, constants[i].name);
    for (size_t i = 0; i < nb_command_count(); i++)
        nb_nearest_offer(nearest, nb_command_at(i)->name);
    const nb_model *model = language->notebook->model;
    for (size_t i = 0; model && i < nb_model_tensor_count(model); i++)
        nb_nearest_offer(nearest, nb_model_tensor(model, i)->name);
}

/* x.shape and np.round(x), as they are written elsewhere. */
static const nb_function_row *function_behind_dot(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? nb_function_find(dot + 1) : NULL;
}

nb_status nb_name_unknown(const nb_language *language, const char *name, bool function, nb_error *error)
{
    nb_nearest nearest;
    const nb_function_row *row = function_behind_dot(name);
    if (row)
        return nb_fail(error, NB_ERR_ARGUMENT, "functions stand alone here: %s, not %.80s", row->usage, name);
    nb_nearest_start(&nearest, name);
    offer_names(language, function, &nearest);
    if (nearest.best && function)
        return nb_fail(error, NB_ERR_ARGUMENT, "no function \"%.80s\": did you mean %.80s?", name,
                       nearest.best);
    if (nearest.best && strchr(name, '.'))
        return nb_fail(error, NB_ERR_ARGUMENT, "no tensor \"%.80s\": did you mean %.80s?", name,
                       nearest.best);
    if (nearest.best)
        return nb_fail(error, NB_ERR_ARGUMENT, "nothing is called \"%.80s\": did you mean %.80s?", name,
                       nearest.best);
    if (function)
        return nb_fail(error, NB_ERR_ARGUMENT, "no function \"%.80s\": help functions lists them", name);
    if (!strchr(name, '.'))
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "nothing is called \"%.80s\": %.40s = ... would make it a variable; help lists the commands",
            name, name);
    if (!language->notebook->model)
        return nb_fail(error, NB_ERR_STATE,
                       "%.80s looks like a tensor, and no model is loaded yet: load FILE", name);
    return nb_fail(error, NB_ERR_ARGUMENT, "no tensor \"%.80s\" in this model: layers lists them", name);
}

nb_status nb_name_value(nb_language *language, const char *name, nb_value *out, nb_error *error)
{
    const nb_value *variable = nb_name_variable(language, name);
    if (variable) {
        *out = nb_value_retain(*variable);
        return NB_OK;
    }
    if (is_result(name))
        return find_result(language, name, out, error);
    for (size_t i = 0; i < N_CONSTANTS; i++) {
        if (strcmp(constants[i].name, name) == 0) {
            *out = nb_value_number(constants[i].value);
            return NB_OK;
        }
    }
    const nb_function_row *row = nb_function_find(name);
    if (row)
        return nb_function_of_row(row, out, error);
    const nb_model *model = language->notebook->model;
    if (model && nb_model_find_tensor(model, name) >= 0)
        return nb_name_tensor(language, name, false, out, error);
    return nb_name_unknown(language, name, false, error);
}
