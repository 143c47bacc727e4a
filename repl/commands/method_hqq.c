#include "repl/commands/method.h"
#include "repl/commands/quantize.h"

#include <stdlib.h>

enum { BITS = 4 };

static nb_status run(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, nb_items *out, nb_error *error)
{
    nb_quantizer quantizer;
    nb_quantize_past past;
    const nb_hqq_options options = nb_hqq_defaults();
    nb_tensor_loss *losses = nb_calloc(scope->count, sizeof *losses);
    nb_status status = losses ? nb_method_quantizer(call, BITS, &quantizer, error)
                              : nb_fail(error, NB_ERR_MEMORY, "no memory for what was lost");
    if (status == NB_OK)
        status = nb_quantize_begin(notebook, scope, &past, error);
    if (status == NB_OK)
        status = nb_model_hqq(notebook->model, scope, &quantizer, &options, losses, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        nb_items_text(out, "By HQQ: scales and whole zero points from the weights alone, few of them far off and most near.");
        nb_quantize_report(notebook, scope, &quantizer, losses, &past, out);
    }
    free(losses);
    return status;
}

const nb_method nb_method_hqq = {
    .name = "hqq",
    .summary = "scales and zero points from a solver that forgives few large errors; looks at no text",
    .options = {"bits", "per", "scheme", "scales", "activations"},
    .run = run,
};
