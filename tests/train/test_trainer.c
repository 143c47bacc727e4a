/* Training from a configuration: the same bits however it is run, stopped and resumed; a model that the engine runs with
 * the very losses that training saw; and configurations that are refused. */
#include "nibble.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"
#include "text/bpe_train.h"
#include "train/checkpoint.h"
#include "train/pass.h"
#include "train/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Sentences of a tiny language, as documents. */
static char *make_text(size_t *n_bytes)
{
    static const char *const who[] = {"the cat", "the dog", "a bird", "my friend"};
    static const char *const does[] = {"sees", "likes", "finds", "wants"};
    static const char *const what[] = {"a red ball", "the old tree", "some milk", "a little boat"};
    char *text = calloc(400, 200);
    nb_random random;
    nb_random_seed(&random, 3);
    for (size_t i = 0, at = 0; i < 400; i++) {
        const size_t a = (size_t)nb_random_below(&random, 4), b = (size_t)nb_random_below(&random, 4);
        const size_t c = (size_t)nb_random_below(&random, 4);
        at += (size_t)sprintf(text + at, "%s %s %s, and %s %s it too.\n<|endoftext|>\n", who[a], does[b], what[c],
                              who[(a + 1) % 4], does[b]);
        *n_bytes = at;
    }
    return text;
}

static const char *make_files(const char *extra)
{
    static char *text;
    static size_t n_bytes;
    nb_error error;
    if (!text) {
        nb_bpe_trained trained;
        nb_context *context = test_context(NULL, 1);
        text = make_text(&n_bytes);
        const nb_string all = {text, n_bytes};
        const nb_bpe_options options = {.n_tokens = 320};
        assert_int_equal(nb_bpe_train(context, &all, 1, &options, &trained, &error), NB_OK);
        assert_int_equal(nb_vocabulary_save(&trained.vocabulary, temporary_path("tok.gguf"), &error), NB_OK);
        nb_bpe_trained_free(&trained);
        nb_context_destroy(&context);
        temporary_file("text.txt", text, n_bytes);
    }
    char config[1024];
    const int n = snprintf(config, sizeof config,
                           "# a tiny model\ntokenizer = tok.gguf\ntext = text.txt\nn_layers = 2\nn_embd = 32\n"
                           "n_heads = 4\nn_kv_heads = 2\nn_ff = 48\nn_ctx = 32\nsteps = 12\nbatch_tokens = 600\n"
                           "learning_rate = 0.01   # high\nwarmup = 3\nformat = f32\n%s",
                           extra);
    return temporary_file("tiny.train", config, (size_t)n);
}

typedef struct run_result {
    uint8_t *file;
    size_t size;
    float first, last;
} run_result;

typedef struct run_options {
    const char *level;
    unsigned n_threads;
    nb_train_options train;
} run_options;

static nb_status run(const run_options *options, nb_train_result *result, nb_error *error)
{
    nb_train_config config;
    nb_context *context = test_context(options->level, options->n_threads);
    nb_status status = nb_train_config_read(make_files(""), NULL, &config, error);
    assert_int_equal(status, NB_OK);
    nb_train_options train = options->train;
    if (train.report)
        train.user = context;
    status = nb_train(context, &config, &train, result, error);
    nb_train_config_free(&config);
    nb_context_destroy(&context);
    return status;
}

static uint8_t *run_whole(const run_options *options, size_t *size)
{
    nb_error error = {""};
    nb_train_result result;
    const nb_status status = run(options, &result, &error);
    if (status != NB_OK)
        fail_msg("%s", error.text);
    assert_true(result.finished);
    assert_int_equal(result.n_losses, 12);
    assert_true(result.losses[11] < 0.75f * result.losses[0]);
    uint8_t *file = read_whole_file(result.model, size);
    nb_train_result_free(&result);
    return file;
}

static void stop_at_once(void *user, const nb_train_report *report)
{
    if (report->step == 8)
        atomic_store(&((nb_context *)user)->cancel, true);
}

/* A checkpoint is a model too. */
static void assert_loads(const char *path)
{
    nb_error error = {""};
    nb_model *model;
    nb_context *context = test_context(NULL, 1);
    if (nb_model_load(context, path, NULL, &model, &error) != NB_OK)
        fail_msg("%s", error.text);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Threads, levels, and a run in three parts: one file. */
static void test_same_model(void **state)
{
    (void)state;
    size_t want_size, size;
    nb_error error;
    nb_train_result result;
    uint8_t *want = run_whole(&(run_options){NULL, 1, {.fresh = true}}, &want_size), *got;
    for (size_t level = 0; level < nb_kernels_count(); level++) {
        if (!test_level(level))
            continue;
        got = run_whole(&(run_options){test_level(level), (unsigned)level % 3 + 1, {.fresh = true}}, &size);
        assert_int_equal(size, want_size);
        assert_memory_equal(got, want, size);
        free(got);
    }
    assert_int_equal(run(&(run_options){NULL, 2, {.fresh = true, .until_step = 5}}, &result, &error), NB_OK);
    assert_false(result.finished);
    assert_int_equal(result.step, 5);
    assert_loads(result.checkpoint);
    nb_train_result_free(&result);
    assert_int_equal(run(&(run_options){NULL, 2, {0}}, &result, &error), NB_ERR_STATE);
    assert_non_null(strstr(error.text, "--resume"));
    assert_int_equal(run(&(run_options){NULL, 2, {.resume = true, .report = stop_at_once}}, &result, &error),
                     NB_ERR_CANCELLED);
    assert_non_null(strstr(error.text, "after step 8"));
    got = run_whole(&(run_options){NULL, 2, {.resume = true}}, &size);
    assert_int_equal(size, want_size);
    assert_memory_equal(got, want, size);
    free(got);
    free(want);
}

/* The engine's losses of the trained model are those of the trainer's forward pass, to the bit. */
static void test_engine_agrees(void **state)
{
    (void)state;
    nb_error error;
    nb_train_result result;
    nb_model *model;
    nb_network *network;
    nb_pass *pass;
    nb_session *session;
    enum { N = 30 };
    int32_t tokens[N + 1];
    double losses[N];
    const float *logits;
    nb_context *context = test_context(NULL, 2);
    assert_int_equal(run(&(run_options){NULL, 2, {.fresh = true}}, &result, &error), NB_OK);
    assert_int_equal(nb_model_load(context, result.model, NULL, &model, &error), NB_OK);
    test_tokens(model, tokens, N + 1);
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
    assert_int_equal(nb_session_eval(session, tokens, N, NB_LOGITS_ALL, &logits, &error), NB_OK);

    const size_t n_vocab = nb_model_hparams(model)->n_vocab;
    assert_int_equal(nb_network_create(context, nb_model_hparams(model), &network, &error), NB_OK);
    for (size_t i = 0; i < network->n_weights; i++) {
        const nb_weight *w = &network->weights[i];
        const nb_tensor *tensor = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, w->shape.name));
        for (size_t row = 0; row < w->shape.n_rows; row++)
            nb_tensor_current_row(tensor, row, w->values + row * w->shape.n_cols);
    }
    nb_network_pack(network);
    assert_int_equal(nb_pass_create(network, N, &pass, &error), NB_OK);
    const size_t begins[2] = {0, N};
    const nb_sequences sequences = {1, N, begins, tokens, tokens + 1, NULL};
    nb_pass_losses(pass, &sequences, losses);
    for (size_t t = 0; t < N; t++) {
        const float *row = logits + t * n_vocab;
        const double want = context->kernels->log_sum_exp(row, n_vocab) - (double)row[tokens[t + 1]];
        assert_memory_equal(&losses[t], &want, sizeof want);
    }
    nb_pass_destroy(&pass);
    nb_network_destroy(&network);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_train_result_free(&result);
    nb_context_destroy(&context);
}

static void test_with(void **state)
{
    (void)state;
    nb_train_config config;
    nb_error error = {""};
    const char *path = make_files("");
    assert_int_equal(nb_train_config_read(path, " steps = 5;seed = 8 ", &config, &error), NB_OK);
    assert_int_equal(config.steps, 5);
    assert_int_equal(config.seed, 8);
    assert_int_equal(config.warmup, 3);
    assert_non_null(strstr(config.canonical, "steps = 5\n"));
    nb_train_config_free(&config);
    assert_int_equal(nb_train_config_read(path, "steps = many", &config, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "--with:1: steps is a number"));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"colour = red\n", "tiny.train:15: there is no setting 'colour'"},
        {"steps = 5\n", "tiny.train:15: steps stands here for the second time"},
        {"seed = 1.5\n", "seed is a whole number"},
        {"clip\n", "tiny.train:15: a line is NAME = VALUE"},
        {"clip =\n", "clip needs a value"},
        {"beta1 = 7\n", "beta1 is from 0 to 0.999999, not 7"},
        {"tied = maybe\n", "tied is yes or no"},
        {"grammar = some.grammar\n", "say either grammar = FILE or text = FILE"},
        {"weight_decay = nan\n", "weight_decay is a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nb_train_config config;
        nb_error error = {""};
        assert_int_equal(nb_train_config_read(make_files(cases[i].line), NULL, &config, &error), NB_ERR_FILE);
        if (!strstr(error.text, cases[i].sentence))
            fail_msg("%s says: %s", cases[i].line, error.text);
    }
}

/* A checkpoint of another configuration, and damaged ones. */
static void test_checkpoint_refused(void **state)
{
    (void)state;
    nb_error error;
    nb_train_result result;
    size_t size;
    assert_int_equal(run(&(run_options){NULL, 1, {.fresh = true, .until_step = 2}}, &result, &error), NB_OK);
    char *path = strdup(result.checkpoint);
    nb_train_result_free(&result);
    uint8_t *whole = read_whole_file(path, &size);
    for (size_t cut = 100; cut < size; cut += size / 7) {
        FILE *f = fopen(path, "wb");
        assert_int_equal(fwrite(whole, 1, cut, f), cut);
        fclose(f);
        assert_int_not_equal(run(&(run_options){NULL, 1, {.resume = true}}, &result, &error), NB_OK);
        assert_non_null(strstr(error.text, "checkpoint"));
    }
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(whole, 1, size, f), size);
    fclose(f);
    nb_train_config config;
    nb_context *context = test_context(NULL, 1);
    assert_int_equal(nb_train_config_read(make_files("seed = 9\n"), NULL, &config, &error), NB_OK);
    assert_int_equal(nb_train(context, &config, &(nb_train_options){.resume = true}, &result, &error),
                     NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "'seed = 1'"));
    nb_train_config_free(&config);
    nb_context_destroy(&context);
    free(whole);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_engine_agrees),
        cmocka_unit_test(test_with),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_checkpoint_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
