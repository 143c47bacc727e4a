/* budget: the best mixture of formats for so many bits, and what else its measurements say. */
#include "repl/commands/budget.h"

#include "base/memory.h"
#include "repl/commands/calibrate.h"
#include "repl/commands/figures.h"
#include "repl/commands/recipe.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was chosen. */
typedef struct plan {
    nb_notebook *notebook;
    const nb_measured_budget *measured;
    const nb_budget *budget; /* of these */
    nb_budget_view view;
    size_t *choices; /* [budget->n_tensors] */
} plan;

/* "0-1, 4": the layers of a kind that get candidate c. Whether there are any. */
static bool add_layers(const plan *p, size_t kind, size_t c, nb_draft *out)
{
    int begin = -1, last = -2;
    bool any = false;
    for (size_t i = 0; i <= p->budget->n_tensors; i++) {
        const nb_tensor *t = i < p->budget->n_tensors ? nb_budget_tensor(&p->view, i) : NULL;
        if (t && (p->choices[i] != c || p->view.kind_of[i] != kind))
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

static void add_kind(const plan *p, size_t kind, double all_errors, nb_items *out)
{
    uint64_t n_bytes = 0, n_weights = 0;
    double lost = 0;
    nb_draft formats = {0};
    for (size_t i = 0; i < p->budget->n_tensors; i++) {
        const nb_budget_cell *cell = nb_budget_cell_at(p->budget, i, p->choices[i]);
        if (p->view.kind_of[i] != kind)
            continue;
        n_bytes += cell->n_bytes;
        n_weights += nb_tensor_n_weights(nb_budget_tensor(&p->view, i));
        lost += cell->error;
    }
    for (size_t c = 0; c < p->budget->n_candidates; c++) {
        nb_draft layers = {0};
        if (add_layers(p, kind, c, &layers)) {
            char name[96];
            nb_budget_name(p->budget, c, name, sizeof name);
            nb_draft_addf(&formats, "%s%s", formats.text ? "; " : "", name);
            nb_draft_addf(&formats, layers.text ? ": %s" : "%s", nb_draft_text(&layers));
        }
        nb_draft_free(&layers);
    }
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", p->view.kinds[kind]);
    nb_items_cell(out, 1, "%s", nb_fixed(nb_bits_per_weight(n_bytes, n_weights), 2).text);
    nb_items_cell(out, 2, "%s", nb_percent(all_errors > 0 ? lost / all_errors : 0).text);
    nb_items_cell(out, 3, "%s", nb_draft_text(&formats));
    nb_draft_free(&formats);
}

static nb_status draw(const plan *p, nb_items *out, nb_error *error)
{
    double *bits = nb_calloc(p->budget->n_tensors, sizeof *bits);
    if (!bits)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    for (size_t i = 0; i < p->budget->n_tensors; i++)
        bits[i] = nb_bits_per_weight(nb_budget_cell_at(p->budget, i, p->choices[i])->n_bytes,
                                     nb_tensor_n_weights(nb_budget_tensor(&p->view, i)));
    nb_status status =
        nb_budget_draw(&p->view, bits, "Where the bits go: bits a weight", "bits a weight", "bits", out, error);
    free(bits);
    return status;
}

static void show(const plan *p, double asked, nb_items *out)
{
    const nb_budget_cell all = nb_budget_total(p->budget, p->choices);
    uint64_t before = 0;
    for (size_t i = 0; i < p->budget->n_tensors; i++)
        before += nb_tensor_n_bytes(nb_budget_tensor(&p->view, i));
    nb_items_table(out, columns, sizeof columns / sizeof *columns);
    for (size_t k = 0; k < p->view.n_kinds; k++)
        add_kind(p, k, all.error, out);
    nb_items_text(out,
                  NB_STRONG "%s bits a weight" NB_END
                            " of %s, everything counted · %s -> %s · expected KL %s nats a token",
                  nb_fixed(nb_bits_per_weight(all.n_bytes, p->budget->n_weights), 2).text,
                  nb_general(asked, 4).text, nb_bytes(before).text, nb_bytes(all.n_bytes).text,
                  nb_general(all.error, 3).text);
}

/* ---- the recipe ---- */

static nb_status save(const plan *p, const char *typed, const char *scope, double asked, nb_items *out,
                      nb_error *error)
{
    nb_recipe *recipe = NULL;
    char what[96];
    nb_status status = nb_recipe_create(typed, NULL, &recipe, error);
    for (size_t i = 0; status == NB_OK && i < p->budget->n_tensors; i++)
        status =
            nb_recipe_add(recipe, nb_budget_tensor(&p->view, i)->name,
                          nb_quantizer_describe(&p->budget->candidates[p->choices[i]], what, sizeof what), error);
    char *comment = nb_format_text("budget of %s bits a weight for %s, by %s", nb_general(asked, 4).text,
                                   scope, nb_draft_text(&p->measured->samples));
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

static nb_status show_allocation(plan *p, const nb_call *call, const char *scope, bool again, nb_items *out,
                                 nb_error *error)
{
    const double asked = nb_call_number(call, "bpw", 0);
    const char *file = nb_call_text(call, "save", NULL);
    nb_status status = (p->choices = nb_calloc(p->budget->n_tensors, sizeof *p->choices))
                           ? nb_budget_solve(p->budget, asked, p->choices, error)
                           : nb_fail(error, NB_ERR_MEMORY, "no memory for what each tensor gets");
    if (status == NB_OK)
        status = draw(p, out, error);
    if (status != NB_OK)
        return status;
    show(p, asked, out);
    nb_items_text(out,
                  NB_MUTED "each of %zu tensors in %zu formats, by %s%s; \"loses\" is its share of the KL" NB_END,
                  p->budget->n_tensors, p->budget->n_candidates, nb_draft_text(&p->measured->samples),
                  again ? ", as measured before" : "");
    if (file)
        return save(p, file, scope, asked, out, error);
    nb_items_text(out,
                  "With " NB_COMMAND "--save mine.recipe" NB_END " it is written as a recipe, which " NB_COMMAND
                  "quantize %s mine.recipe" NB_END " applies. " NB_COMMAND "--show front" NB_END
                  " draws other budgets, " NB_COMMAND "--show sensitivity" NB_END " who minds.",
                  scope);
    return NB_OK;
}

static nb_status check(const nb_call *call, const char *shown, const char *scope, nb_error *error)
{
    const char *file = nb_call_text(call, "save", NULL);
    if (!nb_call_has(call, "bpw") && strcmp(shown, "front") != 0)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "budget needs the bits that a weight may take: budget %s --bpw 4.25", scope);
    if (file && strcmp(shown, "allocation") != 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "--save writes an allocation: leave --show %s out", shown);
    if (file && !nb_is_recipe_file(file))
        return nb_fail(error, NB_ERR_ARGUMENT, "--save writes a file that ends in .recipe, not \"%.160s\"",
                       file);
    return NB_OK;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const char *scope = call->n_arguments ? call->arguments[0] : "all",
               *shown = nb_call_text(call, "show", "allocation");
    plan p = {.notebook = notebook};
    bool again;
    nb_status status = check(call, shown, scope, error);
    if (status == NB_OK)
        status = nb_budget_of_call(notebook, call, &p.measured, &again, error);
    if (status != NB_OK)
        return status;
    p.budget = &p.measured->budget;
    status = nb_budget_view_create(notebook, call, p.budget, &p.view, error);
    if (status == NB_OK && strcmp(shown, "allocation") == 0)
        status = show_allocation(&p, call, scope, again, out, error);
    else if (status == NB_OK) {
        status = strcmp(shown, "front") == 0 ? nb_budget_show_front(&p.view, out, error)
                                             : nb_budget_show_sensitivity(&p.view, out, error);
        if (status == NB_OK)
            nb_items_text(out, NB_MUTED "each of %zu tensors in %zu formats, by %s%s" NB_END, p.budget->n_tensors,
                          p.budget->n_candidates, nb_draft_text(&p.measured->samples),
                          again ? ", as measured before" : "");
    }
    nb_budget_view_free(&p.view);
    free(p.choices);
    return status;
}

const nb_command nb_command_budget = {
    .name = "budget",
    .group = "Changing it",
    .usage = "budget [SCOPE] --bpw N [--of \"FORMAT, FORMAT, ...\"] [--text FILE] [--tokens N]\n"
             "       [--show allocation|sensitivity|front] [--save FILE.recipe] [--png FILE]\n"
             "       [--svg FILE]",
    .summary = "the best mixture of formats for so many bits a weight",
    .details =
        "Measures what each tensor loses in each format: on some tokens of a text, its block alone is "
        "run with the tensor stored so, and what the output is off by is scaled by what such an error "
        "costs at the end, as KL divergence of the logits. Then it chooses one format for each tensor, so "
        "that the sum is least and all of it fits the budget, scales included. The model itself stays as "
        "it is; the choice is a recipe. What was measured is kept, so that another budget, or another view, takes no "
        "time: --show sensitivity tells what each layer loses where all have the one format that the budget has room "
        "for, --show front what the best mixture of every size loses. " NB_REMEMBERS_CALIBRATION_TEXT,
    .examples = {"budget --bpw 4.25 --save mine.recipe",
                 "budget all,embeddings --bpw 3.5 --of \"q2_k, q3_k, q4_k, q6_k\"",
                 "budget --show front"},
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
         {.name = "show",
          .kind = NB_WORD_CHOICE,
          .value = "WHAT",
          .choices = "allocation sensitivity front",
          .summary = "which format each gets (unless said); who minds; what every budget would cost"},
         {.name = "save",
          .kind = NB_WORD_NEW_FILE,
          .value = "FILE",
          .summary = "write the choice as a recipe"},
         NB_FIGURE_OPTIONS},
    .needs = NB_NEEDS_MODEL | NB_WRITES_FILES,
    .run = run,
};
