/* nf4, fp4 and double quantization: published tables, bitsandbytes' bytes, and brute force. */
#include "formats/tables.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The normal distribution's quantile, by bisection of libm's erfc. */
static double quantile(double p)
{
    double low = -10, high = 10;
    for (int i = 0; i < 200; i++) {
        const double middle = (low + high) / 2;
        if (erfc(-middle / sqrt(2)) / 2 < p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* QLoRA, appendix E: quantiles at evenly spaced places, seven below 0 and eight above. */
static void nf4_levels_are_quantiles(void **state)
{
    (void)state;
    const double end = 0.9677083, most = quantile(end);
    const float *levels = nb_format_nf4.levels;
    for (int k = 0; k < 7; k++)
        assert_true(fabs((double)levels[k] + quantile(end + k * (0.5 - end) / 7) / most) < 2e-7);
    assert_true(levels[7] == 0);
    for (int k = 0; k < 8; k++)
        assert_true(fabs((double)levels[15 - k] - quantile(end + k * (0.5 - end) / 8) / most) < 2e-7);
}

static void fp4_levels_are_twelfths(void **state)
{
    (void)state;
    static const double twelfths[8] = {0, 0.0625, 8, 12, 4, 6, 2, 3};
    for (int code = 0; code < 8; code++) {
        assert_true(nb_format_fp4.levels[code] == (float)(twelfths[code] / 12));
        assert_true(nb_format_fp4.levels[code + 8] == -nb_format_fp4.levels[code]);
    }
}

/* One block, as bitsandbytes makes it. */
static void golden(const nb_format *format, const uint8_t codes[8], const uint8_t bytes[4], const float values[8])
{
    static const float w[8] = {.12f, -.5f, .31f, 0, -.07f, .25f, -.22f, .44f};
    uint8_t got[8], pairs[4];
    nb_table_encode(format, w, 8, .5f, got);
    assert_memory_equal(got, codes, 8);
    nb_table_pairs(format, got, 8, pairs);
    assert_memory_equal(pairs, bytes, 4);
    for (size_t i = 0; i < 8; i++)
        assert_true(fabsf(format->levels[got[i]] * .5f - values[i]) < 1e-6f);
}

static void goldens(void **state)
{
    (void)state;
    golden(&nb_format_nf4, (const uint8_t[]){10, 0, 13, 7, 5, 12, 3, 15}, (const uint8_t[]){0xa0, 0xd7, 0x5c, 0x3f},
           (const float[]){.123056f, -.5f, .281309f, 0, -.092387f, .220355f, -.197459f, .5f});
    golden(&nb_format_fp4, (const uint8_t[]){7, 11, 2, 0, 14, 5, 13, 3},
           (const uint8_t[]){0x7b, 0x20, 0xe5, 0xd3},
           (const float[]){.125f, -.5f, .333333f, 0, -.083333f, .25f, -.25f, .5f});
    uint8_t bytes[2];
    nb_table_pairs(&nb_format_nf4, (const uint8_t[]){1, 2, 3}, 3, bytes); /* an odd one beside a 0 */
    assert_memory_equal(bytes, ((const uint8_t[]){0x12, 0x37}), 2);
}

/* Codes are the nearest levels: at every midpoint, just beside it, and over a fine grid. */
static void nearest(void **state)
{
    (void)state;
    const nb_format *const formats[] = {&nb_format_nf4, &nb_format_fp4};
    for (size_t f = 0; f < 2; f++) {
        const nb_format *format = formats[f];
        for (int i = -40000; i <= 40000; i++) {
            const float x = (float)i / 40000;
            const double got = fabs((double)format->decode(format->encode(x)) - (double)x);
            for (int code = 0; code < 16; code++)
                assert_true(got <= fabs((double)format->levels[code] - (double)x) + 1e-7);
        }
        for (uint32_t code = 0; code < 16; code++)
            assert_true(format->decode(format->encode(format->levels[code])) == format->levels[code]);
    }
    for (int i = 0; i < 15; i++) { /* half way belongs to the lower level */
        const float middle = (nb_format_nf4.levels[i] + nb_format_nf4.levels[i + 1]) / 2;
        assert_int_equal(nb_format_nf4.encode(middle), i);
        assert_int_equal(nb_format_nf4.encode(nextafterf(middle, 2)), i + 1);
    }
    assert_int_equal(nb_format_fp4.encode(0.375f), 4); /* 4.5 of 12, nearer 4 than 6 */
    assert_int_equal(nb_format_fp4.encode(-5.0f / 12 + 1e-6f), 12);
}

/* Zeros, and sizes whose inverse overflows, become zeros. */
static void nothing_to_scale_by(void **state)
{
    (void)state;
    const nb_format *const formats[] = {&nb_format_nf4, &nb_format_fp4};
    static const float zeros[3] = {0, 0, 0}, tiny[3] = {1e-45f, -1e-45f, 0};
    uint8_t codes[3];
    for (size_t f = 0; f < 2; f++) {
        nb_table_encode(formats[f], zeros, 3, 0, codes);
        for (size_t i = 0; i < 3; i++)
            assert_true(formats[f]->levels[codes[i]] == 0);
        nb_table_encode(formats[f], tiny, 3, 1e-45f, codes);
        for (size_t i = 0; i < 3; i++)
            assert_true(formats[f]->levels[codes[i]] == 0);
    }
}

/* 2^i middles of equal parts of [0.1, 1] under each power of ten, both signs, 0 and 1. */
static void the_dynamic_map(void **state)
{
    (void)state;
    assert_true(nb_dynamic_map[0] == -0.99296875f && nb_dynamic_map[254] == 0.99296875f);
    assert_true(nb_dynamic_map[127] == 0 && nb_dynamic_map[255] == 1);
    size_t at = 128;
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 1 << i; k++, at++) {
            const double want = pow(10, i - 6) * (0.1 + 0.9 * (k + 0.5) / (1 << i));
            assert_true(fabs((double)nb_dynamic_map[at] - want) <= 1e-7 * want);
            assert_true(nb_dynamic_map[254 - at] == -nb_dynamic_map[at]);
        }
    assert_int_equal(at, 255);
    for (int i = 1; i < 256; i++)
        assert_true(nb_dynamic_map[i] > nb_dynamic_map[i - 1]);
}

/* Every scale's code is the nearest of the map, by brute force; runs of 256 have scales of their own. */
static void scales_of_scales(void **state)
{
    (void)state;
    enum { N = 600 };
    float scales[N], nested[3], offset;
    uint8_t codes[N];
    double sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += (double)(scales[i] = (float)((i * 7919 + 13) % 1009) / 1009 * (i < 256 ? 0.1f : 2));
    assert_int_equal(nb_n_nested(N), 3);
    nb_nest_scales(scales, N, codes, nested, &offset);
    assert_true(offset == (float)(sum / N));
    for (size_t run = 0; run < 3; run++) {
        float most = 0;
        for (size_t i = run * 256; i < N && i < run * 256 + 256; i++)
            most = fmaxf(most, fabsf(scales[i] - offset));
        assert_true(nested[run] == most);
        for (size_t i = run * 256; i < N && i < run * 256 + 256; i++) {
            const float x = (scales[i] - offset) / most, got = fabsf(nb_dynamic_map[codes[i]] - x);
            for (int code = 0; code < 256; code++)
                assert_true(got <= fabsf(nb_dynamic_map[code] - x) + 1e-7f);
            assert_true(fabsf(nb_nested_scale(codes[i], nested[run], offset) - scales[i]) <= 0.008f * most);
        }
    }
    for (size_t i = 0; i < N; i++)
        scales[i] = 0.25f;
    nb_nest_scales(scales, N, codes, nested, &offset); /* all alike: the offset is all of them */
    for (size_t i = 0; i < N; i++)
        assert_true(nb_nested_scale(codes[i], nested[i / 256], offset) == 0.25f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nf4_levels_are_quantiles), cmocka_unit_test(fp4_levels_are_twelfths),
        cmocka_unit_test(goldens),                  cmocka_unit_test(nearest),
        cmocka_unit_test(nothing_to_scale_by),      cmocka_unit_test(the_dynamic_map),
        cmocka_unit_test(scales_of_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
