/* Several matrices over the same activations in one go, beside one after another: the same bits. */
#include "base/memory.h"
#include "base/random.h"
#include "base/work.h"
#include "kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_PARTS = 4, N_COLS = 100, MAX_ROWS = 700, MAX_TOKENS = 40, GUARD = 16 };

static nb_packed *random_matrix(const char *format, size_t n_rows, nb_random *random)
{
    nb_quantizer quantizer = {.format = nb_format_find(format)};
    if (quantizer.format->kind == NB_FORMAT_INT) {
        quantizer.scheme = NB_SCHEME_ABSMAX;
        quantizer.granularity = NB_PER_CHANNEL;
    }
    nb_packed *packed = NULL;
    assert_int_equal(nb_packed_create(&quantizer, n_rows, N_COLS, &packed, NULL), NB_OK);
    for (size_t group = 0; group < packed->n_row_groups; group++) {
        if (quantizer.format->kind == NB_FORMAT_INT) {
            uint8_t codes[NB_ROWS * N_COLS];
            float scales[NB_ROWS];
            for (size_t i = 0; i < sizeof codes; i++)
                codes[i] = (uint8_t)nb_random_below(random, 1u << quantizer.format->bits);
            for (size_t i = 0; i < NB_ROWS; i++)
                scales[i] = (float)(1 + nb_random_below(random, 8)) / 64;
            nb_packed_set_int(packed, group, codes, scales, NULL);
        } else {
            float rows[NB_ROWS * N_COLS];
            for (size_t i = 0; i < NB_ROWS * N_COLS; i++)
                rows[i] = (float)nb_random_normal(random);
            nb_packed_set_float(packed, group, rows, N_COLS * sizeof *rows);
        }
    }
    return packed;
}

static void test_parts(void **state)
{
    (void)state;
    static const size_t rows[N_PARTS] = {MAX_ROWS, 7, 333, 16};
    static const char *const formats[N_PARTS] = {"f32", "int4", "int8", "f32"};
    static const size_t tokens[] = {1, 3, MAX_TOKENS};
    nb_random random;
    nb_random_seed(&random, 1);
    nb_packed *packed[N_PARTS];
    for (size_t i = 0; i < N_PARTS; i++)
        packed[i] = random_matrix(formats[i], rows[i], &random);
    static float x[MAX_TOKENS * N_COLS];
    for (size_t i = 0; i < MAX_TOKENS * N_COLS; i++)
        x[i] = (float)nb_random_normal(&random);
    const size_t size = MAX_TOKENS * (MAX_ROWS + GUARD) * sizeof(float);
    float *want[N_PARTS], *got[N_PARTS];
    for (size_t i = 0; i < N_PARTS; i++) {
        assert_non_null(want[i] = malloc(size));
        assert_non_null(got[i] = malloc(size));
    }
    for (unsigned n_threads = 1; n_threads <= 3; n_threads++) {
        nb_context *context = NULL;
        const nb_context_options options = {.n_threads = n_threads};
        assert_int_equal(nb_context_create(&options, &context, NULL), NB_OK);
        context->verify = n_threads == 2;
        uint64_t multiply_adds = 0;
        for (size_t t = 0; t < sizeof tokens / sizeof tokens[0]; t++) {
            nb_acts_buffer acts = {0};
            assert_int_equal(nb_acts_prepare(context, &acts, x, tokens[t], N_COLS, N_COLS, true, NULL), NB_OK);
            for (size_t n_parts = 1; n_parts <= N_PARTS; n_parts++) {
                nb_matmul_part parts[N_PARTS];
                for (size_t i = 0; i < n_parts; i++) {
                    memset(want[i], 0xA5, size);
                    memset(got[i], 0xA5, size);
                    parts[i] = (nb_matmul_part){packed[i], got[i], rows[i] + GUARD};
                    nb_matmul(context, packed[i], &acts.acts, want[i], rows[i] + GUARD);
                    multiply_adds += 2 * rows[i] * N_COLS * tokens[t]; /* here and among the parts */
                }
                nb_matmul_parts(context, parts, n_parts, &acts.acts);
                for (size_t i = 0; i < n_parts; i++)
                    assert_memory_equal(got[i], want[i], size);
            }
            nb_acts_buffer_free(&acts);
        }
        assert_true(nb_pool_work(context->pool) == multiply_adds);
        nb_context_destroy(&context);
    }
    for (size_t i = 0; i < N_PARTS; i++) {
        nb_packed_destroy(&packed[i]);
        free(want[i]);
        free(got[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
