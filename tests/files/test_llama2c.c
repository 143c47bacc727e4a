/* llama2.c's v0 files: published sizes, where each weight lies, and what is refused. */
#include "files/llama2c.h"
#include "tests/support/models.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three above first. */
#include <cmocka.h>

enum { HEADER = 28 };

static bool probe(const int32_t header[7], size_t size)
{
    uint8_t bytes[HEADER]; /* nothing beyond the header may be read */
    memcpy(bytes, header, HEADER);
    return nb_llama2c_probe(bytes, size);
}

static void published_sizes_are_known(void **state)
{
    (void)state;
    static const int32_t stories15m[7] = {288, 768, 6, 6, 6, 32000, 256};
    static const int32_t stories260k[7] = {64, 172, 5, 8, 4, 512, 512};
    assert_true(probe(stories15m, 60816028));
    assert_false(probe(stories15m, 60816027));
    assert_false(probe(stories15m, 60816032));
    assert_true(probe(stories260k, 1056540));
}

static void senseless_headers_are_refused(void **state)
{
    (void)state;
    static const int32_t good[7] = {8, 12, 2, 4, 2, 20, 16};
    static const struct {
        int place;
        int32_t value;
    } bad[] = {
        {0, 0},         {0, -8},        {0, 9}, {0, INT32_MAX}, {0, INT32_MIN}, {1, 0},
        {1, -1},        {1, INT32_MAX}, {2, 0}, {2, INT32_MAX}, {3, 0},         {3, 3},
        {3, 8},         {3, -4},        {4, 0}, {4, 3},         {4, 8},         {5, 0},
        {5, INT32_MIN}, {5, INT32_MAX}, {6, 0}, {6, -1},        {6, INT32_MAX},
    };
    llama2c_shape shape;
    memcpy(&shape, good, sizeof shape);
    assert_true(probe(good, HEADER + 4 * llama2c_floats(&shape)));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t bytes[256] = {0};
        nb_llama2c *model;
        nb_error error = {""};
        int32_t header[7];
        memcpy(header, good, sizeof header);
        header[bad[i].place] = bad[i].value;
        memcpy(bytes, header, sizeof header);
        assert_int_equal(nb_llama2c_open_memory(bytes, sizeof bytes, "bad.bin", &model, &error), NB_ERR_FILE);
        assert_null(model);
        assert_non_null(strstr(error.text, "bad.bin"));
    }
}

/* A file whose every float is its own index tells where each pointer points. */
static void weights_lie_where_export_puts_them(void **state)
{
    (void)state;
    for (int separate = 0; separate < 2; separate++) {
        const llama2c_shape s = {8, 12, 2, 4, 2, separate ? -20 : 20, 16};
        size_t size, n = llama2c_floats(&s);
        uint8_t *file = make_llama2c(&s, 1, &size);
        for (size_t i = 0; i < n; i++) {
            float index = (float)i;
            memcpy(file + HEADER + 4 * i, &index, 4);
        }
        nb_llama2c *m;
        nb_error error;
        assert_int_equal(nb_llama2c_open(temporary_file("index.bin", file, size), &m, &error), NB_OK);
        free(file);
        assert_int_equal(m->vocab_size, 20);
        assert_true(m->shared_classifier == !separate);
        assert_true(m->dim == 8 && m->hidden_dim == 12 && m->n_layers == 2 && m->n_heads == 4 &&
                    m->n_kv_heads == 2 && m->seq_len == 16);
        /* head size 2, so 4 rows of keys; order and sizes by export.py */
        const float *const weights[12] = {m->token_embd, m->attn_norm, m->wq,          m->wk,
                                          m->wv,         m->wo,        m->ffn_norm,    m->w1_gate,
                                          m->w2_down,    m->w3_up,     m->output_norm, m->output};
        const size_t sizes[11] = {20 * 8, 2 * 8,  2 * 64, 2 * 32, 2 * 32, 2 * 64,
                                  2 * 8,  2 * 96, 2 * 96, 2 * 96, 8};
        size_t at = 0;
        for (int i = 0; i < 11; at += sizes[i], i++)
            assert_true(weights[i][0] == (float)at);
        assert_true(weights[11][0] == (separate ? (float)(at + 16 * 2) : 0.0f));
        nb_llama2c_close(&m);
        assert_null(m);
    }
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    const llama2c_shape s = {4, 4, 1, 1, 1, 5, 2};
    size_t size;
    uint8_t *file = make_llama2c(&s, 1, &size);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *bytes = malloc(cut + 1);
        nb_llama2c *model;
        nb_error error = {""};
        assert_non_null(bytes);
        memcpy(bytes, file, cut);
        assert_false(nb_llama2c_probe(bytes, cut));
        assert_int_equal(nb_llama2c_open_memory(bytes, cut, "cut.bin", &model, &error), NB_ERR_FILE);
        assert_non_null(strstr(error.text, "cut.bin"));
        free(bytes);
    }
    free(file);
}

static void newer_versions_are_refused_by_name(void **state)
{
    (void)state;
    uint8_t bytes[256] = {0x32, 0x34, 0x6b, 0x61, 1};
    nb_llama2c *model;
    nb_error error;
    assert_int_equal(nb_llama2c_open_memory(bytes, sizeof bytes, "v1.bin", &model, &error),
                     NB_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "version 1 or 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_sizes_are_known),          cmocka_unit_test(senseless_headers_are_refused),
        cmocka_unit_test(weights_lie_where_export_puts_them), cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(newer_versions_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("llama2c", tests, NULL, NULL);
}
