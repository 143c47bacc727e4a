/* Where a training's text comes from: a grammar that never ends, or a file. Both give sequences of tokens by number,
 * so that a training that goes on later reads on where it stopped. */
#ifndef NB_TRAIN_SOURCE_H
#define NB_TRAIN_SOURCE_H

#include "text/tokenizer.h"
#include "train/attention.h"
#include "train/config.h"

typedef struct nb_train_source nb_train_source;

/* The tokenizer is borrowed, and must have tokens for begin and end. A file's text is cut at its documents, and long
 * ones at the context; each round through them is in an order of its own. */
nb_status nb_train_source_open(const nb_train_config *config, const nb_tokenizer *tokenizer, nb_train_source **out,
                         nb_error *error);
void nb_train_source_close(nb_train_source **source);

/* A batch of whole sequences: BOS and a document's tokens in, the document's tokens and EOS out. */
typedef struct nb_batch {
    nb_sequences sequences;    /* of the arrays below */
    size_t *begins;            /* [max_tokens + 1] */
    size_t *part_begins;       /* [max_tokens + 1]: of the last part */
    int32_t *inputs, *targets; /* [max_tokens] */
    float *weights;            /* [max_tokens]: 1, and config->answer_weight for tokens of an <answer> of the grammar */
    double total_weight;
    size_t max_tokens;
} nb_batch;

nb_status nb_batch_create(size_t max_tokens, nb_batch *out, nb_error *error);
void nb_batch_free(nb_batch *batch);
/* Sequences from number *next on, as many as fit; *next becomes the number after them. */
nb_status nb_batch_fill(nb_batch *batch, nb_train_source *source, uint64_t *next, nb_error *error);
/* The longest run of sequences from `first` on that has at most max_tokens tokens (at least one), as a batch of its
 * own; valid until the next call. */
nb_sequences nb_batch_part(nb_batch *batch, size_t first, size_t max_tokens);

#endif
