/* Activations as a matmul wants them: quantized once, read by every weight matrix that shares them. */
#include "base/memory.h"
#include "kernels/kernels.h"

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

nb_status nb_acts_prepare(nb_context *context, nb_acts_buffer *buffer, const float *x, size_t n_tokens,
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
    quantize_job job = {context->kernels, acts};
    nb_parallel(context->pool, n_tokens, TOKENS_AT_ONCE, quantize_tokens, &job);
    return NB_OK;
}

void nb_acts_buffer_free(nb_acts_buffer *buffer)
{
    nb_aligned_free(buffer->acts.blocks);
    nb_aligned_free(buffer->acts.wide);
    *buffer = (nb_acts_buffer){0};
}
