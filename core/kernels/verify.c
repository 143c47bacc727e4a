/* NIBBLE_VERIFY=1: a table whose kernels run a level's kernel and the definition, and compare the bits.
 * nb_matmul compares the matmuls itself, a whole one at a time; here is everything else.
 *
 * A difference is a bug in a kernel, nothing that a caller could handle: it ends the program with what is
 * needed to find it. Where memory is short, the comparison is left out. */
#include "base/memory.h"
#include "kernels/levels.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, MOST_LEVELS = 5 };

static void compare(const nb_kernels *level, const char *kernel, const float *want, const float *got,
                    size_t n)
{
    if (memcmp(want, got, n * sizeof *want) == 0)
        return;
    size_t i = 0;
    while (memcmp(want + i, got + i, sizeof *want) == 0)
        i++;
    fprintf(stderr, "NIBBLE_VERIFY: %s on %s: element %zu of %zu is %a, but the definition says %a\n", kernel,
            level->name, i, n, (double)got[i], (double)want[i]);
    abort();
}

/* n elements of x where the definition may write; NULL if memory is short. */
static float *copy(const float *x, size_t n)
{
    float *y = nb_calloc(n ? n : 1, sizeof *y);
    if (y)
        memcpy(y, x, n * sizeof *y);
    return y;
}

static void verify_rms_norm(const nb_kernels *level, const float *x, const float *weight, size_t n, float eps,
                            float *y)
{
    float *want = copy(x, n);
    if (want)
        nb_kernels_at(0)->rms_norm(want, weight, n, eps, want);
    level->rms_norm(x, weight, n, eps, y);
    if (want)
        compare(level, "rms_norm", want, y, n);
    free(want);
}

static void verify_layer_norm(const nb_kernels *level, const float *x, const float *weight, const float *bias,
                              size_t n, float eps, float *y)
{
    float *want = copy(x, n);
    if (want)
        nb_kernels_at(0)->layer_norm(want, weight, bias, n, eps, want);
    level->layer_norm(x, weight, bias, n, eps, y);
    if (want)
        compare(level, "layer_norm", want, y, n);
    free(want);
}

static void verify_rope_adjacent(const nb_kernels *level, float *x, const float *cos_sin, size_t n_heads,
                                 size_t head_size, size_t n_rot)
{
    float *want = copy(x, n_heads * head_size);
    if (want)
        nb_kernels_at(0)->rope_adjacent(want, cos_sin, n_heads, head_size, n_rot);
    level->rope_adjacent(x, cos_sin, n_heads, head_size, n_rot);
    if (want)
        compare(level, "rope_adjacent", want, x, n_heads * head_size);
    free(want);
}

static void verify_rope_halves(const nb_kernels *level, float *x, const float *cos_sin, size_t n_heads,
                               size_t head_size, size_t n_rot)
{
    float *want = copy(x, n_heads * head_size);
    if (want)
        nb_kernels_at(0)->rope_halves(want, cos_sin, n_heads, head_size, n_rot);
    level->rope_halves(x, cos_sin, n_heads, head_size, n_rot);
    if (want)
        compare(level, "rope_halves", want, x, n_heads * head_size);
    free(want);
}

static void verify_scale(const nb_kernels *level, float *x, float by, size_t n)
{
    float *want = copy(x, n);
    if (want)
        nb_kernels_at(0)->scale(want, by, n);
    level->scale(x, by, n);
    if (want)
        compare(level, "scale", want, x, n);
    free(want);
}

static void verify_softcap(const nb_kernels *level, float *x, float cap, size_t n)
{
    float *want = copy(x, n);
    if (want)
        nb_kernels_at(0)->softcap(want, cap, n);
    level->softcap(x, cap, n);
    if (want)
        compare(level, "softcap", want, x, n);
    free(want);
}

static void verify_gelu(const nb_kernels *level, const float *x, size_t n, float *y)
{
    float *want = copy(x, n);
    if (want)
        nb_kernels_at(0)->gelu(want, n, want);
    level->gelu(x, n, y);
    if (want)
        compare(level, "gelu", want, y, n);
    free(want);
}

static void verify_geglu(const nb_kernels *level, const float *gate, const float *up, size_t n, float *y)
{
    float *want = copy(gate, n);
    if (want)
        nb_kernels_at(0)->geglu(want, up, n, want);
    level->geglu(gate, up, n, y);
    if (want)
        compare(level, "geglu", want, y, n);
    free(want);
}

static void verify_add(const nb_kernels *level, float *x, const float *y, size_t n)
{
    float *want = copy(x, n);
    if (want)
        nb_kernels_at(0)->add(want, y, n);
    level->add(x, y, n);
    if (want)
        compare(level, "add", want, x, n);
    free(want);
}

static void verify_swiglu(const nb_kernels *level, const float *gate, const float *up, size_t n, float *y)
{
    float *want = copy(gate, n);
    if (want)
        nb_kernels_at(0)->swiglu(want, up, n, want);
    level->swiglu(gate, up, n, y);
    if (want)
        compare(level, "swiglu", want, y, n);
    free(want);
}

static void verify_attention(const nb_kernels *level, const float *q, size_t q_stride, size_t n_queries,
                             size_t n_keys, const float *k, const float *v, size_t head_size, float scale,
                             float cap, size_t window, float *scratch, float *out, size_t out_stride)
{
    level->attention(q, q_stride, n_queries, n_keys, k, v, head_size, scale, cap, window, scratch, out,
                     out_stride);
    float *want = nb_calloc(head_size, sizeof *want);
    float *own_scratch = nb_calloc(nb_round_up(n_keys + n_queries, LANES), LANES * sizeof *own_scratch);
    for (size_t i = 0; want && own_scratch && i < n_queries; i++) {
        nb_kernels_at(0)->attention(q + i * q_stride, q_stride, 1, n_keys + i, k, v, head_size, scale, cap,
                                    window, own_scratch, want, head_size);
        compare(level, "attention", want, out + i * out_stride, head_size);
    }
    free(want);
    free(own_scratch);
}

static void verify_exp(const nb_kernels *level, const float *x, size_t n, float *y)
{
    float *want = copy(x, n);
    if (want)
        nb_kernels_at(0)->exp(want, n, want);
    level->exp(x, n, y);
    if (want)
        compare(level, "exp", want, y, n);
    free(want);
}

static float verify_max(const nb_kernels *level, const float *x, size_t n)
{
    const float want = nb_kernels_at(0)->max(x, n), got = level->max(x, n);
    compare(level, "max", &want, &got, 1);
    return got;
}

static double verify_log_sum_exp(const nb_kernels *level, const float *x, size_t n)
{
    const double want = nb_kernels_at(0)->log_sum_exp(x, n), got = level->log_sum_exp(x, n);
    if (memcmp(&want, &got, sizeof want) != 0) {
        fprintf(stderr, "NIBBLE_VERIFY: log_sum_exp on %s: %a, but the definition says %a\n", level->name,
                got, want);
        abort();
    }
    return got;
}

static void compare_blocks(const nb_kernels *level, const char *kernel, const nb_act_block *want,
                           const nb_act_block *got, size_t n_blocks)
{
    for (size_t b = 0; b < n_blocks; b++)
        if (memcmp(want + b, got + b, sizeof *want) != 0) {
            fprintf(stderr, "NIBBLE_VERIFY: %s on %s: block %zu of %zu differs from the definition's\n", kernel,
                    level->name, b, n_blocks);
            abort();
        }
}

static void verify_quantize_acts(const nb_kernels *level, const float *x, size_t n_cols, nb_act_block *blocks,
                                 int16_t *wide)
{
    level->quantize_acts(x, n_cols, blocks, wide);
    const size_t n_blocks = nb_div_up(n_cols, NB_BLOCK);
    nb_act_block *want = nb_calloc(n_blocks ? n_blocks : 1, sizeof *want);
    if (!want)
        return;
    nb_kernels_at(0)->quantize_acts(x, n_cols, want, NULL);
    compare_blocks(level, "quantize_acts", want, blocks, n_blocks);
    free(want);
}

static size_t verify_quantize_acts_scaled(const nb_kernels *level, const float *x, size_t n_cols, const float *scale,
                                          nb_act_block *blocks, int16_t *wide)
{
    const size_t n_clipped = level->quantize_acts_scaled(x, n_cols, scale, blocks, wide);
    const size_t n_blocks = nb_div_up(n_cols, NB_BLOCK);
    nb_act_block *want = nb_calloc(n_blocks ? n_blocks : 1, sizeof *want);
    if (!want)
        return n_clipped;
    const size_t n_wanted = nb_kernels_at(0)->quantize_acts_scaled(x, n_cols, scale, want, NULL);
    compare_blocks(level, "quantize_acts_scaled", want, blocks, n_blocks);
    free(want);
    if (n_clipped != n_wanted) {
        fprintf(stderr, "NIBBLE_VERIFY: quantize_acts_scaled on %s: clips %zu, but the definition %zu\n", level->name,
                n_clipped, n_wanted);
        abort();
    }
    return n_clipped;
}

/* Kernels are plain functions without a place for their level, so each level has its own set of them. */
#define KERNELS_OF_LEVEL(I)                                                                                  \
    static void rms_norm_##I(const float *x, const float *weight, size_t n, float eps, float *y)             \
    {                                                                                                        \
        verify_rms_norm(nb_kernels_at(I), x, weight, n, eps, y);                                             \
    }                                                                                                        \
    static void layer_norm_##I(const float *x, const float *weight, const float *bias, size_t n, float eps,  \
                               float *y)                                                                     \
    {                                                                                                        \
        verify_layer_norm(nb_kernels_at(I), x, weight, bias, n, eps, y);                                     \
    }                                                                                                        \
    static void rope_halves_##I(float *x, const float *cos_sin, size_t n_heads, size_t head_size,            \
                                size_t n_rot)                                                                \
    {                                                                                                        \
        verify_rope_halves(nb_kernels_at(I), x, cos_sin, n_heads, head_size, n_rot);                         \
    }                                                                                                        \
    static void scale_##I(float *x, float by, size_t n)                                                      \
    {                                                                                                        \
        verify_scale(nb_kernels_at(I), x, by, n);                                                            \
    }                                                                                                        \
    static void softcap_##I(float *x, float cap, size_t n)                                                   \
    {                                                                                                        \
        verify_softcap(nb_kernels_at(I), x, cap, n);                                                         \
    }                                                                                                        \
    static void gelu_##I(const float *x, size_t n, float *y)                                                 \
    {                                                                                                        \
        verify_gelu(nb_kernels_at(I), x, n, y);                                                              \
    }                                                                                                        \
    static void geglu_##I(const float *gate, const float *up, size_t n, float *y)                            \
    {                                                                                                        \
        verify_geglu(nb_kernels_at(I), gate, up, n, y);                                                      \
    }                                                                                                        \
    static void rope_adjacent_##I(float *x, const float *cos_sin, size_t n_heads, size_t head_size,          \
                                  size_t n_rot)                                                              \
    {                                                                                                        \
        verify_rope_adjacent(nb_kernels_at(I), x, cos_sin, n_heads, head_size, n_rot);                       \
    }                                                                                                        \
    static void add_##I(float *x, const float *y, size_t n)                                                  \
    {                                                                                                        \
        verify_add(nb_kernels_at(I), x, y, n);                                                               \
    }                                                                                                        \
    static void swiglu_##I(const float *gate, const float *up, size_t n, float *y)                           \
    {                                                                                                        \
        verify_swiglu(nb_kernels_at(I), gate, up, n, y);                                                     \
    }                                                                                                        \
    static void attention_##I(const float *q, size_t q_stride, size_t n_queries, size_t n_keys,              \
                              const float *k, const float *v, size_t head_size, float scale, float cap,      \
                              size_t window, float *scratch, float *out, size_t out_stride)                  \
    {                                                                                                        \
        verify_attention(nb_kernels_at(I), q, q_stride, n_queries, n_keys, k, v, head_size, scale, cap,      \
                         window, scratch, out, out_stride);                                                  \
    }                                                                                                        \
    static void exp_##I(const float *x, size_t n, float *y)                                                  \
    {                                                                                                        \
        verify_exp(nb_kernels_at(I), x, n, y);                                                               \
    }                                                                                                        \
    static float max_##I(const float *x, size_t n)                                                           \
    {                                                                                                        \
        return verify_max(nb_kernels_at(I), x, n);                                                           \
    }                                                                                                        \
    static double log_sum_exp_##I(const float *x, size_t n)                                                  \
    {                                                                                                        \
        return verify_log_sum_exp(nb_kernels_at(I), x, n);                                                   \
    }                                                                                                        \
    static void quantize_acts_##I(const float *x, size_t n_cols, nb_act_block *blocks, int16_t *wide)        \
    {                                                                                                        \
        verify_quantize_acts(nb_kernels_at(I), x, n_cols, blocks, wide);                                     \
    }                                                                                                        \
    static size_t quantize_acts_scaled_##I(const float *x, size_t n_cols, const float *scale,                \
                                           nb_act_block *blocks, int16_t *wide)                              \
    {                                                                                                        \
        return verify_quantize_acts_scaled(nb_kernels_at(I), x, n_cols, scale, blocks, wide);                \
    }                                                                                                        \
    static void set_kernels_##I(nb_kernels *k)                                                               \
    {                                                                                                        \
        k->rms_norm = rms_norm_##I;                                                                          \
        k->layer_norm = layer_norm_##I;                                                                      \
        k->rope_halves = rope_halves_##I;                                                                    \
        k->scale = scale_##I;                                                                                \
        k->softcap = softcap_##I;                                                                            \
        k->gelu = gelu_##I;                                                                                  \
        k->geglu = geglu_##I;                                                                                \
        k->rope_adjacent = rope_adjacent_##I;                                                                \
        k->add = add_##I;                                                                                    \
        k->swiglu = swiglu_##I;                                                                              \
        k->attention = attention_##I;                                                                        \
        k->exp = exp_##I;                                                                                    \
        k->max = max_##I;                                                                                    \
        k->log_sum_exp = log_sum_exp_##I;                                                                    \
        k->quantize_acts = quantize_acts_##I;                                                                \
        k->quantize_acts_scaled = quantize_acts_scaled_##I;                                                  \
    }

KERNELS_OF_LEVEL(0)
KERNELS_OF_LEVEL(1)
KERNELS_OF_LEVEL(2)
KERNELS_OF_LEVEL(3)
KERNELS_OF_LEVEL(4)

static nb_kernels table[MOST_LEVELS];
static pthread_once_t table_filled = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    static void (*const set_kernels[MOST_LEVELS])(nb_kernels * k) = {set_kernels_0, set_kernels_1,
                                                                     set_kernels_2, set_kernels_3,
                                                                     set_kernels_4};
    for (size_t i = 0; i < nb_kernels_count() && i < MOST_LEVELS; i++) {
        table[i] = *nb_kernels_at(i);
        set_kernels[i](&table[i]);
    }
}

const nb_kernels *nb_kernels_verifying(const nb_kernels *level)
{
    pthread_once(&table_filled, fill_table);
    for (size_t i = 0; i < nb_kernels_count() && i < MOST_LEVELS; i++)
        if (level == nb_kernels_at(i))
            return &table[i];
    return level;
}
