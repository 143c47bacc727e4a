#include "tests/formats/check_float.h"

static void every_code(void **state)
{
    (void)state;
    check_all_codes(&nb_format_bf16);
    for (uint32_t code = 0; code < 0x10000; code++) {
        bool is_nan = (code & 0x7fff) > 0x7f80;
        assert_int_equal(bits_of(nb_f32_from_bf16((uint16_t)code)), code << 16 | (is_nan ? 0x400000 : 0));
        assert_int_equal(nb_bf16_from_f32(nb_f32_from_bf16((uint16_t)code)), code | (is_nan ? 0x40 : 0));
    }
}

static void every_boundary(void **state)
{
    (void)state;
    check_all_midpoints(&nb_format_bf16);
    check_nearest(&nb_format_bf16, 1000000);
    check_rows(&nb_format_bf16);
}

static void published(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        uint16_t code;
    } cases[] = {
        {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81}, {0x7f800001, 0x7fc0},
        {0x7f7fffff, 0x7f80}, {0x3dcccccd, 0x3dcd}, {0x7fffffff, 0x7fff}, {0xff800000, 0xff80},
        {0x80000000, 0x8000}, {0xffffffff, 0xffff}, {0x00000001, 0x0000}, {0x00008001, 0x0001},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nb_bf16_from_f32(of_bits(cases[i].bits)), cases[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code),
        cmocka_unit_test(every_boundary),
        cmocka_unit_test(published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
