/* Encodings, byte for byte as ggml's reference quantizes the same rows (built
 * without fused multiply-adds). */
#include "tests/formats/block_rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_hex(const char *name, const uint8_t *bytes, const char *hex)
{
    for (size_t i = 0; hex[2 * i] != 0; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        unsigned long byte = strtoul(pair, NULL, 16);
        if (bytes[i] != byte)
            fail_msg("%s: byte %zu is %02x, not %02lx", name, i, bytes[i], byte);
    }
}

typedef struct golden {
    const nb_format *format;
    const char *hex;
} golden;

/* Of formula_row_32. */
static const golden plain_goldens[] = {
    {&nb_format_q4_0, "0030730c953fc851ea841da63fd962fb842e"},
    {&nb_format_q4_1, "113000bc730c952ec851ea731da63fc862fb841d"},
    {&nb_format_q5_0, "002c5aad546ae6083b5d80a2d5f72a4c7f91c4e6193b"},
    {&nb_format_q5_1, "df2b00bc5aad546ae6083b5d80a2d5f72a4c7f91c4e6193b"},
    {&nb_format_q8_0, "0820ad40d467fc9124b94be073089d30c457ec8114a93cd063f88d20b547dc6f0499"},
    {&nb_format_mxfp4, "7d9de41bd540bd520ce42ac640ad530cd5"},
};

/* Of formula_row_256 (nvfp4: of its first 64). */
static const golden super_goldens[] = {
    {&nb_format_nvfp4, "22222323cf3c74e70e50f6cf73e79e59f5cf2c639e59f5cf2c62e6ae74d71d61e6ae4a74"},
    {&nb_format_q2_k,
     "efefffcfcfdfefefdecfdfefffcecfdf5499ea4395aa3f4495ea4355aa3f4095ea0f55a93e5095ea0f54a93e4095ea0f"
     "a9fe50a5fa0f54a9fa53a5ba0f50a5fa4395ea0e54a9fe4395e93e54a9fa435400293c2c"},
    {&nb_format_q3_k,
     "645eabe55c9ba3645cbbe55c9ba3645ccdd13aedd5322ecdd13aafd5322ecdd1e443d9731aa40ee44fd97319b40ee44f"
     "e953399c36ac47e953399036ac46e95393369c066dc36993369f066cc369d33ab00e64fd67f11ab01e64cd67f11bb01e"
     "36a5a56b5ac0b5a50cf0f0c399a0"},
    {&nb_format_q4_k,
     "a0183724f4fef4f3fafcf5faff74aa132166ab0f4388cd2166aa0f4388cd2065aaef4388cd2065aaef4387cc2065aaef"
     "63b8fd3186da0f53a8fd3185da0f53a8fd3085ca0f53a7fc2075ca0f52a7fc2086da1064a8fc3286da1e54a8fc3286da"
     "0e54a8fc3286ca0e54a8fc2276ca0e54b9fd3287db0054a9fd3287db0054a9fd3286cb0054a8fd2276cb0f54a8fd2276"},
    {&nb_format_q5_k,
     "2a141424f9fff9f9fbfef7fdfe99ee49e0fc0f81f83f07e0fc1f81f83f07e0fc1f03f03e07c0f81f03f07e07c0f81f03"
     "52eb750f9620ba51db650f9620ba41db64fe851fa940da64fe851fa930ca54edb750fa620ba51fb650fa610ba51fb640"
     "ea51fb940ea54fe950fa940ea54fd9500ea720b952fb640da61fb952fb640da61fb841ea54fd960fa841ea53fc950ea8"
     "53fc660fa811ba53fc650ea710b943ec65fe9700a942eb54fd960fa942eb54fd"},
    {&nb_format_q6_k,
     "12d6aabf8b400421e5a9ce8b5f1330f4583b7cbef1c204472a6bade0b1f436196a9dcfc1f326285a8cbeb0e21517497b"
     "93b1de0c1a476594a2cffd0b385684928cbeb0e21417497badafd20406386a9c50402dfadab79461413e1beac7a57251"
     "3e0afdc9a590644f1b0edab59174402c22e6a9cd8c4f0332f5b9dc9b5e1231f47095ca3364da0f7095ca3364d90f7095"
     "f60358e5334ca9f60358a5334c99f60365328c5936c39c6532cf5936c39c6932f06719fca3560df06719cca3560df067"
     "707a7c808c72787b7e8790757880858e1a0c"},
    {&nb_format_iq4_xs,
     "3a8c30f0044c30cfb0f52b7fd2084da0f42b7fd2084da0f4c2f74c90e42a6ec2f74c90e4296eb2f62df7b24f0ad4802d"
     "f7b25f0be4802df8f42b7fd2074da0f41b7fd2074da0f41af63c90e4196eb2f63c9fd4196eb2f63c085eb1f52b8fd308"
     "4eb1f52b7fd2084de6914ef9c36f2ce6914e09c36f2ce6a1d4702df7b14f0ad4702df7b24f0ad480"},
    {&nb_format_tq1_0,
     "0e808cac2b84f705808eac2b84f705808ee52b81f705808ee42b81a205808ee460e021996ecb4a60e021a065cb4a60e0"
     "2a8ce40d003c"},
    {&nb_format_tq2_0,
     "5055a50254952a4055a50254952a4055a50a54552a4055a50a5455294055a50a55a94055a50a5055a94255950a5055a9"
     "0255950a5055a90254952a5055a90254003c"},
};

static void formula_rows(void **state)
{
    (void)state;
    float x[256];
    uint8_t block[256];
    formula_row_32(x);
    for (size_t i = 0; i < sizeof plain_goldens / sizeof *plain_goldens; i++) {
        plain_goldens[i].format->encode_blocks(x, 32, NULL, block);
        assert_int_equal(strlen(plain_goldens[i].hex), 2 * plain_goldens[i].format->block_bytes);
        assert_hex(plain_goldens[i].format->name, block, plain_goldens[i].hex);
    }
    formula_row_256(x);
    for (size_t i = 0; i < sizeof super_goldens / sizeof *super_goldens; i++) {
        const nb_format *format = super_goldens[i].format;
        format->encode_blocks(x, format->block_size, NULL, block);
        assert_int_equal(strlen(super_goldens[i].hex), 2 * format->block_bytes);
        assert_hex(format->name, block, super_goldens[i].hex);
    }
}

static void formula_rows_with_importance(void **state)
{
    (void)state;
    float x[256], importance[256];
    uint8_t block[256];
    for (int i = 0; i < 256; i++)
        importance[i] = (float)(1 + i % 5);
    formula_row_32(x);
    nb_format_q4_0.encode_blocks(x, 32, importance, block);
    assert_hex("q4_0", block, "1e30730c953ec851ea841da63fc862fb842d");
    formula_row_256(x);
    nb_format_q4_k.encode_blocks(x, 256, importance, block);
    assert_hex("q4_k", block, "a8183724f3fef4f3f9fcf5fbff8498022166ab0f");
}

/* The root mean square error of the row by formula, to the digits that it is published with. */
static void published_errors(void **state)
{
    (void)state;
    static const struct {
        const nb_format *format;
        double rmse, room;
    } table[] = {
        {&nb_format_q2_k, 0.17316, 5e-6},    {&nb_format_q3_k, 0.0714897, 5e-8},
        {&nb_format_q4_k, 0.032721, 5e-7},   {&nb_format_q5_k, 0.0169539, 5e-8},
        {&nb_format_q6_k, 0.00818896, 5e-9}, {&nb_format_iq4_xs, 0.0379356, 5e-8},
        {&nb_format_tq1_0, 0.28753, 5e-6},   {&nb_format_tq2_0, 0.28753, 5e-6},
    };
    float x[256], back[256];
    uint8_t block[256];
    formula_row_256(x);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        table[i].format->encode_blocks(x, 256, NULL, block);
        table[i].format->decode_row(block, 256, back);
        double sum = 0;
        for (int j = 0; j < 256; j++)
            sum += ((double)x[j] - (double)back[j]) * ((double)x[j] - (double)back[j]);
        if (fabs(sqrt(sum / 256) - table[i].rmse) > table[i].room)
            fail_msg("%s: error %.9g, not %g", table[i].format->name, sqrt(sum / 256), table[i].rmse);
    }
}

static void special_rows(void **state)
{
    (void)state;
    float zeros[256] = {0}, halves[32], back[256];
    uint8_t block[256];
    for (size_t f = 0; f < N_BLOCK_FORMATS; f++) {
        const nb_format *format = block_formats[f];
        memset(block, 0xaa, sizeof block);
        format->encode_blocks(zeros, format->block_size, NULL, block);
        format->decode_row(block, format->block_size, back);
        for (uint32_t i = 0; i < format->block_size; i++)
            assert_true(back[i] == 0);
        assert_int_equal(block[format->block_bytes], 0xaa);
    }
    /* -0 as a scale: 0 / -8. */
    nb_format_q4_0.encode_blocks(zeros, 32, NULL, block);
    assert_hex("q4_0", block, "008088888888888888888888888888888888");
    nb_format_tq1_0.encode_blocks(zeros, 256, NULL, block);
    assert_hex("tq1_0", block + 46, "80807f7f7f7f0000");
    for (int i = 0; i < 32; i++)
        halves[i] = 0.5f;
    nb_format_q4_0.encode_blocks(halves, 32, NULL, block);
    assert_hex("q4_0", block, "00ac00000000000000000000000000000000");
    nb_format_q4_1.encode_blocks(halves, 32, NULL, block);
    assert_hex("q4_1", block, "0000003800000000000000000000000000000000");
    /* The first of two largest weights has the exact place; the other one is a step short. */
    float pair[32] = {-1, 1};
    nb_format_q4_0.encode_blocks(pair, 32, NULL, block);
    nb_format_q4_0.decode_row(block, 32, back);
    assert_true(back[0] == -1 && back[1] == 0.875f && back[2] == 0);
    /* Ties of 4-bit floats go towards 0. */
    static const float ties[32] = {7.9f, -5, 0.75f, 1.75f, 3.5f, 2.5f, 0.25f};
    nb_format_mxfp4.encode_blocks(ties, 32, NULL, block);
    assert_hex("mxfp4", block, "7f070e0103050400");
}

/* A power of two less a few units in the last place: log2 in f32 rounds up to the power, and the scale is
 * twice as large. 2^3 (1 - 2^-24) does, 2^3 (1 - 2^-21) does not. */
static void scale_of_mxfp4_follows_log2(void **state)
{
    (void)state;
    float x[32] = {0};
    uint8_t block[17];
    static const struct {
        float max;
        int e;
    } table[] = {{8, 128},     {0x0.ffffffp3f, 128},   {0x0.fffff8p3f, 127},  {0x0.ffffffp0f, 124},
                 {1, 125},     {0x0.ffffffp64f, 189},  {0x0.fffff0p64f, 189}, {0x0.ffffe0p64f, 188},
                 {3e38f, 252}, {0x1.fffffep127f, 253}, {0x1p-125f, 0},        {0x1p-149f, 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        x[5] = table[i].max;
        nb_format_mxfp4.encode_blocks(x, 32, NULL, block);
        if (block[0] != table[i].e)
            fail_msg("%a: %d, not %d", (double)table[i].max, block[0], table[i].e);
    }
}

/* The largest weight, 6 times the scale, and the e4m3 code of that: to nearest, ties up, and everything that
 * would become 256 or more is 448. */
static void scales_of_nvfp4(void **state)
{
    (void)state;
    static const struct {
        float scale;
        int code;
    } table[] = {{1, 0x38},       {1.0625f, 0x39},  {1.0624f, 0x38},   {1.9376f, 0x40},
                 {240, 0x77},     {247, 0x77},      {248, 0x7e},       {256, 0x7e},
                 {1000, 0x7e},    {0x1p-6f, 0x08},  {0x1.ep-7f, 0x07}, {0x1.fp-7f, 0x07},
                 {0x1p-9f, 0x01}, {0x1p-10f, 0x01}, {0x1.ffp-11f, 0},  {0, 0}};
    float x[64] = {0};
    uint8_t block[36];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        x[20] = -6 * table[i].scale;
        nb_format_nvfp4.encode_blocks(x, 64, NULL, block);
        if (block[1] != table[i].code)
            fail_msg("%a: %02x, not %02x", (double)table[i].scale, block[1], table[i].code);
    }
}

static void encode_row(const void *self, const float *values, size_t n, const float *importance, void *blocks)
{
    ((const nb_format *)self)->encode_blocks(values, n, importance, blocks);
}

static void seeded_rows(void **state)
{
    (void)state;
    enum { N_ROWS = 1560 };
    /* Hashes of the encodings of 1560 seeded rows as ggml's reference quantizes them, without and with
     * importance. */
    static const struct {
        const nb_format *format;
        uint64_t plain, important;
    } table[] = {
        {&nb_format_q4_0, UINT64_C(0x8d9b43cea27b05c0), UINT64_C(0xcf988ce54da7d77c)},
        {&nb_format_q4_1, UINT64_C(0xd390f7746341e83d), UINT64_C(0x909d0f3e419d436f)},
        {&nb_format_q5_0, UINT64_C(0xc9ac9f71884998b2), UINT64_C(0x5791e826b42545e5)},
        {&nb_format_q5_1, UINT64_C(0x14817b3f92cce879), UINT64_C(0xe21fef3efe840f4f)},
        {&nb_format_q8_0, UINT64_C(0x48b88474033adbd0), UINT64_C(0x48b88474033adbd0)},
        {&nb_format_q2_k, UINT64_C(0xf100b8c52de940ba), UINT64_C(0xaeadbee950863838)},
        {&nb_format_q3_k, UINT64_C(0xb1e1994d3d75eb40), UINT64_C(0xcab856c3b85a42e2)},
        {&nb_format_q4_k, UINT64_C(0x71bc32d3d6939e73), UINT64_C(0x38189f3c0d8bf035)},
        {&nb_format_q5_k, UINT64_C(0x8aabb47187476b0b), UINT64_C(0x920fd4a8557edb72)},
        {&nb_format_q6_k, UINT64_C(0x2c2106b7ba5da350), UINT64_C(0x1421ad1e3499876c)},
        {&nb_format_iq4_nl, UINT64_C(0x977892e5e2e3c0b7), UINT64_C(0xe3bd213f2ae915b3)},
        {&nb_format_iq4_xs, UINT64_C(0x5818daba1b247671), UINT64_C(0xc230e1944e2919fa)},
        {&nb_format_tq1_0, UINT64_C(0x0288765be14bc9d6), UINT64_C(0x0288765be14bc9d6)},
        {&nb_format_tq2_0, UINT64_C(0x61246d4b365e8f1d), UINT64_C(0x61246d4b365e8f1d)},
        {&nb_format_mxfp4, UINT64_C(0x678e2db66ad16e7c), UINT64_C(0x678e2db66ad16e7c)},
        {&nb_format_nvfp4, UINT64_C(0x8acbcca6011bb0e7), UINT64_C(0x8acbcca6011bb0e7)},
    };
    assert_int_equal(sizeof table / sizeof *table, N_BLOCK_FORMATS);
    for (size_t i = 0; i < N_BLOCK_FORMATS; i++) {
        const nb_format *format = table[i].format;
        if (hash_of_encodings(encode_row, format, format, N_ROWS, 0) != table[i].plain)
            fail_msg("%s: other bytes than the reference's", format->name);
        if (hash_of_encodings(encode_row, format, format, N_ROWS, 1) != table[i].important)
            fail_msg("%s: other bytes than the reference's with importance", format->name);
    }
}

/* Weights whose squares overflow, or whose scales have no inverse: any bytes, but no NaN of other bits than
 * 0xfe00, which would differ between CPUs; and what is far below f16 becomes 0, or nearly so. */
static void extreme_rows(void **state)
{
    (void)state;
    static const float sizes[] = {3e38f, 1e30f, 1e19f, 1e15f, 1e-37f, 1e-40f, 1.5e-45f};
    nb_random random;
    nb_random_seed(&random, 10);
    for (size_t f = 0; f < N_BLOCK_FORMATS; f++)
        for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
            const nb_format *format = block_formats[f];
            const float size = sizes[k / 2];
            float x[256], importance[256], back[256];
            uint8_t blocks[MAX_ROW_BYTES];
            for (size_t i = 0; i < 256; i++) {
                x[i] = size * (2 * (float)nb_random_f64(&random) - 1);
                importance[i] = (float)nb_random_below(&random, 3);
            }
            format->encode_blocks(x, 256, k % 2 == 0 ? importance : NULL, blocks);
            format->decode_row(blocks, 256, back);
            for (size_t i = 0; i < 256 && size < 1; i++)
                assert_true(fabsf(back[i]) <= 1e-36f);
            for (size_t b = 0; b < 256 / format->block_size; b++)
                for (size_t i = 0; i < format->n_fields; i++) {
                    const uint8_t *bytes = blocks + b * format->block_bytes + format->fields[i].offset;
                    const unsigned code = bytes[0] | (unsigned)bytes[1] << 8;
                    if (strstr(format->fields[i].what, "f16") && (code & 0x7fff) > 0x7c00)
                        assert_int_equal(code, 0xfe00);
                }
        }
}

/* What these formats can say exactly comes back exactly, and its bytes too. */
static void exact_numbers_come_back(void **state)
{
    (void)state;
    static const nb_format *const exact[] = {&nb_format_q4_0,  &nb_format_q5_0,  &nb_format_q8_0,
                                             &nb_format_tq1_0, &nb_format_tq2_0, &nb_format_mxfp4,
                                             &nb_format_nvfp4};
    nb_random random;
    nb_random_seed(&random, 8);
    for (size_t f = 0; f < sizeof exact / sizeof *exact; f++) {
        const nb_format *format = exact[f];
        for (int round = 0; round < 200; round++) {
            float x[256], back[256];
            uint8_t block[256], again[256];
            const float step = 0.0078125f * (float)(1 + nb_random_below(&random, 7));
            for (uint32_t i = 0; i < format->block_size; i++)
                switch (format->gguf_type) {
                case 2:
                    x[i] = step * (i == 3 ? -8 : (float)nb_random_below(&random, 16) - 8);
                    break;
                case 6:
                    x[i] = step * (i == 3 ? -16 : (float)nb_random_below(&random, 32) - 16);
                    break;
                case 8:
                    x[i] = step * (i == 3 ? 127 : (float)nb_random_below(&random, 255) - 127);
                    break;
                case 39:
                    x[i] = 0.25f * (i == 3 ? 12 : nb_e2m1_doubled[nb_random_below(&random, 16)]);
                    break;
                case 40:
                    x[i] = step * (i % 16 == 3 ? 12 : nb_e2m1_doubled[nb_random_below(&random, 16)]);
                    break;
                default:
                    x[i] = step * (i == 3 ? 1 : (float)nb_random_below(&random, 3) - 1);
                    break;
                }
            format->encode_blocks(x, format->block_size, NULL, block);
            format->decode_row(block, format->block_size, back);
            for (uint32_t i = 0; i < format->block_size; i++)
                if (back[i] != x[i])
                    fail_msg("%s: %g came back as %g", format->name, (double)x[i], (double)back[i]);
            format->encode_blocks(back, format->block_size, NULL, again);
            assert_memory_equal(block, again, format->block_bytes);
        }
    }
}

/* Importance draws the error to where it does not count. */
static void importance_helps(void **state)
{
    (void)state;
    static const nb_format *const chosen[] = {&nb_format_q4_0,   &nb_format_q4_1,  &nb_format_q5_0,
                                              &nb_format_q5_1,   &nb_format_q2_k,  &nb_format_q3_k,
                                              &nb_format_q4_k,   &nb_format_q5_k,  &nb_format_q6_k,
                                              &nb_format_iq4_nl, &nb_format_iq4_xs};
    enum { N = 1024 };
    nb_random random;
    nb_random_seed(&random, 9);
    for (size_t f = 0; f < sizeof chosen / sizeof *chosen; f++) {
        double errors[2] = {0};
        for (int round = 0; round < 20; round++) {
            float x[N], back[N], importance[N];
            uint8_t blocks[2 * N];
            for (size_t i = 0; i < N; i++) {
                x[i] = (float)nb_random_normal(&random);
                importance[i] = nb_random_below(&random, 4) == 0 ? 100 : 1;
            }
            for (int with = 0; with < 2; with++) {
                chosen[f]->encode_blocks(x, N, with ? importance : NULL, blocks);
                chosen[f]->decode_row(blocks, N, back);
                for (size_t i = 0; i < N; i++) {
                    double e = (double)x[i] - (double)back[i];
                    errors[with] += (double)importance[i] * e * e;
                }
            }
        }
        if (!(errors[1] < 0.97 * errors[0]))
            fail_msg("%s: weighted error %g with importance, %g without", chosen[f]->name, errors[1],
                     errors[0]);
    }
}

/* The error of N(0, 1) weights that the format's row promises. */
static void keeps_its_error_bound(void **state)
{
    (void)state;
    enum { N = 1 << 14 };
    static float x[N], y[N];
    static uint8_t blocks[2 * N];
    nb_random random;
    nb_random_seed(&random, 11);
    for (size_t i = 0; i < N; i++)
        x[i] = (float)nb_random_normal(&random);
    for (size_t f = 0; f < N_BLOCK_FORMATS; f++) {
        const nb_format *format = block_formats[f];
        double signal = 0, noise = 0;
        format->encode_blocks(x, N, NULL, blocks);
        format->decode_row(blocks, N, y);
        for (size_t i = 0; i < N; i++) {
            signal += (double)x[i] * (double)x[i];
            noise += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        }
        double error = sqrt(noise / signal);
        if (error > (double)format->max_rel_rmse || error < 0.85 * (double)format->max_rel_rmse)
            fail_msg("%s: relative error %g, the table says %g", format->name, error,
                     (double)format->max_rel_rmse);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formula_rows),
        cmocka_unit_test(formula_rows_with_importance),
        cmocka_unit_test(published_errors),
        cmocka_unit_test(special_rows),
        cmocka_unit_test(scale_of_mxfp4_follows_log2),
        cmocka_unit_test(scales_of_nvfp4),
        cmocka_unit_test(seeded_rows),
        cmocka_unit_test(extreme_rows),
        cmocka_unit_test(exact_numbers_come_back),
        cmocka_unit_test(importance_helps),
        cmocka_unit_test(keeps_its_error_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
