/* The definition of every kernel that is no matmul: plain C, never optimised. Where sums fold and in which
 * order operations come is the numeric contract; the other levels do the same, 16 lanes at a time. */
#include "kernels/gelu.h"
#include "kernels/levels.h"
#include "math/math.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

/* What leaves a kernel: every NaN as 7fc00000. x86 and ARM make different ones. */
static float canonical(float x)
{
    return x != x ? NAN : x;
}

static float fold(const float lanes[LANES])
{
    float sums[LANES];
    memcpy(sums, lanes, sizeof sums);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums[i] = sums[i] + sums[i + half];
    return sums[0];
}

static double fold_f64(const double lanes[LANES])
{
    double sums[LANES];
    memcpy(sums, lanes, sizeof sums);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums[i] = sums[i] + sums[i + half];
    return sums[0];
}

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *y)
{
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % LANES] = fmaf(x[i], x[i], lanes[i % LANES]);
    const float r = 1.0f / sqrtf(fold(lanes) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = canonical(weight[i] * (x[i] * r));
}

static void layer_norm(const float *x, const float *weight, const float *bias, size_t n, float eps, float *y)
{
    float sums[LANES] = {0}, squares[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        sums[i % LANES] = sums[i % LANES] + x[i];
    const float mean = fold(sums) / (float)n;
    for (size_t i = 0; i < n; i++)
        squares[i % LANES] = fmaf(x[i] - mean, x[i] - mean, squares[i % LANES]);
    const float r = 1.0f / sqrtf(fold(squares) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = canonical(fmaf(weight[i], (x[i] - mean) * r, bias[i]));
}

static void rope_adjacent(float *x, const float *cos_sin, size_t n_heads, size_t head_size, size_t n_rot)
{
    for (size_t head = 0; head < n_heads; head++, x += head_size) {
        for (size_t i = 0; i < n_rot / 2; i++) {
            const float a = x[2 * i], b = x[2 * i + 1];
            const float c = cos_sin[2 * i], s = cos_sin[2 * i + 1];
            x[2 * i] = canonical(fmaf(a, c, -(b * s)));
            x[2 * i + 1] = canonical(fmaf(a, s, b * c));
        }
    }
}

static void rope_halves(float *x, const float *cos_sin, size_t n_heads, size_t head_size, size_t n_rot)
{
    const size_t half = n_rot / 2;
    for (size_t head = 0; head < n_heads; head++, x += head_size) {
        for (size_t i = 0; i < half; i++) {
            const float a = x[i], b = x[half + i];
            const float c = cos_sin[i], s = cos_sin[half + i];
            x[i] = canonical(fmaf(a, c, -(b * s)));
            x[half + i] = canonical(fmaf(a, s, b * c));
        }
    }
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = canonical(x[i] + y[i]);
}

static void scale_by(float *x, float by, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = canonical(x[i] * by);
}

static void swiglu(const float *gate, const float *up, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = canonical(gate[i] / (1.0f + nb_expf(-gate[i])) * up[i]);
}

static float gelu_of(float x)
{
    return x / (1.0f + nb_expf(fmaf(NB_GELU_CUBIC * (x * x), x, x) * NB_GELU_MINUS_2_SQRT_2_PI));
}

static void gelu(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = canonical(gelu_of(x[i]));
}

static void geglu(const float *gate, const float *up, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = canonical(gelu_of(gate[i]) * up[i]);
}

static float softcap_of(float x, float cap)
{
    return canonical((nb_tanhf(x / cap) + 0.0f) * cap);
}

static void softcap(float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = softcap_of(x[i], cap);
}

/* One query over keys [first, n). */
static void attend(const float *q, size_t first, size_t n, const float *k, const float *v, size_t head_size,
                   float scale, float cap, float *p, float *out)
{
    const size_t v_stride = (head_size + LANES - 1) / LANES * LANES;
    float max = -INFINITY;
    for (size_t j = first; j < n; j++) {
        const float *key = k + j / LANES * head_size * LANES + j % LANES;
        float score = 0.0f;
        for (size_t d = 0; d < head_size; d++)
            score = fmaf(q[d], key[d * LANES], score);
        p[j] = cap > 0.0f ? softcap_of(score * scale, cap) : score * scale;
        max = p[j] > max ? p[j] : max;
    }
    float lanes[LANES] = {0};
    for (size_t j = first; j < n; j++) {
        p[j] = nb_expf(p[j] - max);
        lanes[j % LANES] = lanes[j % LANES] + p[j];
    }
    const float denominator = fold(lanes);
    for (size_t d = 0; d < head_size; d++) {
        float sum = 0.0f;
        for (size_t j = first; j < n; j++)
            sum = fmaf(p[j], v[j * v_stride + d], sum);
        out[d] = canonical(sum / denominator);
    }
}

static void attention(const float *q, size_t q_stride, size_t n_queries, size_t n_keys, const float *k,
                      const float *v, size_t head_size, float scale, float cap, size_t window, float *scratch,
                      float *out, size_t out_stride)
{
    for (size_t i = 0; i < n_queries; i++) {
        const size_t n = n_keys + i, first = n > window ? n - window : 0;
        attend(q + i * q_stride, first, n, k, v, head_size, scale, cap, scratch, out + i * out_stride);
    }
}

static void exp_each(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = nb_expf(x[i]);
}

/* A zero comes out as +0, so that no order of comparing shows. */
static float max_of(const float *x, size_t n)
{
    float max = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i])
            return NAN;
        max = x[i] > max ? x[i] : max;
    }
    return max + 0.0f;
}

static double log_sum_exp(const float *x, size_t n)
{
    const float max = max_of(x, n);
    if (max != max || max == INFINITY || max == -INFINITY)
        return max;
    double lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % LANES] = lanes[i % LANES] + (double)nb_expf(x[i] - max);
    return (double)max + nb_log(fold_f64(lanes));
}

void nb_kernels_fill_ops_scalar(nb_kernels *k)
{
    k->rms_norm = rms_norm;
    k->layer_norm = layer_norm;
    k->rope_adjacent = rope_adjacent;
    k->rope_halves = rope_halves;
    k->add = add;
    k->scale = scale_by;
    k->swiglu = swiglu;
    k->gelu = gelu;
    k->geglu = geglu;
    k->softcap = softcap;
    k->attention = attention;
    k->exp = exp_each;
    k->max = max_of;
    k->log_sum_exp = log_sum_exp;
}
