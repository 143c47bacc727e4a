/* What a calibration records, against the activations themselves; and what is made of it. */
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"
#include "tests/support/transforms.h"

#include "base/memory.h"
#include "eval/activations.h"
#include "files/gguf.h"
#include "quant/calibration.h"
#include "quant/transaction.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_calibration *calibrate_with(nb_model *model, bool by_channel)
{
    nb_error error = {""};
    nb_calibration *made;
    if (nb_calibration_collect(model, test_text(), TEST_TEXT_BYTES, "some.txt", 0, by_channel, &made,
                               &error) != NB_OK)
        fail_msg("%s", error.text);
    return made;
}

static nb_calibration *calibrate(nb_model *model)
{
    return calibrate_with(model, false);
}

/* What flows into the tensor, all tokens, as another observer copies it: allocated. */
static float *copy_activations(nb_model *model, size_t tensor, size_t *n_tokens)
{
    const size_t n_cols = model->tensors[tensor].n_cols;
    nb_samples samples = test_samples(model, 0);
    float *x = calloc(nb_samples_n_tokens(&samples) * n_cols, sizeof *x);
    assert_non_null(x);
    for (size_t s = 0; s < samples.n_sequences; s++)
        assert_int_equal(nb_activations_collect(model, tensor, samples.tokens + samples.begins[s],
                                                nb_samples_length(&samples, s), x + samples.begins[s] * n_cols, NULL),
                         NB_OK);
    *n_tokens = nb_samples_n_tokens(&samples);
    nb_samples_free(&samples);
    return x;
}

static void check_channels(const nb_calibration_entry *e, const float *x, size_t n_tokens)
{
    for (size_t j = 0; j < e->n_cols; j++) {
        double sum = 0.0, square = 0.0;
        float largest = 0.0f;
        for (size_t t = 0; t < n_tokens; t++) {
            const float a = fabsf(x[t * e->n_cols + j]);
            largest = fmaxf(largest, a);
            sum += (double)a;
            square += (double)a * (double)a;
        }
        assert_true(e->channel_max[j] == largest);
        assert_true(e->channel_mean[j] == (float)(sum / (double)n_tokens));
        assert_true(e->channel_square[j] == (float)(square / (double)n_tokens));
    }
}

static void check_bins(const nb_calibration_entry *e, const float *x, size_t n)
{
    uint64_t bins[NB_OBSERVER_BINS] = {0};
    const double reach = e->width * NB_OBSERVER_BINS, largest = (double)fmaxf(-e->low, e->high);
    assert_true(largest < reach && largest >= reach / 2.0);
    for (size_t i = 0; i < n; i++)
        bins[(size_t)((double)fabsf(x[i]) / e->width)]++;
    assert_memory_equal(bins, e->bins, sizeof bins);
}

static void check_range(const nb_calibration_entry *e, const float *x, const nb_samples *samples)
{
    double ema_low = 0.0, ema_high = 0.0, low = 0.0, high = 0.0;
    for (size_t s = 0; s < samples->n_sequences; s++) {
        double least = INFINITY, most = -INFINITY;
        for (size_t i = samples->begins[s] * e->n_cols; i < samples->begins[s + 1] * e->n_cols; i++) {
            least = fmin(least, (double)x[i]);
            most = fmax(most, (double)x[i]);
        }
        ema_low = s == 0 ? least : ema_low + 0.01 * (least - ema_low);
        ema_high = s == 0 ? most : ema_high + 0.01 * (most - ema_high);
        low = s == 0 ? least : fmin(low, least);
        high = s == 0 ? most : fmax(high, most);
    }
    assert_true((double)e->low == low && (double)e->high == high);
    assert_true(e->ema_low == ema_low && e->ema_high == ema_high);
}

/* A channel's moving average, from the activations of each sequence. */
static double ema_reach(const nb_calibration_entry *e, size_t channel, const float *x,
                        const nb_samples *samples)
{
    double low = 0.0, high = 0.0;
    for (size_t s = 0; s < samples->n_sequences; s++) {
        double least = INFINITY, most = -INFINITY;
        for (size_t t = samples->begins[s]; t < samples->begins[s + 1]; t++) {
            least = fmin(least, (double)x[t * e->n_cols + channel]);
            most = fmax(most, (double)x[t * e->n_cols + channel]);
        }
        low = s == 0 ? least : low + 0.01 * (least - low);
        high = s == 0 ? most : high + 0.01 * (most - high);
    }
    assert_true(e->channel_ema_low[channel] == low && e->channel_ema_high[channel] == high);
    return fmax(-low, high);
}

/* Each channel's reach by each observer, from its activations alone. */
static void check_channel_reaches(const nb_calibration_entry *e, const float *x, const nb_samples *samples,
                                  nb_pool *pool)
{
    const size_t n_tokens = nb_samples_n_tokens(samples);
    float *reaches = calloc(e->n_cols, sizeof *reaches), *column = calloc(n_tokens, sizeof *column);
    assert_true(reaches && column);
    for (int o = 0; o < NB_OBSERVERS; o++) {
        nb_calibration_reach_channels(e, (nb_observer)o, pool, reaches);
        for (size_t j = 0; j < e->n_cols; j++) {
            nb_channel_histograms *own = nb_channel_histograms_create(1);
            double want = (double)e->channel_max[j];
            for (size_t t = 0; t < n_tokens; t++)
                column[t] = x[t * e->n_cols + j];
            nb_channel_histograms_count(own, 0, 1, column, n_tokens, 1);
            assert_memory_equal(own->bins, e->histograms->bins + j * NB_OBSERVER_CHANNEL_BINS,
                                NB_OBSERVER_CHANNEL_BINS * sizeof *own->bins);
            if (o == NB_OBSERVER_EMA)
                want = fmin(want, ema_reach(e, j, x, samples));
            else if (o != NB_OBSERVER_MINMAX && want > 0.0)
                want = fmin(want, nb_channel_histogram_reach(own, 0, (nb_observer)o, 127));
            assert_true(reaches[j] == (float)want);
            nb_channel_histograms_destroy(&own);
        }
    }
    free(column);
    free(reaches);
}

static void each_channel_has_its_reach(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate_with(model, true);
    nb_samples samples = test_samples(model, 0);
    for (size_t i = 0; i < c->n_entries; i++) {
        size_t n_tokens;
        float *x = copy_activations(model, c->entries[i].tensors[0], &n_tokens);
        check_channel_reaches(&c->entries[i], x, &samples, context->pool);
        free(x);
    }
    nb_samples_free(&samples);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Scales are the reaches; what is beyond its channel's is clipped, and counted. */
static void channels_clip_beyond_their_reach(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate_with(model, true);
    const size_t index = (size_t)nb_model_find_tensor(model, "blk.0.attn_q");
    nb_calibration_entry *e = (nb_calibration_entry *)nb_calibration_find(c, index);
    nb_error error = {""};
    nb_scope scope;
    nb_samples samples = test_samples(model, 0);
    size_t n_tokens;
    float *x = copy_activations(model, index, &n_tokens), *reaches = calloc(e->n_cols, sizeof *reaches);
    assert_int_equal(nb_scope_resolve(model, "blk.0.attn_q", false, &scope, &error), NB_OK);
    test_quantize(model, "blk.0.attn_q", "int8 absmax/channel");
    e->channel_max[5] = 0.0f; /* as if nothing had been seen */
    for (int o = 0; o < NB_OBSERVERS; o++) {
        nb_calibration_reach_channels(e, (nb_observer)o, context->pool, reaches);
        assert_int_equal(nb_model_activate(model, &scope, NB_ACTIVATION_CHANNELS, c, (nb_observer)o, &error),
                         NB_OK);
        const nb_tensor *t = &model->tensors[index];
        assert_non_null(strstr(t->input->what, o == NB_OBSERVER_MINMAX ? "each channel's largest of some.txt"
                                                                       : nb_observer_name((nb_observer)o)));
        float all = 0.0f;
        for (size_t j = 0; j < e->n_cols; j++)
            all = fmaxf(all, reaches[j]);
        assert_true(t->input->scale == all / 127.0f && reaches[5] == 0.0f);
        reaches[5] = all;
        for (size_t j = 0; j < e->n_cols; j++)
            assert_true(t->input->scales[j] == reaches[j] / all);
        for (size_t s = 0; s < samples.n_sequences; s++)
            free(test_logits(model, NB_WEIGHTS_CURRENT, samples.tokens + samples.begins[s],
                             nb_samples_length(&samples, s)));
        size_t least = 0, most = 0;
        for (size_t i = 0; i < n_tokens * e->n_cols; i++) {
            const double steps = 127.0 * fabs((double)x[i]) / (double)reaches[i % e->n_cols];
            least += steps > 127.5 * (1 + 1e-5);
            most += steps > 127.5 * (1 - 1e-5);
        }
        assert_int_equal(t->n_static, n_tokens * e->n_cols);
        assert_true(t->n_clipped >= least && t->n_clipped <= most);
        assert_true(o == NB_OBSERVER_EMA ? least > 0 : o == NB_OBSERVER_MINMAX ? most == 0 : true);
    }
    nb_scope_free(&scope);
    nb_samples_free(&samples);
    free(reaches);
    free(x);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void it_records_what_flows(void **state)
{
    (void)state;
    for (size_t a = 0; a < nb_architecture_count(); a++) {
        const nb_synthetic shape = test_shape_of(nb_architecture_at(a));
        nb_context *context = test_context(NULL, 2);
        nb_model *model = test_model(context, &shape, &nb_format_f32);
        nb_calibration *c = calibrate(model);
        nb_samples samples = test_samples(model, 0);
        assert_true(c->n_tokens > 100 && c->n_sequences == samples.n_sequences);
        for (size_t i = 0; i < c->n_entries; i++) {
            size_t n_tokens;
            const nb_calibration_entry *e = &c->entries[i];
            float *x = copy_activations(model, e->tensors[0], &n_tokens);
            assert_int_equal(e->n_tokens, n_tokens);
            check_channels(e, x, n_tokens);
            check_range(e, x, &samples);
            check_bins(e, x, n_tokens * e->n_cols);
            assert_true(e->n_rows > 1 && e->n_rows <= NB_CALIBRATION_ROWS);
            assert_memory_equal(e->rows, x, e->n_cols * sizeof *x);
            free(x);
        }
        for (size_t i = 0; i < model->n_tensors; i++)
            if (!model->tensors[i].is_vector && model->tensors[i].layer >= 0)
                assert_non_null(nb_calibration_find(c, i));
        assert_non_null(nb_calibration_find(c, (size_t)(model->frame.head - model->tensors)));
        nb_samples_free(&samples);
        nb_calibration_destroy(&c);
        nb_model_destroy(&model);
        nb_context_destroy(&context);
    }
}

static void who_reads_the_same_shares_an_entry(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate(model);
    const size_t q = (size_t)nb_model_find_tensor(model, "blk.1.attn_q"), v = (size_t)nb_model_find_tensor(model, "blk.1.attn_v"),
                 down = (size_t)nb_model_find_tensor(model, "blk.1.ffn_down");
    assert_ptr_equal(nb_calibration_find(c, q), nb_calibration_find(c, v));
    assert_ptr_not_equal(nb_calibration_find(c, q), nb_calibration_find(c, down));
    assert_int_equal(c->n_entries, 2 * 4 + 1);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* On every level, with any number of threads. */
static void the_same_bits_everywhere(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    uint64_t first = 0, first_by_channel[NB_OBSERVERS] = {0};
    nb_error error = {""};
    for (size_t level = 0; level < nb_kernels_count(); level++)
        for (unsigned threads = 1; test_level(level) && threads <= 3; threads++) {
            nb_context *context = test_context(test_level(level), threads);
            nb_model *model = test_model(context, &shape, &nb_format_f32);
            nb_calibration *c = calibrate_with(model, true);
            nb_scope scope;
            nb_quantizer quantizer;
            assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
            assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &quantizer, &error), NB_OK);
            assert_int_equal(nb_model_quantize_activated(model, &scope, &quantizer, NULL, NB_ACTIVATION_STATIC, c,
                                                         NB_OBSERVER_MSE, NULL, &error),
                             NB_OK);
            first = first ? first : test_state(model);
            assert_int_equal(test_state(model), first);
            for (int o = 0; o < NB_OBSERVERS; o++) {
                uint64_t *same = &first_by_channel[o];
                assert_int_equal(
                    nb_model_activate(model, &scope, NB_ACTIVATION_CHANNELS, c, (nb_observer)o, &error),
                    NB_OK);
                *same = *same ? *same : test_state(model);
                assert_int_equal(test_state(model), *same);
            }
            nb_scope_free(&scope);
            nb_calibration_destroy(&c);
            nb_model_destroy(&model);
            nb_context_destroy(&context);
        }
}

static void observers_agree_with_the_activations(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate(model);
    const nb_calibration_entry *e = &c->entries[0];
    size_t n_tokens, beyond = 0;
    float *x = copy_activations(model, e->tensors[0], &n_tokens);
    assert_true(nb_calibration_reach(e, NB_OBSERVER_MINMAX) == fmaxf(-e->low, e->high));
    const float percentile = nb_calibration_reach(e, NB_OBSERVER_PERCENTILE);
    for (size_t i = 0; i < n_tokens * e->n_cols; i++)
        beyond += fabsf(x[i]) > percentile; /* a token that comes again brings the same numbers */
    assert_true((double)beyond <= 1e-4 * (double)(n_tokens * e->n_cols) + 1.0);
    for (int o = 0; o < NB_OBSERVERS; o++) {
        const float reach = nb_calibration_reach(e, (nb_observer)o);
        assert_true(reach > 0.0f && reach <= nb_calibration_reach(e, NB_OBSERVER_MINMAX));
    }
    free(x);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

enum { N_READ = 12 };

/* The logits of the text's first tokens: beyond what was calibrated with, static scales clip. */
static float *read_text(nb_model *model)
{
    nb_samples samples = test_samples(model, 0);
    float *logits = test_logits(model, NB_WEIGHTS_CURRENT, samples.tokens, N_READ);
    nb_samples_free(&samples);
    return logits;
}

static double moved_by(nb_model *model, const char *quantizer_text, nb_activation_mode mode, const nb_calibration *c,
                       const float *before)
{
    nb_error error = {""};
    nb_scope scope;
    nb_quantizer quantizer;
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    assert_int_equal(nb_quantizer_parse(quantizer_text, &quantizer, &error), NB_OK);
    if (nb_model_quantize_activated(model, &scope, &quantizer, NULL, mode, c, NB_OBSERVER_MINMAX, NULL, &error) != NB_OK)
        fail_msg("%s", error.text);
    nb_scope_free(&scope);
    float *after = read_text(model);
    double moved = 0.0, largest = 0.0;
    for (size_t i = 0; i < N_READ * model->hparams.n_vocab; i++) {
        moved = fmax(moved, fabs((double)after[i] - (double)before[i]));
        largest = fmax(largest, fabs((double)before[i]));
    }
    free(after);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    return moved / largest;
}

/* Each mode computes with 8 bits what f32 does within their error; and undo takes it back. */
static void every_mode_runs(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const uint64_t as_loaded = test_state(model);
    nb_calibration *c = calibrate(model);
    float *before = read_text(model);
    for (int mode = 0; mode <= NB_ACTIVATION_CHANNELS; mode++) {
        const double moved = moved_by(model, "int8 absmax/channel", (nb_activation_mode)mode, c, before);
        assert_true(moved > 0.0 && moved < 0.06);
    }
    assert_int_equal(test_state(model), as_loaded);
    free(before);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Activations of what is stored already: the codes stay, the input changes, and what must round again does. */
static void stored_tensors_take_a_mode(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32), *at_once = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate(model);
    nb_error error = {""};
    nb_scope scope;
    nb_quantizer quantizer;
    assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &quantizer, &error), NB_OK);
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    assert_int_equal(nb_model_activate(model, &scope, NB_ACTIVATION_TOKENS, NULL, NB_OBSERVER_MSE, &error), NB_ERR_ARGUMENT);
    test_quantize(model, "all", "int8 absmax/channel");
    const uint64_t before = test_state(model);
    for (int mode = NB_ACTIVATION_TOKENS; mode <= NB_ACTIVATION_CHANNELS; mode++) {
        assert_int_equal(nb_model_activate(model, &scope, (nb_activation_mode)mode, c, NB_OBSERVER_EMA, &error), NB_OK);
        assert_int_equal(nb_model_quantize_activated(at_once, &scope, &quantizer, NULL, (nb_activation_mode)mode, c,
                                                     NB_OBSERVER_EMA, NULL, &error),
                         NB_OK);
        assert_int_equal(test_state(model), test_state(at_once));
        assert_int_not_equal(test_state(model), before);
    }
    assert_int_equal(nb_model_activate(model, &scope, NB_ACTIVATION_BLOCKS, NULL, NB_OBSERVER_EMA, &error), NB_OK);
    assert_int_equal(test_state(model), before);
    nb_scope_free(&scope);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_model_destroy(&at_once);
    nb_context_destroy(&context);
}

static void failing_memory_changes_nothing(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const uint64_t before = test_state(model);
    nb_calibration *c = NULL;
    nb_scope scope;
    nb_quantizer quantizer;
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status != NB_OK; n++) {
        nb_error error = {""};
        nb_memory_fail_after(n);
        status = nb_calibration_collect(model, test_text(), 300, "some.txt", 64, true, &c, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && *error.text && !c));
    }
    assert_int_equal(test_state(model), before);
    assert_int_equal(nb_scope_resolve(model, "mlp", false, &scope, NULL), NB_OK);
    assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &quantizer, NULL), NB_OK);
    status = NB_ERR_MEMORY;
    for (long n = 1; status != NB_OK; n++) {
        nb_error error = {""};
        nb_memory_fail_after(n);
        status = nb_model_quantize_activated(model, &scope, &quantizer, NULL, NB_ACTIVATION_CHANNELS, c,
                                             NB_OBSERVER_MINMAX, NULL, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && *error.text));
        if (status != NB_OK)
            assert_int_equal(test_state(model), before);
    }
    nb_scope_free(&scope);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static nb_status collect_again(nb_model *model, void *user, nb_error *error)
{
    (void)user;
    nb_calibration *c = NULL;
    const nb_status status =
        nb_calibration_collect(model, test_text(), TEST_TEXT_BYTES, "some.txt", 400, true, &c, error);
    assert_true((c == NULL) == (status != NB_OK));
    nb_calibration_destroy(&c);
    return status;
}

/* A calibration that is stopped keeps nothing, and leaves nobody watching the model. */
static void cancel_keeps_nothing(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    test_quantize(model, "mlp", "int4 absmax/group:32");
    assert_true(test_cancel_everywhere(model, collect_again, NULL, 1, 0) > 5);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

typedef struct setting {
    const nb_scope *scope;
    const nb_calibration *calibration;
} setting;

static nb_status set_channels(nb_model *model, void *user, nb_error *error)
{
    const setting *s = user;
    return nb_model_activate(model, s->scope, NB_ACTIVATION_CHANNELS, s->calibration, NB_OBSERVER_MSE, error);
}

/* Nor does a change that is stopped while it looks at channels. */
static void cancel_changes_nothing(void **state)
{
    (void)state;
    nb_error error;
    nb_scope scope;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate_with(model, true);
    test_quantize(model, "all", "int8 absmax/channel");
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    assert_true(test_cancel_everywhere(model, set_channels, &(setting){&scope, c}, 3, 1) > 5);
    nb_scope_free(&scope);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate(model), *none = NULL;
    const uint64_t before = test_state(model);
    nb_error error = {""};
    nb_scope scope;
    nb_quantizer int8, f16;
    assert_int_equal(nb_scope_resolve(model, "all", false, &scope, &error), NB_OK);
    assert_int_equal(nb_quantizer_parse("int8 absmax/channel", &int8, &error), NB_OK);
    assert_int_equal(nb_quantizer_parse("f16", &f16, &error), NB_OK);
    assert_int_equal(nb_calibration_collect(model, "a", 1, "a.txt", 0, false, &none, &error),
                     NB_ERR_ARGUMENT);
    assert_null(none);
    assert_int_equal(nb_model_quantize_activated(model, &scope, &int8, NULL, NB_ACTIVATION_CHANNELS, c,
                                                 NB_OBSERVER_ENTROPY, NULL, &error),
                     NB_ERR_STATE);
    assert_non_null(strstr(error.text, "static:channel by entropy"));
    assert_non_null(strstr(error.text, "calibrate --channels"));
    assert_int_equal(nb_model_quantize_activated(model, &scope, &int8, NULL, NB_ACTIVATION_STATIC, NULL,
                                                 NB_OBSERVER_MSE, NULL, &error),
                     NB_ERR_STATE);
    assert_int_equal(nb_model_quantize_activated(model, &scope, &f16, NULL, NB_ACTIVATION_TOKENS, NULL,
                                                 NB_OBSERVER_MSE, NULL, &error),
                     NB_ERR_ARGUMENT);
    assert_int_equal(test_state(model), before);
    const nb_outlier_options outliers = {.n_channels = 2, .gain = 8, .seed = 1};
    assert_int_equal(nb_model_inject_outliers(model, &outliers, NULL, &error), NB_OK);
    assert_int_equal(nb_model_quantize_activated(model, &scope, &int8, NULL, NB_ACTIVATION_STATIC, c,
                                                 NB_OBSERVER_MSE, NULL, &error),
                     NB_ERR_STATE);
    assert_non_null(strstr(error.text, "calibrate again"));
    nb_scope_free(&scope);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A weight that is infinite makes activations that are no numbers. */
static void activations_that_are_no_numbers_are_refused(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *none = NULL;
    nb_error error = {""};
    nb_tensor *norm = &model->tensors[nb_model_find_tensor(model, "blk.1.attn_norm")];
    norm->vector[7] = NAN;
    assert_int_equal(
        nb_calibration_collect(model, test_text(), TEST_TEXT_BYTES, "some.txt", 0, false, &none, &error),
        NB_ERR_STATE);
    assert_non_null(strstr(error.text, "channel 7"));
    assert_null(none);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void check_loaded(const nb_calibration *c, const nb_calibration *loaded)
{
    assert_string_equal(loaded->text, "some.txt");
    assert_true(loaded->text_digest == c->text_digest && loaded->n_tokens == c->n_tokens);
    assert_int_equal(loaded->n_entries, c->n_entries);
    assert_int_equal(loaded->by_channel, c->by_channel);
    for (size_t i = 0; i < c->n_entries; i++) {
        const nb_calibration_entry *a = &c->entries[i], *b = &loaded->entries[i];
        assert_int_equal(a->n_tensors, b->n_tensors);
        assert_memory_equal(a->tensors, b->tensors, a->n_tensors * sizeof *a->tensors);
        assert_memory_equal(a->bins, b->bins, NB_OBSERVER_BINS * sizeof *a->bins);
        assert_memory_equal(a->channel_square, b->channel_square, a->n_cols * sizeof(float));
        assert_memory_equal(a->channel_ema_low, b->channel_ema_low, a->n_cols * sizeof(double));
        assert_memory_equal(a->channel_ema_high, b->channel_ema_high, a->n_cols * sizeof(double));
        assert_int_equal(a->n_rows, b->n_rows);
        assert_memory_equal(a->rows, b->rows, a->n_rows * a->n_cols * sizeof(float));
        for (int o = 0; o < NB_OBSERVERS; o++)
            assert_true(nb_calibration_reach(a, (nb_observer)o) == nb_calibration_reach(b, (nb_observer)o));
        assert_true(!a->histograms == !c->by_channel && !b->histograms == !c->by_channel);
        if (!c->by_channel)
            continue;
        assert_memory_equal(a->histograms->bins, b->histograms->bins,
                            a->n_cols * NB_OBSERVER_CHANNEL_BINS * sizeof(uint32_t));
        assert_memory_equal(a->histograms->bins_per_unit, b->histograms->bins_per_unit,
                            a->n_cols * sizeof(float));
    }
}

static void a_file_holds_it(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    for (int by_channel = 0; by_channel < 2; by_channel++) {
        nb_calibration *c = calibrate_with(model, by_channel), *loaded = NULL;
        nb_error error = {""};
        const char *path = temporary_path("some.calibration");
        assert_int_equal(nb_calibration_save(c, model, path, &error), NB_OK);
        if (nb_calibration_load(model, path, &loaded, &error) != NB_OK)
            fail_msg("%s", error.text);
        check_loaded(c, loaded);
        nb_calibration_destroy(&loaded);
        size_t size;
        uint8_t *bytes = read_whole_file(path, &size);
        for (size_t cut = 1; cut < size; cut += size / 37) {
            const char *shorter = temporary_file("cut.calibration", bytes, cut);
            assert_int_not_equal(nb_calibration_load(model, shorter, &loaded, &error), NB_OK);
            assert_null(loaded);
        }
        free(bytes);
        nb_calibration_destroy(&c);
    }
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* The file with some bytes changed is refused with that sentence. */
static void refuses_changed(nb_model *model, const uint8_t *bytes, size_t size, size_t place,
                            const void *change, size_t n_changed, const char *sentence)
{
    nb_error error = {""};
    nb_calibration *loaded = NULL;
    uint8_t *changed = malloc(size);
    assert_non_null(changed);
    memcpy(changed, bytes, size);
    memcpy(changed + place, change, n_changed);
    const char *path = temporary_file("changed.calibration", changed, size);
    assert_int_not_equal(nb_calibration_load(model, path, &loaded, &error), NB_OK);
    assert_null(loaded);
    if (!strstr(error.text, sentence))
        fail_msg("\"%s\" does not say \"%s\"", error.text, sentence);
    free(changed);
}

/* What no calibration can have written, in each of the pieces. */
static void damaged_files_are_refused(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_calibration *c = calibrate_with(model, true);
    nb_error error = {""};
    nb_gguf *g = NULL;
    const char *path = temporary_path("whole.calibration");
    size_t size;
    assert_int_equal(nb_calibration_save(c, model, path, &error), NB_OK);
    uint8_t *bytes = read_whole_file(path, &size);
    assert_int_equal(nb_gguf_open(path, &g, &error), NB_OK);
    const double no_averages[] = {NAN, INFINITY, -INFINITY, 1e30};
    for (size_t i = 0; i < 4; i++) /* low: not a number, not finite, above high */
        refuses_changed(model, bytes, size, nb_gguf_find_tensor(g, "1.averages")->offset + 24,
                        &no_averages[i], sizeof(double), "a channel is missing");
    const float no_scales[] = {NAN, 0.0f, -2.0f, 3.0f, INFINITY, 0x1p-126f, 0x1p126f};
    for (size_t i = 0; i < sizeof no_scales / sizeof *no_scales; i++)
        refuses_changed(model, bytes, size, nb_gguf_find_tensor(g, "1.channel_scales")->offset + 8,
                        &no_scales[i], sizeof(float), "a channel's histogram");
    const float narrow = 2.0f * c->entries[1].histograms->bins_per_unit[2];
    refuses_changed(model, bytes, size, nb_gguf_find_tensor(g, "1.channel_scales")->offset + 8, &narrow,
                    sizeof(float), "a channel's histogram");
    const uint32_t count = c->entries[0].histograms->bins[3] + 1;
    refuses_changed(model, bytes, size, nb_gguf_find_tensor(g, "0.channel_bins")->offset + 12, &count,
                    sizeof count, "a channel's histogram");
    const uint32_t old = 1, future = 3;
    const uint64_t other_bins = 256, n_entries = UINT64_MAX;
    const size_t version = (size_t)(nb_gguf_find(g, "nibble.calibration.version")->data - g->data);
    refuses_changed(model, bytes, size, version, &old, sizeof old,
                    "version 1, which knows no channel's average");
    refuses_changed(model, bytes, size, version, &future, sizeof future, "a calibration of version 3");
    refuses_changed(model, bytes, size,
                    (size_t)(nb_gguf_find(g, "nibble.calibration.channel_bins")->data - g->data), &other_bins,
                    sizeof other_bins, "a key");
    refuses_changed(model, bytes, size,
                    (size_t)(nb_gguf_find(g, "nibble.calibration.entries")->data - g->data), &n_entries,
                    sizeof n_entries, "a key");
    nb_gguf_close(&g);
    free(bytes);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A tensor that is saved with its input computes the same when it comes back. */
static void inputs_are_saved(void **state)
{
    (void)state;
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    nb_error error = {""};
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32), *loaded = NULL;
    nb_calibration *c = calibrate_with(model, true);
    nb_change changes[3];
    static const char *const names[] = {"blk.0.attn_q", "blk.0.ffn_down", "blk.1.ffn_up"},
                            *const quantizers[] = {"int8 absmax/channel", "int4 absmax/group:32", "q8_0"};
    uint32_t order[80];
    for (uint32_t i = 0; i < 80; i++)
        order[i] = (i * 7 + 3) % 80;
    for (size_t i = 0; i < 3; i++) {
        const size_t index = (size_t)nb_model_find_tensor(model, names[i]);
        nb_input *input;
        changes[i] = (nb_change){.tensor = &model->tensors[index]};
        assert_int_equal(nb_quantizer_parse(quantizers[i], &changes[i].quantizer, &error), NB_OK);
        assert_int_equal(nb_activation_input(model, index, i == 0   ? NB_ACTIVATION_CHANNELS
                                                           : i == 1 ? NB_ACTIVATION_STATIC
                                                                    : NB_ACTIVATION_TOKENS,
                                             c, NB_OBSERVER_PERCENTILE, i == 1 ? order : NULL, &input, &error),
                         NB_OK);
        if (i == 2)
            assert_int_equal(nb_input_set_hadamard(input, 16, 5, &error), NB_OK);
        assert_int_equal(nb_model_keep_input(model, &input, &changes[i].input, &error), NB_OK);
    }
    changes[2].tensor = &model->tensors[nb_model_find_tensor(model, "blk.1.ffn_up")];
    changes[2].quantizer = (nb_quantizer){.format = &nb_format_f16};
    assert_int_equal(nb_model_change(model, "quantizing", changes, 3, NULL, &error), NB_OK);
    const char *path = temporary_path("inputs.gguf");
    assert_int_equal(nb_model_save(model, path, &error), NB_OK);
    if (nb_model_load(context, path, NULL, &loaded, &error) != NB_OK)
        fail_msg("%s", error.text);
    float *before = test_probe(model, NB_WEIGHTS_CURRENT), *after = test_probe(loaded, NB_WEIGHTS_CURRENT);
    assert_memory_equal(before, after, TEST_N_LOGIT_TOKENS * model->hparams.n_vocab * sizeof *before);
    for (size_t i = 0; i < 3; i++) {
        const nb_tensor *a = test_tensor(model, names[i]), *b = test_tensor(loaded, names[i]);
        float row[80], same[80];
        assert_true(nb_input_equal(a->input, b->input));
        nb_tensor_current_row(a, 3, row);
        nb_tensor_current_row(b, 3, same);
        assert_memory_equal(row, same, a->n_cols * sizeof *row);
        nb_tensor_source_row(b, 3, same);
        assert_memory_equal(row, same, a->n_cols * sizeof *row);
    }
    free(before);
    free(after);
    nb_calibration_destroy(&c);
    nb_model_destroy(&model);
    nb_model_destroy(&loaded);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_records_what_flows),
        cmocka_unit_test(each_channel_has_its_reach),
        cmocka_unit_test(channels_clip_beyond_their_reach),
        cmocka_unit_test(who_reads_the_same_shares_an_entry),
        cmocka_unit_test(the_same_bits_everywhere),
        cmocka_unit_test(observers_agree_with_the_activations),
        cmocka_unit_test(every_mode_runs),
        cmocka_unit_test(stored_tensors_take_a_mode),
        cmocka_unit_test(failing_memory_changes_nothing),
        cmocka_unit_test(cancel_keeps_nothing),
        cmocka_unit_test(cancel_changes_nothing),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(activations_that_are_no_numbers_are_refused),
        cmocka_unit_test(a_file_holds_it),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(inputs_are_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
