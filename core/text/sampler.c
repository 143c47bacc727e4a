#include "text/sampler.h"

#include "base/heap.h"
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
    size_t count;   /* candidates */
    int32_t *ids;   /* [count] */
    float *below;   /* [count] logit minus the highest one: 0 or less */
    float *weights; /* [count] exp of it: as likely as the likeliest times this */
    uint64_t *heap; /* [vocab_size] */
};

/* Vocabularies are long, and few of their tokens matter: blocks are looked at whole, then passed over. */
enum { BLOCK = 128 };

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
        made->heap = nb_calloc(vocab_size, sizeof *made->heap);
    }
    if (!made || !made->ids || !made->below || !made->weights || !made->heap) {
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

/* From `at` on, the first block in which something reaches `least`, or the last block. */
static size_t skip_blocks(const float *x, size_t at, size_t n, float least)
{
    for (; n - at > BLOCK; at += BLOCK) {
        int reached = 0;
        for (size_t i = at; i < at + BLOCK; i++) {
            reached += x[i] >= least;
        }
        if (reached > 0) {
            break;
        }
    }
    return at;
}

/* The first of equal maxima; `highest` is what kernels->max says of them. */
static size_t likeliest(const float *logits, size_t n, float highest)
{
    if (isnan(highest)) {
        return likeliest_number(logits, n);
    }
    size_t at = skip_blocks(logits, 0, n, highest);
    while (at + 1 < n && logits[at] != highest) {
        at++;
    }
    return at;
}

/* Orders candidates as numbers: the larger, the likelier; of equals, the earlier (the lower id) is larger. */
static uint64_t rank_key(float below, size_t candidate)
{
    uint32_t bits; /* of a number that is 0 or less: the larger they are, the lower it is */
    memcpy(&bits, &below, sizeof bits);
    bits = below == 0 ? 0 : bits;
    return (uint64_t)~bits << 32 | (UINT32_MAX - (uint32_t)candidate);
}

static size_t candidate_of(uint64_t key)
{
    return UINT32_MAX - (uint32_t)key;
}

/* Every logit that is a number becomes a candidate. */
static void gather(nb_sampler *s, const float *logits, float highest, bool all_numbers)
{
    if (all_numbers && isfinite(highest)) {
        for (size_t i = 0; i < s->vocab_size; i++) {
            s->ids[i] = (int32_t)i;
            s->below[i] = logits[i] - highest;
        }
        s->count = s->vocab_size;
        return;
    }
    s->count = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        if (!isnan(logits[i])) {
            s->ids[s->count] = (int32_t)i;
            s->below[s->count++] = logits[i] == highest ? 0 : logits[i] - highest; /* inf - inf is none */
        }
    }
}

static void keep(nb_sampler *s, size_t from, size_t to)
{
    s->ids[to] = s->ids[from];
    s->below[to] = s->below[from];
    s->weights[to] = s->weights[from];
}

/* Keeps the candidates whose key is `lowest` or more. */
static void keep_from(nb_sampler *s, uint64_t lowest)
{
    const float least = s->below[candidate_of(lowest)];
    size_t kept = 0;
    for (size_t at = 0; at < s->count;) {
        at = skip_blocks(s->below, at, s->count, least);
        for (const size_t end = nb_min_size(at + BLOCK, s->count); at < end; at++) {
            if (s->below[at] >= least && rank_key(s->below[at], at) >= lowest) {
                keep(s, at, kept++);
            }
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
    nb_heap_make(s->heap, k);
    for (size_t at = k; at < s->count;) {
        at = skip_blocks(s->below, at, s->count, s->below[candidate_of(s->heap[0])]);
        for (const size_t end = nb_min_size(at + BLOCK, s->count); at < end; at++) {
            uint64_t key = rank_key(s->below[at], at);
            if (key > s->heap[0]) { /* likelier than the least likely of the k so far */
                nb_heap_replace_top(s->heap, k, key);
            }
        }
    }
    keep_from(s, s->heap[0]);
}

/* Candidates fall into bins by how far they are below the likeliest; all of a bin are likelier than all of
 * the next. 16 bins a factor of e, and what is less likely than e^-32 in the last. */
enum { BINS = 512, BINS_PER_E = 16 };
static size_t bin_of(float below)
{
    return below > -(BINS - 1.0f) / BINS_PER_E ? (size_t)(-below * BINS_PER_E) : BINS - 1;
}

/* In eight lanes, so that it takes no longer than reading. */
static double sum_of(const float *weights, size_t n)
{
    double lanes[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t lane = 0; lane < 8; lane++) {
            lanes[lane] += weights[i + lane];
        }
    }
    for (size_t lane = 0; i + lane < n; lane++) {
        lanes[lane] += weights[i + lane];
    }
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* The smallest set of likeliest candidates whose share of the weight reaches p: whole bins, and of the bin in
 * which p is reached the likeliest. A candidate with less than (1 - p) / count of the weight is in none:
 * those behind it could not make up the missing 1 - p. */
static void keep_top_p(nb_sampler *s, double p)
{
    if (p >= 1) {
        return;
    }
    const double goal = p * sum_of(s->weights, s->count);
    const float too_small =
        (float)((1 - p) * sum_of(s->weights, s->count) / (double)s->count) / 2; /* to be sure */
    double sums[BINS] = {0}, sum = 0;
    for (size_t at = 0; at < s->count;) {
        at = skip_blocks(s->weights, at, s->count, too_small);
        for (const size_t end = nb_min_size(at + BLOCK, s->count); at < end; at++) {
            sums[bin_of(s->below[at])] += s->weights[at];
        }
    }
    size_t bin = 0, n = 0;
    while (bin + 1 < BINS && (sums[bin] == 0 || sum + sums[bin] < goal)) {
        sum += sums[bin++];
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->weights[i] >= too_small && bin_of(s->below[i]) == bin) {
            s->heap[n++] = ~rank_key(s->below[i], i); /* the likeliest on top */
        }
    }
    if (n == 0) {
        return; /* p is so near 1 that rounding hides the difference */
    }
    nb_heap_make(s->heap, n);
    uint64_t lowest;
    do {
        lowest = ~nb_heap_pop(s->heap, &n);
        sum += s->weights[candidate_of(lowest)];
    } while (n > 0 && sum < goal);
    keep_from(s, lowest);
}

static void keep_min_p(nb_sampler *s, float p)
{
    size_t kept = 0;
    for (size_t i = 0; p > 0 && i < s->count; i++) {
        if (s->weights[i] >= p) {
            keep(s, i, kept++);
        }
    }
    s->count = p > 0 ? kept : s->count;
}

/* A random point of the weights laid end to end: the block that it falls into, then the candidate. */
static int32_t draw(nb_sampler *s)
{
    double total = 0;
    for (size_t at = 0; at < s->count; at += BLOCK) {
        total += sum_of(s->weights + at, nb_min_size(BLOCK, s->count - at));
    }
    double point = nb_random_f64(&s->random) * total, passed = 0;
    size_t at = 0;
    for (; s->count - at > BLOCK; at += BLOCK) {
        double next = passed + sum_of(s->weights + at, BLOCK);
        if (next > point) {
            break;
        }
        passed = next;
    }
    size_t chosen =
        at; /* where rounding leaves the point beyond the block's end: its last candidate with weight */
    for (const size_t end = nb_min_size(at + BLOCK, s->count); at < end; at++) {
        chosen = s->weights[at] > 0 ? at : chosen;
        passed += s->weights[at];
        if (passed > point) {
            break;
        }
    }
    return s->ids[chosen];
}

int32_t nb_sampler_next(nb_sampler *sampler, const nb_kernels *kernels, const float *logits)
{
    const nb_sampler_options *options = &sampler->options;
    float highest = kernels->max(logits, sampler->vocab_size); /* NaN if any is NaN */
    size_t best = likeliest(logits, sampler->vocab_size, highest);
    if (options->temperature == 0 || isnan(logits[best])) {
        return (int32_t)best;
    }
    gather(sampler, logits, logits[best], !isnan(highest));
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
