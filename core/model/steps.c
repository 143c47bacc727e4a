/* The steps of a forward pass between its matmuls, spread over threads where there is enough to do. */
#include "base/memory.h"
#include "model/session.h"

#include <math.h>
#include <string.h>

/* Handing a piece to another thread costs about a microsecond: a piece should hold more work than that. */
enum { PIECE_ELEMENTS = 16 << 10, PIECE_OPERATIONS = 64 << 10, QUERY_TILE = 16, CAP_ELEMENTS = 8 << 10 };

typedef struct step {
    nb_session *session;
    const nb_kernels *kernels;
    const float *weight, *bias;
    size_t layer, first, n_queries;
    float *logits;
} step;

static const float *numbers_of(const nb_tensor *vector)
{
    return vector ? vector->vector : NULL;
}

static void over_rows(nb_session *s, size_t n_rows, size_t row_elements, nb_parallel_fn *fn, step *job)
{
    job->session = s;
    job->kernels = s->model->context->kernels;
    nb_parallel(s->model->context->pool, n_rows, 1 + PIECE_ELEMENTS / (row_elements + 1), fn, job);
}

/* ---- rows ---- */

static void norm_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const nb_hparams *h = &job->session->model->hparams;
    const size_t n = h->n_embd;
    for (size_t r = begin; r < end; r++) {
        const float *x = job->session->x + (job->first + r) * n;
        float *norm = job->session->norm + r * n;
        if (job->session->model->architecture->norm == NB_NORM_LAYER)
            job->kernels->layer_norm(x, job->weight, job->bias, n, h->norm_eps, norm);
        else
            job->kernels->rms_norm(x, job->weight, n, h->norm_eps, norm);
    }
}

void nb_session_norm(nb_session *session, const nb_tensor *weight, const nb_tensor *bias, size_t first,
                     size_t count)
{
    step job = {.weight = weight->vector, .bias = numbers_of(bias), .first = first};
    over_rows(session, count, session->model->hparams.n_embd, norm_rows, &job);
}

static void unit_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const nb_session *s = job->session;
    const size_t n = s->model->hparams.n_ff;
    for (size_t r = begin; r < end; r++) {
        float *gate = s->gate + r * s->gate_stride;
        const float *up = s->up + r * s->gate_stride;
        if (job->bias)
            job->kernels->add(gate, job->bias, n);
        switch (s->model->architecture->unit) {
        case NB_UNIT_SWIGLU:
            job->kernels->swiglu(gate, up, n, gate);
            break;
        case NB_UNIT_GEGLU:
            job->kernels->geglu(gate, up, n, gate);
            break;
        case NB_UNIT_GELU:
            job->kernels->gelu(gate, n, gate);
            break;
        }
    }
}

void nb_session_unit(nb_session *session, const nb_tensor *bias)
{
    step job = {.bias = numbers_of(bias)};
    over_rows(session, session->n_rows, 4 * (size_t)session->model->hparams.n_ff, unit_rows, &job);
}

static void add_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const nb_hparams *h = &job->session->model->hparams;
    const size_t n = h->n_embd;
    float *norm = job->session->norm;
    for (size_t r = begin; r < end && (job->bias || job->weight); r++) {
        if (job->bias)
            job->kernels->add(norm + r * n, job->bias, n);
        if (job->weight)
            job->kernels->rms_norm(norm + r * n, job->weight, n, h->norm_eps, norm + r * n);
    }
    job->kernels->add(job->session->x + begin * n, norm + begin * n, (end - begin) * n);
}

void nb_session_add(nb_session *session, const nb_tensor *bias, const nb_tensor *post_norm)
{
    step job = {.bias = numbers_of(bias), .weight = numbers_of(post_norm)};
    over_rows(session, session->n_rows, session->model->hparams.n_embd, add_rows, &job);
}

static void cap_pieces(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const size_t first = begin * CAP_ELEMENTS, last = nb_min_size(end * CAP_ELEMENTS, job->first);
    job->kernels->softcap(job->logits + first, job->session->model->hparams.logit_softcap, last - first);
}

void nb_session_cap_logits(nb_session *session, float *logits, size_t count)
{
    const nb_hparams *h = &session->model->hparams;
    step job = {.session = session,
                .kernels = session->model->context->kernels,
                .logits = logits,
                .first = count * h->n_vocab};
    if (h->logit_softcap > 0.0f)
        nb_parallel(session->model->context->pool, nb_div_up(job.first, CAP_ELEMENTS), 1, cap_pieces, &job);
}

/* ---- positions and the cache ---- */

/* Keys and values of rows [begin, end), at their positions, head by head: a key goes down a column of its
 * tile of 16, so that the lines it touches are still at hand for the next key. */
static void store(const nb_session *s, size_t layer, size_t begin, size_t end)
{
    const size_t head_size = s->model->hparams.head_size, n_heads = s->model->hparams.n_kv_heads;
    const size_t value_row = nb_round_up(head_size, NB_ROWS);
    for (size_t head = 0; head < n_heads; head++) {
        float *keys = s->keys + (layer * n_heads + head) * s->key_head;
        float *values = s->values + (layer * n_heads + head) * s->value_head;
        for (size_t r = begin; r < end; r++) {
            const size_t position = s->position + r;
            const float *k = s->k + r * s->kv_stride + head * head_size;
            float *column = keys + position / NB_ROWS * NB_ROWS * head_size + position % NB_ROWS;
            for (size_t d = 0; d < head_size; d++)
                column[d * NB_ROWS] = k[d];
            memcpy(values + position * value_row, s->v + r * s->kv_stride + head * head_size,
                   head_size * sizeof *values);
        }
    }
}

/* A row of q or k: the bias of all its heads, and each head's norm and turn. */
static void place_heads(const step *job, float *x, size_t n_heads, const float *bias, const nb_tensor *norm,
                        const float *cos_sin)
{
    const nb_hparams *h = &job->session->model->hparams;
    if (bias)
        job->kernels->add(x, bias, n_heads * h->head_size);
    for (size_t head = 0; norm && head < n_heads; head++)
        job->kernels->rms_norm(x + head * h->head_size, norm->vector, h->head_size, h->norm_eps,
                               x + head * h->head_size);
    switch (job->session->model->architecture->rope) {
    case NB_ROPE_ADJACENT:
        job->kernels->rope_adjacent(x, cos_sin, n_heads, h->head_size, h->n_rot);
        break;
    case NB_ROPE_HALVES:
        job->kernels->rope_halves(x, cos_sin, n_heads, h->head_size, h->n_rot);
        break;
    case NB_ROPE_NONE:
        break;
    }
}

static void place_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const nb_session *s = job->session;
    const nb_hparams *h = &s->model->hparams;
    const nb_layer *l = &s->model->layers[job->layer];
    const size_t n_q = (size_t)h->n_heads * h->head_size, n_kv = (size_t)h->n_kv_heads * h->head_size;
    const float *all = numbers_of(l->attn_qkv_bias);
    const float *q_bias = all ? all : numbers_of(l->attn_q_bias);
    const float *k_bias = all ? all + n_q : numbers_of(l->attn_k_bias);
    const float *v_bias = all ? all + n_q + n_kv : numbers_of(l->attn_v_bias);
    const size_t first_query = s->n_fed - job->n_queries;
    for (size_t r = begin; r < end; r++) {
        const float *cos_sin = s->rope + (s->position + r) * h->n_rot;
        if (r >= first_query)
            place_heads(job, s->q + (r - first_query) * s->q_stride, h->n_heads, q_bias, l->attn_q_norm,
                        cos_sin);
        place_heads(job, s->k + r * s->kv_stride, h->n_kv_heads, k_bias, l->attn_k_norm, cos_sin);
        if (v_bias)
            job->kernels->add(s->v + r * s->kv_stride, v_bias, n_kv);
    }
    store(s, job->layer, begin, end);
}

void nb_session_place(nb_session *session, size_t layer, size_t n_queries)
{
    const nb_hparams *h = &session->model->hparams;
    step job = {.layer = layer, .n_queries = n_queries};
    over_rows(session, session->n_fed, (size_t)(h->n_heads + 3 * h->n_kv_heads) * h->head_size, place_rows,
              &job);
}

/* ---- attention ---- */

/* How many positions block `layer` sees. */
static size_t window_of(const nb_model *model, size_t layer)
{
    const size_t n_window = model->hparams.n_window;
    switch (model->architecture->window) {
    case NB_WINDOW_EVERY:
        return n_window ? n_window : SIZE_MAX;
    case NB_WINDOW_EVEN:
        return n_window && layer % 2 == 0 ? n_window : SIZE_MAX;
    case NB_WINDOW_IGNORED:
        break;
    }
    return SIZE_MAX;
}

/* Items are (head, tile of queries), the tiles with the most keys first. Neighbours share their head's keys
 * and values, which the second cache then holds. */
static void attend_items(void *user, size_t begin, size_t end, unsigned thread)
{
    const step *job = user;
    const nb_session *s = job->session;
    const nb_hparams *h = &s->model->hparams;
    const size_t n_q = (size_t)h->n_heads * h->head_size, n_tiles = nb_div_up(job->n_queries, QUERY_TILE);
    const size_t first_position = s->position + s->n_fed - job->n_queries;
    const float scale = h->attn_scale > 0.0f ? h->attn_scale : (float)(1.0 / sqrt((double)h->head_size));
    const size_t window = window_of(s->model, job->layer);
    for (size_t item = begin; item < end; item++) {
        const size_t head = item / n_tiles, query = (n_tiles - 1 - item % n_tiles) * QUERY_TILE;
        const size_t kv = job->layer * h->n_kv_heads + head / (h->n_heads / h->n_kv_heads);
        job->kernels->attention(s->q + query * s->q_stride + head * h->head_size, s->q_stride,
                                nb_min_size(QUERY_TILE, job->n_queries - query), first_position + query + 1,
                                s->keys + kv * s->key_head, s->values + kv * s->value_head, h->head_size,
                                scale, h->attn_softcap, window, s->scores + thread * s->scores_stride,
                                s->attended + query * n_q + head * h->head_size, n_q);
    }
}

void nb_session_attend(nb_session *session, size_t layer, size_t n_queries)
{
    const nb_hparams *h = &session->model->hparams;
    step job = {.session = session,
                .kernels = session->model->context->kernels,
                .layer = layer,
                .n_queries = n_queries};
    const size_t n_items = nb_div_up(n_queries, QUERY_TILE) * h->n_heads;
    const size_t item_operations =
        4 * nb_min_size(n_queries, QUERY_TILE) * h->head_size *
        nb_min_size(session->position + session->n_fed, window_of(session->model, layer));
    nb_parallel(session->model->context->pool, n_items, 1 + PIECE_OPERATIONS / item_operations, attend_items,
                &job);
}
