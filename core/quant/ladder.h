/* The ladder: one model, one text, fewer and fewer bits. Each rung is compared with the original and, token by token,
 * with the rung above it, so that a step can be told from noise. */
#ifndef NB_QUANT_LADDER_H
#define NB_QUANT_LADDER_H

#include "eval/evaluate.h"
#include "model/scope.h"

typedef struct nb_rung {
    nb_quantizer quantizer;
    double bits_per_weight;           /* of the scope's tensors, as held */
    uint64_t n_bytes;                 /* of the whole model */
    double ppl, standard_error;
    double paired_mean, paired_error; /* loss minus the original's, nats per token */
    double step_mean, step_error;     /* loss minus the rung above's; of the first rung, the original's */
    double kl_mean, top1_agreement;
    size_t n_tokens;
} nb_rung;

/* Called after each rung. */
typedef void nb_rung_fn(void *user, const nb_rung *rung);

/* Stores the scope as each of quantizers[n] in turn and compares on `text` (max_tokens 0: all of it). *original gets
 * the perplexity of the untouched model. Whatever happens, the model is left as it was found, with
 * the undo steps that it had. */
nb_status nb_ladder_climb(nb_model *model, const nb_scope *scope, const nb_quantizer *quantizers, size_t n,
                          const char *text, size_t n_bytes, size_t max_tokens, nb_rung_fn *each, void *user,
                          nb_perplexity *original, nb_error *error);

#endif
