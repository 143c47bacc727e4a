/* Rotation: the function stays, what stands out is spread, and quantizing starts from there. */
#include "model/state.h"
#include "tests/support/temporary.h"
#include "tests/support/transforms.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_status try_rotate(nb_model *model, uint64_t seed, nb_rotated *made, size_t *n_made, nb_error *error)
{
    nb_rotated some[64];
    size_t n;
    nb_samples samples = test_samples(model, 200);
    assert_true(nb_model_tensor_count(model) <= 64);
    const nb_status status = nb_model_rotate(model, &samples, seed, made ? made : some, n_made ? n_made : &n, error);
    nb_samples_free(&samples);
    return status;
}

static void rotate(nb_model *model, uint64_t seed, nb_rotated *made, size_t *n_made)
{
    nb_error error = {""};
    if (try_rotate(model, seed, made, n_made, &error) != NB_OK)
        fail_msg("%s", error.text);
}

static void blocks_are_powers_of_two(void **state)
{
    (void)state;
    const struct {
        size_t n;
        uint32_t block;
    } cases[] = {{4096, 4096}, {5632, 512}, {288, 32}, {48, 16}, {768, 256}, {100, 4}, {172, 4}, {6, 0}, {33, 0}, {2, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nb_rotate_block(cases[i].n), cases[i].block);
}

static void the_function_stays(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    for (size_t a = 0; a < nb_architecture_count(); a++) {
        const nb_synthetic shape = test_shape_of(nb_architecture_at(a));
        nb_model *model = test_model(context, &shape, &nb_format_f32), *back = NULL;
        float *before = test_probe(model, NB_WEIGHTS_CURRENT);
        const uint64_t untouched = test_state(model);
        rotate(model, 7, NULL, NULL);
        const double moved = test_moved(model, NB_WEIGHTS_CURRENT, before);
        if (!(moved > 0 && moved < 1e-5))
            fail_msg("%s: logits moved by %g", shape.architecture, moved);
        assert_true(test_moved(model, NB_WEIGHTS_ORIGINAL, before) == 0);
        const char *path = temporary_path("rotated.gguf");
        float *here = test_probe(model, NB_WEIGHTS_CURRENT);
        test_quantize(model, "mlp", "int8 absmax/channel");
        free(here);
        here = test_probe(model, NB_WEIGHTS_CURRENT);
        if (nb_model_save(model, path, &error) != NB_OK || nb_model_load(context, path, NULL, &back, &error) != NB_OK)
            fail_msg("%s", error.text);
        assert_true(test_moved(back, NB_WEIGHTS_CURRENT, here) == 0);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_int_equal(test_state(model), untouched);
        free(here);
        free(before);
        nb_model_destroy(&back);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* The stored columns are a mixture by an orthogonal matrix: each row keeps its length, in every block, and its numbers
 * come back. */
static void rows_are_turned(void **state)
{
    (void)state;
    enum { N = 80, BLOCK = 16 };
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    rotate(model, 3, NULL, NULL);
    const nb_tensor *down = test_tensor(model, "blk.1.ffn_down");
    float source[N], now[N], packed[N];
    size_t n_other = 0;
    for (size_t r = 0; r < down->n_rows; r++) {
        nb_tensor_source_row(down, r, source);
        nb_tensor_current_row(down, r, now);
        nb_packed_decode_row(down->packed, r, packed);
        for (size_t first = 0; first < N; first += BLOCK) {
            double was = 0, is = 0;
            for (size_t c = first; c < first + BLOCK; c++) {
                was += (double)source[c] * (double)source[c];
                is += (double)packed[c] * (double)packed[c];
                assert_float_equal(now[c], source[c], 1e-6);
                n_other += fabsf(packed[c] - source[c]) > 1e-3f;
            }
            assert_float_equal(is, was, 1e-5 * was);
        }
    }
    assert_true(n_other > down->n_rows * N / 2);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void outliers_are_spread(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    shape.n_embd = 64, shape.n_ff = 64;
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_rotated made[64];
    size_t n_made;
    const nb_outlier_options outliers = {8, 64, 3};
    float *before = test_probe(model, NB_WEIGHTS_CURRENT);
    assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
    /* one scale for a whole matrix of four bits: the divided columns vanish, unless they are mixed with the others */
    test_quantize(model, "all", "int8 absmax/tensor");
    const double plain = test_moved(model, NB_WEIGHTS_CURRENT, before);
    rotate(model, 11, made, &n_made);
    const double turned = test_moved(model, NB_WEIGHTS_CURRENT, before);
    if (!(turned < plain / 2))
        fail_msg("logits moved by %g rotated, %g as they were", turned, plain);
    assert_int_equal(n_made, 14);
    for (size_t i = 0; i < n_made; i++) {
        const nb_tensor *t = nb_model_tensor(model, made[i].tensor);
        assert_int_equal(made[i].block, 64);
        if (strstr(t->name, "attn_q") || strstr(t->name, "ffn_gate"))
            assert_true(made[i].after < 0.75f * made[i].before && made[i].after > 1);
    }
    free(before);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Columns of outliers were found in what a rotation, or factors, would change; numbers that are none show nothing. */
static void what_it_cannot_do(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_tensor *gate = (nb_tensor *)(uintptr_t)test_tensor(model, "blk.1.ffn_gate");
    nb_samples samples = test_samples(model, 200);
    nb_input *input = nb_input_create(gate->n_cols);
    const uint32_t columns[] = {3};
    assert_int_equal(nb_input_set_outliers(input, columns, 1, &error), NB_OK);
    gate->input = input;
    assert_int_equal(try_rotate(model, 1, NULL, NULL, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "blk.1.ffn_gate has columns of outliers"));
    assert_int_equal(nb_model_smooth(model, &samples, 0.5, NULL, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "columns of outliers"));
    gate->input = NULL;
    nb_input_destroy(&input);
    const uint64_t before = test_state(model);
    float *norm = test_tensor(model, "blk.1.ffn_norm")->vector, kept = norm[3];
    norm[3] = NAN;
    assert_int_equal(try_rotate(model, 1, NULL, NULL, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "what flows into blk.1.ffn"));
    norm[3] = kept;
    assert_int_equal(test_state(model), before);
    assert_int_equal(nb_model_undo_depth(model), 0);
    rotate(model, 1, NULL, NULL);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void readers_of_one_input_share_it(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f16);
    rotate(model, 3, NULL, NULL);
    assert_ptr_equal(test_tensor(model, "blk.0.attn_q")->input, test_tensor(model, "blk.0.attn_v")->input);
    assert_int_equal(model->n_inputs, 2); /* 48 columns and 80 */
    test_quantize(model, "all", "int4 absmax/group:32");
    assert_non_null(test_tensor(model, "blk.0.attn_q")->input);
    assert_int_equal(test_tensor(model, "blk.0.attn_q")->input->hadamard, 16);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void rotate_and_quantize(nb_model *model)
{
    rotate(model, 5, NULL, NULL);
    test_quantize(model, "attention", "int8 absmax/channel");
}

static void bits_are_the_same_everywhere(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_qwen3);
    test_same_everywhere(&shape, &nb_format_f16, 2, rotate_and_quantize);
}

/* AWQ and SmoothQuant go with it: factors before the rotation. */
static void other_transforms_go_with_it(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    float *before = test_probe(model, NB_WEIGHTS_CURRENT);
    rotate(model, 3, NULL, NULL);
    nb_samples samples = test_samples(model, 120);
    assert_int_equal(nb_model_smooth(model, &samples, 0.5, NULL, &error), NB_OK);
    assert_true(test_moved(model, NB_WEIGHTS_CURRENT, before) < 1e-5);
    nb_scope scope;
    nb_awq_options options = {.duo = false};
    nb_awq_group groups[8];
    size_t n_groups;
    uint64_t n_clipped;
    assert_int_equal(nb_quantizer_parse("int8 zeropoint/group:32", &options.quantizer, &error), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    if (nb_model_awq(model, &scope, &samples, &options, "t", groups, &n_groups, &n_clipped, NULL, &error) != NB_OK)
        fail_msg("%s", error.text);
    assert_true(test_moved(model, NB_WEIGHTS_CURRENT, before) < 0.05);
    assert_int_equal(n_clipped, 0);
    assert_true(nb_input_has_basis(test_tensor(model, "blk.1.ffn_down")->input));
    assert_int_equal(try_rotate(model, 4, NULL, NULL, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "rotated already"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
    assert_true(test_moved(model, NB_WEIGHTS_CURRENT, before) == 0);
    nb_scope_free(&scope);
    nb_samples_free(&samples);
    free(before);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
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
    nb_rotated made[64];
    size_t n_made;
    for (long n = 1; status != NB_OK; n++) {
        nb_error error = {""};
        nb_memory_fail_after(n);
        status = nb_model_rotate(model, &samples, 1, made, &n_made, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && *error.text));
        if (status != NB_OK)
            assert_int_equal(test_state(model), before);
        assert_int_equal(model->n_inputs, status == NB_OK ? 2 : 0);
    }
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static nb_status rotate_again(nb_model *model, void *user, nb_error *error)
{
    (void)user;
    return try_rotate(model, 9, NULL, NULL, error);
}

static void a_stopped_one_changes_nothing(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    test_quantize(model, "mlp", "int4 absmax/group:32");
    assert_true(test_cancel_everywhere(model, rotate_again, NULL, 1, 1) > 10);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_powers_of_two),
        cmocka_unit_test(the_function_stays),
        cmocka_unit_test(rows_are_turned),
        cmocka_unit_test(outliers_are_spread),
        cmocka_unit_test(what_it_cannot_do),
        cmocka_unit_test(readers_of_one_input_share_it),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(other_transforms_go_with_it),
        cmocka_unit_test(failing_memory_changes_nothing),
        cmocka_unit_test(a_stopped_one_changes_nothing),
    };
    return cmocka_run_group_tests_name("rotate", tests, NULL, NULL);
}
