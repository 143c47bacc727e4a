/* Activations as a matmul wants them: quantized once, read by every weight matrix that shares them. */
#include "kernels/acts.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_AT_ONCE = 4 }; /* a piece of work for one thread: some microseconds */

/* Grows an aligned buffer to n elements of `size` bytes; what it held is not kept. */
static bool reserve(void **buffer, size_t *capacity, size_t n, size_t size)
{
    if (n <= *capacity)
        return true;
    void *bigger = nb_aligned_calloc(n, size);
    if (bigger == NULL)
        return false;
    nb_aligned_free(*buffer);
    *buffer = bigger;
    *capacity = n;
    return true;
}

typedef struct {
    const nb_kernels *kernels;
    nb_acts *acts;
} quantize_job;

static void quantize_tokens(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const quantize_job *job = user;
    const nb_acts *acts = job->acts;
    for (size_t t = begin; t < end; t++) {
        int16_t *wide = job->kernels->wants_wide ? acts->wide + t * acts->n_blocks * NB_BLOCK : NULL;
        job->kernels->quantize_acts(acts->f32 + t * acts->f32_stride, acts->n_cols,
                                    acts->blocks + t * acts->n_blocks, wide);
    }
}

/* Room for the int8 blocks of so many tokens. */
static nb_status reserve_blocks(nb_context *context, nb_acts_buffer *buffer, const float *x, size_t n_tokens,
                                size_t n_cols, size_t stride, bool quantize, nb_error *error)
{
    nb_acts *acts = &buffer->acts;
    acts->n_tokens = n_tokens;
    acts->n_cols = n_cols;
    acts->f32 = x;
    acts->f32_stride = stride;
    acts->n_blocks = nb_div_up(n_cols, NB_BLOCK);
    if (!quantize)
        return NB_OK;
    size_t n, wide = 0;
    void *blocks = acts->blocks, *wide_codes = acts->wide;
    bool fits = nb_mul_size(n_tokens, acts->n_blocks, &n) && nb_mul_size(n, NB_BLOCK, &wide);
    fits = fits && reserve(&blocks, &buffer->blocks_capacity, n, sizeof *acts->blocks);
    acts->blocks = blocks;
    if (context->kernels->wants_wide)
        fits = fits && reserve(&wide_codes, &buffer->wide_capacity, wide, sizeof *acts->wide);
    acts->wide = wide_codes;
    if (!fits)
        return nb_fail(error, NB_ERR_MEMORY,
                       "not enough memory for the activations of %zu tokens; try fewer at once", n_tokens);
    return NB_OK;
}

nb_status nb_acts_prepare(nb_context *context, nb_acts_buffer *buffer, const float *x, size_t n_tokens,
                          size_t n_cols, size_t stride, bool quantize, nb_error *error)
{
    nb_status status = reserve_blocks(context, buffer, x, n_tokens, n_cols, stride, quantize, error);
    if (status != NB_OK || !quantize)
        return status;
    quantize_job job = {context->kernels, &buffer->acts};
    nb_parallel(context->pool, n_tokens, TOKENS_AT_ONCE, quantize_tokens, &job);
    return NB_OK;
}

/* ---- one scale for all of a token ---- */

/* A number that is not huge plus this is its nearest integer plus this, ties to even: the sum has no bits below 1. */
static const float magic = 12582912.0f;
enum { MAGIC_BITS = 0x4b400000, INFINITY_BITS = 0x7f800000, HALF = NB_BLOCK / 2 };

/* The bits of the largest |x|, which order as the values do, with infinity and NaN above all. */
static int32_t largest_bits(const float *x, size_t n)
{
    int32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most;
}

/* Clamped as bits, which order as positive floats do; what is far below zero has the sign bit, and is less too. */
static uint32_t fill_block(const float *restrict x, float scale, nb_act_block *restrict block)
{
    float shifted[NB_BLOCK];
    int32_t codes[NB_BLOCK], n_clipped = 0, first = 0, second = 0;
    for (int i = 0; i < NB_BLOCK; i++)
        shifted[i] = x[i] / scale + magic;
    memcpy(codes, shifted, sizeof codes);
    for (int i = 0; i < NB_BLOCK; i++) {
        const int32_t low = codes[i] < MAGIC_BITS - 127 ? MAGIC_BITS - 127 : codes[i];
        const int32_t code = low > MAGIC_BITS + 127 ? MAGIC_BITS + 127 : low;
        n_clipped += code != codes[i];
        codes[i] = code - MAGIC_BITS;
    }
    for (int i = 0; i < NB_BLOCK; i++)
        block->q[i] = (int8_t)codes[i];
    for (int i = 0; i < HALF; i++) {
        first += codes[i];
        second += codes[HALF + i];
    }
    block->scale = scale;
    block->minus_first = -first;
    block->minus_sum = -(first + second);
    return (uint32_t)n_clipped;
}

/* *given for all of the token; NULL: its own amax / 127. Returns how many numbers were clipped. */
static uint32_t quantize_scaled(const float *x, size_t n_cols, const float *given, nb_act_block *blocks)
{
    static const uint32_t nan_bits = 0x7fc00000;
    float scale = 0.0f, nan;
    uint32_t n_clipped = 0;
    memcpy(&nan, &nan_bits, sizeof nan);
    const int32_t token_bits = given ? 0 : largest_bits(x, n_cols);
    memcpy(&scale, &token_bits, sizeof scale);
    scale = given ? *given : scale / 127.0f;
    for (size_t b = 0; b * NB_BLOCK < n_cols; b++) {
        const size_t n = n_cols - b * NB_BLOCK < NB_BLOCK ? n_cols - b * NB_BLOCK : NB_BLOCK;
        const float *at = x + b * NB_BLOCK;
        float padded[NB_BLOCK] = {0};
        if (n < NB_BLOCK) {
            memcpy(padded, at, n * sizeof *padded);
            at = padded;
        }
        if (token_bits >= INFINITY_BITS || (given && largest_bits(at, NB_BLOCK) >= INFINITY_BITS))
            blocks[b] = (nb_act_block){.scale = nan};
        else if (scale == 0.0f)
            blocks[b] = (nb_act_block){.scale = 0.0f};
        else
            n_clipped += fill_block(at, scale, &blocks[b]);
    }
    return n_clipped;
}

/* The blocks' codes as int16, each quad's columns 0 and 2, then 1 and 3, which is how the one level that wants them
 * (avx2) likes them. */
static void widen_blocks(const nb_act_block *blocks, size_t n_blocks, int16_t *wide)
{
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t c = 0; c < NB_BLOCK; c += 4) {
            const int8_t *q = blocks[b].q + c;
            int16_t *out = wide + b * NB_BLOCK + c;
            out[0] = q[0];
            out[1] = q[2];
            out[2] = q[1];
            out[3] = q[3];
        }
}

typedef struct {
    nb_acts *acts;
    bool wants_wide;
    const float *scale;
    atomic_uint_fast64_t n_clipped;
} scale_job;

static void scale_tokens(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    scale_job *job = user;
    const nb_acts *acts = job->acts;
    uint64_t n_clipped = 0;
    for (size_t t = begin; t < end; t++) {
        nb_act_block *blocks = acts->blocks + t * acts->n_blocks;
        n_clipped += quantize_scaled(acts->f32 + t * acts->f32_stride, acts->n_cols, job->scale, blocks);
        if (job->wants_wide)
            widen_blocks(blocks, acts->n_blocks, acts->wide + t * acts->n_blocks * NB_BLOCK);
    }
    atomic_fetch_add(&job->n_clipped, n_clipped);
}

nb_status nb_acts_prepare_scaled(nb_context *context, nb_acts_buffer *buffer, const float *x, size_t n_tokens,
                                 size_t n_cols, size_t stride, const float *scale, uint64_t *n_clipped,
                                 nb_error *error)
{
    nb_status status = reserve_blocks(context, buffer, x, n_tokens, n_cols, stride, true, error);
    if (status != NB_OK)
        return status;
    scale_job job = {.acts = &buffer->acts, .wants_wide = context->kernels->wants_wide, .scale = scale};
    atomic_init(&job.n_clipped, 0);
    nb_parallel(context->pool, n_tokens, TOKENS_AT_ONCE, scale_tokens, &job);
    *n_clipped = atomic_load(&job.n_clipped);
    return NB_OK;
}

void nb_acts_buffer_free(nb_acts_buffer *buffer)
{
    nb_aligned_free(buffer->acts.blocks);
    nb_aligned_free(buffer->acts.wide);
    *buffer = (nb_acts_buffer){0};
}
