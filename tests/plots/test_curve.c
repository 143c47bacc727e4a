/* A curve in characters and as a picture: where its points stand, gaps, and what cannot be drawn. */
#include "plots/plots.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const nb_terminal characters = {.picture = NB_PICTURE_ASCII, .columns = 60, .rows = 20};

static char *render(const nb_figure *figure)
{
    char *out;
    size_t n;
    nb_error error = {""};
    if (nb_figure_render(figure, &characters, &out, &n, NULL, &error) != NB_OK)
        fail_msg("%s", error.text);
    return out;
}

/* The first line of the text, counted from 0, that has a mark in or after column `from` and before `to`. */
static int highest_mark(const char *text, size_t from, size_t to)
{
    int line = 0;
    for (const char *at = text; *at; at = strchr(at, '\n') + 1, line++) {
        const size_t n = strcspn(at, "\n");
        for (size_t i = from; i < to && i < n && line >= 3; i++)
            if (at[i] == '|')
                return line;
    }
    return -1;
}

static void test_falls(void **state)
{
    (void)state;
    double values[50];
    for (size_t i = 0; i < 50; i++)
        values[i] = i == 24 || i == 25 ? NAN : 7.5 - 6.0 * (double)i / 49;
    const nb_figure figure = {.kind = NB_FIGURE_CURVE,
                              .headline = "It falls",
                              .subline = "from 7.5 to 1.5",
                              .x_label = "step",
                              .x_low = 1,
                              .x_high = 500,
                              .n = 50,
                              .before = {"loss", values},
                              .sentence = "It falls."};
    char *text = render(&figure);
    const int left = highest_mark(text, 8, 14), middle = highest_mark(text, 20, 26), right = highest_mark(text, 52, 60);
    if (!(left > 0 && left < middle && middle < right))
        fail_msg("marks at lines %d, %d, %d of\n%s", left, middle, right, text);
    assert_non_null(strstr(text, "It falls"));
    assert_non_null(strstr(text, "500"));
    free(text);
}

static void test_refused(void **state)
{
    (void)state;
    const double one[1] = {NAN};
    char *out;
    size_t n;
    nb_error error;
    nb_figure figure = {.kind = NB_FIGURE_CURVE, .x_high = 1, .sentence = "Nothing."};
    assert_int_equal(nb_figure_render(&figure, &characters, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
    figure.n = 1;
    figure.before.values = one;
    out = render(&figure);
    assert_non_null(strstr(out, "no value is a number"));
    free(out);
    figure.x_low = 2;
    assert_int_equal(nb_figure_render(&figure, &characters, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_falls),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
