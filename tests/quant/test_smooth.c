/* SmoothQuant: the authors' formula, what it does to activations and weights, and that the function stays. */
#include "quant/rewrite.h"
#include "tests/support/transforms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static void smooth(nb_model *model, double alpha, nb_smoothed *made)
{
    nb_error error = {""};
    nb_samples samples = test_samples(model, 0);
    if (nb_model_smooth(model, &samples, alpha, made, &error) != NB_OK)
        fail_msg("%s", error.text);
    nb_samples_free(&samples);
}

/* max |X| = [16, 1, .5], max |W| = [.25, .5, 2]: the published code gives s = [8, sqrt 2, .5]. */
static void scales_are_the_papers(void **state)
{
    (void)state;
    const float x[] = {16, 1, 0.5f}, w[] = {0.25f, 0.5f, 2};
    float s[3];
    nb_smooth_scales(x, w, 3, 0.5, s);
    const float expected[] = {8, 1.4142136f, 0.5f}, after[] = {2, 0.7071068f, 1};
    for (size_t i = 0; i < 3; i++) {
        assert_float_equal(s[i], expected[i], 1e-6);
        assert_float_equal(x[i] / s[i], after[i], 1e-6);
        assert_float_equal(w[i] * s[i], after[i], 1e-6);
    }
    nb_smooth_scales(x, w, 3, 1, s); /* all of it into the weights */
    for (size_t i = 0; i < 3; i++)
        assert_float_equal(s[i], x[i], 1e-6);
    nb_smooth_scales(x, w, 3, 0, s);
    for (size_t i = 0; i < 3; i++)
        assert_float_equal(s[i], 1 / w[i], 1e-6);
    const float dead_x[] = {0, 3, 1e-20f}, dead_w[] = {1, 0, 1e20f};
    nb_smooth_scales(dead_x, dead_w, 3, 0.5, s);
    assert_true(s[0] == 1.0f);
    assert_float_equal(s[1], sqrt(3 / 1e-5), 0.01); /* no weight counts as less than 1e-5 */
    assert_true(s[2] == 1e-5f);
}

/* In f32 nothing is lost but the last places, whatever the block looks like. */
static void the_function_stays(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    for (size_t a = 0; a < nb_architecture_count(); a++) {
        const nb_synthetic shape = test_shape_of(nb_architecture_at(a));
        nb_model *model = test_model(context, &shape, &nb_format_f32);
        float *before = test_probe(model, NB_WEIGHTS_CURRENT);
        const nb_outlier_options outliers = {12, 64, 3};
        assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
        const uint64_t untouched = test_state(model);
        smooth(model, 0.5, NULL);
        const double moved = test_moved(model, NB_WEIGHTS_CURRENT, before);
        if (!(moved > 0 && moved < 1e-5))
            fail_msg("%s: logits moved by %g", nb_architecture_at(a)->name, moved);
        test_quantize(model, "all", "int8 absmax/channel"); /* the original is the transformed one */
        assert_true(test_moved(model, NB_WEIGHTS_ORIGINAL, before) < 1e-5);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(test_state(model), untouched);
        free(before);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* What flows into attention of the first block, from a text of many tokens. */
static void largest_activations(nb_model *model, const char *name, float *largest, size_t n_cols)
{
    nb_samples samples = test_samples(model, 0);
    const size_t index = (size_t)nb_model_find_tensor(model, name);
    float *x = calloc(samples.longest * n_cols, sizeof *x);
    memset(largest, 0, n_cols * sizeof *largest);
    for (size_t s = 0; s < samples.n_sequences; s++) {
        assert_int_equal(nb_activations_collect(model, index, samples.tokens + samples.begins[s],
                                                nb_samples_length(&samples, s), x, NULL),
                         NB_OK);
        for (size_t i = 0; i < nb_samples_length(&samples, s) * n_cols; i++)
            largest[i % n_cols] = fmaxf(largest[i % n_cols], fabsf(x[i]));
    }
    free(x);
    nb_samples_free(&samples);
}

static void largest_weights(const nb_model *model, const char *const *names, size_t n_names, float *largest, size_t n_cols)
{
    float row[128];
    memset(largest, 0, n_cols * sizeof *largest);
    for (size_t i = 0; i < n_names; i++) {
        const nb_tensor *t = test_tensor(model, names[i]);
        for (size_t r = 0; r < t->n_rows; r++) {
            nb_tensor_current_row(t, r, row);
            for (size_t c = 0; c < n_cols; c++)
                largest[c] = fmaxf(largest[c], fabsf(row[c]));
        }
    }
}

/* At alpha 0.5 every channel's activations and weights have the same largest magnitude: of all readers together. */
static void halves_are_balanced(void **state)
{
    (void)state;
    static const char *const names[2][3] = {{"blk.1.attn_q", "blk.1.attn_k", "blk.1.attn_v"},
                                            {"blk.1.ffn_gate", "blk.1.ffn_up", NULL}};
    enum { N = 48 };
    float x[N], w[N];
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const nb_outlier_options outliers = {16, 64, 4};
    assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
    nb_smoothed made[4];
    smooth(model, 0.5, made);
    for (size_t part = 0; part < 2; part++) {
        largest_activations(model, names[part][0], x, N);
        largest_weights(model, names[part], 3 - part, w, N);
        float largest = 0;
        for (size_t c = 0; c < N; c++) {
            assert_float_equal(x[c] / w[c], 1, 1e-4);
            largest = fmaxf(largest, x[c]);
        }
        const nb_smoothed *told = &made[2 + part];
        assert_ptr_equal(nb_model_tensor(model, told->norm), test_tensor(model, part ? "blk.1.ffn_norm" : "blk.1.attn_norm"));
        assert_float_equal(told->x_after / largest, 1, 1e-4);
        assert_float_equal(told->w_after / largest, 1, 1e-4);
        assert_true(told->spread_before > 5 && told->spread_after < told->spread_before / 2);
    }
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A model that is quantized already is quantized again, as if it had been smoothed first. */
static void comes_before_or_after_quantizing(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_qwen2);
    nb_model *early = test_model(context, &shape, &nb_format_f16), *late = test_model(context, &shape, &nb_format_f16);
    smooth(early, 0.7, NULL);
    test_quantize(early, "all", "int8 absmax/tensor");
    test_quantize(late, "all", "int8 absmax/tensor");
    smooth(late, 0.7, NULL);
    assert_int_equal(test_state(early), test_state(late));
    assert_string_equal(test_tensor(late, "blk.0.attn_q")->transforms->what, "smooth --alpha 0.7, 3,000 tokens, digest 499f9c00");
    nb_model_destroy(&early);
    nb_model_destroy(&late);
    nb_context_destroy(&context);
}

static void smooth_all(nb_model *model)
{
    smooth(model, 0.5, NULL);
}

static void bits_are_the_same_everywhere(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    test_same_everywhere(&shape, &nb_format_f16, 3, smooth_all);
}

static void failing_memory_changes_nothing(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_samples samples = test_samples(model, 40);
    const uint64_t before = test_state(model);
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status != NB_OK; n++) {
        nb_error error = {""};
        nb_memory_fail_after(n);
        status = nb_model_smooth(model, &samples, 0.5, NULL, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && *error.text));
        if (status != NB_OK)
            assert_int_equal(test_state(model), before);
    }
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void stop_at_once(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    (void)what, (void)unit;
    assert_true(done <= total);
    atomic_store(&((nb_context *)user)->cancel, true);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const uint64_t before = test_state(model);
    nb_samples samples;
    assert_int_equal(nb_samples_create(model, "short", 5, 0, &samples, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "too little"));
    samples = test_samples(model, 0);
    assert_int_equal(samples.longest, 40);
    assert_true(samples.n_sequences > 10);
    const double alphas[] = {-0.1, 1.1, (double)NAN};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(nb_model_smooth(model, &samples, alphas[i], NULL, &error), NB_ERR_ARGUMENT);
        assert_non_null(strstr(error.text, "an alpha of"));
    }
    context->progress = stop_at_once;
    context->progress_user = context;
    assert_int_equal(nb_model_smooth(model, &samples, 0.5, NULL, &error), NB_ERR_CANCELLED);
    context->progress = NULL;
    /* activations that are no numbers */
    const nb_tensor *norm = test_tensor(model, "blk.1.ffn_norm");
    const float kept = norm->vector[3];
    norm->vector[3] = NAN;
    assert_int_equal(nb_model_smooth(model, &samples, 0.5, NULL, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "blk.1.ffn"));
    norm->vector[3] = kept;
    assert_int_equal(test_state(model), before);
    assert_int_equal(nb_model_undo_depth(model), 0);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static nb_status smooth_again(nb_model *model, void *user, nb_error *error)
{
    return nb_model_smooth(model, user, 0.5, NULL, error);
}

static void a_stopped_one_changes_nothing(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_samples samples = test_samples(model, 200);
    test_quantize(model, "mlp", "int4 absmax/group:32");
    assert_true(test_cancel_everywhere(model, smooth_again, &samples, 1, 1) > 10);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_are_the_papers),
        cmocka_unit_test(the_function_stays),
        cmocka_unit_test(halves_are_balanced),
        cmocka_unit_test(comes_before_or_after_quantizing),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(failing_memory_changes_nothing),
        cmocka_unit_test(a_stopped_one_changes_nothing),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("smooth", tests, NULL, NULL);
}
