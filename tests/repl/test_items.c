/* Items as a terminal shows them: widths, wrapping, tables that fit, nothing that steers the terminal. */
#include "base/memory.h"
#include "repl/items.h"
#include "repl/progress.h"
#include "repl/render.h"
#include "repl/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static nb_screen plain_screen(int columns)
{
    return (nb_screen){.out = stdout,
                       .utf8 = true,
                       .is_terminal = true,
                       .columns = columns,
                       .at_line_start = true,
                       .picture = NB_PICTURE_NONE};
}

static char *render(nb_screen *screen, nb_items *items, unsigned cell)
{
    nb_draft out = {0};
    nb_render_items(screen, items, cell, &out);
    nb_items_free(items);
    char *text = nb_draft_take(&out);
    assert_non_null(text);
    return text;
}

static void check_fits(const char *text, size_t columns)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        assert_true(nb_utf8_width(text, n) <= columns);
        assert_true(n == 0 || text[n - 1] != ' ');
        text += n + (text[n] == '\n');
    }
}

static void test_width(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {{"abc", 3},       {"±", 1},          {"日本語", 6},   {"e\u0301", 1},
                 {"▁▂▃", 3},       {"\U0001f600", 2}, {"\xff\xfe", 2}, {"한", 2},
                 {"\x03x\x06", 1}, {"", 0},           {"\xe2\x82", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nb_utf8_width(cases[i].text, strlen(cases[i].text)), cases[i].width);
}

/* Overlong forms, surrogates and what lies beyond U+10FFFF are not UTF-8. */
static void test_decode(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xc0\x80",         "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80", "\x80",         "\xf0\x9f\x98"};
    size_t used;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(nb_utf8_decode(bad[i], strlen(bad[i]), &used), 0xfffd);
        assert_int_equal(used, 1);
    }
    assert_int_equal(nb_utf8_decode("\xf0\x9f\x98\x80", 4, &used), 0x1f600);
    assert_int_equal(used, 4);
}

static void test_paragraphs(void **state)
{
    (void)state;
    nb_screen screen = plain_screen(40);
    nb_items items = {0};
    nb_items_text(&items, "one two three four five six seven eight nine ten eleven twelve");
    nb_items_text(&items, "first\n   second, as it stands");
    char *text = render(&screen, &items, 0);
    assert_string_equal(text, "  one two three four five six seven\n  eight nine ten eleven twelve\n"
                              "  first\n     second, as it stands\n");
    free(text);
}

/* Marks become colours, go on over a line's end, and never reach a screen without colours. */
static void test_marks(void **state)
{
    (void)state;
    nb_screen screen = plain_screen(40);
    nb_items items = {0};
    nb_items_text(&items, "try " NB_COMMAND "hist blk.0.attn_q and much more that wraps" NB_END " now");
    char *text = render(&screen, &items, 0);
    assert_string_equal(text, "  try hist blk.0.attn_q and much more\n  that wraps now\n");
    free(text);
    screen.colour = true;
    nb_items_text(&items, "try " NB_COMMAND "hist blk.0.attn_q and much more that wraps" NB_END " now");
    text = render(&screen, &items, 0);
    assert_string_equal(text, "  try \x1b[36mhist blk.0.attn_q and much more\x1b[0m\n"
                              "  \x1b[36mthat wraps\x1b[0m now\n");
    free(text);
}

/* What a file or a model says may not move the cursor, set colours or ring the bell. */
static void test_nothing_steers(void **state)
{
    (void)state;
    nb_screen screen = plain_screen(80);
    nb_items items = {0};
    static const char evil[] = "a\x1b[2Jb\x07"
                               "c\x7f\xc2\x9b"
                               "d\r";
    static const nb_column columns[] = {{"\x1b", NB_COLUMN_LEFT}};
    nb_items_text(&items, "%s", evil);
    nb_items_literal(&items, evil, sizeof evil - 1, false);
    nb_items_value(&items, "%s", evil);
    nb_items_table(&items, columns, 1);
    nb_items_row(&items);
    nb_items_cell(&items, 0, "%s", evil);
    char *text = render(&screen, &items, 1);
    for (const char *c = text; *c; c++)
        assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
    assert_null(strchr(text, 0x7f));
    assert_null(strstr(text, "\xc2\x9b"));
    free(text);
}

static void test_values(void **state)
{
    (void)state;
    nb_screen screen = plain_screen(80);
    nb_items items = {0};
    nb_items_value(&items, "3.412 ± 0.021");
    char *text = render(&screen, &items, 11);
    assert_string_equal(text, "Out[11]: 3.412 ± 0.021\n");
    free(text);
    nb_items_value(&items, "3.412 ± 0.021");
    text = render(&screen, &items, 0);
    assert_string_equal(text, "3.412 ± 0.021\n");
    free(text);
}

/* Without UTF-8 the few signs that nibble itself uses have spellings in ASCII. */
static void test_ascii(void **state)
{
    (void)state;
    nb_screen screen = plain_screen(80);
    screen.utf8 = false;
    nb_items items = {0};
    nb_items_text(&items, "3.4 ± 0.1 · 2 × 3 ‹door› 日");
    char *text = render(&screen, &items, 0);
    assert_string_equal(text, "  3.4 +/- 0.1 - 2 x 3 <door> ?\n");
    free(text);
}

static const nb_column table_columns[] = {
    {"name", NB_COLUMN_LEFT}, {"n", NB_COLUMN_RIGHT}, {"about", NB_COLUMN_FLOW}};

static void test_table(void **state)
{
    (void)state;
    nb_screen screen = plain_screen(40);
    nb_items items = {0};
    nb_items_table(&items, table_columns, 3);
    nb_items_row(&items);
    nb_items_cell(&items, 0, "größer");
    nb_items_cell(&items, 1, "7");
    nb_items_cell(&items, 2, NB_STRONG "a rather long" NB_END " text that has to wrap");
    nb_items_row(&items);
    nb_items_cell(&items, 0, "日本");
    nb_items_cell(&items, 1, "1,234");
    char *text = render(&screen, &items, 0);
    assert_string_equal(text, "  name        n  about\n"
                              "  größer      7  a rather long text that\n"
                              "                 has to wrap\n"
                              "  日本    1,234\n");
    free(text);
}

static const nb_column layer_columns[] = {{"tensor", NB_COLUMN_LEFT},    {"shape", NB_COLUMN_LEFT},
                                          {"stored as", NB_COLUMN_WRAP}, {"bits", NB_COLUMN_RIGHT},
                                          {"bytes", NB_COLUMN_RIGHT},    {"SQNR", NB_COLUMN_RIGHT},
                                          {"spread", NB_COLUMN_SPARK}};

static char *render_layers(int columns, const char *storage)
{
    nb_screen screen = plain_screen(columns);
    nb_items items = {0};
    uint64_t counts[NB_SPARK_BINS];
    for (size_t i = 0; i < NB_SPARK_BINS; i++)
        counts[i] = i < NB_SPARK_BINS / 2 ? i : NB_SPARK_BINS - 1 - i;
    nb_items_table(&items, layer_columns, 7);
    nb_items_row(&items);
    nb_items_cell(&items, 0, "blk.21.attn_output");
    nb_items_cell(&items, 1, "2048 x 5632");
    nb_items_cell(&items, 2, "%s", storage);
    nb_items_cell(&items, 3, "16.00");
    nb_items_cell(&items, 4, "5767168");
    nb_items_cell(&items, 5, "21.3");
    nb_items_spark(&items, 6, counts);
    return render(&screen, &items, 0);
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* The widest row that `layers` has still fits 80 columns on one line; longer storage wraps
 * between its words. */
static void test_layers_fit(void **state)
{
    (void)state;
    static const int widths[] = {80, 100, 120, 200};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        char *text = render_layers(widths[i], "int4 zeropoint/group:128, f32 activations");
        check_fits(text, (size_t)widths[i]);
        assert_non_null(strstr(text, "blk.21.attn_output"));
        assert_non_null(strstr(text, "5767168"));
        free(text);
    }
    char *text = render_layers(80, "int4 absmax/group:32");
    check_fits(text, 80);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, "2048 x 5632 int4 absmax/group:32 16.00 5767168 21.3 "));
    free(text);
}

/* Every allocation that fails is survived, and said. */
static void test_memory(void **state)
{
    (void)state;
    double values[4] = {1, 2, 3, 4};
    nb_figure figure = {
        .headline = "h", .subline = "s", .n = 4, .before = {"b", values}, .sentence = "It is so."};
    bool done = false;
    for (long n = 1; !done; n++) {
        nb_items items = {0};
        nb_memory_fail_after(n);
        nb_items_text(&items, "text");
        nb_items_figure(&items, &figure);
        nb_items_table(&items, table_columns, 3);
        nb_items_row(&items);
        nb_items_cell(&items, 1, "x");
        nb_items_literal(&items, "abc", 3, false);
        nb_memory_fail_after(0);
        done = !items.failed;
        assert_true(done || items.count < 5);
        nb_items_free(&items);
        assert_true(n < 100);
    }
}

static void test_figure_without_picture(void **state)
{
    (void)state;
    nb_screen screen = plain_screen(80);
    nb_items items = {0};
    double values[2] = {1, 2};
    nb_figure figure = {.headline = "h",
                        .subline = "",
                        .x_label = "",
                        .y_label = "",
                        .x_high = 1,
                        .n = 2,
                        .before = {"before", values},
                        .sentence = "Two bars, the second twice the first."};
    nb_items_figure(&items, &figure);
    values[0] = 99; /* the item has its own */
    assert_true(items.items[0].figure.before.values[0] == 1);
    char *text = render(&screen, &items, 0);
    assert_string_equal(text, "  Two bars, the second twice the first.\n");
    free(text);
}

static void test_progress_line(void **state)
{
    (void)state;
    char line[384];
    nb_progress_line(line, sizeof line, 80, true, "perplexity", 10240, 20480, "tokens", 3.0);
    assert_string_equal(line, "  perplexity  ████████████░░░░░░░░░░░░  10,240 of 20,480 tokens · 3 s left");
    nb_progress_line(line, sizeof line, 80, false, "load", 1000000, 4000000, "bytes", 0.5);
    assert_string_equal(line, "  load  ######..................  1000 kB of 4.00 MB");
    nb_progress_line(line, sizeof line, 80, true, "computing", 123456, 0, "steps", 3.0);
    assert_string_equal(line, "  computing  123,456 steps · Ctrl-C stops");
    nb_progress_line(line, sizeof line, 30, true, "perplexity", 7, 0, "tokens", 3.0);
    assert_true(nb_utf8_width(line, strlen(line)) < 30);
}

/* A stream breaks between words, keeps the model's own lines and blanks, and shows control characters as
 * such. */
static void test_stream(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    nb_screen screen = plain_screen(40);
    screen.out = file;
    static const char *const pieces[] = {"Once upon a time, the",
                                         "re",
                                         " was a lit",
                                         "tle gi",
                                         "rl named",
                                         " Lil",
                                         "y.\n",
                                         "  if x:",
                                         " \x1b[2J"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        nb_screen_stream(&screen, pieces[i], strlen(pieces[i]));
    nb_screen_stream_end(&screen);
    char text[256] = "";
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    nb_screen_free(&screen);
    assert_string_equal(text, "  Once upon a time, there was a little\n  girl named Lily.\n    if x: ?[2J\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width),          cmocka_unit_test(test_decode),
        cmocka_unit_test(test_paragraphs),     cmocka_unit_test(test_marks),
        cmocka_unit_test(test_nothing_steers), cmocka_unit_test(test_values),
        cmocka_unit_test(test_ascii),          cmocka_unit_test(test_table),
        cmocka_unit_test(test_layers_fit),     cmocka_unit_test(test_memory),
        cmocka_unit_test(test_progress_line),  cmocka_unit_test(test_figure_without_picture),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
