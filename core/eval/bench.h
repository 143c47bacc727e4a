/* How fast a loaded model runs, beside what this machine could do: tokens/s, and the share of the measured limit. */
#ifndef NB_EVAL_BENCH_H
#define NB_EVAL_BENCH_H

#include "model/model.h"

typedef struct nb_bench_options {
    size_t n_prompt;            /* tokens of the prefill; 0: 512 */
    size_t n_generate;          /* tokens of one decode run; 0: 32 */
    size_t n_repeats;           /* of which the median counts; 0: 5 */
    double fma_peak, int8_peak; /* operations/s on this context's threads; 0: measured here */
} nb_bench_options;

typedef struct nb_bench {
    size_t n_prompt, n_generate, n_repeats, n_threads;
    /* Decode: one token at a time at the start of a context. Every matrix that runs is read once a token. */
    double decode_rate;    /* tokens/s */
    uint64_t decode_bytes; /* of packed weights a token reads */
    double bandwidth;      /* bytes/s, measured over a buffer of decode_bytes */
    double decode_share;   /* decode_rate * decode_bytes / bandwidth */
    /* Prefill: the whole prompt at once, logits of its last token. */
    double prefill_rate;                     /* tokens/s */
    double int_operations, float_operations; /* that it takes; a multiply and an add are two */
    double int8_peak, fma_peak;
    double prefill_share; /* (int_operations / int8_peak + float_operations / fma_peak) / seconds */
} nb_bench;

/* `options` may be NULL. */
nb_status nb_bench_model(nb_model *model, const nb_bench_options *options, nb_bench *out, nb_error *error);

#endif
