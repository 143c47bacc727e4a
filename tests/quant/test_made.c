/* What a method made: adopted in one step, run, saved, taken back. */
#include "quant/made.h"

#include "files/gguf.h"
#include "files/load.h"
#include "model/state.h"
#include "quant/transaction.h"
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

static const nb_synthetic small = {.n_layers = 2,
                                   .n_embd = 64,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = 96,
                                   .n_vocab = 262,
                                   .n_ctx = 32,
                                   .tied = true,
                                   .seed = 12};
static const char provenance[] = "GPTQ from calibration.txt (4,096 tokens)";

/* Codes that no rounding gives: the tensor's, turned about their middle. */
static nb_packed *make_codes(const nb_model *model, size_t index, const char *quantizer_text)
{
    const nb_tensor *t = nb_model_tensor(model, index);
    nb_quantizer quantizer;
    nb_packed *packed;
    assert_int_equal(nb_quantizer_parse(quantizer_text, &quantizer, NULL), NB_OK);
    const nb_source source = {t->source_format, t->source, t->n_rows, t->n_cols, NULL, NULL, NULL};
    assert_int_equal(nb_rtn_quantize(model->context, t->name, &source, &quantizer, &packed, NULL, NULL), NB_OK);
    if (quantizer.format->kind != NB_FORMAT_INT)
        return packed;
    const size_t n = NB_ROWS * t->n_cols, n_scales = NB_ROWS * packed->n_scales;
    uint8_t *codes = calloc(n, 1), *zeros = calloc(n_scales, 1);
    float *scales = calloc(n_scales, sizeof *scales);
    assert_true(codes && zeros && scales);
    const uint8_t all = (uint8_t)((1u << quantizer.format->bits) - 1);
    for (size_t group = 0; group < packed->n_row_groups; group++) {
        nb_packed_get_int(packed, group, codes, scales, zeros);
        for (size_t i = 0; i < n; i++)
            codes[i] = (uint8_t)(all - codes[i] + (quantizer.scheme == NB_SCHEME_ABSMAX && codes[i] > 0));
        nb_packed_set_int(packed, group, codes, scales, quantizer.scheme == NB_SCHEME_ABSMAX ? NULL : zeros);
    }
    free(codes);
    free(zeros);
    free(scales);
    return packed;
}

static nb_status adopt(nb_model *model, const char *scope_text, const char *quantizer, nb_tensor_loss *losses,
                       nb_error *error)
{
    nb_scope scope;
    assert_int_equal(nb_scope_resolve(model, scope_text, false, &scope, error), NB_OK);
    nb_packed *made[16];
    assert_true(scope.count <= 16);
    for (size_t i = 0; i < scope.count; i++)
        made[i] = make_codes(model, scope.tensors[i], quantizer);
    const nb_adoption adoption = {.made = made, .provenance = provenance};
    const nb_status status = nb_model_adopt(model, &scope, &adoption, losses, error);
    for (size_t i = 0; i < scope.count; i++)
        assert_null(made[i]);
    nb_scope_free(&scope);
    return status;
}

static const nb_tensor *tensor(const nb_model *model, const char *name)
{
    const long index = nb_model_find_tensor(model, name);
    assert_true(index >= 0);
    return nb_model_tensor(model, (size_t)index);
}

static void made_codes_run_and_go_back(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    const uint64_t original = test_state(model);
    nb_tensor_loss losses[16];
    assert_int_equal(adopt(model, "attention", "int4 zeropoint/group:32", losses, &error), NB_OK);
    const nb_tensor *t = tensor(model, "blk.1.attn_k");
    assert_true(t->changed && t->made && t->packed == t->made->packed);
    assert_string_equal(nb_tensor_provenance(t), provenance);
    assert_true(losses[0].sqnr < 5.0); /* turned about: nothing like the source */
    assert_true(losses[0].sqnr == tensor(model, "blk.0.attn_q")->sqnr);
    assert_int_equal(losses[0].n_bytes_after, nb_tensor_n_bytes(tensor(model, "blk.0.attn_q")));
    const uint64_t made = test_state(model);
    assert_true(made != original);
    /* Rounding over it starts from the source, and undo brings the codes back, which nothing could make again. */
    test_quantize(model, "all", "int4 zeropoint/group:32");
    assert_null(tensor(model, "blk.1.attn_k")->made);
    assert_null(nb_tensor_provenance(tensor(model, "blk.1.attn_k")));
    assert_true(tensor(model, "blk.1.attn_k")->sqnr > 15.0);
    assert_int_equal(adopt(model, "blk.1.attn_k", "int3 absmax/channel", NULL, &error), NB_OK);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_true(test_state(model) == made);
    assert_string_equal(nb_tensor_provenance(tensor(model, "blk.1.attn_k")), provenance);
    nb_scope scope;
    assert_int_equal(nb_scope_resolve(model, "blk.0.attn_q", false, &scope, &error), NB_OK);
    assert_int_equal(nb_model_restore(model, &scope, &error), NB_OK);
    nb_scope_free(&scope);
    assert_false(tensor(model, "blk.0.attn_q")->changed);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_true(test_state(model) == made);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_true(test_state(model) == original);
    assert_null(tensor(model, "blk.1.attn_k")->made);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A model may be let go with made tensors in it and in its steps. */
static void a_model_is_let_go_with_them(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    assert_int_equal(adopt(model, "mlp", "int8 absmax/channel", NULL, &error), NB_OK);
    assert_int_equal(adopt(model, "blk.0.ffn_up", "int2 zeropoint/group:64", NULL, &error), NB_OK);
    test_quantize(model, "blk.1.ffn_up", "q4_0");
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    const uint64_t original = test_state(model);
    nb_scope scope;
    assert_int_equal(nb_scope_resolve(model, "blk.0.attn_q,blk.0.ffn_up", false, &scope, &error), NB_OK);
    nb_packed *made[2] = {make_codes(model, scope.tensors[0], "int8 absmax/channel"),
                          make_codes(model, scope.tensors[0], "int8 absmax/channel")};
    const nb_adoption adoption = {.made = made, .provenance = provenance};
    assert_int_equal(nb_model_adopt(model, &scope, &adoption, NULL, &error), NB_ERR_ARGUMENT);
    assert_string_equal(error.text, "blk.0.ffn_up is 96 x 64, and what was made of it 64 x 64");
    assert_true(!made[0] && !made[1]);
    assert_true(test_state(model) == original);
    assert_int_equal(nb_model_undo_depth(model), 0);
    nb_scope_free(&scope);
    /* A transform could not run the method again. */
    assert_int_equal(adopt(model, "all", "int8 absmax/channel", NULL, &error), NB_OK);
    const uint64_t kept = test_state(model);
    const nb_outlier_options outliers = {.n_channels = 4, .gain = 32, .seed = 1};
    assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, provenance));
    assert_true(test_state(model) == kept);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Change by change: what was replaced runs at once, and a failure takes all of it back. */
static void an_open_transaction_goes_back(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    test_quantize(model, "blk.0.ffn_down", "int4 absmax/group:32");
    assert_int_equal(adopt(model, "blk.0.ffn_up", "int4 absmax/group:32", NULL, &error), NB_OK);
    const uint64_t before = test_state(model);
    static const char *const names[] = {"blk.0.ffn_up", "blk.0.ffn_down", "blk.1.attn_q"};
    for (int fails = 0; fails < 2; fails++) {
        nb_transaction *tx;
        assert_int_equal(nb_transaction_begin(model, "trying", 3, &tx, &error), NB_OK);
        uint64_t last = before;
        for (size_t i = 0; i < 3; i++) {
            const size_t index = (size_t)nb_model_find_tensor(model, names[i]);
            nb_packed *packed = make_codes(model, index, "int3 zeropoint/group:32");
            nb_change change = {.tensor = &model->tensors[index], .quantizer = packed->quantizer, .measured = true};
            assert_int_equal(nb_transaction_make(tx, &packed, provenance, &change.made, &error), NB_OK);
            assert_int_equal(nb_transaction_replace(tx, &change, &error), NB_OK);
            const uint64_t now = test_state(model);
            assert_true(now != last);
            last = now;
        }
        const nb_status status = fails ? NB_ERR_CANCELLED : NB_OK;
        assert_int_equal(nb_transaction_end(&tx, status), status);
        assert_null(tx);
        assert_true(test_state(model) == (fails ? before : last));
        assert_int_equal(nb_model_undo_depth(model), fails ? 2 : 3);
        if (!fails)
            assert_int_equal(nb_model_undo(model, &error), NB_OK);
        assert_true(test_state(model) == before);
    }
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void made_tensors_are_saved_with_where_they_came_from(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"int3 zeropoint/group:32", "q4_0"};
    for (size_t i = 0; i < 2; i++) {
        nb_error error;
        nb_context *context = test_context(NULL, 2);
        nb_model *model = test_model(context, &small, &nb_format_f16);
        assert_int_equal(adopt(model, "attention", quantizers[i], NULL, &error), NB_OK);
        const char *path = temporary_path("made.gguf");
        save_file(model, path);
        nb_model *loaded = load_file(path, NULL);
        int32_t tokens[20];
        test_tokens(model, tokens, 20);
        float *expected = test_logits(model, NB_WEIGHTS_CURRENT, tokens, 20),
              *got = test_logits(loaded, NB_WEIGHTS_CURRENT, tokens, 20);
        assert_memory_equal(expected, got, 20 * small.n_vocab * sizeof *got);
        free(expected);
        free(got);
        assert_string_equal(nb_tensor_provenance(tensor(loaded, "blk.1.attn_output")), provenance);
        assert_null(nb_tensor_provenance(tensor(loaded, "blk.1.ffn_up")));
        /* and once more: it is not forgotten on the way */
        const char *again = temporary_path("again.gguf");
        save_file(loaded, again);
        nb_model_destroy(&loaded);
        loaded = load_file(again, NULL);
        assert_string_equal(nb_tensor_provenance(tensor(loaded, "blk.0.attn_v")), provenance);
        nb_model_destroy(&loaded);
        nb_model_destroy(&model);
        nb_context_destroy(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_codes_run_and_go_back),
        cmocka_unit_test(a_model_is_let_go_with_them),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(an_open_transaction_goes_back),
        cmocka_unit_test(made_tensors_are_saved_with_where_they_came_from),
    };
    return cmocka_run_group_tests(tests, file_context_create, file_context_destroy);
}
