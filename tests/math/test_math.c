/* Our exp, log, pow, sin, cos and tanh beside libm's in long double, in units of the result's last place. */
#include "math/math.h"

#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint64_t bits_of_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* |got - want| in units of the last place that a number of `digits` bits has at `want`. */
static double ulps(long double got, long double want, int digits, int least_exponent)
{
    if (got == want)
        return 0;
    int e;
    frexpl(want, &e);
    if (e < least_exponent)
        e = least_exponent;
    return (double)(fabsl(got - want) / ldexpl(1.0L, e - digits));
}

static double ulps_f32(float got, long double want)
{
    return ulps(got, want, 24, -125);
}
static double ulps_f64(double got, long double want)
{
    return ulps(got, want, 53, -1021);
}

static void keep_worst(double *worst, double error)
{
    if (!(error <= *worst))
        *worst = error;
}

#define assert_below(worst, bound)                                                                           \
    do {                                                                                                     \
        print_message("    worst %.4f ulp, stated %.1f\n", worst, bound);                                    \
        assert_true((worst) < (bound));                                                                      \
    } while (0)

static void exp_f32_is_below_1_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (uint32_t bits = 0; bits < 0x42b20000; bits += 1009) { /* to 89 */
        const float x = float_of(bits);
        if (x < 88.72283f)
            keep_worst(&worst, ulps_f32(nb_expf(x), expl(x)));
        keep_worst(&worst, ulps_f32(nb_expf(-x), expl(-x)));
    }
    for (float x = -104.0f; x < -87.0f; x += 0x1p-15f) /* subnormal results */
        keep_worst(&worst, ulps_f32(nb_expf(x), expl(x)));
    assert_below(worst, 1.0);
}

static void exp_f32_special_values(void **state)
{
    (void)state;
    assert_int_equal(bits_of(nb_expf(0.0f)), 0x3f800000);
    assert_int_equal(bits_of(nb_expf(-0.0f)), 0x3f800000);
    assert_int_equal(bits_of(nb_expf(INFINITY)), 0x7f800000);
    assert_int_equal(bits_of(nb_expf(-INFINITY)), 0);
    assert_int_equal(bits_of(nb_expf(88.73f)), 0x7f800000);
    assert_int_equal(bits_of(nb_expf(88.722839f)), bits_of((float)expl(88.722839f))); /* the last finite */
    assert_int_equal(bits_of(nb_expf(3e38f)), 0x7f800000);
    assert_int_equal(bits_of(nb_expf(-104.0f)), 0);
    assert_int_equal(bits_of(nb_expf(-3e38f)), 0);
    assert_int_equal(bits_of(nb_expf(-103.2f)), 1); /* the least subnormal */
    assert_int_equal(bits_of(nb_expf(float_of(1))), 0x3f800000);
    assert_int_equal(bits_of(nb_expf(float_of(0xffc01234))), 0x7fc00000);
    assert_int_equal(bits_of(nb_expf(float_of(0x7f800001))), 0x7fc00000);
}

static void tanh_f32_is_below_2_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (uint32_t bits = 0; bits < 0x41200000; bits += 1009) { /* to 10 */
        const float x = float_of(bits);
        keep_worst(&worst, ulps_f32(nb_tanhf(x), tanhl(x)));
        assert_true(nb_tanhf(-x) == -nb_tanhf(x));
    }
    assert_below(worst, 2.0);
    assert_int_equal(bits_of(nb_tanhf(-0.0f)), 0x80000000);
    assert_int_equal(bits_of(nb_tanhf(float_of(1))), 1);
    assert_true(nb_tanhf(INFINITY) == 1.0f && nb_tanhf(-INFINITY) == -1.0f && nb_tanhf(-1e30f) == -1.0f);
    assert_int_equal(bits_of(nb_tanhf(float_of(0xffc00000))), 0x7fc00000);
}

static double uniform(nb_random *random, double low, double high)
{
    return low + (high - low) * nb_random_f64(random);
}

static void exp_f64_is_below_1_ulp(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 1);
    double worst = 0;
    for (int i = 0; i < 300000; i++) {
        const double wide = uniform(&random, -745.2, 709.78), narrow = uniform(&random, -1, 1);
        keep_worst(&worst, ulps_f64(nb_exp(wide), expl(wide)));
        keep_worst(&worst, ulps_f64(nb_exp(narrow), expl(narrow)));
    }
    assert_below(worst, 1.0);
    assert_true(nb_exp(0) == 1 && nb_exp(-0.0) == 1 && nb_exp(-INFINITY) == 0 &&
                nb_exp(INFINITY) == INFINITY);
    assert_true(nb_exp(709.79) == INFINITY && nb_exp(-745.14) == 0 && nb_exp(-745.13) == 0x1p-1074);
    assert_true(bits_of_f64(nb_exp(-NAN)) == 0x7ff8000000000000);
}

static void log_f64_is_below_1_ulp(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 2);
    double worst = 0;
    for (int i = 0; i < 300000; i++) {
        const double near_1 = uniform(&random, 0.5, 2),
                     wide = ldexp(near_1, (int)uniform(&random, -1074, 1023));
        const double close = 1 + ldexp(uniform(&random, -1, 1), (int)uniform(&random, -50, 0));
        if (close > 0)
            keep_worst(&worst, ulps_f64(nb_log(close), logl(close)));
        keep_worst(&worst, ulps_f64(nb_log(near_1), logl(near_1)));
        if (wide > 0)
            keep_worst(&worst, ulps_f64(nb_log(wide), logl(wide)));
    }
    assert_below(worst, 1.0);
    assert_true(nb_log(1) == 0 && nb_log(0) == -INFINITY && nb_log(-0.0) == -INFINITY);
    assert_true(nb_log(INFINITY) == INFINITY && nb_log(0x1p-1074) == (double)logl(0x1p-1074L));
    assert_true(bits_of_f64(nb_log(-1)) == 0x7ff8000000000000);
    assert_true(bits_of_f64(nb_log(-NAN)) == 0x7ff8000000000000);
}

static void pow_f64_is_below_1_ulp(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 3);
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        const double x = nb_exp(uniform(&random, -700, 700)), y = uniform(&random, -1, 1);
        keep_worst(&worst, ulps_f64(nb_pow(x, y), powl(x, y)));
        const double near_1 = uniform(&random, 0.9, 1.1), large = uniform(&random, -6000, 6000);
        keep_worst(&worst, ulps_f64(nb_pow(near_1, large), powl(near_1, large)));
    }
    for (int d = 2; d <= 512; d += 2) /* the frequencies of RoPE */
        for (int i = 0; i < d / 2; i++)
            keep_worst(&worst, ulps_f64(nb_pow(10000.0, -2.0 * i / d), powl(10000.0L, -2.0 * i / d)));
    assert_below(worst, 1.0);
    assert_true(nb_pow(2, 10) == 1024 && nb_pow(10, 3) == 1000 && nb_pow(10000, -0.5) == 0.01);
    assert_true(nb_pow(7, 0) == 1 && nb_pow(1, 1e300) == 1 && nb_pow(2, -1074) == 0x1p-1074);
    assert_true(nb_pow(2, 1024) == INFINITY && nb_pow(2, -1080) == 0 && nb_pow(0.5, INFINITY) == 0);
    assert_true(nb_pow(INFINITY, 2) == INFINITY && nb_pow(INFINITY, -2) == 0);
    assert_true(nb_pow(1.5, 1e308) == INFINITY && nb_pow(1.5, -1e308) == 0);
    assert_true(isnan(nb_pow(-1, 2)) && isnan(nb_pow(2, NAN)));
}

static void sin_and_cos_f64_are_below_1_ulp(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 4);
    double worst = 0;
    for (int i = 0; i < 300000; i++) {
        /* Near a multiple of pi / 2 an 80-bit libm is no judge of the last place: it is left to the next
         * test. */
        const double x = uniform(&random, -10, 10) * (i % 2 ? 1 : 1e5);
        if (fabsl(sinl(x)) > 1e-3L)
            keep_worst(&worst, ulps_f64(nb_sin(x), sinl(x)));
        if (fabsl(cosl(x)) > 1e-3L)
            keep_worst(&worst, ulps_f64(nb_cos(x), cosl(x)));
    }
    assert_below(worst, 1.0);
}

/* The nearest doubles to n pi / 2 and what their sine or cosine is, computed with 60 digits. */
static void sin_and_cos_near_their_zeros(void **state)
{
    (void)state;
    assert_true(nb_cos(0x1.921fb54442d18p+0) == 0x1.1a62633145c07p-54);
    assert_true(nb_sin(0x1.921fb54442d18p+1) == 0x1.1a62633145c07p-53);
    assert_true(nb_cos(0x1.2d97c7f3321d2p+2) == -0x1.a79394c9e8a0ap-53);
    assert_true(nb_sin(0x1.921fb54442d18p+2) == -0x1.1a62633145c07p-52);
    assert_true(nb_cos(0x1.5fdbbe9bba775p+3) == -0x1.ee2c2d963a10cp-52);
    assert_true(nb_cos(0x1.1475cc9eedf01p+4) == 0x1.3ddc5bce200bbp-50);
    assert_true(nb_sin(0x1.88b2f704a940ap+10) == 0x1.2c3beb21e1e21p-44);
    assert_true(nb_cos(0x1.32cb07ebc9985p+17) == -0x1.fb40a31c55eecp-37);
    assert_true(nb_cos(0x1.e84774a5466eep+19) == 0x1.259d49a01742ap-36);
    assert_true(nb_cos(0x1.6c6cbc45dc8dep+5) == -0x1.6d61b58c99c43p-61);
    assert_true(nb_sin(0) == 0 && nb_cos(0) == 1 && signbit(nb_sin(-0.0)) && nb_sin(0x1p-1074) == 0x1p-1074);
    assert_true(isnan(nb_sin(INFINITY)) && isnan(nb_cos(1e7)) && isnan(nb_cos(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_f32_is_below_1_ulp),          cmocka_unit_test(exp_f32_special_values),
        cmocka_unit_test(tanh_f32_is_below_2_ulp),         cmocka_unit_test(exp_f64_is_below_1_ulp),
        cmocka_unit_test(log_f64_is_below_1_ulp),          cmocka_unit_test(pow_f64_is_below_1_ulp),
        cmocka_unit_test(sin_and_cos_f64_are_below_1_ulp), cmocka_unit_test(sin_and_cos_near_their_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
