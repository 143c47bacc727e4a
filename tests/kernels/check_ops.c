/* The check of the kernels that are no matmul, their times, and the kernels that are broken on purpose. */
#include "check.h"

#include "base/memory.h"
#include "math/math.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const size_t lengths[] = {0,  1,  2,  3,  5,  7,  8,  9,   15,  16,  17,  23,
                                 31, 32, 33, 48, 63, 64, 65, 100, 128, 172, 257, 1000};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

static float *filled(nb_check *check, size_t n, nb_fill fill)
{
    float *x = nb_check_input(check, n * sizeof *x);
    nb_check_fill(check, x, n, fill);
    return x;
}

/* An output that is an input too. */
static nb_check_output filled_output(nb_check *check, size_t n, nb_fill fill)
{
    const nb_check_output output = nb_check_output_create(check, n * sizeof(float));
    nb_check_fill(check, output.want, n, fill);
    memcpy(output.got, output.want, n * sizeof(float));
    return output;
}

static void check_rms_norm(nb_check *check)
{
    if (!nb_check_begin(check, "rms_norm"))
        return;
    for (size_t i = 0; i < 4 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const size_t n = lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        const float eps = nb_check_below(check, 4) ? 1e-5f : 0.0f;
        nb_check_case(check, "n %zu, fill %d, eps %g", n, fill, (double)eps);
        const float *weight = filled(check, n, i % 3 ? NB_FILL_PLAIN : fill);
        if (i % 2) { /* y is x */
            const nb_check_output y = filled_output(check, n, fill);
            check->reference->rms_norm(y.want, weight, n, eps, y.want);
            check->level->rms_norm(y.got, weight, n, eps, y.got);
            nb_check_same(check, &y);
            continue;
        }
        const float *x = filled(check, n, fill);
        const nb_check_output y = nb_check_output_create(check, n * sizeof(float));
        check->reference->rms_norm(x, weight, n, eps, y.want);
        check->level->rms_norm(x, weight, n, eps, y.got);
        nb_check_same(check, &y);
    }
    nb_check_end(check);
}

static void check_layer_norm(nb_check *check)
{
    if (!nb_check_begin(check, "layer_norm"))
        return;
    for (size_t i = 0; i < 4 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const size_t n = lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        const float eps = nb_check_below(check, 4) ? 1e-5f : 0.0f;
        nb_check_case(check, "n %zu, fill %d, eps %g", n, fill, (double)eps);
        const float *weight = filled(check, n, i % 3 ? NB_FILL_PLAIN : fill);
        const float *bias = filled(check, n, i % 5 ? NB_FILL_PLAIN : fill);
        if (i % 2) { /* y is x */
            const nb_check_output y = filled_output(check, n, fill);
            check->reference->layer_norm(y.want, weight, bias, n, eps, y.want);
            check->level->layer_norm(y.got, weight, bias, n, eps, y.got);
            nb_check_same(check, &y);
            continue;
        }
        const float *x = filled(check, n, fill);
        const nb_check_output y = nb_check_output_create(check, n * sizeof(float));
        check->reference->layer_norm(x, weight, bias, n, eps, y.want);
        check->level->layer_norm(x, weight, bias, n, eps, y.got);
        nb_check_same(check, &y);
    }
    nb_check_end(check);
}

static void check_rope(nb_check *check, bool halves)
{
    static const size_t head_sizes[] = {2, 4, 6, 8, 16, 24, 40, 48, 64, 80, 100, 128};
    if (!nb_check_begin(check, halves ? "rope_halves" : "rope_adjacent"))
        return;
    for (size_t i = 0; i < 480; i++) {
        const size_t head_size = head_sizes[i % 12], n_heads = 1 + nb_check_below(check, 5);
        const size_t n_rot = i % 3 ? head_size : nb_check_below(check, head_size + 1);
        const nb_fill fill = nb_check_any_fill(check);
        nb_check_case(check, "%zu heads of %zu, %zu turned, fill %d", n_heads, head_size, n_rot, fill);
        const float *cos_sin = filled(check, n_rot / 2 * 2, i % 5 ? NB_FILL_PLAIN : fill);
        const nb_check_output x = filled_output(check, n_heads * head_size, fill);
        const nb_kernels *reference = check->reference, *level = check->level;
        (halves ? reference->rope_halves : reference->rope_adjacent)(x.want, cos_sin, n_heads, head_size,
                                                                     n_rot);
        (halves ? level->rope_halves : level->rope_adjacent)(x.got, cos_sin, n_heads, head_size, n_rot);
        nb_check_same(check, &x);
    }
    nb_check_end(check);
}

static void check_rope_adjacent(nb_check *check)
{
    check_rope(check, false);
}

static void check_rope_halves(nb_check *check)
{
    check_rope(check, true);
}

static void check_add(nb_check *check)
{
    if (!nb_check_begin(check, "add"))
        return;
    for (size_t i = 0; i < 2 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const size_t n = lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        nb_check_case(check, "n %zu, fill %d", n, fill);
        const float *y = filled(check, n, i % 3 ? fill : NB_FILL_PLAIN);
        const nb_check_output x = filled_output(check, n, fill);
        check->reference->add(x.want, y, n);
        check->level->add(x.got, y, n);
        nb_check_same(check, &x);
    }
    nb_check_end(check);
}

static void check_scale(nb_check *check)
{
    if (!nb_check_begin(check, "scale"))
        return;
    for (size_t i = 0; i < 2 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const size_t n = lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        const float by = *filled(check, 1, nb_check_any_fill(check));
        nb_check_case(check, "n %zu, fill %d, by %a", n, fill, (double)by);
        const nb_check_output x = filled_output(check, n, fill);
        check->reference->scale(x.want, by, n);
        check->level->scale(x.got, by, n);
        nb_check_same(check, &x);
    }
    nb_check_end(check);
}

/* All sorts of bits, and where tanh bends, densely. */
static void check_softcap(nb_check *check)
{
    static const float caps[] = {50.0f, 30.0f, 1.0f, 0.01f};
    if (!nb_check_begin(check, "softcap"))
        return;
    for (size_t i = 0; i < 128 + 4 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const bool dense = i < 128;
        const size_t n = dense ? 4096 : lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        const float cap = caps[nb_check_below(check, 4)];
        nb_check_case(check, "n %zu, %s %d, cap %g", n, dense ? "chunk" : "fill", dense ? (int)i : (int)fill,
                      (double)cap);
        const nb_check_output x = filled_output(check, n, fill);
        for (size_t j = 0; dense && j < n; j++)
            ((float *)x.want)[j] = cap * (-10.0f + 20.0f * (float)nb_random_f64(&check->random));
        memcpy(x.got, x.want, n * sizeof(float));
        check->reference->softcap(x.want, cap, n);
        check->level->softcap(x.got, cap, n);
        nb_check_same(check, &x);
    }
    nb_check_end(check);
}

static void check_gelu(nb_check *check)
{
    if (!nb_check_begin(check, "gelu"))
        return;
    for (size_t i = 0; i < 128 + 4 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const bool dense = i < 128;
        const size_t n = dense ? 4096 : lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        nb_check_case(check, "n %zu, %s %d", n, dense ? "chunk" : "fill", dense ? (int)i : (int)fill);
        float *x = filled(check, n, fill);
        for (size_t j = 0; dense && j < n; j++)
            x[j] = -15.0f + 30.0f * (float)nb_random_f64(&check->random);
        const nb_check_output y = nb_check_output_create(check, n * sizeof(float));
        check->reference->gelu(x, n, y.want);
        check->level->gelu(x, n, y.got);
        nb_check_same(check, &y);
        memcpy(y.got, x, n * sizeof *x); /* in place */
        check->level->gelu(y.got, n, y.got);
        nb_check_same(check, &y);
    }
    nb_check_end(check);
}

typedef void gated(const float *gate, const float *up, size_t n, float *y);

static void check_gated(nb_check *check, gated *reference, gated *level)
{
    for (size_t i = 0; i < 4 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const size_t n = lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        nb_check_case(check, "n %zu, fill %d", n, fill);
        const float *up = filled(check, n, i % 3 ? NB_FILL_PLAIN : fill);
        if (i % 2) { /* y is gate */
            const nb_check_output y = filled_output(check, n, fill);
            reference(y.want, up, n, y.want);
            level(y.got, up, n, y.got);
            nb_check_same(check, &y);
            continue;
        }
        const float *gate = filled(check, n, fill);
        const nb_check_output y = nb_check_output_create(check, n * sizeof(float));
        reference(gate, up, n, y.want);
        level(gate, up, n, y.got);
        nb_check_same(check, &y);
    }
    nb_check_end(check);
}

static void check_swiglu(nb_check *check)
{
    if (nb_check_begin(check, "swiglu"))
        check_gated(check, check->reference->swiglu, check->level->swiglu);
}

static void check_geglu(nb_check *check)
{
    if (nb_check_begin(check, "geglu"))
        check_gated(check, check->reference->geglu, check->level->geglu);
}

/* All sorts of bits, and the stretch where results are finite, densely. */
static void check_exp(nb_check *check)
{
    if (!nb_check_begin(check, "exp"))
        return;
    for (size_t i = 0; i < 256 + 2 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const bool dense = i < 256;
        const size_t n = dense ? 4096 : lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        nb_check_case(check, "n %zu, %s %d", n, dense ? "chunk" : "fill", dense ? (int)i : (int)fill);
        float *x = filled(check, n, fill);
        for (size_t j = 0; dense && j < n; j++)
            x[j] = -105.0f + 195.0f * (float)nb_random_f64(&check->random);
        const nb_check_output y = nb_check_output_create(check, n * sizeof(float));
        check->reference->exp(x, n, y.want);
        check->level->exp(x, n, y.got);
        nb_check_same(check, &y);
        memcpy(y.got, x, n * sizeof *x); /* in place */
        check->level->exp(y.got, n, y.got);
        nb_check_same(check, &y);
    }
    nb_check_end(check);
}

/* NaN in one place of the vector only, wherever it may be, is seen too. */
static void check_max(nb_check *check)
{
    if (!nb_check_begin(check, "max"))
        return;
    for (size_t i = 0; i < 8 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const size_t n = lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        nb_check_case(check, "n %zu, fill %d", n, fill);
        float *x = filled(check, n, fill);
        if (n > 0 && i % 5 == 0)
            x[nb_check_below(check, n)] = -NAN;
        nb_check_same_f32(check, check->reference->max(x, n), check->level->max(x, n));
    }
    nb_check_end(check);
}

static void check_log_sum_exp(nb_check *check)
{
    if (!nb_check_begin(check, "log_sum_exp"))
        return;
    for (size_t i = 0; i < 4 * N_LENGTHS * NB_FILL_COUNT; i++) {
        const size_t n = i == 0 ? 32000 : lengths[i % N_LENGTHS];
        const nb_fill fill = (nb_fill)(i / N_LENGTHS % NB_FILL_COUNT);
        nb_check_case(check, "n %zu, fill %d", n, fill);
        float *x = filled(check, n, fill);
        for (size_t j = 0; j < n && i % 3 == 0; j++)
            x[j] = x[j] != x[j] ? -INFINITY : x[j]; /* masked logits */
        nb_check_same_f64(check, check->reference->log_sum_exp(x, n), check->level->log_sum_exp(x, n));
    }
    nb_check_end(check);
}

/* What attention works on. Keys beyond the last and before the first that a window leaves, and values'
 * padding, hold NaN: they must not show. */
typedef struct attention_case {
    size_t head_size, n_queries, n_keys, q_stride, out_stride;
    const float *q, *k, *v;
    float cap;
    size_t window;
} attention_case;

static size_t round_up_16(size_t n)
{
    return (n + 15) / 16 * 16;
}

static void set_nan(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = NAN;
}

static nb_fill attention_fill(nb_check *check)
{
    return nb_check_below(check, 3) ? NB_FILL_PLAIN : nb_check_any_fill(check);
}

static void make_attention(nb_check *check, attention_case *a)
{
    const size_t n = a->n_keys + a->n_queries - 1, padded = round_up_16(n),
                 v_stride = round_up_16(a->head_size);
    a->q = filled(check, (a->n_queries - 1) * a->q_stride + a->head_size, attention_fill(check));
    float *k = filled(check, padded * a->head_size, attention_fill(check));
    const size_t unseen = a->n_keys > a->window ? a->n_keys - a->window : 0;
    for (size_t j = 0; j < padded; j++)
        for (size_t d = 0; (j < unseen || j >= n) && d < a->head_size; d++)
            k[(j / 16 * a->head_size + d) * 16 + j % 16] = NAN;
    float *v = filled(check, n * v_stride, attention_fill(check));
    for (size_t j = 0; j < n; j++)
        set_nan(v + j * v_stride + a->head_size, v_stride - a->head_size);
    set_nan(v, unseen * v_stride);
    a->k = k;
    a->v = v;
}

static void run_attention(nb_check *check, const nb_kernels *kernels, const attention_case *a, float *out)
{
    const size_t n_scratch = 16 * round_up_16(a->n_keys + a->n_queries);
    float *scratch = nb_check_input(check, n_scratch * sizeof *scratch);
    kernels->attention(a->q, a->q_stride, a->n_queries, a->n_keys, a->k, a->v, a->head_size,
                       1.0f / sqrtf((float)a->head_size), a->cap, a->window, scratch, out, a->out_stride);
}

/* Half of the cases have neither; windows are of any size up to all keys. */
static void draw_cap_and_window(nb_check *check, attention_case *a)
{
    a->cap = nb_check_below(check, 3) ? 0.0f : 2.0f;
    a->window = nb_check_below(check, 3) ? SIZE_MAX : 1 + nb_check_below(check, a->n_keys + a->n_queries);
}

static void check_attention(nb_check *check)
{
    static const size_t head_sizes[] = {8, 48, 64, 128, 2, 4, 12, 16, 20, 32, 80, 100, 256, 512};
    if (!nb_check_begin(check, "attention"))
        return;
    for (size_t i = 0; i < 840; i++) {
        attention_case a;
        a.head_size = head_sizes[i % (i % 3 ? 4 : 14)];
        a.n_queries = i % 4 ? 1 + nb_check_below(check, 17) : 1;
        a.n_keys = 1 + nb_check_below(check, a.n_queries == 1 && a.head_size < 100 ? 300 : 50);
        a.q_stride = a.head_size * (1 + nb_check_below(check, 3));
        a.out_stride = a.head_size * (1 + nb_check_below(check, 3));
        draw_cap_and_window(check, &a);
        nb_check_case(check, "head size %zu, %zu queries after %zu keys, cap %g, window %zu", a.head_size,
                      a.n_queries, a.n_keys - 1, (double)a.cap, a.window);
        make_attention(check, &a);
        const size_t n_out = (a.n_queries - 1) * a.out_stride + a.head_size;
        const nb_check_output out = nb_check_output_create(check, n_out * sizeof(float));
        run_attention(check, check->reference, &a, out.want);
        run_attention(check, check->level, &a, out.got);
        nb_check_same(check, &out);
    }
    nb_check_end(check);
}

/* A prompt at once and token by token, which the definition promises to be the same. */
static void check_attention_batches(nb_check *check)
{
    if (!nb_check_begin(check, "attention_batches"))
        return;
    for (size_t i = 0; i < 36; i++) {
        const size_t head_size = i % 2 ? 48 : 64, n_queries = 16 + nb_check_below(check, 30);
        attention_case a = {.head_size = head_size,
                            .n_queries = n_queries,
                            .n_keys = 1 + nb_check_below(check, 20),
                            .q_stride = head_size,
                            .out_stride = head_size};
        draw_cap_and_window(check, &a);
        nb_check_case(check, "head size %zu, %zu queries after %zu keys, cap %g, window %zu", head_size,
                      n_queries, a.n_keys - 1, (double)a.cap, a.window);
        make_attention(check, &a);
        const nb_check_output out = nb_check_output_create(check, n_queries * head_size * sizeof(float));
        run_attention(check, check->level, &a, out.want);
        float *scratch = nb_check_input(check, 16 * round_up_16(a.n_keys + n_queries) * sizeof *scratch);
        for (size_t q = 0; q < n_queries; q++)
            check->level->attention(a.q + q * head_size, head_size, 1, a.n_keys + q, a.k, a.v, head_size,
                                    1.0f / sqrtf((float)head_size), a.cap, a.window, scratch,
                                    (float *)out.got + q * head_size, head_size);
        nb_check_same(check, &out);
    }
    nb_check_end(check);
}

void nb_check_ops(nb_check *check)
{
    nb_check_run(check, check_rms_norm);
    nb_check_run(check, check_layer_norm);
    nb_check_run(check, check_rope_adjacent);
    nb_check_run(check, check_rope_halves);
    nb_check_run(check, check_add);
    nb_check_run(check, check_scale);
    nb_check_run(check, check_swiglu);
    nb_check_run(check, check_gelu);
    nb_check_run(check, check_geglu);
    nb_check_run(check, check_softcap);
    nb_check_run(check, check_exp);
    nb_check_run(check, check_max);
    nb_check_run(check, check_log_sum_exp);
    nb_check_run(check, check_attention);
    nb_check_run(check, check_attention_batches);
}

/* ---- broken on purpose ---- */

static void add_without_the_last(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i + 1 < n || (i < n && n < 16); i++)
        x[i] = x[i] + y[i] == x[i] + y[i] ? x[i] + y[i] : NAN;
}

static void add_writing_beyond(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n + (n == 33); i++)
        x[i] = x[i] + y[i] == x[i] + y[i] ? x[i] + y[i] : NAN;
}

static void add_reading_before(float *x, const float *y, size_t n)
{
    volatile float sink = n == 0 ? 0 : y[-1];
    (void)sink;
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] + y[i] == x[i] + y[i] ? x[i] + y[i] : NAN;
}

static void add_with_any_nan(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] + y[i] == x[i] + y[i] ? x[i] + y[i] : -NAN;
}

/* Off by less than one unit of the last place, in some elements. */
static void swiglu_by_reciprocal(const float *gate, const float *up, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = gate[i] * (1.0f / (1.0f + nb_expf(-gate[i]))) * up[i];
        y[i] = y[i] == y[i] ? y[i] : NAN;
    }
}

/* Adds in order instead of in 16 lanes. */
static void rms_norm_in_order(const float *x, const float *weight, size_t n, float eps, float *y)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = fmaf(x[i], x[i], sum);
    const float r = 1.0f / sqrtf(sum / (float)n + eps);
    for (size_t i = 0; i < n; i++) {
        y[i] = weight[i] * (x[i] * r);
        y[i] = y[i] == y[i] ? y[i] : NAN;
    }
}

bool nb_check_catches_broken_ops(nb_check *check)
{
    void (*const adds[])(float *, const float *, size_t) = {add_without_the_last, add_writing_beyond,
                                                            add_reading_before, add_with_any_nan};
    const nb_kernels *whole = check->level;
    bool caught = true;
    for (size_t i = 0; i < 4 + 2; i++) {
        nb_kernels broken = *whole;
        if (i < 4)
            broken.add = adds[i];
        broken.swiglu = i == 4 ? swiglu_by_reciprocal : broken.swiglu;
        broken.rms_norm = i == 5 ? rms_norm_in_order : broken.rms_norm;
        check->level = &broken;
        check->n_bad_kernels = 0;
        nb_check_run(check, i < 4 ? check_add : i == 4 ? check_swiglu : check_rms_norm);
        caught = caught && check->n_bad_kernels == 1;
    }
    check->level = whole; /* and what is whole passes */
    check->n_bad_kernels = 0;
    nb_check_run(check, check_add);
    return caught && check->n_bad_kernels == 0;
}

/* ---- times ---- */

typedef struct bench {
    const nb_kernels *level;
    size_t n;
    float *x, *y, *z, *cos_sin;
    float turn[64]; /* for halves of 32 */
    attention_case attention;
    double sink;
} bench;

static void bench_rms_norm(void *job)
{
    bench *b = job;
    b->level->rms_norm(b->x, b->y, b->n, 1e-5f, b->z);
}

static void bench_layer_norm(void *job)
{
    bench *b = job;
    b->level->layer_norm(b->x, b->y, b->y, b->n, 1e-5f, b->z);
}

static void bench_add(void *job)
{
    bench *b = job;
    b->level->add(b->z, b->y, b->n);
}

static void bench_rope(void *job)
{
    bench *b = job;
    b->level->rope_adjacent(b->x, b->cos_sin, b->n / 64, 64, 64);
}

static void bench_rope_halves(void *job)
{
    bench *b = job;
    b->level->rope_halves(b->x, b->turn, b->n / 64, 64, 64);
}

static void bench_scale(void *job)
{
    bench *b = job;
    b->level->scale(b->x, -1.0f, b->n);
}

static void bench_gelu(void *job)
{
    bench *b = job;
    b->level->gelu(b->x, b->n, b->z);
}

static void bench_geglu(void *job)
{
    bench *b = job;
    b->level->geglu(b->x, b->y, b->n, b->z);
}

static void bench_softcap(void *job)
{
    bench *b = job;
    b->level->softcap(b->x, 30.0f, b->n);
}

static void bench_swiglu(void *job)
{
    bench *b = job;
    b->level->swiglu(b->x, b->y, b->n, b->z);
}

static void bench_exp(void *job)
{
    bench *b = job;
    b->level->exp(b->x, b->n, b->z);
}

static void bench_max(void *job)
{
    bench *b = job;
    b->sink += (double)b->level->max(b->x, b->n);
}

static void bench_log_sum_exp(void *job)
{
    bench *b = job;
    b->sink += b->level->log_sum_exp(b->x, b->n);
}

static void bench_attention(void *job)
{
    bench *b = job;
    const attention_case *a = &b->attention;
    b->level->attention(a->q, a->q_stride, a->n_queries, a->n_keys, a->k, a->v, a->head_size, 0.1f, 0.0f,
                        SIZE_MAX, b->z, b->x, a->out_stride);
}

static void time_elementwise(nb_check *check, bench *b)
{
    static const struct {
        const char *name;
        void (*run)(void *job);
        double bytes; /* read and written, of an element */
    } rows[] = {{"rms_norm", bench_rms_norm, 12},
                {"layer_norm", bench_layer_norm, 16},
                {"rope_adjacent", bench_rope, 8},
                {"rope_halves", bench_rope_halves, 8},
                {"add", bench_add, 12},
                {"scale", bench_scale, 8},
                {"swiglu", bench_swiglu, 12},
                {"gelu", bench_gelu, 8},
                {"geglu", bench_geglu, 12},
                {"softcap", bench_softcap, 8},
                {"exp", bench_exp, 8},
                {"max", bench_max, 4},
                {"log_sum_exp", bench_log_sum_exp, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (check->only_kernel && strncmp(rows[i].name, check->only_kernel, strlen(check->only_kernel)) != 0)
            continue;
        for (b->n = 2048; b->n <= 32000; b->n = b->n < 32000 ? 32000 : 32001) {
            const double seconds = nb_check_time(rows[i].run, b);
            printf("%-22s %-8s n %-24zu %8.3f ns/element %7.1f GB/s\n", rows[i].name, b->level->name, b->n,
                   seconds * 1e9 / (double)b->n, 1e-9 * rows[i].bytes * (double)b->n / seconds);
        }
    }
}

static void time_attention(bench *b)
{
    static const size_t shapes[][3] = {/* head size, queries, keys before them */
                                       {8, 1, 256}, {48, 1, 256}, {64, 1, 512}, {64, 1, 2048}, {128, 1, 2048},
                                       {8, 256, 0}, {48, 256, 0}, {64, 512, 0}, {128, 512, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        attention_case *a = &b->attention;
        a->head_size = a->q_stride = a->out_stride = shapes[i][0];
        a->n_queries = shapes[i][1];
        a->n_keys = shapes[i][2] + 1;
        const double n_pairs = (double)a->n_queries * ((double)a->n_keys + ((double)a->n_queries - 1) / 2);
        const double seconds = nb_check_time(bench_attention, b);
        printf("%-22s %-8s head %-3zu queries %-3zu of %-4zu %9.3f us %8.1f Gflop/s\n", "attention",
               b->level->name, a->head_size, a->n_queries, a->n_keys + a->n_queries - 1, seconds * 1e6,
               1e-9 * 4 * n_pairs * (double)a->head_size / seconds);
    }
}

void nb_bench_ops(nb_check *check)
{
    enum { MOST = 128 * 2064 };
    bench b = {.level = check->level};
    float *memory = nb_aligned_calloc(6 * MOST, sizeof *memory);
    if (!memory) {
        fprintf(stderr, "check-kernels: no memory for the times\n");
        return;
    }
    b.x = memory;
    b.y = memory + MOST;
    b.z = memory + 2 * MOST;
    b.attention.q = b.y;
    b.attention.k = memory + 3 * MOST;
    b.attention.v = memory + 4 * MOST;
    b.cos_sin = memory + 5 * MOST;
    nb_check_fill(check, memory, 5 * MOST, NB_FILL_PLAIN);
    for (size_t i = 0; i < MOST; i++) /* a turn, so that repeating it neither overflows nor vanishes */
        b.cos_sin[i] = i % 2 ? 0.8f : 0.6f;
    for (size_t i = 0; i < 64; i++)
        b.turn[i] = i < 32 ? 0.6f : 0.8f;
    time_elementwise(check, &b);
    if (!check->only_kernel || strncmp("attention", check->only_kernel, strlen(check->only_kernel)) == 0)
        time_attention(&b);
    nb_aligned_free(memory);
}
