#include "text/generate.h"

#include "base/memory.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void nb_generation_free(nb_generation *generation)
{
    free(generation->tokens);
    *generation = (nb_generation){0};
}

/* ---- whole characters ---- */

/* Pieces on their way out. A token may end inside a character; its bytes wait here for the rest. */
typedef struct outlet {
    nb_stream_fn *stream;
    void *user;
    char waiting[4];
    size_t n_waiting;
} outlet;

static void emit(outlet *o, const char *text, size_t n_bytes)
{
    if (n_bytes > 0 && o->stream)
        o->stream(o->user, text, n_bytes);
}

static void flush(outlet *o)
{
    emit(o, o->waiting, o->n_waiting);
    o->n_waiting = 0;
}

static void put_piece(outlet *o, nb_string piece)
{
    const char *text = piece.text;
    size_t n = piece.n_bytes;
    while (o->n_waiting > 0 && n > 0) { /* byte by byte until the character that waits is whole, or is none */
        o->waiting[o->n_waiting++] = *text++;
        n--;
        if (o->n_waiting == sizeof o->waiting || nb_utf8_incomplete(o->waiting, o->n_waiting) < o->n_waiting)
            flush(o);
    }
    if (n == 0)
        return;
    const size_t unfinished = nb_utf8_incomplete(text, n);
    emit(o, text, n - unfinished);
    memcpy(o->waiting, text + n - unfinished, unfinished);
    o->n_waiting = unfinished;
}

/* ---- the loop ---- */

static nb_status read_prompt(nb_session *session, const nb_tokenizer *tokenizer, const char *prompt,
                             nb_tokens *tokens, nb_error *error)
{
    nb_status status = nb_tokenizer_encode(tokenizer, prompt, strlen(prompt), true, true, tokens, error);
    if (status != NB_OK)
        return status;
    if (tokens->count == 0)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "the prompt is empty, and this model has no token to begin with");
    if (tokens->count > nb_session_n_ctx(session))
        return nb_fail(error, NB_ERR_ARGUMENT, "the prompt is %zu tokens long, but the context holds %zu",
                       tokens->count, nb_session_n_ctx(session));
    return NB_OK;
}

/* The model says that it is done with an end token, or by beginning a new text. */
static bool ends(const nb_tokenizer *tokenizer, int32_t token)
{
    return nb_tokenizer_is_end(tokenizer, token) || token == nb_tokenizer_bos(tokenizer);
}

/* What one call to nb_generate works with. */
typedef struct writing {
    nb_session *session;
    nb_context *context;
    const nb_tokenizer *tokenizer;
    nb_sampler *sampler;
    size_t n_tokens; /* at most so many new ones */
    outlet outlet;
} writing;

static nb_status write_tokens(writing *w, const float *logits, nb_generation *out, nb_error *error)
{
    nb_status status = NB_OK;
    while (status == NB_OK && out->n_generated < w->n_tokens) {
        const int32_t token = nb_sampler_next(w->sampler, w->context->kernels, logits);
        if (ends(w->tokenizer, token)) {
            out->ended = true;
            break;
        }
        const size_t count = out->n_prompt + out->n_generated;
        if ((size_t)token < nb_tokenizer_size(w->tokenizer)) /* a padded vocabulary has tokens without text */
            put_piece(&w->outlet, nb_tokenizer_piece(w->tokenizer, out->tokens[count - 1], token));
        out->tokens[count] = token;
        out->n_generated++;
        if (out->n_generated == w->n_tokens ||
            nb_session_position(w->session) == nb_session_n_ctx(w->session))
            break;
        if (atomic_exchange(&w->context->cancel, false)) /* the text itself is the progress */
            status = nb_fail(error, NB_ERR_CANCELLED, "stopped after %zu tokens", out->n_generated);
        else
            status = nb_session_eval(w->session, &token, 1, NB_LOGITS_LAST, &logits, error);
    }
    flush(&w->outlet);
    return status;
}

static nb_status generate(writing *w, const char *prompt, nb_generation *out, nb_error *error)
{
    nb_tokens tokens = {0};
    const float *logits = NULL;
    nb_status status = read_prompt(w->session, w->tokenizer, prompt, &tokens, error);
    const size_t n_new = nb_min_size(w->n_tokens, nb_session_n_ctx(w->session)); /* the context ends sooner */
    if (status == NB_OK) {
        out->tokens = nb_calloc(tokens.count + n_new + 1, sizeof *out->tokens);
        if (!out->tokens)
            status = nb_fail(error, NB_ERR_MEMORY, "no memory for %zu tokens", n_new);
    }
    if (status == NB_OK) {
        memcpy(out->tokens, tokens.ids, tokens.count * sizeof *tokens.ids);
        out->n_prompt = tokens.count;
        nb_session_reset(w->session);
        const double start = seconds_now();
        status = nb_session_eval(w->session, tokens.ids, tokens.count, NB_LOGITS_LAST, &logits, error);
        out->prompt_seconds = seconds_now() - start;
    }
    nb_tokens_free(&tokens);
    if (status != NB_OK)
        return status;
    const double start = seconds_now();
    status = write_tokens(w, logits, out, error);
    out->generate_seconds = seconds_now() - start;
    return status;
}

nb_status nb_generate(nb_session *session, const char *prompt, size_t n_tokens,
                      const nb_sampler_options *sampling, nb_stream_fn *stream, void *user,
                      nb_generation *out, nb_error *error)
{
    *out = (nb_generation){0};
    nb_model *model = nb_session_model(session);
    writing w = {
        .session = session,
        .context = nb_model_context(model),
        .tokenizer = nb_model_tokenizer(model),
        .n_tokens = n_tokens,
        .outlet = {.stream = stream, .user = user},
    };
    if (!w.tokenizer)
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer, so it cannot read or write text",
                       nb_model_name(model));
    nb_status status = nb_sampler_create(sampling, nb_model_hparams(model)->n_vocab, &w.sampler, error);
    if (status == NB_OK)
        status = generate(&w, prompt, out, error);
    nb_sampler_destroy(&w.sampler);
    if (status != NB_OK && status != NB_ERR_CANCELLED)
        nb_generation_free(out);
    return status;
}
