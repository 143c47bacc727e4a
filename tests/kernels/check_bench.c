/* How fast the matmuls are, beside what this machine can do at most, measured in the same run:
 *   decode   1 token; bytes of packed weights a second, beside reading a buffer of that size
 *   prefill  512 tokens; operations a second, beside the level's peak of fused (or int8) multiplications */
#include "check.h"

#include "base/cpu.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFILL_TOKENS = 512, SLOW_TOKENS = 1 };

typedef struct {
    const char *name; /* as the check calls it */
    const char *quantizer;
} bench_row;

static const bench_row rows[] = {
    {"matmul_f32", "f32"},
    {"matmul_f16", "f16"},
    {"matmul_bf16", "bf16"},
    {"matmul_f8_e4m3", "f8_e4m3"},
    {"matmul_f8_e5m2", "f8_e5m2"},
    {"matmul_int8", "int8 absmax/channel"},
    {"matmul_int8", "int8 zeropoint/group:32"},
    {"matmul_int4", "int4 absmax/group:32"},
    {"matmul_int4", "int4 zeropoint/group:128"},
    {"matmul_int2", "int2 absmax/group:32"},
    {"matmul_int3", "int3 absmax/group:32"},
    {"matmul_int5", "int5 absmax/group:32"},
    {"matmul_int6", "int6 absmax/group:32"},
    {"matmul_int7", "int7 absmax/group:32"},
    {"matmul_int8_f32", "int8 absmax/channel, f32 activations"},
    {"matmul_int4_f32", "int4 absmax/group:32, f32 activations"},
    {"matmul_q8_0", "q8_0"},
    {"matmul_q5_1", "q5_1"},
    {"matmul_q4_1", "q4_1"},
    {"matmul_q4_0", "q4_0"},
    {"matmul_q6_k", "q6_k"},
    {"matmul_q5_k", "q5_k"},
    {"matmul_q4_k", "q4_k"},
    {"matmul_q3_k", "q3_k"},
    {"matmul_q2_k", "q2_k"},
    {"matmul_iq4_nl", "iq4_nl"},
    {"matmul_iq4_xs", "iq4_xs"},
    {"matmul_mxfp4", "mxfp4"},
    {"matmul_nvfp4", "nvfp4"},
    {"matmul_tq2_0", "tq2_0"},
    {"matmul_q4_k_f32", "q4_k, f32 activations"},
    {"matmul_nf4", "nf4"},
    {"matmul_nf4", "nf4 group:64, double"},
};

typedef struct {
    nb_context *context;
    nb_packed *w;
    nb_acts_buffer acts;
    float *y;
} matmul_job;

static void run_matmul(void *user)
{
    matmul_job *job = user;
    nb_matmul(job->context, job->w, &job->acts.acts, job->y, job->w->n_rows);
}

static void fill_weights(nb_check *check, nb_packed *w)
{
    if (w->quantizer.format->kind == NB_FORMAT_FLOAT) {
        const size_t n = NB_ROWS * w->n_cols;
        float *x = nb_calloc(n, sizeof *x);
        nb_check_fill(check, x, n, NB_FILL_PLAIN);
        nb_format_encode_row(w->quantizer.format, x, n, w->codes);
        for (size_t g = 1; g < w->n_row_groups; g++)
            memcpy(w->codes + g * w->row_group_bytes, w->codes, w->row_group_bytes);
        free(x);
        return;
    }
    for (size_t i = 0; i < w->n_row_groups * w->row_group_bytes; i += 8) {
        uint64_t codes = nb_random_u64(&check->random);
        memcpy(w->codes + i, &codes, sizeof codes);
    }
    if (w->layout != NULL) { /* 0x2424 is a small f16, and any byte a scale */
        memset(w->scales, 0x24, w->n_row_groups * w->record_stride);
        return;
    }
    if (w->quantizer.format->kind == NB_FORMAT_TABLE) /* 0x3c3c3c3c is a small f32; a nested one, just as well */
    {
        memset(w->scales, 0x3c, (w->scale_codes ? nb_n_nested(w->n_rows * w->n_scales) : w->n_row_groups * w->scale_stride) * sizeof(float));
        return;
    }
    const size_t n_scales = w->scale_stride == 0 ? NB_ROWS : w->n_row_groups * w->scale_stride;
    for (size_t i = 0; i < n_scales; i++)
        ((uint16_t *)w->scales)[i] = nb_f16_from_f32(0.01f);
}

static double time_tokens(nb_check *check, matmul_job *job, const float *x, size_t n_tokens)
{
    const nb_quantizer *q = &job->w->quantizer;
    const bool int8 = nb_quantizer_wants_int8(q);
    (void)check;
    if (nb_acts_prepare(job->context, &job->acts, x, n_tokens, job->w->n_cols, job->w->n_cols, int8, NULL) !=
        NB_OK)
        return 0.0;
    return nb_check_time(run_matmul, job);
}

static void bench(nb_check *check, const bench_row *row, nb_context *context, size_t n_rows, size_t n_cols)
{
    nb_quantizer quantizer;
    nb_error error;
    matmul_job job = {.context = context};
    if (nb_quantizer_parse(row->quantizer, &quantizer, &error) != NB_OK ||
        nb_packed_create(&quantizer, n_rows, n_cols, &job.w, &error) != NB_OK) {
        fprintf(stderr, "%s\n", error.text);
        return;
    }
    const bool scalar = context->kernels == nb_kernels_at(0);
    const size_t n_tokens = scalar ? SLOW_TOKENS : PREFILL_TOKENS;
    float *x = nb_aligned_calloc(n_tokens * n_cols, sizeof *x);
    job.y = nb_aligned_calloc(n_tokens * n_rows, sizeof *job.y);
    if (x != NULL && job.y != NULL) {
        fill_weights(check, job.w);
        nb_check_fill(check, x, n_tokens * n_cols, NB_FILL_PLAIN);
        const bool int8 =
            nb_quantizer_wants_int8(&quantizer);
        const double decode = (double)job.w->n_bytes / time_tokens(check, &job, x, 1);
        const double bandwidth = nb_measure_read_bandwidth(context, job.w->n_bytes);
        printf("%-38s %6.1f GB/s %3.0f%%", row->quantizer, decode / 1e9, 100 * decode / bandwidth);
        if (!scalar) {
            const double operations = 2.0 * (double)(n_rows * n_cols * n_tokens);
            const double prefill = operations / time_tokens(check, &job, x, n_tokens);
            const double peak = int8 ? nb_measure_int8_peak(context) : nb_measure_fma_peak(context);
            printf(" %8.0f Gop/s %3.0f%%", prefill / 1e9, 100 * prefill / peak);
        }
        printf("\n");
        fflush(stdout);
    }
    nb_acts_buffer_free(&job.acts);
    nb_aligned_free(job.y);
    nb_aligned_free(x);
    nb_packed_destroy(&job.w);
}

void nb_bench_matmul(nb_check *check)
{
    static const size_t shapes[][2] = {{2048, 2048}, {768, 768}};
    const unsigned n_cpus = nb_cpu_count();
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (unsigned n_threads = 1; n_threads <= n_cpus;
             n_threads = n_threads < n_cpus ? n_cpus : n_cpus + 1) {
            nb_context context = {.kernels = check->level};
            if (nb_pool_create(n_threads, &context.pool, NULL) != NB_OK)
                return;
            printf("\nmatmul [%zu, %zu], %s, %u thread%s: decode, of read bandwidth; prefill of %d tokens, "
                   "of peak\n",
                   shapes[s][0], shapes[s][1], check->level->title, n_threads, n_threads == 1 ? "" : "s",
                   PREFILL_TOKENS);
            for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (check->only_kernel == NULL ||
                    strncmp(rows[i].name, check->only_kernel, strlen(check->only_kernel)) == 0)
                    bench(check, &rows[i], &context, shapes[s][0], shapes[s][1]);
            nb_pool_destroy(&context.pool);
        }
}
