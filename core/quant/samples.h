/* A text as calibrated methods look at it: sequences of tokens that the model reads, each begun with BOS. */
#ifndef NB_QUANT_SAMPLES_H
#define NB_QUANT_SAMPLES_H

#include "model/state.h"

typedef struct nb_samples {
    int32_t *tokens; /* [begins[n_sequences]] */
    size_t *begins;  /* [n_sequences + 1]: where each sequence begins, and where the last one ends */
    size_t n_sequences, longest;
} nb_samples;

enum { NB_SAMPLE_LENGTH = 512, NB_SAMPLE_LEAST = 16 };

/* The windows that perplexity scores (eval/evaluate.h): of min(context, NB_SAMPLE_LENGTH) tokens, none across two
 * documents of a text that is parted into some. So many of them, evenly spaced over the text, that max_tokens
 * tokens are in them at most (0: all); one at least. Refused: fewer than NB_SAMPLE_LEAST tokens, a model without a
 * tokenizer, or with another model's. */
nb_status nb_samples_create(const nb_model *model, const char *text, size_t n_bytes, size_t max_tokens,
                            nb_samples *out, nb_error *error);
void nb_samples_free(nb_samples *samples);
size_t nb_samples_n_tokens(const nb_samples *samples);
size_t nb_samples_length(const nb_samples *samples, size_t sequence);

/* "268 tokens, digest b7b913c3" (FNV-1a of the tokens): what a result that was made with them is marked by. */
typedef struct nb_samples_text {
    char text[64];
} nb_samples_text;
nb_samples_text nb_samples_describe(const nb_samples *samples);

/* What the first block reads of them: rows [nb_samples_n_tokens()][n_embd]. Tokens are of the session's model. */
void nb_samples_embed(const nb_samples *samples, nb_session *session, float *rows);

/* NB_ERR_STATE, of a model that makes numbers on the text that are not finite; `tensor`: what reads the first of them. */
nb_status nb_samples_refuse(const char *tensor, nb_error *error);

/* Runs them, as the model is before it is quantized; what matrices multiply goes to `observe`. */
nb_status nb_samples_read(nb_model *model, const nb_samples *samples, nb_observe_fn *observe, void *observer,
                          nb_error *error);

#endif
