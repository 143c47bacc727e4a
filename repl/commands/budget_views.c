/* What a budget's measurements say besides the best mixture: which tensors mind, and what every size would cost. */
#include "base/memory.h"
#include "quant/front.h"
#include "repl/commands/budget.h"
#include "repl/commands/figures.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- kinds ---- */

static const char *name_kind(const nb_tensor *tensor)
{
    const char *dot = strrchr(tensor->name, '.');
    return tensor->layer >= 0 && dot ? dot + 1 : tensor->name;
}

nb_status nb_budget_view_create(const nb_notebook *notebook, const nb_call *call, const nb_budget *budget,
                                nb_budget_view *out, nb_error *error)
{
    *out = (nb_budget_view){.notebook = notebook, .call = call, .budget = budget};
    out->kind_of = nb_calloc(budget->n_tensors, sizeof *out->kind_of);
    if (!out->kind_of)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a list of %zu tensors", budget->n_tensors);
    for (size_t i = 0; i < budget->n_tensors; i++) {
        const char *kind = name_kind(nb_budget_tensor(out, i));
        size_t k = 0;
        while (k < out->n_kinds && strcmp(out->kinds[k], kind) != 0)
            k++;
        out->kind_of[i] = k;
        if (k < out->n_kinds)
            continue;
        if (k == NB_BUDGET_KINDS)
            return nb_fail(error, NB_ERR_ARGUMENT, "a budget speaks of at most %d kinds of tensors",
                           NB_BUDGET_KINDS);
        snprintf(out->kinds[out->n_kinds++], sizeof *out->kinds, "%s", kind);
    }
    return NB_OK;
}

void nb_budget_view_free(nb_budget_view *view)
{
    free(view->kind_of);
    *view = (nb_budget_view){0};
}

const nb_tensor *nb_budget_tensor(const nb_budget_view *view, size_t i)
{
    return nb_model_tensor(view->notebook->model, view->budget->tensors[i]);
}

const nb_budget_cell *nb_budget_cell_at(const nb_budget *budget, size_t tensor, size_t candidate)
{
    return &budget->cells[tensor * budget->n_candidates + candidate];
}

void nb_budget_name(const nb_budget *budget, size_t candidate, char *text, size_t size)
{
    char full[96];
    nb_quantizer_describe(&budget->candidates[candidate], full, sizeof full);
    nb_describe_shorter(full, text, size);
}

/* ---- kinds by layers ---- */

/* Values of a kind, NaN where it has no such layer; false if that is all of them. */
static bool fill_row(const nb_budget_view *v, size_t kind, const double *values, double *row, size_t n_layers)
{
    bool any = false;
    for (size_t l = 0; l < n_layers; l++)
        row[l] = NAN;
    for (size_t i = 0; i < v->budget->n_tensors; i++) {
        const nb_tensor *t = nb_budget_tensor(v, i);
        if (t->layer < 0 || v->kind_of[i] != kind)
            continue;
        row[t->layer] = values[i];
        any = true;
    }
    return any;
}

nb_status nb_budget_draw(const nb_budget_view *v, const double *values, const char *headline, const char *what,
                         const char *label, nb_items *out, nb_error *error)
{
    const size_t n_layers = nb_model_hparams(v->notebook->model)->n_layers;
    double *cells = nb_calloc(v->n_kinds, n_layers * sizeof *cells), low = INFINITY, high = 0;
    nb_draft rows = {0};
    size_t n_rows = 0;
    if (!cells)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    for (size_t k = 0; k < v->n_kinds; k++) {
        if (!fill_row(v, k, values, cells + n_rows * n_layers, n_layers))
            continue;
        nb_draft_addf(&rows, "%s%s", n_rows ? " " : "", v->kinds[k]);
        n_rows++;
    }
    for (size_t i = 0; i < n_rows * n_layers; i++) {
        low = cells[i] < low ? cells[i] : low;
        high = cells[i] > high ? cells[i] : high;
    }
    char sentence[500];
    snprintf(sentence, sizeof sentence,
             "Heatmap of %s, from %s to %s; columns are layers, rows from the top: %.300s.", what,
             high < 1 ? nb_general(low, 3).text : nb_fixed(low, 2).text,
             high < 1 ? nb_general(high, 3).text : nb_fixed(high, 2).text, nb_draft_text(&rows));
    const nb_figure figure = {
        .kind = NB_FIGURE_HEATMAP,
        .headline = headline,
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
        .after = {label, NULL},
        .sentence = sentence,
    };
    nb_status status = n_rows ? nb_figure_put(v->notebook, v->call, &figure, out, error) : NB_OK;
    nb_draft_free(&rows);
    free(cells);
    return status;
}

/* ---- one format for all ---- */

/* What all tensors come to in one candidate; its error is NaN where a tensor does not fit it. */
static nb_budget_cell alike(const nb_budget *b, size_t candidate)
{
    nb_budget_cell sum = {0};
    for (size_t i = 0; i < b->n_tensors; i++) {
        sum.n_bytes += nb_budget_cell_at(b, i, candidate)->n_bytes;
        sum.error += nb_budget_cell_at(b, i, candidate)->error;
    }
    return sum;
}

static double bits_of(const nb_budget *b, uint64_t n_bytes)
{
    return nb_bits_per_weight(n_bytes, b->n_weights);
}

/* The candidate that loses least in at most so many bytes, alone; n_candidates if none fits. */
static size_t best_alike(const nb_budget *b, uint64_t n_bytes)
{
    size_t best = b->n_candidates;
    for (size_t c = 0; c < b->n_candidates; c++) {
        const nb_budget_cell cell = alike(b, c);
        if (cell.n_bytes <= n_bytes && !isnan(cell.error) &&
            (best == b->n_candidates || cell.error < alike(b, best).error))
            best = c;
    }
    return best;
}

/* ---- who minds ---- */

static const nb_column minding[] = {{"tensors", NB_COLUMN_LEFT},
                                    {"KL, nats a token", NB_COLUMN_RIGHT},
                                    {"of all", NB_COLUMN_RIGHT},
                                    {"most", NB_COLUMN_LEFT},
                                    {"alone", NB_COLUMN_RIGHT}};

static void add_minding(const nb_budget_view *v, size_t kind, const double *errors, double all, nb_items *out)
{
    double sum = 0;
    size_t most = v->budget->n_tensors;
    for (size_t i = 0; i < v->budget->n_tensors; i++) {
        if (v->kind_of[i] != kind)
            continue;
        sum += errors[i];
        if (most == v->budget->n_tensors || errors[i] > errors[most])
            most = i;
    }
    nb_items_row(out);
    nb_items_cell(out, 0, "%s", v->kinds[kind]);
    nb_items_cell(out, 1, "%s", nb_general(sum, 3).text);
    nb_items_cell(out, 2, "%s", nb_percent(all > 0 ? sum / all : 0).text);
    nb_items_cell(out, 3, "%s", nb_budget_tensor(v, most)->name);
    nb_items_cell(out, 4, "%s", nb_general(errors[most], 3).text);
}

static void show_minding(const nb_budget_view *v, size_t candidate, const char *name, const double *errors,
                         nb_items *out)
{
    const nb_budget_cell all = alike(v->budget, candidate);
    size_t worst = 0;
    nb_items_table(out, minding, sizeof minding / sizeof *minding);
    for (size_t k = 0; k < v->n_kinds; k++)
        add_minding(v, k, errors, all.error, out);
    for (size_t i = 1; i < v->budget->n_tensors; i++)
        worst = errors[i] > errors[worst] ? i : worst;
    nb_items_text(out,
                  NB_STRONG "%s" NB_END " for all, %s bits a weight: expected KL %s nats a token. Most sensitive: "
                  NB_STRONG "%s" NB_END ", %s of it in %s of the weights.",
                  name, nb_fixed(bits_of(v->budget, all.n_bytes), 2).text, nb_general(all.error, 3).text,
                  nb_budget_tensor(v, worst)->name, nb_percent(all.error > 0 ? errors[worst] / all.error : 0).text,
                  nb_percent((double)nb_tensor_n_weights(nb_budget_tensor(v, worst)) / (double)v->budget->n_weights)
                      .text);
}

nb_status nb_budget_show_sensitivity(const nb_budget_view *v, nb_items *out, nb_error *error)
{
    const double asked = nb_call_number(v->call, "bpw", 0);
    const size_t c = best_alike(v->budget, (uint64_t)(asked / 8 * (double)v->budget->n_weights));
    char name[96], headline[160];
    if (c == v->budget->n_candidates)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s bits a weight are too few for any of these formats alone, for all",
                       nb_general(asked, 4).text);
    double *errors = nb_calloc(v->budget->n_tensors, sizeof *errors);
    if (!errors)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    for (size_t i = 0; i < v->budget->n_tensors; i++)
        errors[i] = nb_budget_cell_at(v->budget, i, c)->error;
    nb_budget_name(v->budget, c, name, sizeof name);
    snprintf(headline, sizeof headline, "Who minds %s: KL by each alone", name);
    nb_status status = nb_budget_draw(v, errors, headline, "KL in nats a token", "nats", out, error);
    if (status == NB_OK)
        show_minding(v, c, name, errors, out);
    free(errors);
    return status;
}

/* ---- what every size costs ---- */

enum { MOST_STEPS = 64, N_STEPS = 24, MOST_ROWS = 12 };

typedef struct front {
    const nb_budget_view *view;
    nb_budget_cell mixtures[MOST_STEPS]; /* the best ones, the smallest first */
    size_t n_mixtures;
    double lowest, highest; /* bits a weight that there is anything to choose between */
} front;

/* From everything at its smallest to everything at its best. */
static nb_status find_ends(front *f, nb_error *error)
{
    const nb_budget *b = f->view->budget;
    uint64_t smallest = 0, best = 0;
    for (size_t i = 0; i < b->n_tensors; i++) {
        const nb_budget_cell *small = NULL, *good = NULL;
        for (size_t c = 0; c < b->n_candidates; c++) {
            const nb_budget_cell *cell = nb_budget_cell_at(b, i, c);
            if (isnan(cell->error))
                continue;
            small = !small || cell->n_bytes < small->n_bytes ? cell : small;
            good = !good || cell->error < good->error ? cell : good;
        }
        if (!small)
            return nb_fail(error, NB_ERR_ARGUMENT, "%s fits none of these formats", nb_budget_tensor(f->view, i)->name);
        smallest += small->n_bytes;
        best += good->n_bytes;
    }
    f->lowest = bits_of(b, smallest);
    f->highest = bits_of(b, best);
    return NB_OK;
}

static nb_status find_mixtures(front *f, nb_error *error)
{
    const nb_budget *b = f->view->budget;
    size_t *choices = nb_calloc(b->n_tensors, sizeof *choices);
    nb_status status = choices ? find_ends(f, error) : nb_fail(error, NB_ERR_MEMORY, "no memory for a front");
    for (int i = 0; i <= N_STEPS && status == NB_OK; i++) {
        /* a millionth more, so that what just fits does */
        const double bits = (f->lowest + (f->highest - f->lowest) * i / N_STEPS) * (1 + 1e-6);
        status = nb_budget_solve(b, bits, choices, error);
        if (status != NB_OK)
            break;
        const nb_budget_cell all = nb_budget_total(b, choices);
        if (f->n_mixtures == 0 || all.n_bytes > f->mixtures[f->n_mixtures - 1].n_bytes)
            f->mixtures[f->n_mixtures++] = all;
    }
    free(choices);
    return status;
}

static nb_status draw_front(const front *f, nb_items *out, nb_error *error)
{
    const nb_budget *b = f->view->budget;
    const size_t most = f->n_mixtures + b->n_candidates;
    char(*names)[96] = nb_calloc(b->n_candidates, sizeof *names);
    nb_figure_point *points = nb_calloc(most, sizeof *points);
    nb_way_cost *costs = nb_calloc(most, sizeof *costs);
    size_t n = 0;
    nb_status status = names && points && costs ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for a figure");
    for (size_t i = 0; status == NB_OK && i < most; i++) {
        const bool mixed = i < f->n_mixtures;
        const nb_budget_cell cell = mixed ? f->mixtures[i] : alike(b, i - f->n_mixtures);
        if (isnan(cell.error))
            continue;
        if (!mixed)
            nb_budget_name(b, i - f->n_mixtures, names[i - f->n_mixtures], sizeof *names);
        const char *name = mixed ? NULL : names[i - f->n_mixtures];
        points[n] = (nb_figure_point){name, bits_of(b, cell.n_bytes), cell.error, false};
        costs[n++] = (nb_way_cost){.n_bytes = cell.n_bytes, .increase = cell.error, .ppl = cell.error};
    }
    if (status == NB_OK) {
        nb_front_mark(costs, n);
        for (size_t i = 0; i < n; i++)
            points[i].on_front = costs[i].on_front;
        const nb_figure figure = {
            .kind = NB_FIGURE_PARETO,
            .headline = "What a mixture of formats gains over one for all",
            .subline = "expected KL, nats a token (log scale, lower is better), as the budget measured",
            .x_label = "bits a weight",
            .y_label = "expected KL",
            .n = n,
            .before = {"best mixtures", NULL},
            .after = {"one format for all", NULL},
            .points = points,
            .sentence = "Bits a weight against expected KL of the best mixtures, and of one format for all.",
        };
        status = nb_figure_put(f->view->notebook, f->view->call, &figure, out, error);
    }
    free(names);
    free(points);
    free(costs);
    return status;
}

static const nb_column sizes[] = {{"a weight", NB_COLUMN_RIGHT},
                                  {"size", NB_COLUMN_RIGHT},
                                  {"mixture, KL", NB_COLUMN_RIGHT},
                                  {"best format alone", NB_COLUMN_LEFT},
                                  {"a weight", NB_COLUMN_RIGHT},
                                  {"KL", NB_COLUMN_RIGHT},
                                  {"times", NB_COLUMN_RIGHT}};

static void show_front(const front *f, nb_items *out)
{
    const nb_budget *b = f->view->budget;
    const size_t step = nb_div_up(f->n_mixtures, MOST_ROWS);
    nb_items_table(out, sizes, sizeof sizes / sizeof *sizes);
    for (size_t i = 0; i < f->n_mixtures; i += step) {
        const nb_budget_cell *mixture = &f->mixtures[i];
        const size_t c = best_alike(b, mixture->n_bytes);
        nb_items_row(out);
        nb_items_cell(out, 0, "%s", nb_fixed(bits_of(b, mixture->n_bytes), 2).text);
        nb_items_cell(out, 1, "%s", nb_bytes(mixture->n_bytes).text);
        nb_items_cell(out, 2, "%s", nb_general(mixture->error, 3).text);
        if (c == b->n_candidates) {
            nb_items_cell(out, 3, "none fits");
            continue;
        }
        char name[96];
        const nb_budget_cell cell = alike(b, c);
        nb_budget_name(b, c, name, sizeof name);
        nb_items_cell(out, 3, "%s", name);
        nb_items_cell(out, 4, "%s", nb_fixed(bits_of(b, cell.n_bytes), 2).text);
        nb_items_cell(out, 5, "%s", nb_general(cell.error, 3).text);
        if (mixture->error > 0)
            nb_items_cell(out, 6, "%s", nb_general(cell.error / mixture->error, 2).text);
    }
    const double middle = bits_of(b, f->mixtures[f->n_mixtures / 2].n_bytes);
    nb_items_text(out, NB_COMMAND "budget --bpw %s" NB_END "   tells which format each tensor gets there",
                  nb_fixed(middle, 2).text);
}

nb_status nb_budget_show_front(const nb_budget_view *v, nb_items *out, nb_error *error)
{
    front f = {.view = v};
    nb_status status = find_mixtures(&f, error);
    if (status == NB_OK)
        status = draw_front(&f, out, error);
    if (status == NB_OK)
        show_front(&f, out);
    return status;
}
