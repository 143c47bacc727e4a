/* The steps of a forward pass between its matmuls, spread over threads where there is enough to do. */
#include "base/memory.h"
#include "model/session.h"

#include <math.h>
#include <string.h>

/* Handing a piece to another thread costs about a microsecond: a piece should hold more work than that. */
enum { PIECE_ELEMENTS = 16 << 10, PIECE_OPERATIONS = 64 << 10, QUERY_TILE = 16 };

typedef struct step {
    nb_session *session;
    const nb_kernels *kernels;
    const float *weight;
    size_t layer, first, n_queries;
} step;

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
    for (size_t r = begin; r < end; r++)
        job->kernels->rms_norm(job->session->x + (job->first + r) * n, job->weight, n, h->norm_eps,
                               job->session->norm + r * n);
}

void nb_session_norm(nb_session *session, const nb_tensor *weight, size_t first, size_t count)
{
    step job = {.weight = weight->vector, .first = first};
    over_rows(session, count, session->model->hparams.n_embd, norm_rows, &job);
}

static void swiglu_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const size_t n = job->session->model->hparams.n_ff;
    for (size_t r = begin; r < end; r++) {
        float *gate = job->session->gate + r * n;
        job->kernels->swiglu(gate, job->session->up + r * n, n, gate);
    }
}

void nb_session_swiglu(nb_session *session)
{
    step job = {0};
    over_rows(session, session->n_rows, 4 * (size_t)session->model->hparams.n_ff, swiglu_rows, &job);
}

static void add_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const size_t n = job->session->model->hparams.n_embd;
    job->kernels->add(job->session->x + begin * n, job->session->norm + begin * n, (end - begin) * n);
}

void nb_session_add(nb_session *session)
{
    step job = {0};
    over_rows(session, session->n_rows, session->model->hparams.n_embd, add_rows, &job);
}

/* ---- positions and the cache ---- */

/* Keys and values of rows [begin, end), at their positions, head by head: a key goes down a column of its
 * tile of 16, so that the lines it touches are still at hand for the next key. */
static void store(const nb_session *s, size_t layer, size_t begin, size_t end)
{
    const size_t head_size = s->model->hparams.head_size, n_heads = s->model->hparams.n_kv_heads;
    const size_t value_row = nb_round_up(head_size, NB_ROWS), n_kv = n_heads * head_size;
    for (size_t head = 0; head < n_heads; head++) {
        float *keys = s->keys + (layer * n_heads + head) * s->key_head;
        float *values = s->values + (layer * n_heads + head) * s->value_head;
        for (size_t r = begin; r < end; r++) {
            const size_t position = s->position + r;
            const float *k = s->k + r * n_kv + head * head_size;
            float *column = keys + position / NB_ROWS * NB_ROWS * head_size + position % NB_ROWS;
            for (size_t d = 0; d < head_size; d++)
                column[d * NB_ROWS] = k[d];
            memcpy(values + position * value_row, s->v + r * n_kv + head * head_size,
                   head_size * sizeof *values);
        }
    }
}

static void rotate_and_store_rows(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const step *job = user;
    const nb_session *s = job->session;
    const nb_hparams *h = &s->model->hparams;
    const size_t n_q = (size_t)h->n_heads * h->head_size, n_kv = (size_t)h->n_kv_heads * h->head_size;
    const size_t first_query = s->n_fed - job->n_queries;
    for (size_t r = begin; r < end; r++) {
        const float *cos_sin = s->rope + (s->position + r) * h->n_rot;
        if (r >= first_query)
            job->kernels->rope_adjacent(s->q + (r - first_query) * n_q, cos_sin, h->n_heads, h->head_size,
                                        h->n_rot);
        job->kernels->rope_adjacent(s->k + r * n_kv, cos_sin, h->n_kv_heads, h->head_size, h->n_rot);
    }
    store(s, job->layer, begin, end);
}

void nb_session_rotate_and_store(nb_session *session, size_t layer, size_t n_queries)
{
    const nb_hparams *h = &session->model->hparams;
    step job = {.layer = layer, .n_queries = n_queries};
    over_rows(session, session->n_fed, (size_t)(h->n_heads + 3 * h->n_kv_heads) * h->head_size,
              rotate_and_store_rows, &job);
}

/* ---- attention ---- */

/* Items are (head, tile of queries), the tiles with the most keys first. Neighbours share their head's keys
 * and values, which the second cache then holds. */
static void attend_items(void *user, size_t begin, size_t end, unsigned thread)
{
    const step *job = user;
    const nb_session *s = job->session;
    const nb_hparams *h = &s->model->hparams;
    const size_t n_q = (size_t)h->n_heads * h->head_size, n_tiles = nb_div_up(job->n_queries, QUERY_TILE);
    const size_t first_position = s->position + s->n_fed - job->n_queries;
    const float scale = (float)(1.0 / sqrt((double)h->head_size));
    for (size_t item = begin; item < end; item++) {
        const size_t head = item / n_tiles, query = (n_tiles - 1 - item % n_tiles) * QUERY_TILE;
        const size_t kv = job->layer * h->n_kv_heads + head / (h->n_heads / h->n_kv_heads);
        const size_t offset = query * n_q + head * h->head_size;
        job->kernels->attention(s->q + offset, n_q, nb_min_size(QUERY_TILE, job->n_queries - query),
                                first_position + query + 1, s->keys + kv * s->key_head,
                                s->values + kv * s->value_head, h->head_size, scale, 0.0f, SIZE_MAX,
                                s->scores + thread * s->scores_stride, s->attended + offset, n_q);
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
        4 * nb_min_size(n_queries, QUERY_TILE) * h->head_size * (session->position + session->n_fed);
    nb_parallel(session->model->context->pool, n_items, 1 + PIECE_OPERATIONS / item_operations, attend_items,
                &job);
}
