/* Every architecture against a forward pass written from the papers' formulas in double precision, without
 * the library's code: it reads the stored numbers and nothing else. And what holds for llama holds for all:
 * the same bits on every level, for every split of a prompt and any number of threads; saving, transforming
 * and quantizing. */
#include "files/gguf.h"
#include "model/architecture.h"
#include "tests/support/shapes.h"
#include "tests/support/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_TOKENS = 37 };

/* ---- what the papers say ---- */

typedef enum rope_kind { NO_ROPE, ADJACENT, HALVES } rope_kind;
typedef enum unit_kind { SWIGLU, GEGLU, GELU } unit_kind;
typedef enum window_kind { NOWHERE, EVERYWHERE, EVERY_SECOND } window_kind;

typedef struct paper {
    const char *architecture;
    bool layer_norm;
    rope_kind rope;
    unit_kind unit;
    window_kind window;
    bool scales_embeddings;
} paper;

static const paper papers[] = {
    {"llama", false, ADJACENT, SWIGLU, EVERYWHERE, false}, {"qwen2", false, HALVES, SWIGLU, NOWHERE, false},
    {"qwen3", false, HALVES, SWIGLU, NOWHERE, false},      {"gemma", false, HALVES, GEGLU, NOWHERE, true},
    {"gemma2", false, HALVES, GEGLU, EVERY_SECOND, true},  {"phi3", false, HALVES, SWIGLU, EVERYWHERE, false},
    {"gpt2", true, NO_ROPE, GELU, NOWHERE, false},
};

static const test_shape shapes[] = {
    {"llama, a window",
     {.architecture = "llama",
      .n_layers = 2,
      .n_embd = 64,
      .n_heads = 4,
      .n_kv_heads = 2,
      .n_ff = 96,
      .n_vocab = 270,
      .n_ctx = 64,
      .n_window = 7,
      .seed = 20}},
    {"qwen2, biases",
     {.architecture = "qwen2",
      .n_layers = 2,
      .n_embd = 96,
      .n_heads = 6,
      .n_kv_heads = 2,
      .n_ff = 150,
      .n_vocab = 300,
      .n_ctx = 64,
      .tied = true,
      .seed = 21}},
    {"qwen3, norms of heads that are wider than the embedding",
     {.architecture = "qwen3",
      .n_layers = 2,
      .n_embd = 64,
      .n_heads = 4,
      .n_kv_heads = 2,
      .head_size = 40,
      .n_ff = 100,
      .n_vocab = 280,
      .n_ctx = 64,
      .seed = 22}},
    {"gemma, one KV head",
     {.architecture = "gemma",
      .n_layers = 2,
      .n_embd = 64,
      .n_heads = 4,
      .n_kv_heads = 1,
      .head_size = 32,
      .n_ff = 130,
      .n_vocab = 290,
      .n_ctx = 64,
      .tied = true,
      .seed = 23}},
    {"phi3, a window, part of each head turned",
     {.architecture = "phi3",
      .n_layers = 2,
      .n_embd = 96,
      .n_heads = 3,
      .n_kv_heads = 3,
      .n_ff = 110,
      .n_vocab = 270,
      .n_ctx = 64,
      .n_rot = 24,
      .n_window = 19,
      .seed = 24}},
    {"phi3, long and short factors",
     {.architecture = "phi3",
      .n_layers = 2,
      .n_embd = 64,
      .n_heads = 4,
      .n_kv_heads = 2,
      .n_ff = 72,
      .n_vocab = 261,
      .n_ctx = 96,
      .rope_factors = true,
      .n_ctx_short = 48,
      .rope_magnitude = 1.1875,
      .seed = 25}},
    {"gpt2",
     {.architecture = "gpt2",
      .n_layers = 3,
      .n_embd = 60,
      .n_heads = 5,
      .n_kv_heads = 5,
      .n_ff = 240,
      .n_vocab = 275,
      .n_ctx = 50,
      .tied = true,
      .seed = 26}},
    {"gemma2, caps and a window in every second block",
     {.architecture = "gemma2",
      .n_layers = 3,
      .n_embd = 48,
      .n_heads = 4,
      .n_kv_heads = 2,
      .head_size = 16,
      .n_ff = 100,
      .n_vocab = 300,
      .n_ctx = 64,
      .n_window = 9,
      .attn_softcap = 1.5f,
      .logit_softcap = 3.0f,
      .tied = true,
      .seed = 27}},
    {"gemma2 of 46 blocks",
     {.architecture = "gemma2",
      .n_layers = 46,
      .n_embd = 16,
      .n_heads = 2,
      .n_kv_heads = 1,
      .head_size = 4,
      .n_ff = 24,
      .n_vocab = 260,
      .n_ctx = 40,
      .n_window = 40,
      .attn_softcap = 50.0f,
      .logit_softcap = 30.0f,
      .tied = true,
      .seed = 28}},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static const paper *paper_of(const nb_model *model)
{
    for (size_t i = 0; i < sizeof papers / sizeof papers[0]; i++)
        if (strcmp(papers[i].architecture, nb_model_hparams(model)->architecture) == 0)
            return &papers[i];
    fail_msg("no formulas for architecture %s", nb_model_hparams(model)->architecture);
    return NULL;
}

/* ---- plain mathematics ---- */

static double *numbers(size_t n)
{
    double *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

/* A tensor as doubles, row by row; NULL if the model has none of that name. In a block `layer`, else -1. */
static double *matrix(const nb_model *model, int layer, const char *name)
{
    char full[64];
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    const long index = nb_model_find_tensor(model, full);
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

/* y = W x + b, rows [first, first + rows) of a tensor and of its bias if there is one. */
static void linear(const nb_model *model, int layer, const char *name, size_t first, size_t rows, size_t cols,
                   const double *x, double *y)
{
    char bias_name[64];
    snprintf(bias_name, sizeof bias_name, "%s.bias", name);
    double *w = matrix(model, layer, name), *b = matrix(model, layer, bias_name);
    assert_non_null(w);
    for (size_t r = 0; r < rows; r++) {
        y[r] = b ? b[first + r] : 0.0;
        for (size_t c = 0; c < cols; c++)
            y[r] += w[(first + r) * cols + c] * x[c];
    }
    free(w);
    free(b);
}

/* RMSNorm or LayerNorm by the named tensor; without such a tensor y is x. */
static void norm(const nb_model *model, int layer, const char *name, bool layer_norm, const double *x,
                 size_t n, double *y)
{
    char bias_name[64];
    snprintf(bias_name, sizeof bias_name, "%s.bias", name);
    double *g = matrix(model, layer, name), *b = matrix(model, layer, bias_name);
    const double eps = (double)nb_model_hparams(model)->norm_eps;
    double mean = 0.0, variance = 0.0;
    assert_true((b != NULL) == layer_norm);
    for (size_t i = 0; layer_norm && i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = !g ? x[i] : g[i] * (x[i] - mean) / sqrt(variance + eps) + (b ? b[i] : 0.0);
    free(g);
    free(b);
}

static double gelu(double x)
{
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static double capped(double x, double cap)
{
    return cap > 0.0 ? cap * tanh(x / cap) : x;
}

/* One head, turned by its position. */
static void rotate(const nb_hparams *h, rope_kind rope, const double *factors, double position, double *head)
{
    const size_t half = h->n_rot / 2;
    const double magnitude = h->rope_magnitude > 0 ? h->rope_magnitude : 1.0;
    for (size_t i = 0; rope != NO_ROPE && i < half; i++) {
        double *a = head + (rope == HALVES ? i : 2 * i), *b = rope == HALVES ? a + half : a + 1;
        const double angle =
            position / pow(h->rope_base, 2.0 * (double)i / (double)h->n_rot) / (factors ? factors[i] : 1.0);
        const double x = *a, y = *b;
        *a = magnitude * (x * cos(angle) - y * sin(angle));
        *b = magnitude * (x * sin(angle) + y * cos(angle));
    }
}

/* One query head over positions [first, n). */
static void attend(const nb_hparams *h, double scale, const double *q, const double *keys,
                   const double *values, size_t stride, size_t first, size_t n, double *out)
{
    double *p = numbers(n), sum = 0.0, max = -INFINITY;
    for (size_t j = first; j < n; j++) {
        for (size_t d = 0; d < h->head_size; d++)
            p[j] += q[d] * keys[j * stride + d];
        p[j] = capped(p[j] * scale, (double)h->attn_softcap);
        max = fmax(max, p[j]);
    }
    for (size_t j = first; j < n; j++)
        sum += p[j] = exp(p[j] - max);
    for (size_t d = 0; d < h->head_size; d++) {
        out[d] = 0.0;
        for (size_t j = first; j < n; j++)
            out[d] += p[j] / sum * values[j * stride + d];
    }
    free(p);
}

static bool has(const nb_model *model, const char *name)
{
    return nb_model_find_tensor(model, name) >= 0;
}

/* q, k and v of one token, the heads normed and turned. */
static void project(const nb_model *model, int layer, const double *factors, size_t t, const double *m,
                    double *q, double *k, double *v)
{
    const nb_hparams *h = nb_model_hparams(model);
    const size_t hd = h->head_size, n_q = h->n_heads * hd, n_kv = h->n_kv_heads * hd, e = h->n_embd;
    const bool fused = has(model, "blk.0.attn_qkv");
    linear(model, layer, fused ? "attn_qkv" : "attn_q", 0, n_q, e, m, q);
    linear(model, layer, fused ? "attn_qkv" : "attn_k", fused ? n_q : 0, n_kv, e, m, k);
    linear(model, layer, fused ? "attn_qkv" : "attn_v", fused ? n_q + n_kv : 0, n_kv, e, m, v);
    for (size_t head = 0; head < h->n_heads + h->n_kv_heads; head++) {
        double *x = head < h->n_heads ? q + head * hd : k + (head - h->n_heads) * hd;
        const char *name = head < h->n_heads ? "attn_q_norm" : "attn_k_norm";
        if (has(model, "blk.0.attn_q_norm"))
            norm(model, layer, name, false, x, hd, x);
        rotate(h, paper_of(model)->rope, factors, (double)t, x);
    }
}

static void add_to(double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void run_attention(const nb_model *model, int layer, const double *factors, double *x, size_t n)
{
    const nb_hparams *h = nb_model_hparams(model);
    const paper *paper = paper_of(model);
    const size_t hd = h->head_size, n_q = h->n_heads * hd, n_kv = h->n_kv_heads * hd, e = h->n_embd;
    const bool narrow = paper->window == EVERYWHERE || (paper->window == EVERY_SECOND && layer % 2 == 0);
    /* Gemma 2's report divides by the head size, but for 27B by n_embd / n_heads. */
    const bool is_27b = strcmp(paper->architecture, "gemma2") == 0 && h->n_layers == 46;
    const double scale = 1.0 / sqrt(is_27b ? (double)(e / h->n_heads) : (double)hd);
    double *keys = numbers(n * n_kv), *values = numbers(n * n_kv), *q = numbers(n_q), *y = numbers(n_q),
           *m = numbers(e);
    for (size_t t = 0; t < n; t++) {
        const size_t first = narrow && h->n_window && t + 1 > h->n_window ? t + 1 - h->n_window : 0;
        norm(model, layer, "attn_norm", paper->layer_norm, x + t * e, e, m);
        project(model, layer, factors, t, m, q, keys + t * n_kv, values + t * n_kv);
        for (size_t head = 0; head < h->n_heads; head++) {
            const size_t shared = head * h->n_kv_heads / h->n_heads * hd;
            attend(h, scale, q + head * hd, keys + shared, values + shared, n_kv, first, t + 1,
                   y + head * hd);
        }
        linear(model, layer, "attn_output", 0, e, n_q, y, m);
        norm(model, layer, "post_attention_norm", false, m, e, m);
        add_to(x + t * e, m, e);
    }
    double *const all[] = {keys, values, q, y, m};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void run_feed_forward(const nb_model *model, int layer, double *x, size_t n)
{
    const nb_hparams *h = nb_model_hparams(model);
    const paper *paper = paper_of(model);
    const size_t e = h->n_embd, f = h->n_ff;
    const bool apart = has(model, "blk.0.ffn_gate");
    double *m = numbers(e), *gate = numbers(f), *up = numbers(f);
    for (size_t t = 0; t < n; t++) {
        norm(model, layer, "ffn_norm", paper->layer_norm, x + t * e, e, m);
        linear(model, layer, apart ? "ffn_gate" : "ffn_up", 0, f, e, m, gate);
        if (paper->unit != GELU)
            linear(model, layer, "ffn_up", apart ? 0 : f, f, e, m, up);
        for (size_t i = 0; i < f; i++)
            gate[i] = paper->unit == SWIGLU  ? gate[i] / (1.0 + exp(-gate[i])) * up[i]
                      : paper->unit == GEGLU ? gelu(gate[i]) * up[i]
                                             : gelu(gate[i]);
        linear(model, layer, "ffn_down", 0, e, f, gate, m);
        norm(model, layer, "post_ffw_norm", false, m, e, m);
        add_to(x + t * e, m, e);
    }
    free(m);
    free(gate);
    free(up);
}

static double *plain_logits(const nb_model *model, const int32_t *tokens, size_t n, bool is_long)
{
    const nb_hparams *h = nb_model_hparams(model);
    const paper *paper = paper_of(model);
    const size_t e = h->n_embd;
    double *embeddings = matrix(model, -1, "token_embd"), *positions = matrix(model, -1, "position_embd"),
           *factors = matrix(model, -1, is_long ? "rope_factors_long" : "rope_factors_short"),
           *x = numbers(n * e), *m = numbers(e), *logits = numbers(n * h->n_vocab);
    for (size_t i = 0; i < n * e; i++) {
        const size_t t = i / e, c = i % e;
        x[i] = embeddings[(size_t)tokens[t] * e + c] * (paper->scales_embeddings ? sqrt((double)e) : 1.0);
        x[i] += positions ? positions[t * e + c] : 0.0;
    }
    for (uint32_t layer = 0; layer < h->n_layers; layer++) {
        run_attention(model, (int)layer, factors, x, n);
        run_feed_forward(model, (int)layer, x, n);
    }
    for (size_t t = 0; t < n; t++) {
        norm(model, -1, "output_norm", paper->layer_norm, x + t * e, e, m);
        linear(model, -1, h->tied ? "token_embd" : "output", 0, h->n_vocab, e, m, logits + t * h->n_vocab);
    }
    for (size_t i = 0; i < n * h->n_vocab; i++)
        logits[i] = capped(logits[i], (double)h->logit_softcap);
    double *const all[] = {embeddings, positions, factors, x, m};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    return logits;
}

/* ---- comparing ---- */

/* All logits from a session of n_ctx positions (0: the model's), the tokens fed in pieces. */
static float *run(nb_model *model, size_t n_ctx, const int32_t *tokens, size_t piece)
{
    nb_error error = {""};
    nb_session *session = NULL;
    const size_t n_vocab = nb_model_hparams(model)->n_vocab;
    float *all = nb_calloc(N_TOKENS * n_vocab, sizeof *all);
    if (nb_session_create(model, NB_WEIGHTS_CURRENT, n_ctx, &session, &error) != NB_OK)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < N_TOKENS; i += piece) {
        const size_t count = nb_min_size(piece, N_TOKENS - i);
        const float *logits = NULL;
        assert_int_equal(nb_session_eval(session, tokens + i, count, NB_LOGITS_ALL, &logits, &error), NB_OK);
        memcpy(all + i * n_vocab, logits, count * n_vocab * sizeof *all);
    }
    nb_session_destroy(&session);
    return all;
}

static void compare(const char *label, nb_model *model, size_t n_ctx, double tolerance)
{
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    const nb_hparams *h = nb_model_hparams(model);
    const size_t n = N_TOKENS * h->n_vocab;
    const bool is_long = (n_ctx ? n_ctx : h->n_ctx) > h->n_ctx_short;
    double *want = plain_logits(model, tokens, N_TOKENS, is_long), largest = 0.0;
    float *got = run(model, n_ctx, tokens, N_TOKENS);
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

/* The keys of the file brought what the shape says. */
static void assert_shape(const nb_model *model, const nb_synthetic *shape)
{
    const nb_hparams *h = nb_model_hparams(model);
    assert_string_equal(h->architecture, shape->architecture);
    assert_true(h->n_window == shape->n_window && h->n_ctx_short == shape->n_ctx_short);
    assert_true(shape->n_rot == 0 || h->n_rot == shape->n_rot);
    assert_true(h->attn_softcap == shape->attn_softcap && h->logit_softcap == shape->logit_softcap);
    assert_true(h->rope_magnitude == shape->rope_magnitude && h->norm_eps == 1e-5f);
}

static void test_formulas(void **state)
{
    (void)state;
    nb_context *context = test_context(NULL, 2);
    for (size_t i = 0; i < N_SHAPES; i++) {
        nb_model *model = test_model(context, &shapes[i].shape, &nb_format_f32);
        assert_shape(model, &shapes[i].shape);
        compare(shapes[i].label, model, 0, 1e-4);
        if (shapes[i].shape.n_ctx_short)
            compare("short factors", model, shapes[i].shape.n_ctx_short, 1e-4);
        test_quantize(model, "all,embeddings,head", "int4 zeropoint/group:32, f32 activations");
        compare(shapes[i].label, model, 0, 1e-4);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

static void test_every_architecture_is_tested(void **state)
{
    (void)state;
    for (size_t a = 0; a < nb_architecture_count(); a++) {
        bool found = false;
        for (size_t i = 0; i < N_SHAPES; i++)
            found = found || strcmp(shapes[i].shape.architecture, nb_architecture_at(a)->name) == 0;
        if (!found)
            fail_msg("no shape of architecture %s", nb_architecture_at(a)->name);
    }
}

static void assert_same(const float *want, float *got, size_t n, const char *label, const char *how)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&want[i], &got[i], sizeof *want) != 0)
            fail_msg("%s, %s: number %zu is %a, not %a", label, how, i, (double)got[i], (double)want[i]);
    free(got);
}

static void run_everything(const char *level, unsigned n_threads, const test_shape *test, float *want[2])
{
    nb_context *context = test_context(level, n_threads);
    nb_model *model = test_model(context, &test->shape, &nb_format_bf16);
    const size_t n = N_TOKENS * nb_model_hparams(model)->n_vocab;
    int32_t tokens[N_TOKENS];
    test_tokens(model, tokens, N_TOKENS);
    for (int stored = 0; stored < 2; stored++) {
        if (stored == 1)
            test_quantize(model, "all,embeddings,head", "int4 absmax/group:32");
        if (!want[stored])
            want[stored] = run(model, 0, tokens, N_TOKENS);
        assert_same(want[stored], run(model, 0, tokens, N_TOKENS), n, test->label, "whole");
        assert_same(want[stored], run(model, 0, tokens, 1), n, test->label, "one by one");
        assert_same(want[stored], run(model, 0, tokens, 18), n, test->label, "by eighteens");
        nb_error error;
        nb_session *session = NULL;
        const float *logits = NULL;
        assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, &error), NB_OK);
        assert_int_equal(nb_session_eval(session, tokens, 20, NB_LOGITS_NONE, &logits, &error), NB_OK);
        assert_int_equal(
            nb_session_eval(session, tokens + 20, N_TOKENS - 20, NB_LOGITS_LAST, &logits, &error), NB_OK);
        const size_t n_vocab = n / N_TOKENS;
        for (size_t i = 0; i < n_vocab; i++)
            assert_memory_equal(&logits[i], &want[stored][n - n_vocab + i], sizeof *logits);
        nb_session_destroy(&session);
    }
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

static void test_bits_are_the_same_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        float *want[2] = {NULL, NULL};
        run_everything("scalar", 1, &shapes[i], want);
        run_everything(NULL, 3, &shapes[i], want);
        for (size_t level = 1; level < nb_kernels_count(); level++)
            if (test_level(level))
                run_everything(test_level(level), 2, &shapes[i], want);
        free(want[0]);
        free(want[1]);
    }
}

/* The names of the keys that llama.cpp reads and writes. */
static void test_keys_have_their_names(void **state)
{
    (void)state;
    static const struct {
        size_t shape;
        const char *key;
        bool is_there;
    } keys[] = {
        {0, "llama.attention.sliding_window", true},  {1, "qwen2.attention.layer_norm_rms_epsilon", true},
        {2, "qwen3.attention.key_length", true},      {4, "phi3.attention.sliding_window", true},
        {4, "phi3.rope.dimension_count", true},       {5, "phi3.rope.scaling.original_context_length", true},
        {5, "phi3.rope.scaling.attn_factor", true},   {6, "gpt2.attention.layer_norm_epsilon", true},
        {6, "gpt2.rope.dimension_count", false},      {6, "gpt2.attention.layer_norm_rms_epsilon", false},
        {7, "gemma2.attn_logit_softcapping", true},   {7, "gemma2.final_logit_softcapping", true},
        {7, "gemma2.attention.sliding_window", true}, {1, "qwen2.attention.sliding_window", false},
        {3, "gemma.final_logit_softcapping", false},
    };
    nb_error error = {""};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        nb_gguf *gguf = NULL;
        nb_synthetic shape = shapes[keys[i].shape].shape;
        shape.format = &nb_format_f32;
        const char *path = temporary_path("keys.gguf");
        assert_int_equal(nb_synthetic_write(path, &shape, &error), NB_OK);
        assert_int_equal(nb_gguf_open(path, &gguf, &error), NB_OK);
        if ((nb_gguf_find(gguf, keys[i].key) != NULL) != keys[i].is_there)
            fail_msg("key %s is %s", keys[i].key, keys[i].is_there ? "missing" : "there");
        nb_gguf_close(&gguf);
        unlink(path);
    }
}

/* A model that is saved, quantized or not, loads as what it was. */
static void test_saved_and_loaded(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    for (size_t i = 0; i < N_SHAPES; i++) {
        nb_model *model = test_model(context, &shapes[i].shape, &nb_format_f16), *loaded = NULL;
        for (int stored = 0; stored < 2; stored++) {
            const char *path = temporary_path("saved.gguf");
            if (stored == 1)
                test_quantize(model, "all", "int8 absmax/channel");
            if (nb_model_save(model, path, &error) != NB_OK ||
                nb_model_load(context, path, NULL, &loaded, &error) != NB_OK)
                fail_msg("%s: %s", shapes[i].label, error.text);
            unlink(path);
            const nb_hparams *a = nb_model_hparams(model), *b = nb_model_hparams(loaded);
            assert_string_equal(a->architecture, b->architecture);
            assert_true(a->n_window == b->n_window && a->n_rot == b->n_rot &&
                        a->n_ctx_short == b->n_ctx_short);
            int32_t tokens[N_TOKENS];
            test_tokens(model, tokens, N_TOKENS);
            float *want = run(model, 0, tokens, N_TOKENS);
            assert_same(want, run(loaded, 0, tokens, N_TOKENS), N_TOKENS * a->n_vocab, shapes[i].label,
                        "loaded again");
            free(want);
            nb_model_destroy(&loaded);
        }
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* Outliers change the numbers and not the function: gains are powers of two, so not a bit of it. */
static void test_transforms_leave_the_function(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_context *context = test_context(NULL, 1);
    for (size_t i = 0; i < N_SHAPES; i++) {
        nb_model *model = test_model(context, &shapes[i].shape, &nb_format_f32);
        const size_t n = N_TOKENS * nb_model_hparams(model)->n_vocab;
        int32_t tokens[N_TOKENS];
        test_tokens(model, tokens, N_TOKENS);
        float *want = run(model, 0, tokens, N_TOKENS);
        const nb_outlier_options options = {.n_channels = 12, .gain = 64, .seed = 3};
        if (nb_model_inject_outliers(model, &options, NULL, &error) != NB_OK)
            fail_msg("%s: %s", shapes[i].label, error.text);
        assert_same(want, run(model, 0, tokens, N_TOKENS), n, shapes[i].label, "with outliers");
        free(want);
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

static void test_fused_tensors_keep_their_names(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_scope scope;
    nb_context *context = test_context(NULL, 1);
    for (size_t i = 0; i < N_SHAPES; i++) {
        nb_model *model = test_model(context, &shapes[i].shape, &nb_format_f32);
        const bool fused = has(model, "blk.0.attn_qkv"), gated = has(model, "blk.0.ffn_gate");
        const size_t n_layers = shapes[i].shape.n_layers;
        assert_int_equal(nb_scope_resolve(model, "attention", false, &scope, &error), NB_OK);
        assert_int_equal(scope.count, n_layers * (fused ? 2 : 4));
        nb_scope_free(&scope);
        assert_int_equal(nb_scope_resolve(model, "mlp", false, &scope, &error), NB_OK);
        assert_int_equal(scope.count, n_layers * (gated ? 3 : 2));
        nb_scope_free(&scope);
        if (fused) {
            test_quantize(model, "blk.0.attn_qkv", "int8 absmax/channel");
            const nb_tensor *t =
                nb_model_tensor(model, (size_t)nb_model_find_tensor(model, "blk.0.attn_qkv.weight"));
            assert_true(t->changed && t->quantizer.format->kind == NB_FORMAT_INT);
        }
        nb_model_destroy(&model);
    }
    nb_context_destroy(&context);
}

/* Learned positions end; RoPE's go on. */
static void test_learned_positions_end(void **state)
{
    (void)state;
    nb_error error = {""};
    nb_session *session = NULL;
    nb_context *context = test_context(NULL, 1);
    const test_shape *gpt2 = &shapes[6], *qwen2 = &shapes[1];
    nb_model *model = test_model(context, &gpt2->shape, &nb_format_f32);
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, gpt2->shape.n_ctx + 1, &session, &error),
                     NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "learned 50 positions"));
    nb_model_destroy(&model);
    model = test_model(context, &qwen2->shape, &nb_format_f32);
    assert_int_equal(nb_session_create(model, NB_WEIGHTS_CURRENT, 2 * qwen2->shape.n_ctx, &session, &error),
                     NB_OK);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_every_architecture_is_tested),
        cmocka_unit_test(test_bits_are_the_same_everywhere),
        cmocka_unit_test(test_keys_have_their_names),
        cmocka_unit_test(test_saved_and_loaded),
        cmocka_unit_test(test_transforms_leave_the_function),
        cmocka_unit_test(test_fused_tensors_keep_their_names),
        cmocka_unit_test(test_learned_positions_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
