/* What tensors do with their activations: another order, another basis, scales that are given. */
#include "tests/support/shapes.h"

#include "base/memory.h"
#include "base/random.h"
#include "eval/activations.h"
#include "kernels/acts.h"
#include "model/state.h"
#include "quant/transaction.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_TOKENS = 9, N_COLS = 72, SEED = 5 };

static const nb_synthetic shape = {.n_layers = 2,
                                   .n_embd = 40,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .n_ff = N_COLS,
                                   .n_vocab = 262,
                                   .n_ctx = 32,
                                   .tied = true,
                                   .seed = 9};

static void shuffle(uint32_t *order, size_t n, uint64_t seed)
{
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        const size_t other = (size_t)nb_random_below(&random, i);
        const uint32_t moved = order[i - 1];
        order[i - 1] = order[other];
        order[other] = moved;
    }
}

static void fill(float *x, size_t n, uint64_t seed)
{
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)nb_random_normal(&random);
}

typedef enum what { ORDER = 1, BASIS = 2, STATIC = 4, CHANNELS = 8, TOKENS = 16 } what;

static nb_input *make_input(size_t n_cols, unsigned parts)
{
    nb_error error;
    uint32_t order[N_COLS];
    float numbers[N_COLS];
    nb_input *input = nb_input_create(n_cols);
    assert_non_null(input);
    shuffle(order, n_cols, SEED);
    fill(numbers, n_cols, SEED);
    for (size_t i = 0; i < n_cols; i++)
        numbers[i] = 0.5f + fabsf(numbers[i]);
    if (parts & ORDER)
        assert_int_equal(nb_input_set_order(input, order, &error), NB_OK);
    if (parts & BASIS) {
        assert_int_equal(nb_input_set_divisors(input, numbers, &error), NB_OK);
        assert_int_equal(nb_input_set_hadamard(input, 8, 3, &error), NB_OK);
    }
    if (parts & CHANNELS)
        assert_int_equal(nb_input_set_scales(input, numbers, &error), NB_OK);
    if (parts & STATIC)
        assert_int_equal(nb_input_set_static(input, 0.02f, &error), NB_OK);
    if (parts & TOKENS)
        input->scaling = NB_INPUT_TOKENS;
    return input;
}

/* Gives all matrices of blocks an input with these parts. */
static void set_inputs(nb_model *model, unsigned parts, const char *quantizer_text)
{
    nb_error error;
    nb_quantizer quantizer;
    nb_change changes[64];
    size_t n = 0;
    assert_int_equal(nb_quantizer_parse(quantizer_text, &quantizer, &error), NB_OK);
    for (size_t i = 0; i < model->n_tensors; i++) {
        nb_tensor *t = &model->tensors[i];
        if (t->is_vector || t->layer < 0)
            continue;
        changes[n] = (nb_change){.tensor = t, .quantizer = quantizer, .transforms = t->transforms, .measured = true};
        nb_input *input = make_input(t->n_cols, parts);
        assert_int_equal(nb_model_keep_input(model, &input, &changes[n++].input, &error), NB_OK);
        assert_null(input);
    }
    assert_int_equal(nb_model_change(model, "quantizing", changes, n, NULL, &error), NB_OK);
}

static double distance(const float *a, const float *b, size_t n)
{
    double noise = 0.0, signal = 0.0;
    for (size_t i = 0; i < n; i++) {
        noise += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        signal += (double)a[i] * (double)a[i];
    }
    return sqrt(noise / signal);
}

/* ---- one input ---- */

static void test_weights_take_the_other_side(void **state)
{
    (void)state;
    for (unsigned parts = 1; parts < STATIC; parts++) {
        nb_input *input = make_input(N_COLS, parts | CHANNELS);
        float x[N_COLS], w[N_COLS], y[N_COLS], turned[N_COLS];
        double before = 0.0, after = 0.0;
        fill(x, N_COLS, 1);
        fill(w, N_COLS, 2);
        nb_input_apply(input, x, y);
        memcpy(turned, w, sizeof w);
        nb_input_turn_row(input, turned);
        for (size_t i = 0; i < N_COLS; i++) {
            before += (double)x[i] * (double)w[i];
            after += (double)y[i] * (double)turned[i];
        }
        assert_true(fabs(before - after) < 1e-4);
        assert_true(distance(w, turned, N_COLS) > 0.1);
        nb_input_turn_back_row(input, turned);
        assert_true(distance(w, turned, N_COLS) < 1e-6);
        nb_input_destroy(&input);
    }
}

static void test_an_order_gathers(void **state)
{
    (void)state;
    nb_input *input = make_input(N_COLS, ORDER);
    float x[N_COLS], y[N_COLS], w[N_COLS];
    for (size_t i = 0; i < N_COLS; i++)
        x[i] = w[i] = (float)i;
    nb_input_apply(input, x, y);
    nb_input_turn_row(input, w);
    for (size_t j = 0; j < N_COLS; j++) {
        assert_true(y[j] == (float)input->order[j]);
        assert_true(w[j] == y[j]);
    }
    nb_input_turn_back_row(input, w);
    assert_memory_equal(w, x, sizeof w);
    nb_input_destroy(&input);
}

/* H of 4, signs 1: [1 1 1 1; 1 -1 1 -1; 1 1 -1 -1; 1 -1 -1 1] / 2. */
static void test_hadamard_by_hand(void **state)
{
    (void)state;
    nb_error error;
    nb_input *input = nb_input_create(8);
    const float x[8] = {1, 2, 3, 5, 8, 0, 0, 0}, want[8] = {5.5f, -1.5f, -2.5f, 0.5f, 4, 4, 4, 4};
    float y[8], means[8];
    assert_int_equal(nb_input_set_hadamard(input, 4, 0, &error), NB_OK);
    nb_input_apply(input, x, y);
    assert_memory_equal(y, want, sizeof y);
    nb_input_turn_squares(input, x, means);
    assert_true(means[0] == 2.75f && means[3] == 2.75f && means[4] == 2.0f);
    nb_input_destroy(&input);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    nb_error error;
    nb_input *input = nb_input_create(4);
    const uint32_t twice[] = {0, 1, 1, 3}, beyond[] = {0, 1, 2, 4};
    const float zero[] = {1, 0, 1, 1}, infinite[] = {1, 1, INFINITY, 1};
    assert_int_equal(nb_input_set_order(input, twice, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "column 1 twice"));
    assert_int_equal(nb_input_set_order(input, beyond, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_input_set_divisors(input, zero, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_input_set_scales(input, infinite, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_input_set_hadamard(input, 3, 1, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_input_set_hadamard(input, 8, 1, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_input_set_static(input, NAN, &error), NB_ERR_ARGUMENT);
    assert_false(nb_input_moves(input));
    nb_input_destroy(&input);
}

/* ---- scales for whole tokens ---- */

static void check_scaled(const nb_acts *acts, const float *x, const float *given, uint64_t n_clipped)
{
    uint64_t beyond = 0;
    for (size_t t = 0; t < acts->n_tokens; t++) {
        float amax = 0.0f;
        for (size_t i = 0; i < acts->n_cols; i++)
            amax = fmaxf(amax, fabsf(x[t * acts->n_cols + i]));
        const float scale = given ? *given : amax / 127.0f;
        for (size_t i = 0; i < acts->n_blocks * NB_BLOCK; i++) {
            const nb_act_block *block = &acts->blocks[t * acts->n_blocks + i / NB_BLOCK];
            const float q = i < acts->n_cols && scale > 0.0f ? x[t * acts->n_cols + i] / scale : 0.0f;
            assert_true(block->scale == scale);
            assert_int_equal(block->q[i % NB_BLOCK], (int)fmaxf(-127.0f, fminf(127.0f, rintf(q))));
            beyond += fabsf(rintf(q)) > 127.0f;
        }
        for (size_t b = 0; b < acts->n_blocks; b++) {
            const nb_act_block *block = &acts->blocks[t * acts->n_blocks + b];
            int sum = 0, first = 0;
            for (size_t i = 0; i < NB_BLOCK; i++) {
                sum += block->q[i];
                first += i < NB_BLOCK / 2 ? block->q[i] : 0;
            }
            assert_int_equal(block->minus_sum, -sum);
            assert_int_equal(block->minus_first, -first);
        }
    }
    assert_int_equal(n_clipped, beyond);
}

/* Four tokens' blocks; returns how many numbers were clipped. */
static uint64_t prepare_scaled(nb_context *context, nb_acts_buffer *buffer, const float *x, const float *scale)
{
    uint64_t n_clipped = 0;
    assert_int_equal(nb_acts_reserve(context, buffer, 4, N_COLS, true, NULL), NB_OK);
    for (size_t t = 0; t < 4; t++)
        n_clipped += nb_acts_quantize_scaled(context->kernels, &buffer->acts, t, x + t * N_COLS, scale);
    return n_clipped;
}

static void test_codes_of_a_given_scale(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_acts_buffer buffer = {0};
    float x[4 * N_COLS];
    const float scale = 0.015625f;
    uint64_t n_clipped;
    fill(x, 3 * N_COLS, 7);
    memset(x + 3 * N_COLS, 0, N_COLS * sizeof *x);
    for (size_t i = 0; i < 32; i++)
        x[i] = ((float)i - 16.0f + 0.5f) * scale; /* ties */
    x[40] = -1e30f;
    n_clipped = prepare_scaled(context, &buffer, x, &scale);
    check_scaled(&buffer.acts, x, &scale, n_clipped);
    assert_true(n_clipped > 1);
    n_clipped = prepare_scaled(context, &buffer, x, NULL);
    check_scaled(&buffer.acts, x, NULL, n_clipped);
    assert_int_equal(n_clipped, 0);
    x[N_COLS + 5] = INFINITY;
    x[2 * N_COLS + 70] = NAN;
    prepare_scaled(context, &buffer, x, &scale);
    assert_true(isnan(buffer.acts.blocks[3].scale) && buffer.acts.blocks[4].scale == scale);
    assert_true(isnan(buffer.acts.blocks[8].scale) && buffer.acts.blocks[7].scale == scale);
    assert_int_equal(buffer.acts.blocks[3].minus_sum, 0);
    prepare_scaled(context, &buffer, x, NULL);
    assert_true(isnan(buffer.acts.blocks[4].scale) && isnan(buffer.acts.blocks[6].scale));
    assert_true(buffer.acts.blocks[9].scale == 0.0f);
    nb_acts_buffer_free(&buffer);
    nb_context_destroy(&context);
}

/* ---- in a model ---- */

/* Before anything is rounded, the model computes what it did, within float noise; its weights are what they were. */
static void test_f32_stays_what_it_was(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    const uint64_t before = test_state(model);
    const size_t n = N_TOKENS * model->hparams.n_vocab;
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    float *plain = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
    for (unsigned parts = 1; parts < STATIC; parts++) {
        nb_error error;
        set_inputs(model, parts, "f32");
        assert_true(model->tensors[model->n_tensors - 1].is_vector || model->n_inputs == 2);
        float *turned = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
        float *original = test_logits(model, NB_WEIGHTS_ORIGINAL, tokens, N_TOKENS);
        const double off = distance(plain, turned, n);
        assert_true(off > 0.0 && off < 3e-5);
        assert_memory_equal(plain, original, n * sizeof *plain);
        for (size_t i = 0; i < model->n_tensors; i++) {
            float source[N_COLS], now[N_COLS];
            const nb_tensor *t = &model->tensors[i];
            if (t->is_vector)
                continue;
            nb_tensor_source_row(t, 1, source);
            nb_tensor_current_row(t, 1, now);
            assert_true(distance(source, now, t->n_cols) < (parts & BASIS ? 1e-6 : 1e-30));
        }
        assert_int_equal(nb_model_undo(model, &error), NB_OK);
        assert_int_equal(model->n_inputs, 0);
        assert_int_equal(test_state(model), before);
        free(turned);
        free(original);
    }
    free(plain);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A tensor whose groups hold other columns runs as its own numbers say. */
static void test_codes_in_an_order_are_their_numbers(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    set_inputs(model, ORDER, "int4 absmax/group:32, f32 activations");
    nb_tensor *t = &model->tensors[nb_model_find_tensor(model, "blk.1.ffn_down")];
    float x[N_COLS], row[N_COLS], y[40];
    fill(x, N_COLS, 4);
    nb_acts_buffer buffer = {0};
    assert_int_equal(nb_acts_prepare(context, &buffer, x, 1, N_COLS, N_COLS, false, &error), NB_OK);
    assert_int_equal(nb_tensor_matmul(model, t, NB_WEIGHTS_CURRENT, &buffer.acts, y, 40, &error), NB_OK);
    for (size_t r = 0; r < t->n_rows; r++) {
        double sum = 0.0;
        nb_tensor_current_row(t, r, row);
        for (size_t i = 0; i < N_COLS; i++)
            sum += (double)row[i] * (double)x[i];
        assert_true(fabs(sum - (double)y[r]) < 1e-4);
    }
    nb_acts_buffer_free(&buffer);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Every level, any number of threads, tokens at once or one by one. */
static void test_the_same_bits_everywhere(void **state)
{
    (void)state;
    static const unsigned kinds[] = {ORDER | STATIC, BASIS | TOKENS, BASIS | ORDER | CHANNELS | STATIC, ORDER};
    for (size_t kind = 0; kind < 4; kind++) {
        float *want = NULL;
        int32_t tokens[N_TOKENS];
        size_t n = 0;
        for (size_t level = 0; level < 2 * nb_kernels_count(); level++) {
            if (!test_level(level / 2))
                continue;
            nb_context *context = test_context(test_level(level / 2), level % 2 ? 3 : 1);
            nb_model *model = test_model(context, &shape, &nb_format_f32);
            set_inputs(model, kinds[kind], kind == 3 ? "int4 zeropoint/group:32" : "int8 absmax/channel");
            n = N_TOKENS * model->hparams.n_vocab;
            test_tokens(model, tokens, N_TOKENS);
            float *got = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
            if (want)
                assert_memory_equal(got, want, n * sizeof *got);
            nb_session *session;
            nb_error error;
            assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
            for (size_t i = 0; i < N_TOKENS; i++) {
                const float *logits;
                assert_int_equal(nb_session_eval(session, tokens + i, 1, NB_LOGITS_LAST, &logits, &error), NB_OK);
                assert_memory_equal(logits, got + i * model->hparams.n_vocab, model->hparams.n_vocab * sizeof *got);
            }
            nb_session_destroy(&session);
            if (!want)
                want = got;
            else
                free(got);
            nb_model_destroy(&model);
            nb_context_destroy(&context);
        }
        free(want);
    }
}

/* Numbers of what flows into a tensor, once its input was applied, that a static scale has no code for. */
static uint64_t count_beyond(nb_model *model, const nb_tensor *t, const int32_t *tokens)
{
    float x[N_TOKENS * N_COLS], turned[N_COLS];
    uint64_t n = 0;
    assert_int_equal(
        nb_activations_collect(model, (size_t)(t - model->tensors), tokens, N_TOKENS, x, NULL), NB_OK);
    for (size_t token = 0; token < N_TOKENS; token++) {
        nb_input_apply(t->input, x + token * t->n_cols, turned);
        for (size_t k = 0; k < t->n_cols; k++) {
            const long code = lrintf(turned[k] / t->input->scale);
            n += code < -127 || code > 127;
        }
    }
    return n;
}

static void check_clipping(nb_model *model, unsigned parts)
{
    int32_t tokens[N_TOKENS];
    uint64_t counted[64], n_all = 0;
    test_tokens(model, tokens, N_TOKENS);
    set_inputs(model, parts, "int8 absmax/channel");
    free(test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS));
    assert_true(model->n_tensors <= 64);
    for (size_t i = 0; i < model->n_tensors; i++)
        counted[i] = model->tensors[i].n_clipped; /* looking runs the model again, and counts on */
    for (size_t i = 0; i < model->n_tensors; i++) {
        const nb_tensor *t = &model->tensors[i];
        if (t->is_vector || t->layer < 0)
            continue;
        assert_int_equal(counted[i], count_beyond(model, t, tokens));
        const uint64_t n_times = t->n_static / (N_TOKENS * t->n_cols);
        assert_int_equal(t->n_static, n_times * N_TOKENS * t->n_cols);
        assert_int_equal(t->n_clipped, n_times * counted[i]); /* every time the same ones */
        assert_true(counted[i] < N_TOKENS * t->n_cols / 2);
        n_all += counted[i];
    }
    assert_true(n_all > 50);
}

static void test_clipping_is_counted(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    set_inputs(model, STATIC, "int8 absmax/channel");
    free(test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS));
    const nb_tensor *q = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.attn_q")),
                    *v = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.attn_v"));
    assert_ptr_equal(q->input, v->input);
    assert_int_equal(v->n_static, N_TOKENS * 40);
    assert_int_equal(q->n_static, v->n_static);
    assert_int_equal(q->n_clipped, v->n_clipped);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* The number is what counting the activations beyond the scale's reach gives, on every level. */
static void test_what_is_clipped_is_what_lies_beyond(void **state)
{
    (void)state;
    static const unsigned kinds[] = {STATIC, STATIC | ORDER | BASIS | CHANNELS};
    for (size_t level = 0; level < nb_kernels_count(); level++)
        for (size_t kind = 0; test_level(level) && kind < 2; kind++) {
            nb_context *context = test_context(test_level(level), 2);
            nb_model *model = test_model(context, &shape, &nb_format_f32);
            check_clipping(model, kinds[kind]);
            nb_model_destroy(&model);
            nb_context_destroy(&context);
        }
}

/* A basis outlives quantizing and restoring; an order and static scales do not. */
static void test_what_stays_when_it_is_quantized_anew(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f16);
    const nb_tensor *t = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.ffn_down"));
    set_inputs(model, BASIS | ORDER | STATIC, "int8 absmax/channel");
    const uint64_t before = test_state(model);
    test_quantize(model, "all", "int4 absmax/group:32");
    assert_non_null(t->input);
    assert_true(t->input->hadamard == 8 && !t->input->order && t->input->scaling == NB_INPUT_BLOCKS);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_int_equal(test_state(model), before);
    assert_non_null(t->input->order);
    nb_scope scope;
    assert_int_equal(nb_scope_resolve(model, "mlp", false, &scope, &error), NB_OK);
    assert_int_equal(nb_model_restore(model, &scope, &error), NB_OK);
    assert_true(t->input->hadamard == 8 && t->quantizer.format == &nb_format_f16);
    assert_int_equal(nb_model_undo_depth(model), 2);
    assert_int_equal(nb_model_restore(model, &scope, &error), NB_OK);
    assert_int_equal(nb_model_undo_depth(model), 2);
    nb_scope_free(&scope);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_null(t->input);
    assert_int_equal(model->n_inputs, 0);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_take_the_other_side),
        cmocka_unit_test(test_an_order_gathers),
        cmocka_unit_test(test_hadamard_by_hand),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_codes_of_a_given_scale),
        cmocka_unit_test(test_f32_stays_what_it_was),
        cmocka_unit_test(test_codes_in_an_order_are_their_numbers),
        cmocka_unit_test(test_the_same_bits_everywhere),
        cmocka_unit_test(test_clipping_is_counted),
        cmocka_unit_test(test_what_is_clipped_is_what_lies_beyond),
        cmocka_unit_test(test_what_stays_when_it_is_quantized_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
