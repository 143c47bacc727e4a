/* A Pareto plot in characters and as a picture's script: where points and steps stand, and names that cover nothing. */
#include "plots/figure.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const nb_terminal characters = {.picture = NB_PICTURE_ASCII, .columns = 70, .rows = 22};

/* Increases over four decades; one point costs nothing, one is beaten. */
static const nb_figure_point points[] = {{"tiny", 1, 100, true},
                                         {"small", 2, 1, true},
                                         {"bad", 2.5, 10, false},
                                         {"large", 4, 0.01, true},
                                         {"whole", 6, 0, true}};

static nb_figure figure_of(const nb_figure_point *some, size_t n)
{
    return (nb_figure){.kind = NB_FIGURE_PARETO,
                       .headline = "What each byte buys",
                       .n = n,
                       .before = {"front", NULL},
                       .after = {"dominated", NULL},
                       .points = some,
                       .sentence = "Five ways."};
}

/* The row and column where `what` stands in the text. */
static void find(const char *text, const char *what, int *row, int *column)
{
    const char *at = strstr(text, what);
    if (!at)
        fail_msg("no %s in\n%s", what, text);
    *row = 0;
    const char *line = text;
    for (const char *end = strchr(line, '\n'); end && end < at; end = strchr(line, '\n')) {
        (*row)++;
        line = end + 1;
    }
    *column = (int)(at - line);
}

static void stands_where_it_belongs(void **state)
{
    (void)state;
    const nb_figure figure = figure_of(points, 5);
    char *text;
    size_t n;
    nb_error error;
    assert_int_equal(nb_figure_render(&figure, &characters, &text, &n, NULL, &error), NB_OK);
    int row[5], column[5];
    for (size_t i = 0; i < 5; i++)
        find(text, points[i].name, &row[i], &column[i]);
    assert_true(row[0] < row[2] && row[2] < row[1] && row[1] < row[3] && row[3] <= row[4]); /* low is good */
    assert_true(column[0] < column[1] && column[1] < column[3] && column[3] < column[4]);
    assert_non_null(strstr(text, "+100 "));
    assert_non_null(strstr(text, "+0.01 "));
    assert_non_null(strstr(text, "o front   . dominated"));
    size_t marks = 0;
    for (const char *c = strstr(text, "dominated"); *c; c++)
        marks += *c == 'o' && (c[1] == '-' || c[1] == '+' || c[-1] == ' ');
    assert_true(marks >= 4);
    free(text);
}

static void names_stay_apart(void **state)
{
    (void)state;
    nb_figure_point many[60];
    char names[60][12];
    for (int i = 0; i < 60; i++) {
        snprintf(names[i], sizeof names[i], "way-%02d", i);
        many[i] = (nb_figure_point){names[i], 1 + 0.02 * i, exp(-0.1 * i), i % 3 == 0};
    }
    const nb_figure figure = figure_of(many, 60);
    char *text;
    size_t n;
    nb_error error;
    assert_int_equal(nb_figure_render(&figure, &characters, &text, &n, NULL, &error), NB_OK);
    /* Whatever begins as a name is whole. */
    size_t whole = 0;
    for (const char *at = strstr(text, "way"); at; at = strstr(at + 1, "way")) {
        assert_int_equal(at[3], '-');
        assert_true(at[4] >= '0' && at[4] <= '5' && at[5] >= '0' && at[5] <= '9');
        whole++;
    }
    assert_in_range(whole, 4, 40);
    free(text);
}

static void refuses(void **state)
{
    (void)state;
    char *text;
    size_t n;
    nb_error error;
    nb_figure figure = figure_of(NULL, 0);
    assert_int_equal(nb_figure_render(&figure, &characters, &text, &n, NULL, &error), NB_ERR_ARGUMENT);
    const nb_figure_point odd = {"odd", NAN, 1, true}, same[] = {{"a", 1, 0, true}, {"b", 1, -1, true}};
    figure = figure_of(&odd, 1);
    assert_int_equal(nb_figure_render(&figure, &characters, &text, &n, NULL, &error), NB_ERR_ARGUMENT);
    figure = figure_of(same, 2); /* nothing is lost, nothing is larger: still a figure */
    assert_int_equal(nb_figure_render(&figure, &characters, &text, &n, NULL, &error), NB_OK);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stands_where_it_belongs), cmocka_unit_test(names_stay_apart),
                                       cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
