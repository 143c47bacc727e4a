/* `plot`: which figure comes of which value, with which numbers in it. */
#include "repl/notebook.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct desk {
    nb_notebook *notebook;
    nb_error error;
    nb_figure_kind kind;
    nb_figure figure; /* of the last cell: scalars only */
    double before[2000], after[2000], cells[100];
    char headline[200], sentence[600];
} desk;

static int open_desk(void **state)
{
    desk *d = calloc(1, sizeof *d);
    const nb_context_options options = {.n_threads = 1};
    if (!d || nb_notebook_create(&options, &d->notebook, &d->error) != NB_OK)
        return -1;
    *state = d;
    return 0;
}

static int close_desk(void **state)
{
    desk *d = *state;
    nb_notebook_destroy(&d->notebook);
    free(d);
    return 0;
}

static void copy(double *to, const double *from, size_t n, size_t most)
{
    for (size_t i = 0; from && i < n && i < most; i++)
        to[i] = from[i];
}

static void take(void *user, const nb_items *items, unsigned cell)
{
    desk *d = user;
    (void)cell;
    for (size_t i = 0; i < items->count; i++) {
        if (items->items[i].kind != NB_ITEM_FIGURE)
            continue;
        const nb_figure *figure = &items->items[i].figure;
        d->figure = *figure;
        copy(d->before, figure->before.values, figure->n, 2000);
        copy(d->after, figure->after.values, figure->n, 2000);
        copy(d->cells, figure->cells, figure->n_rows * figure->n_columns, 100);
        snprintf(d->headline, sizeof d->headline, "%s", figure->headline);
        snprintf(d->sentence, sizeof d->sentence, "%s", figure->sentence);
    }
}

static void draws(desk *d, const char *cell, nb_figure_kind kind)
{
    d->figure = (nb_figure){.kind = (nb_figure_kind)-1};
    if (nb_notebook_run(d->notebook, cell, strlen(cell), take, d, &d->error) != NB_OK)
        fail_msg("%s: %s", cell, d->error.text);
    if (d->figure.kind != kind)
        fail_msg("%s draws a figure of kind %d, not %d", cell, (int)d->figure.kind, (int)kind);
}

static void refuses(desk *d, const char *cell, const char *words)
{
    assert_int_not_equal(nb_notebook_run(d->notebook, cell, strlen(cell), take, d, &d->error), NB_OK);
    if (!strstr(d->error.text, words))
        fail_msg("%s: \"%s\" does not hold \"%s\"", cell, d->error.text, words);
}

static void test_curves(void **state)
{
    desk *d = *state;
    draws(d, "plot [1, 4, 9, -2]", NB_FIGURE_CURVE);
    assert_int_equal(d->figure.n, 4);
    assert_true(d->before[2] == 9 && d->before[3] == -2 && d->figure.x_low == 0 && d->figure.x_high == 3);
    assert_string_equal(d->sentence, "Curve of [1, 4, 9, -2]: 4 values from -2 to 9.");
    draws(d, "x = [1, 2, 3]; plot x * 2, abs(-x) --low 5 --high 7 --title \"Two lines\"", NB_FIGURE_CURVE);
    assert_true(d->before[1] == 4 && d->after[1] == 2 && d->figure.x_low == 5 && d->figure.x_high == 7);
    assert_string_equal(d->headline, "Two lines");
    draws(d, "plot -x", NB_FIGURE_CURVE);
    assert_true(d->before[0] == -1);
    draws(d, "plot (x + 1)", NB_FIGURE_CURVE);
    assert_true(d->before[0] == 2);
    /* Of many points the peaks stay. */
    draws(d, "y = zeros(100001); y[70000] = 3; y[70001] = -4; plot y", NB_FIGURE_CURVE);
    assert_true(d->figure.n <= 4000);
    assert_non_null(strstr(d->sentence, "from -4 to 3"));
    refuses(d, "plot x, [1, 2]", "as many points each: x has 3, [1, 2] 2");
    refuses(d, "plot 3", "plot draws arrays: 3 is a number");
    refuses(d, "plot x, x, x", "two arrays at most");
    refuses(d, "plot x,", "wants an expression");
    refuses(d, "plot [1, nan", "bracket");
}

static void test_histograms(void **state)
{
    desk *d = *state;
    draws(d, "plot hist [0, 0.1, 0.9, 1, nan] --bins 2", NB_FIGURE_HISTOGRAM);
    assert_int_equal(d->figure.n, 2);
    assert_true(d->before[0] == 2 && d->before[1] == 2 && d->figure.x_low == 0 && d->figure.x_high == 1);
    assert_non_null(strstr(d->sentence, "5 values from 0 to 1, 1 not finite"));
    draws(d, "plot hist [0, 1], [1, 3] --bins 3", NB_FIGURE_HISTOGRAM);
    assert_true(d->figure.x_high == 3 && d->before[0] == 1 && d->before[1] == 1 && d->after[1] == 1 &&
                d->after[2] == 1);
    draws(d, "plot histogram([1, 2, 2, 5], 4)", NB_FIGURE_HISTOGRAM);
    assert_true(d->figure.n == 4 && d->before[0] == 1 && d->before[1] == 2 && d->before[3] == 1 &&
                d->figure.x_high == 5);
    refuses(d, "plot hist [nan, nan]", "lower end");
    /* whole numbers: a bin each, or for equally many of them */
    draws(d, "plot hist [-2, 1, 1, nan], [0, 0, 1, 1]", NB_FIGURE_HISTOGRAM);
    assert_true(d->figure.n == 4 && d->figure.x_low == -2.5 && d->figure.x_high == 1.5 && d->figure.whole);
    assert_true(d->before[0] == 1 && d->before[1] == 0 && d->before[2] == 0 && d->before[3] == 2);
    assert_true(d->after[0] == 0 && d->after[1] == 0 && d->after[2] == 2 && d->after[3] == 2);
    draws(d, "plot hist range(1000)", NB_FIGURE_HISTOGRAM);
    assert_true(d->figure.n == 250 && d->figure.x_low == -0.5 && d->figure.x_high == 999.5);
    for (size_t i = 0; i < d->figure.n; i++)
        assert_true(d->before[i] == 4);
    draws(d, "plot hist [5, 5]", NB_FIGURE_HISTOGRAM);
    assert_true(d->figure.n == 1 && d->before[0] == 2 && d->figure.x_low == 4.5);
    draws(d, "plot hist [1, 2.5]", NB_FIGURE_HISTOGRAM);
    assert_true(d->figure.n == 81 && !d->figure.whole && d->figure.x_high == 2.5);
    draws(d, "plot hist [1, 16777216]", NB_FIGURE_HISTOGRAM);
    assert_true(d->figure.n == 81 && d->figure.x_low == 1);
}

static void test_heatmaps(void **state)
{
    desk *d = *state;
    draws(d, "m = reshape([1, -2, 3, 4, 5, 6], 2, 3); plot m", NB_FIGURE_HEATMAP);
    assert_true(d->figure.n_rows == 2 && d->figure.n_columns == 3 && d->cells[1] == -2 && d->cells[5] == 6);
    draws(d, "plot zeros(1000, 1000)", NB_FIGURE_HEATMAP);
    assert_true(d->figure.n_rows <= 256 && d->figure.n_columns <= 384);
    assert_non_null(strstr(d->sentence, "a cell is the strongest of 4 x 3"));
    draws(d, "plot m[0, :]", NB_FIGURE_CURVE);
    refuses(d, "plot zeros(2, 3, 4)", "2 x 3 x 4");
    refuses(d, "plot heatmap [1, 2]", "shows a matrix");
    refuses(d, "plot heatmap m, m", "one matrix");
}

static double place(const desk *d, size_t i)
{
    const nb_figure *f = &d->figure;
    return (double)(float)(f->x_low + (f->x_high - f->x_low) * (double)i / (double)(f->n - 1));
}

/* By the formula, with the scale as f16 stores it: 1/3 is 0.333251953125 there, 1.3/7 is 0.1856689453125. */
static void test_staircases(void **state)
{
    desk *d = *state;
    draws(d, "plot staircase absmax --bits 3", NB_FIGURE_STAIRCASE);
    const double s = 0.333251953125;
    assert_true(d->figure.x_low == -1.6 && d->figure.x_high == 1.6 && d->figure.clip_high == 3.5 * s);
    for (size_t i = 0; i < d->figure.n; i++) {
        const double code = fmin(fmax(rint((double)((float)place(d, i) / (float)s)), -3), 3);
        if (d->before[i] != s * code)
            fail_msg("Q(%g) is %g, not %g", place(d, i), d->before[i], s * code);
        assert_true(d->after[i] == d->before[i] - place(d, i));
    }
    assert_non_null(strstr(d->sentence, "7 steps"));

    draws(d, "plot staircase zeropoint --bits 3 --low -0.3 --high 1", NB_FIGURE_STAIRCASE);
    const double zs = 0.1856689453125;
    bool zero = false;
    for (size_t i = 0; i < d->figure.n; i++) {
        const double code = fmin(fmax(rint((double)((float)place(d, i) / (float)zs)) - 2, -4), 3);
        if (d->before[i] != zs * (code + 2))
            fail_msg("Q(%g) is %g, not %g", place(d, i), d->before[i], zs * (code + 2));
        zero = zero || d->before[i] == 0;
    }
    assert_true(zero);
    assert_non_null(strstr(d->sentence, "8 steps"));

    draws(d, "plot staircase int2", NB_FIGURE_STAIRCASE);
    assert_non_null(strstr(d->sentence, "3 steps"));
    draws(d, "plot staircase q4_0",
          NB_FIGURE_STAIRCASE); /* 16 codes of a block whose scale is its end / -8 */
    assert_non_null(strstr(d->sentence, "16 steps"));
    assert_true(d->before[0] == -1 && d->before[d->figure.n - 1] == 0.875);
    draws(d, "plot staircase f8_e4m3", NB_FIGURE_STAIRCASE);
    assert_true(fabs(d->figure.clip_high - 1) < 1e-6 && fabs(d->before[d->figure.n - 1] - 1) < 1e-6);
    draws(d, "def mine(x) = round(x * 2) / 2; plot staircase mine", NB_FIGURE_STAIRCASE);
    assert_string_equal(d->headline, "mine: 5 steps from -1 to 1");
    assert_true(d->before[0] == -1 && d->before[d->figure.n / 2] == 0);
    refuses(d, "plot staircase absmx", "did you mean absmax?");
    refuses(d, "plot staircase absmax --low 2 --high 1", "--low lies below --high");
    refuses(d, "def half(x) = x[0:2]; plot staircase half", "stairs need as many");
    refuses(d, "def bad(x) = x / 0; plot staircase bad", "which no stairs lead to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_curves, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_histograms, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_heatmaps, open_desk, close_desk),
        cmocka_unit_test_setup_teardown(test_staircases, open_desk, close_desk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
