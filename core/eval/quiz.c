#include "eval/quiz.h"

#include "base/memory.h"
#include "model/state.h"
#include "text/documents.h"
#include "text/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXTRA_TOKENS = 8 }; /* that a wrong answer may be longer than the right one */

/* ---- reading ---- */

typedef struct reader {
    const nb_model *model;
    const nb_tokenizer *tokenizer;
    const char *name;
    nb_quiz *quiz;
    size_t capacity;
    char *whole; /* [whole_size]: a document without its tab */
    size_t whole_size;
} reader;

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r';
}

static nb_string trim(nb_string text)
{
    while (text.n_bytes > 0 && is_blank(text.text[0]))
        text = (nb_string){text.text + 1, text.n_bytes - 1};
    while (text.n_bytes > 0 && is_blank(text.text[text.n_bytes - 1]))
        text.n_bytes--;
    return text;
}

static nb_status complain(const reader *r, const nb_question *q, const char *what, nb_error *error)
{
    return nb_fail(error, NB_ERR_FILE, "%s: document %zu, from line %zu, %s", r->name, q->number, q->line,
                   what);
}

/* Fills asked and answer; *rest bytes follow the answer. */
static nb_status part(const reader *r, nb_string document, nb_question *q, size_t *rest, nb_error *error)
{
    const char *tab = memchr(document.text, '\t', document.n_bytes);
    if (!tab)
        return complain(r, q, "has no tab between its question and the answer", error);
    const size_t n_asked = (size_t)(tab - document.text);
    nb_string answer = {tab + 1, document.n_bytes - n_asked - 1};
    if (memchr(answer.text, '\t', answer.n_bytes))
        return complain(r, q, "has several tabs; one parts the question from the answer", error);
    *rest = answer.n_bytes > 0 && answer.text[answer.n_bytes - 1] == '.';
    answer.n_bytes -= *rest;
    q->asked = (nb_string){document.text, n_asked};
    q->answer = trim(answer);
    if (trim(q->asked).n_bytes == 0)
        return complain(r, q, "asks nothing before its tab", error);
    if (q->answer.n_bytes == 0)
        return complain(r, q, "has no answer after its tab", error);
    return NB_OK;
}

/* Where among tokens [q->begin, count) the last n_bytes of their text begin; 0 if inside of one. */
static size_t find_boundary(const reader *r, const nb_question *q, size_t n_bytes)
{
    const nb_tokens *tokens = &r->quiz->tokens;
    size_t at = tokens->count, n = 0;
    while (n < n_bytes && at > q->begin) {
        at--;
        n += nb_tokenizer_piece(r->tokenizer, at > q->begin ? tokens->ids[at - 1] : -1, tokens->ids[at])
                 .n_bytes;
    }
    return n == n_bytes ? at : 0;
}

static nb_status encode(reader *r, nb_string document, nb_question *q, size_t rest, nb_error *error)
{
    nb_tokens *tokens = &r->quiz->tokens;
    const size_t n_asked = q->asked.n_bytes, n_behind = document.n_bytes - n_asked - 1;
    if (r->whole_size < document.n_bytes) {
        char *whole = nb_realloc(r->whole, document.n_bytes, 1);
        if (!whole)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for a document of %zu bytes", document.n_bytes);
        r->whole = whole;
        r->whole_size = document.n_bytes;
    }
    memcpy(r->whole, document.text, n_asked);
    memcpy(r->whole + n_asked, document.text + n_asked + 1, n_behind);
    q->begin = tokens->count;
    const int32_t bos = nb_tokenizer_bos(r->tokenizer);
    nb_status status = bos >= 0 ? nb_tokens_push(tokens, bos, error) : NB_OK;
    if (status == NB_OK)
        status = nb_tokenizer_encode(r->tokenizer, r->whole, n_asked + n_behind, false, false, tokens, error);
    if (status != NB_OK)
        return status;
    const size_t answer = find_boundary(r, q, n_behind), first = q->begin + (bos >= 0);
    if (answer <= first)
        return complain(r, q, "has a token that is part of both its question and the answer", error);
    q->n_asked = answer - q->begin;
    /* A token of the period alone is none of the answer's; one of the answer and the period is. */
    const size_t end = rest > 0 ? find_boundary(r, q, rest) : 0;
    q->n_answer = (end > answer ? end : tokens->count) - answer;
    const size_t n = q->n_asked + q->n_answer, n_ctx = nb_model_hparams(r->model)->n_ctx;
    if (n - 1 > n_ctx)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: document %zu, from line %zu, takes %zu tokens, but the context holds %zu",
                       r->name, q->number, q->line, n - 1, n_ctx);
    r->quiz->longest = nb_max_size(r->quiz->longest, n);
    return NB_OK;
}

static nb_status add_question(reader *r, nb_string document, size_t line, nb_error *error)
{
    nb_quiz *quiz = r->quiz;
    if (quiz->n == r->capacity) {
        const size_t capacity = nb_max_size(64, 2 * r->capacity);
        nb_question *questions = nb_realloc(quiz->questions, capacity, sizeof *questions);
        if (!questions)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu questions", capacity);
        quiz->questions = questions;
        r->capacity = capacity;
    }
    nb_question *q = &quiz->questions[quiz->n];
    size_t rest = 0;
    *q = (nb_question){.number = quiz->n + 1, .line = line};
    nb_status status = part(r, document, q, &rest, error);
    if (status == NB_OK)
        status = encode(r, document, q, rest, error);
    quiz->n += status == NB_OK;
    return status;
}

static size_t count_lines(const char *text, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

static nb_status read_all(reader *r, nb_string text, size_t most, nb_error *error)
{
    nb_status status = NB_OK;
    nb_string document;
    size_t line = 1, counted = 0;
    for (size_t at = 0; status == NB_OK && nb_document_next(text, &at, &document);) {
        if (r->quiz->n == most) {
            r->quiz->more = true;
            break;
        }
        const size_t begin = (size_t)(document.text - text.text);
        line += count_lines(text.text + counted, begin - counted);
        counted = begin;
        status = add_question(r, document, line, error);
    }
    if (status == NB_OK && r->quiz->n == 0)
        status = nb_fail(error, NB_ERR_FILE, "%s: there is no question in it", r->name);
    return status;
}

static int by_bytes(const void *a, const void *b)
{
    const nb_string *x = a, *y = b;
    const int order = memcmp(x->text, y->text, nb_min_size(x->n_bytes, y->n_bytes));
    return order ? order : x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

static nb_status find_commonest(nb_quiz *quiz, nb_error *error)
{
    nb_string *answers = nb_calloc(quiz->n, sizeof *answers);
    if (!answers)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for %zu answers", quiz->n);
    for (size_t i = 0; i < quiz->n; i++)
        answers[i] = quiz->questions[i].answer;
    qsort(answers, quiz->n, sizeof *answers, by_bytes);
    for (size_t i = 0, first = 0; i < quiz->n; i++) {
        first = by_bytes(&answers[first], &answers[i]) == 0 ? first : i;
        if (i + 1 - first > quiz->n_commonest) {
            quiz->n_commonest = i + 1 - first;
            quiz->commonest = answers[i];
        }
    }
    free(answers);
    return NB_OK;
}

nb_status nb_quiz_read(const nb_model *model, const char *text, size_t n_bytes, const char *name,
                       size_t max_questions, nb_quiz *out, nb_error *error)
{
    *out = (nb_quiz){0};
    reader r = {.model = model, .tokenizer = nb_model_tokenizer(model), .name = name, .quiz = out};
    if (!r.tokenizer)
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer, so it cannot read questions",
                       nb_model_name(model));
    nb_status status =
        read_all(&r, (nb_string){text, n_bytes}, max_questions > 0 ? max_questions : SIZE_MAX, error);
    if (status == NB_OK)
        status = find_commonest(out, error);
    free(r.whole);
    if (status != NB_OK)
        nb_quiz_free(out);
    return status;
}

void nb_quiz_free(nb_quiz *quiz)
{
    free(quiz->questions);
    nb_tokens_free(&quiz->tokens);
    *quiz = (nb_quiz){0};
}

/* ---- asking ---- */

void nb_quiz_score_free(nb_quiz_score *score)
{
    free(score->right);
    *score = (nb_quiz_score){0};
}

static nb_status create_greedy(const nb_model *model, nb_sampler **out, nb_error *error)
{
    const nb_sampler_options options = {.top_p = 1};
    return nb_sampler_create(&options, nb_model_hparams(model)->n_vocab, out, error);
}

/* Feeds the question and all of its answer but the last token, and looks at what would follow in the answer's
 * places. */
static nb_status ask(nb_session *session, nb_sampler *greedy, const int32_t *tokens, const nb_question *q,
                     bool *right, nb_error *error)
{
    const nb_kernels *kernels = nb_model_context(nb_session_model(session))->kernels;
    const size_t n = q->n_asked + q->n_answer - 1, batch = nb_session_batch(session);
    nb_status status = NB_OK;
    *right = true;
    nb_session_reset(session);
    for (size_t done = 0; status == NB_OK && *right && done < n; done += batch) {
        const size_t count = nb_min_size(batch, n - done), first = nb_max_size(done, q->n_asked - 1);
        status = nb_session_feed(session, tokens + done, count, error);
        for (size_t i = first; status == NB_OK && *right && i < done + count; i++) {
            const float *logits;
            status = nb_session_logits(session, i - done, 1, &logits, error);
            *right = status == NB_OK && nb_sampler_next(greedy, kernels, logits) == tokens[i + 1];
        }
    }
    return status;
}

static nb_status ask_all(nb_model *model, nb_weights weights, const nb_quiz *quiz, nb_quiz_score *out,
                         nb_error *error)
{
    nb_session *session = NULL;
    nb_sampler *greedy = NULL;
    nb_status status = nb_session_create(model, weights, quiz->longest, &session, error);
    if (status == NB_OK)
        status = create_greedy(model, &greedy, error);
    for (size_t i = 0; status == NB_OK && i < quiz->n; i++) {
        const nb_question *q = &quiz->questions[i];
        bool right;
        status = ask(session, greedy, quiz->tokens.ids + q->begin, q, &right, error);
        out->right[i] = right;
        out->n_right += right;
        if (status == NB_OK)
            status = nb_context_tick(nb_model_context(model), "asking", i + 1, quiz->n, "questions", error);
    }
    nb_sampler_destroy(&greedy);
    nb_session_destroy(&session);
    if (status == NB_OK && model->mapping)
        status = nb_mapping_check(model->mapping, error);
    return status;
}

nb_status nb_quiz_ask(nb_model *model, nb_weights weights, const nb_quiz *quiz, nb_quiz_score *out,
                      nb_error *error)
{
    *out = (nb_quiz_score){.n = quiz->n, .right = nb_calloc(quiz->n, sizeof *out->right)};
    nb_status status =
        out->right ? ask_all(model, weights, quiz, out, error)
                   : nb_fail(error, NB_ERR_MEMORY, "no memory for the marks of %zu questions", quiz->n);
    if (status != NB_OK) {
        nb_quiz_score_free(out);
        return status;
    }
    out->accuracy = (double)out->n_right / (double)out->n;
    out->standard_error = sqrt(out->accuracy * (1.0 - out->accuracy) / (double)out->n);
    return NB_OK;
}

/* ---- what the model writes ---- */

/* How a sentence or a line ends. */
static bool closes(nb_string piece)
{
    const char last = piece.n_bytes > 0 ? piece.text[piece.n_bytes - 1] : ' ';
    return last == '.' || last == '!' || last == '?' || last == '\n';
}

/* Fills written[*n], of at most `most`. */
static nb_status write_tokens(nb_session *session, nb_sampler *greedy, const nb_quiz *quiz,
                              const nb_question *q, int32_t *written, size_t most, size_t *n, nb_error *error)
{
    const nb_model *model = nb_session_model(session);
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    const int32_t *next = quiz->tokens.ids + q->begin;
    size_t n_next = q->n_asked;
    nb_session_reset(session);
    for (*n = 0; *n < most && nb_session_position(session) + n_next <= nb_session_n_ctx(session);) {
        const float *logits;
        nb_status status = nb_session_eval(session, next, n_next, NB_LOGITS_LAST, &logits, error);
        if (status != NB_OK)
            return status;
        const int32_t token = nb_sampler_next(greedy, nb_model_context(model)->kernels, logits);
        if (nb_tokenizer_is_end(tokenizer, token))
            break;
        next = &written[*n];
        n_next = 1;
        written[(*n)++] = token;
        if (closes(nb_tokenizer_piece(tokenizer, -1, token)))
            break;
    }
    return NB_OK;
}

static nb_status write_one(nb_session *session, nb_sampler *greedy, const nb_quiz *quiz, const nb_question *q,
                           char **out, nb_error *error)
{
    const size_t most = q->n_answer + EXTRA_TOKENS;
    size_t n = 0, n_bytes;
    int32_t *written = nb_calloc(most, sizeof *written);
    nb_status status = written ? write_tokens(session, greedy, quiz, q, written, most, &n, error)
                               : nb_fail(error, NB_ERR_MEMORY, "no memory for an answer of %zu tokens", most);
    if (status == NB_OK) {
        *out = nb_tokenizer_decode(nb_model_tokenizer(nb_session_model(session)), written, n, &n_bytes);
        if (!*out)
            status = nb_fail(error, NB_ERR_MEMORY, "no memory for an answer of %zu tokens", n);
    }
    free(written);
    return status;
}

nb_status nb_quiz_write(nb_model *model, nb_weights weights, const nb_quiz *quiz, const size_t *which,
                        size_t n, char **out, nb_error *error)
{
    nb_session *session = NULL;
    nb_sampler *greedy = NULL;
    const size_t n_ctx = nb_min_size(quiz->longest + EXTRA_TOKENS, nb_model_hparams(model)->n_ctx);
    nb_status status = nb_session_create(model, weights, n_ctx, &session, error);
    if (status == NB_OK)
        status = create_greedy(model, &greedy, error);
    for (size_t i = 0; i < n; i++)
        out[i] = NULL;
    for (size_t i = 0; status == NB_OK && i < n; i++) {
        status = write_one(session, greedy, quiz, &quiz->questions[which[i]], &out[i], error);
        if (status == NB_OK)
            status = nb_context_tick(nb_model_context(model), "writing", i + 1, n, "answers", error);
    }
    for (size_t i = 0; status != NB_OK && i < n; i++) {
        free(out[i]);
        out[i] = NULL;
    }
    nb_sampler_destroy(&greedy);
    nb_session_destroy(&session);
    return status;
}
