#include "text/sampler.h"

#include "base/memory.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Candidates are always in ascending order of id, whatever was left out: a draw walks them in that order, so
 * that an option that leaves nothing out changes no text. */
struct nb_sampler {
    nb_sampler_options options;
    size_t vocab_size;
    nb_random random;
    size_t count;       /* candidates */
    int32_t *ids;       /* [count] */
    float *below;       /* [count] logit minus the highest one: 0 or less */
    float *weights;     /* [count] exp of it: as likely as the likeliest times this */
    double *cumulative; /* [count] */
    uint64_t *heap;
};

nb_status nb_sampler_create(const nb_sampler_options *options, size_t vocab_size, nb_sampler **out,
                            nb_error *error)
{
    if (!(options->temperature >= 0) || isinf(options->temperature)) {
        return nb_fail(error, NB_ERR_ARGUMENT, "a temperature is 0 (greedy) or more; try 0.8");
    }
    if (!(options->top_p >= 0 && options->top_p <= 1)) {
        return nb_fail(error, NB_ERR_ARGUMENT, "top-p is a probability, 0 to 1 (1 keeps all); try 0.95");
    }
    if (!(options->min_p >= 0 && options->min_p <= 1)) {
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "min-p is a share of the likeliest token's probability, 0 (keeps all) "
                       "to 1; try 0.05");
    }
    if (vocab_size == 0 || vocab_size > INT32_MAX) {
        return nb_fail(error, NB_ERR_ARGUMENT, "there is nothing to choose from a vocabulary of %zu tokens",
                       vocab_size);
    }
    nb_sampler *made = nb_calloc(1, sizeof *made);
    if (made) {
        made->ids = nb_calloc(vocab_size, sizeof *made->ids);
        made->below = nb_calloc(vocab_size, sizeof *made->below);
        made->weights = nb_calloc(vocab_size, sizeof *made->weights);
        made->cumulative = nb_calloc(vocab_size, sizeof *made->cumulative);
        made->heap = nb_calloc(vocab_size, sizeof *made->heap);
    }
    if (!made || !made->ids || !made->below || !made->weights || !made->cumulative || !made->heap) {
        nb_sampler_destroy(&made);
        return nb_fail(error, NB_ERR_MEMORY, "there is no memory left to sample from %zu tokens", vocab_size);
    }
    made->options = *options;
    made->vocab_size = vocab_size;
    nb_random_seed(&made->random, options->seed);
    *out = made;
    return NB_OK;
}

void nb_sampler_destroy(nb_sampler **sampler)
{
    if (!*sampler) {
        return;
    }
    free((*sampler)->ids);
    free((*sampler)->below);
    free((*sampler)->weights);
    free((*sampler)->cumulative);
    free((*sampler)->heap);
    free(*sampler);
    *sampler = NULL;
}

/* The first of equal maxima where some logits are NaN, which never wins. */
static size_t likeliest_number(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] || (isnan(logits[best]) && !isnan(logits[i])) ? i : best;
    }
    return best;
}

/* The first of equal maxima. Blocks that do not hold the maximum are passed over whole. */
static size_t likeliest(const nb_kernels *kernels, const float *logits, size_t n)
{
    float highest = kernels->max(logits, n);
    if (isnan(highest)) {
        return likeliest_number(logits, n);
    }
    enum { BLOCK = 64 };
    size_t at = 0;
    for (bool here = false; n - at > BLOCK; at += BLOCK) {
        for (size_t i = at; i < at + BLOCK; i++) {
            here |= logits[i] == highest;
        }
        if (here) {
            break;
        }
    }
    while (at + 1 < n && logits[at] != highest) {
        at++;
    }
    return at;
}

/* Orders candidates as numbers: the larger, the likelier; of equals, the earlier (the lower id) is larger. */
static uint64_t rank_key(float below, size_t candidate)
{
    uint32_t bits;
    memcpy(&bits, &below, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (UINT32_MAX - (uint32_t)candidate);
}

/* A heap with its smallest number on top. */
static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    uint64_t key = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        child += child + 1 < count && heap[child + 1] < heap[child];
        if (heap[child] >= key) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

static void heapify(uint64_t *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(heap, count, i);
    }
}

/* Every logit that is a number becomes a candidate. */
static void gather(nb_sampler *s, const float *logits, float highest)
{
    s->count = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        if (!isnan(logits[i])) {
            s->ids[s->count] = (int32_t)i;
            s->below[s->count++] = logits[i] == highest ? 0 : logits[i] - highest; /* inf - inf is none */
        }
    }
}

/* Keeps the candidates whose key is `lowest` or more. */
static void keep_from(nb_sampler *s, uint64_t lowest)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (rank_key(s->below[i], i) >= lowest) {
            s->ids[kept] = s->ids[i];
            s->below[kept] = s->below[i];
            s->weights[kept++] = s->weights[i];
        }
    }
    s->count = kept;
}

static void keep_top_k(nb_sampler *s, size_t k)
{
    if (k == 0 || k >= s->count) {
        return;
    }
    for (size_t i = 0; i < k; i++) {
        s->heap[i] = rank_key(s->below[i], i);
    }
    heapify(s->heap, k);
    for (size_t i = k; i < s->count; i++) {
        uint64_t key = rank_key(s->below[i], i);
        if (key > s->heap[0]) { /* likelier than the least likely of the k so far */
            s->heap[0] = key;
            sift_down(s->heap, k, 0);
        }
    }
    keep_from(s, s->heap[0]);
}

/* The smallest set of likeliest candidates whose share of the weight reaches p. One with less than
 * (1 - p) / (n - 1) of it cannot be in that set: what stands behind it could not make up 1 - p. */
static void keep_top_p(nb_sampler *s, double p)
{
    if (p >= 1 || s->count < 2) {
        return;
    }
    double total = 0;
    for (size_t i = 0; i < s->count; i++) {
        total += s->weights[i];
    }
    double too_small = (1 - p) * total / (double)(s->count - 1);
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->weights[i] >= too_small || s->below[i] == 0) {
            s->heap[n++] = ~rank_key(s->below[i], i); /* the likeliest on top */
        }
    }
    heapify(s->heap, n);
    double sum = 0;
    uint64_t lowest = 0;
    do {
        lowest = ~s->heap[0];
        sum += s->weights[UINT32_MAX - (uint32_t)lowest];
        s->heap[0] = s->heap[--n];
        sift_down(s->heap, n, 0);
    } while (n > 0 && sum < p * total);
    keep_from(s, lowest);
}

static void keep_min_p(nb_sampler *s, float p)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->weights[i] >= p) {
            s->ids[kept] = s->ids[i];
            s->below[kept] = s->below[i];
            s->weights[kept++] = s->weights[i];
        }
    }
    s->count = kept;
}

static int32_t draw(nb_sampler *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        s->cumulative[i] = sum += s->weights[i];
    }
    double target = nb_random_f64(&s->random) * sum; /* below sum */
    size_t low = 0, high = s->count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->cumulative[middle] > target) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return s->ids[low];
}

int32_t nb_sampler_next(nb_sampler *sampler, const nb_kernels *kernels, const float *logits)
{
    const nb_sampler_options *options = &sampler->options;
    size_t best = likeliest(kernels, logits, sampler->vocab_size);
    if (options->temperature == 0 || isnan(logits[best])) {
        return (int32_t)best;
    }
    gather(sampler, logits, logits[best]);
    keep_top_k(sampler, options->top_k);
    kernels->exp(sampler->below, sampler->count, sampler->weights);
    keep_top_p(sampler, options->top_p);
    keep_min_p(sampler, options->min_p);
    if (options->temperature != 1) {
        for (size_t i = 0; i < sampler->count; i++) {
            sampler->below[i] /= options->temperature;
        }
        kernels->exp(sampler->below, sampler->count, sampler->weights);
    }
    return draw(sampler);
}
