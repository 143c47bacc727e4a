#include "base/memory.h"
#include "repl/commands/calibrate.h"
#include "repl/commands/figures.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- all inputs ---- */

static const nb_column columns[] = {{"into", NB_COLUMN_WRAP},       {"channels", NB_COLUMN_RIGHT},
                                    {"largest", NB_COLUMN_RIGHT},   {"ema", NB_COLUMN_RIGHT},
                                    {"99.99 %", NB_COLUMN_RIGHT},   {"mse", NB_COLUMN_RIGHT},
                                    {"entropy", NB_COLUMN_RIGHT}};

/* "blk.0.attn_k, attn_v, attn_q" */
static void name_readers(const nb_model *model, const nb_calibration_entry *e, nb_draft *out)
{
    for (size_t i = 0; i < e->n_tensors; i++) {
        const char *name = nb_model_tensor(model, e->tensors[i])->name, *dot = strrchr(name, '.');
        nb_draft_addf(out, "%s%s", i ? ", " : "", i && dot ? dot + 1 : name);
    }
}

static void show_all(const nb_model *model, const nb_calibration *c, nb_items *out)
{
    char described[128];
    nb_items_table(out, columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < c->n_entries; i++) {
        const nb_calibration_entry *e = &c->entries[i];
        nb_draft names = {0};
        name_readers(model, e, &names);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_draft_text(&names));
        nb_items_cell(out, 1, "%zu", e->n_cols);
        for (int o = 0; o < NB_OBSERVERS; o++)
            nb_items_cell(out, 2 + (size_t)o, "%s", nb_general((double)nb_calibration_reach(e, (nb_observer)o), 3).text);
        nb_draft_free(&names);
    }
    nb_items_text(out, "How far a static scale reaches by each observer; %s.   " NB_COMMAND "activations %s" NB_END
                       "   draws one",
                  nb_calibration_describe(c, described, sizeof described),
                  nb_model_tensor(model, c->entries[0].tensors[0])->name);
}

/* ---- one input, drawn ---- */

typedef struct picture {
    const nb_tensor *tensor;
    const nb_calibration_entry *entry;
    size_t n;
    double *largest, *mean; /* [n]: channels, or cells of a heatmap */
    size_t top;             /* the channel with the largest */
    double median;
    char headline[192], subline[256], sentence[640];
} picture;

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static nb_status fill(picture *p, nb_error *error)
{
    const nb_calibration_entry *e = p->entry;
    p->n = e->n_cols;
    p->largest = nb_calloc(p->n, sizeof *p->largest);
    p->mean = nb_calloc(p->n, sizeof *p->mean);
    if (!p->largest || !p->mean)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    for (size_t i = 0; i < p->n; i++) {
        p->largest[i] = p->mean[i] = (double)e->channel_max[i];
        p->top = p->largest[i] > p->largest[p->top] ? i : p->top;
    }
    qsort(p->mean, p->n, sizeof *p->mean, ascending);
    p->median = p->mean[p->n / 2];
    for (size_t i = 0; i < p->n; i++)
        p->mean[i] = (double)e->channel_mean[i];
    return NB_OK;
}

static void write_words(picture *p, const nb_calibration *c)
{
    char described[128];
    const double most = p->largest[p->top], ratio = p->median > 0 ? most / p->median : 0;
    nb_calibration_describe(c, described, sizeof described);
    if (ratio > 6)
        snprintf(p->headline, sizeof p->headline, "Channel %zu reaches %s, %s times the median channel", p->top,
                 nb_general(most, 3).text, nb_general(ratio, 2).text);
    else
        snprintf(p->headline, sizeof p->headline, "No channel reaches far beyond the others: %s at most",
                 nb_general(most, 3).text);
    snprintf(p->subline, sizeof p->subline, "into %.80s, %s", p->tensor->name, described);
    snprintf(p->sentence, sizeof p->sentence,
             "Activations into %.80s over %s: of %zu channels, number %zu reaches farthest, %s; the median channel %s. The "
             "largest of each, and the mean of its magnitude.",
             p->tensor->name, described, p->n, p->top, nb_general(most, 4).text, nb_general(p->median, 4).text);
}

static nb_status draw_channels(nb_notebook *notebook, const nb_call *call, const picture *p, nb_items *out,
                               nb_error *error)
{
    const nb_figure figure = {.kind = NB_FIGURE_CURVE,
                              .headline = p->headline,
                              .subline = p->subline,
                              .x_label = "channel",
                              .y_label = "activation",
                              .x_low = 0,
                              .x_high = (double)(p->n - 1),
                              .n = p->n,
                              .before = {"largest", p->largest},
                              .after = {"mean magnitude", p->mean},
                              .log_y = nb_call_has(call, "log"),
                              .whole = true,
                              .sentence = p->sentence};
    return nb_figure_put(notebook, call, &figure, out, error);
}

/* Tokens by channels: outliers stand as lines. */
static nb_status draw_rows(nb_notebook *notebook, const nb_call *call, const picture *p, nb_items *out, nb_error *error)
{
    const nb_calibration_entry *e = p->entry;
    const size_t n = e->n_rows * e->n_cols;
    double *cells = nb_calloc(n, sizeof *cells);
    if (!cells)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    for (size_t i = 0; i < n; i++)
        cells[i] = (double)e->rows[i];
    const nb_figure figure = {.kind = NB_FIGURE_HEATMAP,
                              .headline = p->headline,
                              .subline = p->subline,
                              .x_label = "channel",
                              .y_label = "token, some of them",
                              .x_low = -0.5,
                              .x_high = (double)e->n_cols - 0.5,
                              .y_low = -0.5,
                              .y_high = (double)e->n_rows - 0.5,
                              .cells = cells,
                              .n_rows = e->n_rows,
                              .n_columns = e->n_cols,
                              .before = {e->low < 0 ? "below 0" : NULL, NULL},
                              .after = {e->high > 0 ? "above 0" : NULL, NULL},
                              .sentence = p->sentence};
    nb_status status = nb_figure_put(notebook, call, &figure, out, error);
    free(cells);
    return status;
}

static nb_status show_one(nb_notebook *notebook, const nb_call *call, const nb_calibration *c, nb_items *out,
                          nb_error *error)
{
    picture p = {0};
    nb_status status = nb_notebook_tensor(notebook, call->arguments[0], &p.tensor, error);
    if (status != NB_OK)
        return status;
    const long index = nb_model_find_tensor(notebook->model, p.tensor->name);
    p.entry = index < 0 ? NULL : nb_calibration_find(c, (size_t)index);
    if (!p.entry)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s multiplies nothing: activations flow into matrices", p.tensor->name);
    status = fill(&p, error);
    if (status == NB_OK) {
        write_words(&p, c);
        status = (nb_call_has(call, "rows") ? draw_rows : draw_channels)(notebook, call, &p, out, error);
    }
    for (int o = 0; o < NB_OBSERVERS && status == NB_OK; o++)
        nb_items_text(out, "%s%s: %s, in steps of %s", o ? "" : "A static scale would reach, by ", nb_observer_name((nb_observer)o),
                      nb_general((double)nb_calibration_reach(p.entry, (nb_observer)o), 4).text,
                      nb_general((double)nb_calibration_reach(p.entry, (nb_observer)o) / 127.0, 3).text);
    free(p.largest);
    free(p.mean);
    return status;
}

/* ---- setting them ---- */

static nb_status set(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_activation_mode mode = NB_ACTIVATION_BLOCKS;
    nb_observer observer;
    nb_scope scope = {0};
    const nb_calibration *calibration = NULL;
    nb_status status = nb_activation_mode_read(call->arguments[1], &mode, error);
    if (status == NB_OK && !nb_activation_mode_is_static(mode) && nb_call_has(call, "observer"))
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "--observer finds how far static scales reach: it goes with static or "
                         "static:channel");
    if (status == NB_OK)
        status = nb_observer_read(call, mode, &observer, error);
    if (status == NB_OK)
        status = nb_scope_resolve(notebook->model, call->arguments[0], false, &scope, error);
    if (status == NB_OK)
        status = nb_activation_check_observer(mode, observer, nb_notebook_calibration(notebook), error);
    if (status == NB_OK && nb_activation_mode_is_static(mode))
        status = nb_notebook_calibrate(notebook, "activations", out, &calibration, error);
    if (status == NB_OK)
        status = nb_model_activate(notebook->model, &scope, mode, calibration, observer, error);
    if (status == NB_OK) {
        char text[256];
        nb_notebook_note_undo(notebook, call);
        const nb_input *input = nb_model_tensor(notebook->model, scope.tensors[0])->input;
        nb_describe_inputs(notebook->model, &scope, input, text, sizeof text);
        nb_items_text(out, "%zu tensor%s · %s", scope.count, scope.count == 1 ? "" : "s",
                      *text ? text : "a scale for every 32 of a token");
    }
    nb_scope_free(&scope);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const nb_calibration *calibration;
    if (call->n_arguments > 1)
        return set(notebook, call, out, error);
    nb_status status = nb_notebook_calibrate(notebook, "activations", out, &calibration, error);
    if (status == NB_OK && call->n_arguments > 0)
        return show_one(notebook, call, calibration, out, error);
    if (status == NB_OK)
        show_all(notebook->model, calibration, out);
    return status;
}

const nb_command nb_command_activations = {
    .name = "activations",
    .group = "Calibrating",
    .usage = "activations [TENSOR] [--rows] [--log] [--png FILE] [--svg FILE]\n"
             "activations SCOPE blocks|token|dynamic|static|static:channel [--observer NAME]",
    .summary = "what flows into a matrix, and how it becomes integers",
    .details = "A quantized matrix multiplies integers, so what flows into it is quantized too: as it "
               "comes, with a scale for every 32 numbers of a token (blocks) or for each token (token, or "
               "dynamic, which is the same); or with one scale from a calibration (static), which costs "
               "nothing while the model runs, and clips what goes beyond it: layers and compare count how "
               "much. Products are summed over 32 columns at most, which 32 bits always hold: nothing "
               "overflows. static:channel gives each "
               "channel its own, folded into the weights before they are rounded. How far static scales "
               "reach an observer decides: mse unless --observer says, of channels minmax. Of channels, "
               "percentile, mse and entropy look at what calibrate --channels records. Without a mode it "
               "shows what the calibration saw.",
    .examples = {"activations blk.0.ffn_down", "activations all static --observer percentile",
                 "activations all static:channel --observer ema"},
    .source = "Nagel et al., A White Paper on Neural Network Quantization, arXiv 2106.08295, section 3; Yao "
              "et al., ZeroQuant, arXiv 2206.01861",
    .arguments = {{"SCOPE", NB_WORD_SCOPE, true}, {"MODE", NB_WORD_TEXT, true}},
    .options = {NB_OBSERVER_OPTION,
                {.name = "rows", .kind = NB_WORD_FLAG, .summary = "tokens by channels, as a heatmap"},
                {.name = "log", .kind = NB_WORD_FLAG, .summary = "a logarithmic axis"},
                NB_FIGURE_OPTIONS},
    .needs = NB_NEEDS_MODEL | NB_WRITES_FILES,
    .run = run,
};
