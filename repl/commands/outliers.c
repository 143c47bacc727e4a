#include "repl/commands/outliers.h"

#include "repl/commands/calibrate.h"
#include "repl/commands/figures.h"
#include "repl/commands/table.h"
#include "repl/draft.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double THRESHOLD = 6; /* the paper's */

/* ---- in words ---- */

static const nb_column columns[] = {{"what flows into", NB_COLUMN_LEFT},
                                    {"outliers", NB_COLUMN_RIGHT},
                                    {"of columns", NB_COLUMN_RIGHT},
                                    {"largest", NB_COLUMN_RIGHT},
                                    {"middle column's", NB_COLUMN_RIGHT},
                                    {"which", NB_COLUMN_CUT}};
enum { N_COLUMNS = sizeof columns / sizeof *columns, MOST_NAMED = 8 };

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The largest of the columns, and the one in the middle; NaN when memory is short. */
static void spread(const nb_calibration_entry *entry, double *largest, double *middle)
{
    float *sorted = nb_calloc(entry->n_cols, sizeof *sorted);
    *largest = *middle = NAN;
    if (!sorted)
        return;
    memcpy(sorted, entry->channel_max, entry->n_cols * sizeof *sorted);
    qsort(sorted, entry->n_cols, sizeof *sorted, ascending);
    *largest = (double)sorted[entry->n_cols - 1];
    *middle = (double)sorted[entry->n_cols / 2];
    free(sorted);
}

/* The tensors of the scope that read it: "blk.0.attn_q, attn_k, attn_v"; "" if none does. */
static void name_readers(const nb_model *model, const nb_scope *scope, const nb_calibration_entry *entry, nb_draft *out)
{
    for (size_t i = 0; i < scope->count; i++)
        for (size_t k = 0; k < entry->n_tensors; k++) {
            if (entry->tensors[k] != scope->tensors[i])
                continue;
            const char *name = nb_model_tensor(model, scope->tensors[i])->name, *dot = strrchr(name, '.');
            if (out->text)
                nb_draft_addf(out, ", %s", dot ? dot + 1 : name);
            else
                nb_draft_add(out, name);
        }
}

static void add_row(const char *names, const nb_calibration_entry *entry, double threshold, nb_items *out)
{
    const size_t n = nb_outlier_columns(entry, threshold, NULL);
    nb_draft which = {0};
    double largest, middle;
    size_t named = 0;
    spread(entry, &largest, &middle);
    for (size_t k = 0; k < entry->n_cols && named < MOST_NAMED; k++)
        if ((double)entry->channel_max[k] >= threshold)
            nb_draft_addf(&which, "%s%zu", named++ ? ", " : "", k);
    if (n > named)
        nb_draft_add(&which, ", ...");
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", names);
    nb_items_cell(out, 1, NB_STRONG "%zu" NB_END, n);
    nb_items_cell(out, 2, "%zu", entry->n_cols);
    nb_items_cell(out, 3, "%s", nb_general(largest, 3).text);
    nb_items_cell(out, 4, "%s", nb_general(middle, 3).text);
    nb_items_cell(out, 5, "%s", nb_draft_text(&which));
    nb_draft_free(&which);
}

void nb_outliers_describe(const nb_model *model, const nb_scope *scope, const nb_calibration *calibration,
                          double threshold, nb_items *out)
{
    size_t n_columns = 0, n_outliers = 0;
    char text[160];
    nb_calibration_describe(calibration, text, sizeof text);
    for (size_t i = 0; i < calibration->n_entries; i++) {
        const nb_calibration_entry *entry = &calibration->entries[i];
        const size_t n = nb_outlier_columns(entry, threshold, NULL);
        nb_draft names = {0};
        name_readers(model, scope, entry, &names);
        if (names.text && n > 0 && n_outliers == 0)
            nb_items_table(out, columns, N_COLUMNS);
        if (names.text && n > 0)
            add_row(nb_draft_text(&names), entry, threshold, out);
        n_outliers += names.text ? n : 0;
        n_columns += names.text ? entry->n_cols : 0;
        nb_draft_free(&names);
    }
    if (n_outliers == 0)
        nb_items_text(out, "No activation reaches %s in %s: there is nothing to keep out of int8.",
                      nb_general(threshold, 4).text, text);
    else
        nb_items_text(out, "%s of %s columns of activations (%s) reach %s in %s.", nb_count(n_outliers).text,
                      nb_count(n_columns).text, nb_percent((double)n_outliers / (double)n_columns).text,
                      nb_general(threshold, 4).text, text);
}

/* ---- as a picture ---- */

/* What goes farthest beyond its own middle; NULL if the scope's tensors multiply nothing. */
static const nb_calibration_entry *most_uneven(const nb_model *model, const nb_scope *scope,
                                               const nb_calibration *calibration)
{
    const nb_calibration_entry *best = NULL;
    double most = -1;
    for (size_t i = 0; i < calibration->n_entries; i++) {
        nb_draft names = {0};
        double largest, middle;
        name_readers(model, scope, &calibration->entries[i], &names);
        spread(&calibration->entries[i], &largest, &middle);
        const double ratio = middle > 0 ? largest / middle : largest > 0 ? INFINITY : 0;
        if (names.text && ratio > most) {
            most = ratio;
            best = &calibration->entries[i];
        }
        nb_draft_free(&names);
    }
    return best;
}

static nb_status draw(const nb_notebook *notebook, const nb_call *call, const nb_scope *scope,
                      const nb_calibration_entry *entry, const char *text, double threshold, nb_items *out,
                      nb_error *error)
{
    const size_t n = entry->n_cols, n_outliers = nb_outlier_columns(entry, threshold, NULL);
    char headline[200], subline[240], sentence[480], label[64];
    double largest, middle, *heights = nb_calloc(2 * n, sizeof *heights);
    nb_draft names = {0};
    if (!heights)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure of %zu columns", n);
    name_readers(notebook->model, scope, entry, &names);
    spread(entry, &largest, &middle);
    for (size_t k = 0; k < n; k++) {
        heights[k] = (double)entry->channel_max[k];
        heights[n + k] = threshold;
    }
    if (n_outliers)
        snprintf(headline, sizeof headline, "%zu of %zu columns reach %s; the middle one goes to %s", n_outliers, n,
                 nb_general(threshold, 4).text, nb_general(middle, 3).text);
    else
        snprintf(headline, sizeof headline, "No column reaches %s; the largest goes to %s",
                 nb_general(threshold, 4).text, nb_general(largest, 3).text);
    snprintf(subline, sizeof subline, "what flows into %.80s, of %.100s", nb_draft_text(&names), text);
    snprintf(sentence, sizeof sentence, "Largest activations of the %zu columns that flow into %.80s: %.150s.", n,
             nb_draft_text(&names), headline);
    snprintf(label, sizeof label, "threshold %s", nb_general(threshold, 4).text);
    const nb_figure figure = {.kind = NB_FIGURE_CURVE,
                              .headline = headline,
                              .subline = subline,
                              .x_label = "column",
                              .y_label = "largest |x|",
                              .x_low = 0,
                              .x_high = (double)(n - 1),
                              .n = n,
                              .before = {label, heights + n},
                              .after = {"largest |x|", heights},
                              .whole = true,
                              .sentence = sentence};
    nb_status status = nb_figure_put(notebook, call, &figure, out, error);
    nb_draft_free(&names);
    free(heights);
    return status;
}

/* ---- the command ---- */

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_scope scope = {0};
    const nb_calibration *calibration = NULL;
    const nb_calibration_entry *drawn = NULL;
    char text[160];
    const double threshold = nb_call_number(call, "threshold", THRESHOLD);
    nb_status status = nb_scope_resolve(notebook->model, call->n_arguments ? call->arguments[0] : "all", false, &scope,
                                        error);
    if (status == NB_OK && !(threshold > 0))
        status = nb_fail(error, NB_ERR_ARGUMENT, "an outlier is at least some size above 0; the paper's is 6");
    if (status == NB_OK)
        status = nb_notebook_calibrate(notebook, "outliers", out, &calibration, error);
    if (status == NB_OK && !(drawn = most_uneven(notebook->model, &scope, calibration)))
        status = nb_fail(error, NB_ERR_ARGUMENT, "%.60s multiplies nothing: its rows are looked up", call->arguments[0]);
    if (status == NB_OK) {
        nb_outliers_describe(notebook->model, &scope, calibration, threshold, out);
        status = draw(notebook, call, &scope, drawn, nb_calibration_describe(calibration, text, sizeof text), threshold,
                      out, error);
    }
    if (status == NB_OK)
        nb_items_text(out, NB_COMMAND "quantize all int8 --per channel --outliers %s" NB_END
                           "   keeps such columns in f16",
                      nb_general(threshold, 4).text);
    nb_scope_free(&scope);
    return status;
}

const nb_command nb_command_outliers = {
    .name = "outliers",
    .group = "Calibrating",
    .usage = "outliers [SCOPE] [--threshold X]",
    .summary = "columns of activations that reach far beyond the rest",
    .details = "The largest size that every column of the activations had, before each matrix of SCOPE (attention and mlp "
               "unless said), while the model read the text that it is calibrated with. A few columns that are far larger than the rest stretch the "
               "scales of int8 activations; LLM.int8() multiplies those in f16.",
    .examples = {"outliers", "outliers blk.0.* --threshold 3"},
    .source = "Dettmers et al., LLM.int8(), arXiv 2208.07339, sections 3 and 4",
    .arguments = {{"SCOPE", NB_WORD_SCOPE, true}},
    .options = {{.name = "threshold",
                 .kind = NB_WORD_NUMBER,
                 .value = "X",
                 .low = 0,
                 .high = 1e9,
                 .summary = "from which size on; 6 unless said"},
                NB_FIGURE_OPTIONS},
    .needs = NB_NEEDS_MODEL,
    .run = run,
};
