/* Words in a figure: code points, widths, and what is done to those that do not fit. */
#include "plots/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_fit(const char *text, double room, bool ascii, const char *expected)
{
    nb_buffer out = {0};
    nb_words_fit(&out, text, room, nb_width_columns, ascii);
    assert_false(out.failed);
    assert_string_equal(out.bytes ? out.bytes : "", expected);
    assert_true(nb_words_width(expected, nb_width_columns) <= room);
    nb_buffer_free(&out);
}

/* Unicode 15, table 3-7: well-formed sequences, and the ill-formed ones beside them. */
static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned rune;
        int n_bytes;
    } cases[] = {
        {"A", 'A', 1},
        {"\xc2\x80", 0x80, 2},
        {"\xdf\xbf", 0x7ff, 2},
        {"\xe0\xa0\x80", 0x800, 3},
        {"\xef\xbf\xbf", 0xffff, 3},
        {"\xf0\x90\x80\x80", 0x10000, 4},
        {"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
        {"\xc0\x80", 0xfffd, 1},         /* overlong */
        {"\xe0\x9f\xbf", 0xfffd, 1},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0xfffd, 1}, /* overlong */
        {"\xed\xa0\x80", 0xfffd, 1},     /* surrogate */
        {"\xf4\x90\x80\x80", 0xfffd, 1}, /* above 10FFFF */
        {"\x80", 0xfffd, 1},
        {"\xff", 0xfffd, 1},
        {"\xe2\x96", 0xfffd, 1}, /* ends early */
        {"\xe2", 0xfffd, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *at = cases[i].text;
        assert_int_equal(nb_rune_next(&at), cases[i].rune);
        assert_int_equal(at - cases[i].text, cases[i].n_bytes);
    }
}

static void test_runes_survive_writing(void **state)
{
    (void)state;
    for (unsigned rune = 1; rune < 0x110000; rune += rune < 0x3000 ? 1 : 257) {
        if (rune >= 0xd800 && rune < 0xe000)
            continue;
        nb_buffer out = {0};
        nb_buffer_rune(&out, rune);
        const char *at = out.bytes;
        assert_int_equal(nb_rune_next(&at), rune);
        assert_ptr_equal(at, out.bytes + out.n_bytes);
        nb_buffer_free(&out);
    }
}

static void test_widths(void **state)
{
    (void)state;
    assert_true(nb_words_width("q_proj", nb_width_columns) == 6);
    assert_true(nb_words_width("e\xcc\x81", nb_width_columns) == 1); /* e and a combining acute */
    assert_true(nb_words_width("\xe9\x87\x8f\xe5\xad\x90", nb_width_columns) == 4); /* two wide characters */
    assert_true(nb_words_width("█·", nb_width_columns) == 2);
    assert_true(nb_words_width("iii", nb_width_sans) < nb_words_width("mmm", nb_width_sans));
    assert_true(nb_words_width("weights", nb_width_sans) < nb_words_width("weights", nb_width_sans_bold));
}

static void test_fitting(void **state)
{
    (void)state;
    check_fit("blk.0.attn_q", 12, false, "blk.0.attn_q");
    check_fit("a  ·  b", 6, false, "a · b");
    /* The longest word loses its middle, so that the numbers after it stay. */
    check_fit("model.layers.0.self_attn.q_proj.weight · RMSE 3.1e-03", 40, false,
              "model.laye….q_proj.weight · RMSE 3.1e-03");
    check_fit("one two three four", 9, false, "one two…");
    check_fit("one two three four", 9, true, "one two..");
    check_fit("abc", 1, false, "…");
    check_fit("abc", 0, false, "");
    check_fit("", 10, false, "");
}

static void test_controls_are_shown_not_obeyed(void **state)
{
    (void)state;
    check_fit("a\033[2Jb\nc\x7f", 99, false, "a?[2Jb?c?");
    check_fit("x\xc2\x9b"
              "31m",
              99, false, "x?31m"); /* C1: CSI in one byte of Latin-1 */
    check_fit("a\xe2\x80\xae"
              "b",
              99, false, "a?b"); /* right-to-left override */
    check_fit("a · b ± c × 1 − ü", 99, true, "a - b +/- c x 1 - ?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_runes_survive_writing),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_fitting),
        cmocka_unit_test(test_controls_are_shown_not_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
