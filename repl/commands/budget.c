#include "repl/commands/calibrate.h"
#include "repl/commands/figures.h"
#include "repl/commands/recipe.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/draft.h"
#include "repl/language/quantizer_words.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CANDIDATES = 24, MOST_KINDS = 32, N_TOKENS = 1024 };

static const char DEFAULT_CANDIDATES[] =
    "int2 zeropoint/group:128, int3 absmax/group:32, int4 absmax/group:32, int5 absmax/group:32, "
    "int6 absmax/group:32, int3 zeropoint/group:128, int4 zeropoint/group:128, int5 zeropoint/group:128, "
    "q2_k, q3_k, iq4_xs, q4_k, q5_k, q6_k, q8_0";

/* What was measured and chosen. */
typedef struct plan {
    const nb_notebook *notebook;
    nb_quantizer candidates[MOST_CANDIDATES];
    size_t n_candidates;
    nb_budget budget;
    size_t *choices;            /* [budget.n_tensors] */
    char kinds[MOST_KINDS][40]; /* "attn_q", or a name outside the blocks, in the order of the model */
    size_t n_kinds;
    nb_draft samples; /* "calibration.txt, 1,024 tokens" */
} plan;

/* ---- what to choose from ---- */

/* "q4_k, int4 absmax/group:32, nf4, double" */
static nb_status read_candidates(plan *p, const char *list, nb_error *error)
{
    char item[NB_LISTED_BYTES];
    nb_status status = nb_quantizer_list_next(&list, item, error);
    while (status == NB_OK && *item && p->n_candidates < MOST_CANDIDATES) {
        status = nb_quantizer_of_words(item, &p->candidates[p->n_candidates++], error);
        if (status == NB_OK)
            status = nb_quantizer_list_next(&list, item, error);
    }
    if (status == NB_OK && (*item || p->n_candidates == 0))
        status =
            nb_fail(error, NB_ERR_ARGUMENT,
                    "--of lists 1 to %d formats, parted by commas, such as \"q3_k, q4_k\"", MOST_CANDIDATES);
    return status;
}

/* ---- what was chosen ---- */

static const nb_tensor *tensor_at(const plan *p, size_t i)
{
    return nb_model_tensor(p->notebook->model, p->budget.tensors[i]);
}

static const char *kind_of(const nb_tensor *tensor)
{
    const char *dot = strrchr(tensor->name, '.');
    return tensor->layer >= 0 && dot ? dot + 1 : tensor->name;
}

static double bits_of(const plan *p, size_t i)
{
    const nb_tensor *t = tensor_at(p, i);
    const nb_budget_cell *cell = &p->budget.cells[i * p->budget.n_candidates + p->choices[i]];
    return nb_bits_per_weight(cell->n_bytes, (uint64_t)t->n_rows * t->n_cols);
}

static nb_status list_kinds(plan *p, nb_error *error)
{
    for (size_t i = 0; i < p->budget.n_tensors; i++) {
        const char *kind = kind_of(tensor_at(p, i));
        size_t k = 0;
        while (k < p->n_kinds && strcmp(p->kinds[k], kind) != 0)
            k++;
        if (k < p->n_kinds)
            continue;
        if (k == MOST_KINDS)
            return nb_fail(error, NB_ERR_ARGUMENT, "a budget speaks of at most %d kinds of tensors",
                           MOST_KINDS);
        snprintf(p->kinds[p->n_kinds++], sizeof *p->kinds, "%s", kind);
    }
    return NB_OK;
}

/* "0-1, 4": the layers of a kind that get candidate c. Whether there are any. */
static bool add_layers(const plan *p, const char *kind, size_t c, nb_draft *out)
{
    int begin = -1, last = -2;
    bool any = false;
    for (size_t i = 0; i <= p->budget.n_tensors; i++) {
        const nb_tensor *t = i < p->budget.n_tensors ? tensor_at(p, i) : NULL;
        if (t && (p->choices[i] != c || strcmp(kind_of(t), kind) != 0))
            continue;
        if ((!t || t->layer != last + 1) && begin >= 0) {
            nb_draft_addf(out, begin == last ? "%s%d" : "%s%d-%d", any ? "," : "", begin, last);
            any = true;
            begin = -1;
        }
        if (t && t->layer < 0)
            return true;
        if (t) {
            begin = begin < 0 ? t->layer : begin;
            last = t->layer;
        }
    }
    return any;
}

static const nb_column columns[] = {{"tensors", NB_COLUMN_LEFT},
                                    {"a weight", NB_COLUMN_RIGHT},
                                    {"loses", NB_COLUMN_RIGHT},
                                    {"formats and their layers", NB_COLUMN_FLOW}};

static void add_kind(const plan *p, const char *kind, double all_errors, nb_items *out)
{
    uint64_t n_bytes = 0, n_weights = 0;
    double lost = 0;
    nb_draft formats = {0};
    for (size_t i = 0; i < p->budget.n_tensors; i++) {
        const nb_tensor *t = tensor_at(p, i);
        if (strcmp(kind_of(t), kind) != 0)
            continue;
        const nb_budget_cell *cell = &p->budget.cells[i * p->budget.n_candidates + p->choices[i]];
        n_bytes += cell->n_bytes;
        n_weights += (uint64_t)t->n_rows * t->n_cols;
        lost += cell->error;
    }
    for (size_t c = 0; c < p->budget.n_candidates; c++) {
        nb_draft layers = {0};
        if (add_layers(p, kind, c, &layers)) {
            nb_draft_add(&formats, formats.text ? "; " : "");
            char full[96], shorter[96];
            nb_quantizer_describe(&p->budget.candidates[c], full, sizeof full);
            nb_describe_shorter(full, shorter, sizeof shorter);
            nb_draft_add(&formats, shorter);
            nb_draft_addf(&formats, layers.text ? ": %s" : "%s", nb_draft_text(&layers));
        }
        nb_draft_free(&layers);
    }
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", kind);
    nb_items_cell(out, 1, "%s", nb_fixed(nb_bits_per_weight(n_bytes, n_weights), 2).text);
    nb_items_cell(out, 2, "%s", nb_percent(all_errors > 0 ? lost / all_errors : 0).text);
    nb_items_cell(out, 3, "%s", nb_draft_text(&formats));
    nb_draft_free(&formats);
}

/* Bits of a weight in each layer, NaN where nothing was chosen; false if that is all of them. */
static bool fill_row(const plan *p, const char *kind, double *row, size_t n_layers, double *low, double *high)
{
    bool any = false;
    for (size_t l = 0; l < n_layers; l++)
        row[l] = NAN;
    for (size_t i = 0; i < p->budget.n_tensors; i++) {
        const nb_tensor *t = tensor_at(p, i);
        if (t->layer < 0 || strcmp(kind_of(t), kind) != 0)
            continue;
        row[t->layer] = bits_of(p, i);
        *low = fmin(*low, row[t->layer]);
        *high = fmax(*high, row[t->layer]);
        any = true;
    }
    return any;
}

/* Bits of a weight, kinds by layers; what is outside the blocks is in the table only. */
static nb_status draw(const plan *p, const nb_call *call, nb_items *out, nb_error *error)
{
    const size_t n_layers = nb_model_hparams(p->notebook->model)->n_layers;
    double *cells = nb_calloc(p->n_kinds, n_layers * sizeof *cells), low = INFINITY, high = 0;
    nb_draft rows = {0};
    size_t n_rows = 0;
    if (!cells)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    for (size_t k = 0; k < p->n_kinds; k++) {
        if (!fill_row(p, p->kinds[k], cells + n_rows * n_layers, n_layers, &low, &high))
            continue;
        nb_draft_addf(&rows, "%s%s", n_rows ? " " : "", p->kinds[k]);
        n_rows++;
    }
    char sentence[500];
    snprintf(sentence, sizeof sentence,
             "Heatmap of bits a weight, from %s to %s; columns are layers, rows from the top: %.300s.",
             nb_fixed(low, 2).text, nb_fixed(high, 2).text, nb_draft_text(&rows));
    const nb_figure figure = {
        .kind = NB_FIGURE_HEATMAP,
        .headline = "Where the bits go: bits a weight",
        .subline = nb_draft_text(&rows),
        .x_label = "layer",
        .y_label = "tensors, in that order",
        .x_low = -0.5,
        .x_high = (double)n_layers - 0.5,
        .y_low = -0.5,
        .y_high = (double)n_rows - 0.5,
        .cells = cells,
        .n_rows = n_rows,
        .n_columns = n_layers,
        .after = {"bits", NULL},
        .sentence = sentence,
    };
    nb_status status = n_rows ? nb_figure_put(p->notebook, call, &figure, out, error) : NB_OK;
    nb_draft_free(&rows);
    free(cells);
    return status;
}

static void show(const plan *p, double asked, nb_items *out)
{
    const nb_budget_cell all = nb_budget_total(&p->budget, p->choices);
    uint64_t before = 0;
    for (size_t i = 0; i < p->budget.n_tensors; i++)
        before += nb_tensor_n_bytes(tensor_at(p, i));
    nb_items_table(out, columns, sizeof columns / sizeof *columns);
    for (size_t k = 0; k < p->n_kinds; k++)
        add_kind(p, p->kinds[k], all.error, out);
    nb_items_text(out,
                  NB_STRONG "%s bits a weight" NB_END
                            " of %s, everything counted · %s -> %s · expected KL %s nats a token",
                  nb_fixed(nb_bits_per_weight(all.n_bytes, p->budget.n_weights), 2).text,
                  nb_general(asked, 4).text, nb_bytes(before).text, nb_bytes(all.n_bytes).text,
                  nb_general(all.error, 3).text);
    nb_items_text(
        out, NB_MUTED "each of %zu tensors in %zu formats, by %s; \"loses\" is its share of the KL" NB_END,
        p->budget.n_tensors, p->budget.n_candidates, nb_draft_text(&p->samples));
}

/* ---- the recipe ---- */

static nb_status save(const plan *p, const char *typed, const char *scope, double asked, nb_items *out,
                      nb_error *error)
{
    nb_recipe *recipe = NULL;
    char what[96];
    nb_status status = nb_recipe_create(typed, NULL, &recipe, error);
    for (size_t i = 0; status == NB_OK && i < p->budget.n_tensors; i++)
        status = nb_recipe_add(recipe, tensor_at(p, i)->name,
                               nb_quantizer_describe(&p->budget.candidates[p->choices[i]], what, sizeof what),
                               error);
    char *comment = nb_format_text("budget of %s bits a weight for %s, by %s", nb_general(asked, 4).text,
                                   scope, nb_draft_text(&p->samples));
    if (status == NB_OK && !comment)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for a recipe's text");
    if (status == NB_OK)
        status = nb_recipe_store(p->notebook, recipe, typed, comment, error);
    if (status == NB_OK)
        nb_items_text(out,
                      NB_STRONG "%s" NB_END " · %zu tensors.   " NB_COMMAND "quantize %s %s" NB_END
                                "   applies it",
                      typed, recipe->n_lines, scope, typed);
    free(comment);
    nb_recipe_destroy(&recipe);
    return status;
}

/* ---- the command ---- */

static nb_status measure(plan *p, nb_notebook *notebook, const nb_call *call, const char *scope_text,
                         nb_error *error)
{
    nb_scope scope = {0};
    nb_mapping *text = NULL;
    nb_status status = nb_scope_resolve(notebook->model, scope_text, false, &scope, error);
    if (status == NB_OK)
        status =
            nb_notebook_calibration_text(notebook, nb_call_text(call, "text", NULL), "budget", &text, error);
    if (status == NB_OK)
        status = nb_budget_measure(notebook->model, &scope, p->candidates, p->n_candidates,
                                   notebook->importance, (const char *)text->data, text->size,
                                   (size_t)nb_call_number(call, "tokens", N_TOKENS), &p->budget, error);
    if (status == NB_OK)
        status = nb_mapping_check(text, error);
    if (status == NB_OK) {
        const char *name = nb_file_name(text->path);
        nb_draft_add_written(&p->samples, (nb_string){name, strlen(name)});
        nb_draft_addf(&p->samples, ", %s tokens", nb_count(p->budget.n_tokens).text);
    }
    nb_mapping_close(&text);
    nb_scope_free(&scope);
    return status;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *scope = call->n_arguments ? call->arguments[0] : "all",
               *file = nb_call_text(call, "save", NULL);
    const double bpw = nb_call_number(call, "bpw", 0);
    plan p = {.notebook = notebook};
    if (!nb_call_has(call, "bpw"))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "budget needs the bits that a weight may take: budget %s --bpw 4.25", scope);
    if (file && !nb_is_recipe_file(file))
        return nb_fail(error, NB_ERR_ARGUMENT, "--save writes a file that ends in .recipe, not \"%.160s\"",
                       file);
    nb_status status = read_candidates(&p, nb_call_text(call, "of", DEFAULT_CANDIDATES), error);
    if (status == NB_OK)
        status = measure(&p, notebook, call, scope, error);
    if (status == NB_OK && !(p.choices = nb_calloc(p.budget.n_tensors, sizeof *p.choices)))
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for what each tensor gets");
    if (status == NB_OK)
        status = nb_budget_solve(&p.budget, bpw, p.choices, error);
    if (status == NB_OK)
        status = list_kinds(&p, error);
    if (status == NB_OK)
        status = draw(&p, call, out, error);
    if (status == NB_OK) {
        show(&p, bpw, out);
        if (file)
            status = save(&p, file, scope, bpw, out, error);
        else
            nb_items_text(out,
                          "With " NB_COMMAND "--save mine.recipe" NB_END
                          " it is written as a recipe, which " NB_COMMAND "quantize %s mine.recipe" NB_END
                          " applies.",
                          scope);
    }
    nb_draft_free(&p.samples);
    nb_budget_free(&p.budget);
    free(p.choices);
    return status;
}

const nb_command nb_command_budget = {
    .name = "budget",
    .group = "Changing it",
    .usage = "budget [SCOPE] --bpw N [--of \"FORMAT, FORMAT, ...\"] [--text FILE] [--tokens N]\n"
             "       [--save FILE.recipe] [--png FILE] [--svg FILE]",
    .summary = "the best mixture of formats for so many bits a weight",
    .details =
        "Measures what each tensor loses in each format: on some tokens of a text, its block alone is "
        "run with the tensor stored so, and what the output is off by is scaled by what such an error "
        "costs at the end, as KL divergence of the logits. Then it chooses one format for each tensor, so "
        "that the sum is least and all of it fits the budget, scales included. The model itself stays as "
        "it is; the choice is a recipe. " NB_REMEMBERS_CALIBRATION_TEXT,
    .examples = {"budget --bpw 4.25 --save mine.recipe",
                 "budget all,embeddings --bpw 3.5 --of \"q2_k, q3_k, q4_k, q6_k\"",
                 "budget mlp --bpw 3 --tokens 4096"},
    .source = "Dong et al., HAWQ, 2019; ExLlamaV2, doc/convert.md",
    .arguments = {{"SCOPE", NB_WORD_SCOPE, true}},
    .options =
        {{.name = "bpw",
          .kind = NB_WORD_NUMBER,
          .value = "N",
          .low = 0.5,
          .high = 64,
          .summary = "bits that a weight may take, scales included"},
         {.name = "of",
          .kind = NB_WORD_TEXT,
          .value = "FORMATS",
          .summary =
              "choose from these, parted by commas (nf4, double is one); int2 to int6, k-quants, iq4_xs and "
              "q8_0 unless said"},
         NB_CALIBRATION_TEXT_OPTIONS(16, "1,024 unless said"),
         {.name = "save",
          .kind = NB_WORD_NEW_FILE,
          .value = "FILE",
          .summary = "write the choice as a recipe"},
         NB_FIGURE_OPTIONS},
    .needs = NB_NEEDS_MODEL | NB_WRITES_FILES,
    .run = run,
};
