/* The transforms that there are, by their names, and what they share. */
#ifndef NB_REPL_COMMANDS_TRANSFORM_H
#define NB_REPL_COMMANDS_TRANSFORM_H

#include "repl/draft.h"
#include "repl/notebook.h"

/* NULL beyond the last one. */
const char *nb_transform_name(size_t index);

nb_run_fn nb_transform_smooth, nb_transform_awq, nb_transform_rotate;

/* The logits after a few tokens, whichever: allocated, [n_vocab]. */
nb_status nb_transform_probe(nb_model *model, nb_weights weights, float **out, nb_error *error);
/* Says how far they have moved from before[n_vocab]. */
void nb_transform_describe_difference(nb_model *model, nb_weights weights, const float *before, nb_items *out);

/* The samples that --text and --tokens name, and the text's name; the text itself need not stay. */
nb_status nb_transform_samples(nb_notebook *notebook, const nb_call *call, size_t n_tokens, nb_samples *out,
                               nb_error *error);
/* "calibration.txt, 4,096 tokens" */
void nb_transform_describe_samples(const nb_notebook *notebook, const nb_samples *samples, nb_draft *out);

/* A table of what AWQ's search found. */
void nb_describe_awq_groups(const nb_model *model, const nb_awq_group *groups, size_t n, nb_items *out);

#endif
