/* How fast a training step is, beside this machine's FMA peak: a llama of about the size of `story` on random tokens.
 *
 *   bench-train [--threads 1,2] [--repeats 5]
 *
 * "products" are the matrix products alone, as training calls them, with all their packing and transposing: forward,
 * input gradients and weight gradients of the matrices that read or write the residual stream. "step" is a whole one:
 * forward, backward, AdamW, packing. Both count 6 operations a matrix weight and token. Every number is a median. */
#include "nibble.h"
#include "train/adamw.h"
#include "train/linear.h"
#include "train/pass.h"

#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 256, N_SEQUENCES = 8, N_TOKENS = LENGTH * N_SEQUENCES, MOST_REPEATS = 101 };

static const nb_hparams shape = {.architecture = "llama",
                                 .n_layers = 5,
                                 .n_embd = 256,
                                 .n_heads = 8,
                                 .n_kv_heads = 4,
                                 .head_size = 32,
                                 .n_rot = 32,
                                 .n_ff = 512,
                                 .n_vocab = 2048,
                                 .n_ctx = LENGTH,
                                 .norm_eps = 1e-5f,
                                 .rope_base = 10000.0,
                                 .rope_scale = 1.0,
                                 .tied = true};

typedef struct bench {
    nb_context *context;
    nb_network *network;
    nb_pass *pass;
    nb_adamw adamw;
    nb_linear_scratch scratch;
    size_t begins[N_SEQUENCES + 1];
    int32_t inputs[N_TOKENS], targets[N_TOKENS];
    double losses[N_TOKENS];
    float *x, *y; /* [N_TOKENS][the widest] */
} bench;

static void start(bench *b, unsigned n_threads)
{
    const nb_context_options options = {.n_threads = n_threads};
    const nb_adamw_options adamw = {0.9, 0.95, 1e-8, 0.1, 1};
    nb_error error;
    nb_random random;
    nb_bench_check(nb_context_create(&options, &b->context, &error), &error);
    nb_bench_check(nb_network_create(b->context, &shape, &b->network, &error), &error);
    nb_bench_check(nb_pass_create(b->network, N_TOKENS, &b->pass, &error), &error);
    nb_bench_check(nb_adamw_create(b->network, &adamw, &b->adamw, &error), &error);
    nb_bench_check(nb_linear_scratch_create(b->network, N_TOKENS, &b->scratch, &error), &error);
    b->x = nb_aligned_calloc(N_TOKENS * (size_t)shape.n_vocab, sizeof(float));
    b->y = nb_aligned_calloc(N_TOKENS * (size_t)shape.n_vocab, sizeof(float));
    if (!b->x || !b->y)
        nb_bench_check(nb_fail(&error, NB_ERR_MEMORY, "no memory to measure with"), &error);
    nb_network_initialise(b->network, 1);
    nb_random_seed(&random, 1);
    for (size_t i = 0; i < N_TOKENS; i++) {
        b->inputs[i] = (int32_t)nb_random_below(&random, shape.n_vocab);
        b->targets[i] = (int32_t)nb_random_below(&random, shape.n_vocab);
    }
    for (size_t i = 0; i <= N_SEQUENCES; i++)
        b->begins[i] = i * LENGTH;
    for (size_t i = 0; i < N_TOKENS * (size_t)shape.n_vocab; i++)
        b->x[i] = (float)(i % 101) / 101.0f;
}

static void stop(bench *b)
{
    nb_aligned_free(b->x);
    nb_aligned_free(b->y);
    nb_linear_scratch_free(&b->scratch);
    nb_adamw_free(&b->adamw);
    nb_pass_destroy(&b->pass);
    nb_network_destroy(&b->network);
    nb_context_destroy(&b->context);
}

static double n_operations(const bench *b)
{
    double n = 0;
    for (size_t i = 0; i < b->network->n_weights; i++)
        if (!b->network->weights[i].shape.is_vector)
            n += (double)b->network->weights[i].shape.n_rows * (double)b->network->weights[i].shape.n_cols;
    return 6 * n * N_TOKENS;
}

static void products(bench *b)
{
    for (size_t i = 0; i < b->network->n_weights; i++) {
        const nb_weight *w = &b->network->weights[i];
        if (w->shape.is_vector)
            continue;
        nb_linear_forward(b->context, w, b->x, N_TOKENS, b->y);
        nb_linear_input_gradient(b->context, w, b->x, N_TOKENS, b->y);
        nb_linear_take_input(b->context, b->x, N_TOKENS, w->shape.n_cols, &b->scratch);
        nb_linear_weight_gradient(b->context, w, b->x, N_TOKENS, &b->scratch);
    }
}

static void step(bench *b)
{
    const nb_sequences sequences = {N_SEQUENCES, N_TOKENS, b->begins, b->inputs, b->targets, NULL};
    nb_pass_run(b->pass, &sequences, 1.0f / N_TOKENS, b->losses);
    nb_adamw_step(&b->adamw, b->network, 1e-4);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(bench *b, void (*run)(bench *), size_t n_repeats)
{
    double seconds[MOST_REPEATS];
    run(b);
    for (size_t i = 0; i < n_repeats; i++) {
        const double began = nb_bench_now();
        run(b);
        seconds[i] = nb_bench_now() - began;
    }
    qsort(seconds, n_repeats, sizeof *seconds, by_size);
    return seconds[n_repeats / 2];
}

static void measure(unsigned n_threads, size_t n_repeats)
{
    static bench b;
    start(&b, n_threads);
    const double peak = nb_measure_fma_peak(b.context), n = n_operations(&b);
    const double of_products = median_seconds(&b, products, n_repeats), of_step = median_seconds(&b, step, n_repeats);
    printf("%7u %11.0f %9.1f %% %9.1f %% %9.0f\n", n_threads, (double)N_TOKENS / of_step, 100 * n / of_products / peak,
           100 * n / of_step / peak, peak * 1e-9);
    fflush(stdout);
    stop(&b);
}

int main(int argc, char **argv)
{
    nb_bench_threads threads = {{1, 2}, 2};
    size_t n_repeats = 5;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--threads") == 0) {
            threads = nb_bench_read_threads(value);
        } else if (strcmp(argv[i], "--repeats") == 0) {
            n_repeats = strtoul(value, NULL, 10);
        } else {
            n_repeats = 0;
        }
    }
    if (threads.n < 1 || n_repeats < 1 || n_repeats > MOST_REPEATS) {
        fprintf(stderr, "usage: bench-train [--threads 1,2] [--repeats 5]\n");
        return 2;
    }
    printf("threads    tokens/s   products       step  peak, Gop/s f32\n");
    for (size_t i = 0; i < threads.n; i++)
        measure(threads.counts[i], n_repeats);
    return 0;
}
