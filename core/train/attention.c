#include "train/attention.h"

#include "base/memory.h"
#include "train/turn.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 96, QUERY_TILE = 16 }; /* whole tiles of 16 */

typedef struct job {
    const nb_attention *attention;
    const nb_sequences *sequences;
    const float *q, *k, *v, *out, *d_out;
    float *attended, *dq, *dk, *dv;
} job;

/* ---- scratch ---- */

/* What one query head of one sequence needs, for n keys; n16 is n in whole tiles of 16. */
typedef struct head_scratch {
    float *by_query_q, *by_query_d_out; /* [n16 / 16][head_size][16]: lane = query */
    float *by_dim_q, *by_dim_d_out;     /* [hd16 / 16][n][16]: lane = dimension */
    float *turned_k;                    /* [head_size][n] */
    float *p, *ds;                      /* [n][n16], row = key */
    float *ds_tiles;                    /* [n16 / 16][n][16], lane = query */
    float *max, *sum, *delta;           /* [n16] of each query */
    float *turned_dq;                   /* [head_size][n16] */
    float *sums;                        /* [BLOCK][hd16] */
} head_scratch;

/* The next n floats of a buffer in whole lines; NULL while only sizes are asked for. */
static float *take(float *base, size_t *used, size_t n)
{
    float *at = base ? base + *used : NULL;
    *used += nb_round_up(n, NB_ROWS);
    return at;
}

/* Lays it out from `base`; returns the floats that it takes. */
static size_t lay_out(float *base, size_t n, size_t head_size, head_scratch *s)
{
    const size_t n16 = nb_round_up(n, NB_ROWS), hd16 = nb_round_up(head_size, NB_ROWS);
    size_t used = 0;
    s->by_query_q = take(base, &used, n16 * head_size);
    s->by_query_d_out = take(base, &used, n16 * head_size);
    s->by_dim_q = take(base, &used, hd16 * n);
    s->by_dim_d_out = take(base, &used, hd16 * n);
    s->turned_k = take(base, &used, head_size * n);
    s->p = take(base, &used, n * n16);
    s->ds = take(base, &used, n * n16);
    s->ds_tiles = take(base, &used, n16 * n);
    s->max = take(base, &used, n16);
    s->sum = take(base, &used, n16);
    s->delta = take(base, &used, n16);
    s->turned_dq = take(base, &used, head_size * n16);
    s->sums = take(base, &used, BLOCK * hd16);
    return used;
}

/* Forward: keys in tiles, values in rows, the kernel's scores. */
static size_t forward_floats(size_t n, size_t head_size)
{
    const size_t n16 = nb_round_up(n, NB_ROWS), hd16 = nb_round_up(head_size, NB_ROWS);
    return n16 * head_size + n16 * hd16 + NB_ROWS * (n16 + NB_ROWS);
}

nb_status nb_attention_create(const nb_network *network, size_t max_length, nb_attention *out, nb_error *error)
{
    head_scratch s;
    const size_t head_size = network->hparams.head_size;
    *out = (nb_attention){.network = network, .max_length = max_length};
    out->scratch_floats = nb_max_size(lay_out(NULL, max_length, head_size, &s), forward_floats(max_length, head_size));
    out->scratch_floats = nb_round_up(out->scratch_floats, NB_ROWS);
    out->scratch = nb_aligned_calloc(nb_pool_size(network->context->pool), out->scratch_floats * sizeof(float));
    return out->scratch ? NB_OK
                        : nb_fail(error, NB_ERR_MEMORY, "no memory for attention over %zu tokens; use a shorter context",
                                  max_length);
}

void nb_attention_free(nb_attention *attention)
{
    nb_aligned_free(attention->scratch);
    attention->scratch = NULL;
}

/* ---- forward ---- */

/* Rows x[n][stride], columns [0, head_size), to tiles [n16 / 16][head_size][16]; lanes beyond n are 0. */
static void to_tiles(const float *x, size_t stride, size_t n, size_t head_size, float *tiles)
{
    for (size_t first = 0; first < n; first += NB_ROWS, tiles += head_size * NB_ROWS) {
        const size_t count = nb_min_size(NB_ROWS, n - first);
        if (count < NB_ROWS)
            memset(tiles, 0, head_size * NB_ROWS * sizeof *tiles);
        nb_turn(x + first * stride, stride, count, head_size, tiles, NB_ROWS);
    }
}

static void forward_item(const job *j, size_t sequence, size_t kv_head, float *scratch)
{
    const nb_hparams *h = &j->attention->network->hparams;
    const nb_kernels *kernels = j->attention->network->context->kernels;
    const size_t hd = h->head_size, hd16 = nb_round_up(hd, NB_ROWS), n_q = h->n_heads * hd, n_kv = h->n_kv_heads * hd;
    const size_t begin = j->sequences->begins[sequence], n = j->sequences->begins[sequence + 1] - begin;
    const float scale = (float)(1.0 / sqrt((double)hd));
    float *keys = scratch, *values = keys + nb_round_up(n, NB_ROWS) * hd;
    float *scores = values + nb_round_up(n, NB_ROWS) * hd16;
    to_tiles(j->k + begin * n_kv + kv_head * hd, n_kv, n, hd, keys);
    memset(values, 0, n * hd16 * sizeof *values);
    for (size_t t = 0; t < n; t++)
        memcpy(values + t * hd16, j->v + (begin + t) * n_kv + kv_head * hd, hd * sizeof *values);
    const size_t group = h->n_heads / h->n_kv_heads;
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++)
        for (size_t query = 0; query < n; query += QUERY_TILE) {
            const size_t at = (begin + query) * n_q + head * hd;
            kernels->attention(j->q + at, n_q, nb_min_size(QUERY_TILE, n - query), query + 1, keys, values, hd, scale,
                               0.0f, SIZE_MAX, scores, j->attended + at, n_q);
        }
}

/* Items are (sequence, KV head). */
static void forward_items(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *j = user;
    const size_t n_kv_heads = j->attention->network->hparams.n_kv_heads;
    float *scratch = j->attention->scratch + thread * j->attention->scratch_floats;
    for (size_t i = begin; i < end; i++)
        forward_item(j, i / n_kv_heads, i % n_kv_heads, scratch);
}

void nb_attention_forward(const nb_attention *attention, const nb_sequences *sequences, const float *q, const float *k,
                          const float *v, float *out)
{
    job j = {.attention = attention, .sequences = sequences, .q = q, .k = k, .v = v, .attended = out};
    nb_parallel(attention->network->context->pool, sequences->n_sequences * attention->network->hparams.n_kv_heads, 1,
                forward_items, &j);
}

/* ---- backward ---- */

/* out[t][row] = sum over k of packed[row][k] x[t][k], rows of the groups [group_begin, ceil(n_rows / 16)). */
static void multiply(const nb_kernels *kernels, const float *packed, size_t group_stride, size_t n_rows,
                     size_t group_begin, size_t n_cols, const float *x, size_t x_stride, size_t n_tokens, float *out,
                     size_t out_stride)
{
    static const nb_format *const format = &nb_format_f32;
    union {
        const float *read;
        uint8_t *codes;
    } at = {packed};
    const nb_packed w = {.quantizer = {.format = format},
                         .n_rows = n_rows,
                         .n_cols = n_cols,
                         .n_row_groups = nb_div_up(n_rows, NB_ROWS),
                         .row_group_bytes = group_stride * sizeof(float),
                         .codes = at.codes,
                         .tensor_scale = 1.0f};
    const nb_acts acts = {.n_tokens = n_tokens, .n_cols = n_cols, .f32 = x, .f32_stride = x_stride};
    kernels->matmul_f32(&w, group_begin, w.n_row_groups, &acts, out, out_stride);
}

/* One query head of one sequence: pointers to its first row, and their strides. */
typedef struct head_view {
    const nb_kernels *kernels;
    size_t n, n16, hd, hd16, n_q, n_kv;
    float scale;
    const float *q, *k, *v, *out, *d_out;
    float *dq, *dk, *dv;
} head_view;

/* Rows of 16 dimensions: [hd16 / 16][n][16]. */
static void to_dims(const head_view *v, const float *x, float *dims)
{
    for (size_t first = 0; first < v->hd; first += NB_ROWS, dims += v->n * NB_ROWS) {
        const size_t count = nb_min_size(NB_ROWS, v->hd - first);
        for (size_t t = 0; t < v->n; t++) {
            memcpy(dims + t * NB_ROWS, x + t * v->n_q + first, count * sizeof *dims);
            memset(dims + t * NB_ROWS + count, 0, (NB_ROWS - count) * sizeof *dims);
        }
    }
}

static void gather(const head_view *v, head_scratch *s)
{
    to_tiles(v->q, v->n_q, v->n, v->hd, s->by_query_q);
    to_tiles(v->d_out, v->n_q, v->n, v->hd, s->by_query_d_out);
    to_dims(v, v->q, s->by_dim_q);
    to_dims(v, v->d_out, s->by_dim_d_out);
    nb_turn(v->k, v->n_kv, v->n, v->hd, s->turned_k, v->n);
    memset(s->delta, 0, v->n16 * sizeof *s->delta);
    for (size_t t = 0; t < v->n; t++) {
        float sum = 0.0f;
        for (size_t d = 0; d < v->hd; d++)
            sum = sum + v->out[t * v->n_q + d] * v->d_out[t * v->n_q + d];
        s->delta[t] = sum;
    }
}

/* Keys [first, first + BLOCK) are seen by queries from `first` on; inside the block a key's row begins with
 * queries that do not see it, which stand as 0. Row[query] = sum over d of x[key][d] packed[d][query]. */
static void multiply_by_queries(const head_view *v, const float *by_query, const float *x, float *rows)
{
    for (size_t first = 0; first < v->n; first += BLOCK)
        multiply(v->kernels, by_query, v->hd * NB_ROWS, v->n16, first / NB_ROWS, v->hd, x + first * v->n_kv, v->n_kv,
                 nb_min_size(BLOCK, v->n - first), rows + first * v->n16, v->n16);
}

/* p[key][query] = exp(scale (s - max)) for query >= key, else 0; the sums over keys stand beside it. */
static void make_p(const head_view *v, head_scratch *s)
{
    const size_t n = v->n, n16 = v->n16;
    multiply_by_queries(v, s->by_query_q, v->k, s->p);
    for (size_t i = 0; i < n16; i++) {
        s->max[i] = -INFINITY;
        s->sum[i] = 0.0f;
    }
    for (size_t key = 0; key < n; key++) {
        const float *row = s->p + key * n16;
        for (size_t i = key; i < n16; i++)
            s->max[i] = row[i] > s->max[i] ? row[i] : s->max[i];
    }
    for (size_t key = 0; key < n; key++) {
        float *row = s->p + key * n16;
        for (size_t i = key; i < n16; i++)
            row[i] = v->scale * (row[i] - s->max[i]);
        v->kernels->exp(row + key, n16 - key, row + key);
        memset(row + key / BLOCK * BLOCK, 0, key % BLOCK * sizeof *row);
        for (size_t i = key; i < n16; i++)
            s->sum[i] = s->sum[i] + row[i];
    }
}

/* p becomes the probabilities, ds = scale p (dp - delta), and ds_tiles the same with the query as lane. */
static void make_ds(const head_view *v, head_scratch *s)
{
    const size_t n = v->n, n16 = v->n16;
    multiply_by_queries(v, s->by_query_d_out, v->v, s->ds);
    for (size_t i = 0; i < n16; i++)
        s->sum[i] = 1.0f / s->sum[i];
    for (size_t key = 0; key < n; key++) {
        float *p = s->p + key * n16, *ds = s->ds + key * n16;
        const size_t first = key / BLOCK * BLOCK;
        for (size_t i = first; i < n16; i++) {
            p[i] = p[i] * s->sum[i];
            ds[i] = v->scale * (p[i] * (ds[i] - s->delta[i]));
        }
        for (size_t tile = first / NB_ROWS; tile < n16 / NB_ROWS; tile++)
            memcpy(s->ds_tiles + (tile * n + key) * NB_ROWS, ds + tile * NB_ROWS, NB_ROWS * sizeof *ds);
    }
}

/* to[key] += sum over queries of rows[key][query] x[query], x by its dimensions. */
static void add_over_queries(const head_view *v, const float *rows, const float *by_dim, float *sums, float *to)
{
    for (size_t first = 0; first < v->n; first += BLOCK) {
        const size_t count = nb_min_size(BLOCK, v->n - first);
        multiply(v->kernels, by_dim + first * NB_ROWS, v->n * NB_ROWS, v->hd, 0, v->n - first,
                 rows + first * v->n16 + first, v->n16, count, sums, v->hd16);
        for (size_t row = 0; row < count; row++) {
            float *sum = to + (first + row) * v->n_kv;
            for (size_t d = 0; d < v->hd; d++)
                sum[d] = sum[d] + sums[row * v->hd16 + d];
        }
    }
}

/* dq[query] = sum over keys of ds[key][query] k[key]. */
static void make_dq(const head_view *v, head_scratch *s)
{
    for (size_t first = 0; first < v->n; first += BLOCK) {
        const size_t end = nb_min_size(first + BLOCK, v->n);
        multiply(v->kernels, s->ds_tiles, v->n * NB_ROWS, end, first / NB_ROWS, end, s->turned_k, v->n, v->hd,
                 s->turned_dq, v->n16);
    }
    nb_turn(s->turned_dq, v->n16, v->hd, v->n, v->dq, v->n_q);
}

static void backward_item(const job *j, size_t sequence, size_t kv_head, float *scratch)
{
    const nb_hparams *h = &j->attention->network->hparams;
    const size_t begin = j->sequences->begins[sequence], n = j->sequences->begins[sequence + 1] - begin;
    const size_t hd = h->head_size, n_q = h->n_heads * hd, n_kv = h->n_kv_heads * hd;
    const size_t at_kv = begin * n_kv + kv_head * hd, group = h->n_heads / h->n_kv_heads;
    head_view v = {.kernels = j->attention->network->context->kernels,
                   .n = n,
                   .n16 = nb_round_up(n, NB_ROWS),
                   .hd = hd,
                   .hd16 = nb_round_up(hd, NB_ROWS),
                   .n_q = n_q,
                   .n_kv = n_kv,
                   .scale = (float)(1.0 / sqrt((double)hd)),
                   .k = j->k + at_kv,
                   .v = j->v + at_kv,
                   .dk = j->dk + at_kv,
                   .dv = j->dv + at_kv};
    head_scratch s;
    lay_out(scratch, n, hd, &s);
    for (size_t t = 0; t < n; t++) {
        memset(v.dk + t * n_kv, 0, hd * sizeof *v.dk);
        memset(v.dv + t * n_kv, 0, hd * sizeof *v.dv);
    }
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
        const size_t at = begin * n_q + head * hd;
        v.q = j->q + at, v.out = j->out + at, v.d_out = j->d_out + at, v.dq = j->dq + at;
        gather(&v, &s);
        make_p(&v, &s);
        make_ds(&v, &s);
        add_over_queries(&v, s.p, s.by_dim_d_out, s.sums, v.dv);
        add_over_queries(&v, s.ds, s.by_dim_q, s.sums, v.dk);
        make_dq(&v, &s);
    }
}

static void backward_items(void *user, size_t begin, size_t end, unsigned thread)
{
    const job *j = user;
    const size_t n_kv_heads = j->attention->network->hparams.n_kv_heads;
    float *scratch = j->attention->scratch + thread * j->attention->scratch_floats;
    for (size_t i = begin; i < end; i++)
        backward_item(j, i / n_kv_heads, i % n_kv_heads, scratch);
}

void nb_attention_backward(const nb_attention *attention, const nb_sequences *sequences, const float *q,
                           const float *k, const float *v, const float *out, const float *d_out, float *dq, float *dk,
                           float *dv)
{
    job j = {.attention = attention,
             .sequences = sequences,
             .q = q,
             .k = k,
             .v = v,
             .out = out,
             .d_out = d_out,
             .dq = dq,
             .dk = dk,
             .dv = dv};
    nb_parallel(attention->network->context->pool, sequences->n_sequences * attention->network->hparams.n_kv_heads, 1,
                backward_items, &j);
}
