#include "quant/outliers.h"

#include "base/memory.h"
#include "base/print.h"
#include "model/state.h"
#include "quant/transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

size_t nb_outlier_columns(const nb_calibration_entry *entry, double threshold, uint32_t *columns)
{
    size_t n = 0;
    for (size_t k = 0; k < entry->n_cols; k++)
        if ((double)entry->channel_max[k] >= threshold) {
            if (columns)
                columns[n] = (uint32_t)k;
            n++;
        }
    return n;
}

typedef struct plan {
    nb_model *model;
    const nb_calibration *calibration;
    nb_activation_mode mode;
    double threshold;
} plan;

/* Adds the tensor's outliers, of which there are n, to its input, which is made if there is none. */
static nb_status add_outliers(const plan *p, const nb_tensor *t, const nb_calibration_entry *entry, size_t n,
                              nb_input **input, nb_error *error)
{
    char number[32], text[NB_INPUT_WHAT - 48];
    uint32_t *columns = nb_calloc(n, sizeof *columns);
    if (!*input)
        *input = nb_input_create(t->n_cols);
    if (!columns || !*input) {
        free(columns);
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for %zu outliers", t->name, n);
    }
    nb_outlier_columns(entry, p->threshold, columns);
    snprintf((*input)->what, sizeof (*input)->what, "%s and more in %s, digest %08" PRIx32,
             nb_print_general(number, sizeof number, p->threshold, 4),
             nb_calibration_describe(p->calibration, text, sizeof text), (uint32_t)p->calibration->text_digest);
    nb_status status = nb_input_set_outliers(*input, columns, n, error);
    free(columns);
    return status;
}

/* How a tensor is stored, and what it does with its activations; NULL where that is nothing. */
static nb_status make_input(const plan *p, size_t tensor, nb_quantizer *quantizer, nb_input **out, nb_error *error)
{
    const nb_tensor *t = &p->model->tensors[tensor];
    const nb_calibration_entry *entry = nb_calibration_find(p->calibration, tensor);
    if (!entry)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s multiplies nothing: its rows are looked up", t->name);
    const size_t n = nb_outlier_columns(entry, p->threshold, NULL);
    if (n == t->n_cols) {
        *quantizer = nb_quantizer_of(&nb_format_f16);
        return NB_OK;
    }
    nb_status status = nb_activation_input(p->model, tensor, p->mode, p->calibration, NB_OBSERVER_MINMAX, NULL, out, error);
    return status == NB_OK && n > 0 ? add_outliers(p, t, entry, n, out, error) : status;
}

static nb_status check(const plan *p, const nb_quantizer *quantizer, nb_error *error)
{
    nb_status status = nb_quantizer_check(quantizer, error);
    if (status == NB_OK && (quantizer->format->kind != NB_FORMAT_INT || !nb_quantizer_wants_int8(quantizer)))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "outliers are taken out of int8 activations; %s has none: try int8 --per channel",
                       quantizer->format->name);
    if (status == NB_OK && p->mode != NB_ACTIVATION_BLOCKS && p->mode != NB_ACTIVATION_TOKENS)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "outliers go with scales that follow the token; static ones are made for what outliers are there");
    if (status == NB_OK && !(p->threshold > 0))
        return nb_fail(error, NB_ERR_ARGUMENT, "an outlier is at least some size above 0; the paper's is 6");
    if (status == NB_OK)
        status = nb_calibration_check(p->calibration, p->model, error);
    return status;
}

nb_status nb_model_quantize_outliers(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer,
                                     nb_activation_mode mode, const nb_calibration *calibration, double threshold,
                                     nb_tensor_loss *losses, nb_error *error)
{
    const plan p = {model, calibration, mode, threshold};
    nb_status status = check(&p, quantizer, error);
    nb_input **inputs = nb_calloc(scope->count + 1, sizeof(nb_input *));
    nb_quantizer *quantizers = nb_calloc(scope->count + 1, sizeof *quantizers);
    if (status == NB_OK && (!inputs || !quantizers))
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors; nothing was changed", scope->count);
    for (size_t i = 0; status == NB_OK && i < scope->count; i++) {
        quantizers[i] = *quantizer;
        status = make_input(&p, scope->tensors[i], &quantizers[i], &inputs[i], error);
    }
    if (status == NB_OK)
        status = nb_change_quantize(model, scope, quantizers, 1, NULL, inputs, losses, error);
    for (size_t i = 0; inputs && i < scope->count; i++)
        nb_input_destroy(&inputs[i]);
    free(inputs);
    free(quantizers);
    return status;
}
