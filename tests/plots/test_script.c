/* What is written to gnuplot: names and titles stay words, whatever is in them. */
#include "plots/gnuplot.h"
#include "plots/picture.h"
#include "plots/script.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const double before[] = {1, 40, 900, 60, 2}, after[] = {0, 80, 5000, 90, 0};

static nb_figure make_figure(const char *words)
{
    return (nb_figure){
        .kind = NB_FIGURE_HISTOGRAM,
        .headline = words,
        .subline = words,
        .x_label = words,
        .y_label = words,
        .x_low = -0.5,
        .x_high = 0.5,
        .n = 5,
        .before = {words, before},
        .after = {words, after},
        .note = words,
        .sentence = words,
    };
}

static char *make_script(const nb_figure *figure, nb_device device)
{
    nb_axes axes;
    nb_buffer script = {0};
    nb_canvas canvas = {.device = device, .width = 640, .height = 360, .em = 14};
    assert_int_equal(nb_figure_histogram.plan(figure, &axes, NULL), NB_OK);
    nb_picture_script(&script, &nb_figure_histogram, figure, &axes, &canvas);
    assert_false(script.failed);
    return script.bytes;
}

static void check_quote(const char *text, const char *expected)
{
    nb_buffer script = {0};
    nb_script_quote(&script, text);
    assert_string_equal(script.bytes, expected);
    nb_buffer_free(&script);
}

static void test_quotes(void **state)
{
    (void)state;
    check_quote("blk.0.attn_q", "'blk.0.attn_q'");
    check_quote("it's", "'it’s'");
    check_quote("'x'", "'’x’'");
    check_quote("a\nb\r\tc\033d\x7f", "'a?b??c?d?'");
    check_quote("`touch x` $(y) \\n \"z\"", "'`touch x` $(y) \\n \"z\"'");
    check_quote("\xff\xc0\x80", "'\?\?\?'");
    check_quote("ü·…", "'ü·…'");
    check_quote("\xc2\x85\xe2\x80\xa8", "'\?\?'"); /* next line, line separator */
}

/* Every line break in a script is one that the code wrote: hostile words add none. */
static void test_words_add_no_line(void **state)
{
    (void)state;
    nb_figure plain = make_figure("words"), hostile = make_figure("a\n! touch x\nset print 'y'\nEOD\n");
    char *a = make_script(&plain, NB_DEVICE_PNG), *b = make_script(&hostile, NB_DEVICE_PNG);
    size_t n_a = 0, n_b = 0;
    for (const char *at = a; (at = strchr(at, '\n')); at++)
        n_a++;
    for (const char *at = b; (at = strchr(at, '\n')); at++)
        n_b++;
    assert_int_equal(n_a, n_b);
    assert_null(strstr(b, "\n! "));
    assert_null(strchr(b, '"')); /* double quotes would run backquotes */
    assert_null(strstr(b, "'-'"));
    free(a);
    free(b);
}

/* gnuplot itself, told to do harm. */
static void test_hostile_words_run_nothing(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "`touch %s`",
        "'; system('touch %s'); '",
        "x' ; ! touch %s ; '",
        "\n! touch %s\n",
        "\nsystem 'touch %s'\n",
        "\nEOD\nsystem \"touch %s\"\n",
        "$(touch %s)",
        "'' ; system(\"touch %s\") ; ''",
        "'",
        "\"; system(\"touch %s\") #",
        "@harm %s",
        "{/:Bold %s} a_b^c \\",
        "%s %%s %%n %%d",
    };
    static const nb_device devices[] = {NB_DEVICE_PNG, NB_DEVICE_SVG, NB_DEVICE_SIXEL};
    const char *victim = temporary_path("victim");
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        for (size_t k = 0; k < 3; k++) {
            char words[256], *out;
            size_t n_out;
            nb_error error = {""};
            snprintf(words, sizeof(words), forms[i], victim);
            nb_figure figure = make_figure(words);
            char *script = make_script(&figure, devices[k]);
            nb_status status =
                nb_gnuplot_run(script, strlen(script), NB_GNUPLOT_LIMIT_MS, &out, &n_out, NULL, &error);
            assert_string_equal(error.text, "");
            assert_int_equal(status, NB_OK);
            assert_int_not_equal(access(victim, F_OK), 0);
            free(out);
            free(script);
        }
}

static void test_content(void **state)
{
    (void)state;
    nb_figure figure = make_figure("w");
    figure.headline = "A headline";
    figure.x_low = -2.5;
    figure.x_high = 2.5;
    figure.note = "half round to 0";
    char *script = make_script(&figure, NB_DEVICE_PNG);
    assert_non_null(strstr(script, "set terminal pngcairo noenhanced size 640,360"));
    assert_non_null(strstr(script, "set terminal png truecolor noenhanced size 640,360"));
    assert_non_null(strstr(script, "set label 'A headline' at screen "));
    assert_non_null(strstr(script, "set label 'half round to 0' at screen ")); /* 5000 is over twice 900 */
    assert_non_null(strstr(script, "set yrange [0:1062"));                     /* 1.18 x 900 */
    assert_non_null(
        strstr(script, "\n$bars << EOD\n-1 80\n0 5000\n1 90\nEOD\n")); /* empty bins left out */
    assert_non_null(strstr(script, "'#d9622b'"));
    assert_non_null(strstr(script, "'#4c72a8'"));
    free(script);

    figure.log_y = true;
    script = make_script(&figure, NB_DEVICE_SVG);
    assert_non_null(strstr(script, "set logscale y 10"));
    assert_non_null(strstr(script, "set yrange [0.6:8000"));
    assert_null(strstr(script, "half round to 0")); /* nothing is cut off */
    free(script);
}

/* A locale with a decimal comma must not reach the script; neither may NaN as libc writes it. */
static void test_numbers(void **state)
{
    (void)state;
    nb_buffer out = {0};
    nb_buffer_number(&out, 0.1);
    nb_buffer_text(&out, " ");
    nb_buffer_number(&out, -1e-300);
    nb_buffer_text(&out, " ");
    nb_buffer_number(&out, strtod("nan", NULL));
    assert_string_equal(out.bytes, "0.1 -1e-300 NaN");
    nb_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_words_add_no_line),
        cmocka_unit_test(test_hostile_words_run_nothing),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
