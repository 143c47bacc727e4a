#include "quant/rotate.h"

#include "base/memory.h"
#include "quant/rewrite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t nb_rotate_block(size_t n_cols)
{
    uint32_t block = 1;
    while (n_cols % ((size_t)block * 2) == 0 && block < 1u << 30)
        block *= 2;
    return block >= NB_ROTATE_LEAST ? block : 0;
}

/* ---- what the samples show ---- */

typedef struct looker {
    nb_model *model;
    nb_rotated *rotated;
    const nb_change *changes; /* [n]: with the inputs that are to be */
    size_t n;
    double *squares; /* [n] */
    uint64_t *counts;
    float *turned; /* [widest] */
} looker;

static float largest_of(const float *x, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    return largest;
}

static void look_at(looker *l, size_t i, const nb_acts *x)
{
    nb_rotated *r = &l->rotated[i];
    for (size_t t = 0; t < x->n_tokens; t++) {
        const float *row = x->f32 + t * x->f32_stride;
        nb_input_apply(l->changes[i].input, row, l->turned);
        const float before = largest_of(row, x->n_cols), after = largest_of(l->turned, x->n_cols);
        r->before = before > r->before ? before : r->before;
        r->after = after > r->after ? after : r->after;
        for (size_t c = 0; c < x->n_cols; c++)
            l->squares[i] += (double)row[c] * (double)row[c];
    }
    l->counts[i] += (uint64_t)x->n_tokens * x->n_cols;
}

static void look(void *observer, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    looker *l = observer;
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < n_tensors; k++)
            if (tensors[k] == l->changes[i].tensor)
                look_at(l, i, x);
}

static nb_status find_activations(nb_model *model, const nb_samples *samples, nb_rotated *rotated,
                                  const nb_change *changes, size_t n, nb_error *error)
{
    size_t widest = 0;
    for (size_t i = 0; i < n; i++)
        widest = nb_max_size(widest, changes[i].tensor->n_cols);
    looker l = {.model = model, .rotated = rotated, .changes = changes, .n = n};
    l.squares = nb_calloc(n, sizeof *l.squares);
    l.counts = nb_calloc(n, sizeof *l.counts);
    l.turned = nb_calloc(widest, sizeof *l.turned);
    nb_status status = l.squares && l.counts && l.turned
                           ? nb_samples_read(model, samples, look, &l, error)
                           : nb_fail(error, NB_ERR_MEMORY, "no memory to look at activations");
    for (size_t i = 0; status == NB_OK && i < n; i++) {
        if (!isfinite(l.squares[i])) {
            status = nb_samples_refuse(changes[i].tensor->name, error);
            break;
        }
        const float rms = (float)sqrt(l.squares[i] / (double)(l.counts[i] > 0 ? l.counts[i] : 1));
        rotated[i].before = rms > 0 ? rotated[i].before / rms : 0;
        rotated[i].after = rms > 0 ? rotated[i].after / rms : 0;
    }
    free(l.squares);
    free(l.counts);
    free(l.turned);
    return status;
}

/* ---- the change ---- */

static nb_status turn(nb_model *model, nb_tensor *t, uint32_t block, uint64_t seed, const nb_input **out,
                      nb_error *error)
{
    nb_input *input = nb_input_create(t->n_cols);
    if (!input)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to rotate it", t->name);
    nb_status status = nb_input_set_hadamard(input, block, seed, error);
    if (status == NB_OK && t->input)
        input->scaling = t->input->scaling; /* one scale a token stays one scale a token */
    if (status == NB_OK)
        return nb_model_keep_input(model, &input, out, error);
    nb_input_destroy(&input);
    return status;
}

static nb_status check_tensor(const nb_model *model, const nb_tensor *t, nb_error *error)
{
    if (nb_input_has_basis(t->input))
        return nb_fail(error, NB_ERR_STATE, "%s is rotated already: undo takes that back", t->name);
    return nb_rewrite_check(model, t, error);
}

/* Fills in changes and rotated, and their number. */
static nb_status prepare(nb_model *model, uint64_t seed, nb_change *changes, nb_rotated *rotated, size_t *n,
                         nb_error *error)
{
    nb_status status = NB_OK;
    *n = 0;
    for (size_t i = 0; status == NB_OK && i < model->n_tensors; i++) {
        nb_tensor *t = &model->tensors[i];
        const uint32_t block = nb_rotate_block(t->n_cols);
        if (t->is_vector || t->layer < 0 || block == 0)
            continue;
        status = check_tensor(model, t, error);
        if (status != NB_OK)
            break;
        nb_change *c = &changes[*n];
        *c = (nb_change){.tensor = t,
                         .quantizer = t->quantizer,
                         .transforms = t->transforms,
                         .importance = t->importance,
                         .sqnr = NAN,
                         .measured = !isnan(t->sqnr)};
        rotated[(*n)++] = (nb_rotated){.tensor = i, .block = block};
        status = turn(model, t, block, seed, &c->input, error);
    }
    if (status == NB_OK && *n == 0)
        status = nb_fail(error, NB_ERR_UNSUPPORTED, "no matrix of this model has columns in a number that %d divides",
                         NB_ROTATE_LEAST);
    return status;
}

nb_status nb_model_rotate(nb_model *model, const nb_samples *samples, uint64_t seed, nb_rotated *made, size_t *n_made,
                          nb_error *error)
{
    *n_made = 0;
    nb_status status = nb_model_check(model, error);
    if (status != NB_OK)
        return status;
    nb_change *changes = nb_calloc(model->n_tensors, sizeof *changes);
    status = changes ? prepare(model, seed, changes, made, n_made, error)
                     : nb_fail(error, NB_ERR_MEMORY, "no memory to rotate the model");
    if (status == NB_OK)
        status = find_activations(model, samples, made, changes, *n_made, error);
    if (status == NB_OK)
        status = nb_model_change(model, "rotating", changes, *n_made, NULL, error);
    if (status != NB_OK)
        nb_model_drop_inputs(model);
    free(changes);
    return status;
}
