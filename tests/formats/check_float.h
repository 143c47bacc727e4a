/* The same questions to every float format of at most 16 bits: every code, and every boundary between two
 * codes. */
#ifndef NB_TESTS_FORMATS_CHECK_FLOAT_H
#define NB_TESTS_FORMATS_CHECK_FLOAT_H

#include "formats/format.h"

#include "tests/formats/definition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The code of the largest finite number, without sign. */
static inline uint32_t largest_code(const nb_format *format)
{
    uint32_t code = 0;
    while (definition_value(format, code) < format->max_finite)
        code++;
    return code;
}

/* Every finite code decodes to its defined value and encodes back to itself, zeros with their sign. */
static inline void check_all_codes(const nb_format *format)
{
    uint32_t sign = 1U << (format->bits - 1), largest = largest_code(format);
    assert_true(definition_value(format, largest) == format->max_finite);
    for (uint32_t code = 0; code < 2 * sign; code++) {
        if ((code & (sign - 1)) > largest)
            continue;
        float value = format->decode(code);
        assert_true((double)value == definition_value(format, code));
        assert_int_equal(format->encode(value), code);
    }
}

/* Between every two neighbouring codes: the midpoint goes to the even one, the next f32 on either side of it
 * to the nearer one. */
static inline void check_all_midpoints(const nb_format *format)
{
    uint32_t sign = 1U << (format->bits - 1), largest = largest_code(format);
    for (uint32_t code = 0; code < largest; code++) {
        double low = definition_value(format, code), high = definition_value(format, code + 1);
        float middle = (float)((low + high) / 2);
        assert_true((double)middle == (low + high) / 2); /* f32 has room for it */
        uint32_t even = code % 2 ? code + 1 : code;
        float below = of_bits(bits_of(middle) - 1), above = of_bits(bits_of(middle) + 1);
        for (uint32_t s = 0; s < 2; s++) {
            float signed_one = s ? -1.0f : 1.0f;
            assert_int_equal(format->encode(signed_one * middle), even | s * sign);
            assert_int_equal(format->encode(signed_one * below), code | s * sign);
            assert_int_equal(format->encode(signed_one * above), (code + 1) | s * sign);
        }
    }
}

/* Random f32 of every size against the nearest defined value, found by bisection. */
static inline void check_nearest(const nb_format *format, uint32_t n)
{
    uint32_t largest = largest_code(format), state = 12345;
    for (uint32_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        float value = of_bits(state & 0x7fffffff);
        if (!((double)value < format->max_finite))
            continue;
        uint32_t low = 0, high = largest; /* value(low) <= value < value(high) */
        while (high - low > 1) {
            uint32_t middle = (low + high) / 2;
            if (definition_value(format, middle) <= (double)value)
                low = middle;
            else
                high = middle;
        }
        double down = (double)value - definition_value(format, low),
               up = definition_value(format, high) - (double)value;
        uint32_t nearest = down < up || (down == up && low % 2 == 0) ? low : high;
        assert_int_equal(format->encode(value), nearest);
    }
}

/* Rows, at odd addresses too, are the single conversions one after another. */
static inline void check_rows(const nb_format *format)
{
    enum { N = 300 };
    size_t code_bytes = format->bits / 8;
    static float values[N], back[N];
    static uint8_t codes[4 * N + 4];
    for (size_t i = 0; i < N; i++)
        values[i] = of_bits((uint32_t)(i * 2654435761u));
    values[7] = NAN;
    values[8] = -INFINITY;
    values[9] = -0.0f;
    for (size_t n = 0; n <= N; n += n < 20 ? 1 : 35) {
        memset(codes, 0xaa, sizeof codes);
        nb_format_encode_row(format, values, n, codes + 1);
        for (size_t i = 0; i < n; i++) {
            uint32_t code = 0;
            memcpy(&code, codes + 1 + i * code_bytes, code_bytes);
            assert_int_equal(code, format->encode(values[i]));
        }
        assert_int_equal(codes[1 + n * code_bytes], 0xaa);
        nb_format_decode_row(format, codes + 1, n, back);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(bits_of(back[i]), bits_of(format->decode(format->encode(values[i]))));
    }
}

#endif
