/* The kernels that are no matmul, written once for 16 lanes. Included by one file per CPU level, which
 * first defines
 *
 *   INLINE                           static, and inlined whatever the compiler thinks
 *   lanes                            16 f32, lane i in element i of memory
 *   lanes_set load store             load_part(p, n, fill), store_part: the first n < 16 elements; no others
 *                                    are touched
 *   lanes_add sub mul div fma        fma(a, b, c) = a b + c, rounded once
 *   lanes_max(a, b) lanes_min(a, b)  a > b ? a : b and a < b ? a : b, so b where one is NaN
 *   lanes_choose(a, b, x, y)         a < b ? x : y, so y where a or b is NaN
 *   lanes_canonical                  every NaN as 7fc00000
 *   lanes_scale(p, t)                p 2^n, rounded once, where t = n + NB_EXPF_ROUND
 *   lanes_rotate(x, cos_sin)         8 adjacent pairs: (fma(a, c, -(b s)), fma(a, s, b c))
 *   lanes_fold lanes_fold_max        the sum, folded 16-8-4-2-1; the maximum
 *   lanes_f64 lanes_f64_zero add fold   16 f64, to which f32 lanes are added
 *   nans nans_none add any           whether any lane so far was NaN
 *   QUERIES, TILES, TILES_ALONE      attention's registers: QUERIES x TILES sums of 16 for several queries,
 *                                    TILES_ALONE for one; tiles are 1, 2, 4 or 8
 *
 * Every output sees the operations of reference_ops.c in that order; only how many outputs are on their way
 * at once is ours to choose. */
#include "kernels/gelu.h"
#include "kernels/levels.h"
#include "math/expf.h"
#include "math/math.h"
#include "math/tanhf.h"

#include <math.h>
#include <stdint.h>

enum { LANES = 16 };

INLINE lanes exp_lanes(lanes x)
{
    x = lanes_min(lanes_set(NB_EXPF_HIGH), x);
    x = lanes_max(lanes_set(NB_EXPF_LOW), x);
    const lanes t = lanes_fma(x, lanes_set(NB_EXPF_INV_LN2), lanes_set(NB_EXPF_ROUND));
    const lanes n = lanes_sub(t, lanes_set(NB_EXPF_ROUND));
    lanes r = lanes_fma(n, lanes_set(-NB_EXPF_LN2_HIGH), x);
    r = lanes_fma(n, lanes_set(-NB_EXPF_LN2_LOW), r);
    lanes p = lanes_fma(lanes_set(NB_EXPF_C6), r, lanes_set(NB_EXPF_C5));
    p = lanes_fma(p, r, lanes_set(NB_EXPF_C4));
    p = lanes_fma(p, r, lanes_set(NB_EXPF_C3));
    p = lanes_fma(p, r, lanes_set(NB_EXPF_C2));
    p = lanes_fma(p, r, lanes_set(1.0f));
    p = lanes_fma(p, r, lanes_set(1.0f));
    return lanes_scale(p, t);
}

static void exp_each(const float *x, size_t n, float *y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(y + i, lanes_canonical(exp_lanes(lanes_load(x + i))));
    if (i < n)
        lanes_store_part(y + i, n - i, lanes_canonical(exp_lanes(lanes_load_part(x + i, n - i, 0.0f))));
}

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *y)
{
    lanes sums = lanes_set(0.0f);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const lanes a = lanes_load(x + i);
        sums = lanes_fma(a, a, sums);
    }
    if (i < n) {
        const lanes a = lanes_load_part(x + i, n - i, 0.0f);
        sums = lanes_fma(a, a, sums);
    }
    const lanes r = lanes_set(1.0f / sqrtf(lanes_fold(sums) / (float)n + eps));
    for (i = 0; i + LANES <= n; i += LANES)
        lanes_store(y + i,
                    lanes_canonical(lanes_mul(lanes_load(weight + i), lanes_mul(lanes_load(x + i), r))));
    if (i < n) {
        const lanes a = lanes_mul(lanes_load_part(x + i, n - i, 0.0f), r);
        lanes_store_part(y + i, n - i,
                         lanes_canonical(lanes_mul(lanes_load_part(weight + i, n - i, 0.0f), a)));
    }
}

/* The lanes of a last part that hold nothing are filled with the mean: their difference from it is 0. (Where the
 * mean is not finite it is NaN, and so is everything else.) */
static void layer_norm(const float *x, const float *weight, const float *bias, size_t n, float eps, float *y)
{
    lanes sums = lanes_set(0.0f), squares = lanes_set(0.0f);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sums = lanes_add(sums, lanes_load(x + i));
    if (i < n)
        sums = lanes_add(sums, lanes_load_part(x + i, n - i, 0.0f));
    const float mean_of_all = lanes_fold(sums) / (float)n;
    const lanes mean = lanes_set(mean_of_all);
    for (i = 0; i + LANES <= n; i += LANES) {
        const lanes d = lanes_sub(lanes_load(x + i), mean);
        squares = lanes_fma(d, d, squares);
    }
    if (i < n) {
        const lanes d = lanes_sub(lanes_load_part(x + i, n - i, mean_of_all), mean);
        squares = lanes_fma(d, d, squares);
    }
    const lanes r = lanes_set(1.0f / sqrtf(lanes_fold(squares) / (float)n + eps));
    for (i = 0; i + LANES <= n; i += LANES) {
        const lanes d = lanes_mul(lanes_sub(lanes_load(x + i), mean), r);
        lanes_store(y + i, lanes_canonical(lanes_fma(lanes_load(weight + i), d, lanes_load(bias + i))));
    }
    if (i < n) {
        const lanes d = lanes_mul(lanes_sub(lanes_load_part(x + i, n - i, 0.0f), mean), r);
        const lanes w = lanes_load_part(weight + i, n - i, 0.0f), b = lanes_load_part(bias + i, n - i, 0.0f);
        lanes_store_part(y + i, n - i, lanes_canonical(lanes_fma(w, d, b)));
    }
}

static void rope_adjacent(float *x, const float *cos_sin, size_t n_heads, size_t head_size, size_t n_rot)
{
    const size_t n = n_rot / 2 * 2;
    for (size_t head = 0; head < n_heads; head++, x += head_size) {
        size_t i = 0;
        for (; i + LANES <= n; i += LANES)
            lanes_store(x + i, lanes_canonical(lanes_rotate(lanes_load(x + i), lanes_load(cos_sin + i))));
        if (i < n) {
            const lanes a = lanes_load_part(x + i, n - i, 0.0f),
                        c = lanes_load_part(cos_sin + i, n - i, 0.0f);
            lanes_store_part(x + i, n - i, lanes_canonical(lanes_rotate(a, c)));
        }
    }
}

/* A pair's halves: a of `low` and b of `high`. */
INLINE void rotate_halves(lanes a, lanes b, lanes c, lanes s, lanes *low, lanes *high)
{
    *low = lanes_canonical(lanes_fma(a, c, lanes_mul(lanes_mul(b, s), lanes_set(-1.0f))));
    *high = lanes_canonical(lanes_fma(a, s, lanes_mul(b, c)));
}

static void rope_halves(float *x, const float *cos_sin, size_t n_heads, size_t head_size, size_t n_rot)
{
    const size_t half = n_rot / 2;
    const float *cosines = cos_sin, *sines = cos_sin + half;
    for (size_t head = 0; head < n_heads; head++, x += head_size) {
        float *y = x + half;
        lanes low, high;
        size_t i = 0;
        for (; i + LANES <= half; i += LANES) {
            rotate_halves(lanes_load(x + i), lanes_load(y + i), lanes_load(cosines + i), lanes_load(sines + i), &low,
                          &high);
            lanes_store(x + i, low);
            lanes_store(y + i, high);
        }
        if (i < half) {
            const size_t n = half - i;
            rotate_halves(lanes_load_part(x + i, n, 0.0f), lanes_load_part(y + i, n, 0.0f),
                          lanes_load_part(cosines + i, n, 0.0f), lanes_load_part(sines + i, n, 0.0f), &low, &high);
            lanes_store_part(x + i, n, low);
            lanes_store_part(y + i, n, high);
        }
    }
}

static void add(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(x + i, lanes_canonical(lanes_add(lanes_load(x + i), lanes_load(y + i))));
    if (i < n) {
        const lanes a = lanes_load_part(x + i, n - i, 0.0f), b = lanes_load_part(y + i, n - i, 0.0f);
        lanes_store_part(x + i, n - i, lanes_canonical(lanes_add(a, b)));
    }
}

static void scale_by(float *x, float by, size_t n)
{
    const lanes factor = lanes_set(by);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(x + i, lanes_canonical(lanes_mul(lanes_load(x + i), factor)));
    if (i < n)
        lanes_store_part(x + i, n - i, lanes_canonical(lanes_mul(lanes_load_part(x + i, n - i, 0.0f), factor)));
}

INLINE lanes swiglu_lanes(lanes gate, lanes up)
{
    const lanes minus_gate = lanes_mul(gate, lanes_set(-1.0f));
    const lanes divisor = lanes_add(lanes_set(1.0f), exp_lanes(minus_gate));
    return lanes_canonical(lanes_mul(lanes_div(gate, divisor), up));
}

static void swiglu(const float *gate, const float *up, size_t n, float *y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(y + i, swiglu_lanes(lanes_load(gate + i), lanes_load(up + i)));
    if (i < n) {
        const lanes a = lanes_load_part(gate + i, n - i, 0.0f), b = lanes_load_part(up + i, n - i, 0.0f);
        lanes_store_part(y + i, n - i, swiglu_lanes(a, b));
    }
}

INLINE lanes gelu_lanes(lanes x)
{
    const lanes cubic = lanes_mul(lanes_set(NB_GELU_CUBIC), lanes_mul(x, x));
    const lanes exponent = lanes_mul(lanes_fma(cubic, x, x), lanes_set(NB_GELU_MINUS_2_SQRT_2_PI));
    return lanes_div(x, lanes_add(lanes_set(1.0f), exp_lanes(exponent)));
}

static void gelu(const float *x, size_t n, float *y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(y + i, lanes_canonical(gelu_lanes(lanes_load(x + i))));
    if (i < n)
        lanes_store_part(y + i, n - i, lanes_canonical(gelu_lanes(lanes_load_part(x + i, n - i, 0.0f))));
}

static void geglu(const float *gate, const float *up, size_t n, float *y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(y + i, lanes_canonical(lanes_mul(gelu_lanes(lanes_load(gate + i)), lanes_load(up + i))));
    if (i < n) {
        const lanes a = gelu_lanes(lanes_load_part(gate + i, n - i, 0.0f));
        lanes_store_part(y + i, n - i, lanes_canonical(lanes_mul(a, lanes_load_part(up + i, n - i, 0.0f))));
    }
}

INLINE lanes softcap_lanes(lanes x, lanes cap)
{
    const lanes t = lanes_div(x, cap), minus_t = lanes_mul(t, lanes_set(-1.0f));
    const lanes a = lanes_max(t, minus_t), z = lanes_mul(a, a);
    lanes p = lanes_fma(lanes_set(NB_TANHF_C11), z, lanes_set(NB_TANHF_C9));
    p = lanes_fma(p, z, lanes_set(NB_TANHF_C7));
    p = lanes_fma(p, z, lanes_set(NB_TANHF_C5));
    p = lanes_fma(p, z, lanes_set(NB_TANHF_C3));
    const lanes small = lanes_fma(lanes_mul(a, z), p, a);
    const lanes one = lanes_set(1.0f), power = exp_lanes(lanes_mul(lanes_set(2.0f), a));
    const lanes large = lanes_sub(one, lanes_div(lanes_set(2.0f), lanes_add(power, one)));
    const lanes tanh_a = lanes_choose(a, lanes_set(NB_TANHF_TURN), small, large);
    const lanes zero = lanes_set(0.0f);
    const lanes tanh_t = lanes_choose(t, zero, lanes_mul(tanh_a, lanes_set(-1.0f)), tanh_a);
    return lanes_canonical(lanes_mul(lanes_add(tanh_t, zero), cap));
}

static void softcap(float *x, float cap, size_t n)
{
    const lanes by = lanes_set(cap);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(x + i, softcap_lanes(lanes_load(x + i), by));
    if (i < n)
        lanes_store_part(x + i, n - i, softcap_lanes(lanes_load_part(x + i, n - i, 0.0f), by));
}

/* The order of comparing does not show in the result, so four maxima are on their way at once. */
static float max_of(const float *x, size_t n)
{
    lanes max[4];
    for (int a = 0; a < 4; a++)
        max[a] = lanes_set(-INFINITY);
    nans seen = nans_none();
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        for (int a = 0; a < 4; a++) {
            const lanes next = lanes_load(x + i + a * LANES);
            seen = nans_add(seen, next);
            max[a] = lanes_max(next, max[a]);
        }
    }
    for (; i < n; i += LANES) {
        const lanes next = n - i < LANES ? lanes_load_part(x + i, n - i, -INFINITY) : lanes_load(x + i);
        seen = nans_add(seen, next);
        max[0] = lanes_max(next, max[0]);
    }
    if (nans_any(seen))
        return NAN;
    return lanes_fold_max(lanes_max(lanes_max(max[0], max[1]), lanes_max(max[2], max[3]))) + 0.0f;
}

static double log_sum_exp(const float *x, size_t n)
{
    const float max = max_of(x, n);
    if (max != max || max == INFINITY || max == -INFINITY)
        return max;
    const lanes shift = lanes_set(max);
    lanes_f64 sums = lanes_f64_zero();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sums = lanes_f64_add(sums, exp_lanes(lanes_sub(lanes_load(x + i), shift)));
    if (i < n) /* exp(-inf) = 0 changes no sum */
        sums = lanes_f64_add(sums, exp_lanes(lanes_sub(lanes_load_part(x + i, n - i, -INFINITY), shift)));
    return (double)max + nb_log(lanes_f64_fold(sums));
}

/* ---- attention ---- */

enum { MOST_TILES = TILES > TILES_ALONE ? TILES : TILES_ALONE };

/* Scores of n_q queries against n_tiles tiles of 16 keys; lane = key. n_q and n_tiles are constants wherever
 * this is inlined, so that every sum has its register. */
INLINE void score_tiles(const float *q, size_t q_stride, size_t n_q, const float *k, size_t head_size,
                        size_t n_tiles, float scale, float *scores, size_t stride)
{
    lanes sums[QUERIES][MOST_TILES];
    for (size_t i = 0; i < n_q; i++)
        for (size_t t = 0; t < n_tiles; t++)
            sums[i][t] = lanes_set(0.0f);
    for (size_t d = 0; d < head_size; d++) {
        lanes key[MOST_TILES];
        for (size_t t = 0; t < n_tiles; t++)
            key[t] = lanes_load(k + (t * head_size + d) * LANES);
        for (size_t i = 0; i < n_q; i++) {
            const lanes query = lanes_set(q[i * q_stride + d]);
            for (size_t t = 0; t < n_tiles; t++)
                sums[i][t] = lanes_fma(query, key[t], sums[i][t]);
        }
    }
    for (size_t i = 0; i < n_q; i++)
        for (size_t t = 0; t < n_tiles; t++)
            lanes_store(scores + i * stride + t * LANES, lanes_mul(sums[i][t], lanes_set(scale)));
}

/* As many tiles at once as there are registers for, then what is left by halves. */
INLINE void score_keys(const float *q, size_t q_stride, size_t n_q, const float *k, size_t head_size,
                       size_t n_keys, float scale, float *scores, size_t stride)
{
    const size_t most = n_q > 1 ? TILES : TILES_ALONE;
    size_t left = (n_keys + LANES - 1) / LANES;
    while (left > 0) {
        size_t n;
        if (left >= most)
            score_tiles(q, q_stride, n_q, k, head_size, n = most, scale, scores, stride);
        else if (most > 4 && left >= 4)
            score_tiles(q, q_stride, n_q, k, head_size, n = 4, scale, scores, stride);
        else if (most > 2 && left >= 2)
            score_tiles(q, q_stride, n_q, k, head_size, n = 2, scale, scores, stride);
        else
            score_tiles(q, q_stride, n_q, k, head_size, n = 1, scale, scores, stride);
        left -= n;
        k += n * head_size * LANES;
        scores += n * LANES;
    }
}

/* What it makes of NaN does not matter: one NaN score makes the sum NaN. */
INLINE float softmax_maximum(const float *p, size_t n)
{
    lanes max[2] = {lanes_set(-INFINITY), lanes_set(-INFINITY)};
    size_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES) {
        max[0] = lanes_max(lanes_load(p + j), max[0]);
        max[1] = lanes_max(lanes_load(p + j + LANES), max[1]);
    }
    for (; j < n; j += LANES)
        max[0] = lanes_max(n - j < LANES ? lanes_load_part(p + j, n - j, -INFINITY) : lanes_load(p + j), max[0]);
    return lanes_fold_max(lanes_max(max[0], max[1]));
}

/* p = exp(score - maximum) in place for [first, n); returns the sum, in lanes by position. In the first tile the
 * positions before `first` are made 1 by a score that is the maximum, and their lanes begin at -1. The lanes after
 * a last partial tile are made 0 afterwards, not by -inf: underflow takes a hundred times as long as any other
 * result. */
INLINE float softmax_numerators(float *p, size_t first, size_t n, float maximum)
{
    const lanes shift = lanes_set(maximum);
    float begin[LANES] = {0};
    size_t j = first / LANES * LANES;
    for (size_t i = j; i < first; i++) {
        p[i] = maximum;
        begin[i - j] = -1.0f;
    }
    lanes sums = lanes_load(begin);
    for (; j + LANES <= n; j += LANES) {
        const lanes e = exp_lanes(lanes_sub(lanes_load(p + j), shift));
        lanes_store(p + j, e);
        sums = lanes_add(sums, e);
    }
    if (j < n) {
        lanes_store_part(p + j, n - j, exp_lanes(lanes_sub(lanes_load_part(p + j, n - j, maximum), shift)));
        sums = lanes_add(sums, lanes_load_part(p + j, n - j, 0.0f));
    }
    return lanes_fold(sums);
}

/* Adds p v of n_q queries and n_v times 16 outputs over n positions to their sums; lane = output.
 * sums: [n_q][n_v][16]. */
INLINE void weigh_values(const float *p, size_t p_stride, size_t n_q, const float *v, size_t v_stride,
                         size_t n_v, size_t n, float *sums_out)
{
    lanes sums[QUERIES][MOST_TILES];
    for (size_t i = 0; i < n_q; i++)
        for (size_t t = 0; t < n_v; t++)
            sums[i][t] = lanes_load(sums_out + (i * n_v + t) * LANES);
    for (size_t j = 0; j < n; j++) {
        lanes value[MOST_TILES];
        for (size_t t = 0; t < n_v; t++)
            value[t] = lanes_load(v + j * v_stride + t * LANES);
        for (size_t i = 0; i < n_q; i++) {
            const lanes weight = lanes_set(p[i * p_stride + j]);
            for (size_t t = 0; t < n_v; t++)
                sums[i][t] = lanes_fma(weight, value[t], sums[i][t]);
        }
    }
    for (size_t i = 0; i < n_q; i++)
        for (size_t t = 0; t < n_v; t++)
            lanes_store(sums_out + (i * n_v + t) * LANES, sums[i][t]);
}

enum {
    BATCH = 16,      /* queries that share scratch: each tile of keys and each row of values is read once for all */
    BLOCK_KEYS = 64, /* so many of their keys, or values, stay in the first cache meanwhile */
};

typedef struct attention_batch {
    const float *q, *k, *v;
    size_t q_stride, v_stride, head_size;
    size_t n_queries, n_keys; /* query i sees n_keys + i, */
    size_t window;            /* the last so many of them */
    float scale, cap;
    float *p; /* scores, then numerators: [n_queries][p_stride] */
    size_t p_stride, block;
    float denominators[BATCH];
} attention_batch;

/* The first key that query i sees. */
INLINE size_t first_key(const attention_batch *a, size_t i)
{
    return a->n_keys + i > a->window ? a->n_keys + i - a->window : 0;
}

/* How many of the queries that are left share registers: of a constant number each. */
INLINE size_t queries_at_once(size_t left)
{
    return left >= QUERIES ? QUERIES : left >= QUERIES / 2 && QUERIES / 2 > 1 ? QUERIES / 2 : 1;
}

INLINE void score_queries(const attention_batch *a, size_t i, size_t n_q, size_t begin, size_t end)
{
    score_keys(a->q + i * a->q_stride, a->q_stride, n_q, a->k + begin * a->head_size, a->head_size, end - begin,
               a->scale, a->p + i * a->p_stride + begin, a->p_stride);
}

static void score_batch(const attention_batch *a)
{
    for (size_t begin = first_key(a, 0) / LANES * LANES; begin < a->n_keys + a->n_queries - 1; begin += a->block)
        for (size_t i = 0, n_q; i < a->n_queries; i += n_q) {
            n_q = queries_at_once(a->n_queries - i);
            const size_t seen = a->n_keys + i + n_q - 1, end = begin + a->block < seen ? begin + a->block : seen;
            if (end <= begin)
                continue;
            if (n_q == QUERIES)
                score_queries(a, i, QUERIES, begin, end);
            else if (n_q == QUERIES / 2)
                score_queries(a, i, QUERIES / 2, begin, end);
            else
                score_queries(a, i, 1, begin, end);
        }
}

static void softmax_batch(attention_batch *a)
{
    float maxima[BATCH];
    for (size_t i = 0; i < a->n_queries; i++) {
        const size_t first = first_key(a, i), n = a->n_keys + i - first;
        float *p = a->p + i * a->p_stride + first;
        if (a->cap > 0.0f)
            softcap(p, a->cap, n);
        maxima[i] = softmax_maximum(p, n);
    }
    for (size_t i = 0; i < a->n_queries; i++)
        a->denominators[i] =
            softmax_numerators(a->p + i * a->p_stride, first_key(a, i), a->n_keys + i, maxima[i]);
}

INLINE void weigh_queries(const attention_batch *a, size_t i, size_t n_q, size_t d, size_t n_v, size_t begin,
                          size_t end, float *sums)
{
    weigh_values(a->p + i * a->p_stride + begin, a->p_stride, n_q, a->v + begin * a->v_stride + d, a->v_stride, n_v,
                 end - begin, sums);
}

/* The positions that the queries [first, first + n_q) all see. */
typedef struct shared_keys {
    size_t begin, end;
} shared_keys;

INLINE shared_keys shared_by(const attention_batch *a, size_t first, size_t n_q)
{
    const size_t end = a->n_keys + first, last = first_key(a, first + n_q - 1);
    return (shared_keys){last < end ? last : end, end};
}

/* Adds p v of query i alone over positions [begin, end) to 16 sums. */
INLINE lanes weigh_alone(const attention_batch *a, size_t i, size_t d, size_t begin, size_t end, lanes sum)
{
    for (size_t j = begin; j < end; j++)
        sum = lanes_fma(lanes_set(a->p[i * a->p_stride + j]), lanes_load(a->v + j * a->v_stride + d), sum);
    return sum;
}

/* Each query's sums begin with the positions before those that a few of them share. */
INLINE void begin_values(const attention_batch *a, size_t d, size_t n_v, float *sums)
{
    for (size_t first = 0, n_q; first < a->n_queries; first += n_q) {
        n_q = queries_at_once(a->n_queries - first);
        const shared_keys shared = shared_by(a, first, n_q);
        for (size_t i = first; i < first + n_q; i++)
            for (size_t t = 0; t < n_v; t++)
                lanes_store(sums + (i * n_v + t) * LANES,
                            weigh_alone(a, i, d + t * LANES, first_key(a, i), shared.begin, lanes_set(0.0f)));
    }
}

/* Outputs [d, d + 16 n_v) of each query, of which head_size exist: the positions that all queries of a few see,
 * block by block, then those that only some see, then the division. */
INLINE void values_of_batch(const attention_batch *a, size_t d, size_t n_v, float *out, size_t out_stride)
{
    float sums[BATCH * MOST_TILES * LANES];
    begin_values(a, d, n_v, sums);
    for (size_t block = first_key(a, 0) / LANES * LANES; block < a->n_keys + a->n_queries - 1; block += a->block)
        for (size_t i = 0, n_q; i < a->n_queries; i += n_q) {
            n_q = queries_at_once(a->n_queries - i);
            const shared_keys shared = shared_by(a, i, n_q);
            const size_t begin = block > shared.begin ? block : shared.begin;
            const size_t end = block + a->block < shared.end ? block + a->block : shared.end;
            if (end <= begin)
                continue;
            if (n_q == QUERIES)
                weigh_queries(a, i, QUERIES, d, n_v, begin, end, sums + i * n_v * LANES);
            else if (n_q == QUERIES / 2)
                weigh_queries(a, i, QUERIES / 2, d, n_v, begin, end, sums + i * n_v * LANES);
            else
                weigh_queries(a, i, 1, d, n_v, begin, end, sums + i * n_v * LANES);
        }
    for (size_t first = 0, n_q; first < a->n_queries; first += n_q) {
        n_q = queries_at_once(a->n_queries - first);
        for (size_t i = first; i < first + n_q; i++)
            for (size_t t = 0; t < n_v; t++) {
                const size_t own = first_key(a, i), begin = a->n_keys + first;
                lanes sum = weigh_alone(a, i, d + t * LANES, own > begin ? own : begin, a->n_keys + i,
                                        lanes_load(sums + (i * n_v + t) * LANES));
                sum = lanes_canonical(lanes_div(sum, lanes_set(a->denominators[i])));
                float *to = out + i * out_stride + d + t * LANES;
                const size_t left = a->head_size - d - t * LANES;
                if (left >= LANES)
                    lanes_store(to, sum);
                else
                    lanes_store_part(to, left, sum);
            }
    }
}

static void weigh_batch(const attention_batch *a, float *out, size_t out_stride)
{
    const size_t most = a->n_queries > 1 ? TILES : TILES_ALONE;
    for (size_t d = 0, n; d < a->head_size; d += n * LANES) {
        const size_t n_v = (a->head_size - d + LANES - 1) / LANES;
        if (n_v >= most && most == TILES_ALONE)
            values_of_batch(a, d, n = TILES_ALONE, out, out_stride);
        else if (n_v >= most)
            values_of_batch(a, d, n = TILES, out, out_stride);
        else if (most > 4 && n_v >= 4)
            values_of_batch(a, d, n = 4, out, out_stride);
        else if (most > 3 && n_v == 3)
            values_of_batch(a, d, n = 3, out, out_stride);
        else if (most > 2 && n_v >= 2)
            values_of_batch(a, d, n = 2, out, out_stride);
        else
            values_of_batch(a, d, n = 1, out, out_stride);
    }
}

static void attention(const float *q, size_t q_stride, size_t n_queries, size_t n_keys, const float *k,
                      const float *v, size_t head_size, float scale, float cap, size_t window, float *scratch,
                      float *out, size_t out_stride)
{
    for (size_t i = 0; i < n_queries; i += BATCH) {
        attention_batch a = {.q = q + i * q_stride, .k = k, .v = v, .q_stride = q_stride, .head_size = head_size};
        a.n_queries = n_queries - i < BATCH ? n_queries - i : BATCH;
        a.n_keys = n_keys + i;
        a.window = window;
        a.scale = scale;
        a.cap = cap;
        a.v_stride = (head_size + LANES - 1) / LANES * LANES;
        a.p = scratch;
        a.p_stride = (a.n_keys + a.n_queries - 1 + LANES - 1) / LANES * LANES;
        a.block = a.n_queries > QUERIES ? BLOCK_KEYS : a.p_stride;
        score_batch(&a);
        softmax_batch(&a);
        weigh_batch(&a, out + i * out_stride, out_stride);
    }
}

static void fill_ops(nb_kernels *kernels)
{
    kernels->rms_norm = rms_norm;
    kernels->layer_norm = layer_norm;
    kernels->rope_adjacent = rope_adjacent;
    kernels->rope_halves = rope_halves;
    kernels->add = add;
    kernels->scale = scale_by;
    kernels->swiglu = swiglu;
    kernels->gelu = gelu;
    kernels->geglu = geglu;
    kernels->softcap = softcap;
    kernels->attention = attention;
    kernels->exp = exp_each;
    kernels->max = max_of;
    kernels->log_sum_exp = log_sum_exp;
}
