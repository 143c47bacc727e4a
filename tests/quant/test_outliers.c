/* LLM.int8(): columns of outliers in f16 beside int8 ones, from the paper's arithmetic up to a model in a file. */
#include "tests/support/files.h"
#include "tests/support/temporary.h"
#include "tests/support/transforms.h"

#include "base/memory.h"
#include "base/random.h"
#include "files/load.h"
#include "model/state.h"
#include "quant/outliers.h"
#include "quant/rtn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_input *input_with(size_t n_cols, const uint32_t *columns, size_t n)
{
    nb_input *input = nb_input_create(n_cols);
    assert_non_null(input);
    assert_int_equal(nb_input_set_outliers(input, columns, n, NULL), NB_OK);
    return input;
}

/* The activations as weights with outliers want them. */
static void prepare(nb_context *context, const nb_input *input, const float *x, size_t n_tokens, float *rows,
                    float *outliers, nb_acts_buffer *acts)
{
    const size_t n_cols = input->n_cols, n = input->n_outliers;
    memcpy(rows, x, n_tokens * n_cols * sizeof *rows);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < n; i++) {
            outliers[t * n + i] = rows[t * n_cols + input->outliers[i]];
            rows[t * n_cols + input->outliers[i]] = 0;
        }
    assert_int_equal(nb_acts_prepare(context, acts, rows, n_tokens, n_cols, n_cols, true, NULL), NB_OK);
    acts->acts.outliers = outliers;
    acts->acts.outlier_stride = n;
}

/* A token and a matrix whose codes and sums are known. bitsandbytes multiplies the outliers with what int8 made of their
 * weights; the paper, and nibble, with f16. */
static void golden(void **state)
{
    (void)state;
    static const float x[2 * 4] = {.5f, -1, 8, .25f, -.75f, .5f, -7, 1},
                       w[3 * 4] = {.1f, .4f, .05f, -.7f, .2f, -.5f, .02f, .8f, -.3f, .6f, -.04f, .9f};
    static const int8_t qx[2 * 4] = {64, -127, 0, 32, -95, 64, 0, 127},
                        qw[3 * 4] = {18, 73, 0, -127, 32, -79, 0, 127, -42, 85, 0, 127};
    static const int sums[2 * 3] = {-12183, 16145, -9419, -13167, 8033, 25559};
    static const double scales[3] = {.7, .8, .9},
                        of_bnb[2 * 3] = {-.131893, .951975, -.865739, -.918693, .266154, 1.723833},
                        exact[2 * 3] = {-.125, .96, -.845, -.925, .26, 1.705};
    const uint32_t columns[1] = {2};
    nb_context *context = test_context(NULL, 1);
    nb_input *input = input_with(4, columns, 1);
    const nb_quantizer q = {
        .format = nb_format_int(8), .scheme = NB_SCHEME_ABSMAX, .granularity = NB_PER_CHANNEL, .scales_f32 = true};
    const nb_source source = {.format = &nb_format_f32, .data = w, .n_rows = 3, .n_cols = 4, .input = input};
    nb_packed *packed;
    nb_rtn_stats stats;
    assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, &stats, NULL), NB_OK);
    uint8_t codes[16 * 4];
    float row_scales[16], rows[2 * 4], outliers[2], y[2 * 3];
    nb_packed_get_int(packed, 0, codes, row_scales, NULL);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal((int)codes[i] - 128, qw[i]);
    nb_acts_buffer acts = {0};
    prepare(context, input, x, 2, rows, outliers, &acts);
    for (size_t t = 0; t < 2; t++)
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(acts.acts.blocks[t].q[k], qx[4 * t + k]);
    nb_matmul(context, packed, &acts.acts, y, 3);
    double ours = 0, theirs = 0;
    for (size_t i = 0; i < 6; i++) {
        const double f16 = (double)nb_f32_from_f16(nb_f16_from_f32(w[i % 3 * 4 + 2]));
        const double want = sums[i] * scales[i % 3] / (127 * 127) + (double)outliers[i / 3] * f16;
        assert_true(fabs((double)y[i] - want) < 1e-6);
        ours += ((double)y[i] - exact[i]) * ((double)y[i] - exact[i]);
        theirs += (of_bnb[i] - exact[i]) * (of_bnb[i] - exact[i]);
        /* theirs, but for what int8 does to the outliers' weights: half a step of them at most */
        assert_true(fabs((double)y[i] - of_bnb[i]) <= fabs((double)outliers[i / 3]) * scales[i % 3] / 254 + 1e-6);
    }
    assert_true(ours < theirs);
    float row[4];
    nb_packed_decode_row(packed, 0, row);
    assert_true(row[2] == nb_f32_from_f16(nb_f16_from_f32(.05f)));
    assert_int_equal(stats.n_zero, 0);
    nb_acts_buffer_free(&acts);
    nb_packed_destroy(&packed);
    nb_input_destroy(&input);
    nb_context_destroy(&context);
}

enum { ROWS = 75, COLS = 200, TOKENS = 41, N = 5 };

/* Every level, some numbers of tokens and threads: the definition's bits (`verify` ends the program otherwise), which
 * are the sum of an int8 product and an f32 one. */
static void levels_and_threads(void **state)
{
    (void)state;
    static float w[ROWS * COLS], x[TOKENS * COLS], rows[TOKENS * COLS], outliers[TOKENS * N], y[TOKENS * ROWS],
        want[TOKENS * ROWS], decoded[COLS];
    static const uint32_t columns[N] = {0, 31, 32, 150, COLS - 1};
    static const char *const kinds[] = {"int8 absmax/channel", "int8 zeropoint/tensor", "int4 absmax/group:32"};
    nb_input *input = input_with(COLS, columns, N);
    nb_random random;
    nb_random_seed(&random, 7);
    for (size_t i = 0; i < ROWS * COLS; i++)
        w[i] = (float)nb_random_normal(&random);
    for (size_t i = 0; i < TOKENS * COLS; i++)
        x[i] = (float)nb_random_normal(&random);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < N; i++)
            x[t * COLS + columns[i]] *= 60;
    for (size_t kind = 0; kind < 3; kind++)
        for (size_t level = 0; level < nb_kernels_count(); level++) {
            const nb_context_options options = {2, nb_kernels_at(level)->name};
            nb_context *context;
            if (nb_context_create(&options, &context, NULL) != NB_OK)
                continue; /* this CPU lacks the level */
            nb_quantizer q;
            nb_packed *packed;
            nb_acts_buffer acts = {0};
            const nb_source source = {.format = &nb_format_f32, .data = w, .n_rows = ROWS, .n_cols = COLS, .input = input};
            assert_int_equal(nb_quantizer_parse(kinds[kind], &q, NULL), NB_OK);
            assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, NULL, NULL), NB_OK);
            context->verify = true;
            for (size_t n = 1; n <= TOKENS; n += 8) {
                prepare(context, input, x, n, rows, outliers, &acts);
                nb_matmul(context, packed, &acts.acts, y, ROWS);
                if (level == 0 && n == TOKENS)
                    memcpy(want, y, sizeof want);
                else if (n == TOKENS)
                    assert_memory_equal(y, want, sizeof want);
            }
            double noise = 0, signal = 0;
            for (size_t row = 0; row < ROWS; row++) {
                nb_packed_decode_row(packed, row, decoded);
                for (size_t t = 0; t < TOKENS; t++) {
                    double sum = 0;
                    for (size_t k = 0; k < COLS; k++)
                        sum += (double)decoded[k] * (double)x[t * COLS + k];
                    noise += (sum - (double)y[t * ROWS + row]) * (sum - (double)y[t * ROWS + row]);
                    signal += sum * sum;
                }
            }
            assert_true(noise < 1e-6 * signal); /* of int8 activations without outliers alone */
            nb_acts_buffer_free(&acts);
            nb_packed_destroy(&packed);
            nb_context_destroy(&context);
        }
    nb_input_destroy(&input);
}

/* ---- a model ---- */

static nb_model *model_with_outliers(nb_context *context)
{
    const nb_synthetic shape = test_shape_of(nb_architecture_at(0));
    const nb_outlier_options outliers = {6, 64, 3};
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
    return model;
}

static double threshold_of(const nb_calibration *calibration)
{
    float most = 0;
    for (size_t i = 0; i < calibration->n_entries; i++)
        for (size_t k = 0; k < calibration->entries[i].n_cols; k++)
            most = fmaxf(most, calibration->entries[i].channel_max[k]);
    return (double)most / 8;
}

static nb_calibration *look(nb_model *model)
{
    nb_error error = {""};
    nb_calibration *calibration;
    if (nb_calibration_collect(model, test_text(), TEST_TEXT_BYTES, "words.txt", 0, false, &calibration,
                               &error) != NB_OK)
        fail_msg("%s", error.text);
    return calibration;
}

static void quantize(nb_model *model, const nb_scope *scope, const nb_calibration *calibration, const char *how,
                     double threshold, nb_activation_mode mode)
{
    nb_error error = {""};
    nb_quantizer q;
    assert_int_equal(nb_quantizer_parse(how, &q, NULL), NB_OK);
    const nb_status status =
        threshold > 0 ? nb_model_quantize_outliers(model, scope, &q, mode, calibration, threshold, NULL, &error)
                      : nb_model_quantize(model, scope, &q, NULL, &error);
    if (status != NB_OK)
        fail_msg("%s", error.text);
}

/* Far nearer to f32 than int8 alone; the same bits for any number of threads, and from a file; undone. */
static void a_model(void **state)
{
    (void)state;
    const char *how = "int8 absmax/tensor", *saved = temporary_path("saved.gguf");
    float *logits[2];
    char text[256];
    for (unsigned n_threads = 1; n_threads <= 2; n_threads++) {
        nb_context *context = test_context(NULL, n_threads);
        nb_model *model = model_with_outliers(context), *back = NULL;
        nb_scope scope;
        assert_int_equal(nb_scope_resolve(model, "all", false, &scope, NULL), NB_OK);
        nb_calibration *calibration = look(model);
        const double threshold = threshold_of(calibration);
        float *before = test_probe(model, NB_WEIGHTS_CURRENT);
        quantize(model, &scope, calibration, how, 0, NB_ACTIVATION_BLOCKS);
        const double plain = test_moved(model, NB_WEIGHTS_CURRENT, before);
        quantize(model, &scope, calibration, how, threshold, n_threads == 1 ? NB_ACTIVATION_TOKENS : NB_ACTIVATION_BLOCKS);
        quantize(model, &scope, calibration, how, threshold, NB_ACTIVATION_TOKENS);
        const double parted = test_moved(model, NB_WEIGHTS_CURRENT, before);
        assert_true(parted < plain / 2);
        logits[n_threads - 1] = test_probe(model, NB_WEIGHTS_CURRENT);

        nb_error error = {""};
        if (nb_model_save(model, saved, &error) != NB_OK ||
            nb_model_load(context, saved, &(nb_load_options){0}, &back, &error) != NB_OK)
            fail_msg("%s", error.text);
        float *again = test_probe(back, NB_WEIGHTS_CURRENT);
        assert_memory_equal(again, logits[0], nb_model_hparams(model)->n_vocab * TEST_N_LOGIT_TOKENS * sizeof *again);
        size_t n_with = 0;
        for (size_t i = 0; i < nb_model_tensor_count(model); i++) {
            const nb_tensor *a = nb_model_tensor(model, i), *b = nb_model_tensor(back, i);
            assert_int_equal(nb_tensor_n_bytes(a), nb_tensor_n_bytes(b));
            n_with += !a->is_vector && a->packed->outliers != NULL;
        }
        assert_true(n_with > 0);

        assert_true(strstr(nb_input_describe(test_tensor(model, "blk.0.attn_q")->input, text, sizeof text), "words.txt"));
        for (int i = 0; i < 2; i++)
            assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_true(test_moved(model, NB_WEIGHTS_CURRENT, before) == plain);
        assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        assert_true(test_moved(model, NB_WEIGHTS_CURRENT, before) == 0);
        free(before);
        free(again);
        nb_calibration_destroy(&calibration);
        nb_scope_free(&scope);
        nb_model_destroy(&back);
        nb_model_destroy(&model);
        nb_context_destroy(&context);
    }
    free(logits[0]);
    free(logits[1]);
}

static void refused(nb_model *model, const nb_scope *scope, const nb_calibration *calibration, const char *how,
                    double threshold, const char *word)
{
    nb_error error = {""};
    nb_quantizer q;
    assert_int_equal(nb_quantizer_parse(how, &q, NULL), NB_OK);
    assert_int_not_equal(
        nb_model_quantize_outliers(model, scope, &q, NB_ACTIVATION_BLOCKS, calibration, threshold, NULL, &error), NB_OK);
    if (!strstr(error.text, word))
        fail_msg("%s: no %s in it", error.text, word);
}

static void refuses(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = model_with_outliers(context);
    nb_scope scope, embeddings;
    nb_error error = {""};
    assert_int_equal(nb_scope_resolve(model, "attention", false, &scope, NULL), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "embeddings", false, &embeddings, NULL), NB_OK);
    nb_calibration *calibration = look(model);
    float *before = test_probe(model, NB_WEIGHTS_CURRENT);
    refused(model, &scope, calibration, "int8 absmax/channel", 0, "above 0");
    refused(model, &scope, calibration, "int8 absmax/channel", (double)NAN, "above 0");
    refused(model, &scope, calibration, "int8 absmax/channel, f32 activations", 6, "int8 activations");
    refused(model, &scope, calibration, "q8_0", 6, "int8 --per channel");
    refused(model, &scope, calibration, "nf4", 6, "int8 --per channel");
    if (!nb_model_hparams(model)->tied)
        refused(model, &embeddings, calibration, "int8 absmax/channel", 6, "looked up");
    const nb_quantizer int8 = {.format = nb_format_int(8), .scheme = NB_SCHEME_ABSMAX};
    assert_int_equal(nb_model_quantize_outliers(model, &scope, &int8, NB_ACTIVATION_STATIC, calibration, 6, NULL, &error),
                     NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "follow the token"));
    for (long n = 1; n < 12; n++) { /* memory */
        nb_memory_fail_after(n);
        const nb_status status =
            nb_model_quantize_outliers(model, &scope, &int8, NB_ACTIVATION_BLOCKS, calibration, threshold_of(calibration), NULL, &error);
        nb_memory_fail_after(0);
        if (status == NB_OK)
            assert_int_equal(nb_model_undo(model, NULL), NB_OK);
        else
            assert_int_equal(status, NB_ERR_MEMORY);
    }
    assert_true(test_moved(model, NB_WEIGHTS_CURRENT, before) == 0);
    /* Below every activation: plain f16. Beyond all of them: plain int8. */
    quantize(model, &scope, calibration, "int8 absmax/channel", 1e-30, NB_ACTIVATION_BLOCKS);
    for (size_t i = 0; i < scope.count; i++)
        assert_ptr_equal(nb_model_tensor(model, scope.tensors[i])->quantizer.format, &nb_format_f16);
    quantize(model, &scope, calibration, "int8 absmax/channel", 1e9, NB_ACTIVATION_BLOCKS);
    for (size_t i = 0; i < scope.count; i++)
        assert_null(nb_model_tensor(model, scope.tensors[i])->packed->outliers);
    free(before);
    nb_calibration_destroy(&calibration);
    nb_scope_free(&scope);
    nb_scope_free(&embeddings);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

typedef struct parting {
    nb_scope scope;
    nb_calibration *calibration;
} parting;

static nb_status part_again(nb_model *model, void *user, nb_error *error)
{
    const parting *p = user;
    nb_quantizer q;
    assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &q, NULL), NB_OK);
    return nb_model_quantize_outliers(model, &p->scope, &q, NB_ACTIVATION_TOKENS, p->calibration,
                                      threshold_of(p->calibration), NULL, error);
}

static void a_stopped_one_changes_nothing(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = model_with_outliers(context);
    parting p = {.calibration = look(model)};
    assert_int_equal(nb_scope_resolve(model, "all", false, &p.scope, NULL), NB_OK);
    test_quantize(model, "mlp", "int4 absmax/group:32");
    assert_true(test_cancel_everywhere(model, part_again, &p, 1, 1) > 10);
    nb_calibration_destroy(&p.calibration);
    nb_scope_free(&p.scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(levels_and_threads),
        cmocka_unit_test(a_model),
        cmocka_unit_test(refuses),
        cmocka_unit_test(a_stopped_one_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
