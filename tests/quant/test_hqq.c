/* HQQ against its authors' numbers, and against round to nearest. */
#include "quant/hqq.h"

#include "base/random.h"
#include "quant/hqq_model.h"
#include "tests/support/transforms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

/* Eight numbers in 4 bits: where the solver starts, and after its one step that helps. */
static void the_small_example_is_exact(void **state)
{
    (void)state;
    static const float w[8] = {.1f, -.3f, .8f, .45f, -.05f, 0, .6f, -.2f};
    static const uint8_t first[8] = {5, 0, 15, 10, 3, 4, 12, 1};
    nb_hqq_options options = nb_hqq_defaults();
    float inverse, zero, error;
    uint8_t codes[8];
    options.iterations = 0;
    nb_hqq_group(w, 8, 4, &options, &inverse, &zero, codes, &error);
    assert_true(fabsf(inverse - 13.636364f) < 1e-5f && fabsf(zero - 4.090909f) < 1e-5f);
    assert_memory_equal(codes, first, 8);
    assert_true(fabsf(error - .01666667f) < 1e-7f);
    options.iterations = 1;
    nb_hqq_group(w, 8, 4, &options, &inverse, &zero, codes, &error);
    assert_true(fabsf(inverse - 13.636364f) < 1e-5f && fabsf(zero - 3.863636f) < 1e-5f);
    assert_true(fabsf(error - .01083333f) < 1e-7f);
    /* All equal: nothing to divide by. */
    static const float same[3] = {.5f, .5f, .5f};
    nb_hqq_group(same, 3, 4, &options, &inverse, &zero, codes, &error);
    assert_true(inverse == 1.0f && error == 0.0f);
}

/* One over the scale: 1 for numbers that differ by 1e-4 at most, else (2^bits - 1) / range, at most 2e4. */
static void the_scale_has_limits(void **state)
{
    (void)state;
    static const struct {
        float range;
        unsigned bits;
        float inverse;
    } cases[] = {{0, 4, 1},
                 {1e-4f, 8, 1},
                 {1e-4f, 2, 1},
                 {1.01e-4f, 8, 2e4f},
                 {1.01e-4f, 4, 2e4f},
                 {1.01e-4f, 2, 2e4f},
                 {7.4e-4f, 4, 2e4f},
                 {0.0127f, 8, 2e4f},
                 {1.6e-4f, 2, 3 / 1.6e-4f},
                 {7.6e-4f, 4, 15 / 7.6e-4f},
                 {0.0128f, 8, 255 / 0.0128f}};
    const nb_hqq_options options = nb_hqq_defaults();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float w[3] = {0, cases[i].range, cases[i].range / 3};
        float inverse, zero, error;
        uint8_t codes[3];
        nb_hqq_group(w, 3, cases[i].bits, &options, &inverse, &zero, codes, &error);
        if (fabsf(inverse - cases[i].inverse) > 1e-6f * cases[i].inverse)
            fail_msg("range %g in %u bits: %g", (double)cases[i].range, cases[i].bits, (double)inverse);
        assert_true(inverse <= 2e4f && error <= cases[i].range);
    }
    /* The range is what counts, wherever it lies. */
    static const float across[2] = {-5e-5f, 4.9e-5f}, wide[2] = {-6e-5f, 6e-5f};
    float inverse, zero, error;
    uint8_t codes[2];
    nb_hqq_group(across, 2, 4, &options, &inverse, &zero, codes, &error);
    assert_true(inverse == 1 && codes[0] == codes[1]);
    nb_hqq_group(wide, 2, 4, &options, &inverse, &zero, codes, &error);
    assert_true(inverse == 2e4f && codes[1] > codes[0]);
}

static float *make_weights(size_t n_rows, size_t n_cols)
{
    nb_random random;
    float *w = calloc(n_rows * n_cols, sizeof *w);
    assert_non_null(w);
    nb_random_seed(&random, 4);
    for (size_t i = 0; i < n_rows * n_cols; i++) {
        double sum = -6;
        for (int k = 0; k < 12; k++)
            sum += (double)nb_random_below(&random, 1 << 20) / (1 << 20);
        w[i] = (float)(0.05 * sum * (i % 97 == 0 ? 4 : 1)); /* with a few large ones */
    }
    for (size_t i = 0; i < n_cols; i++)
        w[n_cols + i] = 0; /* and a row of zeros */
    return w;
}

static double mean_error(const nb_packed *packed, const float *w)
{
    double sum = 0;
    float *row = calloc(packed->n_cols, sizeof *row);
    assert_non_null(row);
    for (size_t r = 0; r < packed->n_rows; r++) {
        nb_packed_decode_row(packed, r, row);
        for (size_t i = 0; i < packed->n_cols; i++) {
            assert_true(isfinite(row[i]));
            const double lost = (double)(row[i] - w[r * packed->n_cols + i]);
            sum += lost * lost;
        }
    }
    free(row);
    return sum / (double)(packed->n_rows * packed->n_cols);
}

/* The mean squared error of round to nearest is where it begins: it only gets smaller, on every level the same, with any
 * number of threads. */
static void it_is_nearer_than_round_to_nearest(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"int2 zeropoint/group:32", "int3 zeropoint/group:64", "int4 zeropoint/channel",
                                             "int3 absmax/group:64", "int8 zeropoint/group:96, f32 scales"};
    enum { ROWS = 37, COLS = 200 };
    float *w = make_weights(ROWS, COLS);
    const nb_source source = {.format = &nb_format_f32, .data = w, .n_rows = ROWS, .n_cols = COLS};
    const nb_hqq_options options = nb_hqq_defaults();
    for (size_t i = 0; i < sizeof quantizers / sizeof *quantizers; i++) {
        nb_context *one = test_context("scalar", 1), *three = test_context(NULL, 3);
        nb_quantizer quantizer;
        nb_packed *nearest, *solved, *again;
        assert_int_equal(nb_quantizer_parse(quantizers[i], &quantizer, NULL), NB_OK);
        assert_int_equal(nb_rtn_quantize(one, "w", &source, &quantizer, &nearest, NULL, NULL), NB_OK);
        assert_int_equal(nb_hqq_quantize(one, "w", &source, &quantizer, &options, &solved, NULL), NB_OK);
        assert_int_equal(nb_hqq_quantize(three, "w", &source, &quantizer, &options, &again, NULL), NB_OK);
        assert_true(solved->n_bytes == nearest->n_bytes);
        const double error = mean_error(solved, w), before = mean_error(nearest, w);
        assert_true(error < (quantizer.format->bits < 4 ? 0.97 : 1.0) * before);
        assert_true(mean_error(again, w) == error);
        nb_packed_destroy(&nearest);
        nb_packed_destroy(&solved);
        nb_packed_destroy(&again);
        nb_context_destroy(&one);
        nb_context_destroy(&three);
    }
    free(w);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    float *w = make_weights(20, 64);
    const nb_source source = {.format = &nb_format_f32, .data = w, .n_rows = 20, .n_cols = 64};
    const nb_hqq_options options = nb_hqq_defaults();
    nb_packed *packed;
    nb_quantizer quantizer;
    static const char *const others[] = {"f16", "q4_0", "int4 absmax/tensor", "int4 absmax/channel, labonne"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(nb_quantizer_parse(others[i], &quantizer, NULL), NB_OK);
        assert_int_equal(nb_hqq_quantize(context, "w", &source, &quantizer, &options, &packed, &error), NB_ERR_ARGUMENT);
        assert_null(packed);
    }
    assert_int_equal(nb_quantizer_parse("int4 zeropoint/group:32", &quantizer, NULL), NB_OK);
    w[17 * 64 + 5] = NAN;
    assert_int_equal(nb_hqq_quantize(context, "w", &source, &quantizer, &options, &packed, &error), NB_ERR_ARGUMENT);
    assert_string_equal(error.text, "w: row 17, column 5 is nan; only finite numbers can be stored as int4");
    w[17 * 64 + 5] = 1e30f;
    assert_int_equal(nb_hqq_quantize(context, "w", &source, &quantizer, &options, &packed, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "w: row 17, from column 0 on, needs a scale of "));
    w[17 * 64 + 5] = 0;
    atomic_store(&context->cancel, true);
    assert_int_equal(nb_hqq_quantize(context, "w", &source, &quantizer, &options, &packed, &error), NB_ERR_CANCELLED);
    assert_null(packed);
    free(w);
    nb_context_destroy(&context);
}

static nb_status solve_again(nb_model *model, void *user, nb_error *error)
{
    const nb_hqq_options options = nb_hqq_defaults();
    nb_quantizer quantizer;
    assert_int_equal(nb_quantizer_parse("int3 zeropoint/group:32", &quantizer, NULL), NB_OK);
    return nb_model_hqq(model, user, &quantizer, &options, NULL, error);
}

static void a_stopped_one_changes_nothing(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_scope scope;
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, NULL), NB_OK);
    test_quantize(model, "mlp", "int4 absmax/group:32");
    assert_true(test_cancel_everywhere(model, solve_again, &scope, 1, 1) > 10);
    nb_scope_free(&scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_small_example_is_exact),
        cmocka_unit_test(the_scale_has_limits),
        cmocka_unit_test(it_is_nearer_than_round_to_nearest),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_stopped_one_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
