/* Activations as a matmul wants them: quantized once, read by every weight matrix that shares them. */
#include "kernels/acts.h"

#include "base/memory.h"

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

/* Room for the int8 blocks of n_tokens rows. */
static bool reserve_blocks(nb_acts_buffer *buffer, size_t n_tokens, size_t n_blocks, bool wants_wide)
{
    size_t n, n_wide;
    void *blocks = buffer->acts.blocks, *wide = buffer->acts.wide;
    bool fits = nb_mul_size(n_tokens, n_blocks, &n) && nb_mul_size(n, NB_BLOCK, &n_wide);
    fits = fits && reserve(&blocks, &buffer->blocks_capacity, n, sizeof *buffer->acts.blocks);
    buffer->acts.blocks = blocks;
    fits = fits && (!wants_wide || reserve(&wide, &buffer->wide_capacity, n_wide, sizeof *buffer->acts.wide));
    buffer->acts.wide = wide;
    return fits;
}

nb_status nb_acts_reserve(nb_context *context, nb_acts_buffer *buffer, size_t n_tokens, size_t n_cols, bool quantize,
                          nb_error *error)
{
    nb_acts *acts = &buffer->acts;
    acts->n_tokens = n_tokens;
    acts->n_cols = n_cols;
    acts->f32 = acts->outliers = NULL;
    acts->f32_stride = acts->outlier_stride = 0;
    acts->n_blocks = nb_div_up(n_cols, NB_BLOCK);
    if (quantize && !reserve_blocks(buffer, n_tokens, acts->n_blocks, context->kernels->wants_wide))
        return nb_fail(error, NB_ERR_MEMORY,
                       "not enough memory for the activations of %zu tokens; try fewer at once", n_tokens);
    return NB_OK;
}

/* Where a token's int16 codes belong; NULL: the level wants none. */
static int16_t *wide_of(const nb_kernels *kernels, const nb_acts *acts, size_t token)
{
    return kernels->wants_wide ? acts->wide + token * acts->n_blocks * NB_BLOCK : NULL;
}

void nb_acts_quantize(const nb_kernels *kernels, const nb_acts *acts, size_t token, const float *x)
{
    kernels->quantize_acts(x, acts->n_cols, acts->blocks + token * acts->n_blocks, wide_of(kernels, acts, token));
}

size_t nb_acts_quantize_scaled(const nb_kernels *kernels, const nb_acts *acts, size_t token, const float *x,
                               const float *scale)
{
    return kernels->quantize_acts_scaled(x, acts->n_cols, scale, acts->blocks + token * acts->n_blocks,
                                         wide_of(kernels, acts, token));
}

typedef struct {
    const nb_kernels *kernels;
    const nb_acts *acts;
} quantize_job;

static void quantize_tokens(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const quantize_job *job = user;
    for (size_t t = begin; t < end; t++)
        nb_acts_quantize(job->kernels, job->acts, t, job->acts->f32 + t * job->acts->f32_stride);
}

nb_status nb_acts_prepare(nb_context *context, nb_acts_buffer *buffer, const float *x, size_t n_tokens,
                          size_t n_cols, size_t stride, bool quantize, nb_error *error)
{
    nb_status status = nb_acts_reserve(context, buffer, n_tokens, n_cols, quantize, error);
    if (status != NB_OK)
        return status;
    buffer->acts.f32 = x;
    buffer->acts.f32_stride = stride;
    quantize_job job = {context->kernels, &buffer->acts};
    if (quantize)
        nb_parallel(context->pool, n_tokens, NB_TOKENS_AT_ONCE, quantize_tokens, &job);
    return NB_OK;
}

void nb_acts_buffer_free(nb_acts_buffer *buffer)
{
    nb_aligned_free(buffer->acts.blocks);
    nb_aligned_free(buffer->acts.wide);
    *buffer = (nb_acts_buffer){0};
}
