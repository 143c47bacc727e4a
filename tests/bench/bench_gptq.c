/* How fast GPTQ is, beside this machine's FMA peak: the matrices of one block of a 1.1B llama, 4 bits in groups of 128,
 * random weights and activations.
 *
 *   bench-gptq [--threads 1,2] [--tokens 8192]
 *
 * "Hessian" sums what flows into a matrix, n^2 operations a token for n columns, since half of it is computed; "factor"
 * is n^3 / 3; "columns" rounds them and moves the later ones, n^2 operations a row. */
#include "base/memory.h"
#include "base/random.h"
#include "nibble.h"
#include "quant/gptq.h"
#include "quant/hessian.h"

#include "tests/bench/bench.h"

#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 512, MOST_COLUMNS = 5632, ROWS_APART = 4099 };

/* Matrices that read the same activations share a Hessian and its factor. */
typedef struct shape {
    const char *name;
    size_t n_rows, n_cols;
} shape;

static const shape shapes[] = {{"attn_q, k, v", 2560, 2048},
                               {"attn_output", 2048, 2048},
                               {"ffn_gate, up", 11264, 2048},
                               {"ffn_down", 2048, 5632}};

static void fill(float *x, size_t n, uint64_t seed)
{
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)nb_random_below(&random, 65536) / 32768.0f - 1;
}

typedef struct weights {
    const float *numbers; /* [ROWS_APART + MOST_COLUMNS]: a row begins at its index, and again after ROWS_APART */
    size_t n_cols;
} weights;

static void read_row(void *user, size_t row, float *out)
{
    const weights *w = user;
    memcpy(out, w->numbers + row % ROWS_APART, w->n_cols * sizeof *out);
}

typedef struct seconds {
    double hessian, factor, columns;
} seconds;

static seconds measure_shape(nb_context *context, const shape *s, size_t n_tokens, const float *x)
{
    const nb_quantizer quantizer = {.format = nb_format_int(4),
                                    .scheme = NB_SCHEME_ZEROPOINT,
                                    .granularity = NB_PER_GROUP,
                                    .group = 128};
    const nb_gptq_options options = {.damp = 0.01};
    weights rows = {x, s->n_cols};
    const nb_gptq_source source = {read_row, &rows, s->n_rows, s->n_cols};
    nb_error error;
    nb_hessian *hessian;
    nb_gptq_solver *solver;
    nb_packed *packed;
    nb_gptq_result result;
    const float *sums;
    nb_bench_check(nb_hessian_create(context, s->n_cols, &hessian, &error), &error);
    const double began = nb_bench_now();
    for (size_t done = 0; done < n_tokens; done += AT_ONCE)
        nb_hessian_add(hessian, x, nb_min_size(AT_ONCE, n_tokens - done), MOST_COLUMNS);
    nb_bench_check(nb_hessian_finish(hessian, s->name, &sums, &error), &error);
    const double summed = nb_bench_now();
    nb_bench_check(nb_gptq_solver_create(context, s->name, sums, s->n_cols, nb_gptq_block(&quantizer), &options, &solver, &error),
          &error);
    const double factored = nb_bench_now();
    nb_bench_check(nb_gptq_quantize(context, s->name, &source, &quantizer, solver, &options, NULL, false, &packed, &result, &error),
          &error);
    const double rounded = nb_bench_now();
    nb_gptq_result_free(&result);
    nb_packed_destroy(&packed);
    nb_gptq_solver_destroy(&solver);
    nb_hessian_destroy(&hessian);
    return (seconds){summed - began, factored - summed, rounded - factored};
}

static void measure(unsigned n_threads, size_t n_tokens)
{
    const nb_context_options options = {.n_threads = n_threads};
    nb_context *context;
    nb_error error;
    double hessian_operations = 0, columns_operations = 0;
    seconds all = {0};
    nb_bench_check(nb_context_create(&options, &context, &error), &error);
    float *x = nb_aligned_calloc((size_t)AT_ONCE * MOST_COLUMNS, sizeof *x);
    if (!x)
        nb_bench_check(nb_fail(&error, NB_ERR_MEMORY, "no memory to measure with"), &error);
    fill(x, (size_t)AT_ONCE * MOST_COLUMNS, 1);
    const double peak = nb_measure_fma_peak(context);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        const double n = (double)s->n_cols, of_hessian = n * n * (double)n_tokens, of_columns = n * n * (double)s->n_rows;
        const seconds took = measure_shape(context, s, n_tokens, x);
        printf("%7u  %-13s %5zu x %4zu %7.2f s %5.1f %% %7.2f s %5.1f %% %7.2f s %5.1f %%\n", n_threads, s->name, s->n_rows,
               s->n_cols, took.hessian, 100 * of_hessian / took.hessian / peak, took.factor,
               100 * n * n * n / 3 / took.factor / peak, took.columns, 100 * of_columns / took.columns / peak);
        fflush(stdout);
        hessian_operations += of_hessian;
        columns_operations += of_columns;
        all.hessian += took.hessian;
        all.factor += took.factor;
        all.columns += took.columns;
    }
    printf("%7u  the block                  %7.2f s %5.1f %% %7.2f s         %7.2f s %5.1f %%   peak %.0f Gop/s f32\n",
           n_threads, all.hessian, 100 * hessian_operations / all.hessian / peak, all.factor, all.columns,
           100 * columns_operations / all.columns / peak, peak * 1e-9);
    nb_aligned_free(x);
    nb_context_destroy(&context);
}

int main(int argc, char **argv)
{
    nb_bench_threads threads = {{1, 2}, 2};
    size_t n_tokens = 8192;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--threads") == 0) {
            threads = nb_bench_read_threads(value);
        } else if (strcmp(argv[i], "--tokens") == 0) {
            n_tokens = strtoul(value, NULL, 10);
        } else {
            n_tokens = 0;
        }
    }
    if (threads.n < 1 || n_tokens < 1 || n_tokens > 1 << 20) {
        fprintf(stderr, "usage: bench-gptq [--threads 1,2] [--tokens 8192]\n");
        return 2;
    }
    printf("threads  matrices       rows x cols    Hessian  of peak    factor  of peak   columns  of peak\n");
    for (size_t i = 0; i < threads.n; i++)
        measure(threads.counts[i], n_tokens);
    return 0;
}
