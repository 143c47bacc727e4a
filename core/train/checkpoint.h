/* A network as files: a model that runs, and a checkpoint from which a training goes on.
 *
 * A checkpoint is a GGUF too, and its parameters are an f32 model that `load` opens. Beside them stand AdamW's means
 * as NAME.adamw_first and NAME.adamw_second, the losses so far as training.losses, and under
 *   nibble.checkpoint.version        1
 *   nibble.checkpoint.configuration  what was trained (nb_train_config.canonical)
 *   nibble.checkpoint.step, .next    steps taken; the source's next sequence */
#ifndef NB_TRAIN_CHECKPOINT_H
#define NB_TRAIN_CHECKPOINT_H

#include "text/tokenizer.h"
#include "train/adamw.h"

enum { NB_CHECKPOINT_VERSION = 1 };

typedef struct nb_training_state {
    nb_network *network;
    nb_adamw *adamw;
    const char *configuration;
    uint64_t next;  /* sequence of the source */
    float *losses;  /* [n_losses]: of every step, in nats a token */
    size_t n_losses, losses_capacity;
} nb_training_state;

/* The model alone, its matrices in `format` (f32, f16 or bf16). */
nb_status nb_network_save(const nb_network *network, const nb_tokenizer *tokenizer, const char *name,
                          const nb_format *format, const char *path, nb_error *error);
nb_status nb_checkpoint_save(const nb_training_state *state, const nb_tokenizer *tokenizer, const char *name,
                             const char *path, nb_error *error);
/* Into a state whose network and optimiser have the right shape. Refuses a file that is no checkpoint, a newer
 * version, and another configuration, with the first line that differs. */
nb_status nb_checkpoint_load(const char *path, nb_training_state *state, nb_error *error);

#endif
