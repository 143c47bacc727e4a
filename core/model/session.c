/* Sessions: a KV cache, scratch for one batch, and feeding tokens through the blocks. */
#include "model/session.h"

#include "base/memory.h"
#include "model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_TILE = 48, /* matmul kernels take 12 or 16 tokens at once: a batch of whole tiles wastes none */
    BATCH_MIN = BATCH_TILE,
    BATCH_MAX = 11 * BATCH_TILE, /* a prompt of 512 is one batch if there is room */
    LINE_FLOATS = 16,
    HUGE_PAGES_UP_TO = 256 << 20,
    POSITIONS_MAX = 1000000, /* sines are exact so far */
};

/* ---- creation ---- */

/* Huge pages are quicker to read, but a long context is mostly never reached, and then they cost memory. */
static float *cache_floats(size_t n)
{
    return n <= HUGE_PAGES_UP_TO / sizeof(float) ? nb_aligned_calloc(n, sizeof(float))
                                                 : nb_aligned_reserve(n, sizeof(float));
}

static size_t q_size(const nb_hparams *h)
{
    return (size_t)h->n_heads * h->head_size;
}
static size_t kv_size(const nb_hparams *h)
{
    return (size_t)h->n_kv_heads * h->head_size;
}

static bool create_cache(nb_session *s)
{
    const nb_hparams *h = &s->model->hparams;
    const size_t padded_ctx = nb_round_up(s->n_ctx, NB_ROWS);
    size_t heads, keys, values, total, n_bytes;
    s->key_head = padded_ctx * h->head_size; /* at most 2^20 x 2^31 */
    s->value_head = padded_ctx * nb_round_up(h->head_size, NB_ROWS);
    if (!nb_mul_size(h->n_layers, h->n_kv_heads, &heads) || !nb_mul_size(heads, s->key_head, &keys) ||
        !nb_mul_size(heads, s->value_head, &values) || !nb_add_size(keys, values, &total) ||
        !nb_mul_size(total, sizeof(float), &n_bytes) || n_bytes > SIZE_MAX / 2)
        return false;
    s->keys = cache_floats(total);
    if (!s->keys)
        return false;
    s->values = s->keys + keys;
    s->cache_bytes = n_bytes;
    return true;
}

static bool create_rope(nb_session *s)
{
    const nb_hparams *h = &s->model->hparams;
    const nb_frame *frame = &s->model->frame;
    const bool is_long = s->n_ctx > (h->n_ctx_short ? h->n_ctx_short : h->n_ctx);
    const nb_tensor *factors = frame->rope_freqs ? frame->rope_freqs
                               : is_long         ? frame->rope_long
                                                 : frame->rope_short;
    s->inverse_frequency = nb_calloc(h->n_rot / 2, sizeof *s->inverse_frequency);
    s->rope = nb_calloc(s->n_ctx, h->n_rot * sizeof *s->rope);
    if (!s->inverse_frequency || !s->rope)
        return false;
    nb_rope_frequencies(h, factors ? factors->vector : NULL, s->inverse_frequency);
    return true;
}

/* Room for one batch, of as many tokens as `scratch_bytes` allow. */
static bool create_scratch(nb_session *s, size_t scratch_bytes)
{
    const nb_hparams *h = &s->model->hparams;
    const size_t n_q = q_size(h), n_kv = kv_size(h), n_threads = nb_pool_size(s->model->context->pool);
    const size_t attention = 2 * n_q + 2 * n_kv, feed_forward = 2 * (size_t)h->n_ff;
    const size_t row = 2 * (size_t)h->n_embd + nb_max_size(attention, feed_forward);
    const size_t row_bytes = (row + nb_max_size(nb_max_size(n_q, h->n_embd), h->n_ff)) * sizeof(float);
    s->batch =
        nb_min_size(nb_max_size(scratch_bytes / row_bytes / BATCH_TILE * BATCH_TILE, BATCH_MIN), BATCH_MAX);
    s->batch = nb_min_size(s->batch, s->n_ctx);
    const size_t n = s->batch, pad = LINE_FLOATS - 1;
    s->scores_stride = NB_ROWS * nb_round_up(s->n_ctx + NB_ROWS, NB_ROWS);
    s->scratch = nb_aligned_calloc(n * row + 8 * pad, sizeof(float));
    s->scores = nb_aligned_reserve(n_threads, s->scores_stride * sizeof(float));
    if (!s->scratch || !s->scores)
        return false;
    float *next = s->scratch;
    s->x = next, next += nb_round_up(n * h->n_embd, LINE_FLOATS);
    s->norm = next, next += nb_round_up(n * h->n_embd, LINE_FLOATS);
    s->gate = next;
    s->up = s->gate + nb_round_up(n * h->n_ff, LINE_FLOATS);
    s->q = next, next += nb_round_up(n * n_q, LINE_FLOATS);
    s->k = next, next += nb_round_up(n * n_kv, LINE_FLOATS);
    s->v = next, next += nb_round_up(n * n_kv, LINE_FLOATS);
    s->attended = next;
    s->q_stride = n_q, s->kv_stride = n_kv, s->gate_stride = h->n_ff;
    if (s->model->layers[0].attn_qkv) {
        s->q_stride = s->kv_stride = n_q + 2 * n_kv;
        s->k = s->q + n_q, s->v = s->k + n_kv;
    }
    if (s->model->layers[0].ffn_up->n_rows != h->n_ff) {
        s->gate_stride = 2 * (size_t)h->n_ff;
        s->up = s->gate + h->n_ff;
    }
    return true;
}

nb_status nb_session_create(nb_model *model, nb_weights weights, size_t n_ctx, nb_session **out,
                            nb_error *error)
{
    return nb_session_create_within(model, weights, n_ctx, nb_model_comfort_bytes(model), out, error);
}

nb_status nb_session_create_within(nb_model *model, nb_weights weights, size_t n_ctx, size_t scratch_bytes,
                                   nb_session **out, nb_error *error)
{
    *out = NULL;
    if (n_ctx == 0)
        n_ctx =
            nb_min_size(model->hparams.n_ctx, (size_t)(POSITIONS_MAX / fmax(1.0, model->hparams.rope_scale)));
    if (n_ctx > POSITIONS_MAX || (double)n_ctx * model->hparams.rope_scale > POSITIONS_MAX)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "a context of %zu tokens is more than nibble can number; use up to %d", n_ctx,
                       POSITIONS_MAX);
    if (model->frame.position_embd && n_ctx > model->frame.position_embd->n_rows)
        return nb_fail(
            error, NB_ERR_ARGUMENT,
            "a context of %zu tokens: this model has learned %zu positions and cannot go beyond them", n_ctx,
            model->frame.position_embd->n_rows);
    nb_session *session = nb_calloc(1, sizeof *session);
    if (session) {
        session->model = model;
        session->weights = weights;
        session->n_ctx = n_ctx;
        session->generation = model->generation;
    }
    if (!session || !create_cache(session) || !create_rope(session) ||
        !create_scratch(session, scratch_bytes)) {
        nb_session_destroy(&session);
        return nb_fail(error, NB_ERR_MEMORY, "no memory for a context of %zu tokens; try a shorter one",
                       n_ctx);
    }
    *out = session;
    return NB_OK;
}

void nb_session_destroy(nb_session **session_pointer)
{
    nb_session *s = *session_pointer;
    if (!s)
        return;
    nb_aligned_free(s->keys);
    free(s->inverse_frequency);
    free(s->rope);
    nb_aligned_free(s->scratch);
    nb_aligned_free(s->scores);
    nb_acts_buffer_free(&s->acts);
    nb_aligned_free(s->logits);
    free(s);
    *session_pointer = NULL;
}

void nb_session_reset(nb_session *session)
{
    session->position = 0;
    session->n_kept = 0;
    session->generation = session->model->generation;
}

nb_model *nb_session_model(const nb_session *session)
{
    return session->model;
}

size_t nb_session_position(const nb_session *session)
{
    return session->position;
}

size_t nb_session_n_ctx(const nb_session *session)
{
    return session->n_ctx;
}

size_t nb_session_batch(const nb_session *session)
{
    return session->batch;
}

uint64_t nb_session_cache_bytes(const nb_session *session)
{
    return session->cache_bytes;
}

/* ---- feeding ---- */

static nb_status check_call(const nb_session *s, const int32_t *tokens, size_t n_tokens, nb_error *error)
{
    const nb_model *model = s->model;
    if (n_tokens == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "there are no tokens to read");
    if (n_tokens > s->n_ctx - s->position)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%zu tokens do not fit after the %zu that fill a context of %zu", n_tokens,
                       s->position, s->n_ctx);
    for (size_t i = 0; i < n_tokens; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= model->hparams.n_vocab)
            return nb_fail(error, NB_ERR_ARGUMENT, "token %d is none of the model's %u", tokens[i],
                           model->hparams.n_vocab);
    if (s->position > 0 && s->weights == NB_WEIGHTS_CURRENT && s->generation != model->generation)
        return nb_fail(error, NB_ERR_STATE, "the weights changed after this session began; reset it first");
    return nb_model_check(model, error);
}

static void extend_rope(nb_session *s, size_t n_positions)
{
    const nb_hparams *h = &s->model->hparams;
    for (; s->n_rope < n_positions; s->n_rope++)
        nb_rope_row(h, s->inverse_frequency, s->model->architecture->rope == NB_ROPE_HALVES, s->n_rope,
                    s->rope + s->n_rope * h->n_rot);
}

/* x[i] of a token at its position. */
static void embed(nb_session *s, size_t i, int32_t token)
{
    const nb_model *model = s->model;
    const nb_kernels *kernels = model->context->kernels;
    const size_t n = model->hparams.n_embd;
    float *x = s->x + i * n;
    nb_tensor_lookup(model->frame.token_embd, s->weights, (size_t)token, x);
    if (model->architecture->scales_embeddings)
        kernels->scale(x, sqrtf((float)n), n);
    if (model->frame.position_embd) {
        nb_tensor_lookup(model->frame.position_embd, s->weights, s->position + i, s->norm);
        kernels->add(x, s->norm, n);
    }
}

void nb_session_put_rows(nb_session *session, const float *rows, size_t count)
{
    session->position = 0;
    session->n_kept = 0;
    extend_rope(session, count);
    memcpy(session->x, rows, count * session->model->hparams.n_embd * sizeof *rows);
    session->n_rows = session->n_fed = count;
}

void nb_session_embed(nb_session *session, const int32_t *tokens, size_t count, float *out)
{
    const size_t n = session->model->hparams.n_embd;
    session->position = 0;
    for (size_t i = 0; i < count; i++) {
        embed(session, i, tokens[i]);
        memcpy(out + i * n, session->x + i * n, n * sizeof *out);
    }
}

/* One batch through all blocks; afterwards x holds the rows that `keep` asks for. */
static nb_status run_batch(nb_session *s, const int32_t *tokens, size_t n_tokens, nb_logits keep,
                           nb_error *error)
{
    nb_model *model = s->model;
    const size_t n_layers = model->hparams.n_layers;
    extend_rope(s, s->position + n_tokens);
    for (size_t i = 0; i < n_tokens; i++)
        embed(s, i, tokens[i]);
    s->n_rows = s->n_fed = n_tokens;
    s->n_kept = 0;
    nb_status status = NB_OK;
    for (size_t layer = 0; status == NB_OK && layer < n_layers; layer++)
        status = nb_block_run(s, layer, layer + 1 < n_layers ? NB_LOGITS_ALL : keep, error);
    if (status != NB_OK)
        return status;
    s->position += n_tokens;
    s->n_kept = s->n_rows;
    return NB_OK;
}

/* Logits of rows [first, first + count) of x into `out`. */
static nb_status project(nb_session *s, size_t first, size_t count, float *out, nb_error *error)
{
    nb_tensor *head = s->model->frame.head;
    nb_session_norm(s, s->model->frame.output_norm, s->model->frame.output_norm_bias, first, count);
    nb_status status = nb_acts_prepare(s->model->context, &s->acts, s->norm, count, head->n_cols,
                                       head->n_cols, nb_tensor_wants_int8_x(head, s->weights), error);
    if (status == NB_OK)
        status = nb_tensor_matmul(s->model, head, s->weights, &s->acts.acts, out, head->n_rows, error);
    if (status == NB_OK)
        nb_session_cap_logits(s, out, count);
    return status;
}

static nb_status reserve_logits(nb_session *s, size_t n_tokens, nb_error *error)
{
    size_t n;
    if (nb_mul_size(n_tokens, s->model->hparams.n_vocab, &n) && n <= s->logits_capacity)
        return NB_OK;
    nb_aligned_free(s->logits);
    s->logits_capacity = 0;
    s->logits = nb_aligned_calloc(n_tokens, s->model->hparams.n_vocab * sizeof(float));
    if (!s->logits)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the logits of %zu tokens; feed fewer at once",
                       n_tokens);
    s->logits_capacity = n;
    return NB_OK;
}

static nb_status eval_batches(nb_session *s, const int32_t *tokens, size_t n_tokens, nb_logits want,
                              nb_error *error)
{
    nb_status status = NB_OK;
    /* Batches as even as whole tiles allow: a small last one would read all weights for a few tokens. */
    const size_t n_batches = nb_div_up(n_tokens, s->batch);
    const size_t batch = nb_min_size(nb_round_up(nb_div_up(n_tokens, n_batches), BATCH_TILE), s->batch);
    for (size_t done = 0; status == NB_OK && done < n_tokens;) {
        const size_t n = nb_min_size(batch, n_tokens - done);
        const bool last = done + n == n_tokens;
        status =
            run_batch(s, tokens + done, n, want == NB_LOGITS_LAST && !last ? NB_LOGITS_NONE : want, error);
        if (status == NB_OK && want == NB_LOGITS_ALL)
            status = project(s, 0, n, s->logits + done * s->model->hparams.n_vocab, error);
        done += n;
        if (status == NB_OK && !last)
            status = nb_context_tick(s->model->context, "reading", done, n_tokens, "tokens", error);
    }
    if (status == NB_OK && want == NB_LOGITS_LAST)
        status = project(s, 0, 1, s->logits, error);
    return status;
}

/* What both ways of feeding have in common: a call that fails leaves the session where it was. */
static nb_status begin_call(nb_session *s, const int32_t *tokens, size_t n_tokens, nb_error *error)
{
    nb_status status = check_call(s, tokens, n_tokens, error);
    if (status == NB_OK && s->position == 0)
        s->generation = s->model->generation;
    return status;
}

nb_status nb_session_eval(nb_session *session, const int32_t *tokens, size_t n_tokens, nb_logits want,
                          const float **logits, nb_error *error)
{
    const size_t start = session->position;
    nb_status status = begin_call(session, tokens, n_tokens, error);
    if (status == NB_OK && want != NB_LOGITS_NONE)
        status = reserve_logits(session, want == NB_LOGITS_ALL ? n_tokens : 1, error);
    if (status == NB_OK)
        status = eval_batches(session, tokens, n_tokens, want, error);
    session->n_kept = 0;
    if (status != NB_OK)
        session->position = start;
    else if (want != NB_LOGITS_NONE)
        *logits = session->logits;
    return status;
}

nb_status nb_session_feed(nb_session *session, const int32_t *tokens, size_t n_tokens, nb_error *error)
{
    nb_status status = begin_call(session, tokens, n_tokens, error);
    if (status == NB_OK && n_tokens > session->batch)
        status = nb_fail(error, NB_ERR_ARGUMENT, "%zu tokens at once; this session takes %zu", n_tokens,
                         session->batch);
    return status == NB_OK ? run_batch(session, tokens, n_tokens, NB_LOGITS_ALL, error) : status;
}

nb_status nb_session_logits(nb_session *session, size_t first, size_t count, const float **logits,
                            nb_error *error)
{
    if (count == 0 || count > session->n_kept || first > session->n_kept - count)
        return nb_fail(error, NB_ERR_ARGUMENT, "logits of tokens %zu to %zu: the last call fed %zu", first,
                       first + count, session->n_kept);
    nb_status status = reserve_logits(session, count, error);
    if (status == NB_OK)
        status = project(session, first, count, session->logits, error);
    *logits = session->logits;
    return status;
}
