/* Forward and backward of a whole small model, against finite differences, and against the engine. */
#include "tests/support/shapes.h"
#include "train/pass.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 150, N_SEQUENCES = 3 };

static const nb_hparams small = {.architecture = "llama",
                                 .n_layers = 2,
                                 .n_embd = 40,
                                 .n_heads = 4,
                                 .n_kv_heads = 2,
                                 .head_size = 10,
                                 .n_rot = 10,
                                 .n_ff = 56,
                                 .n_vocab = 83,
                                 .n_ctx = 128,
                                 .norm_eps = 1e-5f,
                                 .rope_base = 10000.0,
                                 .rope_scale = 1.0,
                                 .tied = true};

typedef struct fixture {
    nb_context *context;
    nb_network *network;
    nb_pass *pass;
    int32_t inputs[N_TOKENS], targets[N_TOKENS];
    float weights[N_TOKENS]; /* some tokens count four times */
    size_t begins[N_SEQUENCES + 1];
    nb_sequences sequences;
} fixture;

static void start(fixture *f, const nb_hparams *hparams, const char *level, unsigned n_threads)
{
    nb_error error;
    f->context = test_context(level, n_threads);
    assert_int_equal(nb_network_create(f->context, hparams, &f->network, &error), NB_OK);
    assert_int_equal(nb_pass_create(f->network, N_TOKENS, &f->pass, &error), NB_OK);
    nb_random random;
    nb_random_seed(&random, 11);
    for (size_t i = 0; i < f->network->n_weights; i++) {
        const nb_weight *w = &f->network->weights[i];
        const float deviation = w == f->network->token_embd ? 0.5f : w->shape.is_vector ? 0.2f : 0.15f;
        for (size_t k = 0; k < w->shape.n_rows * w->shape.n_cols; k++)
            w->values[k] = (w->shape.is_vector ? 1.0f : 0.0f) + deviation * (float)nb_random_normal(&random);
    }
    nb_network_pack(f->network);
    for (size_t i = 0; i < N_TOKENS; i++) {
        f->inputs[i] = (int32_t)nb_random_below(&random, hparams->n_vocab);
        f->targets[i] = (int32_t)nb_random_below(&random, hparams->n_vocab);
        f->weights[i] = i % 5 == 2 ? 4.0f : 1.0f;
    }
    const size_t begins[N_SEQUENCES + 1] = {0, 1, 113, N_TOKENS};
    memcpy(f->begins, begins, sizeof begins);
    f->sequences = (nb_sequences){N_SEQUENCES, N_TOKENS, f->begins, f->inputs, f->targets, f->weights};
}

static void stop(fixture *f)
{
    nb_pass_destroy(&f->pass);
    nb_network_destroy(&f->network);
    nb_context_destroy(&f->context);
}

static double total_loss(fixture *f)
{
    double losses[N_TOKENS], total = 0;
    nb_network_pack(f->network);
    nb_pass_losses(f->pass, &f->sequences, losses);
    for (size_t i = 0; i < N_TOKENS; i++)
        total += (double)f->weights[i] * losses[i];
    return total;
}

/* The slope along a random direction, tensor by tensor, by central differences of the loss. */
static void check_slopes(const nb_hparams *hparams)
{
    fixture f;
    double losses[N_TOKENS];
    nb_random random;
    start(&f, hparams, NULL, 2);
    nb_pass_run(f.pass, &f.sequences, 1.0f, losses);
    nb_random_seed(&random, 5);
    for (size_t i = 0; i < f.network->n_weights; i++) {
        const nb_weight *w = &f.network->weights[i];
        const size_t n = w->shape.n_rows * w->shape.n_cols;
        float *direction = malloc(n * sizeof *direction), *kept = malloc(n * sizeof *kept);
        memcpy(kept, w->values, n * sizeof *kept);
        double slope = 0, norm = 0;
        for (size_t k = 0; k < n; k++) {
            direction[k] = (float)nb_random_normal(&random) + (w->gradient[k] > 0 ? 1.0f : -1.0f);
            slope += (double)direction[k] * (double)w->gradient[k];
            norm += (double)direction[k] * (double)direction[k];
        }
        const double step = 4e-3 / sqrt(norm);
        double loss[2];
        for (int side = 0; side < 2; side++) {
            for (size_t k = 0; k < n; k++)
                w->values[k] = (float)((double)kept[k] + (side ? step : -step) * (double)direction[k]);
            loss[side] = total_loss(&f);
        }
        memcpy(w->values, kept, n * sizeof *kept);
        const double measured = (loss[1] - loss[0]) / (2 * step);
        if (fabs(measured - slope) > 2e-3 * fabs(slope) + 1e-2)
            fail_msg("%s: slope %.6g, but the loss changes by %.6g", w->shape.name, slope, measured);
        free(direction);
        free(kept);
    }
    stop(&f);
}

static void test_slopes(void **state)
{
    (void)state;
    check_slopes(&small);
    nb_hparams other = small;
    other.tied = false;
    other.n_kv_heads = 4;
    other.head_size = other.n_rot = 16;
    check_slopes(&other);
}

/* Losses and every gradient: the same bits on every level, for 1 to 3 threads. */
static void test_same_bits(void **state)
{
    (void)state;
    fixture first;
    double want[N_TOKENS], got[N_TOKENS];
    start(&first, &small, "scalar", 1);
    nb_pass_run(first.pass, &first.sequences, 0.25f, want);
    for (size_t level = 0; level < nb_kernels_count(); level++)
        for (unsigned n_threads = 1; n_threads <= 3; n_threads++) {
            fixture f;
            if (!test_level(level))
                continue;
            start(&f, &small, test_level(level), n_threads);
            nb_pass_run(f.pass, &f.sequences, 0.25f, got);
            assert_memory_equal(got, want, sizeof want);
            assert_memory_equal(f.network->gradients, first.network->gradients,
                                first.network->n_values * sizeof(float));
            stop(&f);
        }
    stop(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slopes),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
