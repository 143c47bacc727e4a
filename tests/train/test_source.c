/* What a training reads: sequences of a grammar with the weights of their answers. */
#include "train/source.h"

#include "files/vocabulary.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char grammar[] = "start s\ns:\n  * Where is it? <home>. Who? <me and you>.\n  * No answer here.\n";

static nb_train_config config_of(const char *settings)
{
    nb_train_config config;
    nb_error error;
    char text[1000];
    nb_synthetic shape = test_shapes[0].shape;
    shape.format = &nb_format_f32;
    if (nb_synthetic_write(temporary_path("v.gguf"), &shape, &error) != NB_OK)
        fail_msg("%s", error.text);
    temporary_file("g.grammar", grammar, strlen(grammar));
    const int n = snprintf(text, sizeof text,
                           "tokenizer = v.gguf\ngrammar = g.grammar\nstart = s\nn_layers = 1\nn_embd = 32\nn_heads = 2\n"
                           "n_kv_heads = 2\nn_ff = 32\nn_ctx = 64\nsteps = 1\nbatch_tokens = 64\nlearning_rate = 1\n%s",
                           settings);
    if (nb_train_config_read(temporary_file("c.train", text, (size_t)n), NULL, &config, &error) != NB_OK)
        fail_msg("%s", error.text);
    return config;
}

/* Every token by what it says: inside an answer or not. */
static void check_weights(const nb_tokenizer *tokenizer, const nb_batch *batch, float answer_weight, size_t *n_inside)
{
    double total = 0;
    for (size_t s = 0; s < batch->sequences.n_sequences; s++) {
        char text[200] = "";
        size_t n = 0;
        for (size_t t = batch->begins[s]; t < batch->begins[s + 1]; t++) {
            const nb_string piece =
                nb_tokenizer_piece(tokenizer, t > batch->begins[s] ? batch->targets[t - 1] : -1, batch->targets[t]);
            memcpy(text + n, piece.text, piece.n_bytes);
            n += piece.n_bytes;
            text[n] = 0;
            const char *said = strstr(text, "it? ") ? text + 12 : NULL; /* "Where is it?" */
            bool inside = false;
            if (said) {
                const size_t begin = n - piece.n_bytes, first = strlen("Where is it? "), second = first + strlen("home. Who? ");
                inside = (begin < first + 4 && n > first) || (begin < second + 10 && n > second);
            }
            assert_true(batch->weights[t] == (inside && piece.n_bytes > 0 ? answer_weight : 1.0f));
            *n_inside += inside && piece.n_bytes > 0;
            total += (double)batch->weights[t];
        }
    }
    assert_true(total == batch->total_weight);
}

static void answers_weigh_more(void **state)
{
    (void)state;
    nb_error error;
    nb_train_config config = config_of("answer_weight = 8\n");
    nb_gguf *gguf;
    nb_tokenizer *tokenizer;
    nb_train_source *source;
    nb_batch batch;
    uint64_t next = 0;
    size_t n_inside = 0;
    assert_int_equal(nb_gguf_open(temporary_path("v.gguf"), &gguf, &error), NB_OK);
    assert_int_equal(nb_tokenizer_from_gguf(gguf, &tokenizer, &error), NB_OK);
    assert_int_equal(nb_train_source_open(&config, tokenizer, &source, &error), NB_OK);
    assert_int_equal(nb_batch_create(500, &batch, &error), NB_OK);
    assert_int_equal(nb_batch_fill(&batch, source, &next, &error), NB_OK);
    assert_true(batch.sequences.n_sequences > 5);
    check_weights(tokenizer, &batch, 8.0f, &n_inside);
    assert_true(n_inside > 10);
    nb_batch_free(&batch);
    nb_train_source_close(&source);
    nb_tokenizer_destroy(&tokenizer);
    nb_gguf_close(&gguf);
    nb_train_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_weigh_more)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
