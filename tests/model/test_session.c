/* Running models: the bits do not depend on threads, on how a prompt is split, or on the CPU level; sessions
 * refuse what they cannot do and stay usable. */
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_TOKENS = 41 }; /* more than two attention tiles and a remainder, odd */

static const char *const stored_as[] = {
    "f32",
    "f16",
    "bf16",
    "f8_e4m3",
    "int8 absmax/channel",
    "int4 zeropoint/group:32",
    "int3 absmax/tensor",
    "int5 zeropoint/channel, f32 activations",
};
enum { N_STORED = sizeof stored_as / sizeof stored_as[0] };

static void assert_same_floats(const float *a, const float *b, size_t n, const char *what, const char *format)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, %s: number %zu of %zu is %a, not %a", what, format, i, n, (double)b[i],
                     (double)a[i]);
}

/* Logits of the last `n` tokens when the tokens are fed in pieces of `piece`. */
static void feed_in_pieces(nb_session *session, const int32_t *tokens, size_t n, size_t piece, size_t n_vocab,
                           float *out)
{
    nb_error error;
    const float *logits = NULL;
    nb_session_reset(session);
    for (size_t i = 0; i < n; i += piece) {
        const size_t count = nb_min_size(piece, n - i);
        assert_int_equal(nb_session_eval(session, tokens + i, count, NB_LOGITS_ALL, &logits, &error), NB_OK);
        memcpy(out + i * n_vocab, logits, count * n_vocab * sizeof *out);
    }
}

/* On one level and thread count: every format, the prompt whole and in pieces, against `want` if there is
 * one. */
static void run_everything(const char *level, unsigned n_threads, const test_shape *test, float **want)
{
    nb_error error;
    nb_context *context = test_context(level, n_threads);
    nb_model *model = test_model(context, &test->shape, &nb_format_f32);
    const size_t n_vocab = nb_model_hparams(model)->n_vocab;
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    float *got = nb_calloc(N_TOKENS * n_vocab, sizeof *got);
    for (size_t f = 0; f < N_STORED; f++) {
        nb_session *session = NULL;
        test_quantize(model, "all,embeddings,head", stored_as[f]);
        assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
        feed_in_pieces(session, tokens, N_TOKENS, N_TOKENS, n_vocab, got);
        if (!want[f]) {
            want[f] = nb_calloc(N_TOKENS * n_vocab, sizeof **want);
            memcpy(want[f], got, N_TOKENS * n_vocab * sizeof *got);
        }
        assert_same_floats(want[f], got, N_TOKENS * n_vocab, test->label, stored_as[f]);
        feed_in_pieces(session, tokens, N_TOKENS, 1, n_vocab, got);
        assert_same_floats(want[f], got, N_TOKENS * n_vocab, "one by one", stored_as[f]);
        feed_in_pieces(session, tokens, N_TOKENS, 18, n_vocab, got);
        assert_same_floats(want[f], got, N_TOKENS * n_vocab, "by eighteens", stored_as[f]);
        nb_session_destroy(&session);
    }
    free(got);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_bits_are_the_same_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_test_shapes; i++) {
        float *want[N_STORED] = {NULL};
        run_everything("scalar", 1, &test_shapes[i], want);
        run_everything(NULL, 2, &test_shapes[i], want);
        run_everything(NULL, 3, &test_shapes[i], want);
        for (size_t level = 1; level < nb_kernels_count(); level++)
            if (test_level(level))
                run_everything(test_level(level), 1, &test_shapes[i], want);
        for (size_t f = 0; f < N_STORED; f++)
            free(want[f]);
    }
}

/* What is computed for the last token alone is what is computed for it among all. */
static void want_less(const char *level)
{
    nb_error error;
    nb_context *context = test_context(level, 2);
    for (size_t i = 0; i < n_test_shapes; i++) {
        nb_model *model = test_model(context, &test_shapes[i].shape, &nb_format_f16);
        const size_t n_vocab = nb_model_hparams(model)->n_vocab;
        int32_t tokens[N_TOKENS];
        test_tokens(model, tokens, N_TOKENS);
        test_quantize(model, "all,head", "int8 absmax/channel");
        float *want = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
        const float *last = want + (N_TOKENS - 1) * n_vocab, *logits = NULL;
        nb_session *session = NULL;
        assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
        assert_int_equal(nb_session_eval(session, tokens, N_TOKENS, NB_LOGITS_LAST, &logits, &error), NB_OK);
        assert_same_floats(last, logits, n_vocab, test_shapes[i].label, "last");
        nb_session_reset(session);
        assert_int_equal(nb_session_eval(session, tokens, N_TOKENS - 1, NB_LOGITS_NONE, &logits, &error),
                         NB_OK);
        assert_int_equal(nb_session_eval(session, tokens + N_TOKENS - 1, 1, NB_LOGITS_LAST, &logits, &error),
                         NB_OK);
        assert_same_floats(last, logits, n_vocab, test_shapes[i].label, "none, then last");
        nb_session_reset(session);
        assert_int_equal(nb_session_feed(session, tokens, N_TOKENS, &error), NB_OK);
        for (size_t t = 0; t < N_TOKENS; t += 3) {
            const size_t count = nb_min_size(3, N_TOKENS - t);
            assert_int_equal(nb_session_logits(session, t, count, &logits, &error), NB_OK);
            assert_same_floats(want + t * n_vocab, logits, count * n_vocab, test_shapes[i].label,
                               "on demand");
        }
        assert_int_equal(nb_session_logits(session, N_TOKENS, 1, &logits, &error), NB_ERR_ARGUMENT);
        assert_int_equal(nb_session_logits(session, 1, N_TOKENS, &logits, &error), NB_ERR_ARGUMENT);
        nb_session_destroy(&session);
        free(want);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

static void test_wanting_less_changes_nothing(void **state)
{
    (void)state;
    for (size_t level = 0; level < nb_kernels_count(); level++)
        if (test_level(level))
            want_less(test_level(level));
}

/* A session on the originals of a quantized model computes what a freshly loaded one does: tile by tile, and
 * from the cache of whole originals. */
static void test_originals_are_the_originals(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    const nb_format *const sources[] = {&nb_format_f32, &nb_format_f16, &nb_format_bf16};
    for (size_t i = 0; i < n_test_shapes; i++) {
        for (size_t f = 0; f < 3; f++) {
            nb_model *model = test_model(context, &test_shapes[i].shape, sources[f]);
            const size_t n = N_TOKENS * nb_model_hparams(model)->n_vocab;
            int32_t tokens[N_TOKENS];
            test_tokens(model, tokens, N_TOKENS);
            float *want = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
            test_quantize(model, "all,embeddings,head", "int2 absmax/tensor");
            float *changed = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
            assert_memory_not_equal(want, changed, n * sizeof *want);
            float *got = test_logits(model, NB_WEIGHTS_ORIGINAL, tokens, N_TOKENS);
            assert_same_floats(want, got, n, test_shapes[i].label, sources[f]->name);
            free(got);
            free(changed);
            free(want);
            nb_model_destroy(&model);
        }
    }
    nb_context_destroy(&context);
}

/* Matrices of some MiB, so that the originals do not fit the cache and go by tiles, the last of which is
 * short. */
static void test_originals_by_tiles(void **state)
{
    (void)state;
    const nb_synthetic wide = {.n_layers = 1,
                               .n_embd = 1000,
                               .n_heads = 10,
                               .n_kv_heads = 10,
                               .n_ff = 1210,
                               .n_vocab = 1500,
                               .n_ctx = 16,
                               .seed = 5};
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &wide, &nb_format_f32);
    const size_t n = 3 * (size_t)wide.n_vocab;
    int32_t tokens[3];
    test_tokens(model, tokens, 3);
    float *want = test_logits(model, NB_WEIGHTS_CURRENT, tokens, 3);
    test_quantize(model, "all,embeddings,head", "int4 absmax/group:64");
    float *got = test_logits(model, NB_WEIGHTS_ORIGINAL, tokens, 3);
    assert_same_floats(want, got, n, "tiles", "f32");
    free(want);
    free(got);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_refusals(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    const float *logits = NULL;
    nb_session *session = NULL;
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 2000000, &session, &error),
                     NB_ERR_ARGUMENT);
    assert_null(session);
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, N_TOKENS, &session, &error), NB_OK);
    assert_int_equal(nb_session_n_ctx(session), N_TOKENS);
    assert_int_equal(nb_session_eval(session, tokens, 0, NB_LOGITS_LAST, &logits, &error), NB_ERR_ARGUMENT);
    const int32_t strangers[] = {-1, (int32_t)nb_model_hparams(model)->n_vocab, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(nb_session_eval(session, &strangers[i], 1, NB_LOGITS_LAST, &logits, &error),
                         NB_ERR_ARGUMENT);
    assert_int_equal(nb_session_eval(session, tokens, N_TOKENS - 1, NB_LOGITS_LAST, &logits, &error), NB_OK);
    assert_int_equal(nb_session_eval(session, tokens, 2, NB_LOGITS_LAST, &logits, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "context"));
    assert_int_equal(nb_session_position(session), N_TOKENS - 1);
    test_quantize(model, "mlp", "int8 absmax/channel");
    assert_int_equal(nb_session_eval(session, tokens, 1, NB_LOGITS_LAST, &logits, &error), NB_ERR_STATE);
    nb_session_reset(session);
    assert_int_equal(nb_session_eval(session, tokens, 1, NB_LOGITS_LAST, &logits, &error), NB_OK);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A wish to stop that comes while a long prompt is read. */
static void test_cancel(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_synthetic shape = test_shapes[0].shape;
    shape.n_ctx = 2048;
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    enum { LONG = 1500 };
    static int32_t tokens[LONG];
    test_tokens(model, tokens, LONG);
    const float *logits = NULL;
    nb_session *session = NULL;
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
    assert_true(nb_session_batch(session) < LONG);
    assert_int_equal(nb_session_eval(session, tokens, 5, NB_LOGITS_NONE, &logits, &error), NB_OK);
    atomic_store(&context->cancel, true);
    assert_int_equal(nb_session_eval(session, tokens + 5, LONG - 5, NB_LOGITS_LAST, &logits, &error),
                     NB_ERR_CANCELLED);
    assert_int_equal(nb_session_position(session), 5);
    assert_int_equal(nb_session_eval(session, tokens + 5, LONG - 5, NB_LOGITS_LAST, &logits, &error), NB_OK);
    float *want = nb_calloc(shape.n_vocab, sizeof *want);
    memcpy(want, logits, shape.n_vocab * sizeof *want);
    nb_session_reset(session);
    assert_int_equal(nb_session_eval(session, tokens, LONG, NB_LOGITS_LAST, &logits, &error), NB_OK);
    assert_same_floats(want, logits, shape.n_vocab, "after a cancelled prompt", "f32");
    free(want);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Every allocation of a session's life fails once; each time there is a sentence and nothing leaks. */
static void test_memory_runs_out(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    test_quantize(model, "attention", "int4 absmax/group:32");
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    bool finished = false;
    for (long n = 1; !finished; n++) {
        nb_error error = {""};
        nb_session *session = NULL;
        const float *logits;
        nb_memory_fail_after(n);
        nb_status status = nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error);
        if (status == NB_OK)
            status = nb_session_eval(session, tokens, N_TOKENS, NB_LOGITS_ALL, &logits, &error);
        nb_memory_fail_after(0);
        finished = status == NB_OK;
        if (!finished) {
            assert_int_equal(status, NB_ERR_MEMORY);
            assert_string_not_equal(error.text, "");
        }
        nb_session_destroy(&session);
        assert_true(n < 100);
    }
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_are_the_same_everywhere),
        cmocka_unit_test(test_wanting_less_changes_nothing),
        cmocka_unit_test(test_originals_are_the_originals),
        cmocka_unit_test(test_originals_by_tiles),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
