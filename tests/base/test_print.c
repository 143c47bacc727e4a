/* Numbers as text and back, against the C library in its "C" locale and against known hard cases. */
#include "base/print.h"
#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double f64_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float f32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Three kinds: any bits at all, everyday sizes, and short decimals with their ties. */
static double random_number(nb_random *random)
{
    for (;;) {
        double value;
        switch (nb_random_below(random, 3)) {
        case 0:
            value = f64_of_bits(nb_random_u64(random));
            break;
        case 1:
            value = nb_random_normal(random) * pow(10, (double)nb_random_below(random, 20) - 10);
            break;
        default:
            value = (double)(int64_t)nb_random_below(random, 2000001) / 16384 - 61;
        }
        if (isfinite(value))
            return value;
    }
}

static void fixed_and_general_as_printf(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 1);
    for (int i = 0; i < 1000000; i++) {
        double value = random_number(&random);
        int digits = (int)nb_random_below(&random, 18);
        char ours[512], theirs[512];
        snprintf(theirs, sizeof theirs, "%.*f", digits, value);
        if (strcmp(nb_print_fixed(ours, sizeof ours, value, digits), theirs) != 0)
            fail_msg("%%.%df of %a: %s, not %s", digits, value, ours, theirs);
        snprintf(theirs, sizeof theirs, "%.*g", digits, value);
        if (strcmp(nb_print_general(ours, sizeof ours, value, digits), theirs) != 0)
            fail_msg("%%.%dg of %a: %s, not %s", digits, value, ours, theirs);
    }
}

/* "%.{n-1}e" for the fewest n that reads back is what a shortest printer can only shorten or equal. */
static int fewest_digits_by_trial(double value, bool is_f32)
{
    for (int n = 1; n < 17; n++) {
        char text[64];
        snprintf(text, sizeof text, "%.*e", n - 1, value);
        if (is_f32 ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            return n;
    }
    return 17;
}

static int count_digits(const char *text)
{
    int n = 0, trailing = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (n == 0 && *text == '0'))
            continue;
        n++;
        trailing = *text == '0' ? trailing + 1 : 0;
    }
    return n - trailing;
}

static void shortest_reads_back(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 2);
    for (int i = 0; i < 100000; i++) {
        double value = random_number(&random);
        char text[32];
        nb_print_f64(text, sizeof text, value);
        assert_true(strtod(text, NULL) == value);
        assert_true(count_digits(text) <= fewest_digits_by_trial(value, false));

        float single = f32_of_bits((uint32_t)nb_random_u64(&random));
        if (!isfinite(single))
            continue;
        nb_print_f32(text, sizeof text, single);
        assert_true(strtof(text, NULL) == single);
        assert_true(count_digits(text) <= fewest_digits_by_trial((double)single, true));
    }
    /* Powers of two have a nearer neighbour below than above. */
    for (int exponent = -1074; exponent <= 1023; exponent++) {
        char text[32];
        double value = ldexp(1, exponent);
        assert_true(strtod(nb_print_f64(text, sizeof text, value), NULL) == value);
        assert_true(count_digits(text) <= fewest_digits_by_trial(value, false));
    }
}

static void shortest_of_known_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {0.1, "0.1"},
        {1, "1"},
        {-2.5, "-2.5"},
        {1e21, "1e+21"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {9007199254740993.0, "9007199254740992"},
        {0x1p-44, "5.684341886080802e-14"}, /* a tie between ...801 and ...802 */
        {9.5367431640625e-07, "9.5367431640625e-07"},
        /* 2^-1017: the nearest of 16 digits does not read back, the next one above does. */
        {0x1p-1017, "7.120236347223045e-307"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        assert_string_equal(nb_print_f64(text, sizeof text, cases[i].value), cases[i].text);
    }
    char text[32];
    assert_string_equal(nb_print_f32(text, sizeof text, 0.1f), "0.1");
    assert_string_equal(nb_print_f32(text, sizeof text, 3.4028235e38f), "3.4028235e+38");
    assert_string_equal(nb_print_f32(text, sizeof text, 0x1p-149f), "1e-45");
    assert_string_equal(nb_print_f32(text, sizeof text, 16777216.0f), "16777216");
    assert_string_equal(nb_print_f32(text, sizeof text, 1.0f / 3), "0.33333334");
}

static void exact_digits(void **state)
{
    (void)state;
    char text[1200];
    assert_string_equal(nb_print_exact(text, sizeof text, (double)0.1f), "0.100000001490116119384765625");
    assert_string_equal(nb_print_exact(text, sizeof text, 0x1p100), "1267650600228229401496703205376");
    assert_string_equal(nb_print_exact(text, sizeof text, -0.5), "-0.5");
    assert_string_equal(nb_print_exact(text, sizeof text, 0), "0");
    nb_print_exact(text, sizeof text, -0x1p-1074);
    assert_int_equal(strlen(text), 1077);

    nb_random random;
    nb_random_seed(&random, 3);
    for (int i = 0; i < 20000; i++) {
        double value = i ? random_number(&random) : 0x1p-1074;
        char theirs[1500];
        snprintf(theirs, sizeof theirs, "%.1074f", value);
        char *end = theirs + strlen(theirs);
        while (end[-1] == '0')
            *--end = 0;
        if (end[-1] == '.')
            *--end = 0;
        assert_string_equal(nb_print_exact(text, sizeof text, value), theirs);
    }
}

static void small_buffers(void **state)
{
    (void)state;
    char text[32];
    memset(text, 'x', sizeof text);
    nb_print_fixed(text, 5, 3.14159, 2);
    assert_memory_equal(text, "3.14\0x", 6);
    assert_string_equal(nb_print_exact(text, 6, 0.1), "0.100");
    assert_string_equal(nb_print_fixed(text, sizeof text, 1e300, 2), "1e+300");
    assert_string_equal(nb_print_fixed(text, 6, 123456.789, 3), "1.23e");
    text[0] = 'x';
    nb_print_f64(text, 0, 1.5);
    assert_int_equal(text[0], 'x');
}

static void counts_and_bytes(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(nb_print_count(text, sizeof text, 0), "0");
    assert_string_equal(nb_print_count(text, sizeof text, 999), "999");
    assert_string_equal(nb_print_count(text, sizeof text, 1000), "1,000");
    assert_string_equal(nb_print_count(text, sizeof text, 1234567), "1,234,567");
    assert_string_equal(nb_print_count(text, sizeof text, UINT64_MAX), "18,446,744,073,709,551,615");
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1999, "1999 B"},
        {2000, "2.00 kB"},
        {9994, "9.99 kB"},
        {9995, "10.0 kB"},
        {99949, "99.9 kB"},
        {99950, "100 kB"},
        {393216, "393 kB"},
        {1572864, "1573 kB"},
        {1999499, "1999 kB"},
        {1999500, "2.00 MB"},
        {2050000, "2.05 MB"},
        {6900000, "6.90 MB"},
        {60816028, "60.8 MB"},
        {1100000000, "1100 MB"},
        {4400048128, "4.40 GB"},
        {UINT64_MAX, "18.4 EB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(nb_print_bytes(text, sizeof text, cases[i].n), cases[i].text);
}

static void parse_as_strtod(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 4);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        if (i % 2)
            snprintf(text, sizeof text, "%.*e", (int)nb_random_below(&random, 20), random_number(&random));
        else
            snprintf(text, sizeof text, "%llu.%llue%d",
                     (unsigned long long)nb_random_u64(&random) >> (i % 64),
                     (unsigned long long)nb_random_u64(&random), (int)nb_random_below(&random, 700) - 360);
        double ours = -1, theirs = strtod(text, NULL);
        assert_int_equal(nb_parse_f64(text, &ours), strlen(text));
        if (memcmp(&ours, &theirs, sizeof ours) != 0)
            fail_msg("%s read as %a, not %a", text, ours, theirs);
    }
}

/* Midpoints between neighbours in all their digits, and a little beside them. */
static void parse_ties(void **state)
{
    (void)state;
    nb_random random;
    nb_random_seed(&random, 5);
    for (int i = 0; i < 2000; i++) {
        uint64_t m = nb_random_u64(&random) >> 11 | UINT64_C(1) << 52; /* 53 bits: m and m + 1 are f64 */
        int shift = (int)nb_random_below(&random, 10);
        unsigned long long midpoint = (unsigned long long)((2 * m + 1) << shift); /* twice m + 1/2 */
        char text[900];
        double ours;
        snprintf(text, sizeof text, "%llu", midpoint);
        nb_parse_f64(text, &ours);
        assert_true(ours == ldexp((double)(m + m % 2), shift + 1));
        snprintf(text, sizeof text, "%llu.%0790d1", midpoint, 0);
        nb_parse_f64(text, &ours);
        assert_true(ours == ldexp((double)(m + 1), shift + 1));
        snprintf(text, sizeof text, "%llu.%0*d", midpoint - 1, 780, 0);
        memset(strchr(text, '.') + 1, '9', 780);
        nb_parse_f64(text, &ours);
        assert_true(ours == ldexp((double)m, shift + 1));
    }
}

static void parse_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        double value;
    } cases[] = {
        {"12", 2, 12},
        {"1.5x", 3, 1.5},
        {".5", 2, 0.5},
        {"1.", 2, 1},
        {"-0", 2, -0.0},
        {"+3", 2, 3},
        {"1e5", 3, 1e5},
        {"1e", 1, 1},
        {"1e+", 1, 1},
        {"1E-2,", 4, 0.01},
        {"1e999", 5, INFINITY},
        {"1e-999", 6, 0},
        {"0e999", 5, 0},
        {"0x10", 1, 0},
        {"1e99999999999", 13, INFINITY},
        {"00012.500", 9, 12.5},
        {"-1e-400", 7, -0.0},
        {"179769313486231580793e289", 25, INFINITY},
        {"2.4703282292062327208e-324", 26, 0},
        {"2.4703282292062327209e-324", 26, 0x1p-1074},
        {"1.7976931348623158e308", 22, 1.7976931348623157e308},
        {"2.2250738585072011e-308", 23, 0x0.fffffffffffffp-1022},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 77;
        assert_int_equal(nb_parse_f64(cases[i].text, &value), cases[i].n);
        assert_memory_equal(&value, &cases[i].value, sizeof value);
    }
    static const char *const none[] = {"", "-", ".", "e5", "nan", "inf", " 1", "+-1", "x", "-.", ".e1"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        double value = 77;
        assert_int_equal(nb_parse_f64(none[i], &value), 0);
        assert_true(value == 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_and_general_as_printf),
        cmocka_unit_test(shortest_reads_back),
        cmocka_unit_test(shortest_of_known_numbers),
        cmocka_unit_test(exact_digits),
        cmocka_unit_test(small_buffers),
        cmocka_unit_test(counts_and_bytes),
        cmocka_unit_test(parse_as_strtod),
        cmocka_unit_test(parse_ties),
        cmocka_unit_test(parse_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
