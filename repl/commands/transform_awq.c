#include "repl/commands/quantize.h"
#include "repl/commands/transform.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdlib.h>
#include <string.h>

enum { N_TOKENS = 1024, BITS = 4, GROUP = 128 };

static nb_status read_quantizer(const nb_call *call, nb_quantizer *out, nb_error *error)
{
    *out = (nb_quantizer){.format = nb_format_int((unsigned)nb_call_number(call, "bits", BITS)),
                          .granularity = NB_PER_GROUP,
                          .group = GROUP,
                          .scheme = strcmp(nb_call_text(call, "scheme", "zeropoint"), "absmax") == 0 ? NB_SCHEME_ABSMAX
                                                                                                  : NB_SCHEME_ZEROPOINT};
    const char *per = nb_call_text(call, "per", NULL);
    nb_status status = per ? nb_granularity_read(per, out, error) : NB_OK;
    return status == NB_OK ? nb_quantizer_check(out, error) : status;
}

static const nb_column columns[] = {{"matrices", NB_COLUMN_LEFT},
                                    {"ratio", NB_COLUMN_RIGHT},
                                    {"error without", NB_COLUMN_RIGHT},
                                    {"with factors", NB_COLUMN_RIGHT}};

void nb_describe_awq_groups(const nb_model *model, const nb_awq_group *groups, size_t n, nb_items *out)
{
    nb_items_table(out, columns, 4);
    for (size_t i = 0; i < n; i++) {
        const nb_awq_choice *choice = &groups[i].choice;
        nb_items_row(out);
        nb_items_cell(out, 0, "%s%s", nb_model_tensor(model, groups[i].tensor)->name,
                      groups[i].n_tensors == 3 ? ", k, v" : groups[i].n_tensors == 2 ? ", gate" : "");
        nb_items_cell(out, 1, "%s", nb_fixed((double)choice->step / NB_AWQ_STEPS, 2).text);
        nb_items_cell(out, 2, "%s", nb_general(choice->rounded, 3).text);
        nb_items_cell(out, 3, "%s", nb_general(choice->scaled, 3).text);
    }
}

nb_status nb_transform_awq(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    nb_awq_options options = {.duo = nb_call_has(call, "duo")};
    float *before = NULL;
    size_t n_groups = 0;
    nb_samples samples = {0};
    nb_scope scope = {0};
    nb_awq_group *groups = nb_calloc(nb_awq_group_count(model), sizeof *groups);
    nb_status status = groups ? read_quantizer(call, &options.quantizer, error)
                              : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
    if (status == NB_OK)
        status = nb_scope_resolve(model, "all", false, &scope, error);
    if (status == NB_OK)
        status = nb_transform_samples(notebook, call, N_TOKENS, &samples, error);
    if (status == NB_OK)
        status = nb_transform_probe(model, NB_WEIGHTS_ORIGINAL, &before, error);
    if (status == NB_OK)
        status = nb_model_awq_scale(model, &scope, &samples, &options, groups, &n_groups, error);
    if (status == NB_OK) {
        char stored[96];
        nb_draft text = {0};
        nb_notebook_note_undo(notebook, call);
        nb_describe_awq_groups(model, groups, n_groups, out);
        nb_transform_describe_samples(notebook, &samples, &text);
        nb_items_text(out, "factors are mean|x|^ratio, chosen for " NB_STRONG "%s" NB_END " by %s: mean square error of what the "
                           "block adds, or of the matrix's own output",
                      nb_quantizer_describe(&options.quantizer, stored, sizeof stored), nb_draft_text(&text));
        nb_draft_free(&text);
        nb_transform_describe_difference(model, NB_WEIGHTS_ORIGINAL, before, out);
    }
    nb_samples_free(&samples);
    nb_scope_free(&scope);
    free(before);
    free(groups);
    return status;
}
