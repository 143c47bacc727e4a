/* A text as transforms look at it: sequences of tokens that the model reads, each begun with BOS. */
#ifndef NB_QUANT_SAMPLES_H
#define NB_QUANT_SAMPLES_H

#include "model/state.h"

typedef struct nb_samples {
    int32_t *tokens; /* [n_sequences][length] */
    size_t length, n_sequences;
} nb_samples;

enum { NB_SAMPLE_LENGTH = 512, NB_SAMPLE_LEAST = 16 };

/* Sequences of min(context, NB_SAMPLE_LENGTH) tokens, evenly spaced over the text, max_tokens in all (0: all of it; one
 * sequence at least). A text that does not fill one is one shorter sequence. Refused: fewer than NB_SAMPLE_LEAST tokens,
 * a model without a tokenizer, or with another model's. */
nb_status nb_samples_create(const nb_model *model, const char *text, size_t n_bytes, size_t max_tokens, nb_samples *out,
                            nb_error *error);
void nb_samples_free(nb_samples *samples);
size_t nb_samples_n_tokens(const nb_samples *samples);

/* Runs them, as the model is before it is quantized; what matrices multiply goes to `observe`. */
nb_status nb_samples_read(nb_model *model, const nb_samples *samples, nb_observe_fn *observe, void *observer,
                          nb_error *error);

#endif
