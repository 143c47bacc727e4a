/* Transforms: what the model computes stays, what it multiplies does not. */
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_TOKENS = 9, N_EMBD = 40, N_NORMS = 4, MOST = 64 };

static const nb_synthetic small = {.n_layers = 2,
                                   .n_embd = N_EMBD,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = 72,
                                   .n_vocab = 262,
                                   .n_ctx = 32,
                                   .tied = true,
                                   .seed = 9};
/* Its originals do not fit beside it: they are run in tiles. */
static const nb_synthetic large = {.n_layers = 1,
                                   .n_embd = 1024,
                                   .n_heads = 8,
                                   .n_kv_heads = 8,
                                   .n_ff = 1000,
                                   .n_vocab = 300,
                                   .n_ctx = 16,
                                   .seed = 10};

static void inject(nb_model *model, size_t n_channels, double gain, uint64_t seed, nb_outlier *made)
{
    nb_error error = {""};
    const nb_outlier_options options = {n_channels, gain, seed};
    if (nb_model_inject_outliers(model, &options, made, &error) != NB_OK)
        fail_msg("%s", error.text);
}

static float *logits_of(nb_model *model, nb_weights weights)
{
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    return test_logits(model, weights, tokens, N_TOKENS);
}

static size_t logits_bytes(const nb_model *model)
{
    return N_TOKENS * nb_model_hparams(model)->n_vocab * sizeof(float);
}

static const nb_tensor *tensor_of(const nb_model *model, const char *name)
{
    const long index = nb_model_find_tensor(model, name);
    assert_true(index >= 0);
    return nb_model_tensor(model, (size_t)index);
}

/* ---- the function stays ---- */

static void logits_keep_their_bits(void **state)
{
    (void)state;
    const nb_format *formats[] = {&nb_format_f32, &nb_format_bf16};
    for (size_t level = 0; level < nb_kernels_count(); level++) {
        if (!test_level(level))
            continue;
        nb_context *context = test_context(test_level(level), 2);
        for (size_t f = 0; f < 2; f++) {
            nb_model *model = test_model(context, &small, formats[f]);
            float *before = logits_of(model, NB_WEIGHTS_CURRENT);
            inject(model, 24, 1024, 5, NULL);
            inject(model, 7, 3, 6, NULL);
            float *after = logits_of(model, NB_WEIGHTS_CURRENT);
            assert_memory_equal(before, after, logits_bytes(model));
            free(before);
            free(after);
            nb_model_destroy(&model);
        }
        nb_context_destroy(&context);
    }
}

/* Divided weights below 2^-14 lose bits in f16: half a step of 2^-24, times the gain, times 40 columns. */
static void f16_comes_close(void **state)
{
    (void)state;
    float source[128], current[128];
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f16);
    float *before = logits_of(model, NB_WEIGHTS_CURRENT);
    inject(model, 24, 64, 5, NULL);
    float *after = logits_of(model, NB_WEIGHTS_CURRENT);
    for (size_t i = 0; i < logits_bytes(model) / sizeof *before; i++)
        assert_true(fabsf(before[i] - after[i]) < 1e-3f);
    for (size_t i = 0; i < nb_model_tensor_count(model); i++) { /* what is read is what is stored */
        const nb_tensor *t = nb_model_tensor(model, i);
        for (size_t r = 0; r < t->n_rows; r++) {
            nb_tensor_source_row(t, r, source);
            nb_tensor_current_row(t, r, current);
            assert_memory_equal(source, current, t->n_cols * sizeof *source);
        }
    }
    free(before);
    free(after);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* ---- what is multiplied changes, as said ---- */

static const char *const readers_of[2][3] = {{"attn_q", "attn_k", "attn_v"}, {"ffn_gate", "ffn_up", NULL}};
static const char *const norm_names[2] = {"attn_norm", "ffn_norm"};

/* gains[norm][channel], norms in the order of the blocks; 1 where nothing was done. */
static void gains_of(const nb_model *model, const nb_outlier *made, size_t n, float gains[N_NORMS][N_EMBD])
{
    for (size_t i = 0; i < N_NORMS * N_EMBD; i++)
        gains[i / N_EMBD][i % N_EMBD] = 1.0f;
    for (size_t i = 0; i < n; i++) {
        const nb_tensor *t = nb_model_tensor(model, made[i].norm);
        const bool is_mlp = strstr(t->name, "ffn_norm") != NULL;
        float *gain = &gains[2 * t->layer + is_mlp][made[i].channel];
        assert_true(t->is_vector && *gain == 1.0f); /* no channel twice */
        *gain = made[i].gain;
    }
}

static void rows_are_scaled(const nb_tensor *before, const nb_tensor *after, const float *gains, bool divided)
{
    float x[128], y[128];
    for (size_t r = 0; r < before->n_rows; r++) {
        nb_tensor_current_row(before, r, x);
        nb_tensor_current_row(after, r, y);
        for (size_t c = 0; c < before->n_cols; c++) {
            const float gain = gains ? gains[c] : 1.0f;
            assert_true(y[c] == (divided ? x[c] / gain : x[c] * gain));
        }
        nb_tensor_source_row(after, r, x);
        assert_memory_equal(x, y, after->n_cols * sizeof *x);
    }
}

static void norms_and_columns_are_scaled(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *before = test_model(context, &small, &nb_format_f32);
    nb_model *after = test_model(context, &small, &nb_format_f32);
    static float gains[N_NORMS][N_EMBD];
    nb_outlier made[10];
    inject(after, 10, 100, 3, made);
    gains_of(after, made, 10, gains);
    size_t n_transformed = 0;
    for (size_t i = 0; i < nb_model_tensor_count(after); i++) {
        const nb_tensor *a = nb_model_tensor(before, i), *b = nb_model_tensor(after, i);
        const float *mine = NULL;
        bool divided = false;
        for (int part = 0; part < 2 && b->layer >= 0; part++) {
            for (int r = 0; r < 3 && readers_of[part][r]; r++)
                if (strstr(b->name, readers_of[part][r]))
                    mine = gains[2 * b->layer + part], divided = true;
            if (strstr(b->name, norm_names[part]))
                mine = gains[2 * b->layer + part];
        }
        rows_are_scaled(a, b, mine, divided);
        assert_true((b->transforms != NULL) == (mine != NULL));
        assert_true(!b->changed && isnan(b->sqnr));
        n_transformed += mine != NULL;
    }
    assert_int_equal(n_transformed, 14);
    nb_model_destroy(&before);
    nb_model_destroy(&after);
    nb_context_destroy(&context);
}

static void draws_are_spread_and_seeded(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    nb_outlier made[4][MOST];
    static float gains[N_NORMS][N_EMBD];
    for (uint64_t i = 0; i < 4; i++) {
        inject(model, 22, 100, i / 2 + 1, made[i]); /* seeds 1, 1, 2, 2 */
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        gains_of(model, made[i], 22, gains);
        for (size_t n = 0; n < N_NORMS; n++) {
            size_t here = 0;
            for (size_t c = 0; c < N_EMBD; c++)
                here += gains[n][c] > 1;
            assert_true(here == 5 || here == 6);
        }
        for (size_t k = 0; k < 22; k++)
            assert_true(made[i][k].gain == 16 || made[i][k].gain == 32 || made[i][k].gain == 64);
    }
    for (size_t k = 0; k < 22; k++)
        assert_true(made[0][k].norm == made[1][k].norm && made[0][k].channel == made[1][k].channel &&
                    made[0][k].gain == made[1][k].gain);
    assert_memory_not_equal(made[0], made[2], 22 * sizeof *made[0]);
    static nb_outlier all[N_NORMS * N_EMBD];
    inject(model, N_NORMS * N_EMBD, 2, 1, all);
    gains_of(model, all, N_NORMS * N_EMBD, gains);
    for (size_t i = 0; i < N_NORMS * N_EMBD; i++)
        assert_true(gains[i / N_EMBD][i % N_EMBD] == 2.0f);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* The largest activation of each channel over many tokens: what attention of the first block reads is the
 * embedding over its root mean square, times the norm. */
static void activations_show_as_many_outliers(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    nb_outlier made[12];
    double largest[N_EMBD] = {0};
    inject(model, 12, 1024, 8, made); /* three in each norm, by 32 to 1024 */
    const nb_tensor *norm = tensor_of(model, "blk.0.attn_norm"), *embd = tensor_of(model, "token_embd");
    for (size_t token = 0; token < embd->n_rows; token++) {
        float x[N_EMBD];
        double squares = 0;
        nb_tensor_current_row(embd, token, x);
        for (size_t c = 0; c < N_EMBD; c++)
            squares += (double)x[c] * (double)x[c];
        for (size_t c = 0; c < N_EMBD; c++)
            largest[c] =
                fmax(largest[c], fabs((double)x[c] * (double)norm->vector[c]) / sqrt(squares / N_EMBD));
    }
    size_t n_outliers = 0;
    for (size_t c = 0; c < N_EMBD; c++) {
        bool is_made = false;
        for (size_t i = 0; i < 12; i++)
            is_made |= nb_model_tensor(model, made[i].norm) == norm && made[i].channel == c;
        assert_true(is_made ? largest[c] > 30 : largest[c] < 10);
        n_outliers += is_made;
    }
    assert_int_equal(n_outliers, 3);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* ---- with quantizing ---- */

static void quantize_starts_from_what_was_transformed(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"int4 absmax/group:32", "int8 zeropoint/tensor", "f8_e4m3",
                                             "f16", "f32"};
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < sizeof quantizers / sizeof *quantizers; i++) {
        nb_model *plain = test_model(context, &small, &nb_format_f32);
        nb_model *model = test_model(context, &small, &nb_format_f32);
        nb_model *late = test_model(context, &small, &nb_format_f32);
        inject(model, 8, 64, 1, NULL);
        /* what the transformed rows give, by hand */
        const nb_tensor *q = tensor_of(model, "blk.1.attn_q");
        float *rows = calloc(q->n_rows * q->n_cols, sizeof *rows), row[N_EMBD], untouched[N_EMBD];
        for (size_t r = 0; r < q->n_rows; r++)
            nb_tensor_current_row(q, r, rows + r * q->n_cols);
        nb_tensor_current_row(tensor_of(plain, "blk.1.attn_q"), 0, untouched);
        assert_memory_not_equal(rows, untouched, sizeof untouched);
        const nb_source source = {&nb_format_f32, rows, q->n_rows, q->n_cols, NULL, NULL, NULL};
        nb_quantizer quantizer;
        nb_packed *packed;
        nb_rtn_stats stats;
        assert_int_equal(nb_quantizer_parse(quantizers[i], &quantizer, &error), NB_OK);
        assert_int_equal(nb_rtn_quantize(context, "q", &source, &quantizer, &packed, &stats, &error), NB_OK);

        test_quantize(model, "all", quantizers[i]);
        for (size_t r = 0; r < q->n_rows; r++) {
            nb_packed_decode_row(packed, r, rows);
            nb_tensor_current_row(q, r, row);
            assert_memory_equal(rows, row, sizeof row);
        }
        /* a tensor that is quantized already is quantized again */
        test_quantize(late, "all", quantizers[i]);
        inject(late, 8, 64, 1, NULL);
        assert_int_equal(test_state(late), test_state(model));
        assert_true(tensor_of(late, "blk.0.attn_q")->changed == (quantizer.format != &nb_format_f32));

        nb_packed_destroy(&packed);
        free(rows);
        nb_model_destroy(&plain);
        nb_model_destroy(&model);
        nb_model_destroy(&late);
    }
    nb_context_destroy(&context);
}

/* The original of a transformed tensor is its source with its transforms: restoring gives it, and ORIGINAL
 * runs it, packed whole or in tiles. */
static void originals_are_transformed(void **state)
{
    (void)state;
    const nb_synthetic *shapes[] = {&small, &large};
    nb_error error = {""};
    nb_scope scope;
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < 2; i++) {
        nb_model *model = test_model(context, shapes[i], &nb_format_f16);
        test_quantize(model, "all", "int4 absmax/group:32");
        free(logits_of(model, NB_WEIGHTS_ORIGINAL)); /* originals from before are cached */
        inject(model, 9, 1000, 2, NULL);
        float *original = logits_of(model, NB_WEIGHTS_ORIGINAL);
        assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
        assert_int_equal(nb_model_restore(model, &scope, &error), NB_OK);
        nb_scope_free(&scope);
        float *restored = logits_of(model, NB_WEIGHTS_CURRENT);
        assert_memory_equal(original, restored, logits_bytes(model));
        assert_non_null(tensor_of(model, "blk.0.attn_q")->transforms);
        free(original);
        free(restored);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* ---- going back ---- */

static void undo_restores_every_bit(void **state)
{
    (void)state;
    const nb_synthetic *shapes[] = {&small, &large};
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < 2; i++) {
        nb_model *model = test_model(context, shapes[i], &nb_format_f16);
        uint64_t states[5];
        states[0] = test_state(model);
        inject(model, 5, 64, 1, NULL);
        states[1] = test_state(model);
        test_quantize(model, "attention", "int4 absmax/channel");
        states[2] = test_state(model);
        inject(model, 5, 64, 2, NULL);
        states[3] = test_state(model);
        test_quantize(model, "all", "int8 absmax/tensor");
        assert_int_equal(nb_model_undo_depth(model), 4);
        for (size_t s = 4; s-- > 0;) {
            assert_int_equal(nb_model_undo(model, NULL), NB_OK);
            assert_int_equal(test_state(model), states[s]);
        }
        for (size_t t = 0; t < nb_model_tensor_count(model); t++)
            assert_null(nb_model_tensor(model, t)->transforms);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

static void a_stopped_one_changes_nothing(void **state)
{
    (void)state;
    const nb_outlier_options options = {8, 64, 1};
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    test_quantize(model, "mlp", "int6 absmax/channel");
    const uint64_t before = test_state(model);
    nb_status status = NB_ERR_CANCELLED;
    long n = 0;
    while (status != NB_OK) {
        test_cancel_after(context, ++n);
        status = nb_model_inject_outliers(model, &options, NULL, NULL);
        test_cancel_after(context, 0);
        assert_true(status == NB_OK || status == NB_ERR_CANCELLED);
        if (status != NB_OK)
            assert_int_equal(test_state(model), before);
    }
    assert_true(n > 5);
    assert_int_equal(nb_model_undo(model, NULL), NB_OK);
    assert_int_equal(test_state(model), before);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void failing_memory_changes_nothing(void **state)
{
    (void)state;
    const nb_outlier_options options = {8, 64, 1};
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    test_quantize(model, "attention", "int4 zeropoint/channel");
    const uint64_t before = test_state(model);
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status != NB_OK; n++) {
        nb_error error = {""};
        nb_memory_fail_after(n);
        status = nb_model_inject_outliers(model, &options, NULL, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || status == NB_ERR_MEMORY);
        if (status == NB_OK)
            break;
        assert_string_not_equal(error.text, "");
        assert_int_equal(test_state(model), before);
        assert_int_equal(nb_model_undo_depth(model), 1);
    }
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* ---- files ---- */

static void goes_through_a_file(void **state)
{
    (void)state;
    static const char *const quantizers[] = {NULL, "int4 absmax/group:32"};
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < 2; i++) {
        const char *path = temporary_path("transformed.gguf");
        nb_model *model = test_model(context, &small, &nb_format_f16), *back;
        inject(model, 16, 128, 4, NULL);
        if (quantizers[i])
            test_quantize(model, "all", quantizers[i]);
        assert_int_equal(nb_model_save(model, path, &error), NB_OK);
        assert_int_equal(nb_model_load(context, path, NULL, &back, &error), NB_OK);
        float *here = logits_of(model, NB_WEIGHTS_CURRENT), *there = logits_of(back, NB_WEIGHTS_CURRENT);
        assert_memory_equal(here, there, logits_bytes(model));
        for (size_t t = 0; t < nb_model_tensor_count(model); t++)
            rows_are_scaled(nb_model_tensor(model, t), nb_model_tensor(back, t), NULL, false);
        assert_null(tensor_of(back, "blk.0.attn_q")->transforms); /* it is simply such a model */
        if (quantizers[i]) {
            const nb_outlier_options options = {1, 2, 1};
            const uint64_t before = test_state(back);
            assert_int_equal(nb_model_inject_outliers(back, &options, NULL, &error), NB_ERR_STATE);
            assert_non_null(strstr(error.text, "load the original"));
            assert_int_equal(test_state(back), before);
        }
        free(here);
        free(there);
        nb_model_destroy(&model);
        nb_model_destroy(&back);
    }
    nb_context_destroy(&context);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    const struct {
        nb_outlier_options options;
        const char *words;
    } cases[] = {
        {{0, 64, 1}, "room for 1 to 160"},
        {{161, 64, 1}, "room for 1 to 160"},
        {{SIZE_MAX, 64, 1}, "room for 1 to 160"},
        {{1, 1.5, 1}, "a gain of 1.5"},
        {{1, -64, 1}, "a gain of -64"},
        {{1, (double)NAN, 1}, "a gain of nan"},
        {{1, 1025, 1}, "to 1024"},
    };
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &small, &nb_format_f32);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nb_error error = {""};
        assert_int_equal(nb_model_inject_outliers(model, &cases[i].options, NULL, &error), NB_ERR_ARGUMENT);
        if (!strstr(error.text, cases[i].words))
            fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].words);
    }
    assert_int_equal(nb_model_undo_depth(model), 0);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_keep_their_bits),
        cmocka_unit_test(f16_comes_close),
        cmocka_unit_test(norms_and_columns_are_scaled),
        cmocka_unit_test(draws_are_spread_and_seeded),
        cmocka_unit_test(activations_show_as_many_outliers),
        cmocka_unit_test(quantize_starts_from_what_was_transformed),
        cmocka_unit_test(originals_are_transformed),
        cmocka_unit_test(undo_restores_every_bit),
        cmocka_unit_test(a_stopped_one_changes_nothing),
        cmocka_unit_test(failing_memory_changes_nothing),
        cmocka_unit_test(goes_through_a_file),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("transforms", tests, NULL, NULL);
}
