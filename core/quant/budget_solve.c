/* The best mixture under a budget of bytes: a knapsack with one choice from each class. The multiplier finds
 * what lies on the convex hull, and what is left of the budget goes into exchanges. */
#include "quant/budget.h"

#include "base/print.h"

#include <math.h>

enum { BISECTIONS = 128, MOST_EXCHANGES = 4096 };

typedef struct table {
    const nb_budget_cell *cells;
    size_t n_tensors, n_candidates;
    uint64_t budget;
} table;

static const nb_budget_cell *cell_of(const table *t, size_t tensor, size_t candidate)
{
    return &t->cells[tensor * t->n_candidates + candidate];
}

static nb_budget_cell sum(const table *t, const size_t *choices)
{
    nb_budget_cell all = {0};
    for (size_t i = 0; i < t->n_tensors; i++) {
        const nb_budget_cell *cell = cell_of(t, i, choices[i]);
        all.n_bytes += cell->n_bytes;
        all.error += cell->error;
    }
    return all;
}

/* Each tensor's least error + price * bytes; of equals the smaller. Their bytes, UINT64_MAX if a tensor has
 * no cell. */
static uint64_t choose_at(const table *t, double price, size_t *choices)
{
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < t->n_tensors; i++) {
        const nb_budget_cell *best = NULL;
        for (size_t c = 0; c < t->n_candidates; c++) {
            const nb_budget_cell *cell = cell_of(t, i, c);
            if (isnan(cell->error))
                continue;
            const double cost = cell->error + price * (double)cell->n_bytes,
                         least = best ? best->error + price * (double)best->n_bytes : INFINITY;
            if (!best || cost < least || (cost == least && cell->n_bytes < best->n_bytes)) {
                best = cell;
                choices[i] = c;
            }
        }
        if (!best)
            return UINT64_MAX;
        n_bytes += best->n_bytes;
    }
    return n_bytes;
}

static bool choose_smallest(const table *t, size_t *choices)
{
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < t->n_tensors; i++) {
        const nb_budget_cell *best = NULL;
        for (size_t c = 0; c < t->n_candidates; c++) {
            const nb_budget_cell *cell = cell_of(t, i, c);
            if (isnan(cell->error) ||
                (best && (cell->n_bytes > best->n_bytes ||
                          (cell->n_bytes == best->n_bytes && cell->error >= best->error))))
                continue;
            best = cell;
            choices[i] = c;
        }
        if (!best)
            return false;
        n_bytes += best->n_bytes;
    }
    return n_bytes <= t->budget;
}

/* ---- exchanges ---- */

typedef struct exchange {
    size_t tensors[2], candidates[2], n;
    double gain; /* of error */
} exchange;

/* Tensor i in candidate c, and, if that is too much, another one in fewer bytes. */
static void try_upgrade(const table *t, const size_t *choices, uint64_t used, size_t i, size_t c,
                        exchange *best)
{
    const nb_budget_cell *now = cell_of(t, i, choices[i]), *next = cell_of(t, i, c);
    const double gain = now->error - next->error;
    if (!(gain > best->gain))
        return;
    const uint64_t without = used - now->n_bytes;
    if (without + next->n_bytes <= t->budget) {
        *best = (exchange){{i}, {c}, 1, gain};
        return;
    }
    for (size_t j = 0; j < t->n_tensors; j++) {
        const nb_budget_cell *from = cell_of(t, j, choices[j]);
        for (size_t d = 0; j != i && d < t->n_candidates; d++) {
            const nb_budget_cell *to = cell_of(t, j, d);
            const double both = gain + from->error - to->error; /* NaN is not more */
            if (both > best->gain && without - from->n_bytes + next->n_bytes + to->n_bytes <= t->budget)
                *best = (exchange){{i, j}, {c, d}, 2, both};
        }
    }
}

static bool improve(const table *t, size_t *choices)
{
    const nb_budget_cell now = sum(t, choices);
    exchange best = {.gain = 1e-12 * fabs(now.error)};
    for (size_t i = 0; i < t->n_tensors; i++)
        for (size_t c = 0; c < t->n_candidates; c++)
            try_upgrade(t, choices, now.n_bytes, i, c, &best);
    for (size_t i = 0; i < best.n; i++)
        choices[best.tensors[i]] = best.candidates[i];
    return best.n > 0;
}

bool nb_budget_choose(const nb_budget_cell *cells, size_t n_tensors, size_t n_candidates, uint64_t n_bytes,
                      size_t *choices)
{
    const table t = {cells, n_tensors, n_candidates, n_bytes};
    double largest = 0;
    for (size_t i = 0; i < n_tensors * n_candidates; i++)
        if (cells[i].error > largest)
            largest = cells[i].error;
    largest = 2 * largest + 1e-300; /* a byte costs more than any error: the smallest cells */
    double least = largest * 1e-24;
    if (!choose_smallest(&t, choices))
        return false;
    if (choose_at(&t, 0, choices) > n_bytes) {
        for (int i = 0; i < BISECTIONS; i++) {
            const double middle = sqrt(least) * sqrt(largest);
            if (choose_at(&t, middle, choices) <= n_bytes)
                largest = middle;
            else
                least = middle;
        }
        if (choose_at(&t, largest, choices) > n_bytes)
            choose_smallest(&t, choices);
    }
    for (int i = 0; i < MOST_EXCHANGES && improve(&t, choices); i++)
        ;
    return true;
}

/* ---- of a model ---- */

nb_budget_cell nb_budget_total(const nb_budget *budget, const size_t *choices)
{
    const table t = {budget->cells, budget->n_tensors, budget->n_candidates, 0};
    return sum(&t, choices);
}

nb_status nb_budget_solve(const nb_budget *budget, double bits_per_weight, size_t *choices, nb_error *error)
{
    const double n_bytes = bits_per_weight * (double)budget->n_weights / 8;
    const table all = {budget->cells, budget->n_tensors, budget->n_candidates, UINT64_MAX};
    if (!(bits_per_weight > 0) || !(n_bytes < 9e18))
        return nb_fail(error, NB_ERR_ARGUMENT, "a budget is a number of bits for a weight, such as 4.25");
    if (nb_budget_choose(budget->cells, budget->n_tensors, budget->n_candidates, (uint64_t)n_bytes, choices))
        return NB_OK;
    if (!choose_smallest(&all, choices))
        return nb_fail(error, NB_ERR_ARGUMENT, "a tensor fits none of these formats; add one of integers");
    const double least = 8 * (double)nb_budget_total(budget, choices).n_bytes / (double)budget->n_weights;
    char asked[40], possible[40];
    nb_print_general(asked, sizeof asked, bits_per_weight, 4);
    nb_print_fixed(possible, sizeof possible, ceil(least * 100) / 100, 2);
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "%s bits for a weight are too few for these formats and their scales: %s are the fewest",
                   asked, possible);
}
