/* AWQ: the search on the paper's formula, the groups of every architecture, and that the function stays. */
#include "quant/rewrite.h"
#include "tests/support/temporary.h"
#include "tests/support/transforms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_quantizer quantizer_of(const char *text)
{
    nb_quantizer quantizer;
    nb_error error = {""};
    if (nb_quantizer_parse(text, &quantizer, &error) != NB_OK)
        fail_msg("%s", error.text);
    return quantizer;
}

static nb_status try_scale(nb_model *model, const char *scope_text, const char *quantizer, bool duo, nb_awq_group *groups,
                           size_t *n_groups, nb_error *error)
{
    const nb_awq_options options = {quantizer_of(quantizer), duo};
    nb_awq_group some[8];
    size_t n = 0;
    nb_scope scope;
    nb_samples samples = test_samples(model, 400);
    assert_int_equal(nb_scope_resolve(model, scope_text, false, &scope, error), NB_OK);
    assert_true(nb_awq_group_count(model) <= 8);
    const nb_status status = nb_model_awq_scale(model, &scope, &samples, &options, groups ? groups : some, &n, error);
    if (n_groups)
        *n_groups = n;
    nb_scope_free(&scope);
    nb_samples_free(&samples);
    return status;
}

static void scale(nb_model *model, const char *scope, const char *quantizer, bool duo, nb_awq_group *groups, size_t *n)
{
    nb_error error = {""};
    if (try_scale(model, scope, quantizer, duo, groups, n, &error) != NB_OK)
        fail_msg("%s", error.text);
}

/* ---- the search ---- */

typedef struct small_layer {
    nb_context *context;
    const float *w, *x; /* [2][4] each */
    unsigned n_calls;
} small_layer;

/* Mean square error of the outputs of W s, quantized to 4 bits, for x / s. */
static nb_status lose(void *user, const float *scales, double *loss, nb_error *error)
{
    small_layer *l = user;
    const nb_quantizer quantizer = quantizer_of("int4 zeropoint/channel, f32 scales");
    const nb_transform scaled = {.columns = (float *)(uintptr_t)scales};
    const nb_source source = {.format = &nb_format_f32, .data = l->w, .n_rows = 2, .n_cols = 4, .transforms = &scaled};
    nb_packed *packed;
    nb_status status = nb_rtn_quantize(l->context, "w", &source, &quantizer, &packed, NULL, error);
    if (status != NB_OK)
        return status;
    *loss = 0;
    for (size_t r = 0; r < 2; r++) {
        float row[4];
        nb_packed_decode_row(packed, r, row);
        for (size_t t = 0; t < 2; t++) {
            double d = 0;
            for (size_t c = 0; c < 4; c++)
                d += ((double)row[c] / (double)scales[c] - (double)l->w[r * 4 + c]) * (double)l->x[t * 4 + c];
            *loss += d * d / 4;
        }
    }
    nb_packed_destroy(&packed);
    l->n_calls++;
    return NB_OK;
}

static void search_finds_the_published_factors(void **state)
{
    (void)state;
    static const float w[] = {0.5f, -1, 0.25f, 0.75f, 1, 0.1f, -0.6f, 0.2f};
    static const float x[] = {4, 0.1f, 0.5f, 0.2f, -6, 0.2f, 0.4f, -0.3f};
    static const float x_mean[] = {5, 0.15f, 0.45f, 0.25f}, expected[] = {4.0658514f, 0.2459509f, 0.5923051f, 0.3701072f};
    small_layer layer = {test_context(NULL, 1), w, x, 0};
    float scales[4];
    nb_awq_choice choice;
    nb_error error = {""};
    assert_int_equal(nb_awq_search(x_mean, NULL, 4, lose, &layer, scales, &choice, &error), NB_OK);
    assert_int_equal(layer.n_calls, NB_AWQ_STEPS);
    assert_int_equal(choice.step, 16);
    assert_float_equal(choice.rounded, 0.03602003, 1e-7);
    assert_float_equal(choice.scaled, 0.0020342289, 1e-7);
    for (size_t i = 0; i < 4; i++)
        assert_float_equal(scales[i], expected[i], 1e-6);
    nb_context_destroy(&layer.context);
}

static void factors_are_what_the_formula_says(void **state)
{
    (void)state;
    const float x[] = {4, 1, 0.25f}, w[] = {0.5f, 0.5f, 0.25f};
    float s[3];
    nb_awq_scales(x, NULL, 3, 0.5, s); /* 2, 1, .5 over sqrt(2 * .5) */
    assert_float_equal(s[0], 2, 1e-6);
    assert_float_equal(s[1], 1, 1e-6);
    assert_float_equal(s[2], 0.5, 1e-6);
    nb_awq_scales(x, w, 3, 0.5, s); /* 2 / (sqrt(.5) + 1e-4), ... */
    const double a[] = {2 / (sqrt(0.5) + 1e-4), 1 / (sqrt(0.5) + 1e-4), 0.5 / (0.5 + 1e-4)};
    for (size_t i = 0; i < 3; i++)
        assert_float_equal(s[i], a[i] / sqrt(a[0] * a[2]), 1e-5);
    nb_awq_scales(x, NULL, 3, 0, s);
    for (size_t i = 0; i < 3; i++)
        assert_true(s[i] == 1.0f);
    const float dead[] = {0, 1, NAN};
    nb_awq_scales(dead, NULL, 3, 0.5, s);
    assert_float_equal(s[0], 0.01, 1e-6); /* 1e-4 / sqrt(1 * 1e-4) */
    for (size_t i = 0; i < 3; i++)
        assert_true(isfinite(s[i]) && s[i] > 0);
}

static nb_status never_a_number(void *user, const float *scales, double *loss, nb_error *error)
{
    (void)user, (void)scales, (void)error;
    *loss = (double)NAN;
    return NB_OK;
}

static void no_loss_is_said(void **state)
{
    (void)state;
    const float x[] = {1, 2};
    float s[2];
    nb_awq_choice choice;
    nb_error error = {""};
    assert_int_equal(nb_awq_search(x, NULL, 2, never_a_number, NULL, s, &choice, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "no finite number"));
}

/* ---- models ---- */

static void the_function_stays(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    for (size_t a = 0; a < nb_architecture_count(); a++) {
        const char *name = nb_architecture_at(a)->name;
        const nb_synthetic shape = test_shape_of(nb_architecture_at(a));
        nb_model *model = test_model(context, &shape, &nb_format_f32);
        float *before = test_probe(model, NB_WEIGHTS_CURRENT);
        const nb_outlier_options outliers = {16, 64, 3};
        assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
        const uint64_t untouched = test_state(model);
        nb_awq_group groups[8];
        size_t n_groups;
        scale(model, "all", "int3 zeropoint/group:32", a % 2 == 1, groups, &n_groups);
        assert_int_equal(n_groups, strcmp(name, "gpt2") == 0 ? 6 : 8);
        bool better = false;
        for (size_t i = 0; i < n_groups; i++) {
            assert_true(groups[i].choice.scaled <= groups[i].choice.rounded * (a % 2 == 1 ? 1.5 : 1));
            better = better || groups[i].choice.scaled < 0.7 * groups[i].choice.rounded;
        }
        assert_true(better);
        const double moved = test_moved(model, NB_WEIGHTS_CURRENT, before);
        if (!(moved > 0 && moved < 1e-5))
            fail_msg("%s: logits moved by %g", name, moved);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(test_state(model), untouched);
        free(before);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* Three bits in groups of 32 of a model with outliers: the logits are nearer to the original's than without factors. */
static void quantizing_loses_less(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    float *before = test_probe(model, NB_WEIGHTS_CURRENT);
    const nb_outlier_options outliers = {16, 64, 3};
    assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
    test_quantize(model, "all", "int3 zeropoint/group:32, f32 activations");
    const double rounded = test_moved(model, NB_WEIGHTS_CURRENT, before);
    scale(model, "all", "int3 zeropoint/group:32, f32 activations", false, NULL, NULL); /* from the original, not from int3 */
    const double scaled = test_moved(model, NB_WEIGHTS_CURRENT, before);
    if (!(scaled < 0.8 * rounded))
        fail_msg("logits moved by %g with factors, %g without", scaled, rounded);
    free(before);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A scope's groups alone are scaled: of one block, and of its attention only what feeds it. */
static void a_scope_is_kept(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_awq_group groups[8];
    size_t n_groups;
    scale(model, "blk.1.attn_q,blk.1.attn_k", "int4 absmax/channel", false, groups, &n_groups);
    assert_int_equal(n_groups, 1);
    assert_ptr_equal(nb_model_tensor(model, groups[0].tensor), test_tensor(model, "blk.1.attn_q"));
    assert_int_equal(groups[0].n_tensors, 3);
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
        const nb_tensor *t = nb_model_tensor(model, i);
        const bool mine = strncmp(t->name, "blk.1.attn_", 11) == 0 && strcmp(t->name, "blk.1.attn_output") != 0;
        assert_int_equal(t->transforms != NULL, mine);
        assert_false(t->changed);
    }
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void scale_a_block(nb_model *model)
{
    scale(model, "blk.0", "int4 zeropoint/group:32", false, NULL, NULL);
}

static void bits_are_the_same_everywhere(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_qwen2);
    test_same_everywhere(&shape, &nb_format_f16, 2, scale_a_block);
}

/* ---- stored ---- */

static nb_status try_awq(nb_model *model, const char *scope_text, const char *quantizer, nb_tensor_loss *losses,
                         nb_error *error)
{
    const nb_awq_options options = {quantizer_of(quantizer), false};
    nb_awq_group groups[8];
    size_t n_groups;
    uint64_t n_clipped;
    nb_scope scope;
    nb_samples samples = test_samples(model, 200);
    assert_int_equal(nb_scope_resolve(model, scope_text, false, &scope, error), NB_OK);
    const nb_status status = nb_model_awq(model, &scope, &samples, &options, "words.txt", groups, &n_groups, &n_clipped,
                                          losses, error);
    nb_scope_free(&scope);
    nb_samples_free(&samples);
    return status;
}

static double mean_loss(nb_model *model, const float *before)
{
    const size_t n = TEST_N_LOGIT_TOKENS * (size_t)nb_model_hparams(model)->n_vocab;
    float *after = test_probe(model, NB_WEIGHTS_CURRENT);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)after[i] - (double)before[i]) * ((double)after[i] - (double)before[i]);
    free(after);
    return sum / (double)n;
}

static void storing_is_one_change(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    for (size_t a = 0; a < nb_architecture_count(); a++) {
        const nb_synthetic shape = test_shape_of(nb_architecture_at(a));
        nb_model *model = test_model(context, &shape, &nb_format_f32), *back = NULL;
        float *before = test_probe(model, NB_WEIGHTS_CURRENT);
        const nb_outlier_options outliers = {16, 64, 3};
        assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
        test_quantize(model, "all", "int3 zeropoint/group:32");
        const double rounded = mean_loss(model, before);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        const uint64_t untouched = test_state(model);
        nb_tensor_loss losses[32];
        if (try_awq(model, "all", "int3 zeropoint/group:32", losses, &error) != NB_OK)
            fail_msg("%s", error.text);
        const double found = mean_loss(model, before);
        if (!(found < rounded))
            fail_msg("%s: %g of AWQ, %g of round to nearest", shape.architecture, found, rounded);
        const nb_tensor *down = test_tensor(model, "blk.1.ffn_up");
        assert_memory_equal(nb_tensor_provenance(down), "AWQ from words.txt (200 tokens, digest ", 39);
        assert_true(down->changed && isfinite(down->sqnr));
        assert_true(losses[0].n_bytes_after > 0 && losses[0].n_bytes_after < losses[0].n_bytes_before);
        assert_true(test_moved(model, NB_WEIGHTS_ORIGINAL, before) < 1e-5);
        /* again, in other bits, from the same numbers; and back */
        const uint64_t stored = test_state(model);
        assert_int_equal(try_awq(model, "mlp", "int8 absmax/channel", NULL, &error), NB_OK);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(test_state(model), stored);
        const char *path = temporary_path("awq.gguf");
        float *here = test_probe(model, NB_WEIGHTS_CURRENT);
        if (nb_model_save(model, path, &error) != NB_OK || nb_model_load(context, path, NULL, &back, &error) != NB_OK)
            fail_msg("%s", error.text);
        assert_true(test_moved(back, NB_WEIGHTS_CURRENT, here) == 0);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(test_state(model), untouched);
        free(here);
        free(before);
        nb_model_destroy(&back);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* Blocks and whole tensors have no range to search: they are rounded to nearest after scaling. */
static void other_formats_are_scaled_alone(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"int4 absmax/tensor", "f8_e4m3", "q4_0"};
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    shape.n_embd = 64, shape.n_ff = 96;
    for (size_t i = 0; i < 3; i++) {
        nb_model *model = test_model(context, &shape, &nb_format_f16), *apart = test_model(context, &shape, &nb_format_f16);
        if (try_awq(model, "all", quantizers[i], NULL, &error) != NB_OK)
            fail_msg("%s: %s", quantizers[i], error.text);
        const nb_awq_options options = {quantizer_of(quantizers[i]), false};
        nb_awq_group groups[8];
        size_t n_groups;
        nb_scope scope;
        nb_samples samples = test_samples(apart, 200);
        assert_int_equal(nb_scope_resolve(apart, "all", false, &scope, &error), NB_OK);
        assert_int_equal(nb_model_awq_scale(apart, &scope, &samples, &options, groups, &n_groups, &error), NB_OK);
        test_quantize(apart, "all", quantizers[i]);
        assert_int_equal(test_state(model), test_state(apart));
        nb_scope_free(&scope);
        nb_samples_free(&samples);
        nb_model_destroy(&model);
        nb_model_destroy(&apart);
    }
    nb_context_destroy(&context);
}

/* ---- trouble ---- */

static void trouble_changes_nothing(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    test_quantize(model, "blk.0.ffn_*", "int8 absmax/channel");
    const uint64_t before = test_state(model);
    for (long n = 1; n < 1500; n += n < 5 ? 1 : 97) {
        test_cancel_after(context, n);
        const nb_status status = n % 2 ? try_scale(model, "all", "int4 absmax/channel", false, NULL, NULL, &error)
                                       : try_awq(model, "all", "int4 absmax/channel", NULL, &error);
        test_cancel_after(context, 0);
        if (status == NB_OK) {
            assert_true(n > 300);
            assert_int_equal(nb_model_undo(model, NULL), NB_OK);
            assert_int_equal(test_state(model), before);
            break;
        }
        assert_int_equal(status, NB_ERR_CANCELLED);
        assert_int_equal(test_state(model), before);
    }
    nb_status status = NB_ERR_MEMORY;
    nb_scope scope;
    nb_awq_group groups[8];
    size_t n_groups;
    nb_samples samples = test_samples(model, 40);
    const nb_awq_options options = {quantizer_of("int4 absmax/channel"), true};
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    for (long n = 1; status != NB_OK; n += n < 60 ? 1 : 41) {
        nb_memory_fail_after(n);
        status = nb_model_awq_scale(model, &scope, &samples, &options, groups, &n_groups, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || status == NB_ERR_MEMORY);
        if (status != NB_OK)
            assert_int_equal(test_state(model), before);
    }
    nb_scope_free(&scope);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const uint64_t before = test_state(model);
    assert_int_equal(try_scale(model, "embeddings", "int4 absmax/channel", false, NULL, NULL, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "no matrix of the blocks"));
    assert_int_equal(try_scale(model, "all", "q4_k", false, NULL, NULL, &error), NB_ERR_ARGUMENT); /* 48 columns */
    test_tensor(model, "blk.0.ffn_norm")->vector[5] = NAN;
    assert_int_equal(try_scale(model, "mlp", "int4 absmax/channel", false, NULL, NULL, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "finite"));
    assert_int_equal(nb_model_undo_depth(model), 0);
    test_tensor(model, "blk.0.ffn_norm")->vector[5] = 1;
    assert_true(before != 0);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_finds_the_published_factors),
        cmocka_unit_test(factors_are_what_the_formula_says),
        cmocka_unit_test(no_loss_is_said),
        cmocka_unit_test(the_function_stays),
        cmocka_unit_test(quantizing_loses_less),
        cmocka_unit_test(a_scope_is_kept),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(storing_is_one_change),
        cmocka_unit_test(other_formats_are_scaled_alone),
        cmocka_unit_test(trouble_changes_nothing),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("awq", tests, NULL, NULL);
}
