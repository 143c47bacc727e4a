/* Matrices in nf4 and fp4: the packed form against a plain computation from the source, the matmul against f32's. */
#include "base/memory.h"
#include "base/random.h"
#include "kernels/kernels.h"
#include "quant/rtn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 53, COLS = 200, GROUP = 64, GROUPS = 4, TOKENS = 9 };

static nb_context *context_of(unsigned n_threads)
{
    const nb_context_options options = {.n_threads = n_threads};
    nb_context *context;
    assert_int_equal(nb_context_create(&options, &context, NULL), NB_OK);
    return context;
}

static const char *const kinds[] = {"nf4", "fp4", "nf4 group:64, double", "fp4 group:64, double"};

static void fill(float *x, size_t n)
{
    nb_random random;
    nb_random_seed(&random, 9);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)nb_random_normal(&random);
}

/* Group by group, from the definitions alone. */
static void by_hand(const float *x, const nb_quantizer *q, float *want)
{
    static float absmax[ROWS * GROUPS], scales[ROWS * GROUPS], nested[ROWS * GROUPS / 256 + 1], offset;
    static uint8_t codes[ROWS * GROUPS];
    for (size_t i = 0; i < ROWS * GROUPS; i++) {
        absmax[i] = 0;
        for (size_t k = i % GROUPS * GROUP; k < COLS && k < (i % GROUPS + 1) * GROUP; k++)
            absmax[i] = fmaxf(absmax[i], fabsf(x[i / GROUPS * COLS + k]));
        scales[i] = absmax[i];
    }
    if (q->double_scales) {
        nb_nest_scales(absmax, ROWS * GROUPS, codes, nested, &offset);
        for (size_t i = 0; i < ROWS * GROUPS; i++)
            scales[i] = nb_dynamic_map[codes[i]] * nested[i / 256] + offset;
    }
    for (size_t i = 0; i < ROWS * COLS; i++) {
        const size_t g = i / COLS * GROUPS + i % COLS / GROUP;
        want[i] = q->format->decode(q->format->encode(x[i] * (1 / absmax[g]))) * scales[g];
    }
}

static void packs_what_the_definition_says(void **state)
{
    (void)state;
    static float x[ROWS * COLS], want[ROWS * COLS], got[COLS];
    fill(x, ROWS * COLS);
    memset(x + 3 * COLS, 0, COLS * sizeof *x); /* a row of zeros */
    nb_context *contexts[] = {context_of(1), context_of(3)};
    for (size_t kind = 0; kind < 4; kind++) {
        nb_quantizer q;
        assert_int_equal(nb_quantizer_parse(kinds[kind], &q, NULL), NB_OK);
        by_hand(x, &q, want);
        double noise = 0;
        for (size_t i = 0; i < ROWS * COLS; i++) {
            if (i / COLS == 3)
                want[i] = 0; /* 0 times an infinite inverse, by hand */
            noise += ((double)x[i] - (double)want[i]) * ((double)x[i] - (double)want[i]);
        }
        for (size_t c = 0; c < 2; c++) {
            const nb_source source = {&nb_format_f32, x, ROWS, COLS, NULL, NULL, NULL};
            nb_packed *packed;
            nb_rtn_stats stats;
            assert_int_equal(nb_rtn_quantize(contexts[c], "w", &source, &q, &packed, &stats, NULL), NB_OK);
            for (size_t row = 0; row < ROWS; row++) {
                nb_packed_decode_row(packed, row, got);
                for (size_t k = 0; k < COLS; k++)
                    assert_true(got[k] == want[row * COLS + k]);
            }
            assert_true(fabs(stats.noise - noise) <= 1e-9 * noise);
            const double bytes = nb_quantizer_bits_per_weight(&q, 64, 224) * 64 * 224 / 8; /* as padded */
            assert_true(fabs((double)packed->n_bytes - bytes) <= 4);
            nb_packed_destroy(&packed);
        }
    }
    nb_context_destroy(&contexts[0]);
    nb_context_destroy(&contexts[1]);
}

/* w = level * scale, then as any f32 matrix: the same bits as a matrix of f32 that holds the decoded numbers. */
static void multiplies_as_f32_would(void **state)
{
    (void)state;
    static float w[ROWS * COLS], x[TOKENS * COLS], decoded[ROWS * COLS], want[TOKENS * ROWS], got[TOKENS * ROWS];
    fill(w, ROWS * COLS);
    fill(x, TOKENS * COLS);
    nb_context *context = context_of(2);
    for (size_t kind = 0; kind < 4; kind++) {
        const nb_quantizer plain = {.format = &nb_format_f32};
        nb_quantizer q;
        nb_packed *packed, *f32;
        nb_acts_buffer acts = {0};
        assert_int_equal(nb_quantizer_parse(kinds[kind], &q, NULL), NB_OK);
        assert_false(nb_quantizer_wants_int8(&q));
        const nb_source source = {&nb_format_f32, w, ROWS, COLS, NULL, NULL, NULL},
                        after = {&nb_format_f32, decoded, ROWS, COLS, NULL, NULL, NULL};
        assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, NULL, NULL), NB_OK);
        for (size_t row = 0; row < ROWS; row++)
            nb_packed_decode_row(packed, row, decoded + row * COLS);
        assert_int_equal(nb_rtn_quantize(context, "w", &after, &plain, &f32, NULL, NULL), NB_OK);
        for (size_t n = 1; n <= TOKENS; n += n < 4 ? 1 : 5) {
            assert_int_equal(nb_acts_prepare(context, &acts, x, n, COLS, COLS, false, NULL), NB_OK);
            nb_matmul(context, f32, &acts.acts, want, ROWS);
            nb_matmul(context, packed, &acts.acts, got, ROWS);
            assert_memory_equal(got, want, n * ROWS * sizeof *got);
        }
        nb_acts_buffer_free(&acts);
        nb_packed_destroy(&packed);
        nb_packed_destroy(&f32);
    }
    nb_context_destroy(&context);
}

static void refuses_with_the_place(void **state)
{
    (void)state;
    static float x[ROWS * COLS];
    nb_context *context = context_of(2);
    x[21 * COLS + 77] = NAN;
    x[40 * COLS + 1] = INFINITY;
    for (size_t kind = 0; kind < 4; kind++) {
        nb_quantizer q;
        nb_packed *packed;
        nb_error error = {""};
        const nb_source source = {&nb_format_f32, x, ROWS, COLS, NULL, NULL, NULL};
        assert_int_equal(nb_quantizer_parse(kinds[kind], &q, NULL), NB_OK);
        assert_int_equal(nb_rtn_quantize(context, "blk.0.w", &source, &q, &packed, NULL, &error), NB_ERR_ARGUMENT);
        assert_null(packed);
        assert_non_null(strstr(error.text, "blk.0.w: row 21, column 77"));
    }
    nb_context_destroy(&context);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    static float x[ROWS * COLS];
    nb_context *context = context_of(1);
    nb_quantizer q;
    const nb_source source = {&nb_format_f32, x, ROWS, COLS, NULL, NULL, NULL};
    assert_int_equal(nb_quantizer_parse(kinds[2], &q, NULL), NB_OK);
    nb_status status = NB_ERR_MEMORY;
    for (long n = 1; status == NB_ERR_MEMORY && n < 50; n++) {
        nb_packed *packed;
        nb_memory_fail_after(n);
        status = nb_rtn_quantize(context, "w", &source, &q, &packed, NULL, NULL);
        nb_memory_fail_after(0);
        assert_true((status == NB_OK) == (packed != NULL));
        nb_packed_destroy(&packed);
    }
    assert_int_equal(status, NB_OK);
    nb_context_destroy(&context);
}

/* One group as bitsandbytes makes it: codes, and what they stand for, also of a matrix that holds it. */
static void textbook_group(nb_context *context, const nb_format *format, const int32_t codes[8],
                           const float values[8])
{
    static const float w[8] = {.12f, -.5f, .31f, 0, -.07f, .25f, -.22f, .44f};
    const nb_quantizer q = nb_quantizer_of(format);
    const nb_source source = {&nb_format_f32, w, 1, 8, NULL, NULL, NULL};
    nb_packed *packed;
    float scale, got[8], row[8];
    int32_t zero, got_codes[8];
    nb_rtn_group(w, 8, &q, &scale, &zero, got_codes, got);
    assert_true(scale == 0.5f && zero == 0);
    assert_memory_equal(got_codes, codes, sizeof got_codes);
    assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, NULL, NULL), NB_OK);
    nb_packed_decode_row(packed, 0, row);
    for (size_t i = 0; i < 8; i++)
        assert_true(fabsf(got[i] - values[i]) < 6e-7f && row[i] == got[i]);
    nb_packed_destroy(&packed);
}

static void one_group_by_the_textbook(void **state)
{
    (void)state;
    nb_context *context = context_of(1);
    textbook_group(context, &nb_format_nf4, (const int32_t[]){10, 0, 13, 7, 5, 12, 3, 15},
                   (const float[]){.123056f, -.5f, .281309f, 0, -.092387f, .220355f, -.197459f, .5f});
    textbook_group(context, &nb_format_fp4, (const int32_t[]){7, 11, 2, 0, 14, 5, 13, 3},
                   (const float[]){.125f, -.5f, 1 / 3.f, 0, -1 / 12.f, .25f, -.25f, .5f});
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_what_the_definition_says), cmocka_unit_test(multiplies_as_f32_would),
        cmocka_unit_test(refuses_with_the_place),         cmocka_unit_test(memory_that_runs_out),
        cmocka_unit_test(one_group_by_the_textbook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
