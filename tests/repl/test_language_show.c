/* How values are shown, beside what numpy prints: array2string(x, separator=", ", max_line_width=68),
 * numpy 1.24, of f32 arrays, and of integer arrays where all numbers are whole. Lengths without brackets
 * around them: vectors that fit on a line stand there without padding, which is nibble's own. */
#include "repl/language/language.h"
#include "repl/language/show.h"
#include "tests/support/cells.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static void test_vectors(void **state)
{
    cells *c = *state;
    gives(c, "[28, -12, -101]", "[28, -12, -101]");
    gives(c, "[1.2, -0.5, -4.3]", "[1.2, -0.5, -4.3]");
    gives(c, "[1.5, 2]", "[1.5, 2]");
    gives(c, "[1, nan, -inf]", "[1, nan, -inf]");
    gives(c, "range(40) / 8",
          "[0.   , 0.125, 0.25 , 0.375, 0.5  , 0.625, 0.75 , 0.875, 1.   ,\n"
          " 1.125, 1.25 , 1.375, 1.5  , 1.625, 1.75 , 1.875, 2.   , 2.125,\n"
          " 2.25 , 2.375, 2.5  , 2.625, 2.75 , 2.875, 3.   , 3.125, 3.25 ,\n"
          " 3.375, 3.5  , 3.625, 3.75 , 3.875, 4.   , 4.125, 4.25 , 4.375,\n"
          " 4.5  , 4.625, 4.75 , 4.875]");
    gives(c, "-range(40)",
          "[  0,  -1,  -2,  -3,  -4,  -5,  -6,  -7,  -8,  -9, -10, -11, -12,\n"
          " -13, -14, -15, -16, -17, -18, -19, -20, -21, -22, -23, -24, -25,\n"
          " -26, -27, -28, -29, -30, -31, -32, -33, -34, -35, -36, -37, -38,\n"
          " -39]");
}

static void test_matrices(void **state)
{
    cells *c = *state;
    gives(c, "[[1, 2.5], [3, -4.125]]", "[[ 1.   ,  2.5  ],\n [ 3.   , -4.125]]");
    gives(c, "[[0.1, 100], [3, 4]]", "[[  0.1, 100. ],\n [  3. ,   4. ]]");
    gives(c, "[[0.1, 1234.5]]", "[[1.0000e-01, 1.2345e+03]]");
    gives(c, "[[1e-5, 2.5], [-1, 3]]", "[[ 1.0e-05,  2.5e+00],\n [-1.0e+00,  3.0e+00]]");
    gives(c, "[[nan, 1.5], [inf, -2]]", "[[ nan,  1.5],\n [ inf, -2. ]]");
    gives(c, "[[123456.78, 1], [2, 3]]",
          "[[1.2345678e+05, 1.0000000e+00],\n [2.0000000e+00, 3.0000000e+00]]");
    gives(c, "[[1e-4, 0.05], [0.01, 0.05]]", "[[1.e-04, 5.e-02],\n [1.e-02, 5.e-02]]");
    gives(c, "[[3e8, 1], [2, 3]] / 2", "[[1.5e+08, 5.0e-01],\n [1.0e+00, 1.5e+00]]");
    gives(c, "[[0.00012345678, 0.1]]", "[[0.00012346, 0.1       ]]");
    gives(c, "reshape(range(12), 3, 4) / 3",
          "[[0.        , 0.33333334, 0.6666667 , 1.        ],\n"
          " [1.3333334 , 1.6666666 , 2.        , 2.3333333 ],\n"
          " [2.6666667 , 3.        , 3.3333333 , 3.6666667 ]]");
    gives(c, "[[[1, 2], [3, 4.5]], [[5, 6], [7, 8]]]",
          "[[[1. , 2. ],\n  [3. , 4.5]],\n\n [[5. , 6. ],\n  [7. , 8. ]]]");
}

/* More than a thousand numbers: what they are, and the first and last three in each direction. */
static void test_large(void **state)
{
    cells *c = *state;
    gives(c, "range(2000)",
          "2000 numbers, from 0 to 1999, mean 1e+03, std 577.4\n[   0,    1,    2, ..., 1997, 1998, 1999]");
    gives(c, "reshape(range(2000), 40, 50)",
          "40 x 50, from 0 to 1999, mean 1e+03, std 577.4\n"
          "[[   0,    1,    2, ...,   47,   48,   49],\n"
          " [  50,   51,   52, ...,   97,   98,   99],\n"
          " [ 100,  101,  102, ...,  147,  148,  149],\n"
          " ...,\n"
          " [1850, 1851, 1852, ..., 1897, 1898, 1899],\n"
          " [1900, 1901, 1902, ..., 1947, 1948, 1949],\n"
          " [1950, 1951, 1952, ..., 1997, 1998, 1999]]");
    assert_int_equal(cells_run(c, "reshape(range(3000), 10, 10, 30)"), NB_OK);
    assert_non_null(strstr(nb_draft_text(&c->value), "  [ 210,  211,  212, ...,  237,  238,  239],\n"
                                                     "  [ 240,  241,  242, ...,  267,  268,  269],\n"
                                                     "  [ 270,  271,  272, ...,  297,  298,  299]],\n\n"
                                                     " [[ 300,  301,  302, ...,  327,  328,  329],"));
}

static void test_numbers(void **state)
{
    cells *c = *state;
    gives(c, "5.4 / 127", "0.042519685");
    gives(c, "0.1 + 0.2", "0.3");
    gives(c, "1.13e-7", "1.13e-07");
    gives(c, "123456789", "123456789");
    gives(c, "2^60", "1.1529215e+18");
    gives(c, "[0.1][0]", "0.1"); /* an f32's 0.1 */
    gives(c, "digits([0.1][0], 17)", "\"0.10000000149011612\"");
    gives(c, "0 / 0", "nan");
}

/* No line is wider than 68, so that Out[n] fits before it. */
static void test_width(void **state)
{
    cells *c = *state;
    static const char *const wide[] = {"randn(50, 50, seed=1)", "randn(30, seed=1) * 1e9",
                                       "randn(3, 4, 5, seed=2)", "randn(100, seed=3)",
                                       "rand(7, 9, seed=1) / 1e6"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        assert_int_equal(cells_run(c, wide[i]), NB_OK);
        for (const char *row = nb_draft_text(&c->value); *row;
             row += strcspn(row, "\n") + (strchr(row, '\n') != NULL))
            assert_true(strcspn(row, "\n") <= NB_SHOW_WIDTH);
    }
}

static void test_others(void **state)
{
    cells *c = *state;
    gives(c, "\"text\"", "\"text\"");
    gives(c, "[\"a\", 1, [1, 2]]", "\"a\", 1, [1, 2]");
    gives(c, "[\"a\", [[1, 2], [3, 4]]]", "\"a\",\n[[1, 2],\n [3, 4]]");
    gives(c, "sqrt", "function sqrt(x)");
    gives(c, "def f(x) = x\nf", "function f, of your own");
    says(c, "print(\"\x05\x1b[31m\")", "??[31m"); /* nothing in a text steers the terminal */
}

#define test(f) cmocka_unit_test_setup_teardown(f, cells_open, cells_close)

int main(void)
{
    const struct CMUnitTest tests[] = {test(test_vectors), test(test_matrices), test(test_large),
                                       test(test_numbers), test(test_width),    test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
