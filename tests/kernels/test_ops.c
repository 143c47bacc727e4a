/* Published and hand-computed values of the kernels that are no matmul, on every level of this CPU. */
#include "kernels/kernels.h"

#include "base/cpu.h"
#include "math/math.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The next level that this CPU has, from *index on; NULL after the last. */
static const nb_kernels *next_level(size_t *index)
{
    while (*index < nb_kernels_count()) {
        const nb_kernels *k = nb_kernels_at((*index)++);
        if ((k->needs & ~nb_cpu_features()) == 0)
            return k;
    }
    return NULL;
}

#define for_each_level(k)                                                                                    \
    size_t index_of_level = 0;                                                                               \
    for (const nb_kernels *k = next_level(&index_of_level); k; k = next_level(&index_of_level))

static void assert_near(const float *got, const float *want, size_t n, float tolerance)
{
    for (size_t i = 0; i < n; i++)
        assert_float_equal(got[i], want[i], tolerance);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void rms_norm_of_four(void **state)
{
    (void)state;
    const float x[] = {1, 2, -3, 4}, weight[] = {1, .5f, 2, 1};
    const float want[] = {.3651481f, .3651481f, -2.1908888f, 1.4605925f};
    for_each_level(k)
    {
        float y[4];
        k->rms_norm(x, weight, 4, 1e-5f, y);
        assert_near(y, want, 4, 1e-6f);
    }
}

/* swiglu with up = 1 is silu. */
static void silu_of_five(void **state)
{
    (void)state;
    const float gate[] = {-2, -1, .5f, 1, 3}, up[] = {1, 1, 1, 1, 1};
    const float want[] = {-.2384058f, -.2689414f, .3112297f, .7310586f, 2.8577224f};
    for_each_level(k)
    {
        float y[5];
        k->swiglu(gate, up, 5, y);
        assert_near(y, want, 5, 3e-7f);
    }
}

/* Where exp overflows, silu is minus nothing, not NaN. */
static void silu_far_out(void **state)
{
    (void)state;
    const float gate[] = {-1000, 1000, -INFINITY, INFINITY}, up[] = {2, 2, 1, 1};
    for_each_level(k)
    {
        float y[4];
        k->swiglu(gate, up, 4, y);
        assert_true(y[0] == 0 && signbit(y[0]) && y[1] == 2000);
        assert_int_equal(bits_of(y[2]), 0x7fc00000); /* inf / inf */
        assert_true(y[3] == INFINITY);
    }
}

/* The same four numbers through LayerNorm, without and with weights and a bias. */
static void layer_norm_of_four(void **state)
{
    (void)state;
    const float x[] = {1, 2, -3, 4}, ones[] = {1, 1, 1, 1}, zeros[4] = {0};
    const float want[] = {0, .392232f, -1.5689279f, 1.1766959f};
    const float weight[] = {1, .5f, 2, 1}, bias[] = {-1, 1, 0, 2};
    const float want_affine[] = {-1, 1.196116f, -3.1378558f, 3.1766959f};
    for_each_level(k)
    {
        float y[4];
        k->layer_norm(x, ones, zeros, 4, 1e-5f, y);
        assert_near(y, want, 4, 1e-6f);
        k->layer_norm(x, weight, bias, 4, 1e-5f, y);
        assert_near(y, want_affine, 4, 1e-6f);
    }
}

/* The form with tanh, not erf; where exp overflows it is minus nothing; gated it is multiplied. */
static void gelu_of_five(void **state)
{
    (void)state;
    const float x[] = {-2, -1, .5f, 1, 3}, twos[] = {2, 2, 2, 2, 2}, far[] = {-1000, 1000, 1e30f};
    const float want[] = {-.04540230f, -.158808f, .345714f, .841192f, 2.9963626f};
    for_each_level(k)
    {
        float y[5];
        k->gelu(x, 5, y);
        assert_near(y, want, 5, 5e-7f);
        k->gelu(far, 3, y);
        assert_true(y[0] == 0 && signbit(y[0]) && y[1] == 1000 && y[2] == 1e30f);
        k->geglu(x, twos, 5, y);
        for (int i = 0; i < 5; i++)
            y[i] /= 2;
        assert_near(y, want, 5, 5e-7f);
    }
}

/* cap tanh(x / cap), of a small cap where it bends and a large one where it hardly does. */
static void softcap_of_five(void **state)
{
    (void)state;
    const float x[] = {-3, -.5f, 0, .25f, 1000};
    for_each_level(k)
    {
        for (float cap = 1; cap < 1000; cap *= 30) {
            float y[5], want[5];
            for (int i = 0; i < 5; i++)
                want[i] = (float)((double)cap * tanh((double)x[i] / (double)cap));
            memcpy(y, x, sizeof y);
            k->softcap(y, cap, 5);
            assert_near(y, want, 5, 2e-7f * cap);
        }
    }
}

/* d = 8 at position 3, base 10000. */
static void rope_adjacent_at_position_3(void **state)
{
    (void)state;
    const float want[] = {-1.27223f, -1.83886f, 1.68393f, 4.70791f, 4.81778f, 6.14728f, 6.97597f, 8.02096f};
    float cos_sin[8];
    for (int i = 0; i < 4; i++) {
        const double angle = 3 * nb_pow(10000, -2.0 * i / 8);
        cos_sin[2 * i] = (float)nb_cos(angle);
        cos_sin[2 * i + 1] = (float)nb_sin(angle);
    }
    for_each_level(k)
    {
        float x[16];
        for (int i = 0; i < 16; i++)
            x[i] = (float)(i % 8 + 1);
        k->rope_adjacent(x, cos_sin, 2, 8, 8);
        assert_near(x, want, 8, 1e-5f);
        assert_near(x + 8, want, 8, 1e-5f);
        float partial[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        k->rope_adjacent(partial, cos_sin, 1, 8, 4);
        assert_near(partial, want, 4, 1e-5f);
        assert_true(partial[4] == 5 && partial[5] == 6 && partial[6] == 7 && partial[7] == 8);
    }
}

static void rope_halves_at_position_3(void **state)
{
    (void)state;
    const float want[] = {-1.69559f, .13755f, 2.78868f, 3.97598f, -4.80884f, 6.32306f, 7.08684f, 8.01196f};
    float cos_sin[8];
    for (int i = 0; i < 4; i++) {
        const double angle = 3 * nb_pow(10000, -2.0 * i / 8);
        cos_sin[i] = (float)nb_cos(angle);
        cos_sin[4 + i] = (float)nb_sin(angle);
    }
    for_each_level(k)
    {
        float x[16];
        for (int i = 0; i < 16; i++)
            x[i] = (float)(i % 8 + 1);
        k->rope_halves(x, cos_sin, 2, 8, 8);
        assert_near(x, want, 8, 1e-5f);
        assert_near(x + 8, want, 8, 1e-5f);
        const float quarter[] = {0, 0, 1, 1}; /* the first 4 of 8: (a, b) -> (-b, a) */
        float partial[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        const float turned[8] = {-3, -4, 1, 2, 5, 6, 7, 8};
        k->rope_halves(partial, quarter, 1, 8, 4);
        assert_near(partial, turned, 8, 0);
    }
}

/* Two keys, head size 2: scores 0 and ln 3 weigh their values 1 : 3. The first query sees only
 * the first key. */
static void attention_by_hand(void **state)
{
    (void)state;
    float k[2 * 16], v[2 * 16] = {0}, scratch[16 * 16];
    for (int i = 0; i < 32; i++)
        k[i] = NAN; /* keys that are not there */
    k[0] = k[16] = 0;
    k[1] = logf(3.0f);
    k[17] = 0;
    v[0] = 4;
    v[1] = -8;
    v[16] = 8;
    v[17] = 8;
    const float q[] = {1, 1, 2, 2};
    for_each_level(level)
    {
        float out[4];
        level->attention(q, 2, 2, 1, k, v, 2, 0.5f, 0.0f, SIZE_MAX, scratch, out,
                         2); /* query 1: score 0.5 * 2 ln 3 */
        assert_true(out[0] == 4 && out[1] == -8);
        assert_float_equal(out[2], 7.0f, 1e-6f);
        assert_float_equal(out[3], 4.0f, 1e-6f);
    }
}

static void max_and_log_sum_exp(void **state)
{
    (void)state;
    const float x[] = {-1, 3, 2, -INFINITY, 0}, zeros[] = {-0.0f, -0.0f}, odd[] = {1, -NAN, 5},
                none[] = {-INFINITY};
    const double want = 3 + log(exp(-4.0) + 1 + exp(-1.0) + exp(-3.0));
    for_each_level(k)
    {
        assert_true(k->max(x, 5) == 3);
        assert_int_equal(bits_of(k->max(zeros, 2)), 0);
        assert_int_equal(bits_of(k->max(odd, 3)), 0x7fc00000);
        assert_true(k->max(none, 0) == -INFINITY);
        assert_true(fabs(k->log_sum_exp(x, 5) - want) < 1e-7);
        assert_true(isnan(k->log_sum_exp(odd, 3)) && k->log_sum_exp(none, 1) == -INFINITY);
    }
}

/* Adding in 16 lanes is told from adding in order: 2^24 swallows a 1 that follows it in its own lane. */
static void sums_have_16_lanes(void **state)
{
    (void)state;
    float x[32] = {0}, weight[32];
    for (int i = 0; i < 32; i++)
        weight[i] = 1;
    x[0] = 4096;
    x[16] = x[8] = x[1] = 1; /* lane 0 again; lane 8, which lane 0 meets first; lane 1, which it meets last */
    x[9] = 1;                /* lane 1 meets lane 9: 2, which is not swallowed */
    for_each_level(k)
    {
        float y[32];
        k->rms_norm(x, weight, 32, 0, y);
        assert_true(y[0] == 4096 * (1 / sqrtf((0x1p24f + 2) / 32)));
    }
}

static void levels_are_found_by_name(void **state)
{
    (void)state;
    assert_string_equal(nb_kernels_at(0)->name, "scalar");
    assert_int_equal(nb_kernels_at(0)->needs, 0);
    for (size_t i = 0; i < nb_kernels_count(); i++)
        assert_ptr_equal(nb_kernels_find(nb_kernels_at(i)->name), nb_kernels_at(i));
    assert_null(nb_kernels_find("mmx"));
    assert_int_equal(nb_kernels_best()->needs & ~nb_cpu_features(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rms_norm_of_four),   cmocka_unit_test(silu_of_five),
        cmocka_unit_test(layer_norm_of_four), cmocka_unit_test(gelu_of_five),
        cmocka_unit_test(softcap_of_five),    cmocka_unit_test(rope_halves_at_position_3),
        cmocka_unit_test(silu_far_out),       cmocka_unit_test(rope_adjacent_at_position_3),
        cmocka_unit_test(attention_by_hand),  cmocka_unit_test(max_and_log_sum_exp),
        cmocka_unit_test(sums_have_16_lanes), cmocka_unit_test(levels_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
