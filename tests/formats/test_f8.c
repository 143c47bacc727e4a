#include "tests/formats/check_float.h"

static const nb_format *const formats[] = {&nb_format_f8_e4m3, &nb_format_f8_e5m2};

static void every_code(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        check_all_codes(formats[i]);
    for (uint32_t sign = 0; sign < 0x100; sign += 0x80) {
        assert_true(isnan(nb_format_f8_e4m3.decode(sign | 0x7f)));
        assert_true((double)nb_format_f8_e5m2.decode(sign | 0x7c) == (sign ? -INFINITY : INFINITY));
        for (uint32_t code = 0x7d; code < 0x80; code++)
            assert_true(isnan(nb_format_f8_e5m2.decode(sign | code)));
    }
}

static void every_boundary(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        check_all_midpoints(formats[i]);
        check_nearest(formats[i], 1000000);
        check_rows(formats[i]);
    }
}

/* Everything beyond the largest finite number becomes it; NaN does not. */
static void saturates(void **state)
{
    (void)state;
    static const float large[] = {464, 464.1f, 480, 512, 57344, 61439, 61440, 65536, 3.4e38f, INFINITY};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        assert_int_equal(nb_format_f8_e4m3.encode(large[i]), 0x7e);
        assert_int_equal(nb_format_f8_e4m3.encode(-large[i]), 0xfe);
        if (large[i] >= 57344) {
            assert_int_equal(nb_format_f8_e5m2.encode(large[i]), 0x7b);
            assert_int_equal(nb_format_f8_e5m2.encode(-large[i]), 0xfb);
        }
    }
    static const uint32_t nans[] = {0x7f800001, 0x7fffffff, 0x7fc00000, 0xff800001, 0xffffffff};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++)
        for (int f = 0; f < 2; f++)
            assert_true(isnan(formats[f]->decode(formats[f]->encode(of_bits(nans[i])))));
}

static void published(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint8_t code;
    } e4m3[] = {{0.1f, 0x1d},    {0.3f, 0x2a},     {1, 0x38},  {-1, 0xb8}, {448, 0x7e}, {464, 0x7e},
                {0x1p-9f, 0x01}, {0x1p-10f, 0x00}, {17, 0x58}, {19, 0x5a}, {240, 0x77}, {-0.0f, 0x80}},
      e5m2[] = {{0.1f, 0x2e}, {0.3f, 0x35},  {57344, 0x7b}, {61439, 0x7b},    {9, 0x48},
                {11, 0x4a},   {-0.0f, 0x80}, {1, 0x3c},     {0x1p-16f, 0x01}, {0x1p-17f, 0x00}};
    for (size_t i = 0; i < sizeof e4m3 / sizeof *e4m3; i++)
        assert_int_equal(nb_format_f8_e4m3.encode(e4m3[i].value), e4m3[i].code);
    for (size_t i = 0; i < sizeof e5m2 / sizeof *e5m2; i++)
        assert_int_equal(nb_format_f8_e5m2.encode(e5m2[i].value), e5m2[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code),
        cmocka_unit_test(every_boundary),
        cmocka_unit_test(saturates),
        cmocka_unit_test(published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
