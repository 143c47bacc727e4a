/* AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2) with the gradient's norm clipped before it
 * (Pascanu et al. 2013). Plain C in the order that is written: the same bits everywhere. */
#ifndef NB_TRAIN_ADAMW_H
#define NB_TRAIN_ADAMW_H

#include "train/network.h"

typedef struct nb_adamw_options {
    double beta1, beta2, epsilon;
    double weight_decay; /* of matrices; norms have none */
    double clip;         /* largest norm of the whole gradient; 0: any */
} nb_adamw_options;

typedef struct nb_adamw {
    nb_adamw_options options;
    float *first, *second; /* [n_values]: running means of the gradient and of its square */
    uint64_t step;         /* how many were taken */
} nb_adamw;

nb_status nb_adamw_create(const nb_network *network, const nb_adamw_options *options, nb_adamw *out, nb_error *error);
void nb_adamw_free(nb_adamw *adamw);
/* One step at this learning rate; the gradients become 0. Returns their norm as it was before clipping: where it is
 * not finite, nothing is changed. */
double nb_adamw_step(nb_adamw *adamw, nb_network *network, double learning_rate);

#endif
