#include "repl/commands/method.h"
#include "repl/commands/quantize.h"
#include "repl/commands/transform.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdlib.h>

enum { N_TOKENS = 1280, BITS = 4, STEPS = 48, SEQUENCES = 2 };
static const double RATE = 0.01;

static const nb_column columns[] = {
    {"block", NB_COLUMN_LEFT}, {"error rounded", NB_COLUMN_RIGHT}, {"as taught", NB_COLUMN_RIGHT}};

static void describe(const nb_model *model, const nb_distilled *blocks, nb_items *out)
{
    nb_items_table(out, columns, 3);
    for (size_t i = 0; i < nb_model_hparams(model)->n_layers; i++) {
        if (blocks[i].rounded == 0)
            continue; /* nothing of it was quantized */
        nb_items_row(out);
        nb_items_cell(out, 0, "blk.%zu", i);
        nb_items_cell(out, 1, "%s", nb_general(blocks[i].rounded, 3).text);
        nb_items_cell(out, 2, "%s", nb_general(blocks[i].taught, 3).text);
    }
}

static nb_status read_options(const nb_call *call, nb_distill_options *options, nb_error *error)
{
    nb_status status = nb_method_quantizer(call, BITS, &options->quantizer, error);
    if (options->quantizer.format->kind == NB_FORMAT_INT && !nb_call_has(call, "scheme"))
        options->quantizer.scheme = NB_SCHEME_ABSMAX; /* the paper's */
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    nb_distill_options options = {.n_steps = (size_t)nb_call_number(call, "steps", STEPS),
                                  .n_sequences = SEQUENCES,
                                  .rate = RATE,
                                  .tokens = !nb_call_has(call, "activations")};
    nb_quantize_past past;
    nb_samples samples = {0};
    nb_distilled *blocks = nb_calloc(nb_model_hparams(model)->n_layers, sizeof *blocks);
    nb_tensor_loss *losses = nb_calloc(scope->count, sizeof *losses);
    nb_status status = blocks && losses ? read_options(call, &options, error)
                                        : nb_fail(error, NB_ERR_MEMORY, "no memory for what was lost");
    if (status == NB_OK)
        status = nb_transform_samples(notebook, call, N_TOKENS, &samples, error);
    if (status == NB_OK)
        status = nb_quantize_begin(notebook, scope, &past, error);
    if (status == NB_OK)
        status = nb_model_distill(model, scope, &samples, &options, nb_file_name(notebook->settings.calibration), blocks,
                                  losses, error);
    if (status == NB_OK) {
        nb_draft text = {0};
        nb_notebook_note_undo(notebook, call);
        describe(model, blocks, out);
        nb_transform_describe_samples(notebook, &samples, &text);
        nb_items_text(out, "Each block learned to answer as its original does, by %s in %zu steps: mean square error of what it "
                           "makes.%s",
                      nb_draft_text(&text), options.n_steps,
                      options.tokens ? " Activations have one scale a token." : "");
        nb_draft_free(&text);
        nb_quantize_report(notebook, scope, &options.quantizer, losses, &past, out);
    }
    nb_samples_free(&samples);
    free(blocks);
    free(losses);
    return status;
}

const nb_method nb_method_zeroquant = {
    .name = "zeroquant",
    .summary = "groups of weights, one scale a token, and each block taught to answer as its original does",
    .options = {"bits", "per", "scheme", "format", "scales", "activations", "text", "tokens", "steps"},
    .run = run,
};
