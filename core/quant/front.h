/* The Pareto front: many ways to store one model, each with its size and what it loses on one text. */
#ifndef NB_QUANT_FRONT_H
#define NB_QUANT_FRONT_H

#include "eval/evaluate.h"
#include "quant/quantize.h"

/* A way to store a model. All is borrowed. */
typedef struct nb_way {
    const char *name;
    const nb_scope *scope;
    const nb_quantizer *quantizers; /* one for each tensor of the scope */
    /* NULL: rounded, as `scope` and `quantizers` say. Else this does it, in as many undo steps as it takes. */
    nb_status (*store)(void *user, nb_error *error);
    void *user;
} nb_way;

typedef struct nb_way_cost {
    uint64_t n_bytes;           /* of the whole model */
    double ppl, standard_error;
    double increase;            /* of the perplexity over the untouched model's */
    double paired_mean, paired_error; /* loss minus the untouched model's, nats per token */
    bool on_front;
} nb_way_cost;

/* Stores the model as each of ways[n] in turn and measures it on `text` (max_tokens 0: all of it): costs[n], with
 * on_front set at the end. *original gets the perplexity of the model as it is found, which it is left as, whatever
 * happens, with the undo steps that it had. `importance` may be NULL. */
nb_status nb_front_measure(nb_model *model, const nb_way *ways, size_t n, const nb_importance *importance,
                           const char *text, size_t n_bytes, size_t max_tokens, nb_perplexity *original,
                           nb_way_cost *costs, nb_error *error);

/* Marks those of costs[n] that no other one beats: none is as small with a lower loss, or smaller with the same. */
void nb_front_mark(nb_way_cost *costs, size_t n);

#endif
