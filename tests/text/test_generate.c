/* Writing text: streaming in whole characters, greedy and sampled, full contexts, stopping. */
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const nb_sampler_options greedy = {.top_p = 1.0f};

typedef struct collected {
    char text[4096];
    size_t n_bytes, n_pieces;
    nb_context *cancel_after; /* asks to stop when `cancel_pieces` have come */
    size_t cancel_pieces;
} collected;

static void collect(void *user, const char *text, size_t n_bytes)
{
    collected *c = user;
    assert_true(n_bytes > 0 && c->n_bytes + n_bytes < sizeof c->text);
    memcpy(c->text + c->n_bytes, text, n_bytes);
    c->n_bytes += n_bytes;
    c->n_pieces++;
    if (c->cancel_after && c->n_pieces == c->cancel_pieces)
        atomic_store(&c->cancel_after->cancel, true);
}

/* A random model writes random tokens, bytes among them: a hard case for whole characters. */
static void test_stream_is_what_the_tokens_say(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    nb_session *session = NULL;
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
    size_t n_longest = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        collected c = {.n_bytes = 0};
        nb_generation g;
        const nb_sampler_options hot = {.temperature = 2.0f, .top_p = 1.0f, .seed = seed};
        assert_int_equal(nb_generate(session, "once", 60, &hot, collect, &c, &g, &error), NB_OK);
        size_t n_bytes, used = 0;
        char *text = nb_tokenizer_decode(tokenizer, g.tokens, g.n_prompt + g.n_generated, &n_bytes);
        size_t n_prompt_bytes;
        char *prompt = nb_tokenizer_decode(tokenizer, g.tokens, g.n_prompt, &n_prompt_bytes);
        used = n_bytes - n_prompt_bytes;
        assert_int_equal(c.n_bytes, used);
        assert_memory_equal(c.text, text + n_prompt_bytes, used);
        assert_true(g.n_generated == 60 || g.ended);
        n_longest = nb_max_size(n_longest, g.n_generated);
        free(text);
        free(prompt);
        nb_generation_free(&g);
    }
    assert_true(n_longest > 20);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* Greedy means: each token is the likeliest after those before it. Twice gives the same. */
static void test_greedy_takes_the_likeliest(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[2].shape, &nb_format_f16);
    const size_t n_vocab = nb_model_hparams(model)->n_vocab;
    nb_session *session = NULL;
    nb_generation g, again;
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
    assert_int_equal(nb_generate(session, "a b", 12, &greedy, NULL, NULL, &g, &error), NB_OK);
    assert_int_equal(nb_generate(session, "a b", 12, &greedy, NULL, NULL, &again, &error), NB_OK);
    assert_int_equal(g.n_generated, again.n_generated);
    assert_memory_equal(g.tokens, again.tokens, (g.n_prompt + g.n_generated) * sizeof *g.tokens);
    assert_int_equal(g.tokens[0], nb_tokenizer_bos(nb_model_tokenizer(model)));
    float *logits = test_logits(model, NB_WEIGHTS_CURRENT, g.tokens, g.n_prompt + g.n_generated);
    for (size_t i = 0; i < g.n_generated; i++) {
        const float *row = logits + (g.n_prompt + i - 1) * n_vocab;
        for (size_t t = 0; t < n_vocab; t++)
            assert_true(row[t] <= row[g.tokens[g.n_prompt + i]]);
    }
    free(logits);
    nb_generation_free(&g);
    nb_generation_free(&again);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_contexts_end(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[1].shape, &nb_format_f32);
    nb_session *session = NULL;
    nb_generation g;
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 8, &session, &error), NB_OK);
    assert_int_equal(nb_generate(session, "abc", 1000000, &greedy, NULL, NULL, &g, &error), NB_OK);
    assert_true(g.ended || g.n_prompt + g.n_generated == 9); /* the last token needs no place in the cache */
    nb_generation_free(&g);
    assert_int_equal(nb_generate(session, "abc", 0, &greedy, NULL, NULL, &g, &error), NB_OK);
    assert_int_equal(g.n_generated, 0);
    assert_true(g.n_prompt > 1);
    nb_generation_free(&g);
    assert_int_equal(nb_generate(session, "0123456789", 4, &greedy, NULL, NULL, &g, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "context"));
    assert_null(g.tokens);
    const nb_sampler_options cold = {.temperature = -1.0f, .top_p = 1.0f};
    assert_int_equal(nb_generate(session, "abc", 4, &cold, NULL, NULL, &g, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_generate(session, "", 2, &greedy, NULL, NULL, &g, &error),
                     NB_OK); /* BOS is a start */
    assert_int_equal(g.n_prompt, 1);
    nb_generation_free(&g);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_stopping_keeps_what_was_written(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    nb_session *session = NULL;
    nb_generation g;
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
    collected c = {.cancel_after = context, .cancel_pieces = 3};
    const nb_sampler_options sampling = {.temperature = 1.0f, .top_p = 1.0f, .seed = 3};
    assert_int_equal(nb_generate(session, "once", 60, &sampling, collect, &c, &g, &error), NB_ERR_CANCELLED);
    assert_true(g.n_generated >= 3 && g.n_generated < 60);
    assert_non_null(g.tokens);
    nb_generation_free(&g);
    atomic_store(&context->cancel, false);
    assert_int_equal(nb_generate(session, "once", 5, &sampling, NULL, NULL, &g, &error), NB_OK);
    nb_generation_free(&g);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_is_what_the_tokens_say),
        cmocka_unit_test(test_greedy_takes_the_likeliest),
        cmocka_unit_test(test_contexts_end),
        cmocka_unit_test(test_stopping_keeps_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
