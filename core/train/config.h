/* What `nibble train` is told: a text of lines `name = value`, with comments after #. Paths are seen from the
 * configuration's own folder. */
#ifndef NB_TRAIN_CONFIG_H
#define NB_TRAIN_CONFIG_H

#include "base/file.h"
#include "model/model.h"
#include "train/adamw.h"

typedef struct nb_train_config {
    char *path, *folder;  /* of the configuration; the folder ends in '/', or is "" */
    char *canonical;      /* every setting that changes what is computed, defaults too: a checkpoint remembers it */
    char *name;           /* of the model; the configuration's stem unless said */
    char *tokenizer;      /* GGUF that holds one */
    char *grammar, *start; /* either a grammar and the rule to expand ... */
    char *text;           /* ... or a text file */
    char *output;         /* the model; NAME.gguf unless said */
    char *format;         /* of its matrices: f32, f16, bf16 */
    nb_hparams hparams;   /* all but n_vocab, which the tokenizer says */
    uint64_t seed, corpus_seed;
    uint32_t batch_tokens, steps, warmup, checkpoint_every;
    double learning_rate, final_rate; /* of the cosine: its top, and the share of it that is left at the end */
    double answer_weight; /* of the loss of tokens inside a grammar's <answer>, where that of others is 1 */
    nb_adamw_options adamw;
} nb_train_config;

/* `with` (or NULL) is more settings, parted by ';', which go before those of the file. Refused, with FILE:LINE: a name
 * that there is not, a value out of its range, a setting that is missing or stands twice. */
nb_status nb_train_config_read(const char *path, const char *with, nb_train_config *out, nb_error *error);
void nb_train_config_free(nb_train_config *config);
/* A path of the configuration, as it is to be opened; allocated, NULL when memory is short. */
char *nb_train_config_path(const nb_train_config *config, const char *path);
/* The learning rate of step 0, 1, ...: a line up over `warmup` steps, then half a cosine down to final_rate. */
double nb_train_config_rate(const nb_train_config *config, uint64_t step);

#endif
