#include "tests/support/shapes.h"

#include "model/state.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

const test_shape test_shapes[] = {
    {"heads of 8, shared by two, rows of 64 and 172",
     {.n_layers = 3,
      .n_embd = 64,
      .n_heads = 8,
      .n_kv_heads = 4,
      .n_ff = 172,
      .n_vocab = 300,
      .n_ctx = 96,
      .tied = true,
      .seed = 1}},
    {"heads of 48, RoPE factors",
     {.n_layers = 2,
      .n_embd = 96,
      .n_heads = 2,
      .n_kv_heads = 2,
      .n_ff = 100,
      .n_vocab = 261,
      .n_ctx = 80,
      .rope_factors = true,
      .seed = 2}},
    {"one KV head, heads wider than the embedding",
     {.n_layers = 2,
      .n_embd = 72,
      .n_heads = 5,
      .n_kv_heads = 1,
      .head_size = 24,
      .n_ff = 33,
      .n_vocab = 259,
      .n_ctx = 64,
      .seed = 3}},
    {"one block, one head",
     {.n_layers = 1,
      .n_embd = 16,
      .n_heads = 1,
      .n_kv_heads = 1,
      .n_ff = 40,
      .n_vocab = 270,
      .n_ctx = 48,
      .tied = true,
      .rope_factors = true,
      .seed = 4}},
};
const size_t n_test_shapes = sizeof test_shapes / sizeof test_shapes[0];

static void check(nb_status status, const nb_error *error)
{
    if (status != NB_OK)
        fail_msg("%s", error->text);
}

nb_context *test_context(const char *level, unsigned n_threads)
{
    nb_error error;
    nb_context *context = NULL;
    const nb_context_options options = {.n_threads = n_threads, .level = level};
    check(nb_context_create(&options, &context, &error), &error);
    return context;
}

const char *test_level(size_t index)
{
    const nb_kernels *kernels = nb_kernels_at(index);
    return (kernels->needs & ~nb_cpu_features()) == 0 ? kernels->name : NULL;
}

nb_model *test_model(nb_context *context, const nb_synthetic *shape, const nb_format *format)
{
    nb_error error;
    nb_synthetic wanted = *shape;
    wanted.format = format;
    const char *path = temporary_path("model.gguf");
    nb_model *model = NULL;
    check(nb_synthetic_write(path, &wanted, &error), &error);
    check(nb_model_load(context, path, NULL, &model, &error), &error);
    unlink(path);
    return model;
}

void test_tokens(const nb_model *model, int32_t *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tokens[i] = (int32_t)((i * 7919 + 13) % nb_model_hparams(model)->n_vocab);
}

void test_quantize(nb_model *model, const char *scope_text, const char *quantizer_text)
{
    nb_error error;
    nb_scope scope;
    nb_quantizer quantizer;
    check(nb_scope_resolve(model, scope_text, false, &scope, &error), &error);
    check(nb_quantizer_parse(quantizer_text, &quantizer, &error), &error);
    check(nb_model_quantize(model, &scope, &quantizer, NULL, &error), &error);
    nb_scope_free(&scope);
}

float *test_logits(nb_model *model, nb_weights weights, const int32_t *tokens, size_t n)
{
    nb_error error;
    nb_session *session = NULL;
    const float *logits = NULL;
    const size_t count = n * nb_model_hparams(model)->n_vocab;
    float *copy = nb_calloc(count, sizeof *copy);
    check(nb_session_create(model, weights, 0, &session, &error), &error);
    check(nb_session_eval(session, tokens, n, NB_LOGITS_ALL, &logits, &error), &error);
    memcpy(copy, logits, count * sizeof *copy);
    nb_session_destroy(&session);
    return copy;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t test_state(nb_model *model)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        char stored[80];
        float *row = calloc(t->n_cols, sizeof *row);
        for (size_t r = 0; r < t->n_rows; r++) {
            nb_tensor_current_row(t, r, row);
            hash = hash_bytes(hash, row, t->n_cols * sizeof *row);
        }
        free(row);
        const size_t n_transforms = nb_transform_count(t->transforms);
        hash = hash_bytes(hash, &n_transforms, sizeof n_transforms);
        if (t->is_vector)
            continue;
        nb_quantizer_describe(&t->quantizer, stored, sizeof stored);
        hash = hash_bytes(hash, stored, strlen(stored));
        hash = hash_bytes(hash, &t->changed, sizeof t->changed);
        hash = hash_bytes(hash, &t->sqnr, isnan(t->sqnr) ? 0 : sizeof t->sqnr);
        const uint64_t n_bytes = nb_tensor_n_bytes(t);
        hash = hash_bytes(hash, &n_bytes, sizeof n_bytes);
    }
    enum { N_TOKENS = 9 };
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    float *logits = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
    hash = hash_bytes(hash, logits, N_TOKENS * nb_model_hparams(model)->n_vocab * sizeof *logits);
    free(logits);
    return hash;
}

void test_same_everywhere(const nb_synthetic *shape, const nb_format *format, unsigned n_threads,
                          void (*change)(nb_model *model))
{
    uint64_t first = 0;
    for (size_t level = 0; level < nb_kernels_count(); level++) {
        for (unsigned threads = 1; test_level(level) && threads <= n_threads; threads++) {
            nb_context *context = test_context(test_level(level), threads);
            nb_model *model = test_model(context, shape, format);
            change(model);
            first = first ? first : test_state(model);
            assert_int_equal(test_state(model), first);
            nb_model_destroy(&model);
            nb_context_destroy(&context);
        }
    }
}

/* ---- Ctrl-C ---- */

static long reports_left;

static void count_down(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    (void)what, (void)unit;
    assert_true(done <= total);
    if (--reports_left == 0)
        atomic_store(&((nb_context *)user)->cancel, true);
}

void test_cancel_after(nb_context *context, long n)
{
    reports_left = n;
    context->progress = n ? count_down : NULL;
    context->progress_user = context;
    if (!n)
        atomic_store(&context->cancel, false);
}

static void check_untouched(nb_model *model, uint64_t state, size_t n_undo, size_t n_inputs)
{
    assert_int_equal(nb_model_undo_depth(model), n_undo);
    assert_int_equal(model->n_inputs, n_inputs);
    assert_null(model->observe);
    assert_true(test_state(model) == state);
}

long test_cancel_everywhere(nb_model *model, test_work *work, void *user, long step, size_t n_undo)
{
    nb_context *context = nb_model_context(model);
    const uint64_t state = test_state(model);
    const size_t depth = nb_model_undo_depth(model), n_inputs = model->n_inputs;
    for (long n = 1, n_stops = 0;; n += step, n_stops++) {
        nb_error error = {""};
        test_cancel_after(context, n);
        const nb_status status = work(model, user, &error);
        assert_true(context->progress == count_down); /* handed back, if it was put aside */
        assert_false(status != NB_OK && atomic_load(&context->cancel));
        test_cancel_after(context, 0);
        if (status == NB_OK) {
            assert_int_equal(nb_model_undo_depth(model), depth + n_undo);
            if (n_undo)
                check(nb_model_undo(model, &error), &error);
            check_untouched(model, state, depth, n_inputs);
            return n_stops;
        }
        if (status != NB_ERR_CANCELLED)
            fail_msg("stopped at report %ld: %s", n, error.text);
        check_untouched(model, state, depth, n_inputs);
    }
}
