/* Training from a configuration: batches, steps, checkpoints, and the model at the end. The same configuration gives
 * the same checkpoint, bit for bit, for any number of threads and CPU level, however often it was stopped and went
 * on. */
#ifndef NB_TRAIN_TRAINER_H
#define NB_TRAIN_TRAINER_H

#include "train/config.h"

typedef struct nb_train_report {
    uint64_t step, n_steps;
    double loss;          /* of the last step, in nats a token */
    double gradient_norm; /* before clipping */
    double learning_rate;
    uint64_t n_tokens;        /* of this step */
    double tokens_per_second; /* since this run began */
    double seconds_left;
} nb_train_report;

typedef struct nb_train_options {
    bool resume;         /* go on from the checkpoint */
    bool fresh;          /* begin anew even where there is one */
    double seconds;      /* stop with a checkpoint after so long; 0: when it is done */
    uint64_t until_step; /* stop with a checkpoint after so many; 0: when it is done */
    void (*report)(void *user, const nb_train_report *report); /* after every step; may be NULL */
    void *user;
} nb_train_options;

typedef struct nb_train_result {
    bool finished; /* else a checkpoint was kept */
    uint64_t step, n_steps, n_parameters;
    uint64_t n_tokens; /* of this run */
    double seconds;
    double operations; /* of the matrix products of weights in this run: 6 a matrix weight and token */
    float *losses; /* [n_losses]: of every step since the very first, in nats a token */
    size_t n_losses;
    char *model, *checkpoint; /* paths of what was written */
} nb_train_result;

/* Writes the configuration's output when done, and a checkpoint beside it meanwhile; a finished training takes it away. When
 * somebody asks to stop, a checkpoint is kept and the status is NB_ERR_CANCELLED; a failure leaves the last one. */
nb_status nb_train(nb_context *context, const nb_train_config *config, const nb_train_options *options,
                   nb_train_result *out, nb_error *error);
void nb_train_result_free(nb_train_result *result);

#endif
