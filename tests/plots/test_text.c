/* Figures in characters: what is seen at 80 x 24 and narrower, and what odd data looks like. */
#include "base/memory.h"
#include "plots/plots.h"
#include "plots/words.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A bell and its 3-bit image: five of seven bins rounded away, a spike at zero. */
static const double before[21] = {1,   2,   5,   11, 23, 43, 74, 115, 161, 203, 220,
                                  203, 161, 115, 74, 43, 23, 11, 5,   2,   1};
static const double after[21] = {0, 1, 0, 0, 60, 0, 0, 310, 0, 0, 780, 0, 0, 310, 0, 0, 60, 0, 0, 2, 0};

static nb_figure make_figure(void)
{
    return (nb_figure){
        .kind = NB_FIGURE_HISTOGRAM,
        .headline = "3 bits leave seven values",
        .subline = "blk.0.attn_q · 1,496 weights · RMSE 2.1e-02",
        .x_label = "weight value",
        .y_label = "weights per bin",
        .x_low = -0.105,
        .x_high = 0.105,
        .n = 21,
        .before = {"before (f16)", before},
        .after = {"after (int3)", after},
        .note = "52.1% of weights round to 0",
        .sentence = "52.1% of the weights round to 0.",
    };
}

static char *render(const nb_figure *figure, nb_terminal terminal)
{
    const char *notice;
    nb_error error = {""};
    char *out;
    size_t n;
    assert_int_equal(nb_figure_render(figure, &terminal, &out, &n, &notice, &error), NB_OK);
    assert_string_equal(error.text, "");
    assert_string_equal(notice, "");
    assert_int_equal(strlen(out), n);
    return out;
}

/* No line is wider than the terminal less its last column, none is left out, and none ends in blanks. */
static void check_shape(const char *text, int columns, int rows)
{
    int n_lines = 0;
    for (const char *line = text; *line; n_lines++) {
        char copy[2048];
        size_t n = strcspn(line, "\n");
        assert_int_equal(line[n], '\n');
        assert_true(n < sizeof(copy));
        snprintf(copy, sizeof(copy), "%.*s", (int)n, line);
        assert_true(nb_words_width(copy, nb_width_columns) <= columns - 1);
        assert_true(n == 0 || line[n - 1] != ' ');
        line += n + 1;
    }
    assert_int_equal(n_lines, rows - 2);
}

static void test_80_by_24(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    char *text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 80, .rows = 24});
    assert_string_equal(text,
                        "3 bits leave seven values\n"
                        "blk.0.attn_q - 1,496 weights - RMSE 2.1e-02\n"
                        "weights per bin                                 o before (f16)   | after (int3)\n"
                        "    |                                     ^  52.1% of weights round to 0\n"
                        "    |                                   ||||\n"
                        "    |                         :::       ||||       :::\n"
                        "300 +                         |||       ||||       |||\n"
                        "    |                         |||       ||||       |||\n"
                        "    |                         |||       ||||       |||\n"
                        "    |                         |||       oooo       |||\n"
                        "200 +                         |||    ooo||||ooo    |||\n"
                        "    |                         |||oooo   ||||   oooo|||\n"
                        "    |                         |||       ||||       |||\n"
                        "    |                         ooo       ||||       ooo\n"
                        "    |                         |||       ||||       |||\n"
                        "100 +                     oooo|||       ||||       |||oooo\n"
                        "    |              ::::       |||       ||||       |||       ::::\n"
                        "    |              ooooooo    |||       ||||       |||    ooooooo\n"
                        "    |oooooooooooooo||||       |||       ||||       |||       ||||oooooooooooooo\n"
                        "  0 +-+------+------+------+------+-------+------+------+------+------+------+-\n"
                        "    -0.10  -0.08  -0.06  -0.04  -0.02     0    0.02   0.04   0.06   0.08   0.10\n"
                        "                                    weight value\n");
    check_shape(text, 80, 24);
    free(text);
}

static void test_60_columns(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    char *text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 60, .rows = 16});
    assert_string_equal(text, "3 bits leave seven values\n"
                              "blk.0.attn_q - 1,496 weights - RMSE 2.1e-02\n"
                              "weights per bin             o before (f16)   | after (int3)\n"
                              "    |              52.1% of weights round to 0\n"
                              "    |                  |||     ||     |||\n"
                              "    |                  |||     ||     |||\n"
                              "    |                  |||  oooooooo  |||\n"
                              "200 +                  |||oo   ||   oo|||\n"
                              "    |                  ooo     ||     ooo\n"
                              "    |          ...  ooo|||     ||     |||ooo  ...\n"
                              "    |ooooooooooooooo   |||     ||     |||   ooooooooooooooo\n"
                              "  0 +-+------------+------------+-----------+------------+-\n"
                              "    -0.10        -0.05          0         0.05         0.10\n"
                              "                          weight value\n");
    check_shape(text, 60, 16);
    free(text);
}

static void test_one_series_on_a_log_axis(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    figure.after.values = NULL;
    figure.log_y = true;
    char *text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 50, .rows = 14});
    assert_string_equal(text, "3 bits leave seven values\n"
                              "blk.0.attn_q - 1,496 weights - RMSE 2.1e-02\n"
                              "weights per bin                    | before (f16)\n"
                              "    |                 ..::::::..\n"
                              "100 +             ::||||||||||||||::\n"
                              "    |        ::||||||||||||||||||||||||::\n"
                              "    |      ||||||||||||||||||||||||||||||||\n"
                              "    |  ..||||||||||||||||||||||||||||||||||||..\n"
                              "    |::||||||||||||||||||||||||||||||||||||||||::\n"
                              "  1 +-+---------+----------+---------+---------+-\n"
                              "    -0.10     -0.05        0       0.05      0.10\n"
                              "                     weight value\n");
    free(text);
}

static void test_sizes(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    for (int columns = 40; columns <= 111; columns++)
        for (int rows = 12; rows <= 32; rows += 4) {
            char *text =
                render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = columns, .rows = rows});
            check_shape(text, columns, rows);
            assert_non_null(strstr(text, "before (f16)"));
            assert_non_null(strstr(text, "after (int3)"));
            assert_non_null(strstr(text, "52.1% of weights round to 0"));
            assert_non_null(strstr(text, "3 bits leave seven values"));
            free(text);
        }
    static const int small[][2] = {{39, 24}, {80, 11}, {1, 1}};
    for (size_t i = 0; i < 3; i++) {
        char *text =
            render(&figure,
                   (nb_terminal){.picture = NB_PICTURE_BRAILLE, .columns = small[i][0], .rows = small[i][1]});
        assert_string_equal(text, "52.1% of the weights round to 0.\n"); /* no room: in words */
        free(text);
    }
}

static void test_colour(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    nb_terminal terminal = {
        .is_terminal = true, .utf8 = true, .picture = NB_PICTURE_ASCII, .columns = 80, .rows = 24};
    char *plain = render(&figure, terminal);
    assert_null(strchr(plain, '\033')); /* NO_COLOR, or no terminal */
    for (const char *at = plain; *at; at++)
        assert_true((unsigned char)*at < 0x80);
    terminal.colour = true;
    char *coloured = render(&figure, terminal), *kept = coloured;
    assert_non_null(strstr(coloured, "\033[1m3 bits leave seven values\033[0m\n"));
    assert_non_null(strstr(coloured, "\033[38;5;67mo \033[0mbefore (f16)"));
    assert_non_null(strstr(coloured, "\033[38;5;166m|"));
    for (const char *at = coloured; *at; at++) { /* without its colours it is the plain one */
        if (*at == '\033')
            at = strchr(at, 'm');
        else
            *kept++ = *at;
    }
    *kept = '\0';
    assert_string_equal(coloured, plain);
    terminal.truecolour = true;
    char *exact = render(&figure, terminal);
    assert_non_null(strstr(exact, "\033[38;2;217;98;43m"));
    free(plain);
    free(coloured);
    free(exact);
}

static void test_hostile_words(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    figure.headline = figure.subline = figure.x_label = figure.y_label = figure.note = figure.before.label =
        figure.after.label = figure.sentence = "\033]0;owned\007\033[2J\n\r\x9b"
                                               "31mX";
    for (int picture = NB_PICTURE_ASCII; picture <= NB_PICTURE_NONE; picture++) {
        char *text = render(
            &figure, (nb_terminal){.utf8 = true, .picture = (nb_picture)picture, .columns = 80, .rows = 24});
        assert_null(strpbrk(text, "\033\007\r\x9b"));
        free(text);
    }
}

static void test_long_names(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    figure.headline = "Four bits a weight, groups of 32, absmax";
    figure.subline = "model.layers.31.self_attn.q_proj.weight0 · 1,048,576 weights · RMSE 3.1e-03";
    char *text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 80, .rows = 24});
    assert_non_null(
        strstr(text, "\nmodel.layers.31.self_attn.q_proj.weight0 - 1,048,576 weights - RMSE 3.1e-03\n"));
    free(text);
    text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 60, .rows = 24});
    assert_non_null(strstr(text, " - 1,048,576 weights - RMSE 3.1e-03\n")); /* the name gave way */
    free(text);
}

/* ---- odd data ---- */

static void test_degenerate(void **state)
{
    (void)state;
    static const double zeros[21], one[1] = {100}, tiny[3] = {1e-300, 0, 1e-300}, huge[3] = {1e300, 1e308, 0};
    static const nb_picture pictures[] = {NB_PICTURE_ASCII, NB_PICTURE_BRAILLE, NB_PICTURE_KITTY};
    struct {
        const double *values;
        size_t n;
        double low, high;
    } cases[] = {
        {zeros, 21, -1, 1},   {one, 1, 0.25, 0.25},     {one, 1, 0, 0},   {one, 1, -1, 1},
        {tiny, 3, 0, 1e-300}, {huge, 3, -1e300, 1e300}, {zeros, 1, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int k = 0; k < 2 * 2 * 3; k++) {
            nb_figure figure = make_figure();
            figure.n = cases[i].n;
            figure.x_low = cases[i].low;
            figure.x_high = cases[i].high;
            figure.before.values = cases[i].values;
            figure.after.values = k & 1 ? cases[i].values : NULL;
            figure.log_y = k & 2;
            char *text =
                render(&figure, (nb_terminal){.picture = pictures[k / 4], .columns = 80, .rows = 24});
            if (cases[i].values == zeros && k < 8)
                assert_non_null(strstr(text, "every bin is empty"));
            free(text);
        }
}

static void check_refused(nb_figure figure, const char *sentence)
{
    nb_terminal terminal = {.picture = NB_PICTURE_ASCII, .columns = 80, .rows = 24};
    nb_error error = {""};
    char *out;
    size_t n;
    assert_int_equal(nb_figure_render(&figure, &terminal, &out, &n, NULL, &error), NB_ERR_ARGUMENT);
    assert_string_equal(error.text, sentence);
    assert_null(out);
    assert_int_equal(nb_figure_save(&figure, "/nonexistent/x.png", &error), NB_ERR_ARGUMENT);
}

static void test_refused(void **state)
{
    (void)state;
    static const double bad[][2] = {{1, NAN}, {INFINITY, 1}, {1, -1}};
    nb_figure figure = make_figure();
    figure.n = 0;
    check_refused(figure, "the histogram has no bins to draw");
    figure = make_figure();
    figure.before.values = NULL;
    check_refused(figure, "the histogram has no bins to draw");
    figure = make_figure();
    figure.x_high = NAN;
    check_refused(figure, "a histogram cannot run from -0.105 to nan");
    figure.x_high = -1;
    check_refused(figure, "a histogram cannot run from -0.105 to -1");
    figure = make_figure();
    figure.n = 2;
    figure.before.values = bad[0];
    check_refused(figure, "bin 1 of the first series holds nan; a count is a finite number from 0 up");
    figure.before.values = bad[1];
    check_refused(figure, "bin 0 of the first series holds inf; a count is a finite number from 0 up");
    figure.before.values = before;
    figure.after.values = bad[2];
    check_refused(figure, "bin 1 of the second series holds -1; a count is a finite number from 0 up");
}

/* The spike is named by itself when nobody did. */
static void test_note_is_made(void **state)
{
    (void)state;
    nb_figure figure = make_figure();
    figure.note = NULL;
    char *text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 80, .rows = 24});
    assert_non_null(strstr(text, "51.2% in the bin at 0")); /* 780 of 1523 */
    free(text);
    figure = make_figure(); /* a note about 0 is none about a spike elsewhere */
    figure.x_low += 0.5;
    figure.x_high += 0.5;
    text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 80, .rows = 24});
    assert_non_null(strstr(text, "51.2% in the bin at 0.5"));
    assert_null(strstr(text, "round to 0"));
    free(text);
    figure.after.values = before; /* nothing stands out */
    text = render(&figure, (nb_terminal){.picture = NB_PICTURE_ASCII, .columns = 80, .rows = 24});
    assert_null(strstr(text, "in the bin"));
    free(text);
}

/* The n-th allocation fails, for every n: a sentence or a simpler figure, never a crash or a leak. */
static void test_memory_runs_out(void **state)
{
    (void)state;
    static const nb_picture pictures[] = {NB_PICTURE_ASCII, NB_PICTURE_BRAILLE, NB_PICTURE_KITTY,
                                          NB_PICTURE_NONE};
    nb_figure figure = make_figure();
    int n_failed = 0;
    for (int k = 0; k < 4; k++)
        for (long n = 1; n <= 40; n++) {
            nb_terminal terminal = {.utf8 = true, .picture = pictures[k], .columns = 80, .rows = 24};
            nb_error error = {""};
            char *out;
            size_t n_out;
            nb_memory_fail_after(n);
            nb_status status = nb_figure_render(&figure, &terminal, &out, &n_out, NULL, &error);
            nb_memory_fail_after(0);
            assert_int_equal(status == NB_OK, out != NULL);
            if (status != NB_OK) {
                assert_int_equal(status, NB_ERR_MEMORY);
                assert_string_equal(error.text, "no memory left to draw the figure");
                n_failed++;
            }
            free(out);
        }
    assert_true(n_failed > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_80_by_24),
        cmocka_unit_test(test_60_columns),
        cmocka_unit_test(test_one_series_on_a_log_axis),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_colour),
        cmocka_unit_test(test_hostile_words),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_note_is_made),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
