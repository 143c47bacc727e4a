/* Every operator's backward pass against finite differences of its forward pass, in f64 where the forward pass is
 * written here; and against published numbers. */
#include "nibble.h"
#include "tests/support/shapes.h"
#include "train/gradients.h"
#include "train/linear.h"
#include "train/attention.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_near(double got, double want, double tolerance, const char *what, size_t index)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s[%zu] is %.7g, should be %.7g", what, index, got, want);
}

static void fill_normal(float *x, size_t n, double deviation, nb_random *random)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(deviation * nb_random_normal(random));
}

/* ---- RMSNorm ---- */

static void rms_norm(const double *x, const float *weight, size_t n, double eps, double *y)
{
    double ss = 0;
    for (size_t i = 0; i < n; i++)
        ss += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        y[i] = (double)weight[i] * x[i] / sqrt(ss / (double)n + eps);
}

static void test_rms_norm(void **state)
{
    (void)state;
    enum { N = 37 };
    float x[N], weight[N], dy[N], dx[N] = {0};
    double at[N], y[N], step = 1e-6;
    nb_random random;
    nb_random_seed(&random, 1);
    fill_normal(x, N, 2, &random);
    fill_normal(weight, N, 1, &random);
    fill_normal(dy, N, 1, &random);
    nb_rms_norm_backward(x, weight, dy, N, 1e-5f, dx);
    for (size_t i = 0; i < N; i++) {
        double value[2];
        for (int side = 0; side < 2; side++) {
            for (size_t k = 0; k < N; k++)
                at[k] = (double)x[k] + (k == i ? side ? step : -step : 0);
            rms_norm(at, weight, N, 1e-5, y);
            value[side] = 0;
            for (size_t k = 0; k < N; k++)
                value[side] += y[k] * (double)dy[k];
        }
        assert_near((double)dx[i], (value[1] - value[0]) / (2 * step), 2e-5, "dx", i);
    }
}

/* x = 1, 2, -3, 4 with weights 1, 0.5, 2, 1. */
static void test_rms_norm_by_hand(void **state)
{
    (void)state;
    const float x[4] = {1, 2, -3, 4}, weight[4] = {1, 0.5f, 2, 1}, dy[4] = {0.1f, -0.2f, 0.3f, 0.4f};
    const double want[4] = {0.0401663, -0.0292119, 0.2081344, 0.1606652};
    float dx[4] = {0};
    nb_rms_norm_backward(x, weight, dy, 4, 1e-5f, dx);
    for (size_t i = 0; i < 4; i++)
        assert_near((double)dx[i], want[i], 2e-7, "dx", i);
}

/* ---- SwiGLU ---- */

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static void test_swiglu(void **state)
{
    (void)state;
    enum { N = 300 };
    float gate[N], up[N], dy[N], d_gate[N], d_up[N];
    nb_random random;
    nb_random_seed(&random, 2);
    fill_normal(gate, N, 3, &random);
    fill_normal(up, N, 1, &random);
    fill_normal(dy, N, 1, &random);
    nb_swiglu_backward(nb_kernels_best(), gate, up, dy, N, d_gate, d_up);
    for (size_t i = 0; i < N; i++) {
        const double g = (double)gate[i], step = 1e-5;
        assert_near((double)d_gate[i],
                    (double)dy[i] * (double)up[i] * (silu(g + step) - silu(g - step)) / (2 * step), 2e-6, "d_gate", i);
        assert_near((double)d_up[i], (double)dy[i] * silu(g), 2e-6, "d_up", i);
    }
    const float at[2] = {-1, 0.5f}, one[2] = {1, 1};
    float slope[2], other[2];
    nb_swiglu_backward(nb_kernels_best(), at, one, one, 2, slope, other);
    assert_near((double)slope[0], 0.07232949, 2e-7, "silu'", 0);
    assert_near((double)slope[1], 0.73996119, 2e-7, "silu'", 1);
}

/* ---- cross-entropy ---- */

static double loss_of(const double *logits, size_t n, size_t target)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp(logits[i]);
    return log(sum) - logits[target];
}

static void test_cross_entropy(void **state)
{
    (void)state;
    enum { N = 83, TARGET = 41 };
    float logits[N];
    double at[N], loss, step = 1e-5;
    nb_random random;
    nb_random_seed(&random, 3);
    fill_normal(logits, N, 3, &random);
    for (size_t i = 0; i < N; i++)
        at[i] = (double)logits[i];
    loss = nb_cross_entropy(nb_kernels_best(), logits, N, TARGET, 0.5f);
    assert_near(loss, loss_of(at, N, TARGET), 1e-6, "loss", 0);
    for (size_t i = 0; i < N; i++) {
        const double kept = at[i];
        at[i] = kept + step;
        double more = loss_of(at, N, TARGET);
        at[i] = kept - step;
        double less = loss_of(at, N, TARGET);
        at[i] = kept;
        assert_near((double)logits[i], 0.5 * (more - less) / (2 * step), 1e-6, "d_logits", i);
    }
}

/* ---- linear ---- */

static const nb_hparams shape = {.architecture = "llama",
                                 .n_layers = 1,
                                 .n_embd = 42,
                                 .n_heads = 3,
                                 .n_kv_heads = 1,
                                 .head_size = 14,
                                 .n_rot = 14,
                                 .n_ff = 50,
                                 .n_vocab = 20,
                                 .n_ctx = 200,
                                 .norm_eps = 1e-5f,
                                 .rope_base = 10000.0,
                                 .rope_scale = 1.0,
                                 .tied = true};

static void test_linear(void **state)
{
    (void)state;
    enum { T = 61, R = 50, C = 42 };
    static float x[T * C], dy[T * R], y[T * R], dx[T * C];
    nb_error error;
    nb_network *network;
    nb_linear_scratch scratch;
    nb_random random;
    nb_context *context = test_context(NULL, 2);
    assert_int_equal(nb_network_create(context, &shape, &network, &error), NB_OK);
    assert_int_equal(nb_linear_scratch_create(network, T, &scratch, &error), NB_OK);
    nb_network_initialise(network, 4);
    nb_random_seed(&random, 4);
    fill_normal(x, T * C, 1, &random);
    fill_normal(dy, T * R, 1, &random);
    const nb_weight *w = nb_network_find(network, "blk.0.ffn_gate");
    assert_int_equal(w->shape.n_rows, R);
    assert_int_equal(w->shape.n_cols, C);
    nb_linear_forward(context, w, x, T, y);
    nb_linear_input_gradient(context, w, dy, T, dx);
    nb_linear_take_input(context, x, T, C, &scratch);
    for (int twice = 0; twice < 2; twice++) /* it adds */
        nb_linear_weight_gradient(context, w, dy, T, &scratch);
    for (size_t t = 0; t < T; t++)
        for (size_t r = 0; r < R; r++) {
            double sum = 0;
            for (size_t c = 0; c < C; c++)
                sum += (double)w->values[r * C + c] * (double)x[t * C + c];
            assert_near((double)y[t * R + r], sum, 1e-5, "y", t * R + r);
        }
    for (size_t t = 0; t < T; t++)
        for (size_t c = 0; c < C; c++) {
            double sum = 0;
            for (size_t r = 0; r < R; r++)
                sum += (double)w->values[r * C + c] * (double)dy[t * R + r];
            assert_near((double)dx[t * C + c], sum, 1e-5, "dx", t * C + c);
        }
    for (size_t r = 0; r < R; r++)
        for (size_t c = 0; c < C; c++) {
            double sum = 0;
            for (size_t t = 0; t < T; t++)
                sum += (double)dy[t * R + r] * (double)x[t * C + c];
            assert_near((double)w->gradient[r * C + c], 2 * sum, 1e-5, "dW", r * C + c);
        }
    nb_linear_scratch_free(&scratch);
    nb_network_destroy(&network);
    nb_context_destroy(&context);
}

/* ---- attention ---- */

enum { LENGTH = 149, HEADS = 3, HEAD = 14, N_Q = HEADS * HEAD };

/* One KV head, in f64. */
static void attend(const double *q, const double *k, const double *v, double *out)
{
    for (size_t head = 0; head < HEADS; head++)
        for (size_t i = 0; i < LENGTH; i++) {
            double p[LENGTH], sum = 0;
            for (size_t j = 0; j <= i; j++) {
                double s = 0;
                for (size_t d = 0; d < HEAD; d++)
                    s += q[i * N_Q + head * HEAD + d] * k[j * HEAD + d];
                p[j] = exp(s / sqrt((double)HEAD));
                sum += p[j];
            }
            for (size_t d = 0; d < HEAD; d++) {
                double o = 0;
                for (size_t j = 0; j <= i; j++)
                    o += p[j] / sum * v[j * HEAD + d];
                out[i * N_Q + head * HEAD + d] = o;
            }
        }
}

static double weighted(const double *out, const float *d_out)
{
    double sum = 0;
    for (size_t i = 0; i < LENGTH * N_Q; i++)
        sum += out[i] * (double)d_out[i];
    return sum;
}

/* The slope of `which` (0: q, 1: k, 2: v) at some places, by central differences. */
static void check_attention(double *const inputs[3], const float *d_out, int which, size_t n, const float *gradient)
{
    static double out[LENGTH * N_Q];
    static const char *const names[] = {"dq", "dk", "dv"};
    for (size_t i = which; i < n; i += n / 23) {
        const double kept = inputs[which][i], step = 1e-5;
        inputs[which][i] = kept + step;
        attend(inputs[0], inputs[1], inputs[2], out);
        const double more = weighted(out, d_out);
        inputs[which][i] = kept - step;
        attend(inputs[0], inputs[1], inputs[2], out);
        const double less = weighted(out, d_out);
        inputs[which][i] = kept;
        assert_near((double)gradient[i], (more - less) / (2 * step), 2e-5, names[which], i);
    }
}

static void test_attention(void **state)
{
    (void)state;
    static float q[LENGTH * N_Q], k[LENGTH * HEAD], v[LENGTH * HEAD], out[LENGTH * N_Q], d_out[LENGTH * N_Q];
    static float dq[LENGTH * N_Q], dk[LENGTH * HEAD], dv[LENGTH * HEAD];
    static double wide_q[LENGTH * N_Q], wide_k[LENGTH * HEAD], wide_v[LENGTH * HEAD], want[LENGTH * N_Q];
    nb_error error;
    nb_network *network;
    nb_attention attention;
    nb_random random;
    nb_context *context = test_context(NULL, 2);
    assert_int_equal(nb_network_create(context, &shape, &network, &error), NB_OK);
    assert_int_equal(nb_attention_create(network, LENGTH, &attention, &error), NB_OK);
    nb_random_seed(&random, 5);
    fill_normal(q, LENGTH * N_Q, 1.5, &random);
    fill_normal(k, LENGTH * HEAD, 1, &random);
    fill_normal(v, LENGTH * HEAD, 1, &random);
    fill_normal(d_out, LENGTH * N_Q, 1, &random);
    const size_t begins[2] = {0, LENGTH};
    const nb_sequences sequences = {.n_sequences = 1, .n_tokens = LENGTH, .begins = begins};
    nb_attention_forward(&attention, &sequences, q, k, v, out);
    nb_attention_backward(&attention, &sequences, q, k, v, out, d_out, dq, dk, dv);
    for (size_t i = 0; i < LENGTH * N_Q; i++)
        wide_q[i] = (double)q[i];
    for (size_t i = 0; i < LENGTH * HEAD; i++)
        wide_k[i] = (double)k[i], wide_v[i] = (double)v[i];
    attend(wide_q, wide_k, wide_v, want);
    for (size_t i = 0; i < LENGTH * N_Q; i++)
        assert_near((double)out[i], want[i], 1e-5, "out", i);
    double *const inputs[3] = {wide_q, wide_k, wide_v};
    check_attention(inputs, d_out, 0, LENGTH * N_Q, dq);
    check_attention(inputs, d_out, 1, LENGTH * HEAD, dk);
    check_attention(inputs, d_out, 2, LENGTH * HEAD, dv);
    nb_attention_free(&attention);
    nb_network_destroy(&network);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rms_norm), cmocka_unit_test(test_rms_norm_by_hand), cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_cross_entropy), cmocka_unit_test(test_linear), cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
