/* Quantizers: what is refused, sizes, and the text that names them. */
#include "formats/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static nb_quantizer quantizer(const char *format, nb_scheme scheme, nb_granularity granularity,
                              uint32_t group)
{
    return (nb_quantizer){
        .format = nb_format_find(format), .scheme = scheme, .granularity = granularity, .group = group};
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        nb_scheme scheme;
        nb_granularity granularity;
        uint32_t group;
        nb_activations activations;
        bool scales_f32;
        nb_convention convention;
        const char *word; /* in the sentence; NULL: it is fine */
    } cases[] = {
        {"int4", NB_SCHEME_ABSMAX, NB_PER_GROUP, 32, NB_ACTIVATIONS_DEFAULT, false, 0, NULL},
        {"int2", NB_SCHEME_ZEROPOINT, NB_PER_TENSOR, 0, NB_ACTIVATIONS_F32, true, NB_CONVENTION_LABONNE,
         NULL},
        {"int8", NB_SCHEME_ABSMAX, NB_PER_CHANNEL, 0, NB_ACTIVATIONS_INT8, false, 0, NULL},
        {"f16", NB_SCHEME_NONE, NB_PER_TENSOR, 0, NB_ACTIVATIONS_F32, false, 0, NULL},
        {"int4", NB_SCHEME_NONE, NB_PER_TENSOR, 0, 0, false, 0, "scheme"},
        {"int4", NB_SCHEME_ABSMAX, NB_PER_GROUP, 0, 0, false, 0, "group"},
        {"int4", NB_SCHEME_ABSMAX, NB_PER_GROUP, 48, 0, false, 0, "48"},
        {"int4", NB_SCHEME_ABSMAX, NB_PER_CHANNEL, 32, 0, false, 0, "group:32"},
        {"int4", NB_SCHEME_ABSMAX, (nb_granularity)9, 0, 0, false, 0, "channel"},
        {"int4", (nb_scheme)9, NB_PER_TENSOR, 0, 0, false, 0, "scheme"},
        {"int4", NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0, (nb_activations)9, false, 0, "activations"},
        {"int4", NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0, 0, false, (nb_convention)9, "convention"},
        {"f16", NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0, 0, false, 0, "scheme"},
        {"f16", NB_SCHEME_NONE, NB_PER_CHANNEL, 0, 0, false, 0, "channel"},
        {"f8_e4m3", NB_SCHEME_NONE, NB_PER_TENSOR, 0, NB_ACTIVATIONS_INT8, false, 0, "int8 activations"},
        {"f8_e4m3", NB_SCHEME_NONE, NB_PER_TENSOR, 0, 0, true, 0, "scales"},
        {"bf16", NB_SCHEME_NONE, NB_PER_TENSOR, 0, 0, false, NB_CONVENTION_LABONNE, "convention"},
        {"int9", NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0, 0, false, 0, "format"},
        {"nf4", NB_SCHEME_NONE, NB_PER_GROUP, 64, NB_ACTIVATIONS_F32, false, 0, NULL},
        {"fp4", NB_SCHEME_NONE, NB_PER_GROUP, 4096, 0, false, 0, NULL},
        {"nf4", NB_SCHEME_ABSMAX, NB_PER_GROUP, 64, 0, false, 0, "scheme"},
        {"nf4", NB_SCHEME_NONE, NB_PER_TENSOR, 0, 0, false, 0, "group:64"},
        {"nf4", NB_SCHEME_NONE, NB_PER_GROUP, 48, 0, false, 0, "48"},
        {"fp4", NB_SCHEME_NONE, NB_PER_GROUP, 8192, 0, false, 0, "4096"},
        {"nf4", NB_SCHEME_NONE, NB_PER_GROUP, 64, NB_ACTIVATIONS_INT8, false, 0, "int4"},
        {"nf4", NB_SCHEME_NONE, NB_PER_GROUP, 64, 0, true, 0, "f32 always"},
        {"nf4", NB_SCHEME_NONE, NB_PER_GROUP, 64, 0, false, NB_CONVENTION_LABONNE, "convention"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nb_quantizer q = {nb_format_find(cases[i].format),
                          cases[i].scheme,
                          cases[i].granularity,
                          cases[i].group,
                          cases[i].scales_f32,
                          cases[i].activations,
                          cases[i].convention,
                          false};
        nb_error error = {""};
        nb_status status = nb_quantizer_check(&q, &error);
        assert_int_equal(status, cases[i].word ? NB_ERR_ARGUMENT : NB_OK);
        assert_int_equal(nb_quantizer_check(&q, NULL), status);
        if (cases[i].word)
            assert_non_null(strstr(error.text, cases[i].word));
    }
}

static void refuses_other_widths(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 16; bits++) {
        nb_format format = *nb_format_int(8);
        format.bits = bits;
        nb_quantizer q = {.format = &format, .scheme = NB_SCHEME_ABSMAX};
        assert_int_equal(nb_quantizer_check(&q, NULL), bits >= 2 && bits <= 8 ? NB_OK : NB_ERR_ARGUMENT);
    }
}

/* Every quantizer that passes the check, told apart and named. */
static void text_there_and_back(void **state)
{
    (void)state;
    static const uint32_t groups[] = {32, 64, 128, 4294967264u};
    static nb_quantizer all[2000];
    static char texts[2000][96];
    size_t n = 0, longest = 0;
    for (size_t f = 0; f < nb_format_count(); f++)
        for (int scheme = 0; scheme < 3; scheme++)
            for (int granularity = 0; granularity < 3; granularity++)
                for (int g = -1; g < 4; g++)
                    for (int variant = 0; variant < 8; variant++) {
                        const nb_format_kind kind = nb_format_at(f)->kind;
                        const bool floats = kind == NB_FORMAT_FLOAT || kind == NB_FORMAT_TABLE;
                        nb_quantizer q = {nb_format_at(f),
                                          (nb_scheme)scheme,
                                          (nb_granularity)granularity,
                                          g < 0 ? 0 : groups[g],
                                          variant & 1,
                                          variant & 2 && !floats
                                              ? NB_ACTIVATIONS_F32
                                              : NB_ACTIVATIONS_DEFAULT,
                                          variant & 4 && kind != NB_FORMAT_TABLE ? NB_CONVENTION_LABONNE : NB_CONVENTION_DIVIDE,
                                          variant & 4 && kind == NB_FORMAT_TABLE};
                        if (nb_quantizer_check(&q, NULL) != NB_OK ||
                            (variant & 2 && floats))
                            continue;
                        assert_in_range(n, 0, 1999);
                        nb_quantizer_describe(&q, texts[n], sizeof texts[n]);
                        longest = strlen(texts[n]) > longest ? strlen(texts[n]) : longest;
                        nb_quantizer back;
                        assert_int_equal(nb_quantizer_parse(texts[n], &back, NULL), NB_OK);
                        assert_true(nb_quantizer_equal(&q, &back));
                        all[n++] = q;
                    }
    assert_int_equal(n, 5 + 16 * 2 + 7 * 2 * (2 + 4) * 8 + 2 * 3 * 2);
    assert_in_range(longest, 60, 79);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(nb_quantizer_equal(&all[i], &all[k]), i == k);
            assert_int_equal(strcmp(texts[i], texts[k]) == 0, i == k);
        }
}

static void texts(void **state)
{
    (void)state;
    char text[96];
    nb_quantizer q = quantizer("int4", NB_SCHEME_ABSMAX, NB_PER_GROUP, 32);
    assert_string_equal(nb_quantizer_describe(&q, text, sizeof text), "int4 absmax/group:32");
    q = quantizer("int8", NB_SCHEME_ZEROPOINT, NB_PER_CHANNEL, 0);
    q.activations = NB_ACTIVATIONS_F32;
    assert_string_equal(nb_quantizer_describe(&q, text, sizeof text),
                        "int8 zeropoint/channel, f32 activations");
    q.scales_f32 = true;
    q.convention = NB_CONVENTION_LABONNE;
    assert_string_equal(nb_quantizer_describe(&q, text, sizeof text),
                        "int8 zeropoint/channel, f32 activations, f32 scales, labonne");
    q = nb_quantizer_of(nb_format_find("nf4"));
    assert_string_equal(nb_quantizer_describe(&q, text, sizeof text), "nf4 group:64");
    q.double_scales = true;
    assert_string_equal(nb_quantizer_describe(&q, text, sizeof text), "nf4 group:64, double");
    nb_quantizer alone;
    assert_int_equal(nb_quantizer_parse("nf4, double", &alone, NULL), NB_OK);
    assert_true(nb_quantizer_equal(&alone, &q));
    q = quantizer("f16", NB_SCHEME_NONE, NB_PER_TENSOR, 0);
    assert_string_equal(nb_quantizer_describe(&q, text, sizeof text), "f16");
    assert_string_equal(nb_quantizer_describe(&q, text, 3), "f1");

    /* Said or not, the default activations are the same. */
    nb_quantizer said = q;
    said.activations = NB_ACTIVATIONS_F32;
    assert_true(nb_quantizer_equal(&q, &said));
    assert_string_equal(nb_quantizer_describe(&said, text, sizeof text), "f16");

    static const char *const wrong[] = {"",
                                        "int4",
                                        "int9 absmax/tensor",
                                        "int4 absmax",
                                        "int4 absmax/",
                                        "int4 absmax/row",
                                        "int4 absmax/group",
                                        "int4 absmax/group:",
                                        "int4 absmax/group:33",
                                        "int4 absmax/group:0",
                                        "int4 absmax/group:4294967328",
                                        "int4 absmax/group:99999999999999999999999",
                                        "int4 absmax/group:32 ",
                                        "int4  absmax/tensor",
                                        "int4 absmax/tensor, f32",
                                        "int4 absmax/tensor, labonne, f32 scales",
                                        "f16 absmax/tensor",
                                        "nf4 group:",
                                        "nf4 group:63",
                                        "nf4 absmax/group:64",
                                        "int4 absmax/tensor, double",
                                        "f16, f32 scales",
                                        "f16, f32 activations, labonne",
                                        "averyveryverylongnameforaformat absmax/tensor"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        nb_quantizer before = quantizer("int8", NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0), after = before;
        nb_error error = {""};
        assert_int_equal(nb_quantizer_parse(wrong[i], &after, &error), NB_ERR_ARGUMENT);
        assert_true(strlen(error.text) > 10);
        assert_true(nb_quantizer_equal(&before, &after));
    }
}

static void bits_per_weight(void **state)
{
    (void)state;
    nb_quantizer q = quantizer("int4", NB_SCHEME_ABSMAX, NB_PER_GROUP, 32);
    assert_true(nb_quantizer_bits_per_weight(&q, 256, 256) == 4.5);
    assert_true(nb_quantizer_bits_per_weight(&q, 4, 172) == 4 + 6 * 16 / 172.0); /* the last group is short */
    q.scheme = NB_SCHEME_ZEROPOINT;
    assert_true(nb_quantizer_bits_per_weight(&q, 256, 256) == 4.75);
    q.scales_f32 = true;
    q.group = 128;
    assert_true(nb_quantizer_bits_per_weight(&q, 256, 256) == 4 + 40 / 128.0);
    q = quantizer("int8", NB_SCHEME_ABSMAX, NB_PER_CHANNEL, 0);
    assert_true(nb_quantizer_bits_per_weight(&q, 100, 64) == 8.25);
    q = quantizer("int2", NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0);
    assert_true(nb_quantizer_bits_per_weight(&q, 16, 64) == 2 + 16 / 1024.0);
    q = quantizer("f8_e4m3", NB_SCHEME_NONE, NB_PER_TENSOR, 0);
    assert_true(nb_quantizer_bits_per_weight(&q, 16, 64) == 8 + 32 / 1024.0);
    q = nb_quantizer_of(nb_format_find("nf4"));
    assert_true(nb_quantizer_bits_per_weight(&q, 256, 256) == 4.5);
    assert_true(nb_quantizer_bits_per_weight(&q, 4, 172) == 4 + 3 * 32 / 172.0);
    q.double_scales = true; /* the paper's 0.127 bits, and one offset */
    assert_true(nb_quantizer_bits_per_weight(&q, 512, 512) == 4 + 8 / 64.0 + 32 / (64 * 256.0) + 32 / (512 * 512.0));
    q = quantizer("bf16", NB_SCHEME_NONE, NB_PER_TENSOR, 0);
    assert_true(nb_quantizer_bits_per_weight(&q, 16, 64) == 16);
    assert_true(nb_quantizer_bits_per_weight(&q, 0, 0) == 16);
    /* Matrices of more than 2^64 weights do not overflow. */
    assert_true(nb_quantizer_bits_per_weight(&q, SIZE_MAX, SIZE_MAX) == 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(refuses_other_widths),
        cmocka_unit_test(text_there_and_back),
        cmocka_unit_test(texts),
        cmocka_unit_test(bits_per_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
