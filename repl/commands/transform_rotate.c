#include "repl/commands/transform.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdlib.h>

enum { N_TOKENS = 1024, SEED = 1 };

static const nb_column columns[] = {{"matrices", NB_COLUMN_LEFT},
                                    {"columns", NB_COLUMN_RIGHT},
                                    {"mixed by", NB_COLUMN_RIGHT},
                                    {"largest activation over the rms", NB_COLUMN_RIGHT}};

/* Matrices that read the same activations share a row: those of one block that follow one another and are alike. */
static bool continues(const nb_model *model, const nb_rotated *last, const nb_rotated *next)
{
    const nb_tensor *a = nb_model_tensor(model, last->tensor), *b = nb_model_tensor(model, next->tensor);
    return a->layer == b->layer && a->role == b->role && a->n_cols == b->n_cols && last->before == next->before;
}

static void describe(const nb_model *model, const nb_rotated *made, size_t n, nb_items *out)
{
    nb_items_table(out, columns, 4);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && continues(model, &made[i], &made[end]); end++)
            continue;
        const nb_tensor *first = nb_model_tensor(model, made[i].tensor);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s%s", first->name, end - i == 3 ? ", k, v" : end - i == 2 ? " and one more" : "");
        nb_items_cell(out, 1, "%zu", first->n_cols);
        nb_items_cell(out, 2, "%u", (unsigned)made[i].block);
        nb_items_cell(out, 3, "%s -> %s", nb_general((double)made[i].before, 3).text,
                      nb_general((double)made[i].after, 3).text);
    }
}

static bool is_unquantized(const nb_model *model)
{
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        if (!t->is_vector && t->quantizer.format != t->source_format)
            return false;
    }
    return true;
}

nb_status nb_transform_rotate(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    float *before = NULL;
    size_t n_made = 0;
    nb_samples samples = {0};
    nb_rotated *made = nb_calloc(nb_model_tensor_count(model), sizeof *made);
    nb_status status = made ? nb_transform_samples(notebook, call, N_TOKENS, &samples, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory to rotate the model");
    const bool compares = is_unquantized(model);
    if (status == NB_OK && compares)
        status = nb_transform_probe(model, NB_WEIGHTS_CURRENT, &before, error);
    if (status == NB_OK)
        status = nb_model_rotate(model, &samples, (uint64_t)nb_call_number(call, "seed", SEED), made, &n_made, error);
    if (status == NB_OK) {
        nb_draft text = {0};
        nb_notebook_note_undo(notebook, call);
        describe(model, made, n_made, out);
        nb_transform_describe_samples(notebook, &samples, &text);
        nb_items_text(out, "%s matrices, by %s. Before each product activations are turned: n log2(n) additions a token.",
                      nb_count(n_made).text, nb_draft_text(&text));
        nb_draft_free(&text);
        if (compares)
            nb_transform_describe_difference(model, NB_WEIGHTS_CURRENT, before, out);
    }
    nb_samples_free(&samples);
    free(before);
    free(made);
    return status;
}
