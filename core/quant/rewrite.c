#include "quant/rewrite.h"

#include "base/memory.h"
#include "model/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- norms and who reads them ---- */

static nb_tensor *tensor_at(const nb_layer *layer, size_t offset)
{
    return *(nb_tensor *const *)((const char *)layer + offset);
}

size_t nb_norm_count(const nb_model *model)
{
    return model->hparams.n_layers * model->architecture->n_norms;
}

nb_norm nb_norm_at(const nb_model *model, size_t index)
{
    const nb_layer *layer = &model->layers[index / model->architecture->n_norms];
    const nb_norm_readers *row = &model->architecture->norms[index % model->architecture->n_norms];
    nb_norm found = {.tensor = tensor_at(layer, row->norm),
                     .bias = row->has_bias ? tensor_at(layer, row->bias) : NULL,
                     .n_readers = row->n_readers};
    for (size_t i = 0; i < row->n_readers; i++)
        found.readers[i] = tensor_at(layer, row->readers[i]);
    return found;
}

/* ---- putting it together ---- */

nb_status nb_rewrite_begin(nb_rewrite *r, nb_model *model, const char *what, nb_error *error)
{
    *r = (nb_rewrite){.model = model};
    snprintf(r->what, sizeof r->what, "%s", what);
    r->parts = nb_calloc(model->n_tensors, sizeof *r->parts);
    r->changes = nb_calloc(model->n_tensors, sizeof *r->changes);
    return r->parts && r->changes ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
}

void nb_rewrite_free(nb_rewrite *r)
{
    for (size_t i = 0; r->parts && i < r->model->n_tensors; i++) {
        free(r->parts[i].columns);
        free(r->parts[i].rows);
    }
    free(r->parts);
    free(r->changes);
    nb_transforms_free(&r->made);
    *r = (nb_rewrite){0};
}

static nb_status check_tensor(const nb_model *model, const nb_tensor *t, bool anew, nb_error *error)
{
    nb_status status = nb_change_check_source(model, t, error);
    if (status != NB_OK)
        return status;
    if (t->simulated && !anew)
        return nb_fail(error, NB_ERR_STATE,
                       "%s is simulated by a function, which a transform cannot call again: restore it first", t->name);
    if (t->made && !anew)
        return nb_fail(error, NB_ERR_STATE,
                       "%s was made by a method (%s), which a transform cannot run again: restore it first", t->name,
                       t->made->provenance);
    if (!anew && t->input && (t->input->scales || t->input->scaling == NB_INPUT_STATIC))
        return nb_fail(error, NB_ERR_STATE,
                       "%s has static activations, measured on what a transform would change: restore it first", t->name);
    if (!anew && t->input && t->input->n_outliers > 0)
        return nb_fail(error, NB_ERR_STATE,
                       "%s has columns of outliers in f16, found in what a transform would change: restore it first", t->name);
    if (t->source_format && t->source_format->kind == NB_FORMAT_BLOCK)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s came as %s, which cannot hold other numbers without being quantized again; load the model "
                       "in f16 or bf16 to transform it",
                       t->name, t->source_format->name);
    return NB_OK;
}

nb_status nb_rewrite_check(const nb_model *model, const nb_tensor *tensor, nb_error *error)
{
    return check_tensor(model, tensor, false, error);
}

static bool is_anew(const nb_rewrite *r, const nb_tensor *t)
{
    return r->anew && r->anew[t - r->model->tensors];
}

/* Multiplies *into, which is made of ones if it is not there yet: [n], of which factors[n_factors] are from `first` on. */
static nb_status multiply(const nb_tensor *t, float **into, size_t n, size_t first, size_t n_factors,
                          const float *factors, nb_error *error)
{
    if (!*into) {
        *into = nb_calloc(n, sizeof **into);
        if (!*into)
            return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to transform it", t->name);
        for (size_t i = 0; i < n; i++)
            (*into)[i] = 1.0f;
    }
    for (size_t i = 0; i < n_factors; i++)
        (*into)[first + i] *= factors[i];
    return NB_OK;
}

nb_status nb_rewrite_columns(nb_rewrite *r, nb_tensor *t, const float *factors, nb_error *error)
{
    nb_status status = check_tensor(r->model, t, is_anew(r, t), error);
    if (status == NB_OK)
        status = multiply(t, &r->parts[t - r->model->tensors].columns, t->n_cols, 0, t->n_cols, factors, error);
    return status;
}

nb_status nb_rewrite_rows(nb_rewrite *r, nb_tensor *t, size_t first, size_t n, const float *factors, nb_error *error)
{
    nb_rewrite_part *part = &r->parts[t - r->model->tensors];
    nb_status status = check_tensor(r->model, t, is_anew(r, t), error);
    if (status == NB_OK && t->is_vector)
        status = multiply(t, &part->columns, t->n_cols, first, n, factors, error);
    else if (status == NB_OK)
        status = multiply(t, &part->rows, t->n_rows, first, n, factors, error);
    return status;
}

nb_status nb_rewrite_norm(nb_rewrite *r, const nb_norm *n, const float *gains, const float *inverses, nb_error *error)
{
    nb_status status = nb_rewrite_columns(r, n->tensor, gains, error);
    if (status == NB_OK && n->bias)
        status = nb_rewrite_columns(r, n->bias, gains, error);
    for (size_t i = 0; status == NB_OK && i < n->n_readers; i++)
        status = nb_rewrite_columns(r, n->readers[i], inverses, error);
    return status;
}

/* ---- as one change ---- */

nb_status nb_rewrite_finish(nb_rewrite *r, nb_error *error)
{
    for (size_t i = 0; i < r->model->n_tensors; i++) {
        nb_tensor *t = &r->model->tensors[i];
        const nb_rewrite_part *part = &r->parts[i];
        if (!part->columns && !part->rows)
            continue;
        const nb_transform *transform = nb_transform_create(t->transforms, r->what, part->columns, t->n_cols,
                                                            part->rows, t->n_rows, &r->made);
        if (!transform)
            return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to transform it", t->name);
        r->changes[r->n_changes++] = (nb_change){.tensor = t,
                                                 .quantizer = t->quantizer,
                                                 .transforms = transform,
                                                 .importance = t->importance,
                                                 .input = t->input,
                                                 .sqnr = NAN,
                                                 .measured = !t->is_vector && !isnan(t->sqnr)};
    }
    return NB_OK;
}

nb_status nb_rewrite_apply(nb_rewrite *r, nb_error *error)
{
    nb_status status = nb_rewrite_finish(r, error);
    if (status == NB_OK)
        status = nb_model_change(r->model, "transforming", r->changes, r->n_changes, &r->made, error);
    return status;
}
