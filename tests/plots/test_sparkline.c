/* A distribution in one line. */
#include "plots/plots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check(const uint64_t *counts, size_t n, bool utf8, size_t size, const char *expected)
{
    char text[128];
    memset(text, 'x', sizeof(text));
    nb_sparkline(counts, n, utf8, text, size);
    assert_string_equal(text, expected);
    for (size_t i = size; i < sizeof(text); i++)
        assert_int_equal(text[i], 'x'); /* nothing is written beyond */
}

static void test_levels(void **state)
{
    (void)state;
    static const uint64_t ramp[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    check(ramp, 9, true, 64, " ▁▂▃▄▅▆▇█");
    check(ramp, 9, false, 64, " .:-=+*#%");
}

static void test_edges(void **state)
{
    (void)state;
    static const uint64_t rare[] = {1, 1000000, 0}, none[] = {0, 0, 0},
                          huge[] = {UINT64_MAX, UINT64_MAX / 2, 1};
    check(rare, 3, true, 64, "▁█ "); /* what is there is seen */
    check(none, 3, true, 64, "   ");
    check(huge, 3, false, 64, "%=.");
    check(huge, 0, false, 64, "");
    check(rare, 3, true, 4, "▁"); /* whole characters only: each takes 3 bytes */
    check(rare, 3, true, 6, "▁");
    check(rare, 3, true, 1, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
