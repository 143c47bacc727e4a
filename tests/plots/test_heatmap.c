/* A heatmap: which cell stands where, how strong it looks, and what cannot be drawn. */
#include "plots/figure.h"
#include "plots/plots.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static nb_figure matrix(const double *cells, size_t n_rows, size_t n_columns)
{
    return (nb_figure){.kind = NB_FIGURE_HEATMAP,
                       .headline = "Cells",
                       .x_label = "column",
                       .y_label = "row",
                       .x_low = -0.5,
                       .x_high = (double)n_columns - 0.5,
                       .y_low = -0.5,
                       .y_high = (double)n_rows - 0.5,
                       .cells = cells,
                       .n_rows = n_rows,
                       .n_columns = n_columns,
                       .before = {"below 0", NULL},
                       .after = {"above 0", NULL},
                       .sentence = "Cells."};
}

static char *render(const nb_figure *figure)
{
    const nb_terminal terminal = {.picture = NB_PICTURE_ASCII, .columns = 60, .rows = 20};
    char *out;
    size_t n;
    nb_error error = {""};
    if (nb_figure_render(figure, &terminal, &out, &n, NULL, &error) != NB_OK)
        fail_msg("%s", error.text);
    return out;
}

static const char *line_of(const char *text, int line)
{
    for (int i = 0; i < line; i++)
        text = strchr(text, '\n') + 1;
    return text;
}

/* Row 0 lies on top; strong is '#' above 0 and '=' below, nothing is blank, what is no number too. */
static void test_characters(void **state)
{
    (void)state;
    const double cells[] = {4, 0, -4, NAN, 2, -1};
    const nb_figure figure = matrix(cells, 2, 3);
    char *text = render(&figure);
    const char *upper = line_of(text, 4), *lower = line_of(text, 12);
    const size_t left = strcspn(upper, "|+") + 1, width = 59 - left;
    if (upper[left + width / 6] != '#' || upper[left + width / 2] != ' ' || lower[left + width / 6] != ' ' ||
        lower[left + width / 2] != '+' || upper[left + width * 5 / 6] != '=' ||
        lower[left + width * 5 / 6] != ',')
        fail_msg("cells stand elsewhere in\n%s", text);
    assert_null(strstr(text, "0.5")); /* rows and columns are numbered in whole numbers */
    free(text);
}

/* A lone strong cell among many is seen, however small the terminal. */
static void test_lone_cell(void **state)
{
    (void)state;
    static double cells[500 * 700];
    cells[123 * 700 + 456] = -3;
    const nb_figure figure = matrix(cells, 500, 700);
    char *text = render(&figure), *body = (char *)(uintptr_t)line_of(text, 2);
    assert_non_null(strchr(body, '='));
    free(text);
}

static void test_script(void **state)
{
    (void)state;
    const double cells[] = {0, 1, 2, 3, 4, NAN};
    const nb_figure figure = matrix(cells, 2, 3);
    const nb_palette palette = {"#ffffff", "#000000", "#777777", "#dddddd", "#0000ff", "#ff0000"};
    nb_axes axes;
    nb_error error;
    nb_buffer script = {0};
    assert_int_equal(nb_figure_heatmap.plan(&figure, &axes, &error), NB_OK);
    assert_true(axes.colour_low == 0 && axes.colour_high == 4 && axes.y_down);
    axes.area_width = axes.area_height = 500, axes.area_em = 20;
    nb_figure_heatmap.script(&script, &figure, &axes, NB_LAYER_ALL, &palette, 1000, 2.6);
    assert_non_null(strstr(script.bytes, "$cells << EOD\n0 1 2\n3 4 NaN\nEOD\n"));
    assert_non_null(strstr(script.bytes, "set cbrange [0:4]"));
    nb_buffer_free(&script);
    const double both[] = {-1, 0.5};
    const nb_figure signed_figure = matrix(both, 1, 2);
    assert_int_equal(nb_figure_heatmap.plan(&signed_figure, &axes, &error), NB_OK);
    assert_true(axes.colour_low == -1 && axes.colour_high == 1); /* 0 is pale */
}

static void test_refused(void **state)
{
    (void)state;
    const nb_terminal terminal = {.picture = NB_PICTURE_ASCII, .columns = 60, .rows = 20};
    const double cells[] = {NAN, INFINITY};
    char *out;
    size_t n;
    nb_error error;
    nb_figure figure = matrix(cells, 1, 2);
    out = render(&figure);
    assert_non_null(strstr(out, "no cell is a number"));
    free(out);
    figure.n_rows = 0;
    assert_int_equal(nb_figure_render(&figure, &terminal, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
    figure = matrix(cells, (size_t)1 << 40, (size_t)1 << 40);
    assert_int_equal(nb_figure_render(&figure, &terminal, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_lone_cell),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
