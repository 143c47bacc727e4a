/* The arithmetic of shares: bytes and operations of a model small enough to count by hand. */
#include "eval/bench.h"
#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { E = 32, FF = 48, KV = 16, V = 272, N = 20 };

static const nb_synthetic shape = {.n_layers = 3,
                                   .n_embd = E,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = FF,
                                   .n_vocab = V,
                                   .n_ctx = 16, /* a longer prompt is no hindrance */
                                   .seed = 1};

static nb_bench bench(nb_model *model)
{
    nb_error error;
    nb_bench result;
    const nb_bench_options options = {
        .n_prompt = N, .n_generate = 4, .n_repeats = 3, .fma_peak = 1e9, .int8_peak = 4e9};
    if (nb_bench_model(model, &options, &result, &error) != NB_OK)
        fail_msg("%s", error.text);
    return result;
}

/* Per token and block: q, k, v, output, gate, up, down. Of the last block, all tokens need k and v, the last
 * one the rest; the head runs once. */
static const double kv = 2.0 * 2 * E * KV, others = 2.0 * (2 * E * E + 3 * E * FF), head = 2.0 * E * V;
static const double matmuls = N * 2 * (kv + others) + N * kv + others + head;
/* 4 operations for each query, key it sees and dimension; of the last block one query. */
static const double attention = 4.0 * E * (2 * (N * (N + 1) / 2) + N);

static void test_operations_and_bytes(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_bench b = bench(model);
    assert_true(b.float_operations == matmuls + attention);
    assert_true(b.int_operations == 0.0);
    assert_int_equal(b.decode_bytes, 4 * (3 * (2 * E * E + 2 * E * KV + 3 * E * FF) + E * V));
    test_quantize(model, "all,head", "int8 absmax/channel");
    b = bench(model);
    assert_true(b.int_operations == matmuls);
    assert_true(b.float_operations == attention);
    test_quantize(model, "head", "int8 absmax/channel, f32 activations");
    b = bench(model);
    assert_true(b.int_operations == matmuls - head);
    assert_true(b.float_operations == attention + head);
    assert_int_equal(b.n_prompt, N);
    assert_int_equal(b.n_threads, 1);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_shares_follow_from_rates(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f16);
    const nb_bench b = bench(model);
    assert_true(b.decode_rate > 0.0 && b.prefill_rate > 0.0 && b.bandwidth > 0.0);
    assert_true(b.fma_peak == 1e9 && b.int8_peak == 4e9);
    const double seconds = N / b.prefill_rate;
    assert_true(fabs(b.prefill_share * seconds / (b.float_operations / 1e9) - 1.0) < 1e-9);
    assert_true(fabs(b.decode_share * b.bandwidth / (b.decode_rate * (double)b.decode_bytes) - 1.0) < 1e-9);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_stopping(void **state)
{
    (void)state;
    nb_error error;
    nb_bench result;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const nb_bench_options options = {.n_prompt = 4, .fma_peak = 1e9, .int8_peak = 4e9};
    atomic_store(&context->cancel, true);
    assert_int_equal(nb_bench_model(model, &options, &result, &error), NB_ERR_CANCELLED);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations_and_bytes),
        cmocka_unit_test(test_shares_follow_from_rates),
        cmocka_unit_test(test_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
