/* Threads and dispatch around one matmul. Threads split outputs only, so they cannot change a bit. */
#include "base/memory.h"
#include "base/work.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Below this much work a second thread costs more than it saves: meeting takes about half a microsecond,
     * in which one core reads 70 KB from its cache. Work is counted in bytes of codes read by one token,
     * twice where they must be unpacked; TOKENS_PER_READ more tokens take as long again. */
    SMALL_WORK = 136 * 1024,
    TOKENS_PER_READ = 4,
    /* A kernel copies a tile's activations once a call, and decodes its weights once a call. A piece of a
     * matmul of many tokens should have rows to pay for the one and tokens to pay for the other. */
    MANY_TOKENS = 32,
    TOKENS_PER_PIECE = 16, /* or a multiple */
    GROUPS_PER_PIECE = 4,
    PIECES_PER_THREAD = 2,
};

static nb_matmul_fn *kernel_for(const nb_kernels *kernels, const nb_packed *w)
{
    const nb_quantizer *quantizer = &w->quantizer;
    const nb_format *format = quantizer->format;
    if (w->layout != NULL)
        return (quantizer->activations == NB_ACTIVATIONS_F32 ? kernels->matmul_block_f32
                                                             : kernels->matmul_block)[w->layout->id];
    if (format->kind == NB_FORMAT_INT)
        return quantizer->activations == NB_ACTIVATIONS_F32 ? kernels->matmul_int_f32[format->bits]
                                                            : kernels->matmul_int[format->bits];
    if (format->kind == NB_FORMAT_TABLE)
        return kernels->matmul_table;
    return format == &nb_format_f32       ? kernels->matmul_f32
           : format == &nb_format_f16     ? kernels->matmul_f16
           : format == &nb_format_bf16    ? kernels->matmul_bf16
           : format == &nb_format_f8_e4m3 ? kernels->matmul_f8_e4m3
                                          : kernels->matmul_f8_e5m2;
}

/* Row groups [begin, end). */
static void multiply(const nb_kernels *kernels, const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                     size_t y_stride)
{
    kernel_for(kernels, w)(w, begin, end, x, y, y_stride);
}

typedef struct {
    const nb_kernels *kernels;
    const nb_packed *w;
    const nb_acts *x;
    float *y;
    size_t y_stride;
    size_t groups, tokens;  /* to a piece */
    size_t pieces_in_group; /* pieces that share their row groups */
} matmul_job;

static void multiply_groups(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const matmul_job *job = user;
    multiply(job->kernels, job->w, begin, end, job->x, job->y, job->y_stride);
}

/* The activations of tokens [begin, end). */
static nb_acts some_tokens(const nb_acts *x, size_t begin, size_t end)
{
    nb_acts some = *x;
    some.n_tokens = end - begin;
    if (some.f32 != NULL)
        some.f32 += begin * x->f32_stride;
    if (some.outliers != NULL)
        some.outliers += begin * x->outlier_stride;
    if (some.blocks != NULL)
        some.blocks += begin * x->n_blocks;
    if (some.wide != NULL)
        some.wide += begin * x->n_blocks * NB_BLOCK;
    return some;
}

static void multiply_pieces(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const matmul_job *job = user;
    for (size_t piece = begin; piece < end; piece++) {
        const size_t group = piece / job->pieces_in_group * job->groups;
        const size_t token = piece % job->pieces_in_group * job->tokens;
        const nb_acts x = some_tokens(job->x, token, nb_min_size(token + job->tokens, job->x->n_tokens));
        multiply(job->kernels, job->w, group, nb_min_size(group + job->groups, job->w->n_row_groups), &x,
                 job->y + token * job->y_stride, job->y_stride);
    }
}

/* Cuts rows and tokens so that all threads have the same number of pieces, equal ones: as square as may be,
 * since cutting the rows copies all tokens once more, and cutting the tokens all weights. */
static void multiply_many(nb_pool *pool, matmul_job *job)
{
    const size_t wanted = (size_t)nb_pool_size(pool) * PIECES_PER_THREAD;
    const size_t n_groups = job->w->n_row_groups, n_tokens = job->x->n_tokens;
    size_t best = SIZE_MAX, by_rows = 1;
    for (size_t cuts = 1; cuts <= wanted && cuts <= nb_div_up(n_groups, GROUPS_PER_PIECE); cuts++) {
        const size_t copied = cuts * n_tokens + wanted / cuts * n_groups * NB_ROWS;
        if (wanted % cuts == 0 && copied < best) {
            best = copied;
            by_rows = cuts;
        }
    }
    job->groups = nb_round_up(nb_div_up(n_groups, by_rows), 2); /* tiles are one, two or four row groups wide */
    job->tokens = nb_round_up(nb_div_up(n_tokens, wanted / by_rows), TOKENS_PER_PIECE);
    job->pieces_in_group = nb_div_up(n_tokens, job->tokens);
    nb_parallel(pool, nb_div_up(n_groups, job->groups) * job->pieces_in_group, 1, multiply_pieces, job);
}

/* NIBBLE_VERIFY=1: the same rows by the definition, compared bit for bit. A difference is a bug in a kernel,
 * nothing that a caller could handle, so it ends the program with what is needed to find it. */
static void verify(const nb_kernels *kernels, const nb_packed *w, const nb_acts *x, const float *y,
                   size_t y_stride)
{
    float *want = nb_aligned_calloc(w->n_rows, sizeof *want);
    if (want == NULL)
        return; /* nothing to compare with; the result itself is fine */
    for (size_t t = 0; t < x->n_tokens; t++) {
        const nb_acts one = some_tokens(x, t, t + 1);
        multiply(nb_kernels_at(0), w, 0, w->n_row_groups, &one, want, w->n_rows);
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

/* What a matmul of so many tokens costs, in bytes read. */
static size_t work_of(const nb_packed *w, size_t n_tokens)
{
    const size_t one = w->n_row_groups * w->row_group_bytes * (w->quantizer.format->bits < 8 ? 2 : 1);
    return one / TOKENS_PER_READ * (TOKENS_PER_READ + n_tokens - 1);
}

static void count_work(nb_context *context, const nb_packed *w, const nb_acts *x)
{
    nb_pool_add_work(context->pool, (uint64_t)w->n_rows * w->n_cols * x->n_tokens);
}

void nb_matmul(nb_context *context, const nb_packed *w, const nb_acts *x, float *y, size_t y_stride)
{
    const nb_kernels *kernels = context->kernels;
    count_work(context, w, x);
    matmul_job job = {.kernels = kernels, .w = w, .x = x, .y = y, .y_stride = y_stride};
    if (nb_pool_size(context->pool) == 1 || work_of(w, x->n_tokens) < SMALL_WORK)
        multiply(kernels, w, 0, w->n_row_groups, x, y, y_stride);
    else if (x->n_tokens < MANY_TOKENS)
        nb_parallel(context->pool, w->n_row_groups, kernels->row_group_grain, multiply_groups, &job);
    else
        multiply_many(context->pool, &job);
    if (context->verify)
        verify(kernels, w, x, y, y_stride);
}

typedef struct {
    const nb_kernels *kernels;
    const nb_matmul_part *parts;
    size_t n_parts;
    const nb_acts *x;
} parts_job;

/* Row groups [begin, end) of all parts, counted through. */
static void multiply_parts(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const parts_job *job = user;
    for (const nb_matmul_part *part = job->parts; part < job->parts + job->n_parts && end > 0; part++) {
        const size_t n = part->w->n_row_groups, last = nb_min_size(end, n);
        if (begin < last)
            multiply(job->kernels, part->w, begin, last, job->x, part->y, part->y_stride);
        begin -= nb_min_size(begin, n);
        end -= last;
    }
}

void nb_matmul_parts(nb_context *context, const nb_matmul_part *parts, size_t n_parts, const nb_acts *x)
{
    parts_job job = {context->kernels, parts, n_parts, x};
    size_t work = 0, n_row_groups = 0;
    for (size_t i = 0; i < n_parts; i++) {
        work += work_of(parts[i].w, x->n_tokens);
        n_row_groups += parts[i].w->n_row_groups;
    }
    if (nb_pool_size(context->pool) == 1 || work < SMALL_WORK || x->n_tokens >= MANY_TOKENS) {
        for (size_t i = 0; i < n_parts; i++)
            nb_matmul(context, parts[i].w, x, parts[i].y, parts[i].y_stride);
        return;
    }
    for (size_t i = 0; i < n_parts; i++)
        count_work(context, parts[i].w, x);
    nb_parallel(context->pool, n_row_groups, context->kernels->row_group_grain, multiply_parts, &job);
    for (size_t i = 0; i < n_parts && context->verify; i++)
        verify(context->kernels, parts[i].w, x, parts[i].y, parts[i].y_stride);
}
