/* The search for ranges against one by brute force, in f64 and on the samples themselves. */
#include "nibble.h"
#include "quant/affine.h"
#include "quant/clip.h"
#include "tests/support/shapes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

enum { N_ROWS = 21, N_COLS = 72, N_TOKENS = 60 };

typedef struct matrices {
    float w[N_ROWS * N_COLS], x[N_TOKENS * N_COLS], inverses[N_COLS];
} matrices;

static matrices *make_matrices(void)
{
    matrices *m = calloc(1, sizeof *m);
    nb_random random;
    nb_random_seed(&random, 5);
    for (size_t i = 0; i < N_ROWS * N_COLS; i++) { /* some weights stand far out */
        m->w[i] = (float)nb_random_normal(&random);
        if (nb_random_below(&random, 30) == 0)
            m->w[i] *= 4;
    }
    for (size_t i = 0; i < N_COLS; i++)
        m->inverses[i] = 0.5f + (float)nb_random_f64(&random);
    for (size_t i = 0; i < N_TOKENS * N_COLS; i++)
        m->x[i] = (float)(nb_random_normal(&random) * (1 + (double)(i % N_COLS % 7)));
    for (size_t c = 32; c < 64; c++)
        m->w[3 * N_COLS + c] = 0; /* a group of nothing */
    return m;
}

static nb_packed *clip(nb_context *context, const matrices *m, const nb_quantizer *quantizer, uint64_t *n_clipped)
{
    nb_error error = {""};
    nb_clip_inputs inputs;
    nb_packed *packed = NULL;
    assert_true(nb_clip_suits(quantizer, N_COLS));
    if (nb_clip_inputs_create(context, quantizer, m->x, N_TOKENS, N_COLS, m->inverses, &inputs, &error) != NB_OK ||
        nb_clip_quantize(context, "w", &nb_format_f32, m->w, NULL, N_ROWS, &inputs, quantizer, &packed, n_clipped,
                         &error) != NB_OK)
        fail_msg("%s", error.text);
    nb_clip_inputs_free(&inputs);
    return packed;
}

/* The squared error of a group's part of the output, over all tokens. */
static double error_of(const matrices *m, size_t row, size_t first, size_t n, const float *stored)
{
    double total = 0;
    for (size_t t = 0; t < N_TOKENS; t++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += ((double)stored[i] - (double)m->w[row * N_COLS + first + i]) *
                   (double)(m->x[t * N_COLS + first + i] * m->inverses[first + i]);
        total += sum * sum;
    }
    return total;
}

/* What a range of largest * (1 - step / 20) makes of a group. */
static void stored_with(const matrices *m, const nb_quantizer *q, size_t row, size_t first, size_t n, unsigned step,
                        float *stored)
{
    float clamped[N_COLS], largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(m->w[row * N_COLS + first + i]));
    const float limit = largest * (1.0f - (float)step / 20);
    for (size_t i = 0; i < n; i++)
        clamped[i] = fmaxf(-limit, fminf(limit, m->w[row * N_COLS + first + i]));
    nb_rtn_group(clamped, n, q, NULL, NULL, NULL, stored);
}

static void ranges_are_the_best_of_ten(void **state)
{
    (void)state;
    static const char *const quantizers[] = {"int3 zeropoint/group:32", "int4 absmax/group:32", "int2 zeropoint/channel, f32 scales"};
    matrices *m = make_matrices();
    nb_context *context = test_context(NULL, 2);
    for (size_t k = 0; k < 3; k++) {
        nb_quantizer q;
        nb_error error = {""};
        uint64_t n_clipped, n_expected = 0;
        assert_int_equal(nb_quantizer_parse(quantizers[k], &q, &error), NB_OK);
        nb_packed *packed = clip(context, m, &q, &n_clipped);
        const size_t group = q.granularity == NB_PER_GROUP ? 32 : N_COLS;
        for (size_t row = 0; row < N_ROWS; row++) {
            float now[N_COLS];
            nb_packed_decode_row(packed, row, now);
            for (size_t first = 0; first < N_COLS; first += group) {
                const size_t n = nb_min_size(group, N_COLS - first);
                float stored[N_COLS];
                double least = INFINITY, untouched = 0;
                for (unsigned step = 0; step < 10; step++) {
                    stored_with(m, &q, row, first, n, step, stored);
                    const double e = error_of(m, row, first, n, stored);
                    untouched = step == 0 ? e : untouched;
                    least = e < least ? e : least;
                }
                n_expected += least < untouched;
                const double mine = error_of(m, row, first, n, now + first);
                if (!(mine <= least * (1 + 1e-4) + 1e-9))
                    fail_msg("%s: row %zu, column %zu: error %g, and %g is possible", quantizers[k], row, first, mine, least);
            }
        }
        assert_true(n_clipped > 5 && n_clipped <= n_expected + 2 && n_clipped + 2 >= n_expected);
        nb_packed_destroy(&packed);
    }
    free(m);
    nb_context_destroy(&context);
}

static void bits_are_the_same_everywhere(void **state)
{
    (void)state;
    matrices *m = make_matrices();
    nb_quantizer q;
    nb_error error = {""};
    float first[N_ROWS][N_COLS], row[N_COLS];
    assert_int_equal(nb_quantizer_parse("int3 zeropoint/group:32", &q, &error), NB_OK);
    for (unsigned threads = 1; threads <= 3; threads++) {
        uint64_t n_clipped;
        nb_context *context = test_context(NULL, threads);
        nb_packed *packed = clip(context, m, &q, &n_clipped);
        for (size_t r = 0; r < N_ROWS; r++) {
            nb_packed_decode_row(packed, r, threads == 1 ? first[r] : row);
            if (threads > 1)
                assert_memory_equal(first[r], row, sizeof row);
        }
        nb_packed_destroy(&packed);
        nb_context_destroy(&context);
    }
    free(m);
}

static void what_has_no_scale_is_refused(void **state)
{
    (void)state;
    matrices *m = make_matrices();
    nb_quantizer q;
    nb_error error = {""};
    nb_clip_inputs inputs;
    nb_packed *packed;
    uint64_t n_clipped;
    nb_context *context = test_context(NULL, 1);
    assert_int_equal(nb_quantizer_parse("int4 absmax/group:32", &q, &error), NB_OK);
    assert_int_equal(nb_clip_inputs_create(context, &q, m->x, N_TOKENS, N_COLS, m->inverses, &inputs, &error), NB_OK);
    m->w[17 * N_COLS + 40] = NAN;
    assert_int_equal(nb_clip_quantize(context, "blk.0.w", &nb_format_f32, m->w, NULL, N_ROWS, &inputs, &q, &packed, &n_clipped, &error),
                     NB_ERR_ARGUMENT);
    assert_non_null(strstr(error.text, "blk.0.w: row 17"));
    assert_null(packed);
    nb_clip_inputs_free(&inputs);
    nb_quantizer others[3];
    assert_int_equal(nb_quantizer_parse("int4 absmax/tensor", &others[0], &error), NB_OK);
    assert_int_equal(nb_quantizer_parse("q4_0", &others[1], &error), NB_OK);
    assert_int_equal(nb_quantizer_parse("int4 absmax/channel", &others[2], &error), NB_OK);
    for (size_t i = 0; i < 3; i++)
        assert_false(nb_clip_suits(&others[i], 4096));
    free(m);
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_the_best_of_ten),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(what_has_no_scale_is_refused),
    };
    return cmocka_run_group_tests_name("clip", tests, NULL, NULL);
}
