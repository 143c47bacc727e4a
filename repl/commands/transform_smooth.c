#include "repl/commands/transform.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdlib.h>
#include <string.h>

enum { N_TOKENS = 4096 };
static const double ALPHA = 0.5;

nb_status nb_transform_samples(nb_notebook *notebook, const nb_call *call, size_t n_tokens, nb_samples *out,
                               nb_error *error)
{
    nb_mapping *text = NULL;
    nb_status status = nb_notebook_calibration_text(notebook, nb_call_text(call, "text", NULL), call->command->name,
                                                    &text, error);
    if (status != NB_OK)
        return status;
    n_tokens = (size_t)nb_call_number(call, "tokens", (double)n_tokens);
    status = nb_samples_create(notebook->model, (const char *)text->data, text->size, n_tokens, out, error);
    if (status == NB_OK && (status = nb_mapping_check(text, error)) != NB_OK)
        nb_samples_free(out);
    nb_mapping_close(&text);
    return status;
}

void nb_transform_describe_samples(const nb_notebook *notebook, const nb_samples *samples, nb_draft *out)
{
    const char *name = nb_file_name(notebook->settings.calibration ? notebook->settings.calibration : "");
    nb_draft_add_written(out, (nb_string){name, strlen(name)});
    nb_draft_addf(out, ", %s tokens", nb_count(nb_samples_n_tokens(samples)).text);
}

static const nb_column columns[] = {{"norm", NB_COLUMN_LEFT},
                                    {"largest activation", NB_COLUMN_RIGHT},
                                    {"over the median", NB_COLUMN_RIGHT},
                                    {"largest weight", NB_COLUMN_RIGHT}};

static void add_pair(nb_items *out, size_t column, float before, float after)
{
    nb_items_cell(out, column, "%s -> %s", nb_general((double)before, 3).text, nb_general((double)after, 3).text);
}

static void describe(const nb_notebook *notebook, const nb_smoothed *made, const nb_samples *samples, nb_items *out)
{
    const nb_model *model = notebook->model;
    nb_draft text = {0};
    nb_items_table(out, columns, 4);
    for (size_t i = 0; i < nb_norm_count(model); i++) {
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_model_tensor(model, made[i].norm)->name);
        add_pair(out, 1, made[i].x_before, made[i].x_after);
        add_pair(out, 2, made[i].spread_before, made[i].spread_after);
        add_pair(out, 3, made[i].w_before, made[i].w_after);
    }
    nb_transform_describe_samples(notebook, samples, &text);
    nb_items_text(out, "%s norms, by %s: a channel's largest activation, and how far that of the largest channel stands above "
                       "the median channel's",
                  nb_count(nb_norm_count(model)).text, nb_draft_text(&text));
    nb_draft_free(&text);
}

nb_status nb_transform_smooth(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    float *before = NULL;
    nb_samples samples = {0};
    nb_smoothed *made = nb_calloc(nb_norm_count(model) + 1, sizeof *made);
    nb_status status = made ? nb_transform_samples(notebook, call, N_TOKENS, &samples, error)
                            : nb_fail(error, NB_ERR_MEMORY, "no memory to transform the model");
    if (status == NB_OK)
        status = nb_transform_probe(model, NB_WEIGHTS_ORIGINAL, &before, error);
    if (status == NB_OK)
        status = nb_model_smooth(model, &samples, nb_call_number(call, "alpha", ALPHA), made, error);
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        describe(notebook, made, &samples, out);
        nb_transform_describe_difference(model, NB_WEIGHTS_ORIGINAL, before, out);
    }
    nb_samples_free(&samples);
    free(before);
    free(made);
    return status;
}
