/* Layer-by-layer distillation: blocks learn, nothing else moves. */
#include "model/session.h"
#include "tests/support/transforms.h"
#include "train/pass.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_TAUGHT = TEST_TEXT_BYTES - 40 }; /* of the text; the rest is asked */

static nb_status try_distill(nb_model *model, const char *scope_text, const char *quantizer, size_t n_steps,
                             nb_distilled *blocks, nb_error *error)
{
    nb_distill_options options = {.n_steps = n_steps, .n_sequences = 10, .rate = 0.02};
    nb_distilled some[4];
    nb_scope scope;
    nb_samples samples;
    assert_int_equal(nb_samples_create(model, test_text(), N_TAUGHT, 0, &samples, error), NB_OK);
    assert_int_equal(nb_quantizer_parse(quantizer, &options.quantizer, error), NB_OK);
    assert_int_equal(nb_scope_resolve(model, scope_text, false, &scope, error), NB_OK);
    const nb_status status = nb_model_distill(model, &scope, &samples, &options, "words.txt", blocks ? blocks : some,
                                              NULL, error);
    nb_scope_free(&scope);
    nb_samples_free(&samples);
    return status;
}

static void distill(nb_model *model, const char *scope, const char *quantizer, size_t n_steps, nb_distilled *blocks)
{
    nb_error error = {""};
    if (try_distill(model, scope, quantizer, n_steps, blocks, &error) != NB_OK)
        fail_msg("%s", error.text);
}

/* A block in training makes what it makes in the engine. */
static void a_block_alone_is_the_engines(void **state)
{
    (void)state;
    enum { LENGTH = 20, N = 48 };
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_network *network;
    nb_pass *pass;
    nb_session *session;
    float x[LENGTH * N], y[LENGTH * N];
    nb_random random;
    nb_random_seed(&random, 1);
    for (size_t i = 0; i < LENGTH * N; i++)
        x[i] = (float)nb_random_normal(&random);
    assert_int_equal(nb_network_create(context, nb_model_hparams(model), &network, &error), NB_OK);
    for (size_t i = 0; i < network->n_weights; i++) {
        const nb_tensor *t = test_tensor(model, network->weights[i].shape.name);
        for (size_t r = 0; r < t->n_rows; r++)
            nb_tensor_source_row(t, r, network->weights[i].values + r * t->n_cols);
    }
    nb_network_pack(network);
    assert_int_equal(nb_pass_create(network, LENGTH, &pass, &error), NB_OK);
    const size_t begins[] = {0, LENGTH};
    const nb_sequences sequences = {.n_sequences = 1, .n_tokens = LENGTH, .begins = begins};
    nb_pass_block_forward(pass, 1, &sequences, x, y);
    assert_int_equal(nb_session_create_within(model, NB_WEIGHTS_CURRENT, LENGTH, SIZE_MAX / 2, &session, &error), NB_OK);
    nb_session_put_rows(session, x, LENGTH);
    assert_int_equal(nb_block_run(session, 1, NB_LOGITS_ALL, &error), NB_OK);
    assert_memory_equal(session->x, y, sizeof y);
    nb_session_destroy(&session);
    nb_pass_destroy(&pass);
    nb_network_destroy(&network);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* The outputs of a block of the engine: y[n][n_embd]. */
static void run_block(nb_model *model, nb_weights weights, size_t layer, const float *x, size_t n, float *y)
{
    nb_session *session;
    nb_error error = {""};
    assert_int_equal(nb_session_create_within(model, weights, n, SIZE_MAX / 2, &session, &error), NB_OK);
    nb_session_put_rows(session, x, n);
    assert_int_equal(nb_block_run(session, layer, NB_LOGITS_ALL, &error), NB_OK);
    memcpy(y, session->x, n * nb_model_hparams(model)->n_embd * sizeof *y);
    nb_session_destroy(&session);
}

static double mean_square(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum / (double)n;
}

/* What is said of a block is what the engine then makes of it: with the activations, too, that it rounds. */
static void errors_are_the_engines(void **state)
{
    (void)state;
    static const char *const scopes[] = {"all", "mlp", "blk.0.attn_output,blk.1.attn_output", "blk.0.attn_q"};
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_samples samples = test_samples(model, 40);
    assert_int_equal(samples.n_sequences, 1);
    const size_t n = nb_samples_n_tokens(&samples) * nb_model_hparams(model)->n_embd;
    float *x = nb_calloc(n, sizeof *x), *y = nb_calloc(n, sizeof *y), *target = nb_calloc(n, sizeof *target);
    nb_session *session;
    assert_int_equal(nb_session_create_within(model, NB_WEIGHTS_ORIGINAL, 64, SIZE_MAX / 2, &session, &error), NB_OK);
    nb_samples_embed(&samples, session, x);
    nb_session_destroy(&session);
    run_block(model, NB_WEIGHTS_ORIGINAL, 0, x, samples.begins[1], target);
    for (int i = 0; i < 8; i++) {
        nb_distill_options options = {.n_steps = 6, .n_sequences = 1, .rate = 0.02, .tokens = i % 2};
        nb_distilled blocks[2];
        nb_scope scope;
        assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &options.quantizer, &error), NB_OK);
        assert_int_equal(nb_scope_resolve(model, scopes[i / 2], false, &scope, &error), NB_OK);
        assert_int_equal(nb_model_distill(model, &scope, &samples, &options, "t", blocks, NULL, &error), NB_OK);
        run_block(model, NB_WEIGHTS_CURRENT, 0, x, samples.begins[1], y);
        const double measured = mean_square(y, target, n);
        /* matrices that read what others read exactly are the exception */
        const bool alone = strcmp(scopes[i / 2], "blk.0.attn_q") == 0;
        if (alone ? !(measured > 1.1 * blocks[0].taught) : !(fabs(measured / blocks[0].taught - 1) < 0.001))
            fail_msg("%s, %d: %g taught, %g measured", scopes[i / 2], i % 2, blocks[0].taught, measured);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        nb_scope_free(&scope);
    }
    free(x);
    free(y);
    free(target);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* The logits of what was not taught. */
static float *ask(nb_model *model)
{
    nb_error error = {""};
    nb_samples samples;
    assert_int_equal(nb_samples_create(model, test_text() + N_TAUGHT, TEST_TEXT_BYTES - N_TAUGHT, 0, &samples, &error), NB_OK);
    assert_int_equal(samples.begins[1], 40);
    float *logits = test_logits(model, NB_WEIGHTS_CURRENT, samples.tokens, 40);
    nb_samples_free(&samples);
    return logits;
}

static double logit_error(nb_model *model, const float *before)
{
    const size_t n = 40 * (size_t)nb_model_hparams(model)->n_vocab;
    float *after = ask(model);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)after[i] - (double)before[i]) * ((double)after[i] - (double)before[i]);
    free(after);
    return sum / (double)n;
}

static void blocks_learn(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"int3 absmax/group:32, f32 activations", "int4 zeropoint/channel, f32 activations"};
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    for (size_t q = 0; q < 2; q++) {
        nb_model *model = test_model(context, &shape, &nb_format_f16);
        float *before = test_probe(model, NB_WEIGHTS_CURRENT), *expected = ask(model);
        const uint64_t untouched = test_state(model);
        test_quantize(model, "all", quantizers[q]);
        const double rounded = logit_error(model, expected);
        float *nearest = test_probe(model, NB_WEIGHTS_CURRENT);
        nb_distilled blocks[2];
        distill(model, "all", quantizers[q], 150, blocks);
        for (size_t i = 0; i < 2; i++)
            if (!(blocks[i].rounded > 0 && blocks[i].taught < 0.8 * blocks[i].rounded))
                fail_msg("block %zu: %g rounded, %g taught", i, blocks[i].rounded, blocks[i].taught);
        const double taught = logit_error(model, expected);
        if (!(taught < 0.9 * rounded))
            fail_msg("%g rounded, %g taught", rounded, taught);
        assert_true(test_moved(model, NB_WEIGHTS_ORIGINAL, before) == 0);
        const char *made = nb_tensor_provenance(test_tensor(model, "blk.1.attn_v"));
        assert_memory_equal(made, "layer-by-layer distillation from words.txt (2,960 tokens, digest ", 65);
        assert_string_equal(made + 65 + 8, ", 150 steps)");
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        /* without steps it is round to nearest */
        distill(model, "all", quantizers[q], 0, blocks);
        assert_true(blocks[0].taught == blocks[0].rounded);
        assert_true(test_moved(model, NB_WEIGHTS_CURRENT, nearest) == 0);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(test_state(model), untouched);
        free(before);
        free(nearest);
        free(expected);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

static void distill_a_block(nb_model *model)
{
    distill(model, "blk.1", "int4 absmax/group:32", 4, NULL);
    assert_false(test_tensor(model, "blk.0.attn_q")->changed);
}

static void bits_are_the_same_everywhere(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    test_same_everywhere(&shape, &nb_format_f32, 2, distill_a_block);
}

static void trouble_changes_nothing(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const uint64_t before = test_state(model);
    for (long n = 1; n < 30; n += 3) {
        test_cancel_after(context, n);
        const nb_status status = try_distill(model, "mlp", "int4 absmax/channel", 5, NULL, &error);
        test_cancel_after(context, 0);
        if (status == NB_OK)
            assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        else
            assert_int_equal(status, NB_ERR_CANCELLED);
        assert_int_equal(test_state(model), before);
    }
    nb_samples samples = test_samples(model, 80);
    nb_distill_options options = {.n_steps = 2, .n_sequences = 1, .rate = 0.01, .tokens = true};
    nb_distilled blocks[2];
    nb_scope scope;
    nb_status status = NB_ERR_MEMORY;
    assert_int_equal(nb_quantizer_parse("int4 absmax/channel", &options.quantizer, &error), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "attention", false, &scope, &error), NB_OK);
    for (long n = 1; status != NB_OK; n += n < 60 ? 1 : 17) {
        nb_memory_fail_after(n);
        status = nb_model_distill(model, &scope, &samples, &options, "t", blocks, NULL, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || status == NB_ERR_MEMORY);
        if (status != NB_OK)
            assert_int_equal(test_state(model), before);
    }
    assert_int_equal(test_tensor(model, "blk.0.attn_q")->input->scaling, NB_INPUT_TOKENS);
    nb_scope_free(&scope);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    const nb_synthetic other = test_shape_of(&nb_architecture_gpt2);
    model = test_model(context, &other, &nb_format_f32);
    assert_int_equal(try_distill(model, "all", "int4 absmax/channel", 2, NULL, &error), NB_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "llama"));
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_alone_is_the_engines),
        cmocka_unit_test(errors_are_the_engines), cmocka_unit_test(blocks_learn),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(trouble_changes_nothing),
    };
    return cmocka_run_group_tests_name("distillation", tests, NULL, NULL);
}
