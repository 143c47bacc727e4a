#include "repl/commands/method.h"
#include "repl/commands/quantize.h"
#include "repl/commands/transform.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdlib.h>

enum { N_TOKENS = 1024, BITS = 4 };

static nb_status run(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    nb_awq_options options = {.duo = nb_call_has(call, "duo")};
    nb_quantize_past past;
    nb_samples samples = {0};
    size_t n_groups = 0;
    uint64_t n_clipped = 0;
    nb_awq_group *groups = nb_calloc(nb_awq_group_count(model), sizeof *groups);
    nb_tensor_loss *losses = nb_calloc(scope->count, sizeof *losses);
    nb_status status = groups && losses ? nb_method_quantizer(call, BITS, &options.quantizer, error)
                                        : nb_fail(error, NB_ERR_MEMORY, "no memory for what was lost");
    if (status == NB_OK)
        status = nb_transform_samples(notebook, call, N_TOKENS, &samples, error);
    if (status == NB_OK)
        status = nb_quantize_begin(notebook, scope, &past, error);
    if (status == NB_OK)
        status = nb_model_awq(model, scope, &samples, &options, nb_file_name(notebook->settings.calibration), groups,
                              &n_groups, &n_clipped, losses, error);
    if (status == NB_OK) {
        nb_draft text = {0};
        nb_notebook_note_undo(notebook, call);
        nb_describe_awq_groups(model, groups, n_groups, out);
        nb_transform_describe_samples(notebook, &samples, &text);
        nb_items_text(out, "By %s: factors mean|x|^ratio, folded into norms, attn_v and ffn_up; %s groups of weights got a smaller "
                           "range than their numbers have.",
                      nb_draft_text(&text), nb_count(n_clipped).text);
        nb_draft_free(&text);
        nb_quantize_report(notebook, scope, &options.quantizer, losses, &past, out);
    }
    nb_samples_free(&samples);
    free(groups);
    free(losses);
    return status;
}

const nb_method nb_method_awq = {
    .name = "awq",
    .summary = "columns that meet large activations are scaled up before rounding, then ranges are searched",
    .options = {"bits", "per", "scheme", "format", "scales", "activations", "text", "tokens", "duo"},
    .run = run,
};
