/* Axis marks: round, inside the range, as many as fit, written alike. */
#include "plots/scale.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(double low, double high, size_t wanted, nb_tick_style style, bool log, const char *expected)
{
    nb_ticks ticks;
    char text[512] = "";
    nb_ticks_choose(&ticks, low, high, wanted, style, log);
    for (size_t i = 0; i < ticks.n; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "", ticks.items[i].label);
        assert_true(ticks.items[i].value >= low - 1e-6 * (high - low));
        assert_true(ticks.items[i].value <= high + 1e-6 * (high - low));
    }
    assert_string_equal(text, expected);
}

static void test_plain(void **state)
{
    (void)state;
    check(-0.096, 0.096, 7, NB_TICK_PLAIN, false, "-0.05 0 0.05");
    check(-0.096, 0.096, 10, NB_TICK_PLAIN, false, "-0.08 -0.06 -0.04 -0.02 0 0.02 0.04 0.06 0.08");
    check(0.2, 0.3, 5, NB_TICK_PLAIN, false, "0.20 0.22 0.24 0.26 0.28 0.30");
    check(-1, 1, 4, NB_TICK_PLAIN, false, "-1.0 -0.5 0 0.5 1.0");
    check(99.5, 100.5, 2, NB_TICK_PLAIN, false, "99.5 100.0 100.5");
    check(0, 4e-7, 4, NB_TICK_PLAIN, false, "0 1e-07 2e-07 3e-07 4e-07");
}

static void test_counts(void **state)
{
    (void)state;
    check(0, 54000, 6, NB_TICK_COUNT, false, "0 10k 20k 30k 40k 50k");
    check(0, 5000, 5, NB_TICK_COUNT, false, "0 1k 2k 3k 4k 5k");
    check(0, 2000, 4, NB_TICK_COUNT, false, "0 500 1k 1.5k 2k");
    check(0, 2.4e6, 6, NB_TICK_COUNT, false, "0 500k 1M 1.5M 2M");
    check(0, 3, 8, NB_TICK_COUNT, false, "0 1 2 3");
    check(0, 1, 5, NB_TICK_COUNT, false, "0 1");
}

static void test_log(void **state)
{
    (void)state;
    check(0.6, 2e6, 8, NB_TICK_COUNT, true, "1 10 100 1k 10k 100k 1M");
    check(0.6, 2e6, 4, NB_TICK_COUNT, true, "1 100 10k 1M");
    check(0.6, 1.6, 4, NB_TICK_COUNT, true, "1");
}

static void test_hostile_ranges(void **state)
{
    (void)state;
    static const double ranges[][2] = {
        {1, 1},
        {2, 1},
        {NAN, 1},
        {0, INFINITY},
        {-DBL_MAX, DBL_MAX},
        {0, DBL_MIN},
        {0, 5e-324},
        {1, 1 + DBL_EPSILON},
        {-1e300, 1e300},
        {1e15, 1e15 + 1},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        for (size_t wanted = 0; wanted < 100; wanted += 7) {
            nb_ticks ticks;
            nb_ticks_choose(&ticks, ranges[i][0], ranges[i][1], wanted, NB_TICK_PLAIN, false);
            assert_true(ticks.n <= NB_MAX_TICKS);
            nb_ticks_fit(&ticks, ranges[i][0], ranges[i][1], 70, 2, nb_width_columns);
            assert_true(ticks.n <= NB_MAX_TICKS);
        }
}

static void test_marks_stand_apart(void **state)
{
    (void)state;
    for (double high = 1e-9; high < 1e12; high *= 3.7) {
        nb_ticks ticks;
        nb_ticks_fit(&ticks, -high, high, 70, 2, nb_width_columns);
        assert_true(ticks.n >= 2);
        for (size_t i = 1; i < ticks.n; i++) {
            double apart = 70 * (ticks.items[i].value - ticks.items[i - 1].value) / (2 * high);
            double half = (strlen(ticks.items[i].label) + strlen(ticks.items[i - 1].label)) / 2.0;
            assert_true(apart >= half + 2 - 1e-9);
        }
    }
}

static void test_powers_of_ten(void **state)
{
    (void)state;
    for (int exponent = -330; exponent <= 308; exponent++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", exponent);
        const double exact = strtod(text, NULL), made = nb_power_of_ten(exponent);
        if (abs(exponent) <= 22)
            assert_true(made == exact);
        assert_true(fabs(made - exact) <= 1e-13 * exact + 5e-324);
        if (exponent < -307)
            continue;
        assert_int_equal(nb_decade(exact), exponent);
        assert_int_equal(nb_decade(exact * 9.99), exponent);
        assert_int_equal(nb_decade(exact * 0.99), exponent - 1);
        assert_int_equal(nb_decade(exact * (1 - 1e-15)), exponent);
    }
    assert_int_equal(nb_decade(DBL_MAX), 308);
}

static void test_position(void **state)
{
    (void)state;
    assert_true(nb_scale_position(0.5, 0, 2, false) == 0.25);
    assert_true(nb_scale_position(-1, 0, 2, false) == 0);
    assert_true(nb_scale_position(9, 0, 2, false) == 1);
    assert_true(nb_scale_position(NAN, 0, 2, false) == 0);
    assert_true(fabs(nb_scale_position(100, 1, 10000, true) - 0.5) < 1e-12);
    assert_true(nb_scale_position(0, 1, 10000, true) == 0); /* an empty bin */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_hostile_ranges),
        cmocka_unit_test(test_marks_stand_apart),
        cmocka_unit_test(test_powers_of_ten),
        cmocka_unit_test(test_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
