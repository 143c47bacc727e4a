#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <string.h>

static const nb_column columns[] = {{"", NB_COLUMN_LEFT}, {"", NB_COLUMN_FLOW}};

static void add_row(nb_items *out, const char *name)
{
    nb_items_row(out);
    nb_items_cell(out, 0, NB_MUTED "%s" NB_END, name);
}

static void add_shape(const nb_model *model, nb_items *out)
{
    const nb_hparams *shape = nb_model_hparams(model);
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    add_row(out, "shape");
    nb_items_cell(out, 1, "%s: %u layers, %u wide, feed-forward %s", shape->architecture, shape->n_layers,
                  shape->n_embd, nb_count(shape->n_ff).text);
    add_row(out, "attention");
    nb_items_cell(out, 1, "%u heads of %u, %u of keys and values%s", shape->n_heads, shape->head_size,
                  shape->n_kv_heads, shape->n_kv_heads < shape->n_heads ? " (grouped-query)" : "");
    add_row(out, "context");
    nb_items_cell(out, 1, "%s tokens", nb_count(shape->n_ctx).text);
    add_row(out, "vocabulary");
    nb_items_cell(out, 1, "%s tokens%s%s", nb_count(shape->n_vocab).text,
                  tokenizer ? ", " : "; no tokenizer came with it",
                  tokenizer ? nb_tokenizer_kind(tokenizer) : "");
    add_row(out, "parameters");
    nb_items_cell(out, 1, "%s%s", nb_count(nb_model_n_parameters(model)).text,
                  shape->tied ? "; embeddings and head are one tensor" : "");
}

enum { MOST_TRANSFORMS = 8, MOST_METHODS = 8 };

/* Adds what the list did that is not known yet, the first first; returns how many there are then. */
static size_t gather_transforms(const nb_transform *last, const char **names, size_t n)
{
    if (!last)
        return n;
    n = gather_transforms(last->before, names, n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], last->what) == 0)
            return n;
    if (n < MOST_TRANSFORMS)
        names[n++] = last->what;
    return n;
}

static void add_transforms(const nb_model *model, nb_items *out)
{
    const char *names[MOST_TRANSFORMS];
    size_t n_names = 0, n_tensors = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *tensor = nb_model_tensor(model, i);
        n_tensors += tensor->transforms != NULL;
        n_names = gather_transforms(tensor->transforms, names, n_names);
    }
    nb_draft line = {0};
    for (size_t i = 0; i < n_names; i++)
        nb_draft_addf(&line, "%s%s", i ? ", " : "", names[i]);
    if (n_names > 0) {
        add_row(out, "transforms");
        nb_items_cell(out, 1, "%s · of %zu tensors", nb_draft_text(&line), n_tensors);
    }
    nb_draft_free(&line);
}

static size_t count_made(const nb_model *model, const char *provenance)
{
    size_t n = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const char *other = nb_tensor_provenance(nb_model_tensor(model, i));
        n += other && strcmp(other, provenance) == 0;
    }
    return n;
}

static void add_methods(const nb_model *model, nb_items *out)
{
    const char *shown[MOST_METHODS];
    size_t n_shown = 0;
    for (size_t i = 0; i < nb_model_tensor_count(model) && n_shown < MOST_METHODS; i++) {
        const char *provenance = nb_tensor_provenance(nb_model_tensor(model, i));
        bool known = !provenance;
        for (size_t k = 0; k < n_shown && !known; k++)
            known = strcmp(shown[k], provenance) == 0;
        if (known)
            continue;
        shown[n_shown++] = provenance;
        const size_t n = count_made(model, provenance);
        add_row(out, n_shown == 1 ? "made by" : "");
        nb_items_cell(out, 1, "%s · %zu tensor%s", provenance, n, n == 1 ? "" : "s");
    }
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    (void)call, (void)error;
    const nb_model *model = notebook->model;
    uint64_t now = nb_model_n_bytes(model), before = nb_model_source_bytes(model);
    nb_items_table(out, columns, 2);
    add_row(out, "model");
    nb_items_cell(out, 1, NB_STRONG "%s" NB_END, nb_model_name(model));
    add_row(out, "file");
    nb_items_cell(out, 1, NB_MEASURED "%s" NB_END, nb_model_path(model));
    add_shape(model, out);
    add_row(out, "size");
    nb_items_cell(out, 1, "%s, %s bits a weight%s%s%s", nb_bytes(now).text,
                  nb_fixed(nb_bits_per_weight(now, nb_model_n_parameters(model)), 2).text,
                  now != before ? " (was " : "", now != before ? nb_bytes(before).text : "",
                  now != before ? ")" : "");
    add_transforms(model, out);
    add_methods(model, out);
    nb_draft storage = {0};
    nb_describe_model_storage(model, &storage);
    add_row(out, "now");
    nb_items_cell(out, 1, "%s · " NB_MEASURED "%s, %u threads" NB_END " · %s", nb_draft_text(&storage),
                  notebook->context->kernels->title, nb_pool_size(notebook->context->pool),
                  nb_bytes(now).text);
    nb_draft_free(&storage);
    return NB_OK;
}

const nb_command nb_command_info = {
    .name = "info",
    .group = "A model",
    .usage = "info",
    .summary = "its shape, its size, what computes",
    .examples = {"info"},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
