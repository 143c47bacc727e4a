#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const nb_column columns[] = {
    {"tensor", NB_COLUMN_LEFT},  {"shape", NB_COLUMN_LEFT},  {"stored as", NB_COLUMN_WRAP},
    {"bits", NB_COLUMN_RIGHT},   {"bytes", NB_COLUMN_RIGHT}, {"SQNR", NB_COLUMN_RIGHT},
    {"spread", NB_COLUMN_SPARK},
};

enum {
    REACH = 4,        /* standard deviations to either side that a sparkline shows */
    ENOUGH = 1 << 20, /* numbers of a tensor that it is drawn from; of a larger one, evenly spaced rows */
};

/* One row of the table: a tensor, or the same tensor of all blocks together. */
typedef struct row {
    const nb_tensor *first;
    const char *part; /* "attn_q"; NULL: the tensor alone */
    size_t n_tensors;
    bool mixed_storage, mixed_shape, transformed;
    uint64_t n_bytes, n_weights, n_static, n_clipped;
    double worst_sqnr;
    uint64_t counts[NB_SPARK_BINS];
} row;

static const char *part_of(const nb_tensor *tensor)
{
    if (tensor->layer < 0 || strncmp(tensor->name, "blk.", 4) != 0)
        return NULL;
    const char *at = tensor->name + 4;
    while (isdigit((unsigned char)*at))
        at++;
    return *at == '.' ? at + 1 : NULL;
}

static row *row_for(row *rows, size_t *n_rows, const nb_tensor *tensor, bool together)
{
    const char *part = together ? part_of(tensor) : NULL;
    for (size_t i = 0; part && i < *n_rows; i++) {
        if (rows[i].part && strcmp(rows[i].part, part) == 0)
            return &rows[i];
    }
    row *added = &rows[(*n_rows)++];
    *added = (row){.first = tensor, .part = part, .worst_sqnr = NAN};
    return added;
}

/* "GPTQ", of the line that says how the tensor was made. */
static int method_length(const nb_tensor *tensor)
{
    const char *provenance = nb_tensor_provenance(tensor);
    return provenance ? (int)strcspn(provenance, " ") : 0;
}

static bool is_same_method(const nb_tensor *a, const nb_tensor *b)
{
    const int n = method_length(a);
    return n == method_length(b) &&
           (n == 0 || memcmp(nb_tensor_provenance(a), nb_tensor_provenance(b), (size_t)n) == 0);
}

typedef struct input_text {
    char text[96];
} input_text;

/* ", activations int8, one static scale, columns reordered"; "" where nothing is done. Without what it was calibrated with. */
static input_text describe_input(const nb_tensor *tensor)
{
    input_text made = {""};
    char all[320];
    nb_input_describe(tensor->input, all, sizeof all);
    char *open = strstr(all, " ("), *close = open ? strchr(open, ')') : NULL;
    if (close)
        memmove(open, close + 1, strlen(close + 1) + 1);
    if (*all)
        snprintf(made.text, sizeof made.text, ", %s%.80s",
                 tensor->input->scaling != NB_INPUT_BLOCKS ? "activations " : "", all);
    return made;
}

static nb_status add_tensor(row *to, const nb_tensor *tensor, nb_error *error)
{
    nb_histogram whole = {0}, middle = {0};
    nb_status status =
        nb_tensor_histogram_sampled(tensor, NB_WEIGHTS_CURRENT, 0, 0, 2, ENOUGH, &whole, error);
    double reach = fmin(REACH * whole.std, whole.high), centre = tensor->is_vector ? whole.mean : 0;
    if (status == NB_OK && reach > 0)
        status = nb_tensor_histogram_sampled(tensor, NB_WEIGHTS_CURRENT, centre - reach, centre + reach,
                                             NB_SPARK_BINS, ENOUGH, &middle, error);
    for (size_t i = 0; middle.counts && i < NB_SPARK_BINS; i++)
        to->counts[i] += middle.counts[i];
    to->counts[0] += middle.n_below;
    to->counts[NB_SPARK_BINS - 1] += middle.n_above;
    nb_histogram_free(&whole);
    nb_histogram_free(&middle);
    if (status != NB_OK)
        return status;
    to->mixed_storage |= strcmp(nb_describe_storage(to->first).text, nb_describe_storage(tensor).text) != 0 ||
                         !is_same_method(to->first, tensor) ||
                         strcmp(describe_input(to->first).text, describe_input(tensor).text) != 0;
    to->transformed |= tensor->transforms != NULL;
    to->mixed_shape |= to->first->n_rows != tensor->n_rows || to->first->n_cols != tensor->n_cols;
    to->n_tensors++;
    to->n_static += tensor->n_static;
    to->n_clipped += tensor->n_clipped;
    to->n_bytes += nb_tensor_n_bytes(tensor);
    to->n_weights += nb_tensor_n_weights(tensor);
    if (isnan(to->worst_sqnr) || tensor->sqnr < to->worst_sqnr)
        to->worst_sqnr = tensor->sqnr;
    return NB_OK;
}

static void show_row(const row *r, unsigned n_layers, nb_items *out)
{
    nb_items_row(out);
    if (r->part && r->n_tensors > 1)
        nb_items_cell(out, 0, "blk.0-%u.%s", n_layers - 1, r->part);
    else
        nb_items_cell(out, 0, "%s%s", r->first->name, r->first->tied ? " (tied)" : "");
    nb_items_cell(out, 1, "%s", r->mixed_shape ? "mixed" : nb_describe_shape(r->first).text);
    const int method = r->mixed_storage ? 0 : method_length(r->first);
    char clipped[96] = "";
    if (r->n_static > 0)
        snprintf(clipped, sizeof clipped, ", " NB_MEASURED "%s" NB_END " clipped",
                 nb_percent((double)r->n_clipped / (double)r->n_static).text);
    nb_items_cell(out, 2, "%s%s%.*s%s%s%s", r->mixed_storage ? "mixed" : nb_describe_storage(r->first).text,
                  method ? ", " : "", method, method ? nb_tensor_provenance(r->first) : "",
                  r->mixed_storage ? "" : describe_input(r->first).text, r->transformed ? ", transformed" : "", clipped);
    nb_items_cell(out, 3, "%s", nb_fixed(nb_bits_per_weight(r->n_bytes, r->n_weights), 2).text);
    if (r->n_bytes < 1000000)
        nb_items_cell(out, 4, "%llu", (unsigned long long)r->n_bytes);
    else
        nb_items_cell(out, 4, "%s", nb_bytes(r->n_bytes).text);
    nb_items_cell(out, 5, "%s", nb_describe_sqnr(r->worst_sqnr).text);
    nb_items_spark(out, 6, r->counts);
}

static nb_status gather(nb_notebook *notebook, const nb_scope *scope, bool together, row *rows,
                        size_t *n_rows, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < scope->count; i++) {
        const nb_tensor *tensor = nb_model_tensor(notebook->model, scope->tensors[i]);
        status = nb_context_tick(notebook->context, "reading tensors", i, scope->count, "tensors", error);
        if (status == NB_OK)
            status = add_tensor(row_for(rows, n_rows, tensor, together), tensor, error);
    }
    return status;
}

/* Without a scope: every matrix. */
static nb_status every_matrix(const nb_model *model, nb_scope *out, nb_error *error)
{
    size_t n = nb_model_tensor_count(model);
    *out = (nb_scope){.tensors = nb_calloc(n ? n : 1, sizeof *out->tensors)};
    if (!out->tensors)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a list of tensors");
    for (size_t i = 0; i < n; i++) {
        if (!nb_model_tensor(model, i)->is_vector)
            out->tensors[out->count++] = i;
    }
    return NB_OK;
}

static void add_totals(const nb_model *model, bool together, nb_items *out)
{
    uint64_t vectors = 0, n_vectors = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *tensor = nb_model_tensor(model, i);
        if (tensor->is_vector) {
            n_vectors++;
            vectors += nb_tensor_n_bytes(tensor);
        }
    }
    nb_items_text(out, "%s in all, %s bits a weight; %s vectors (%s) always stay f32",
                  nb_bytes(nb_model_n_bytes(model)).text,
                  nb_fixed(nb_bits_per_weight(nb_model_n_bytes(model), nb_model_n_parameters(model)), 2).text,
                  nb_count(n_vectors).text, nb_bytes(vectors).text);
    if (together)
        nb_items_text(out, "All blocks together, with their worst SQNR.   " NB_COMMAND "layers blk.0" NB_END
                           "   shows one");
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_scope scope = {0};
    unsigned n_layers = nb_model_hparams(notebook->model)->n_layers;
    bool together = call->n_arguments == 0 && n_layers > 1;
    nb_status status = call->n_arguments
                           ? nb_scope_resolve(notebook->model, call->arguments[0], true, &scope, error)
                           : every_matrix(notebook->model, &scope, error);
    if (status != NB_OK)
        return status;
    size_t n_rows = 0;
    row *rows = nb_calloc(scope.count ? scope.count : 1, sizeof *rows);
    status = rows ? gather(notebook, &scope, together, rows, &n_rows, error)
                  : nb_fail(error, NB_ERR_MEMORY, "no memory for a table");
    if (status == NB_OK) {
        nb_items_table(out, columns, sizeof columns / sizeof *columns);
        for (size_t i = 0; i < n_rows; i++)
            show_row(&rows[i], n_layers, out);
        if (call->n_arguments == 0)
            add_totals(notebook->model, together, out);
    }
    free(rows);
    nb_scope_free(&scope);
    return status;
}

const nb_command nb_command_layers = {
    .name = "layers",
    .group = "A model",
    .usage = "layers [SCOPE]",
    .summary = "its tensors: how they are stored, what was lost",
    .details = "A scope is a tensor (blk.0.attn_q), a block (blk.0), a pattern (blk.*.ffn_*), a range "
               "(blk.2-5.attn_q), a word (attention, mlp, embeddings, head, all), or several with commas. "
               "SQNR is the signal over the quantization noise in decibels: 6 dB more is one bit more. The "
               "last column is a histogram of the stored numbers, four standard deviations to either side of "
               "0; what lies beyond is in its end bars. Of a tensor beyond a million numbers it shows evenly "
               "spaced rows.",
    .examples = {"layers", "layers blk.0", "layers attention"},
    .arguments = {{"SCOPE", NB_WORD_SCOPE, true}},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
