/* Importance matrices: sums that are computed here again from the model's own numbers, the same on every level and
 * thread count, and files of both forms. */
#include "quant/importance.h"
#include "quant/quantize.h"

#include "tests/support/shapes.h"
#include "tests/support/temporary.h"
#include "text/tokenizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "abc def ghi jkl mno pqr stu vwx yz. The quick brown fox, and 0123456789 other animals.";
enum { CHUNK = 12 };

static nb_importance *collect(nb_model *model)
{
    nb_importance *importance;
    nb_error error;
    if (nb_importance_collect(model, text, strlen(text), "t.txt", 0, CHUNK, &importance, &error) != NB_OK)
        fail_msg("%s", error.text);
    return importance;
}

/* What flows into the first block's attention: norms of embeddings, in f64. */
static void first_block_by_hand(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    nb_importance *importance = collect(model);
    nb_tokens tokens = {0};
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    assert_int_equal(nb_tokenizer_encode(tokenizer, text, strlen(text), true, false, &tokens, &error), NB_OK);
    const size_t n_chunks = tokens.count / CHUNK, n = nb_model_hparams(model)->n_embd;
    assert_true(n_chunks >= 3);
    assert_int_equal(importance->n_chunks, n_chunks);
    double *sums = calloc(n, sizeof *sums);
    float *row = calloc(n, sizeof *row);
    const nb_tensor *embeddings = nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "token_embd"));
    const float *weight =
        nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.attn_norm"))->vector;
    for (size_t i = 0; i < n_chunks * CHUNK; i++) {
        const int32_t token = i % CHUNK == 0 ? nb_tokenizer_bos(tokenizer) : tokens.ids[i];
        double mean = 0;
        nb_tensor_source_row(embeddings, (size_t)token, row);
        for (size_t j = 0; j < n; j++)
            mean += (double)row[j] * (double)row[j] / (double)n;
        for (size_t j = 0; j < n; j++) {
            const double x = (double)row[j] * (double)weight[j] / sqrt(mean + (double)nb_model_hparams(model)->norm_eps);
            sums[j] += x * x;
        }
    }
    const nb_importance_entry *q = nb_importance_find(importance, "blk.0.attn_q"),
                              *v = nb_importance_find(importance, "blk.0.attn_v");
    assert_int_equal(q->n_cols, n);
    assert_true(q->n_tokens == (float)(n_chunks * CHUNK));
    assert_memory_equal(q->squares, v->squares, n * sizeof(float));
    for (size_t j = 0; j < n; j++)
        if (fabs((double)q->squares[j] / sums[j] - 1.0) > 1e-5)
            fail_msg("column %zu: %.9g, by hand %.9g", j, (double)q->squares[j], sums[j]);
    assert_null(nb_importance_find(importance, "token_embd"));
    float *means = calloc(n, sizeof *means);
    bool known;
    assert_int_equal(nb_importance_means(importance, "blk.0.attn_q", n, means, &known, &error), NB_OK);
    assert_true(known && means[3] == q->squares[3] / q->n_tokens);
    assert_int_equal(nb_importance_means(importance, "blk.0.attn_q", n + 1, means, &known, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_importance_means(importance, "nothing", n, means, &known, &error), NB_OK);
    assert_false(known);
    free(means);
    free(sums);
    free(row);
    nb_tokens_free(&tokens);
    nb_importance_destroy(&importance);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void assert_same(const nb_importance *a, const nb_importance *b)
{
    assert_int_equal(a->n_entries, b->n_entries);
    for (size_t i = 0; i < a->n_entries; i++) {
        assert_string_equal(a->entries[i].name, b->entries[i].name);
        assert_int_equal(a->entries[i].n_cols, b->entries[i].n_cols);
        assert_memory_equal(a->entries[i].squares, b->entries[i].squares, a->entries[i].n_cols * sizeof(float));
        assert_true(a->entries[i].n_tokens == b->entries[i].n_tokens);
    }
}

static void same_bits_everywhere(void **state)
{
    (void)state;
    nb_importance *first = NULL;
    for (size_t level = 0; level < nb_kernels_count(); level++)
        for (unsigned threads = 1; threads <= 3 && test_level(level); threads++) {
            nb_context *context = test_context(test_level(level), threads);
            nb_model *model = test_model(context, &test_shapes[1].shape, &nb_format_f32);
            nb_importance *importance = collect(model);
            if (first)
                assert_same(first, importance);
            else
                first = importance;
            if (first != importance)
                nb_importance_destroy(&importance);
            nb_model_destroy(&model);
            nb_context_destroy(&context);
        }
    nb_importance_destroy(&first);
}

/* ---- files ---- */

static void saved_and_opened(void **state)
{
    (void)state;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    nb_importance *made = collect(model), *gguf, *older;
    const char *path = temporary_path("importance.gguf");
    assert_int_equal(nb_importance_save(made, path, &error), NB_OK);
    assert_int_equal(nb_importance_open(path, &gguf, &error), NB_OK);
    assert_same(made, gguf);
    assert_string_equal(gguf->text, "t.txt");
    assert_int_equal(gguf->chunk_tokens, CHUNK);
    path = temporary_path("importance.dat");
    assert_int_equal(nb_importance_save(made, path, &error), NB_OK);
    assert_int_equal(nb_importance_open(path, &older, &error), NB_OK);
    assert_string_equal(older->text, "t.txt");
    assert_int_equal(older->n_chunks, made->n_chunks);
    for (size_t i = 0; i < made->n_entries; i++)
        for (size_t j = 0; j < made->entries[i].n_cols; j++) {
            const double mean = (double)made->entries[i].squares[j] / (double)made->entries[i].n_tokens;
            const double again = (double)older->entries[i].squares[j] / (double)older->entries[i].n_tokens;
            assert_true(fabs(again - mean) <= 1e-6 * mean);
        }
    nb_importance_destroy(&made);
    nb_importance_destroy(&gguf);
    nb_importance_destroy(&older);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* One entry "b.weight" of two columns, 3 chunks, 1.5 and 6 (means .5 and 2), then 3 and "x". */
static const uint8_t by_hand[] = {1, 0, 0, 0, 8,    0,    0,    0,   'b', '.',  'w',  'e', 'i', 'g',
                                  'h', 't', 3, 0,    0,    0,    2,   0,   0,    0,    0,   0,   0xc0,
                                  0x3f, 0, 0, 0xc0, 0x40, 3,    0,   0,   0,    1,    0,   0,   0,
                                  'x'};

static nb_status open_bytes(const uint8_t *bytes, size_t n, nb_importance **out, nb_error *error)
{
    return nb_importance_open(temporary_file("by_hand.dat", bytes, n), out, error);
}

static void older_form_by_hand(void **state)
{
    (void)state;
    nb_importance *importance;
    nb_error error;
    bool known;
    float means[2];
    assert_int_equal(open_bytes(by_hand, sizeof by_hand, &importance, &error), NB_OK);
    assert_int_equal(nb_importance_means(importance, "b", 2, means, &known, &error), NB_OK);
    assert_true(known && means[0] == 0.5f && means[1] == 2.0f);
    assert_string_equal(importance->text, "x");
    nb_importance_destroy(&importance);
    for (size_t n = 1; n < 32; n++) { /* up to the end of the entry */
        assert_int_not_equal(open_bytes(by_hand, n, &importance, &error), NB_OK);
        assert_null(importance);
    }
    uint8_t bad[sizeof by_hand];
    memcpy(bad, by_hand, sizeof bad);
    bad[27] = 0xff, bad[26] = 0xc0; /* the first number becomes NaN */
    assert_int_equal(open_bytes(bad, sizeof bad, &importance, &error), NB_ERR_FILE);
    assert_non_null(strstr(error.text, "negative or no number"));
    memcpy(bad, by_hand, sizeof bad);
    bad[23] = 0x7f; /* two billion columns */
    assert_int_equal(open_bytes(bad, sizeof bad, &importance, &error), NB_ERR_FILE);
}

static void what_cannot_be_collected(void **state)
{
    (void)state;
    nb_importance *importance;
    nb_error error;
    nb_context *context = test_context(NULL, 1);
    nb_model *model = test_model(context, &test_shapes[0].shape, &nb_format_f32);
    assert_int_equal(nb_importance_collect(model, "ab", 2, "t", 0, CHUNK, &importance, &error), NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "does not fill one chunk of 12"));
    assert_int_equal(nb_importance_collect(model, text, strlen(text), "t", 0, 1, &importance, &error),
                     NB_ERR_ARGUMENT);
    assert_int_equal(nb_importance_collect(model, text, strlen(text), "t", 0, 1 << 20, &importance, &error),
                     NB_ERR_ARGUMENT);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

/* A tensor's weighing is its own: it is there again when a later change is taken back, and without the matrix. */
static void quantizing_by_it(void **state)
{
    (void)state;
    nb_synthetic shape = test_shapes[0].shape;
    shape.n_embd = 64, shape.n_heads = 4, shape.n_kv_heads = 2, shape.n_ff = 64, shape.head_size = 16;
    nb_error error;
    nb_context *context = test_context(NULL, 2);
    nb_model *model = test_model(context, &shape, &nb_format_f32);
    nb_importance *importance = collect(model);
    nb_scope scope;
    assert_int_equal(nb_scope_resolve(model, "blk.0.attn_q", false, &scope, &error), NB_OK);
    const nb_quantizer q = {.format = nb_format_find("q4_0")};
    assert_int_equal(nb_model_quantize(model, &scope, &q, NULL, &error), NB_OK);
    const uint64_t plain = test_state(model);
    assert_int_equal(nb_model_quantize_each(model, &scope, &q, importance, NULL, &error), NB_OK);
    const uint64_t weighed = test_state(model);
    assert_true(plain != weighed);
    nb_importance_destroy(&importance);
    /* the row as the format's own encoder has it */
    const nb_tensor *t = nb_model_tensor(model, scope.tensors[0]);
    float x[64], stored[64], wanted[64], means[64];
    uint8_t blocks[2 * 18];
    memcpy(means, t->importance, sizeof means);
    nb_tensor_source_row(t, 5, x);
    nb_tensor_current_row(t, 5, stored);
    q.format->encode_blocks(x, 64, means, blocks);
    nb_format_decode_row(q.format, blocks, 64, wanted);
    assert_memory_equal(stored, wanted, sizeof wanted);
    assert_int_equal(nb_model_restore(model, &scope, &error), NB_OK);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_true(test_state(model) == weighed);
    assert_int_equal(nb_model_undo(model, &error), NB_OK);
    assert_true(test_state(model) == plain);
    nb_scope_free(&scope);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_block_by_hand), cmocka_unit_test(same_bits_everywhere),
        cmocka_unit_test(saved_and_opened),    cmocka_unit_test(older_form_by_hand),
        cmocka_unit_test(what_cannot_be_collected), cmocka_unit_test(quantizing_by_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
