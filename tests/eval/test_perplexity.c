/* Perplexity and comparison against sums written from their formulas, over logits of plain evaluation. */
#include "model/state.h"
#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static const char text[] =
    "the cat sat on the mat and ate a fig. it was a big red fig, and the cat was glad! "
    "then it slept. \xe2\x82\xac 5 and \xc3\xa9t\xc3\xa9.";

/* ---- the definition ---- */

/* -log softmax(logits)[target] */
static double loss_of(const float *logits, size_t n, int32_t target)
{
    double max = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)logits[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[target];
}

static double kl_of(const float *a, const float *b, size_t n)
{
    double kl = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double log_p = -loss_of(a, n, (int32_t)i), log_q = -loss_of(b, n, (int32_t)i);
        kl += exp(log_p) * (log_p - log_q);
    }
    return kl;
}

static size_t largest(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* Windows of `window` targets, each after a BOS of its own: logits before every token of the text. */
static float *windowed_logits(nb_model *model, nb_weights weights, const int32_t *tokens, size_t n,
                              size_t window)
{
    const size_t n_vocab = nb_model_hparams(model)->n_vocab;
    float *all = calloc(n * n_vocab, sizeof *all);
    int32_t inputs[512];
    for (size_t begin = 0; begin < n; begin += window) {
        const size_t count = nb_min_size(window, n - begin);
        inputs[0] = nb_tokenizer_bos(nb_model_tokenizer(model));
        memcpy(inputs + 1, tokens + begin, (count - 1) * sizeof *inputs);
        float *logits = test_logits(model, weights, inputs, count);
        memcpy(all + begin * n_vocab, logits, count * n_vocab * sizeof *logits);
        free(logits);
    }
    return all;
}

static bool near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * fmax(1.0, fabs(b));
}

typedef struct fixture {
    nb_context *context;
    nb_model *model;
    nb_tokens tokens;
    size_t window, n_vocab;
} fixture;

static int set_up(void **state)
{
    nb_error error;
    fixture *f = calloc(1, sizeof *f);
    nb_synthetic shape = test_shapes[0].shape;
    shape.n_ctx = 19; /* several windows, the last one short */
    f->context = test_context(NULL, 2);
    f->model = test_model(f->context, &shape, &nb_format_f32);
    assert_int_equal(nb_tokenizer_encode(nb_model_tokenizer(f->model), text, strlen(text), false, false,
                                         &f->tokens, &error),
                     NB_OK);
    f->window = shape.n_ctx;
    f->n_vocab = shape.n_vocab;
    assert_true(f->tokens.count > 2 * f->window && f->tokens.count % f->window != 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    nb_tokens_free(&f->tokens);
    nb_model_destroy(&f->model);
    nb_context_destroy(&f->context);
    free(f);
    return 0;
}

/* ---- perplexity ---- */

static void assert_perplexity(const fixture *f, const nb_perplexity *ppl, size_t n, nb_weights weights)
{
    float *logits = windowed_logits(f->model, weights, f->tokens.ids, n, f->window);
    double sum = 0.0, squares = 0.0;
    assert_int_equal(ppl->n_tokens, n);
    for (size_t i = 0; i < n; i++) {
        const double loss = loss_of(logits + i * f->n_vocab, f->n_vocab, f->tokens.ids[i]);
        if (!near((double)ppl->losses[i], loss, 1e-6))
            fail_msg("token %zu: loss %.9g, not %.9g", i, (double)ppl->losses[i], loss);
        sum += loss;
    }
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += ((double)ppl->losses[i] - mean) * ((double)ppl->losses[i] - mean);
    const double error = sqrt(squares / (double)(n - 1) / (double)n);
    assert_true(near(ppl->mean_loss, mean, 1e-6));
    assert_true(near(ppl->ppl, exp(mean), 1e-5));
    assert_true(near(ppl->standard_error, exp(mean) * error, 1e-4));
    free(logits);
}

static void test_perplexity(void **state)
{
    const fixture *f = *state;
    nb_error error;
    nb_perplexity whole, part;
    const size_t n_bytes = strlen(text);
    assert_int_equal(nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, text, n_bytes, 0, &whole, &error),
                     NB_OK);
    assert_perplexity(f, &whole, f->tokens.count, NB_WEIGHTS_CURRENT);
    assert_true(near(whole.bits_per_byte,
                     whole.mean_loss * (double)f->tokens.count / log(2.0) / (double)n_bytes, 1e-9));
    const size_t n = f->window + 3;
    assert_int_equal(nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, text, n_bytes, n, &part, &error),
                     NB_OK);
    assert_perplexity(f, &part, n, NB_WEIGHTS_CURRENT);
    assert_memory_equal(whole.losses, part.losses, n * sizeof *part.losses);
    nb_perplexity_free(&whole);
    nb_perplexity_free(&part);
}

/* Chunks of 8 with BOS in the place of their first token; tokens 5, 6 and 7 of each are scored. */
static void test_protocol_of_llama_cpp(void **state)
{
    enum { CHUNK = 8, FIRST = CHUNK / 2 };
    const fixture *f = *state;
    nb_error error;
    nb_perplexity ppl;
    nb_tokens tokens = {0};
    const nb_tokenizer *tokenizer = nb_model_tokenizer(f->model);
    const nb_reading reading = {.window = CHUNK, .protocol = NB_PROTOCOL_LLAMA_CPP};
    assert_int_equal(nb_perplexity_measure_as(f->model, NB_WEIGHTS_CURRENT, text, strlen(text), &reading, &ppl, &error),
                     NB_OK);
    assert_int_equal(nb_tokenizer_encode(tokenizer, text, strlen(text), true, false, &tokens, &error), NB_OK);
    assert_true(nb_tokenizer_adds_bos(tokenizer));
    const size_t n_chunks = tokens.count / CHUNK;
    assert_true(n_chunks > 3 && tokens.count % CHUNK != 0);
    assert_int_equal(ppl.n_tokens, n_chunks * (CHUNK - 1 - FIRST));
    size_t at = 0;
    for (size_t c = 0; c < n_chunks; c++) {
        int32_t chunk[CHUNK];
        memcpy(chunk, tokens.ids + c * CHUNK, sizeof chunk);
        chunk[0] = nb_tokenizer_bos(tokenizer);
        float *logits = test_logits(f->model, NB_WEIGHTS_CURRENT, chunk, CHUNK);
        for (size_t i = FIRST; i + 1 < CHUNK; i++, at++)
            assert_true(near((double)ppl.losses[at], loss_of(logits + i * f->n_vocab, f->n_vocab, chunk[i + 1]), 1e-6));
        free(logits);
    }
    nb_perplexity_free(&ppl);
    const nb_reading long_window = {.window = f->window + 1};
    assert_int_equal(nb_perplexity_measure_as(f->model, NB_WEIGHTS_CURRENT, text, strlen(text), &long_window, &ppl, &error),
                     NB_ERR_ARGUMENT);
    assert_int_equal(nb_perplexity_measure_as(f->model, NB_WEIGHTS_CURRENT, "a b", 3, &reading, &ppl, &error),
                     NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "does not fill one chunk of 8"));
    nb_tokens_free(&tokens);
}

static void test_perplexity_refusals(void **state)
{
    const fixture *f = *state;
    nb_error error;
    nb_perplexity ppl;
    assert_int_equal(nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, "", 0, 0, &ppl, &error),
                     NB_ERR_ARGUMENT);
    atomic_store(&f->context->cancel, true);
    assert_int_equal(nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, text, strlen(text), 0, &ppl, &error),
                     NB_ERR_CANCELLED);
    assert_null(ppl.losses);
    const char *const texts[] = {text, "<|endoftext|>\nthe cat sat\n<|endoftext|>\nit was glad"};
    for (size_t i = 0; i < 2; i++) {
        nb_status status = NB_ERR_MEMORY;
        for (long n = 1; status == NB_ERR_MEMORY; n++) {
            nb_memory_fail_after(n);
            status = nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, texts[i], strlen(texts[i]), 0, &ppl,
                                           &error);
            nb_memory_fail_after(0);
        }
        assert_int_equal(status, NB_OK);
        nb_perplexity_free(&ppl);
    }
}

/* ---- documents ---- */

/* Of 19 targets a window: one short, one longer, one that has no room for its end, one of a letter. */
static const char *const documents[] = {
    "the cat sat on the mat", "it was a big red fig, and the cat was glad!\nyes", "aaaabbbbccccddddeef", "a"};
static const char parted[] = "\r\n<|endoftext|>\nthe cat sat on the mat\n<|endoftext|>\n\n<|endoftext|>\r\n"
                             "it was a big red fig, and the cat was glad!\nyes\n\n<|endoftext|>\n"
                             "aaaabbbbccccddddeef\n<|endoftext|>\na";
enum { N_DOCUMENTS = sizeof documents / sizeof documents[0], LOSSES_MAX = 256 };

typedef struct expected {
    double losses[LOSSES_MAX];
    size_t n, n_bytes;
    size_t begins[N_DOCUMENTS + 1];
} expected;

/* Losses of all documents, each after BOS and with its end, window by window. */
static void score_by_hand(const fixture *f, nb_weights weights, expected *out)
{
    const nb_tokenizer *tokenizer = nb_model_tokenizer(f->model);
    const int32_t bos = nb_tokenizer_bos(tokenizer), eos = nb_tokenizer_eos(tokenizer);
    *out = (expected){0};
    for (size_t d = 0; d < N_DOCUMENTS; d++) {
        nb_tokens all = {0};
        if (bos >= 0)
            assert_int_equal(nb_tokens_push(&all, bos, NULL), NB_OK);
        assert_int_equal(
            nb_tokenizer_encode(tokenizer, documents[d], strlen(documents[d]), false, false, &all, NULL),
            NB_OK);
        for (size_t i = 1; i < all.count; i++)
            out->n_bytes += nb_tokenizer_piece(tokenizer, all.ids[i - 1], all.ids[i]).n_bytes;
        if (eos >= 0 && (all.count - 1) % f->window != 0)
            assert_int_equal(nb_tokens_push(&all, eos, NULL), NB_OK);
        for (size_t begin = 1; begin < all.count; begin += f->window) {
            const size_t n = nb_min_size(f->window, all.count - begin);
            int32_t inputs[512];
            memcpy(inputs, all.ids + begin - 1, n * sizeof *inputs);
            inputs[0] = bos >= 0 ? bos : inputs[0];
            float *logits = test_logits(f->model, weights, inputs, n);
            for (size_t i = 0; i < n; i++)
                out->losses[out->n++] = loss_of(logits + i * f->n_vocab, f->n_vocab, all.ids[begin + i]);
            free(logits);
        }
        out->begins[d + 1] = out->n;
        nb_tokens_free(&all);
    }
}

static void assert_losses(const nb_perplexity *ppl, const expected *e, size_t n)
{
    size_t n_documents = 0;
    for (size_t d = 0; d < N_DOCUMENTS; d++)
        n_documents += e->begins[d] < n && e->begins[d] < e->begins[d + 1];
    assert_int_equal(ppl->n_tokens, n);
    assert_int_equal(ppl->n_documents, n_documents);
    for (size_t i = 0; i < n; i++)
        if (!near((double)ppl->losses[i], e->losses[i], 1e-6))
            fail_msg("token %zu: loss %.9g, not %.9g", i, (double)ppl->losses[i], e->losses[i]);
}

static void check_documents(const fixture *f, size_t n)
{
    nb_error error = {""};
    nb_perplexity ppl;
    nb_comparison c;
    expected current, original;
    const size_t size = sizeof parted - 1;
    score_by_hand(f, NB_WEIGHTS_CURRENT, &current);
    score_by_hand(f, NB_WEIGHTS_ORIGINAL, &original);
    assert_int_equal(current.n, n);
    for (size_t most = 0; most <= n; most++) {
        assert_int_equal(
            nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, parted, size, most, &ppl, &error), NB_OK);
        assert_losses(&ppl, &current, most == 0 ? n : most);
        const double bits = ppl.mean_loss * (double)n / log(2.0) / (double)current.n_bytes;
        assert_true(ppl.n_tokens < n || near(ppl.bits_per_byte, bits, 1e-9));
        nb_perplexity_free(&ppl);
    }
    assert_int_equal(nb_compare(f->model, parted, size, 0, &c, &error), NB_OK);
    assert_losses(&c.original, &original, n);
    assert_losses(&c.quantized, &current, n);
    nb_comparison_free(&c);
}

/* With and without tokens for begin and end. */
static void test_documents(void **state)
{
    fixture *f = *state;
    nb_error error = {""};
    nb_tokenizer *own = f->model->tokenizer;
    test_quantize(f->model, "all", "int4 absmax/channel");
    for (unsigned turn = 0; turn < 4; turn++) {
        nb_vocabulary v = *nb_tokenizer_vocabulary(own);
        nb_tokenizer *tokenizer;
        v.bos = turn & 1 ? -1 : v.bos;
        v.eos = turn & 2 ? -1 : v.eos;
        v.add_bos &= v.bos >= 0;
        assert_int_equal(nb_tokenizer_create(&v, &tokenizer, &error), NB_OK);
        f->model->tokenizer = tokenizer;
        static const size_t n_targets[4] = {22 + 42 + 19 + 2, 21 + 41 + 19, 21 + 41 + 19 + 1, 20 + 40 + 18};
        check_documents(f, n_targets[turn]);
        f->model->tokenizer = own;
        nb_tokenizer_destroy(&tokenizer);
    }
    assert_int_equal(nb_model_undo(f->model, &error), NB_OK);
}

/* A mark inside a line is text, and so is one in a text of marks alone nothing. */
static void test_what_parts_nothing(void **state)
{
    const fixture *f = *state;
    nb_error error = {""};
    nb_perplexity ppl;
    static const char inside[] = "a cat <|endoftext|>\na mat\n", marks[] = "<|endoftext|>\n\n<|endoftext|>\n";
    assert_int_equal(
        nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, inside, sizeof inside - 1, 0, &ppl, &error),
        NB_OK);
    assert_int_equal(ppl.n_documents, 0);
    nb_tokens tokens = {0};
    assert_int_equal(nb_tokenizer_encode(nb_model_tokenizer(f->model), inside, sizeof inside - 1, false,
                                         false, &tokens, &error),
                     NB_OK);
    assert_int_equal(ppl.n_tokens, tokens.count);
    nb_tokens_free(&tokens);
    nb_perplexity_free(&ppl);
    assert_int_equal(
        nb_perplexity_measure(f->model, NB_WEIGHTS_CURRENT, marks, sizeof marks - 1, 0, &ppl, &error),
        NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "0 tokens"));
}

/* The formulas above against numbers worked out elsewhere: three logits, target 0. */
static void test_formulas_of_this_test(void **state)
{
    (void)state;
    const float p[] = {2.0f, 1.0f, 0.1f}, q[] = {1.8f, 1.2f, 0.0f};
    assert_true(near(loss_of(p, 3, 0), 0.417030, 1e-6));
    assert_true(near(loss_of(q, 3, 0), 0.5388943, 1e-6));
    assert_true(near(kl_of(p, q, 3), 0.015034508, 1e-7));
}

/* ---- comparison ---- */

static void test_comparison(void **state)
{
    fixture *f = *state;
    nb_error error;
    nb_comparison c;
    const size_t n = f->tokens.count;
    test_quantize(f->model, "all", "int4 absmax/channel");
    assert_int_equal(nb_compare(f->model, text, strlen(text), 0, &c, &error), NB_OK);
    assert_perplexity(f, &c.original, n, NB_WEIGHTS_ORIGINAL);
    assert_perplexity(f, &c.quantized, n, NB_WEIGHTS_CURRENT);
    float *a = windowed_logits(f->model, NB_WEIGHTS_ORIGINAL, f->tokens.ids, n, f->window);
    float *b = windowed_logits(f->model, NB_WEIGHTS_CURRENT, f->tokens.ids, n, f->window);
    double kl = 0.0, paired = 0.0, squares = 0.0;
    size_t n_agree = 0;
    for (size_t i = 0; i < n; i++) {
        const float *row_a = a + i * f->n_vocab, *row_b = b + i * f->n_vocab;
        kl += kl_of(row_a, row_b, f->n_vocab) / (double)n;
        paired += ((double)c.quantized.losses[i] - (double)c.original.losses[i]) / (double)n;
        n_agree += largest(row_a, f->n_vocab) == largest(row_b, f->n_vocab);
    }
    for (size_t i = 0; i < n; i++)
        squares += pow((double)c.quantized.losses[i] - (double)c.original.losses[i] - paired, 2.0);
    assert_true(kl > 1e-4);
    assert_true(fabs(c.kl_mean / kl - 1.0) < 1e-4);
    assert_true(c.kl_error > 0.0 && c.kl_error < c.kl_mean);
    assert_true(c.top1_agreement == (double)n_agree / (double)n);
    assert_true(c.top1_agreement < 1.0);
    assert_true(near(c.paired_mean, paired, 1e-9));
    assert_true(near(c.paired_error, sqrt(squares / (double)(n - 1) / (double)n), 1e-9));
    nb_comparison_free(&c);
    free(a);
    free(b);
    assert_int_equal(nb_model_undo(f->model, &error), NB_OK);
}

/* A model beside itself: nothing is lost, exactly. */
static void test_comparison_with_itself(void **state)
{
    const fixture *f = *state;
    nb_error error;
    nb_comparison c;
    assert_int_equal(nb_compare(f->model, text, strlen(text), 30, &c, &error), NB_OK);
    assert_true(c.kl_mean == 0.0 && c.kl_error == 0.0 && c.paired_mean == 0.0 && c.paired_error == 0.0);
    assert_true(c.top1_agreement == 1.0);
    assert_int_equal(c.original.n_tokens, 30);
    nb_comparison_free(&c);
}

static void test_comparison_stops(void **state)
{
    const fixture *f = *state;
    nb_error error;
    nb_comparison c;
    atomic_store(&f->context->cancel, true);
    assert_int_equal(nb_compare(f->model, text, strlen(text), 0, &c, &error), NB_ERR_CANCELLED);
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status == NB_ERR_MEMORY; n++) {
        nb_memory_fail_after(n);
        status = nb_compare(f->model, text, strlen(text), 0, &c, &error);
        nb_memory_fail_after(0);
    }
    assert_int_equal(status, NB_OK);
    nb_comparison_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas_of_this_test),
        cmocka_unit_test(test_perplexity),
        cmocka_unit_test(test_protocol_of_llama_cpp),
        cmocka_unit_test(test_perplexity_refusals),
        cmocka_unit_test(test_comparison),
        cmocka_unit_test(test_comparison_with_itself),
        cmocka_unit_test(test_comparison_stops),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_what_parts_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
