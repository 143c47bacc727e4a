/* Quizzes: what is read from a file, and answers judged against logits of plain evaluation. */
#include "eval/quiz.h"
#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

#define MARK "\n<|endoftext|>\n"

/* Tokens of the synthetic vocabulary that are a letter each; between letters there is always a boundary. */
enum { LETTER_A = 3 + 256 + 1, CONTEXT = 640, BATCH = 516 };

typedef struct fixture {
    nb_context *context;
    nb_model *model;
    size_t n_vocab;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    nb_synthetic shape = test_shapes[0].shape;
    shape.n_ctx = CONTEXT;
    f->context = test_context(NULL, 2);
    f->model = test_model(f->context, &shape, &nb_format_f32);
    f->n_vocab = shape.n_vocab;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    nb_model_destroy(&f->model);
    nb_context_destroy(&f->context);
    free(f);
    return 0;
}

static void read_quiz(const fixture *f, const char *text, size_t most, nb_quiz *quiz)
{
    nb_error error = {""};
    if (nb_quiz_read(f->model, text, strlen(text), "quiz.txt", most, quiz, &error) != NB_OK)
        fail_msg("%s", error.text);
}

static void assert_text(nb_string text, const char *expected)
{
    if (!nb_string_equal(text, expected))
        fail_msg("\"%.*s\", not \"%s\"", (int)text.n_bytes, text.text, expected);
}

/* ---- reading ---- */

static void test_reading(void **state)
{
    const fixture *f = *state;
    nb_quiz quiz;
    static const char text[] =
        "\n<|endoftext|>\nThe cat sat.\nWhere?\t on the mat.\n" MARK
        "It was red.\r\nWhat colour?\tred\r\n<|endoftext|>\r\nWhere?\t on the mat" MARK "pi is 3.\t1..";
    read_quiz(f, text, 0, &quiz);
    assert_int_equal(quiz.n, 4);
    assert_false(quiz.more);
    static const struct {
        const char *asked, *answer;
        size_t line;
    } expected[4] = {{"The cat sat.\nWhere?", "on the mat", 3},
                     {"It was red.\r\nWhat colour?", "red", 7},
                     {"Where?", "on the mat", 10},
                     {"pi is 3.", "1.", 12}};
    for (size_t i = 0; i < 4; i++) {
        const nb_question *q = &quiz.questions[i];
        assert_text(q->asked, expected[i].asked);
        assert_text(q->answer, expected[i].answer);
        assert_int_equal(q->number, i + 1);
        assert_int_equal(q->line, expected[i].line);
        assert_int_equal(quiz.tokens.ids[q->begin], 1);
        /* the answer's tokens stand for the answer, with the blank before it */
        size_t n_bytes;
        char *decoded = nb_tokenizer_decode(nb_model_tokenizer(f->model),
                                            quiz.tokens.ids + q->begin + q->n_asked, q->n_answer, &n_bytes);
        assert_string_equal(decoded + (decoded[0] == ' '), expected[i].answer);
        free(decoded);
        decoded = nb_tokenizer_decode(nb_model_tokenizer(f->model), quiz.tokens.ids + q->begin, q->n_asked,
                                      &n_bytes);
        assert_string_equal(decoded, expected[i].asked);
        free(decoded);
        assert_true(q->n_asked + q->n_answer <= quiz.longest);
    }
    assert_text(quiz.commonest, "on the mat");
    assert_int_equal(quiz.n_commonest, 2);
    nb_quiz_free(&quiz);
    read_quiz(f, text, 2, &quiz);
    assert_int_equal(quiz.n, 2);
    assert_true(quiz.more);
    assert_text(quiz.commonest, "on the mat"); /* of two that are as common */
    nb_quiz_free(&quiz);
}

static void refused(const fixture *f, const char *text, const char *words)
{
    nb_error error = {""};
    nb_quiz quiz;
    assert_int_not_equal(nb_quiz_read(f->model, text, strlen(text), "quiz.txt", 0, &quiz, &error), NB_OK);
    if (!strstr(error.text, words) || strncmp(error.text, "quiz.txt: ", 10) != 0)
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_null(quiz.questions);
}

static void test_refusals(void **state)
{
    const fixture *f = *state;
    refused(f, "", "there is no question in it");
    refused(f, MARK MARK, "there is no question in it");
    refused(f, "a?\tb" MARK "\nwhere is it?\nthere", "document 2, from line 4, has no tab");
    refused(f, "a?\tb\tc", "document 1, from line 1, has several tabs");
    refused(f, "a?\tb\t", "has several tabs");
    refused(f, "a?\t", "has no answer");
    refused(f, "a?\t .", "has no answer");
    refused(f, "\tb", "asks nothing");
    refused(f, " \tb", "asks nothing");
    refused(f, "what? \ta", "part of both"); /* " a" is one token */
    char text[CONTEXT + 8];
    memset(text, 'z', sizeof text);
    memcpy(text + CONTEXT - 1, "\tz", 3); /* BOS, a blank, CONTEXT - 1 letters, the answer */
    refused(f, text, "document 1, from line 1, takes 641 tokens, but the context holds 640");
    nb_quiz quiz;
    memcpy(text + CONTEXT - 2, "\tz", 3);
    read_quiz(f, text, 0, &quiz);
    nb_quiz_free(&quiz);
}

/* ---- asking ---- */

static size_t largest(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* The likeliest token after all of these. */
static int32_t next_token(const fixture *f, const int32_t *tokens, size_t n)
{
    float *logits = test_logits(f->model, NB_WEIGHTS_ORIGINAL, tokens, n);
    const size_t best = largest(logits + (n - 1) * f->n_vocab, f->n_vocab);
    free(logits);
    return (int32_t)best;
}

static bool is_letter(int32_t token)
{
    return token >= LETTER_A && token < LETTER_A + 26;
}

/* Appends a document of n_letters and an answer of as many letters as the model itself would write, up to
 * three; one of them wrong if `spoil`. True if there was anything to answer. */
static bool add_document(const fixture *f, char *text, size_t n_letters, unsigned seed, bool spoil)
{
    static int32_t tokens[CONTEXT];
    char *begin = text + strlen(text);
    if (begin > text)
        begin += sprintf(begin, MARK);
    for (size_t i = 0; i < n_letters; i++)
        begin[i] = (char)('a' + (seed * 31 + i * i * 7 + i * seed) % 26);
    begin[n_letters] = '\0';
    nb_tokens read = {0};
    assert_int_equal(
        nb_tokenizer_encode(nb_model_tokenizer(f->model), begin, n_letters, true, false, &read, NULL), NB_OK);
    size_t n = read.count, n_answer = 0;
    memcpy(tokens, read.ids, n * sizeof *tokens);
    nb_tokens_free(&read);
    char *end = begin + n_letters;
    *end++ = '\t';
    while (n_answer < 3 && n < CONTEXT) {
        const int32_t next = next_token(f, tokens, n);
        if (!is_letter(next))
            break;
        tokens[n++] = next;
        *end++ = (char)('a' + next - LETTER_A);
        n_answer++;
    }
    if (n_answer > 0 && spoil)
        end[-1] = end[-1] == 'z' ? 'a' : (char)(end[-1] + 1);
    *end = '\0';
    if (n_answer == 0)
        begin[begin > text ? -(ptrdiff_t)strlen(MARK) : 0] = '\0';
    return n_answer > 0;
}

/* Right by definition: every token of the answer is the likeliest after all before it. */
static bool is_right(const fixture *f, nb_weights weights, const nb_quiz *quiz, size_t i)
{
    const nb_question *q = &quiz->questions[i];
    const int32_t *tokens = quiz->tokens.ids + q->begin;
    const size_t n = q->n_asked + q->n_answer;
    float *logits = test_logits(f->model, weights, tokens, n);
    bool right = true;
    for (size_t at = q->n_asked; at < n; at++)
        right &= (size_t)tokens[at] == largest(logits + (at - 1) * f->n_vocab, f->n_vocab);
    free(logits);
    return right;
}

static void test_asking(void **state)
{
    const fixture *f = *state;
    nb_error error = {""};
    static char text[40 * (CONTEXT + 32)];
    size_t n = 0, n_right = 0, n_long = 0;
    text[0] = '\0';
    for (unsigned seed = 0; seed < 30; seed++) {
        const bool spoil = seed % 3 == 0;
        /* some so long that a batch ends among or around the answer's tokens */
        const size_t n_letters = seed < 24 ? 3 + seed : BATCH - 4 + seed % 6;
        if (add_document(f, text, n_letters, seed, spoil)) {
            n++;
            n_right += !spoil;
            n_long += seed >= 24;
        }
    }
    nb_quiz quiz;
    nb_quiz_score score;
    read_quiz(f, text, 0, &quiz);
    assert_int_equal(quiz.n, n);
    assert_true(n_right > 5 && n_right < n && n_long > 2); /* else this tests nothing */
    assert_int_equal(nb_quiz_ask(f->model, NB_WEIGHTS_ORIGINAL, &quiz, &score, &error), NB_OK);
    assert_int_equal(score.n, n);
    assert_int_equal(score.n_right, n_right);
    for (size_t i = 0; i < n; i++)
        assert_true((score.right[i] == 1.0f) == is_right(f, NB_WEIGHTS_ORIGINAL, &quiz, i));
    const double p = (double)n_right / (double)n;
    assert_true(score.accuracy == p);
    assert_true(fabs(score.standard_error - sqrt(p * (1 - p) / (double)n)) < 1e-15);

    /* what it writes begins with the answer where that is right, and only there */
    char *written[30];
    size_t which[30];
    for (size_t i = 0; i < n; i++)
        which[i] = n - 1 - i;
    assert_int_equal(nb_quiz_write(f->model, NB_WEIGHTS_ORIGINAL, &quiz, which, n, written, &error), NB_OK);
    for (size_t i = 0; i < n; i++) {
        const nb_string answer = quiz.questions[which[i]].answer;
        const bool begins = strncmp(written[i], answer.text, answer.n_bytes) == 0;
        assert_true(begins == (score.right[which[i]] == 1.0f));
        free(written[i]);
    }
    nb_quiz_score_free(&score);

    test_quantize(f->model, "all", "int2 absmax/channel");
    assert_int_equal(nb_quiz_ask(f->model, NB_WEIGHTS_CURRENT, &quiz, &score, &error), NB_OK);
    for (size_t i = 0; i < n; i++)
        assert_true((score.right[i] == 1.0f) == is_right(f, NB_WEIGHTS_CURRENT, &quiz, i));
    assert_true(score.n_right != n_right);
    nb_quiz_score_free(&score);
    assert_int_equal(nb_model_undo(f->model, &error), NB_OK);
    nb_quiz_free(&quiz);
}

static nb_status all_of_it(const fixture *f, nb_error *error)
{
    static const char text[] = "the cat sat. where?\t on the mat." MARK "what?\tit";
    nb_quiz quiz = {0};
    nb_quiz_score score = {0};
    char *written[2] = {NULL, NULL};
    static const size_t which[2] = {1, 0};
    nb_status status = nb_quiz_read(f->model, text, sizeof text - 1, "quiz.txt", 0, &quiz, error);
    if (status == NB_OK)
        status = nb_quiz_ask(f->model, NB_WEIGHTS_CURRENT, &quiz, &score, error);
    if (status == NB_OK)
        status = nb_quiz_write(f->model, NB_WEIGHTS_CURRENT, &quiz, which, 2, written, error);
    free(written[0]);
    free(written[1]);
    nb_quiz_score_free(&score);
    nb_quiz_free(&quiz);
    return status;
}

static void test_stopping(void **state)
{
    const fixture *f = *state;
    nb_error error = {""};
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status == NB_ERR_MEMORY; n++) {
        nb_memory_fail_after(n);
        status = all_of_it(f, &error);
        nb_memory_fail_after(0);
    }
    assert_int_equal(status, NB_OK);
    atomic_store(&f->context->cancel, true);
    assert_int_equal(all_of_it(f, &error), NB_ERR_CANCELLED);
    assert_int_equal(all_of_it(f, &error), NB_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_asking),
        cmocka_unit_test(test_stopping),
    };
    return cmocka_run_group_tests_name("quiz", tests, set_up, tear_down);
}
