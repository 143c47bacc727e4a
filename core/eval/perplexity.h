/* Inside perplexity.c, for compare.c: losses of positions, and what follows from them. */
#ifndef NB_EVAL_PERPLEXITY_H
#define NB_EVAL_PERPLEXITY_H

#include "eval/evaluate.h"
#include "eval/scoring.h"

/* Fills everything but `seconds` from out->losses[text->n_targets]. */
nb_status nb_perplexity_summarise(const nb_scored_text *text, nb_perplexity *out, nb_error *error);

#endif
