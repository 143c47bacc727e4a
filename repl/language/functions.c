/* The table of functions, and what their rows say. */
#include "repl/language/functions.h"

#include "repl/describe.h"
#include "repl/draft.h"
#include "repl/language/machine.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const nb_function_row nb_functions_math[], nb_functions_array[], nb_functions_quantize[],
    nb_functions_model[], nb_functions_text[], nb_functions_file[];
extern const size_t nb_n_functions_math, nb_n_functions_array, nb_n_functions_quantize, nb_n_functions_model,
    nb_n_functions_text, nb_n_functions_file;

static const struct {
    const nb_function_row *rows;
    const size_t *count;
} tables[] = {
    {nb_functions_math, &nb_n_functions_math},         {nb_functions_array, &nb_n_functions_array},
    {nb_functions_quantize, &nb_n_functions_quantize}, {nb_functions_model, &nb_n_functions_model},
    {nb_functions_text, &nb_n_functions_text},         {nb_functions_file, &nb_n_functions_file},
};
enum { N_TABLES = sizeof tables / sizeof *tables };

size_t nb_function_count(void)
{
    size_t n = 0;
    for (size_t t = 0; t < N_TABLES; t++)
        n += *tables[t].count;
    return n;
}

const nb_function_row *nb_function_at(size_t index)
{
    size_t t = 0;
    while (t + 1 < N_TABLES && index >= *tables[t].count)
        index -= *tables[t++].count;
    return &tables[t].rows[index];
}

const nb_function_row *nb_function_find(const char *name)
{
    for (size_t t = 0; t < N_TABLES; t++) {
        for (size_t i = 0; i < *tables[t].count; i++) {
            if (strcmp(tables[t].rows[i].name, name) == 0)
                return &tables[t].rows[i];
        }
    }
    return NULL;
}

const char *nb_function_name(const nb_function_row *row)
{
    return row->name;
}

bool nb_function_parameter(const nb_function_row *row, size_t index, nb_parameter *out)
{
    const char *at = strchr(row->usage, '(') + 1;
    *out = (nb_parameter){0};
    for (size_t i = 0;;) {
        const size_t n = strcspn(at, ",)");
        if (n == 0)
            return false;
        /* "..." stands for more of what is before it, and is no parameter of its own */
        const char *next = at + n;
        const bool several = strncmp(next, ", ...", 5) == 0;
        if (several)
            next += 5;
        if (i == index) {
            const size_t name = strcspn(at, "=,)");
            snprintf(out->name, sizeof out->name, "%.*s", (int)name, at);
            out->optional = at[name] == '=';
            out->several = several;
            return true;
        }
        if (*next == ')')
            return false;
        at = next + 2;
        i++;
    }
}

/* ---- arguments ---- */

nb_status nb_argument_refuse(const nb_application *call, size_t index, const char *wanted, nb_error *error)
{
    nb_parameter parameter;
    nb_function_parameter(call->row, index, &parameter);
    return nb_fail(error, NB_ERR_ARGUMENT, "%s: %s is %s, not %s", call->row->name, parameter.name, wanted,
                   nb_value_describe(&call->values[index]).text);
}

nb_status nb_argument_number(const nb_application *call, size_t index, double *out, nb_error *error)
{
    return nb_value_is_number(&call->values[index], out) ? NB_OK
                                                         : nb_argument_refuse(call, index, "a number", error);
}

nb_status nb_argument_whole(const nb_application *call, size_t index, double low, double high, double *out,
                            nb_error *error)
{
    nb_status status = nb_argument_number(call, index, out, error);
    if (status == NB_OK && !(*out == rint(*out) && *out >= low && *out <= high)) {
        nb_parameter parameter;
        nb_function_parameter(call->row, index, &parameter);
        status = nb_fail(error, NB_ERR_ARGUMENT, "%s: %s is a whole number from %s to %s, not %s",
                         call->row->name, parameter.name, nb_general(low, 16).text, nb_general(high, 16).text,
                         nb_general(*out, 8).text);
    }
    return status;
}

nb_status nb_argument_text(const nb_application *call, size_t index, const char **out, nb_error *error)
{
    if (call->values[index].kind != NB_VALUE_TEXT)
        return nb_argument_refuse(call, index, "text in quotes", error);
    *out = call->values[index].text->bytes;
    return NB_OK;
}

nb_status nb_argument_operand(const nb_application *call, size_t index, nb_operand *out, nb_error *error)
{
    return nb_value_operand(&call->values[index], out)
               ? NB_OK
               : nb_argument_refuse(call, index, "a number or an array", error);
}

nb_status nb_argument_array(const nb_application *call, size_t index, nb_array **out, nb_error *error)
{
    const nb_value *value = &call->values[index];
    if (value->kind == NB_VALUE_ARRAY) {
        *out = nb_array_retain(value->array);
        return NB_OK;
    }
    if (value->kind == NB_VALUE_NUMBER)
        return nb_array_from(&call->language->space, &value->number, 1, out, error);
    return nb_argument_refuse(call, index, "a number or an array", error);
}

/* ---- help ---- */

static const nb_column list_columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static const struct {
    const char *what, *text;
} grammar[] = {
    {"Operators", "+ - * / // % ^ @   == != < <= > >=   and or not   x == y +- t"},
    {"Parts", "W[0, :]  x[-1]  x[::2]  x[x > 1]  x[[0, 2]]  x[0] = 5"},
    {"Of your own", "def f(x, bits=4) = x * bits"},
    {"Over lines", "def f(x) ... return x ... end    if c ... elif c ... else ... end"},
    {"", "for i in range(3) ... end    while c ... end    break  continue"},
    {"Results", "_ is the last one, _3 that of cell 3; a line that ends in ; hides its own"},
};

/* A group a row: help must fit a screen. */
void nb_function_list(nb_items *out)
{
    const char *group = "";
    nb_draft names = {0};
    nb_items_table(out, list_columns, 2);
    for (size_t i = 0, n = nb_function_count(); i <= n; i++) {
        const nb_function_row *row = i < n ? nb_function_at(i) : NULL;
        if ((!row || strcmp(group, row->group) != 0) && names.n_bytes) {
            nb_items_row(out);
            nb_items_cell(out, 0, NB_MUTED "%s" NB_END, group);
            nb_items_cell(out, 1, "%s", nb_draft_text(&names));
            nb_draft_free(&names);
        }
        if (!row)
            break;
        group = row->group;
        nb_draft_addf(&names, "%s" NB_COMMAND "%s" NB_END, names.n_bytes ? " " : "", row->name);
    }
    nb_draft_free(&names);
    nb_items_table(out, list_columns, 2);
    for (size_t i = 0; i < sizeof grammar / sizeof *grammar; i++) {
        nb_items_row(out);
        nb_items_cell(out, 0, NB_MUTED "%s" NB_END, grammar[i].what);
        nb_items_cell(out, 1, "%s", grammar[i].text);
    }
    nb_items_text(out, NB_COMMAND "?clamp" NB_END " tells more about one");
}

void nb_function_describe(const nb_function_row *row, nb_items *out)
{
    nb_items_text(out, NB_STRONG "%s" NB_END "\n%s", row->usage, row->summary);
    nb_items_text(out, "For example: " NB_COMMAND "%s" NB_END "%s%s", row->example,
                  row->gives ? "  gives  " : "", row->gives ? row->gives : "");
}
