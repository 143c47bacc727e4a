/* One number taken apart: `bits` and `range`. */
#include "formats/anatomy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void published_thirds(void **state)
{
    (void)state;
    static const struct {
        const char *format, *exact, *sign, *exponent, *fraction;
    } cases[] = {
        {"f32", "0.3333333432674407958984375", "0", "01111101", "01010101010101010101011"},
        {"f16", "0.333251953125", "0", "01101", "0101010101"},
        {"bf16", "0.333984375", "0", "01111101", "0101011"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nb_anatomy a;
        nb_anatomy_of(1.0 / 3, nb_format_find(cases[i].format), &a);
        assert_string_equal(a.exact, cases[i].exact);
        assert_string_equal(a.sign, cases[i].sign);
        assert_string_equal(a.exponent, cases[i].exponent);
        assert_string_equal(a.fraction, cases[i].fraction);
        assert_string_equal(a.kind, "normal");
        assert_int_equal(a.exponent_value, -2);
        assert_true(a.error == a.value - 1.0 / 3);
        assert_true(a.below < 1.0 / 3 && 1.0 / 3 < a.above);
    }
}

static void kinds_and_neighbours(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        double asked;
        uint32_t code;
        const char *kind;
        int exponent;
        double value, below, above;
    } cases[] = {
        {"f16", 0.1, 0x2e66, "normal", -4, 0.0999755859375, 0x1.994p-4, 0x1.99cp-4},
        {"f16", 0, 0, "zero", -14, 0, -0x1p-24, 0x1p-24},
        {"f16", -0.0, 0x8000, "zero", -14, -0.0, -0x1p-24, 0x1p-24},
        {"f16", 0x1p-24, 1, "subnormal", -14, 0x1p-24, 0, 0x1p-23},
        {"f16", -0x1p-24, 0x8001, "subnormal", -14, -0x1p-24, -0x1p-23, 0},
        {"f16", 65504, 0x7bff, "normal", 15, 65504, 65472, INFINITY},
        {"f16", -70000, 0xfc00, "infinity", 16, -INFINITY, NAN, -65504},
        {"f16", INFINITY, 0x7c00, "infinity", 16, INFINITY, 65504, NAN},
        {"f8_e4m3", 500, 0x7e, "normal", 8, 448, 416, NAN},
        {"f8_e4m3", -500, 0xfe, "normal", 8, -448, NAN, -416},
        {"f8_e5m2", 1e9, 0x7b, "normal", 15, 57344, 49152, INFINITY},
        {"f32", 1e300, 0x7f800000, "infinity", 128, INFINITY, 0x1.fffffep127, NAN},
        {"f32", 1, 0x3f800000, "normal", 0, 1, 0x1.fffffep-1, 0x1.000002p0},
        {"bf16", NAN, 0x7fc0, "NaN", 128, NAN, NAN, NAN},
        {"int4", 6.5, 6, "integer", 0, 6, 5, 7},
        {"int4", 99, 7, "integer", 0, 7, 6, NAN},
        {"int4", -8.4, 8, "integer", 0, -8, NAN, -7},
        {"int8", -1, 0xff, "integer", 0, -1, -2, 0},
        {"int8", -0.2, 0, "integer", 0, 0, -1, 1},
        {"int2", -INFINITY, 2, "integer", 0, -2, NAN, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nb_anatomy a;
        nb_anatomy_of(cases[i].asked, nb_format_find(cases[i].format), &a);
        assert_int_equal(a.code, cases[i].code);
        assert_string_equal(a.kind, cases[i].kind);
        assert_int_equal(a.exponent_value, cases[i].exponent);
        const double got[] = {a.value, a.below, a.above};
        const double wanted[] = {cases[i].value, cases[i].below, cases[i].above};
        for (int k = 0; k < 3; k++)
            if (!(got[k] == wanted[k] || (isnan(got[k]) && isnan(wanted[k]))))
                fail_msg("%s of %g: %g, not %g", cases[i].format, cases[i].asked, got[k], wanted[k]);
        assert_int_equal(signbit(a.value) != 0, signbit(cases[i].value) != 0);
    }
}

static void bits_of_integers(void **state)
{
    (void)state;
    nb_anatomy a;
    nb_anatomy_of(-3, nb_format_int(4), &a);
    assert_string_equal(a.sign, "");
    assert_string_equal(a.exponent, "");
    assert_string_equal(a.fraction, "1101");
    assert_string_equal(a.exact, "-3");
    nb_anatomy_of(NAN, nb_format_int(4), &a);
    assert_true(a.value == 0 && isnan(a.error));
}

/* An f64 is rounded once, not first to f32: these lie just beside a tie that f32 would make exact. */
static void no_double_rounding(void **state)
{
    (void)state;
    nb_anatomy a;
    double tie = 1 + 0x1p-11; /* between 1 and 1 + 2^-10 in f16 */
    nb_anatomy_of(tie, &nb_format_f16, &a);
    assert_int_equal(a.code, 0x3c00);
    nb_anatomy_of(nextafter(tie, 2), &nb_format_f16, &a);
    assert_int_equal(a.code, 0x3c01);
    nb_anatomy_of(nextafter(tie + 0x1p-10, 1), &nb_format_f16, &a);
    assert_int_equal(a.code, 0x3c01);
    nb_anatomy_of(nextafter(0x1p-25, 1), &nb_format_f16, &a); /* half the smallest subnormal */
    assert_int_equal(a.code, 1);
    nb_anatomy_of(nextafter(65520, 0), &nb_format_f16, &a);
    assert_int_equal(a.code, 0x7bff);
    nb_anatomy_of(-nextafter(1.0625, 2), &nb_format_f8_e4m3, &a);
    assert_int_equal(a.code, 0xb9);
    nb_anatomy_of(nextafter(0x1p-134, 1), &nb_format_bf16, &a);
    assert_int_equal(a.code, 1);
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        double min, max, min_normal, min_subnormal;
        uint64_t n_values;
        double epsilon;
        int digits;
    } cases[] = {
        {"f32", -0x1.fffffep127, 0x1.fffffep127, 0x1p-126, 0x1p-149, 4278190079, 0x1p-23, 6},
        {"f16", -65504, 65504, 0x1p-14, 0x1p-24, 63487, 0x1p-10, 3},
        {"bf16", -0x1.fep127, 0x1.fep127, 0x1p-126, 0x1p-133, 65279, 0x1p-7, 2},
        {"f8_e4m3", -448, 448, 0x1p-6, 0x1p-9, 253, 0x1p-3, 0},
        {"f8_e5m2", -57344, 57344, 0x1p-14, 0x1p-16, 247, 0x1p-2, 0},
        {"int8", -128, 127, 0, 0, 256, 1, 2},
        {"int5", -16, 15, 0, 0, 32, 1, 1},
        {"int4", -8, 7, 0, 0, 16, 1, 0},
        {"int2", -2, 1, 0, 0, 4, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nb_format_range r;
        nb_format_range_of(nb_format_find(cases[i].format), &r);
        assert_true(r.min == cases[i].min && r.max == cases[i].max);
        assert_true(r.min_normal == cases[i].min_normal && r.min_subnormal == cases[i].min_subnormal);
        assert_int_equal(r.n_values, cases[i].n_values);
        assert_true(r.epsilon == cases[i].epsilon);
        assert_int_equal(r.decimal_digits, cases[i].digits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_thirds), cmocka_unit_test(kinds_and_neighbours),
        cmocka_unit_test(bits_of_integers), cmocka_unit_test(no_double_rounding),
        cmocka_unit_test(ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
