#include "tests/formats/check_float.h"

static void every_code(void **state)
{
    (void)state;
    check_all_codes(&nb_format_f16);
    for (uint32_t code = 0; code < 0x10000; code++) {
        uint32_t magnitude = code & 0x7fff;
        float value = nb_f32_from_f16((uint16_t)code);
        if (magnitude == 0x7c00) {
            assert_int_equal(bits_of(value), code & 0x8000 ? 0xff800000 : 0x7f800000);
            assert_int_equal(nb_f16_from_f32(value), code);
        } else if (magnitude > 0x7c00) {
            /* Widened with its payload, made quiet; narrowed to the same code, made quiet. */
            assert_int_equal(bits_of(value), (code & 0x8000) << 16 | 0x7fc00000 | (code & 0x3ff) << 13);
            assert_int_equal(nb_f16_from_f32(value), code | 0x200);
        }
    }
}

static void every_boundary(void **state)
{
    (void)state;
    check_all_midpoints(&nb_format_f16);
    check_nearest(&nb_format_f16, 1000000);
    check_rows(&nb_format_f16);
}

static void published(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t code;
    } cases[] = {
        {1.0f / 3, 0x3555},  {0.1f, 0x2e66},     {65504, 0x7bff},    {65519.996f, 0x7bff},
        {65520, 0x7c00},     {0x1p-24f, 0x0001}, {0x1p-25f, 0x0000}, {2049, 0x6800},
        {2051, 0x6802},      {-0.0f, 0x8000},    {INFINITY, 0x7c00}, {0x1.00001p-25f, 0x0001},
        {-INFINITY, 0xfc00}, {3.4e38f, 0x7c00},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nb_f16_from_f32(cases[i].value), cases[i].code);
}

static void nan_stays_nan(void **state)
{
    (void)state;
    static const uint32_t nans[] = {0x7f800001, 0x7fffffff, 0x7fc00000, 0xff800001, 0xffc01234, 0x7f801fff};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
        uint16_t code = nb_f16_from_f32(of_bits(nans[i]));
        assert_true((code & 0x7fff) > 0x7c00);
        assert_int_equal(code & 0x8000, nans[i] >> 16 & 0x8000);
        assert_true(isnan(nb_f32_from_f16(code)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code),
        cmocka_unit_test(every_boundary),
        cmocka_unit_test(published),
        cmocka_unit_test(nan_stays_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
