/* The kitty graphics protocol, read back by its own rules. */
#include "plots/kitty.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int value_of(char letter)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = letter ? strchr(letters, letter) : NULL;
    assert_non_null(at);
    return (int)(at - letters);
}

/* RFC 4648: four letters are three bytes; returns how many bytes `text` held. */
static size_t decode_base64(const char *text, size_t n, uint8_t *out)
{
    size_t used = 0;
    assert_int_equal(n % 4, 0);
    for (size_t i = 0; i < n; i += 4) {
        int pads = text[i + 3] == '=' ? text[i + 2] == '=' ? 2 : 1 : 0;
        int bits = value_of(text[i]) << 18 | value_of(text[i + 1]) << 12;
        bits |= pads < 2 ? value_of(text[i + 2]) << 6 : 0;
        bits |= pads < 1 ? value_of(text[i + 3]) : 0;
        for (int k = 0; k < 3 - pads; k++)
            out[used++] = (uint8_t)(bits >> (16 - 8 * k));
        assert_true(pads == 0 || i + 4 == n);
    }
    return used;
}

static void test_vectors(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < 4; i++) {
        nb_buffer out = {0};
        nb_kitty_show(&out, (const uint8_t *)cases[i][0], strlen(cases[i][0]), 0, 0);
        char expected[64] = "\033_Ga=T,f=100,q=2,m=0;";
        strcat(strcat(expected, cases[i][1]), "\033\\");
        assert_string_equal(out.bytes, expected);
        nb_buffer_free(&out);
    }
}

static void test_chunks(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3071, 3072, 3073, 6144, 10001};
    static uint8_t bytes[10001], read_back[10001 + 3];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 197 + i / 251);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        nb_buffer out = {0};
        size_t n_read = 0, n_chunks = 0;
        bool more = true;
        nb_kitty_show(&out, bytes, sizes[k], 79, 21);
        for (const char *at = out.bytes; *at;) {
            assert_true(more); /* nothing after the chunk that said it is the last */
            assert_memory_equal(at, "\033_G", 3);
            const char *data = strchr(at, ';') + 1, *end = strstr(data, "\033\\");
            const char *keys = n_chunks == 0 ? "a=T,f=100,q=2,c=79,r=21,m=" : "m=";
            assert_memory_equal(at + 3, keys, strlen(keys));
            assert_int_equal(data - at, 3 + (long)strlen(keys) + 2);
            more = data[-2] == '1';
            assert_true(end - data <= 4096 && end > data);
            n_read += decode_base64(data, (size_t)(end - data), read_back + n_read);
            at = end + 2;
            n_chunks++;
        }
        assert_false(more);
        assert_int_equal(n_chunks, (sizes[k] + 3071) / 3072);
        assert_int_equal(n_read, sizes[k]);
        assert_memory_equal(read_back, bytes, sizes[k]);
        nb_buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
