/* quantize SCOPE with FUNCTION: a quantizer of the learner's own, run for real. */
#include "repl/commands/quantize.h"

#include "repl/describe.h"
#include "repl/language/language.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the function gave must be what the model can take in the tensor's place. */
static nb_status check_result(const char *function, const nb_tensor *tensor, const nb_value *result,
                              nb_error *error)
{
    const bool matrix = result->kind == NB_VALUE_ARRAY && result->array->n_dims == 2;
    if (matrix && result->array->dims[0] == tensor->n_rows && result->array->dims[1] == tensor->n_cols)
        return NB_OK;
    return nb_fail(error, NB_ERR_ARGUMENT, "%.40s(%s) gave %s, and the tensor is %s: nothing was changed",
                   function, tensor->name, nb_value_describe(result).text, nb_describe_shape(tensor).text);
}

static nb_status call_on(nb_notebook *notebook, const char *function, const nb_tensor *tensor, nb_items *out,
                         float **values, nb_error *error)
{
    nb_value original = {0}, result = {0};
    nb_error why = {""};
    nb_status status = nb_language_tensor(notebook->language, tensor->name, true, &original, error);
    if (status != NB_OK)
        return status;
    status = nb_language_apply(notebook->language, function, &original, out, &result, &why);
    if (status != NB_OK && status != NB_ERR_CANCELLED)
        nb_fail(error, status, "%s: %.300s: nothing was changed", tensor->name, why.text);
    else if (status != NB_OK)
        nb_fail(error, status, "%s", why.text);
    if (status == NB_OK)
        status = check_result(function, tensor, &result, error);
    if (status == NB_OK) {
        *values = nb_calloc(tensor->n_rows * tensor->n_cols, sizeof **values);
        if (*values)
            memcpy(*values, result.array->data, result.array->size * sizeof **values);
        else
            status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to keep what %.40s made of it",
                             tensor->name, function);
    }
    nb_value_release(&original);
    nb_value_release(&result);
    return status;
}

static void report(const nb_notebook *notebook, const char *function, const nb_scope *scope,
                   const nb_tensor_loss *losses, nb_items *out)
{
    double total = 0;
    size_t worst = 0, n_finite = 0;
    for (size_t i = 0; i < scope->count; i++) {
        if (isfinite(losses[i].sqnr)) {
            total += losses[i].sqnr;
            n_finite++;
        }
        if (losses[i].sqnr < losses[worst].sqnr)
            worst = i;
    }
    nb_items_text(out,
                  "%zu tensor%s · by " NB_STRONG "%s" NB_END
                  " · simulated, runs as f32 (the size does not change)",
                  scope->count, scope->count == 1 ? "" : "s", function);
    const char *name = nb_model_tensor(notebook->model, scope->tensors[worst])->name;
    if (n_finite == 0)
        nb_items_text(out, "Nothing was lost: every number is what it was.");
    else if (scope->count == 1)
        nb_items_text(out, "SQNR %s dB.   " NB_COMMAND "hist %s" NB_END "   shows it",
                      nb_describe_sqnr(losses[0].sqnr).text, name);
    else
        nb_items_text(out,
                      "SQNR %s dB on average; worst: %s, %s dB.   " NB_COMMAND "hist %s" NB_END "   shows it",
                      nb_fixed(total / (double)n_finite, 1).text, name,
                      nb_describe_sqnr(losses[worst].sqnr).text, name);
    if (*scope->left)
        nb_items_text(out, "In high precision stay: %s.", scope->left);
    if (notebook->n_undo_lines <= 1)
        nb_items_text(out, NB_MUTED "Now: " NB_END NB_COMMAND "compare" NB_END NB_MUTED
                                    " sets it beside the original" NB_END);
}

/* Takes over `values` and what it holds. */
static nb_status store(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, float **values,
                       nb_items *out, nb_error *error)
{
    nb_tensor_loss *losses = nb_calloc(scope->count, sizeof *losses);
    if (!losses) {
        for (size_t i = 0; i < scope->count; i++)
            free(values[i]);
        free(values);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for what was lost");
    }
    nb_status status = nb_model_simulate(notebook->model, scope, values, losses, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        report(notebook, call->arguments[2], scope, losses, out);
    }
    free(losses);
    return status;
}

nb_status nb_quantize_with(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, nb_items *out,
                           nb_error *error)
{
    float **values = nb_calloc(scope->count + 1, sizeof *values);
    if (!values)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu tensors", scope->count);
    nb_status status = nb_quantize_know_speed(notebook, error);
    for (size_t i = 0; status == NB_OK && i < scope->count; i++) {
        const nb_tensor *tensor = nb_model_tensor(notebook->model, scope->tensors[i]);
        status =
            nb_context_tick(notebook->context, "calling your function", i, scope->count, "tensors", error);
        if (status == NB_OK)
            status = call_on(notebook, call->arguments[2], tensor, out, &values[i], error);
    }
    if (status == NB_OK)
        return store(notebook, call, scope, values, out, error);
    for (size_t i = 0; i < scope->count; i++)
        free(values[i]);
    free(values);
    return status;
}
