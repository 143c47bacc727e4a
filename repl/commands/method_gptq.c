#include "repl/commands/method.h"
#include "repl/commands/quantize.h"
#include "repl/commands/transform.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_TOKENS = 20480, BITS = 4, N_PIECES = 8, N_POINTS = 96 };

/* ---- the trace ---- */

static const nb_column tensor_columns[] = {{"matrix", NB_COLUMN_LEFT},
                                           {"round to nearest", NB_COLUMN_RIGHT},
                                           {"gptq", NB_COLUMN_RIGHT},
                                           {"of it", NB_COLUMN_RIGHT}};
static const nb_column piece_columns[] = {{"columns", NB_COLUMN_LEFT},
                                          {"round to nearest", NB_COLUMN_RIGHT},
                                          {"gptq", NB_COLUMN_RIGHT},
                                          {"moved, in steps", NB_COLUMN_RIGHT}};

static void show_tensors(const nb_model *model, const nb_scope *scope, const nb_gptq_report *reports, nb_items *out)
{
    nb_items_table(out, tensor_columns, 4);
    for (size_t i = 0; i < scope->count; i++) {
        const nb_gptq_result *r = &reports[i].result;
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_model_tensor(model, scope->tensors[i])->name);
        nb_items_cell(out, 1, "%s", nb_general(r->nearest_loss, 4).text);
        nb_items_cell(out, 2, "%s", nb_general(r->loss, 4).text);
        nb_items_cell(out, 3, "%s", r->nearest_loss > 0 ? nb_percent(r->loss / r->nearest_loss).text : "-");
    }
    nb_items_text(out, "Half the mean squared error of each matrix's output, over the rows of the text.");
}

/* One tensor: where the error is left, from the first column that is rounded to the last. */
static void show_columns(const nb_gptq_result *r, nb_items *out)
{
    const size_t n_pieces = nb_min_size(N_PIECES, r->n_columns);
    nb_items_table(out, piece_columns, 4);
    for (size_t p = 0; p < n_pieces; p++) {
        const size_t begin = p * r->n_columns / n_pieces, end = (p + 1) * r->n_columns / n_pieces;
        double loss = 0, nearest = 0, moved = 0;
        for (size_t c = begin; c < end; c++) {
            loss += r->column_loss[c];
            nearest += r->column_nearest[c];
            moved += r->column_moved[c] * r->column_moved[c];
        }
        nb_items_row(out);
        nb_items_cell(out, 0, "%zu to %zu", begin, end - 1);
        nb_items_cell(out, 1, "%s", nb_general(nearest, 3).text);
        nb_items_cell(out, 2, "%s", nb_general(loss, 3).text);
        nb_items_cell(out, 3, "%s", nb_fixed(sqrt(moved / (double)(end - begin)), 2).text);
    }
}

static void draw_columns(const char *name, const nb_gptq_result *r, nb_items *out)
{
    const size_t n = nb_min_size(N_POINTS, r->n_columns);
    double nearest[N_POINTS], loss[N_POINTS], sums[2] = {0};
    for (size_t i = 0, c = 0; i < n; i++) {
        for (; c < (i + 1) * r->n_columns / n; c++) {
            sums[0] += r->column_nearest[c];
            sums[1] += r->column_loss[c];
        }
        nearest[i] = sums[0];
        loss[i] = sums[1];
    }
    char sentence[256], headline[128];
    snprintf(headline, sizeof headline, "%s of the error is left",
             nb_percent(r->nearest_loss > 0 ? r->loss / r->nearest_loss : 1).text);
    snprintf(sentence, sizeof sentence,
             "The output error of %s as its columns are rounded: by the last one %s with round to nearest and %s with "
             "GPTQ.",
             name, nb_general(r->nearest_loss, 4).text, nb_general(r->loss, 4).text);
    const nb_figure figure = {.kind = NB_FIGURE_CURVE,
                              .headline = headline,
                              .subline = name,
                              .x_label = "columns rounded",
                              .y_label = "output error so far",
                              .x_low = (double)(r->n_columns / n),
                              .x_high = (double)r->n_columns,
                              .n = n,
                              .before = {"round to nearest", nearest},
                              .after = {"gptq", loss},
                              .whole = true,
                              .sentence = sentence};
    nb_items_figure(out, &figure);
}

static void show_trace(const nb_model *model, const nb_scope *scope, const nb_gptq_report *reports, nb_items *out)
{
    if (scope->count > 1) {
        show_tensors(model, scope, reports, out);
        return;
    }
    show_columns(&reports[0].result, out);
    draw_columns(nb_model_tensor(model, scope->tensors[0])->name, &reports[0].result, out);
}

/* ---- what was unusual ---- */

static void warn(const nb_model *model, const nb_scope *scope, const nb_gptq_report *reports, double damp, nb_items *out)
{
    size_t n_dead = 0, n_damped = 0, few = 0;
    for (size_t i = 0; i < scope->count; i++) {
        n_dead += reports[i].n_dead;
        n_damped += reports[i].damp > damp;
        few += reports[i].n_tokens < nb_model_tensor(model, scope->tensors[i])->n_cols;
    }
    if (n_dead > 0)
        nb_items_text(out, "%s columns that nothing flowed into became 0.", nb_count(n_dead).text);
    if (n_damped > 0)
        nb_items_text(out, "%zu Hessian%s needed more damping than %s.", n_damped, n_damped == 1 ? "" : "s",
                      nb_general(damp, 3).text);
    if (few > 0)
        nb_items_text(out, "%zu of the matrices have more columns than the text has tokens: --tokens takes more of it.",
                      few);
}

/* ---- the method ---- */

static nb_status run(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, nb_items *out, nb_error *error)
{
    nb_model *model = notebook->model;
    nb_quantizer quantizer;
    nb_quantize_past past;
    nb_samples samples = {0};
    nb_gptq_run run = {.options = {.damp = nb_call_number(call, "damp", 0.01),
                                   .act_order = nb_call_has(call, "act-order"),
                                   .static_groups = nb_call_has(call, "static-groups")},
                       .samples = &samples,
                       .trace = nb_call_has(call, "trace")};
    nb_gptq_report *reports = nb_calloc(scope->count, sizeof *reports);
    nb_tensor_loss *losses = nb_calloc(scope->count, sizeof *losses);
    nb_status status = reports && losses ? nb_method_quantizer(call, BITS, &quantizer, error)
                                         : nb_fail(error, NB_ERR_MEMORY, "no memory for what was lost");
    if (status == NB_OK)
        status = nb_transform_samples(notebook, call, N_TOKENS, &samples, error);
    if (status == NB_OK)
        status = nb_quantize_begin(notebook, scope, &past, error);
    if (status == NB_OK) {
        run.text_name = nb_file_name(notebook->settings.calibration);
        status = nb_model_gptq(model, scope, &quantizer, &run, losses, reports, error);
    }
    if (status == NB_OK) {
        nb_notebook_note_undo(notebook, call);
        nb_items_text(out, "By %s.", nb_tensor_provenance(nb_model_tensor(model, scope->tensors[0])));
        nb_quantize_report(notebook, scope, &quantizer, losses, &past, out);
        warn(model, scope, reports, run.options.damp, out);
        if (run.trace)
            show_trace(model, scope, reports, out);
        nb_gptq_reports_free(reports, scope->count);
    }
    nb_samples_free(&samples);
    free(reports);
    free(losses);
    return status;
}

const nb_method nb_method_gptq = {
    .name = "gptq",
    .summary = "column by column, so that later columns make up for the errors of earlier ones on what a text makes flow",
    .options = {"bits", "per", "scheme", "format", "scales", "activations", "text", "tokens", "act-order", "static-groups",
                "damp", "trace"},
    .run = run,
};
