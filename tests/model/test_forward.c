/* The forward pass against one written from the formulas (Touvron et al. 2023; Su et al. 2021 for RoPE) in
 * double precision, without the library's code: it reads the stored numbers and nothing else. */
#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_TOKENS = 37 };

/* ---- plain mathematics ---- */

static double *numbers(size_t n)
{
    double *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

/* A tensor as doubles, row by row. */
static double *matrix(const nb_model *model, const char *name)
{
    const long index = nb_model_find_tensor(model, name);
    if (index < 0)
        return NULL;
    const nb_tensor *t = nb_model_tensor(model, (size_t)index);
    double *all = numbers(t->n_rows * t->n_cols);
    float *row = calloc(t->n_cols, sizeof *row);
    for (size_t r = 0; r < t->n_rows; r++) {
        nb_tensor_current_row(t, r, row);
        for (size_t c = 0; c < t->n_cols; c++)
            all[r * t->n_cols + c] = (double)row[c];
    }
    free(row);
    return all;
}

static double *block_matrix(const nb_model *model, uint32_t layer, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "blk.%u.%s", layer, name);
    return matrix(model, full);
}

static void multiply(const double *w, size_t rows, size_t cols, const double *x, double *y)
{
    for (size_t r = 0; r < rows; r++) {
        y[r] = 0.0;
        for (size_t c = 0; c < cols; c++)
            y[r] += w[r * cols + c] * x[c];
    }
}

static void rms_norm(const double *x, const double *g, size_t n, double eps, double *y)
{
    double mean = 0.0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] * x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = g[i] * x[i] / sqrt(mean + eps);
}

static void rotate(double *heads, size_t n_heads, const nb_hparams *h, const double *factors, double position)
{
    for (size_t head = 0; head < n_heads; head++)
        for (size_t i = 0; i < h->n_rot / 2; i++) {
            double *pair = heads + head * h->head_size + 2 * i;
            double angle = position * h->rope_scale / pow(h->rope_base, 2.0 * (double)i / (double)h->n_rot);
            if (factors)
                angle /= factors[i];
            const double a = pair[0], b = pair[1];
            pair[0] = a * cos(angle) - b * sin(angle);
            pair[1] = a * sin(angle) + b * cos(angle);
        }
}

/* One query head over the keys and values up to and including its own position. */
static void attend(const double *q, const double *keys, const double *values, size_t stride, size_t n_keys,
                   size_t size, double *out)
{
    double *p = numbers(n_keys), sum = 0.0, max = -INFINITY;
    for (size_t j = 0; j < n_keys; j++) {
        for (size_t d = 0; d < size; d++)
            p[j] += q[d] * keys[j * stride + d] / sqrt((double)size);
        max = fmax(max, p[j]);
    }
    for (size_t j = 0; j < n_keys; j++)
        sum += p[j] = exp(p[j] - max);
    for (size_t d = 0; d < size; d++) {
        out[d] = 0.0;
        for (size_t j = 0; j < n_keys; j++)
            out[d] += p[j] / sum * values[j * stride + d];
    }
    free(p);
}

static void run_attention(const nb_model *model, uint32_t layer, double *x, size_t n)
{
    const nb_hparams *h = nb_model_hparams(model);
    const size_t n_q = (size_t)h->n_heads * h->head_size, n_kv = (size_t)h->n_kv_heads * h->head_size,
                 e = h->n_embd;
    double *norm = block_matrix(model, layer, "attn_norm"), *wq = block_matrix(model, layer, "attn_q");
    double *wk = block_matrix(model, layer, "attn_k"), *wv = block_matrix(model, layer, "attn_v");
    double *wo = block_matrix(model, layer, "attn_output"), *factors = matrix(model, "rope_freqs");
    double *keys = numbers(n * n_kv), *values = numbers(n * n_kv), *q = numbers(n_q), *y = numbers(n_q),
           *m = numbers(e);
    for (size_t t = 0; t < n; t++) {
        rms_norm(x + t * e, norm, e, (double)h->norm_eps, m);
        multiply(wq, n_q, e, m, q);
        multiply(wk, n_kv, e, m, keys + t * n_kv);
        multiply(wv, n_kv, e, m, values + t * n_kv);
        rotate(q, h->n_heads, h, factors, (double)t);
        rotate(keys + t * n_kv, h->n_kv_heads, h, factors, (double)t);
        for (size_t head = 0; head < h->n_heads; head++) {
            const size_t shared = head * h->n_kv_heads / h->n_heads * h->head_size;
            attend(q + head * h->head_size, keys + shared, values + shared, n_kv, t + 1, h->head_size,
                   y + head * h->head_size);
        }
        multiply(wo, e, n_q, y, m);
        for (size_t i = 0; i < e; i++)
            x[t * e + i] += m[i];
    }
    double *const all[] = {norm, wq, wk, wv, wo, factors, keys, values, q, y, m};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void run_feed_forward(const nb_model *model, uint32_t layer, double *x, size_t n)
{
    const nb_hparams *h = nb_model_hparams(model);
    const size_t e = h->n_embd, f = h->n_ff;
    double *norm = block_matrix(model, layer, "ffn_norm"), *gate = block_matrix(model, layer, "ffn_gate");
    double *up = block_matrix(model, layer, "ffn_up"), *down = block_matrix(model, layer, "ffn_down");
    double *m = numbers(e), *a = numbers(f), *b = numbers(f);
    for (size_t t = 0; t < n; t++) {
        rms_norm(x + t * e, norm, e, (double)h->norm_eps, m);
        multiply(gate, f, e, m, a);
        multiply(up, f, e, m, b);
        for (size_t i = 0; i < f; i++)
            a[i] = a[i] / (1.0 + exp(-a[i])) * b[i];
        multiply(down, e, f, a, m);
        for (size_t i = 0; i < e; i++)
            x[t * e + i] += m[i];
    }
    double *const all[] = {norm, gate, up, down, m, a, b};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static double *plain_logits(const nb_model *model, const int32_t *tokens, size_t n)
{
    const nb_hparams *h = nb_model_hparams(model);
    const size_t e = h->n_embd;
    double *embeddings = matrix(model, "token_embd"),
           *head = matrix(model, h->tied ? "token_embd" : "output");
    double *norm = matrix(model, "output_norm"), *x = numbers(n * e), *m = numbers(e),
           *logits = numbers(n * h->n_vocab);
    for (size_t t = 0; t < n; t++)
        memcpy(x + t * e, embeddings + (size_t)tokens[t] * e, e * sizeof *x);
    for (uint32_t layer = 0; layer < h->n_layers; layer++) {
        run_attention(model, layer, x, n);
        run_feed_forward(model, layer, x, n);
    }
    for (size_t t = 0; t < n; t++) {
        rms_norm(x + t * e, norm, e, (double)h->norm_eps, m);
        multiply(head, h->n_vocab, e, m, logits + t * h->n_vocab);
    }
    free(embeddings);
    free(head);
    free(norm);
    free(x);
    free(m);
    return logits;
}

/* ---- comparing ---- */

static void compare(const char *label, nb_model *model, double tolerance)
{
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    const size_t n = N_TOKENS * nb_model_hparams(model)->n_vocab;
    double *want = plain_logits(model, tokens, N_TOKENS), largest = 0.0;
    float *got = test_logits(model, NB_WEIGHTS_CURRENT, tokens, N_TOKENS);
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(want[i]));
        if (!(fabs(want[i] - (double)got[i]) < tolerance))
            fail_msg("%s: logit %zu of token %zu is %.6f, not %.6f", label, i % (n / N_TOKENS),
                     i / (n / N_TOKENS), (double)got[i], want[i]);
    }
    assert_true(largest > 1.0); /* the models are not degenerate */
    free(want);
    free(got);
}

static void test_f32_models(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < n_test_shapes; i++) {
        nb_model *model = test_model(context, &test_shapes[i].shape, &nb_format_f32);
        compare(test_shapes[i].label, model, 1e-4);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* Stored otherwise, with f32 activations: the same function of other numbers. int8 activations
 * lose a little. */
static void test_quantized_models(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < n_test_shapes; i++) {
        nb_model *model = test_model(context, &test_shapes[i].shape, &nb_format_bf16);
        compare(test_shapes[i].label, model, 1e-4);
        test_quantize(model, "all,embeddings,head", "int4 zeropoint/group:32, f32 activations");
        compare(test_shapes[i].label, model, 1e-4);
        test_quantize(model, "all,embeddings,head", "f8_e4m3");
        compare(test_shapes[i].label, model, 1e-4);
        test_quantize(model, "all,embeddings,head", "int8 absmax/channel");
        compare(test_shapes[i].label, model, 0.3);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_models),
        cmocka_unit_test(test_quantized_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
