/* Dots: bitmaps as gnuplot writes them, characters as Unicode numbers their dots. */
#include "plots/braille.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Unicode, block Braille Patterns: dot n is bit n - 1; dots 1 2 3 7 go down the left column, 4 5 6 8 down
 * the right one. */
static void test_every_pattern(void **state)
{
    (void)state;
    static const struct {
        int x, y;
    } dot[8] = {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {0, 3}, {1, 3}};
    for (unsigned pattern = 0; pattern < 256; pattern++) {
        uint8_t rows[4] = {0};
        for (int k = 0; k < 8; k++)
            if (pattern >> k & 1)
                rows[dot[k].y] |= (uint8_t)(0x80 >> (dot[k].x + 4));
        nb_bitmap bitmap = {.width = 8, .height = 4, .stride = 1, .rows = rows};
        assert_int_equal(nb_braille_rune(&bitmap, 4, 0), 0x2800 + pattern);
    }
}

static void test_outside_is_blank(void **state)
{
    (void)state;
    const uint8_t rows[] = {0xff, 0xff};
    nb_bitmap bitmap = {.width = 3, .height = 2, .stride = 1, .rows = rows};
    assert_int_equal(nb_braille_rune(&bitmap, 0, 0), 0x2800 + 0x1b);  /* dots 1 2 4 5 */
    assert_int_equal(nb_braille_rune(&bitmap, 2, 0), 0x2800 + 0x03);  /* the picture ends after a column */
    assert_int_equal(nb_braille_rune(&bitmap, 0, -3), 0x2800 + 0xc0); /* dots 7 8 */
    assert_int_equal(nb_braille_rune(&bitmap, 40, 40), 0x2800);
}

static void test_two_pictures_in_a_row(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "P4\n9 2\n\x80\x00\x00\x80P4 8 1\n\xf0";
    nb_bitmap first, second;
    size_t n = nb_bitmap_read(bytes, sizeof(bytes) - 1, &first);
    assert_int_equal(n, 11);
    assert_int_equal(first.width, 9);
    assert_int_equal(first.height, 2);
    assert_int_equal(first.stride, 2);
    assert_int_equal(first.rows[3], 0x80);
    assert_int_equal(nb_bitmap_read(bytes + n, sizeof(bytes) - 1 - n, &second), sizeof(bytes) - 1 - n);
    assert_int_equal(second.rows[0], 0xf0);
}

static void test_bad_bitmaps(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "P",
        "P4",
        "P4\n",
        "P4\n8",
        "P4\n8 8",
        "P4\n8 8\n1234567",
        "P4\n0 5\nx",
        "P4\n8 0\nx",
        "P5\n8 1\nx",
        "P4\n99999 99999\nx",
        "P4\n18446744073709551617 1\nx",
        "P4\n-8 1\nx",
        "<svg>",
    };
    nb_bitmap bitmap;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(nb_bitmap_read((const uint8_t *)bad[i], strlen(bad[i]), &bitmap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pattern),
        cmocka_unit_test(test_outside_is_blank),
        cmocka_unit_test(test_two_pictures_in_a_row),
        cmocka_unit_test(test_bad_bitmaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
