#include "quant/gptq_model.h"

#include "base/memory.h"
#include "base/print.h"
#include "model/state.h"
#include "quant/hessian.h"
#include "quant/transaction.h"
#include "quant/walk.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Matrices of a block that read the same activations, in the order in which these come about. */
enum { MOST_READERS = 4, N_PLACES = 4 };
#define NONE SIZE_MAX
static const size_t places[N_PLACES][MOST_READERS] = {
    {offsetof(nb_layer, attn_q), offsetof(nb_layer, attn_k), offsetof(nb_layer, attn_v), offsetof(nb_layer, attn_qkv)},
    {offsetof(nb_layer, attn_output), NONE, NONE, NONE},
    {offsetof(nb_layer, ffn_gate), offsetof(nb_layer, ffn_up), NONE, NONE},
    {offsetof(nb_layer, ffn_down), NONE, NONE, NONE},
};

typedef struct job {
    nb_model *model;
    const nb_scope *scope;
    const nb_quantizer *quantizer;
    const nb_gptq_run *run;
    nb_tensor_loss *losses;  /* or NULL */
    nb_gptq_report *reports; /* or NULL */
    size_t *slot;            /* [n_tensors]: 1 + index in the scope; 0: not in it, or done */
    size_t n_done;
    nb_transaction *tx;
    nb_walk *walk;
    char provenance[256];
    nb_progress_fn *progress; /* the context's own, while ours stands in its place */
    void *progress_user;
} job;

void nb_gptq_reports_free(nb_gptq_report *reports, size_t n)
{
    for (size_t i = 0; reports && i < n; i++)
        nb_gptq_result_free(&reports[i].result);
}

/* ---- which tensors ---- */

static nb_tensor *reader_at(const nb_layer *layer, size_t place, size_t i)
{
    const size_t offset = places[place][i];
    return offset == NONE ? NULL : *(nb_tensor *const *)((const char *)layer + offset);
}

static bool is_read(const nb_model *model, const nb_tensor *t)
{
    if (t == model->frame.head)
        return true;
    for (size_t place = 0; t->layer >= 0 && place < N_PLACES; place++)
        for (size_t i = 0; i < MOST_READERS; i++)
            if (reader_at(&model->layers[t->layer], place, i) == t)
                return true;
    return false;
}

static nb_status check_tensor(const nb_model *model, const nb_tensor *t, nb_error *error)
{
    if (!t->is_vector && !is_read(model, t))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: its rows are looked up and never multiplied, and GPTQ needs a product; quantize it with "
                       "absmax",
                       t->name);
    return nb_change_check_matrix(model, t, error);
}

static nb_status check(job *j, nb_error *error)
{
    nb_status status = nb_gptq_check(j->quantizer, &j->run->options, error);
    if (status == NB_OK && j->scope->count == 0)
        status = nb_fail(error, NB_ERR_ARGUMENT, "there is no tensor to change");
    for (size_t i = 0; status == NB_OK && i < j->scope->count; i++) {
        status = check_tensor(j->model, &j->model->tensors[j->scope->tensors[i]], error);
        j->slot[j->scope->tensors[i]] = i + 1;
    }
    return status;
}

static bool is_wanted(const job *j, const nb_tensor *t)
{
    return t && j->slot[t - j->model->tensors] > 0;
}

/* ---- what flows into them ---- */

typedef struct collector {
    nb_hessian *hessian;
    const nb_input *basis; /* or NULL */
    float *rows;           /* x in that basis */
    size_t n_cols;
} collector;

static nb_status collect_rows(void *user, const float *x, size_t n_tokens, size_t stride, nb_error *error)
{
    (void)error;
    collector *c = user;
    for (size_t t = 0; c->basis && t < n_tokens; t++)
        nb_input_apply(c->basis, x + t * stride, c->rows + t * c->n_cols);
    nb_hessian_add(c->hessian, c->basis ? c->rows : x, n_tokens, c->basis ? c->n_cols : stride);
    return NB_OK;
}

static nb_status collect(job *j, const nb_tensor *t, const nb_input *basis, nb_hessian **out, nb_error *error)
{
    collector c = {.basis = basis, .n_cols = t->n_cols};
    nb_status status = nb_hessian_create(j->model->context, t->n_cols, &c.hessian, error);
    if (status == NB_OK && basis) {
        c.rows = nb_aligned_calloc(j->run->samples->longest, t->n_cols * sizeof *c.rows);
        if (!c.rows)
            status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its activations", t->name);
    }
    if (status == NB_OK)
        status = nb_walk_look(j->walk, t, collect_rows, &c, error);
    nb_aligned_free(c.rows);
    if (status == NB_OK)
        *out = c.hessian;
    else
        nb_hessian_destroy(&c.hessian);
    return status;
}

/* ---- one tensor ---- */

typedef struct rows {
    const nb_tensor *tensor;
    const nb_input *basis;
} rows;

static void read_row(void *user, size_t row, float *out)
{
    const rows *r = user;
    nb_tensor_source_row(r->tensor, row, out);
    if (r->basis)
        nb_input_turn_row(r->basis, out);
}

/* The tensor's basis as the model keeps it, with the columns' new order; NULL if there is nothing to do. */
static nb_status make_input(nb_model *model, const nb_tensor *t, const nb_input *basis, const uint32_t *order,
                            const nb_input **out, nb_error *error)
{
    *out = NULL;
    if (!basis && !order)
        return NB_OK;
    nb_input *input = basis ? nb_input_basis(basis) : nb_input_create(t->n_cols);
    nb_status status =
        input ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "%s: no memory for the order of its columns", t->name);
    if (status == NB_OK && order)
        status = nb_input_set_order(input, order, error);
    if (status == NB_OK)
        return nb_model_keep_input(model, &input, out, error);
    nb_input_destroy(&input);
    return status;
}

static nb_status replace(job *j, nb_tensor *t, const nb_input *basis, nb_packed **packed, const uint32_t *order,
                         nb_error *error)
{
    nb_tensor_loss *loss = j->losses ? &j->losses[j->slot[t - j->model->tensors] - 1] : NULL;
    nb_change change = {
        .tensor = t, .quantizer = *j->quantizer, .transforms = t->transforms, .measured = true, .loss = loss};
    nb_status status = nb_transaction_make(j->tx, packed, j->provenance, &change.made, error);
    if (status == NB_OK)
        status = make_input(j->model, t, basis, order, &change.input, error);
    return status == NB_OK ? nb_transaction_replace(j->tx, &change, error) : status;
}

static nb_status quantize(job *j, nb_tensor *t, const nb_input *basis, const nb_gptq_solver *solver,
                          const float *importance, uint64_t n_tokens, nb_error *error)
{
    rows r = {t, basis};
    const nb_gptq_source source = {read_row, &r, t->n_rows, t->n_cols};
    nb_packed *packed;
    nb_gptq_result result;
    nb_status status = nb_gptq_quantize(j->model->context, t->name, &source, j->quantizer, solver, &j->run->options,
                                        importance, j->run->trace, &packed, &result, error);
    if (status != NB_OK)
        return status;
    status = replace(j, t, basis, &packed, result.reordered ? solver->order : NULL, error);
    size_t *slot = &j->slot[t - j->model->tensors];
    if (status == NB_OK && j->reports)
        j->reports[*slot - 1] = (nb_gptq_report){result, solver->damp, solver->n_dead, n_tokens};
    else
        nb_gptq_result_free(&result);
    *slot = 0;
    j->n_done++;
    return status;
}

/* ---- tensors that read the same ---- */

/* The mean square of each column. */
static float *diagonal_of(const float *hessian, size_t n)
{
    float *diagonal = nb_calloc(n, sizeof *diagonal);
    for (size_t i = 0; diagonal && i < n; i++)
        diagonal[i] = hessian[i * n + i];
    return diagonal;
}

/* Those of the readers that are wanted and have this basis, by one Hessian. */
static nb_status quantize_alike(job *j, nb_tensor *const *readers, size_t n, const nb_input *basis, nb_error *error)
{
    const nb_tensor *first = readers[0];
    const size_t n_cols = first->n_cols;
    nb_hessian *hessian = NULL;
    nb_gptq_solver *solver = NULL;
    const float *sums;
    float *importance = NULL;
    uint64_t n_tokens = 0;
    nb_status status = collect(j, first, basis, &hessian, error);
    if (status == NB_OK)
        status = nb_hessian_finish(hessian, first->name, &sums, error);
    if (status == NB_OK) {
        n_tokens = nb_hessian_n_tokens(hessian);
        status = nb_gptq_solver_create(j->model->context, first->name, sums, n_cols, nb_gptq_block(j->quantizer),
                                       &j->run->options, &solver, error);
    }
    if (status == NB_OK && j->quantizer->format->kind == NB_FORMAT_BLOCK && !(importance = diagonal_of(sums, n_cols)))
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its columns", first->name);
    nb_hessian_destroy(&hessian);
    for (size_t i = 0; status == NB_OK && i < n; i++)
        status = quantize(j, readers[i], basis, solver, importance, n_tokens, error);
    nb_gptq_solver_destroy(&solver);
    free(importance);
    return status;
}

static const nb_input *basis_of(const nb_tensor *t)
{
    return nb_input_has_basis(t->input) ? t->input : NULL;
}

static bool is_same_basis(const nb_input *a, const nb_input *b)
{
    return a == b; /* equal inputs are one */
}

static nb_status quantize_readers(job *j, nb_tensor *const *readers, size_t n, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < n; i++) {
        if (!is_wanted(j, readers[i]))
            continue;
        nb_tensor *alike[MOST_READERS];
        size_t n_alike = 0;
        nb_input *basis = NULL;
        if (basis_of(readers[i]) && !(basis = nb_input_basis(readers[i]->input)))
            return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its basis", readers[i]->name);
        for (size_t k = i; k < n; k++)
            if (is_wanted(j, readers[k]) && is_same_basis(basis_of(readers[i]), basis_of(readers[k])))
                alike[n_alike++] = readers[k];
        status = quantize_alike(j, alike, n_alike, basis, error);
        nb_input_destroy(&basis);
    }
    return status;
}

static nb_status quantize_place(job *j, const nb_layer *layer, size_t place, nb_error *error)
{
    nb_tensor *readers[MOST_READERS];
    size_t n = 0;
    for (size_t i = 0; i < MOST_READERS; i++)
        if (reader_at(layer, place, i))
            readers[n++] = reader_at(layer, place, i);
    return quantize_readers(j, readers, n, error);
}

/* ---- all of them ---- */

static nb_status run_blocks(job *j, nb_error *error)
{
    nb_model *model = j->model;
    nb_status status = NB_OK;
    for (size_t layer = 0; status == NB_OK && layer < model->hparams.n_layers && j->n_done < j->scope->count; layer++) {
        for (size_t place = 0; status == NB_OK && place < N_PLACES; place++)
            status = quantize_place(j, &model->layers[layer], place, error);
        if (status == NB_OK && j->n_done < j->scope->count)
            status = nb_walk_advance(j->walk, error);
    }
    if (status == NB_OK && is_wanted(j, model->frame.head))
        status = quantize_readers(j, &model->frame.head, 1, error);
    return status;
}

/* However far a step of a tensor is: how many tensors are done. */
static void report(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    const job *j = user;
    (void)what, (void)done, (void)total, (void)unit;
    j->progress(j->progress_user, "GPTQ", j->n_done, j->scope->count, "tensors");
}

static void describe(job *j)
{
    const nb_gptq_options *o = &j->run->options;
    char damp[32];
    snprintf(j->provenance, sizeof j->provenance, "GPTQ from %.120s (%s)%s%s, damping %s", j->run->text_name,
             nb_samples_describe(j->run->samples).text, o->act_order ? ", act-order" : "",
             o->static_groups ? ", static groups" : "", nb_print_general(damp, sizeof damp, o->damp, 3));
}

static nb_status run_within(job *j, nb_error *error)
{
    nb_context *context = j->model->context;
    nb_status status = nb_walk_create(j->model, j->run->samples, &j->walk, error);
    if (status == NB_OK)
        status = nb_transaction_begin(j->model, "quantizing", j->scope->count, &j->tx, error);
    if (status != NB_OK)
        return status;
    j->progress = context->progress;
    j->progress_user = context->progress_user;
    if (j->progress) {
        context->progress = report;
        context->progress_user = j;
    }
    status = run_blocks(j, error);
    context->progress = j->progress;
    context->progress_user = j->progress_user;
    return nb_transaction_end(&j->tx, status);
}

nb_status nb_model_gptq(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizer, const nb_gptq_run *run,
                        nb_tensor_loss *losses, nb_gptq_report *reports, nb_error *error)
{
    job j = {.model = model, .scope = scope, .quantizer = quantizer, .run = run, .losses = losses, .reports = reports};
    for (size_t i = 0; reports && i < scope->count; i++)
        reports[i] = (nb_gptq_report){0};
    j.slot = nb_calloc(model->n_tensors, sizeof *j.slot);
    nb_status status = j.slot ? check(&j, error) : nb_fail(error, NB_ERR_MEMORY, "no memory for a list of tensors");
    if (status == NB_OK) {
        describe(&j);
        status = run_within(&j, error);
    }
    nb_walk_destroy(&j.walk);
    free(j.slot);
    if (status != NB_OK)
        nb_gptq_reports_free(reports, scope->count);
    return status;
}
