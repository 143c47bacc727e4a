/* GPTQ of whole models: what each matrix reads comes from the quantized ones before it, all of it is one step, and the
 * output is nearer to the original's than round to nearest's. */
#include "quant/gptq_model.h"

#include "model/state.h"
#include "quant/hqq_model.h"
#include "quant/transaction.h"
#include "quant/walk.h"
#include "tests/support/files.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

enum { LENGTH = 40, N_SEQUENCES = 8 };

static const nb_synthetic small = {.n_layers = 2,
                                   .n_embd = 64,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = 96,
                                   .n_vocab = 262,
                                   .n_ctx = 64,
                                   .seed = 21};

static nb_samples make_samples(const nb_model *model)
{
    nb_samples samples = {.tokens = calloc(LENGTH * N_SEQUENCES, sizeof(int32_t)),
                          .begins = calloc(N_SEQUENCES + 1, sizeof(size_t)),
                          .longest = LENGTH,
                          .n_sequences = N_SEQUENCES};
    assert_true(samples.tokens && samples.begins);
    for (size_t i = 0; i <= N_SEQUENCES; i++)
        samples.begins[i] = i * LENGTH;
    for (size_t i = 0; i < LENGTH * N_SEQUENCES; i++)
        samples.tokens[i] = (int32_t)((i * i * 31 + 7 * i) % nb_model_hparams(model)->n_vocab);
    return samples;
}

static nb_status run(nb_model *model, const char *scope_text, const char *quantizer_text, nb_gptq_options options,
                     bool trace, nb_gptq_report *reports, nb_error *error)
{
    nb_scope scope;
    nb_quantizer quantizer;
    nb_samples samples = make_samples(model);
    nb_tensor_loss losses[32];
    assert_int_equal(nb_scope_resolve(model, scope_text, false, &scope, error), NB_OK);
    assert_true(scope.count <= 32);
    assert_int_equal(nb_quantizer_parse(quantizer_text, &quantizer, error), NB_OK);
    const nb_gptq_run what = {.options = options, .samples = &samples, .text_name = "a.txt", .trace = trace};
    const nb_status status = nb_model_gptq(model, &scope, &quantizer, &what, losses, reports, error);
    for (size_t i = 0; status == NB_OK && i < scope.count; i++)
        assert_true(losses[i].sqnr == nb_model_tensor(model, scope.tensors[i])->sqnr);
    nb_samples_free(&samples);
    nb_scope_free(&scope);
    return status;
}

/* How far the logits are from the original's, on the text that was looked at. */
static double distance(nb_model *model)
{
    nb_samples samples = make_samples(model);
    double sum = 0;
    for (size_t s = 0; s < N_SEQUENCES; s++) {
        const int32_t *tokens = samples.tokens + s * LENGTH;
        float *now = test_logits(model, NB_WEIGHTS_CURRENT, tokens, LENGTH),
              *original = test_logits(model, NB_WEIGHTS_ORIGINAL, tokens, LENGTH);
        for (size_t i = 0; i < LENGTH * (size_t)small.n_vocab; i++)
            sum += ((double)now[i] - (double)original[i]) * ((double)now[i] - (double)original[i]);
        free(now);
        free(original);
    }
    nb_samples_free(&samples);
    return sqrt(sum);
}

static const nb_tensor *tensor(const nb_model *model, const char *name)
{
    return nb_model_tensor(model, (size_t)nb_model_find_tensor(model, name));
}

/* One step, whatever the options; undo brings back every bit, and saving and loading keeps them. */
static void it_is_one_step_with_every_option(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"int3 zeropoint/group:32", "int4 absmax/channel", "q4_0"};
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    for (unsigned i = 0; i < 12; i++) {
        nb_model *model = test_model(context, &small, &nb_format_f16);
        const uint64_t before = test_state(model);
        const nb_gptq_options options = {.damp = 0.01, .act_order = i & 1, .static_groups = i & 2};
        if (run(model, "all", quantizers[i / 4], options, false, NULL, &error) != NB_OK)
            fail_msg("%s", error.text);
        assert_int_equal(nb_model_undo_depth(model), 1);
        assert_non_null(strstr(nb_tensor_provenance(tensor(model, "blk.1.ffn_down")), "GPTQ from a.txt (320 tokens"));
        const bool moves = i / 4 != 1 && (i & 3) == 1;
        assert_true((tensor(model, "blk.0.attn_q")->input != NULL) == moves);
        assert_true(tensor(model, "blk.0.attn_q")->input == tensor(model, "blk.0.attn_v")->input);
        const char *path = temporary_path("gptq.gguf");
        save_file(model, path);
        nb_model *loaded = load_file(path, NULL);
        int32_t tokens[LENGTH];
        test_tokens(model, tokens, LENGTH);
        float *expected = test_logits(model, NB_WEIGHTS_CURRENT, tokens, LENGTH),
              *got = test_logits(loaded, NB_WEIGHTS_CURRENT, tokens, LENGTH);
        assert_memory_equal(expected, got, LENGTH * small.n_vocab * sizeof *got);
        free(expected);
        free(got);
        nb_model_destroy(&loaded);
        assert_int_equal(nb_model_undo(model, &error), NB_OK);
        assert_true(test_state(model) == before);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

static void it_is_nearer_than_round_to_nearest(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    test_quantize(model, "all", "int3 zeropoint/group:32");
    const double nearest = distance(model);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    nb_gptq_report reports[32];
    assert_int_equal(run(model, "all", "int3 zeropoint/group:32", (nb_gptq_options){.damp = 0.01}, true, reports, &error),
                     NB_OK);
    assert_true(distance(model) < 0.9 * nearest);
    for (size_t i = 0; i < 14; i++) {
        assert_true(reports[i].result.loss < reports[i].result.nearest_loss);
        assert_int_equal(reports[i].n_tokens, LENGTH * N_SEQUENCES);
    }
    nb_gptq_reports_free(reports, 14);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

typedef struct copy {
    float *rows;
    size_t done, n_cols;
} copy;

static nb_status copy_rows(void *user, const float *x, size_t n_tokens, size_t stride, nb_error *error)
{
    (void)error;
    copy *c = user;
    for (size_t t = 0; t < n_tokens; t++, c->done++)
        memcpy(c->rows + c->done * c->n_cols, x + t * stride, c->n_cols * sizeof *x);
    return NB_OK;
}

/* Walking block by block sees what a session sees, bit for bit, in every architecture's order. */
static void a_walk_sees_what_a_session_multiplies(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    test_quantize(model, "blk.0", "int4 absmax/group:32");
    nb_samples samples = make_samples(model);
    nb_walk *walk;
    assert_int_equal(nb_walk_create(model, &samples, &walk, &error), NB_OK);
    static const char *const names[2][4] = {{"blk.0.attn_k", "blk.0.attn_output", "blk.0.ffn_up", "blk.0.ffn_down"},
                                            {"blk.1.ffn_down", "blk.1.ffn_gate", "blk.1.attn_q", "blk.1.attn_output"}};
    for (size_t layer = 0; layer < 2; layer++) {
        assert_int_equal(nb_walk_layer(walk), layer);
        for (size_t i = 0; i < 4; i++) {
            const nb_tensor *t = tensor(model, names[layer][i]);
            copy c = {calloc(LENGTH * N_SEQUENCES * t->n_cols, sizeof(float)), 0, t->n_cols};
            float *expected = calloc(LENGTH * t->n_cols, sizeof *expected);
            assert_true(c.rows && expected);
            assert_int_equal(nb_walk_look(walk, t, copy_rows, &c, &error), NB_OK);
            assert_int_equal(c.done, LENGTH * N_SEQUENCES);
            for (size_t s = 0; s < N_SEQUENCES; s++) {
                assert_int_equal(nb_activations_collect(model, (size_t)(t - model->tensors), samples.tokens + s * LENGTH,
                                                        LENGTH, expected, &error),
                                 NB_OK);
                assert_memory_equal(expected, c.rows + s * LENGTH * t->n_cols, LENGTH * t->n_cols * sizeof *expected);
            }
            free(c.rows);
            free(expected);
        }
        assert_int_equal(nb_walk_advance(walk, &error), NB_OK);
    }
    nb_walk_destroy(&walk);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A later matrix is made for what the quantized ones before it give, not for what the original ones did. */
static void what_came_before_is_seen(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *alone = test_model(context, &small, &nb_format_f16), *all = test_model(context, &small, &nb_format_f16);
    const nb_gptq_options options = {.damp = 0.01};
    assert_int_equal(run(alone, "blk.1.ffn_down", "int2 zeropoint/group:32", options, false, NULL, &error), NB_OK);
    assert_int_equal(run(all, "all", "int2 zeropoint/group:32", options, false, NULL, &error), NB_OK);
    float a[96], b[96];
    bool same = true;
    for (size_t r = 0; r < 64; r++) {
        nb_tensor_current_row(tensor(alone, "blk.1.ffn_down"), r, a);
        nb_tensor_current_row(tensor(all, "blk.1.ffn_down"), r, b);
        same = same && memcmp(a, b, sizeof a) == 0;
    }
    assert_false(same);
    /* The first matrices see the same in both. */
    nb_model_destroy(&alone);
    alone = test_model(context, &small, &nb_format_f16);
    assert_int_equal(run(alone, "blk.0.attn_q", "int2 zeropoint/group:32", options, false, NULL, &error), NB_OK);
    for (size_t r = 0; r < 64; r++) {
        nb_tensor_current_row(tensor(alone, "blk.0.attn_q"), r, a);
        nb_tensor_current_row(tensor(all, "blk.0.attn_q"), r, b);
        assert_memory_equal(a, b, 64 * sizeof *a);
    }
    nb_model_destroy(&alone);
    nb_model_destroy(&all);
    nb_context_destroy(&context);
}

static void cancel_soon(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    (void)what, (void)total, (void)unit;
    nb_context *context = user;
    if (done >= 5)
        atomic_store(&context->cancel, true);
}

static void refusals_leave_the_model_alone(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    const nb_gptq_options options = {.damp = 0.01};
    const uint64_t before = test_state(model);
    assert_int_equal(run(model, "embeddings", "int4 absmax/channel", options, false, NULL, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "token_embd: its rows are looked up"));
    assert_int_equal(run(model, "all", "f16", options, false, NULL, &error), NB_ERR_ARGUMENT);
    assert_int_equal(run(model, "all", "q4_k", options, false, NULL, &error), NB_ERR_ARGUMENT); /* 64 columns */
    assert_true(test_state(model) == before);
    context->progress = cancel_soon;
    context->progress_user = context;
    assert_int_equal(run(model, "all", "int4 absmax/channel", options, false, NULL, &error), NB_ERR_CANCELLED);
    context->progress = NULL;
    atomic_store(&context->cancel, false);
    assert_true(test_state(model) == before);
    assert_int_equal(nb_model_undo_depth(model), 0);
    /* The head multiplies, so it may. */
    assert_int_equal(run(model, "head", "int4 absmax/channel", options, false, NULL, &error), NB_OK);
    assert_true(tensor(model, "output")->changed);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Rows and activations in a basis of their own. */
static void a_basis_stays(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    nb_scope scope;
    nb_quantizer f16 = {.format = &nb_format_f16}, int4;
    assert_int_equal(nb_quantizer_parse("int4 zeropoint/group:32", &int4, NULL), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "attention", false, &scope, &error), NB_OK);
    nb_transaction *tx;
    assert_int_equal(nb_transaction_begin(model, "turning", scope.count, &tx, &error), NB_OK);
    for (size_t i = 0; i < scope.count; i++) {
        nb_tensor *t = &model->tensors[scope.tensors[i]];
        nb_input *input = nb_input_create(t->n_cols);
        nb_change change = {.tensor = t, .quantizer = f16, .measured = true};
        assert_int_equal(nb_input_set_hadamard(input, 32, 3, &error), NB_OK);
        assert_int_equal(nb_model_keep_input(model, &input, &change.input, &error), NB_OK);
        assert_int_equal(nb_transaction_replace(tx, &change, &error), NB_OK);
    }
    assert_int_equal(nb_transaction_end(&tx, NB_OK), NB_OK);
    const uint64_t turned = test_state(model);
    assert_int_equal(
        run(model, "all", "int4 zeropoint/group:32", (nb_gptq_options){.damp = 0.01, .act_order = true}, false, NULL, &error),
        NB_OK);
    const nb_input *input = tensor(model, "blk.1.attn_k")->input;
    assert_true(input && input->hadamard == 32 && input->order);
    assert_true(tensor(model, "blk.1.attn_k")->sqnr > 15 && tensor(model, "blk.1.ffn_up")->sqnr > 15);
    const double gptq = distance(model);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_true(test_state(model) == turned);
    const nb_hqq_options options = nb_hqq_defaults();
    assert_int_equal(nb_model_hqq(model, &scope, &int4, &options, NULL, &error), NB_OK);
    input = tensor(model, "blk.1.attn_k")->input;
    assert_true(input && input->hadamard == 32 && !input->order);
    assert_true(tensor(model, "blk.1.attn_k")->sqnr > 15);
    assert_true(gptq > 0 && distance(model) > 0);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_true(test_state(model) == turned);
    nb_scope_free(&scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_sees_what_a_session_multiplies),
        cmocka_unit_test(it_is_one_step_with_every_option),
        cmocka_unit_test(it_is_nearer_than_round_to_nearest),
        cmocka_unit_test(what_came_before_is_seen),
        cmocka_unit_test(refusals_leave_the_model_alone),
        cmocka_unit_test(a_basis_stays),
    };
    return cmocka_run_group_tests(tests, file_context_create, file_context_destroy);
}
