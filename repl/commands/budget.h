/* What the parts of the command budget have in common: its measurements, kept for the next question to them, and the
 * views of what they say. */
#ifndef NB_REPL_COMMANDS_BUDGET_H
#define NB_REPL_COMMANDS_BUDGET_H

#include "repl/draft.h"
#include "repl/notebook.h"

typedef struct nb_measured_budget {
    nb_budget budget;
    nb_draft samples; /* "calibration.txt, 1,024 tokens" */
    uint64_t digest;  /* of all that the numbers come from */
} nb_measured_budget;

/* Measures the scope in the formats of --of, on --tokens of --text; the notebook keeps it. *again: that was done before, by
 * the newest such call, and nothing that it comes from has changed since. */
nb_status nb_budget_of_call(nb_notebook *notebook, const nb_call *call, const nb_measured_budget **out, bool *again,
                            nb_error *error);
void nb_measured_budget_destroy(nb_measured_budget **measured);

enum { NB_BUDGET_KINDS = 32 };

typedef struct nb_budget_view {
    const nb_notebook *notebook;
    const nb_call *call;
    const nb_budget *budget;
    char kinds[NB_BUDGET_KINDS][40]; /* "attn_q", or a name outside the blocks, in the order of the model */
    size_t n_kinds;
    size_t *kind_of; /* [budget->n_tensors] */
} nb_budget_view;

nb_status nb_budget_view_create(const nb_notebook *notebook, const nb_call *call, const nb_budget *budget,
                                nb_budget_view *out, nb_error *error);
void nb_budget_view_free(nb_budget_view *view);

const nb_tensor *nb_budget_tensor(const nb_budget_view *view, size_t i);
const nb_budget_cell *nb_budget_cell_at(const nb_budget *budget, size_t tensor, size_t candidate);
/* "int4 g32". */
void nb_budget_name(const nb_budget *budget, size_t candidate, char *text, size_t size);

/* A heatmap of values[n_tensors], kinds by layers: "Where the bits go: bits a weight". What is outside the blocks is not
 * in it; nothing is drawn if that is all. */
nb_status nb_budget_draw(const nb_budget_view *view, const double *values, const char *headline, const char *what,
                         const char *label, nb_items *out, nb_error *error);

/* What each kind and layer loses where all have the one format that the call's --bpw has room for. */
nb_status nb_budget_show_sensitivity(const nb_budget_view *view, nb_items *out, nb_error *error);
/* The best mixtures of more and more bits, beside one format for all. */
nb_status nb_budget_show_front(const nb_budget_view *view, nb_items *out, nb_error *error);

#endif
