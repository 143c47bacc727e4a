/* AWQ: the search on the paper's formula, the groups of every architecture, and that the function stays. */
#include "quant/awq_parts.h"
#include "tests/support/temporary.h"
#include "tests/support/transforms.h"

#include "base/memory.h"
#include "eval/activations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

/* The same layer as ffn_down of a model: what flows into it is averaged, [5, .15, .45, .25], and the search
 * is that of any model. Factors are the same for all multiples of the means, which are looked at in
 * proportion. */
static void a_models_layer_finds_them_too(void **state)
{
    (void)state;
    static const float w[] = {0.5f, -1, 0.25f, 0.75f, 1, 0.1f, -0.6f, 0.2f};
    static const float x[] = {4, 0.1f, 0.5f, 0.2f, -6, 0.2f, 0.4f, -0.3f};
    static const double x_mean[] = {5, 0.15, 0.45, 0.25};
    static const float expected[] = {4.0658514f, 0.2459509f, 0.5923051f, 0.3701072f};
    enum { N_TOKENS = 2, N_ROWS = 2, N_COLS = 4 };
    const nb_synthetic shape = {.n_layers = 1, .n_embd = N_ROWS, .n_heads = 1, .n_kv_heads = 1,
                                .n_ff = N_COLS, .n_vocab = 260, .n_ctx = 8, .seed = 1};
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_tensor *up = (nb_tensor *)(uintptr_t)test_tensor(model, "blk.0.ffn_up"),
              *down = (nb_tensor *)(uintptr_t)test_tensor(model, "blk.0.ffn_down");
    assert_true(down->n_rows == N_ROWS && down->n_cols == N_COLS);
    down->source = w;
    nb_packed_set_float(down->packed, 0, w, N_COLS * sizeof *w);
    const char *const quantizer = "int4 zeropoint/channel, f32 activations, f32 scales";
    const nb_awq_options options = {quantizer_of(quantizer), false};
    bool *in_scope = calloc(nb_model_tensor_count(model), sizeof *in_scope);
    const size_t at = (size_t)(down - model->tensors), before = (size_t)(up - model->tensors);
    in_scope[at] = true;
    float scaled[N_TOKENS * N_COLS], output[N_TOKENS * N_ROWS], reference[N_TOKENS * N_ROWS];
    double losses[N_TOKENS];
    nb_awq_run run = {.model = model, .options = &options, .in_scope = in_scope, .n_tokens = N_TOKENS,
                      .n_embd = N_ROWS, .scaled = scaled, .output = output, .reference = reference,
                      .losses = losses};
    const nb_awq_part part = {.readers = {down}, .n_readers = 1, .previous = up, .n_cols = N_COLS,
                              .n_scales = N_COLS, .x = x};
    nb_awq_group group = {0};
    nb_error error = {""};
    assert_int_equal(nb_rewrite_begin(&run.rewrite, model, "awq-scale", &error), NB_OK);
    if (nb_awq_search_part(&run, &part, &group, &error) != NB_OK)
        fail_msg("%s", error.text);
    assert_int_equal(group.tensor, at);
    assert_int_equal(group.choice.step, 16);
    assert_float_equal(group.choice.rounded, 0.03602003, 1e-6);
    assert_float_equal(group.choice.scaled, 0.0020342289, 1e-6);
    const float *columns = run.rewrite.parts[at].columns, *rows = run.rewrite.parts[before].rows;
    for (size_t i = 0; i < N_COLS; i++) {
        assert_float_equal(columns[i], expected[i], 1e-6);
        assert_float_equal(rows[i], 1 / expected[i], 1e-5);
        const double mean = x_mean[1] * pow((double)(columns[i] / columns[1]), 20.0 / 16);
        assert_float_equal(mean, x_mean[i], 2e-6 * x_mean[i]);
    }
    nb_rewrite_free(&run.rewrite);
    nb_acts_buffer_free(&run.acts);
    free(in_scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
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

/* Means of |x| of what flows into a matrix, over the samples: n_means of them, which is fewer than it has
 * columns where heads share theirs. */
static void average(nb_model *model, size_t tensor, const nb_samples *samples, size_t n_means, float *means)
{
    const nb_hparams *h = nb_model_hparams(model);
    const size_t n_cols = nb_model_tensor(model, tensor)->n_cols, shared = n_cols / n_means;
    float *x = calloc(samples->longest * n_cols, sizeof *x);
    double sums[128] = {0};
    assert_true(n_means <= 128);
    for (size_t s = 0; s < samples->n_sequences; s++) {
        const size_t n = nb_samples_length(samples, s);
        assert_int_equal(
            nb_activations_collect(model, tensor, samples->tokens + samples->begins[s], n, x, NULL), NB_OK);
        for (size_t i = 0; i < n * n_cols; i++) {
            const size_t c = i % n_cols, head = c / h->head_size / shared;
            sums[shared > 1 ? head * h->head_size + c % h->head_size : c] += fabs((double)x[i]);
        }
    }
    for (size_t i = 0; i < n_means; i++)
        means[i] = (float)(sums[i] / (double)(nb_samples_n_tokens(samples) * shared));
    free(x);
}

/* What a model's columns are multiplied by: the formula, of the mean activations as a session sees them and
 * the step that was chosen. Heads that share keys and values share factors. */
static void factors_are_of_the_mean_activations(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const nb_outlier_options outliers = {16, 64, 3};
    assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, NULL), NB_OK);
    nb_samples samples = test_samples(model, 400); /* as scale() has them */
    nb_awq_group groups[8];
    size_t n_groups, n_scaled = 0;
    float means[8][128];
    scale(model, "all", "int3 zeropoint/group:32", false, groups, &n_groups);
    assert_int_equal(nb_model_undo(model, NULL), NB_OK);
    for (size_t i = 0; i < n_groups; i++) {
        const nb_tensor *t = nb_model_tensor(model, groups[i].tensor);
        average(model, groups[i].tensor, &samples, strstr(t->name, "attn_output") ? 24 : t->n_cols, means[i]);
    }
    nb_awq_group again[8];
    scale(model, "all", "int3 zeropoint/group:32", false, again, &n_groups);
    for (size_t i = 0; i < n_groups; i++) {
        const nb_tensor *t = nb_model_tensor(model, groups[i].tensor);
        const bool shares = strstr(t->name, "attn_output") != NULL;
        float s[128];
        assert_int_equal(again[i].choice.step, groups[i].choice.step);
        nb_awq_scales(means[i], NULL, shares ? 24 : t->n_cols, groups[i].choice.step / 20.0, s);
        n_scaled += groups[i].choice.step > 0;
        for (size_t c = 0; c < t->n_cols; c++)
            assert_float_equal(t->transforms->columns[c] / s[shares ? c / 24 * 12 + c % 12 : c], 1, 1e-6);
    }
    assert_true(n_scaled > 4);
    nb_samples_free(&samples);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

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

/* Scaled, then rounded to nearest: AWQ without its search for ranges, on try_awq's samples. */
static void scale_and_round(nb_model *model, const char *quantizer)
{
    const nb_awq_options options = {quantizer_of(quantizer), false};
    nb_error error = {""};
    nb_awq_group groups[8];
    size_t n_groups;
    nb_scope scope;
    nb_samples samples = test_samples(model, 200);
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    assert_int_equal(nb_model_awq_scale(model, &scope, &samples, &options, groups, &n_groups, &error), NB_OK);
    test_quantize(model, "all", quantizer);
    nb_scope_free(&scope);
    nb_samples_free(&samples);
}

/* Rows in which a tensor of two models differs. */
static size_t n_rows_apart(const nb_model *a, const nb_model *b, const char *name)
{
    const nb_tensor *x = test_tensor(a, name), *y = test_tensor(b, name);
    float one[128], other[128];
    size_t n = 0;
    assert_true(x->n_cols <= 128 && x->n_rows == y->n_rows);
    for (size_t r = 0; r < x->n_rows; r++) {
        nb_tensor_current_row(x, r, one);
        nb_tensor_current_row(y, r, other);
        n += memcmp(one, other, x->n_cols * sizeof *one) != 0;
    }
    return n;
}

/* A score is a product of queries and keys: their ranges stay, while others' become smaller. */
static void queries_and_keys_keep_their_ranges(void **state)
{
    (void)state;
    static const char quantizer[] = "int3 zeropoint/group:32";
    static const char *const others[] = {"attn_v", "attn_output", "ffn_up", "ffn_down"};
    nb_context *context = test_context(NULL, 2);
    for (size_t a = 0; a < nb_architecture_count(); a++) {
        const nb_synthetic shape = test_shape_of(nb_architecture_at(a));
        nb_model *model = test_model(context, &shape, &nb_format_f32);
        nb_model *apart = test_model(context, &shape, &nb_format_f32);
        nb_error error = {""};
        if (try_awq(model, "all", quantizer, NULL, &error) != NB_OK)
            fail_msg("%s", error.text);
        scale_and_round(apart, quantizer);
        const bool together = nb_model_find_tensor(model, "blk.0.attn_qkv") >= 0;
        for (int layer = 0; layer < 2; layer++) {
            char name[32];
            for (size_t i = 0; i < (together ? 1 : 2); i++) {
                snprintf(name, sizeof name, "blk.%d.attn_%s", layer, together ? "qkv" : i == 0 ? "q" : "k");
                assert_true(test_tensor(model, name)->changed);
                if (n_rows_apart(model, apart, name) != 0)
                    fail_msg("%s: %s was clipped", shape.architecture, name);
            }
            for (size_t i = together; i < 4; i++) {
                snprintf(name, sizeof name, "blk.%d.%s", layer, others[i]);
                const bool clipped = n_rows_apart(model, apart, name) > 0;
                if (clipped == !test_tensor(model, name)->transforms) /* none without factors */
                    fail_msg("%s: %s was %sclipped", shape.architecture, name, clipped ? "" : "not ");
            }
        }
        nb_model_destroy(&model);
        nb_model_destroy(&apart);
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
        scale_and_round(apart, quantizers[i]);
        assert_int_equal(test_state(model), test_state(apart));
        nb_model_destroy(&model);
        nb_model_destroy(&apart);
    }
    nb_context_destroy(&context);
}

/* ---- trouble ---- */

static nb_status scale_again(nb_model *model, void *user, nb_error *error)
{
    (void)user;
    return try_scale(model, "all", "int4 absmax/channel", false, NULL, NULL, error);
}

static nb_status store_again(nb_model *model, void *user, nb_error *error)
{
    (void)user;
    return try_awq(model, "all", "int4 absmax/channel", NULL, error);
}

static void trouble_changes_nothing(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    test_quantize(model, "blk.0.ffn_*", "int8 absmax/channel");
    const uint64_t before = test_state(model);
    assert_true(test_cancel_everywhere(model, scale_again, NULL, 13, 1) > 50);
    assert_true(test_cancel_everywhere(model, store_again, NULL, 13, 1) > 30);
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
        cmocka_unit_test(a_models_layer_finds_them_too),
        cmocka_unit_test(factors_are_what_the_formula_says),
        cmocka_unit_test(no_loss_is_said),
        cmocka_unit_test(factors_are_of_the_mean_activations),
        cmocka_unit_test(the_function_stays),
        cmocka_unit_test(quantizing_loses_less),
        cmocka_unit_test(a_scope_is_kept),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(storing_is_one_change),
        cmocka_unit_test(queries_and_keys_keep_their_ranges),
        cmocka_unit_test(other_formats_are_scaled_alone),
        cmocka_unit_test(trouble_changes_nothing),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("awq", tests, NULL, NULL);
}
