/* What was lost: perplexity with its error, divergence from the original, error measures of tensors. */
#ifndef NB_EVAL_EVALUATE_H
#define NB_EVAL_EVALUATE_H

#include "model/model.h"

/* nibble's protocol: BOS, non-overlapping windows of min(context, 512), every position scored. A text that is parted
 * into documents (text/documents.h) has windows that do not cross from one into the next; of each document
 * the end is scored too, as EOS, if the tokenizer has one and a window has room for it after the text. */
typedef enum nb_protocol {
    NB_PROTOCOL_NIBBLE,
    /* llama-perplexity's: the text as one run of tokens, in chunks of `window` whose first token BOS replaces if the model
     * wants one; the second half of each is scored; what does not fill a chunk is left out.
     * Source: llama.cpp, tools/perplexity. */
    NB_PROTOCOL_LLAMA_CPP,
} nb_protocol;

/* How a text is read. Zeros: by nibble's protocol, all of it. */
typedef struct nb_reading {
    size_t max_tokens; /* scored; 0: the whole text */
    size_t window;     /* 0: min(context, 512) */
    nb_protocol protocol;
} nb_reading;

typedef struct nb_perplexity {
    double ppl, standard_error;     /* of the perplexity, by the delta method from the per-token losses */
    double mean_loss;               /* nats per token */
    double bits_per_byte;
    size_t n_tokens;                /* scored */
    size_t n_documents;             /* 0: the text is not parted into any */
    float *losses;                  /* [n_tokens], nats */
    double seconds;                 /* measured */
} nb_perplexity;
void nb_perplexity_free(nb_perplexity *ppl);

/* `max_tokens` 0: the whole text. */
nb_status nb_perplexity_measure(nb_model *model, nb_weights weights, const char *text, size_t n_bytes, size_t max_tokens,
                                nb_perplexity *out, nb_error *error);
nb_status nb_perplexity_measure_as(nb_model *model, nb_weights weights, const char *text, size_t n_bytes,
                                   const nb_reading *reading, nb_perplexity *out, nb_error *error);

/* Mean of b - a per token and its standard error (sample standard deviation / sqrt(n)): the fair way to compare two
 * models on one text. NaN where n is too small for one. */
void nb_paired_difference(const float *losses_a, const float *losses_b, size_t n, double *mean, double *standard_error);

typedef struct nb_comparison {
    nb_perplexity original, quantized;
    double paired_mean, paired_error;     /* loss of quantized minus original, nats per token */
    double kl_mean, kl_error;             /* KL(original || quantized), nats per token */
    double top1_agreement;                /* share of positions with the same likeliest token */
} nb_comparison;
void nb_comparison_free(nb_comparison *comparison);

/* Runs both sets of weights over the same text, logits compared chunk by chunk. */
nb_status nb_compare(nb_model *model, const char *text, size_t n_bytes, size_t max_tokens, nb_comparison *out,
                     nb_error *error);

/* Error measures between a row x and what it became, y, accumulated row by row. Start from zeros. */
typedef struct nb_error_sums {
    double signal, noise, dot, other; /* sum x^2, sum (x-y)^2, sum x*y, sum y^2 */
    double max_error;
    uint64_t n;
} nb_error_sums;
void nb_error_sums_add(nb_error_sums *sums, const float *x, const float *y, size_t n);
double nb_error_sqnr(const nb_error_sums *sums);   /* dB; inf if noise is 0, NaN if the signal is */
double nb_error_mse(const nb_error_sums *sums);    /* NaN of no numbers */
double nb_error_cosine(const nb_error_sums *sums); /* NaN if x or y is all zeros */

typedef struct nb_histogram {
    double low, high;      /* edges of all bins together */
    size_t n_bins;
    uint64_t *counts;      /* [n_bins] */
    uint64_t n, n_below, n_above, n_zero;
    double min, max, mean, std; /* std of the population */
} nb_histogram;
void nb_histogram_free(nb_histogram *histogram);
/* Of a tensor's source or stored numbers, in n_bins equal bins; a number on an inner edge belongs to the bin above it,
 * one at `high` to the last. low == high: chosen from the data (symmetric around 0; -1 to 1 if all are 0). NaN
 * counts nowhere. Refused: no bins, edges in the wrong order, the source of a tensor that has none. */
nb_status nb_tensor_histogram(const nb_tensor *tensor, nb_weights which, double low, double high, size_t n_bins,
                              nb_histogram *out, nb_error *error);
/* The same of evenly spaced rows, the first among them, that hold at most `max_numbers` together (one row at least):
 * enough for a sparkline of a tensor of any size. `n` says how many were read. */
nb_status nb_tensor_histogram_sampled(const nb_tensor *tensor, nb_weights which, double low, double high,
                                      size_t n_bins, uint64_t max_numbers, nb_histogram *out, nb_error *error);

#endif
