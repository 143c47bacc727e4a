/* Changes to a model are transactions: all or nothing, from the sources, and undo goes back bit for bit. */
#include "tests/support/shapes.h"

#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_TOKENS = 9 };

static const nb_synthetic small = {.n_layers = 2,
                                   .n_embd = 40,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = 72,
                                   .n_vocab = 262,
                                   .n_ctx = 32,
                                   .tied = true,
                                   .seed = 9};
/* 8 MB in f32 with several tensors beyond what a transaction keeps, so that going back must
 * make them again. */
static const nb_synthetic large = {.n_layers = 1,
                                   .n_embd = 512,
                                   .n_heads = 8,
                                   .n_kv_heads = 8,
                                   .n_ff = 1000,
                                   .n_vocab = 4000,
                                   .n_ctx = 16,
                                   .seed = 10};

static nb_status quantize(nb_model *model, const char *scope_text, const char *quantizer_text,
                          nb_error *error)
{
    nb_scope scope;
    nb_quantizer quantizer;
    assert_int_equal(nb_scope_resolve(model, scope_text, false, &scope, error), NB_OK);
    assert_int_equal(nb_quantizer_parse(quantizer_text, &quantizer, error), NB_OK);
    nb_status status = nb_model_quantize(model, &scope, &quantizer, NULL, error);
    nb_scope_free(&scope);
    return status;
}

static nb_status restore(nb_model *model, const char *scope_text, nb_error *error)
{
    nb_scope scope;
    nb_status status = nb_scope_resolve(model, scope_text, false, &scope, error);
    if (status == NB_OK)
        status = nb_model_restore(model, &scope, error);
    nb_scope_free(&scope);
    return status;
}

/* ---- what a change does ---- */

static void test_quantize_fills_in_what_it_did(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    const uint64_t before = nb_model_n_bytes(model);
    assert_int_equal(before, nb_model_source_bytes(model));
    nb_scope scope;
    nb_quantizer quantizer;
    assert_int_equal(nb_scope_resolve(model, "mlp", false, &scope, &error), NB_OK);
    assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &quantizer, &error), NB_OK);
    nb_tensor_loss losses[6];
    assert_int_equal(scope.count, 6);
    assert_int_equal(nb_model_quantize(model, &scope, &quantizer, losses, &error), NB_OK);
    uint64_t saved = 0;
    for (size_t i = 0; i < scope.count; i++) {
        const nb_tensor *t = nb_model_tensor(model, scope.tensors[i]);
        assert_true(t->changed);
        assert_true(nb_quantizer_equal(&t->quantizer, &quantizer));
        /* absmax rounds within a step of max/127: with normal numbers that is 40 dB and a little more */
        assert_true(losses[i].sqnr > 40.0 && losses[i].sqnr < 50.0);
        assert_true(losses[i].sqnr == t->sqnr);
        assert_int_equal(losses[i].n_bytes_after, nb_tensor_n_bytes(t));
        double noise = 0.0, worst = 0.0;
        float source[128], stored[128];
        for (size_t r = 0; r < t->n_rows; r++) {
            nb_tensor_source_row(t, r, source);
            nb_tensor_current_row(t, r, stored);
            for (size_t c = 0; c < t->n_cols; c++) {
                const double e = (double)source[c] - (double)stored[c];
                noise += e * e;
                worst = fmax(worst, fabs(e));
            }
        }
        assert_true(fabs(losses[i].mse * (double)(t->n_rows * t->n_cols) / noise - 1.0) < 1e-9);
        assert_true(losses[i].max_error == worst);
        saved += losses[i].n_bytes_before - losses[i].n_bytes_after;
    }
    assert_int_equal(nb_model_n_bytes(model), before - saved);
    assert_int_equal(nb_model_source_bytes(model), before);
    nb_scope_free(&scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* int4 after int2 is int4 of the original. */
static void test_every_change_starts_from_the_source(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_model *twice = test_model(context, &small, &nb_format_f16),
             *once = test_model(context, &small, &nb_format_f16);
    test_quantize(twice, "all", "int2 absmax/tensor");
    test_quantize(twice, "all", "int4 absmax/group:32");
    test_quantize(once, "all", "int4 absmax/group:32");
    assert_int_equal(test_state(twice), test_state(once));
    nb_model_destroy(&twice);
    nb_model_destroy(&once);
    nb_context_destroy(&context);
}

static void undo_and_restore(const nb_synthetic *shape, const nb_format *format)
{
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, shape, format);
    uint64_t states[5];
    assert_int_equal(nb_model_undo(model, &error), NB_ERR_STATE);
    states[0] = test_state(model);
    test_quantize(model, "all,embeddings,head", "int8 zeropoint/channel");
    states[1] = test_state(model);
    test_quantize(model, "attention,head", "int3 absmax/group:32, f32 activations");
    states[2] = test_state(model);
    assert_int_equal(restore(model, "attention", &error), NB_OK);
    states[3] = test_state(model);
    test_quantize(model, "mlp", "f8_e5m2");
    assert_int_equal(nb_model_undo_depth(model), 4);
    for (size_t i = 4; i-- > 0;) {
        assert_int_equal(nb_model_undo(model, &error), NB_OK);
        assert_int_equal(nb_model_undo_depth(model), i);
        assert_int_equal(test_state(model), states[i]);
    }
    for (size_t i = 1; i < 4; i++)
        assert_int_not_equal(states[i], states[i - 1]);
    assert_int_equal(nb_model_undo(model, &error), NB_ERR_STATE);
    /* Restoring everything is being as loaded; restoring what is restored already is no step. */
    test_quantize(model, "all,embeddings,head", "int5 absmax/tensor");
    assert_int_equal(restore(model, "all,embeddings,head", &error), NB_OK);
    assert_int_equal(test_state(model), states[0]);
    assert_int_equal(nb_model_undo_depth(model), 2);
    assert_int_equal(restore(model, "all", &error), NB_OK);
    assert_int_equal(nb_model_undo_depth(model), 2);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_undo_and_restore(void **state)
{
    (void)state;
    undo_and_restore(&small, &nb_format_f32);
    undo_and_restore(&small, &nb_format_bf16);
    undo_and_restore(&large, &nb_format_f32);
}

/* ---- a change that fails ---- */

/* Asks to stop at the n-th report. */
typedef struct stopper {
    nb_context *context;
    long countdown;
    uint64_t last_done, total;
} stopper;

static void stop_later(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    stopper *s = user;
    assert_non_null(what);
    assert_string_equal(unit, "bytes");
    assert_true(done <= total);
    s->last_done = done;
    s->total = total;
    if (--s->countdown == 0)
        atomic_store(&s->context->cancel, true);
}

static void cancel_everywhere(const nb_synthetic *shape, long step)
{
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, shape, &nb_format_f32);
    test_quantize(model, "mlp", "int6 absmax/channel");
    const uint64_t before = test_state(model);
    stopper s = {.context = context};
    context->progress = stop_later;
    context->progress_user = &s;
    nb_status status = NB_ERR_CANCELLED;
    long n_stops = 0;
    for (long n = 1; status == NB_ERR_CANCELLED; n += step) {
        s.countdown = n;
        status = quantize(model, "all,embeddings,head", "int4 absmax/group:64", &error);
        n_stops += status == NB_ERR_CANCELLED;
        if (status == NB_ERR_CANCELLED) {
            assert_int_equal(test_state(model), before);
            assert_int_equal(nb_model_undo_depth(model), 1);
        }
    }
    assert_int_equal(status, NB_OK);
    assert_true(n_stops > 3);
    assert_int_equal(s.last_done, s.total);
    assert_true(context->progress == stop_later); /* handed back */
    assert_int_equal(nb_model_undo_depth(model), 2);
    context->progress = NULL;
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_int_equal(test_state(model), before);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_cancel_changes_nothing(void **state)
{
    (void)state;
    cancel_everywhere(&small, 1);
    cancel_everywhere(&large, 3);
}

static void test_failing_memory_changes_nothing(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    test_quantize(model, "attention", "int4 zeropoint/channel");
    const uint64_t before = test_state(model);
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status == NB_ERR_MEMORY; n++) {
        nb_error error = {""};
        nb_scope scope;
        const nb_quantizer quantizer = {.format = nb_format_int(5), .scheme = NB_SCHEME_ABSMAX};
        assert_int_equal(nb_scope_resolve(model, "all,head", false, &scope, &error), NB_OK);
        nb_memory_fail_after(n);
        status = nb_model_quantize(model, &scope, &quantizer, NULL, &error);
        nb_memory_fail_after(0);
        nb_scope_free(&scope);
        if (status != NB_OK) {
            assert_int_equal(status, NB_ERR_MEMORY);
            assert_string_not_equal(error.text, "");
            assert_int_equal(test_state(model), before);
            assert_int_equal(nb_model_undo_depth(model), 1);
        }
    }
    assert_int_equal(status, NB_OK);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A NaN in the last tensor of the scope is found when the others have been changed already. */
static void test_nan_changes_nothing(void **state)
{
    (void)state;
    nb_error error;
    nb_synthetic shape = large;
    shape.format = &nb_format_f32;
    const char *path = temporary_path("nan.gguf");
    assert_int_equal(nb_synthetic_write(path, &shape, &error), NB_OK);
    size_t size;
    uint8_t *file = read_whole_file(path, &size);
    nb_gguf *gguf = NULL;
    assert_int_equal(nb_gguf_open(path, &gguf, &error), NB_OK);
    const float nan = NAN;
    memcpy(file + nb_gguf_find_tensor(gguf, "blk.0.ffn_down.weight")->offset + 4 * (3 * large.n_ff + 17),
           &nan, 4);
    nb_gguf_close(&gguf);
    path = temporary_file("nan.gguf", file, size);
    free(file);

    nb_context *context = test_context(NULL, 2);
    nb_model *model = NULL;
    assert_int_equal(nb_model_load(context, path, NULL, &model, &error), NB_OK);
    test_quantize(model, "attention,head", "int8 absmax/channel");
    const uint64_t n_bytes = nb_model_n_bytes(model);
    assert_int_equal(quantize(model, "all,head", "int4 absmax/channel", &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "blk.0.ffn_down"));
    assert_non_null(strstr(error.text, "row 3"));
    assert_int_equal(nb_model_n_bytes(model), n_bytes);
    assert_int_equal(nb_model_undo_depth(model), 1);
    assert_int_equal(
        nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "output"))->quantizer.format->bits, 8);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
    unlink(path);
}

/* The file is cut while it is mapped: a sentence, and nothing half-changed is left that computes nonsense. */
static void test_lost_mapping(void **state)
{
    (void)state;
    nb_error error;
    nb_synthetic shape = large;
    shape.format = &nb_format_f32;
    const char *path = temporary_path("lost.gguf");
    assert_int_equal(nb_synthetic_write(path, &shape, &error), NB_OK);
    nb_context *context = test_context(NULL, 1);
    nb_model *model = NULL;
    assert_int_equal(nb_model_load(context, path, NULL, &model, &error), NB_OK);
    const uint64_t before = test_state(model);
    assert_int_equal(truncate(path, 100000), 0);
    assert_int_equal(quantize(model, "mlp", "int8 absmax/channel", &error), NB_ERR_IO);
    assert_non_null(strstr(error.text, "lost.gguf"));
    assert_int_equal(test_state(model), before); /* what was packed at load is still there */
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    free(test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS));
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* The same, when a tensor too large to be kept was changed before the cut is met: it cannot be taken back, so
 * the model says so instead of running with half of a change. */
static void test_lost_mapping_beyond_repair(void **state)
{
    (void)state;
    nb_error error;
    nb_synthetic shape = large;
    shape.format = &nb_format_f32;
    const char *path = temporary_path("cut.gguf");
    assert_int_equal(nb_synthetic_write(path, &shape, &error), NB_OK);
    nb_context *context = test_context(NULL, 1);
    nb_model *model = NULL;
    assert_int_equal(nb_model_load(context, path, NULL, &model, &error), NB_OK);
    assert_int_equal(nb_model_check(model, &error), NB_OK);
    const nb_tensor *first = nb_model_tensor(model, 0);
    assert_string_equal(first->name, "token_embd");
    nb_gguf *gguf = NULL;
    assert_int_equal(nb_gguf_open(path, &gguf, &error), NB_OK);
    const nb_gguf_tensor *embeddings = nb_gguf_find_tensor(gguf, "token_embd.weight");
    const off_t end = (off_t)(embeddings->offset + embeddings->n_bytes + 8192);
    nb_gguf_close(&gguf);
    assert_int_equal(truncate(path, end), 0);
    assert_int_equal(quantize(model, "embeddings,mlp", "int8 absmax/channel", &error), NB_ERR_IO);
    assert_int_equal(nb_model_check(model, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "load"));
    assert_null(first->packed);
    assert_int_equal(nb_model_save(model, temporary_path("never.gguf"), &error), NB_ERR_STATE);
    float row[512];
    nb_tensor_current_row(first, 5, row);
    assert_true(row[7] == 0.0f);
    const int32_t token = 1;
    const float *logits;
    nb_session *session = NULL;
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
    assert_int_equal(nb_session_eval(session, &token, 1, NB_LOGITS_LAST, &logits, &error), NB_ERR_STATE);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_refusals(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    nb_scope scope = {0};
    nb_quantizer quantizer = {.format = nb_format_int(8), .scheme = NB_SCHEME_ABSMAX};
    assert_int_equal(nb_model_quantize(model, &scope, &quantizer, NULL, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_scope_resolve(model, "output_norm", true, &scope, &error), NB_OK);
    assert_int_equal(nb_model_quantize(model, &scope, &quantizer, NULL, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "output_norm"));
    nb_scope_free(&scope);
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    quantizer.granularity = NB_PER_GROUP;
    quantizer.group = 48;
    assert_int_equal(nb_model_quantize(model, &scope, &quantizer, NULL, &error), NB_ERR_ARGUMENT);
    nb_scope_free(&scope);
    assert_int_equal(nb_model_undo_depth(model), 0);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantize_fills_in_what_it_did),
        cmocka_unit_test(test_every_change_starts_from_the_source),
        cmocka_unit_test(test_undo_and_restore),
        cmocka_unit_test(test_cancel_changes_nothing),
        cmocka_unit_test(test_failing_memory_changes_nothing),
        cmocka_unit_test(test_nan_changes_nothing),
        cmocka_unit_test(test_lost_mapping),
        cmocka_unit_test(test_lost_mapping_beyond_repair),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
