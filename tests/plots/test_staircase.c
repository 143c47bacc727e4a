/* The stairs of a quantizer: where steps, walls and errors stand, as characters and as a script's data. */
#include "plots/figure.h"
#include "plots/plots.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 385 }; /* 1/128 apart */
static double q[N], errors[N];

/* Three steps: -1, 0, 1; walls at -0.5 and 0.5; from -1.5 to 1.5. */
static nb_figure three_steps(void)
{
    for (int i = 0; i < N; i++) {
        const double x = -1.5 + 3.0 * i / (N - 1);
        q[i] = x < -0.5 ? -1 : x > 0.5 ? 1 : 0;
        errors[i] = q[i] - x;
    }
    return (nb_figure){.kind = NB_FIGURE_STAIRCASE,
                       .headline = "Three steps",
                       .x_label = "x",
                       .y_label = "Q(x)",
                       .x_low = -1.5,
                       .x_high = 1.5,
                       .n = N,
                       .before = {"Q(x)", q},
                       .after = {"error", errors},
                       .clip_low = -1.2,
                       .clip_high = 1.2,
                       .note = "step s = 1",
                       .sentence = "Three steps from -1.5 to 1.5."};
}

static char *render(const nb_figure *figure, bool utf8)
{
    const nb_terminal terminal = {
        .picture = utf8 ? NB_PICTURE_BRAILLE : NB_PICTURE_ASCII, .utf8 = utf8, .columns = 67, .rows = 24};
    char *out;
    size_t n;
    nb_error error = {""};
    if (nb_figure_render(figure, &terminal, &out, &n, NULL, &error) != NB_OK)
        fail_msg("%s", error.text);
    return out;
}

/* The line (from 0) and the column of the first `run`; false if there is none. */
static bool find(const char *text, const char *run, int *line, int *column)
{
    *line = 0;
    for (const char *begin = text; *begin; begin = strchr(begin, '\n') + 1, ++*line) {
        const size_t n = strcspn(begin, "\n"), length = strlen(run);
        for (size_t i = 0; i + length <= n; i++) {
            if (strncmp(begin + i, run, length) == 0) {
                *column = (int)i;
                return true;
            }
        }
    }
    return false;
}

static void test_characters(void **state)
{
    (void)state;
    const nb_figure figure = three_steps();
    char *text = render(&figure, false);
    int top = 0, top_column = 0, bottom = 0, bottom_column = 0;
    assert_true(find(text, "+--------------------", &top,
                     &top_column)); /* the upper step begins with its wall's corner */
    assert_non_null(strstr(text, "Three steps"));
    /* From 0.5 on: two thirds of the 60 or so columns; the lower step ends in a corner at a third. */
    const int left = 6, width = 60;
    if (abs(top_column - (left + width * 2 / 3)) > 2)
        fail_msg("the upper step begins in column %d of\n%s", top_column, text);
    assert_true(find(text, "-----------+", &bottom, &bottom_column));
    assert_true(bottom > top);
    free(text);

    text = render(&figure, true);
    assert_non_null(strstr(text, "┏━━━"));
    assert_non_null(strstr(text, "━━━┛"));
    assert_non_null(strstr(text, "░"));
    assert_null(strstr(text, "┓")); /* nothing falls */
    free(text);
}

/* The data of the picture: both ends of each step, and nothing between them. */
static void test_script(void **state)
{
    (void)state;
    const nb_figure figure = three_steps();
    const nb_palette palette = {"#ffffff", "#000000", "#777777", "#dddddd", "#0000ff", "#ff0000"};
    nb_axes axes;
    nb_error error;
    nb_buffer script = {0};
    assert_int_equal(nb_figure_staircase.plan(&figure, &axes, &error), NB_OK);
    assert_true(axes.y_low == -1.5 && axes.y_high == 1.5);
    nb_figure_staircase.script(&script, &figure, &axes, NB_LAYER_ALL, &palette, 1000, 2.6);
    assert_non_null(strstr(
        script.bytes, "$stairs << EOD\n-1.5 -1 0.5\n-0.50390625 -1 -0.49609375\n-0.50390625 0 0.50390625\n"
                      "0.50390625 0 -0.50390625\n0.50390625 1 0.49609375\n1.5 1 -0.5\nEOD\n"));
    assert_non_null(strstr(script.bytes, "set object rectangle from 1.2,-1.5 to 1.5,1.5"));
    assert_non_null(strstr(script.bytes, "set object rectangle from -1.5,-1.5 to -1.2,1.5"));
    assert_non_null(strstr(script.bytes, "'clipped'"));
    assert_null(strstr(script.bytes, "step s = 1")); /* there is no whole step right of 0 */
    nb_buffer_free(&script);
}

static void test_refused(void **state)
{
    (void)state;
    const nb_terminal terminal = {.picture = NB_PICTURE_ASCII, .columns = 60, .rows = 20};
    char *out;
    size_t n;
    nb_error error;
    nb_figure figure = three_steps();
    q[7] = NAN;
    assert_int_equal(nb_figure_render(&figure, &terminal, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
    q[7] = -1;
    figure.x_high = figure.x_low;
    assert_int_equal(nb_figure_render(&figure, &terminal, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
    figure = three_steps();
    figure.n = 1;
    assert_int_equal(nb_figure_render(&figure, &terminal, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
