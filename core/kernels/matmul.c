/* Threads and dispatch around one matmul. Threads split outputs only, so they cannot change a bit. */
#include "base/memory.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Below this much work a second thread costs more than it saves: meeting takes about half a microsecond, in
     * which one core reads 70 KB from its cache. Work is counted in bytes of codes read by one token, twice
     * where they must be unpacked; TOKENS_PER_READ more tokens take as long again. */
    SMALL_WORK = 136 * 1024,
    TOKENS_PER_READ = 4,
    /* With many tokens a piece should hold enough rows to pay for what a kernel prepares per call. */
    MANY_TOKENS = 8,
    MANY_TOKENS_GRAIN = 4,
};

typedef struct {
    nb_matmul_fn *kernel;
    const nb_packed *w;
    const nb_acts *x;
    float *y;
    size_t y_stride;
} matmul_job;

static void multiply_groups(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const matmul_job *job = user;
    job->kernel(job->w, begin, end, job->x, job->y, job->y_stride);
}

static nb_matmul_fn *kernel_for(const nb_kernels *kernels, const nb_quantizer *quantizer)
{
    const nb_format *format = quantizer->format;
    if (format->kind == NB_FORMAT_INT)
        return quantizer->activations == NB_ACTIVATIONS_F32 ? kernels->matmul_int_f32[format->bits]
                                                            : kernels->matmul_int[format->bits];
    return format == &nb_format_f32       ? kernels->matmul_f32
           : format == &nb_format_f16     ? kernels->matmul_f16
           : format == &nb_format_bf16    ? kernels->matmul_bf16
           : format == &nb_format_f8_e4m3 ? kernels->matmul_f8_e4m3
                                          : kernels->matmul_f8_e5m2;
}

/* NIBBLE_VERIFY=1: the same rows by the definition, compared bit for bit. A difference is a bug in a kernel,
 * nothing that a caller could handle, so it ends the program with what is needed to find it. */
static void verify(const nb_kernels *kernels, const nb_packed *w, const nb_acts *x, const float *y, size_t y_stride)
{
    float *want = nb_aligned_calloc(w->n_rows, sizeof *want);
    if (want == NULL)
        return; /* nothing to compare with; the result itself is fine */
    for (size_t t = 0; t < x->n_tokens; t++) {
        nb_acts one = *x;
        one.n_tokens = 1;
        one.f32 += t * x->f32_stride;
        if (one.blocks != NULL)
            one.blocks += t * x->n_blocks;
        kernel_for(nb_kernels_at(0), &w->quantizer)(w, 0, w->n_row_groups, &one, want, w->n_rows);
        for (size_t row = 0; row < w->n_rows; row++)
            if (memcmp(&want[row], &y[t * y_stride + row], sizeof *want) != 0) {
                fprintf(stderr,
                        "NIBBLE_VERIFY: matmul of %s [%zu, %zu] on %s: token %zu of %zu, row %zu is %a, "
                        "but the definition says %a\n",
                        w->quantizer.format->name, w->n_rows, w->n_cols, kernels->name, t, x->n_tokens, row,
                        (double)y[t * y_stride + row], (double)want[row]);
                abort();
            }
    }
    nb_aligned_free(want);
}

void nb_matmul(nb_context *context, const nb_packed *w, const nb_acts *x, float *y, size_t y_stride)
{
    const nb_kernels *kernels = context->kernels;
    matmul_job job = {kernel_for(kernels, &w->quantizer), w, x, y, y_stride};
    size_t work = w->n_row_groups * w->row_group_bytes * (w->quantizer.format->bits < 8 ? 2 : 1);
    if (work < SMALL_WORK)
        work += work / TOKENS_PER_READ * (x->n_tokens - 1);
    size_t grain = kernels->row_group_grain;
    if (x->n_tokens >= MANY_TOKENS && grain < MANY_TOKENS_GRAIN)
        grain = MANY_TOKENS_GRAIN;
    if (work < SMALL_WORK)
        job.kernel(w, 0, w->n_row_groups, x, y, y_stride);
    else
        nb_parallel(context->pool, w->n_row_groups, grain, multiply_groups, &job);
    if (context->verify)
        verify(kernels, w, x, y, y_stride);
}
