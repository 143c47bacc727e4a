/* Transactions over tensors: all of a change happens, or none of it.
 *
 * A change goes tensor by tensor, so that the old and the new form of only one are held at once. What it
 * replaces is kept for going back while that fits a small budget. Beyond it the old form is dropped, and
 * going back makes it again from the source, which gives the same bits because every quantizer is
 * deterministic. Undo is the same thing on purpose. */
#include "quant/transaction.h"

#include "base/memory.h"
#include "eval/evaluate.h"
#include "model/state.h"
#include "quant/rtn.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_SHARE = 16, KEEP_MINIMUM = 4 << 20 };

/* A tensor that the transaction has changed, and how to go back. */
typedef struct replaced {
    nb_tensor_past past;
    nb_packed *packed; /* the old form, if it is kept */
    bool was_packed;   /* false: the model was loaded unpacked, and so it stays */
    float *vector;     /* of a vector: always */
} replaced;

struct nb_transaction {
    nb_model *model;
    const char *what; /* "quantizing" */
    replaced *replaced; /* [most] */
    size_t count, most;
    nb_undo_step step; /* what will own the parts of the changes; empty while going back */
    size_t kept_bytes, keep_budget;
    uint64_t done_bytes, total_bytes, tensor_bytes; /* of sources: behind us, in all, of the one at hand */
    nb_progress_fn *progress;                       /* the context's own, while ours stands in its place */
    void *progress_user;
};

typedef nb_transaction transaction;

/* ---- one tensor ---- */

static bool is_as_loaded(const nb_tensor *t, const nb_quantizer *quantizer)
{
    const nb_quantizer loaded = nb_quantizer_of_source(t->source_format);
    return !t->simulated && !t->made && t->input == t->loaded_input && nb_quantizer_equal(quantizer, &loaded);
}

static void fill_loss(nb_tensor *t, const nb_rtn_stats *stats, nb_tensor_loss *loss)
{
    const nb_error_sums sums = {.signal = stats->signal,
                                .noise = stats->noise,
                                .max_error = stats->max_error,
                                .n = (uint64_t)t->n_rows * t->n_cols};
    t->sqnr = nb_error_sqnr(&sums);
    if (!loss)
        return;
    loss->sqnr = t->sqnr;
    loss->mse = nb_error_mse(&sums);
    loss->max_error = stats->max_error;
    loss->n_clipped = stats->n_clipped;
    loss->n_zero = stats->n_zero;
    loss->n_bytes_after = nb_tensor_n_bytes(t);
}

/* One tensor's progress as that of the whole change. */
static void report(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    const transaction *tx = user;
    (void)what;
    const double share = total > 0 ? (double)done / (double)total : 1.0;
    tx->progress(tx->progress_user, tx->what, tx->done_bytes + (uint64_t)(share * (double)tx->tensor_bytes),
                 tx->total_bytes, unit);
}

static void intercept_progress(transaction *tx)
{
    nb_context *context = tx->model->context;
    tx->progress = context->progress;
    tx->progress_user = context->progress_user;
    if (tx->progress) {
        context->progress = report;
        context->progress_user = tx;
    }
}

static void return_progress(transaction *tx)
{
    tx->model->context->progress = tx->progress;
    tx->model->context->progress_user = tx->progress_user;
}

/* How far numbers that were not simply rounded are from the source, in the model's own columns. */
static nb_status measure_given(const nb_tensor *t, nb_rtn_stats *stats, nb_error *error)
{
    nb_error_sums sums = {0};
    float *rows = nb_calloc(t->n_cols, 2 * sizeof *rows), *source = rows, *now = rows + t->n_cols;
    if (!rows)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for a row", t->name);
    const bool counted = !t->simulated && !t->made; /* while they were rounded */
    for (size_t i = 0; i < t->n_rows; i++) {
        nb_tensor_source_row(t, i, source);
        nb_tensor_current_row(t, i, now);
        nb_error_sums_add(&sums, source, now, t->n_cols);
        for (size_t k = 0; !counted && k < t->n_cols; k++)
            stats->n_zero += now[k] == 0;
    }
    free(rows);
    stats->signal = sums.signal;
    stats->noise = sums.noise;
    stats->max_error = sums.max_error;
    return NB_OK;
}

/* Lets go of what is stored now. What a method made belongs to an undo step. */
static void drop_packed(nb_tensor *t)
{
    if (t->made)
        t->packed = NULL;
    else
        nb_packed_destroy(&t->packed);
}

/* Packs the tensor from its source into t->packed, which is NULL. */
static nb_status make(transaction *tx, nb_tensor *t, const nb_quantizer *quantizer, nb_rtn_stats *stats,
                      nb_error *error)
{
    nb_model *model = tx->model;
    nb_status status = NB_OK;
    tx->tensor_bytes = nb_tensor_source_n_bytes(t);
    if (t->made) {
        t->packed = t->made->packed;
    } else if (!stats && is_as_loaded(t, quantizer)) {
        status = nb_tensor_pack_source(model, t, t->name, 0, tx->tensor_bytes, &t->packed, error);
    } else {
        const nb_source simulated = {.format = &nb_format_f32, .data = t->simulated, .n_rows = t->n_rows,
                                     .n_cols = t->n_cols, .input = t->input},
                        source = {t->source_format, t->source,     t->n_rows, t->n_cols,
                                  t->transforms,    t->importance, t->input};
        status = nb_rtn_quantize(model->context, t->name, t->simulated ? &simulated : &source, quantizer, &t->packed,
                                 t->simulated ? NULL : stats, error);
    }
    if (status == NB_OK && stats && (t->simulated || t->made || nb_input_moves(t->input)))
        status = measure_given(t, stats, error);
    if (status == NB_OK && model->mapping)
        status = nb_mapping_check(model->mapping, error);
    if (status != NB_OK)
        drop_packed(t);
    return status;
}

/* Bytes that the new form will take, near enough. */
static size_t estimate_bytes(const nb_tensor *t, const nb_quantizer *q)
{
    return (size_t)(nb_quantizer_bits_per_weight(q, t->n_rows, t->n_cols) / 8.0 * (double)t->n_rows *
                    (double)t->n_cols);
}

/* A vector is its source in f32, transformed. */
static nb_status make_vector(nb_tensor *t, nb_error *error)
{
    t->vector = nb_calloc(t->n_cols, sizeof *t->vector);
    if (!t->vector)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for %zu numbers", t->name, t->n_cols);
    nb_format_decode_row(t->source_format, t->source, t->n_cols, t->vector);
    nb_transform_apply(t->transforms, 0, t->vector, t->n_cols);
    return NB_OK;
}

static nb_status replace_vector(const transaction *tx, replaced *entry, nb_tensor *t, nb_error *error)
{
    entry->vector = t->vector;
    nb_status status = make_vector(t, error);
    return status == NB_OK && tx->model->mapping ? nb_mapping_check(tx->model->mapping, error) : status;
}

static nb_status replace_matrix(transaction *tx, replaced *entry, const nb_change *c, nb_error *error)
{
    nb_tensor *t = c->tensor;
    const size_t before_bytes = t->packed ? t->packed->n_bytes : (size_t)nb_tensor_n_bytes(t);
    entry->was_packed = t->packed != NULL;
    entry->packed = entry->past.made ? NULL : t->packed;
    t->packed = NULL;
    const size_t old_bytes = entry->packed ? entry->packed->n_bytes : 0;
    const bool keep = tx->kept_bytes + old_bytes <= tx->keep_budget;
    if (!keep && estimate_bytes(t, &c->quantizer) > tx->keep_budget)
        nb_packed_destroy(&entry->packed); /* both at once would be too much */
    nb_rtn_stats stats = {0};
    nb_status status = make(tx, t, &c->quantizer, c->measured ? &stats : NULL, error);
    if (status != NB_OK)
        return status;
    if (keep)
        tx->kept_bytes += old_bytes;
    else
        nb_packed_destroy(&entry->packed);
    t->quantizer = c->quantizer;
    t->changed = !is_as_loaded(t, &c->quantizer);
    t->sqnr = c->sqnr;
    if (c->loss)
        c->loss->n_bytes_before = entry->past.simulated ? nb_tensor_source_n_bytes(t) : before_bytes;
    if (c->measured)
        fill_loss(t, &stats, c->loss);
    return NB_OK;
}

/* Once an entry stands in tx->replaced, going back is taken care of. */
static nb_status replace(transaction *tx, const nb_change *c, nb_error *error)
{
    nb_tensor *t = c->tensor;
    replaced *entry = &tx->replaced[tx->count++];
    entry->past = (nb_tensor_past){.index = (size_t)(t - tx->model->tensors),
                                   .quantizer = t->quantizer,
                                   .sqnr = t->sqnr,
                                   .changed = t->changed,
                                   .transforms = t->transforms,
                                   .importance = t->importance,
                                   .simulated = t->simulated,
                                   .made = t->made,
                                   .input = t->input};
    t->transforms = c->transforms;
    t->input = c->input;
    t->n_static = t->n_clipped = 0;
    t->importance = c->importance;
    t->simulated = c->simulated;
    t->made = c->made;
    nb_status status =
        t->is_vector ? replace_vector(tx, entry, t, error) : replace_matrix(tx, entry, c, error);
    tx->done_bytes += nb_tensor_source_n_bytes(t);
    return status;
}

/* ---- all of them, or none ---- */

/* A second wish to stop must not leave the model between two states: it is granted when the first is. */
static void go_back_with(transaction *tx, replaced *entry)
{
    nb_tensor *t = &tx->model->tensors[entry->past.index];
    if (!t->is_vector)
        drop_packed(t);
    t->transforms = entry->past.transforms;
    t->importance = entry->past.importance;
    t->simulated = entry->past.simulated;
    t->made = entry->past.made;
    t->input = entry->past.input;
    if (t->is_vector) {
        free(t->vector);
        t->vector = entry->vector;
        return;
    }
    t->packed = entry->packed;
    while (entry->was_packed && !t->packed && make(tx, t, &entry->past.quantizer, NULL, NULL) == NB_ERR_CANCELLED)
        continue;
    t->quantizer = entry->past.quantizer;
    t->changed = entry->past.changed;
    t->sqnr = entry->past.sqnr;
}

static void go_back(transaction *tx)
{
    tx->what = "going back";
    tx->done_bytes = 0;
    while (tx->count > 0) {
        replaced *entry = &tx->replaced[--tx->count];
        go_back_with(tx, entry);
        tx->done_bytes += nb_tensor_source_n_bytes(&tx->model->tensors[entry->past.index]);
    }
    nb_model_count_lost(tx->model);
}

static void finish(transaction *tx)
{
    nb_model *model = tx->model;
    for (size_t i = 0; i < tx->count; i++) {
        const nb_tensor_past *past = &tx->replaced[i].past;
        const nb_tensor *t = &model->tensors[past->index];
        nb_packed **original = &model->originals[past->index];
        nb_packed_destroy(&tx->replaced[i].packed);
        free(tx->replaced[i].vector);
        /* of no use where the stored form is the original again, and wrong after a transform */
        if (*original && (!t->changed || t->transforms != past->transforms)) {
            model->originals_bytes -= (*original)->n_bytes;
            nb_packed_destroy(original);
        }
    }
    model->generation++;
    nb_model_count_lost(model);
}

/* Room for the changes, and for one more step, so that a change that succeeded cannot fail to be remembered. */
static nb_status reserve(transaction *tx, size_t most, nb_error *error)
{
    nb_model *model = tx->model;
    nb_undo_step *grown = nb_realloc(model->undo, model->n_undo + 1, sizeof *grown);
    if (grown)
        model->undo = grown;
    tx->most = most;
    tx->keep_budget = nb_max_size(KEEP_MINIMUM, (size_t)(nb_model_n_bytes(model) / KEEP_SHARE));
    tx->replaced = nb_calloc(most, sizeof *tx->replaced);
    tx->step.pasts = nb_calloc(most, sizeof *tx->step.pasts);
    tx->step.adopted = nb_calloc(most, sizeof *tx->step.adopted);
    if (grown && tx->replaced && tx->step.pasts && tx->step.adopted)
        return NB_OK;
    return nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors; nothing was changed", most);
}

static nb_status replace_one(transaction *tx, const nb_change *change, nb_error *error)
{
    intercept_progress(tx);
    nb_status status = replace(tx, change, error);
    return_progress(tx);
    return status;
}

/* Makes all changes; the caller ends the transaction. */
static nb_status replace_all(transaction *tx, const nb_change *changes, size_t n_changes, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < n_changes; i++)
        tx->total_bytes += nb_tensor_source_n_bytes(changes[i].tensor);
    for (size_t i = 0; status == NB_OK && i < n_changes; i++)
        status = replace_one(tx, &changes[i], error);
    return status;
}

static void free_transaction(transaction *tx)
{
    nb_undo_step_free(&tx->step);
    free(tx->replaced);
}

/* Keeps the changes, or goes back. */
static void settle(transaction *tx, nb_status status)
{
    if (status == NB_OK) {
        finish(tx);
        return;
    }
    intercept_progress(tx);
    go_back(tx);
    return_progress(tx);
}

static void push_step(transaction *tx)
{
    nb_model *model = tx->model;
    tx->step.count = tx->count;
    for (size_t i = 0; i < tx->count; i++)
        tx->step.pasts[i] = tx->replaced[i].past;
    model->undo[model->n_undo++] = tx->step;
    tx->step = (nb_undo_step){0};
}

/* ---- change by change ---- */

nb_status nb_transaction_begin(nb_model *model, const char *what, size_t most_changes, nb_transaction **out,
                               nb_error *error)
{
    *out = NULL;
    transaction *tx = nb_calloc(1, sizeof *tx);
    if (!tx)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to change %zu tensors; nothing was changed", most_changes);
    tx->model = model;
    tx->what = what;
    nb_status status = reserve(tx, most_changes, error);
    if (status == NB_OK) {
        *out = tx;
        return NB_OK;
    }
    free_transaction(tx);
    free(tx);
    return status;
}

nb_status nb_transaction_replace(nb_transaction *tx, const nb_change *change, nb_error *error)
{
    assert(tx->count < tx->most);
    tx->total_bytes += nb_tensor_source_n_bytes(change->tensor);
    nb_status status = replace_one(tx, change, error);
    tx->model->generation++; /* what a session has read so far was read by other weights */
    return status;
}

nb_status nb_transaction_make(nb_transaction *tx, nb_packed **packed, const char *provenance, const nb_made **out,
                              nb_error *error)
{
    assert(tx->step.n_adopted < tx->most);
    const size_t n = strlen(provenance) + 1;
    nb_made *made = nb_calloc(1, sizeof *made);
    char *text = nb_calloc(n, 1);
    if (!made || !text) {
        free(made);
        free(text);
        nb_packed_destroy(packed);
        return nb_fail(error, NB_ERR_MEMORY, "no memory to keep what was made");
    }
    memcpy(text, provenance, n);
    *made = (nb_made){*packed, text};
    *packed = NULL;
    tx->step.adopted[tx->step.n_adopted++] = made;
    *out = made;
    return NB_OK;
}

void nb_transaction_keep(nb_transaction *tx, nb_transform **made)
{
    nb_transform **last = &tx->step.made;
    while (*last)
        last = &(*last)->made_before;
    *last = *made;
    *made = NULL;
}

nb_status nb_transaction_end(nb_transaction **transaction, nb_status status)
{
    nb_transaction *tx = *transaction;
    nb_model *model = tx->model;
    settle(tx, status);
    if (status == NB_OK && tx->count > 0)
        push_step(tx);
    free_transaction(tx);
    nb_model_drop_inputs(model);
    free(tx);
    *transaction = NULL;
    return status;
}

/* ---- all at once ---- */

nb_status nb_model_change(nb_model *model, const char *what, const nb_change *changes, size_t n_changes,
                          nb_transform **made, nb_error *error)
{
    nb_transaction *tx;
    nb_status status = nb_transaction_begin(model, what, n_changes, &tx, error);
    if (status != NB_OK) {
        if (made)
            nb_transforms_free(made);
        return status;
    }
    if (made) {
        tx->step.made = *made;
        *made = NULL;
    }
    return nb_transaction_end(&tx, replace_all(tx, changes, n_changes, error));
}

nb_status nb_change_check_source(const nb_model *model, const nb_tensor *t, nb_error *error)
{
    char stored[80];
    if (t->source_format && t->source)
        return NB_OK;
    if (t->is_vector)
        return nb_fail(error, NB_ERR_STATE, "%s: %s has no numbers in a file to start from", t->name,
                       model->path);
    return nb_fail(error, NB_ERR_STATE,
                   "%s: %s holds it only as %s, and every change starts from the original numbers; load the "
                   "original model",
                   t->name, model->path, nb_quantizer_describe(&t->quantizer, stored, sizeof stored));
}

nb_status nb_change_check_matrix(const nb_model *model, const nb_tensor *t, nb_error *error)
{
    if (t->is_vector)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s is a vector; vectors stay f32, they are too small to matter",
                       t->name);
    return nb_change_check_source(model, t, error);
}

nb_status nb_model_undo(nb_model *model, nb_error *error)
{
    if (model->n_undo == 0)
        return nb_fail(error, NB_ERR_STATE,
                       "there is nothing to undo: no tensor was changed since the model was loaded");
    nb_undo_step *step = &model->undo[model->n_undo - 1];
    nb_change *changes = nb_calloc(step->count, sizeof *changes);
    if (!changes)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to undo; nothing was changed");
    for (size_t i = 0; i < step->count; i++)
        changes[i] = (nb_change){.tensor = &model->tensors[step->pasts[i].index],
                                 .quantizer = step->pasts[i].quantizer,
                                 .transforms = step->pasts[i].transforms,
                                 .importance = step->pasts[i].importance,
                                 .simulated = step->pasts[i].simulated,
                                 .made = step->pasts[i].made,
                                 .input = step->pasts[i].input,
                                 .sqnr = step->pasts[i].sqnr};
    transaction tx = {.model = model, .what = "going back"};
    nb_status status = reserve(&tx, step->count, error);
    step = &model->undo[model->n_undo - 1]; /* reserving may move it */
    if (status == NB_OK) {
        status = replace_all(&tx, changes, step->count, error);
        settle(&tx, status);
    }
    free_transaction(&tx);
    free(changes);
    if (status == NB_OK) {
        nb_undo_step_free(step);
        model->n_undo--;
        nb_model_drop_inputs(model);
    }
    return status;
}

size_t nb_model_undo_depth(const nb_model *model)
{
    return model->n_undo;
}
