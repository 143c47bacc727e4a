/* Choosing the next token from its logits. */
#ifndef NB_TEXT_SAMPLER_H
#define NB_TEXT_SAMPLER_H

#include "base/random.h"
#include "base/status.h"
#include "kernels/kernels.h"

typedef struct nb_sampler_options {
    float temperature; /* 0: greedy, the first of equal maxima */
    uint32_t top_k;    /* 0: all */
    float top_p;       /* 1: all. Smallest set of likeliest tokens whose probability reaches it */
    float min_p;       /* 0: all. Tokens at least this times as likely as the likeliest */
    uint64_t seed;
} nb_sampler_options;

typedef struct nb_sampler nb_sampler;
/* Refuses a temperature below 0, top_p or min_p outside 0..1, NaN. */
nb_status nb_sampler_create(const nb_sampler_options *options, size_t vocab_size, nb_sampler **out, nb_error *error);
void nb_sampler_destroy(nb_sampler **sampler);
/* In llama.cpp's order: top-k, top-p, min-p, temperature; ties go to the lower id, so the same seed gives the same text everywhere. */
int32_t nb_sampler_next(nb_sampler *sampler, const nb_kernels *kernels, const float *logits);

#endif
