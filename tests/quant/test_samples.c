/* What calibrated methods look at: which tokens of a text, in which sequences. */
#include "tests/support/transforms.h"
#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

/* A token of these models is a byte, and a text begins with a space. */
enum { N_DOCUMENTS = 40, DOCUMENT_BYTES = 27, DOCUMENT_TOKENS = 1 + 1 + DOCUMENT_BYTES, CONTEXT = 40 };

typedef struct setting {
    nb_context *context;
    nb_model *model;
    int32_t bos, eos;
} setting;

static int open_setting(void **state)
{
    setting *s = calloc(1, sizeof *s);
    const nb_synthetic shape = test_shape_of(&nb_architecture_llama);
    assert_non_null(s);
    s->context = test_context(NULL, 1);
    s->model = test_model(s->context, &shape, &nb_format_f32);
    s->bos = nb_tokenizer_bos(nb_model_tokenizer(s->model));
    s->eos = nb_tokenizer_eos(nb_model_tokenizer(s->model));
    assert_true(s->bos >= 0 && s->eos >= 0 && s->bos != s->eos);
    assert_int_equal(nb_model_hparams(s->model)->n_ctx, CONTEXT);
    *state = s;
    return 0;
}

static int close_setting(void **state)
{
    setting *s = *state;
    nb_model_destroy(&s->model);
    nb_context_destroy(&s->context);
    free(s);
    return 0;
}

static nb_samples make(const setting *s, const char *text, size_t max_tokens)
{
    nb_error error;
    nb_samples samples;
    if (nb_samples_create(s->model, text, strlen(text), max_tokens, &samples, &error) != NB_OK)
        fail_msg("%s", error.text);
    assert_int_equal(samples.begins[0], 0);
    for (size_t i = 0; i < samples.n_sequences; i++) {
        assert_true(nb_samples_length(&samples, i) > 0 && nb_samples_length(&samples, i) <= samples.longest);
        assert_int_equal(samples.tokens[samples.begins[i]], s->bos);
    }
    return samples;
}

/* Documents of DOCUMENT_BYTES bytes: a letter that says which one, again and again. */
static const char *documents(void)
{
    static char text[N_DOCUMENTS * (DOCUMENT_BYTES + 20)];
    char *end = text;
    for (int i = 0; i < N_DOCUMENTS; i++) {
        memset(end, '0' + i, DOCUMENT_BYTES);
        strcpy(end + DOCUMENT_BYTES, "\n<|endoftext|>\n");
        end += strlen(end);
    }
    return text;
}

/* The model never reads across two documents, nor the mark between them. */
static void a_sequence_is_of_one_document(void **state)
{
    const setting *s = *state;
    nb_samples samples = make(s, documents(), 0);
    assert_int_equal(samples.n_sequences, N_DOCUMENTS);
    assert_int_equal(samples.longest, DOCUMENT_TOKENS);
    for (size_t i = 0; i < samples.n_sequences; i++) {
        const int32_t *tokens = samples.tokens + samples.begins[i];
        assert_int_equal(nb_samples_length(&samples, i), DOCUMENT_TOKENS);
        for (size_t t = 3; t < DOCUMENT_TOKENS; t++)
            assert_int_equal(tokens[t], tokens[2]);
        assert_true(i == 0 || tokens[2] != samples.tokens[samples.begins[i - 1] + 2]);
    }
    nb_samples_free(&samples);
}

/* From all over the text, and never more than was asked for. */
static void some_are_taken_evenly(void **state)
{
    const setting *s = *state;
    nb_samples all = make(s, documents(), 0);
    for (size_t most = NB_SAMPLE_LEAST; most < 1300; most += 37) {
        nb_samples some = make(s, documents(), most);
        const size_t n = nb_samples_n_tokens(&some), wanted = nb_min_size(most, DOCUMENT_TOKENS);
        assert_true(n <= most && n + DOCUMENT_TOKENS > nb_min_size(most, nb_samples_n_tokens(&all)));
        assert_true(some.longest <= wanted);
        if (some.n_sequences > 4) {
            const int32_t last = all.tokens[all.begins[N_DOCUMENTS - 1] + 2];
            assert_true(last - some.tokens[some.begins[some.n_sequences - 1] + 2] <= N_DOCUMENTS / 4);
        }
        nb_samples_free(&some);
    }
    nb_samples_free(&all);
}

/* A text that is not parted is cut where the context ends; each piece follows the one before. */
static void a_long_text_is_cut(void **state)
{
    const setting *s = *state;
    char text[1001];
    for (int i = 0; i < 1000; i++)
        text[i] = (char)('a' + i % 26);
    text[1000] = '\0';
    nb_samples samples = make(s, text, 0);
    assert_int_equal(samples.longest, CONTEXT);
    assert_int_equal(samples.n_sequences, 1000 / CONTEXT);
    assert_int_equal(nb_samples_n_tokens(&samples), 1000);
    nb_tokens tokens = {0};
    assert_int_equal(nb_tokenizer_encode(nb_model_tokenizer(s->model), text, 1000, false, false, &tokens, NULL), NB_OK);
    assert_int_equal(tokens.count, 1001);
    for (size_t i = 0; i < samples.n_sequences; i++)
        for (size_t t = 1; t < CONTEXT; t++)
            assert_int_equal(samples.tokens[samples.begins[i] + t], tokens.ids[i * CONTEXT + t - 1]);
    nb_tokens_free(&tokens);
    nb_samples_free(&samples);
}

static void nonsense_is_refused(void **state)
{
    const setting *s = *state;
    nb_samples samples;
    const char *const texts[] = {"", "a", "short", "<|endoftext|>\n", "short\n<|endoftext|>\nones\n<|endoftext|>\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nb_error error = {""};
        assert_int_equal(nb_samples_create(s->model, texts[i], strlen(texts[i]), 0, &samples, &error), NB_ERR_ARGUMENT);
        assert_true(error.text[0] && !samples.tokens && !samples.begins);
    }
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status != NB_OK; n++) {
        nb_error error = {""};
        nb_memory_fail_after(n);
        status = nb_samples_create(s->model, documents(), strlen(documents()), 0, &samples, &error);
        nb_memory_fail_after(0);
        assert_true(status == NB_OK || (status == NB_ERR_MEMORY && error.text[0] && !samples.tokens));
    }
    nb_samples_free(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_is_of_one_document),
        cmocka_unit_test(some_are_taken_evenly),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("samples", tests, open_setting, close_setting);
}
