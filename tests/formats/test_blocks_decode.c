/* What the bytes of a block mean, element by element, written down a second time from the formats'
 * description. */
#include "tests/formats/block_rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* f16, e8m0 and the rest in f64, by definition. */
static double half_at(const uint8_t *b)
{
    int code = b[0] | b[1] << 8, exponent = code >> 10 & 31, fraction = code & 1023;
    double size = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return code >> 15 ? -size : size;
}

static double e2m1(int code)
{
    static const double sizes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    return code & 8 ? -sizes[code & 7] : sizes[code & 7];
}

static double iq4(int code)
{
    static const int numbers[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    return numbers[code];
}

/* The nibble of element e in a field where `half` elements share their bytes with the `half` after them. */
static int nibble(const uint8_t *field, int e, int half)
{
    const uint8_t *bytes = field + e / (2 * half) * half;
    return bytes[e % half] >> (e / half % 2 * 4) & 15;
}

/* Two bits of element e: halves of 128, 32 bytes each. */
static int two_bits(const uint8_t *field, int e)
{
    return field[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2) & 3;
}

static int bit_of_plane(const uint8_t *field, int e)
{
    return field[e % 32] >> (e / 32) & 1;
}

static void six_bits(const uint8_t *b, int j, int *scale, int *min)
{
    *scale = j < 4 ? b[j] & 63 : (b[j + 4] & 15) | (b[j - 4] >> 6) << 4;
    *min = j < 4 ? b[j + 4] & 63 : b[j + 4] >> 4 | (b[j] >> 6) << 4;
}

static int ternary_digit(int byte, int n)
{
    static const int powers[5] = {1, 3, 9, 27, 81};
    return byte * powers[n] % 256 * 3 / 256;
}

/* A weight is the sum of two terms; the second one is 0 in formats without minimums. */
typedef struct terms {
    double scaled, min;
} terms;

static terms plain_weight(const nb_format *format, const uint8_t *b, int e)
{
    switch (format->gguf_type) {
    case 2:
        return (terms){.scaled = half_at(b) * (nibble(b + 2, e, 16) - 8)};
    case 3:
        return (terms){half_at(b) * nibble(b + 4, e, 16), half_at(b + 2)};
    case 6:
        return (terms){.scaled =
                           half_at(b) * ((nibble(b + 6, e, 16) | (b[2 + e / 8] >> e % 8 & 1) << 4) - 16)};
    case 7:
        return (terms){half_at(b) * (nibble(b + 8, e, 16) | (b[4 + e / 8] >> e % 8 & 1) << 4),
                       half_at(b + 2)};
    case 8:
        return (terms){.scaled = half_at(b) * (int8_t)b[2 + e]};
    case 20:
        return (terms){.scaled = half_at(b) * iq4(nibble(b + 2, e, 16))};
    case 39:
        return (terms){.scaled = ldexp(e2m1(nibble(b + 1, e, 16)), b[0] - 127)};
    default: {
        int code = b[e / 16], exponent = code >> 3 & 15, fraction = code & 7;
        double scale = exponent == 0 ? ldexp(fraction, -9) : ldexp(8 + fraction, exponent - 10);
        return (terms){.scaled = code == 0x7f ? 0 : scale * e2m1(nibble(b + 4, e, 8))};
    }
    }
}

static terms super_weight(const nb_format *format, const uint8_t *b, int e)
{
    int scale, min, j;
    switch (format->gguf_type) {
    case 10:
        return (terms){half_at(b + 80) * (b[e / 16] & 15) * two_bits(b + 16, e),
                       -half_at(b + 82) * (b[e / 16] >> 4)};
    case 11:
        j = e / 16;
        scale = (j < 8 ? b[96 + j] & 15 : b[88 + j] >> 4) | (b[104 + j % 4] >> 2 * (j / 4) & 3) << 4;
        return (terms){.scaled = half_at(b + 108) * (scale - 32) *
                                 (two_bits(b + 32, e) + 4 * bit_of_plane(b, e) - 4)};
    case 12:
        six_bits(b + 4, e / 32, &scale, &min);
        return (terms){half_at(b) * scale * nibble(b + 16, e, 32), -half_at(b + 2) * min};
    case 13:
        six_bits(b + 4, e / 32, &scale, &min);
        return (terms){half_at(b) * scale * (nibble(b + 48, e, 32) + 16 * bit_of_plane(b + 16, e)),
                       -half_at(b + 2) * min};
    case 14:
        return (terms){.scaled = half_at(b + 208) * (int8_t)b[192 + e / 16] *
                                 ((nibble(b, e, 64) | two_bits(b + 128, e) << 4) - 32)};
    case 23:
        j = e / 32;
        scale = nibble(b + 4, j / 2 * 2 + j % 2, 1) | ((b[2] | b[3] << 8) >> 2 * j & 3) << 4;
        return (terms){.scaled = half_at(b) * (scale - 32) * iq4(nibble(b + 8, e, 16))};
    case 34:
        return (terms){.scaled =
                           half_at(b + 52) * ((e < 160   ? ternary_digit(b[e % 32], e / 32)
                                               : e < 240 ? ternary_digit(b[32 + e % 16], (e - 160) / 16)
                                                         : ternary_digit(b[48 + e % 4], (e - 240) / 4)) -
                                              1)};
    default:
        return (terms){.scaled = half_at(b + 64) * (two_bits(b, e) - 1)};
    }
}

static nb_random seeded(uint64_t seed)
{
    nb_random random;
    nb_random_seed(&random, seed);
    return random;
}

/* Random bytes in every field, but for what is a float: f16 kept finite, e8m0 within f32. */
static void random_block(const nb_format *format, nb_random *random, uint8_t *b)
{
    for (size_t i = 0; i < format->block_bytes; i++)
        b[i] = (uint8_t)nb_random_u64(random);
    for (size_t f = 0; f < format->n_fields; f++) {
        const nb_block_field *field = &format->fields[f];
        if (strstr(field->what, "f16") && (b[field->offset + 1] & 0x7c) == 0x7c)
            b[field->offset + 1] ^= 0x40;
        if (strstr(field->what, "e8m0"))
            b[field->offset] = (uint8_t)(b[field->offset] % 250);
        if (strstr(field->what, "e4m3"))
            for (size_t i = 0; i < field->n_bytes; i++)
                b[field->offset + i] &= 0x7f;
    }
}

static void bytes_mean_what_they_should(void **state)
{
    (void)state;
    nb_random random = seeded(1);
    for (size_t f = 0; f < N_BLOCK_FORMATS; f++) {
        const nb_format *format = block_formats[f];
        for (int round = 0; round < 500; round++) {
            uint8_t blocks[2 * 256 + 1] = {0};
            float values[2 * 256];
            random_block(format, &random, blocks + 1); /* at an odd address */
            random_block(format, &random, blocks + 1 + format->block_bytes);
            format->decode_row(blocks + 1, 2 * format->block_size, values);
            for (uint32_t i = 0; i < 2 * format->block_size; i++) {
                const uint8_t *b = blocks + 1 + i / format->block_size * format->block_bytes;
                int e = (int)(i % format->block_size);
                terms t = format->block_size < 256 ? plain_weight(format, b, e) : super_weight(format, b, e);
                double exact = t.scaled + t.min, room = 4e-7 * (fabs(t.scaled) + fabs(t.min));
                if (!(fabs((double)values[i] - exact) <= room)) /* NaN fails too */
                    fail_msg("%s: weight %d is %.9g, not %.9g", format->name, e, (double)values[i], exact);
            }
        }
    }
}

static void diagrams_cover_the_block(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_BLOCK_FORMATS; f++) {
        const nb_format *format = block_formats[f];
        unsigned end = 0;
        assert_int_equal(format->kind, NB_FORMAT_BLOCK);
        for (size_t i = 0; i < format->n_fields; i++) {
            assert_int_equal(format->fields[i].offset, end);
            assert_true(format->fields[i].n_bytes > 0);
            assert_true(strlen(format->fields[i].name) > 0 && strlen(format->fields[i].what) > 0);
            end += format->fields[i].n_bytes;
        }
        assert_int_equal(end, format->block_bytes);
        assert_true(strlen(format->summary) > 0 && strlen(format->source) > 0 && strlen(format->lesson) > 0);
    }
}

/* Bits per weight as everybody quotes them. */
static void published_sizes(void **state)
{
    (void)state;
    static const double bits[N_BLOCK_FORMATS] = {4.5, 5,      5.5, 6,    8.5,    2.625,  3.4375, 4.5,
                                                 5.5, 6.5625, 4.5, 4.25, 1.6875, 2.0625, 4.25,   4.5};
    static const int types[N_BLOCK_FORMATS] = {2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 34, 35, 39, 40};
    for (size_t f = 0; f < N_BLOCK_FORMATS; f++) {
        const nb_format *format = block_formats[f];
        assert_true(8.0 * format->block_bytes / format->block_size == bits[f]);
        assert_int_equal(format->gguf_type, types[f]);
    }
}

static void zero_bytes_are_zeros(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_BLOCK_FORMATS; f++) {
        const nb_format *format = block_formats[f];
        uint8_t block[256] = {0};
        float values[256];
        format->decode_row(block, format->block_size, values);
        for (uint32_t i = 0; i < format->block_size; i++)
            assert_true(values[i] == 0);
    }
}

static void scales_of_4_bit_floats(void **state)
{
    (void)state;
    for (int e = 0; e < 255; e++)
        assert_true((double)nb_e8m0_half((uint8_t)e) == ldexp(1, e - 128));
    for (int code = 0; code < 0x7f; code++) {
        double size = code < 8 ? ldexp(code, -9) : ldexp(8 + code % 8, code / 8 - 10);
        assert_true((double)nb_ue4m3_half((uint8_t)code) == size / 2);
    }
    for (int code = 0; code < 16; code++)
        assert_true(nb_e2m1_doubled[code] == 2 * e2m1(code));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(diagrams_cover_the_block),    cmocka_unit_test(published_sizes),
        cmocka_unit_test(bytes_mean_what_they_should), cmocka_unit_test(zero_bytes_are_zeros),
        cmocka_unit_test(scales_of_4_bit_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
