/* UTF-8 beside its definition: decode the bits, refuse what a shorter form or no character has. */
#include "text/tokenizer.h"
#include "text/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Length of the sequence by the arithmetic of RFC 3629. */
static size_t defined_length(const unsigned char *s, size_t n)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > n) {
        return 0;
    }
    unsigned long code = length == 1 ? s[0] : s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (s[i] >> 6 != 2) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3F);
    }
    static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool fits = code >= least[length] && code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
    return fits ? length : 0;
}

static void test_every_sequence(void **state)
{
    (void)state;
    for (unsigned lead = 0; lead < 256; lead++) {
        for (unsigned second = 0; second < 256; second++) {
            for (unsigned third = 0; third < 256; third += lead < 0xE0 ? 51 : 1) {
                unsigned char s[4] = {(unsigned char)lead, (unsigned char)second, (unsigned char)third, 0x80};
                for (size_t n = 1; n <= 4; n++) {
                    assert_int_equal(nb_utf8_sequence((char *)s, n), defined_length(s, n));
                }
                s[3] = 0xC0;
                assert_int_equal(nb_utf8_sequence((char *)s, 4), defined_length(s, 4));
            }
        }
    }
    assert_int_equal(nb_utf8_sequence("", 0), 0);
}

static void test_valid_prefix(void **state)
{
    (void)state;
    const char text[] = "eight ascii bytes, then \xC3\xA9\xE4\xB8\xAD\xF0\x9F\xA6\x99.";
    for (size_t n = 0; n < sizeof text; n++) {
        size_t incomplete = nb_utf8_incomplete(text, n);
        assert_int_equal(nb_utf8_valid_prefix(text, n), n - incomplete);
    }
    assert_int_equal(nb_utf8_valid_prefix("abcdefgh\xFFijklmnop", 17), 8);
    assert_int_equal(nb_utf8_valid_prefix("abc\xED\xA0\x80", 6), 3); /* a surrogate */
}

/* What is cut from a character is incomplete; what can never become one is not waited for. */
static void test_incomplete(void **state)
{
    (void)state;
    assert_int_equal(nb_utf8_incomplete("", 0), 0);
    assert_int_equal(nb_utf8_incomplete("abc", 3), 0);
    assert_int_equal(nb_utf8_incomplete("a\xC3", 2), 1);
    assert_int_equal(nb_utf8_incomplete("a\xC3\xA9", 3), 0);
    assert_int_equal(nb_utf8_incomplete("\xE4", 1), 1);
    assert_int_equal(nb_utf8_incomplete("\xE4\xB8", 2), 2);
    assert_int_equal(nb_utf8_incomplete("\xE4\xB8\xAD", 3), 0);
    assert_int_equal(nb_utf8_incomplete("\xF0\x9F\xA6", 3), 3);
    assert_int_equal(nb_utf8_incomplete("\xF0\x9F\xA6\x99", 4), 0);
    assert_int_equal(nb_utf8_incomplete("\x80\x80\x80", 3), 0);
    assert_int_equal(nb_utf8_incomplete("a\xFF", 2), 0);
    assert_int_equal(nb_utf8_incomplete("a\xC0", 2), 0);     /* only overlong forms start so */
    assert_int_equal(nb_utf8_incomplete("a\xE0\x80", 3), 0); /* overlong */
    assert_int_equal(nb_utf8_incomplete("a\xED\xA0", 3), 0); /* a surrogate */
    assert_int_equal(nb_utf8_incomplete("a\xF4\x90", 3), 0); /* above U+10FFFF */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sequence),
        cmocka_unit_test(test_valid_prefix),
        cmocka_unit_test(test_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
