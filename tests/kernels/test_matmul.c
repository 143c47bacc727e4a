/* Packing keeps every code, and nb_matmul gives the same bits whatever the threads and the batch. */
#include "base/memory.h"
#include "base/random.h"
#include "kernels/acts.h"
#include "kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static nb_quantizer quantizer_of(const char *text)
{
    nb_quantizer quantizer;
    nb_error error;
    if (nb_quantizer_parse(text, &quantizer, &error) != NB_OK)
        fail_msg("%s", error.text);
    return quantizer;
}

static nb_packed *pack_empty(const char *text, size_t n_rows, size_t n_cols)
{
    const nb_quantizer quantizer = quantizer_of(text);
    nb_packed *packed;
    nb_error error;
    if (nb_packed_create(&quantizer, n_rows, n_cols, &packed, &error) != NB_OK)
        fail_msg("%s", error.text);
    return packed;
}

/* --- INT --- */

typedef struct {
    uint8_t *codes; /* [rows rounded up to 16][n_cols] */
    float *scales;  /* [rows rounded up to 16][n_scales] */
    uint8_t *zeros;
} int_rows;

static int_rows random_rows(const nb_packed *packed, uint64_t seed)
{
    const size_t n_rows = packed->n_row_groups * NB_ROWS;
    const unsigned bits = packed->quantizer.format->bits;
    int_rows rows = {nb_calloc(n_rows, packed->n_cols), nb_calloc(n_rows * packed->n_scales, sizeof(float)),
                     nb_calloc(n_rows, packed->n_scales)};
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n_rows * packed->n_cols; i++)
        rows.codes[i] = (uint8_t)nb_random_below(&random, 1u << bits);
    for (size_t i = 0; i < n_rows * packed->n_scales; i++) {
        rows.scales[i] = nb_f32_from_f16(nb_f16_from_f32((float)nb_random_normal(&random)));
        rows.zeros[i] = (uint8_t)nb_random_below(&random, 1u << bits);
    }
    if (packed->quantizer.granularity == NB_PER_TENSOR)
        for (size_t i = 1; i < n_rows; i++) {
            rows.scales[i] = rows.scales[0];
            rows.zeros[i] = rows.zeros[0];
        }
    if (packed->quantizer.scheme == NB_SCHEME_ABSMAX)
        memset(rows.zeros, 1 << (bits - 1), n_rows * packed->n_scales);
    return rows;
}

static void set_rows(nb_packed *packed, const int_rows *rows)
{
    for (size_t g = packed->n_row_groups; g-- > 0;)
        nb_packed_set_int(packed, g, rows->codes + g * NB_ROWS * packed->n_cols,
                          rows->scales + g * NB_ROWS * packed->n_scales,
                          rows->zeros + g * NB_ROWS * packed->n_scales);
}

static void free_rows(int_rows *rows)
{
    free(rows->codes);
    free(rows->scales);
    free(rows->zeros);
}

/* Row 16 g + r's code in column k, by the words of packed.h. */
static unsigned code_in_layout(const nb_packed *packed, size_t row, size_t k)
{
    const unsigned bits = packed->quantizer.format->bits;
    const uint8_t *block = packed->codes + row / 16 * packed->row_group_bytes + k / 32 * 64 * bits;
    const size_t quad = k % 32 / 4, i = row % 16 * 4 + k % 4;
    if (bits == 8)
        return block[64 * quad + i];
    unsigned code = 0, low = 0;
    if (bits >= 4) {
        code = quad < 4 ? block[64 * quad + i] & 15 : block[64 * (quad - 4) + i] >> 4;
        block += 256;
        low = 4;
    }
    if (bits & 2) {
        code |= (block[64 * (quad % 2) + i] >> quad / 2 * 2 & 3u) << low;
        block += 128;
        low += 2;
    }
    if (bits & 1)
        code |= (block[i] >> quad & 1u) << low;
    return code;
}

static void int_codes_survive_packing(void **state)
{
    (void)state;
    static const char *const kinds[] = {"absmax/tensor",    "absmax/channel",    "absmax/group:32",
                                        "zeropoint/tensor", "zeropoint/channel", "zeropoint/group:64"};
    static const size_t shapes[][2] = {{1, 1}, {5, 31}, {16, 32}, {17, 172}, {40, 65}};
    for (unsigned bits = 2; bits <= 8; bits++)
        for (size_t kind = 0; kind < 6; kind++)
            for (size_t s = 0; s < 5; s++) {
                char text[64];
                snprintf(text, sizeof text, "int%u %s", bits, kinds[kind]);
                nb_packed *packed = pack_empty(text, shapes[s][0], shapes[s][1]);
                int_rows rows = random_rows(packed, bits), back = random_rows(packed, 99);
                set_rows(packed, &rows);
                for (size_t g = 0; g < packed->n_row_groups; g++)
                    nb_packed_get_int(packed, g, back.codes + g * 16 * packed->n_cols,
                                      back.scales + g * 16 * packed->n_scales,
                                      back.zeros + g * 16 * packed->n_scales);
                const size_t n_rows = packed->n_rows, n_cols = packed->n_cols, n_scales = packed->n_scales;
                assert_memory_equal(rows.codes, back.codes, n_rows * n_cols);
                assert_memory_equal(rows.scales, back.scales, n_rows * n_scales * sizeof(float));
                assert_memory_equal(rows.zeros, back.zeros, n_rows * n_scales);
                float *decoded = nb_calloc(n_cols, sizeof *decoded);
                for (size_t r = 0; r < n_rows; r++) {
                    nb_packed_decode_row(packed, r, decoded);
                    for (size_t k = 0; k < n_cols; k++) {
                        const size_t i = r * n_scales + k / 32 / packed->blocks_per_scale;
                        const int above = rows.codes[r * n_cols + k] - rows.zeros[i];
                        assert_int_equal(code_in_layout(packed, r, k), rows.codes[r * n_cols + k]);
                        assert_true(decoded[k] == rows.scales[i] * (float)above);
                    }
                }
                /* padding stands for 0: the codes equal their zero points */
                for (size_t r = 0; r < packed->n_row_groups * 16; r++)
                    for (size_t k = r < n_rows ? n_cols : 0; k < packed->n_blocks * 32; k++) {
                        const size_t g = k / 32 / packed->blocks_per_scale;
                        const bool shared = packed->quantizer.scheme == NB_SCHEME_ABSMAX;
                        const uint8_t *zeros =
                            packed->zeros + r / 16 * packed->zero_stride + (shared ? 0 : g * 16);
                        assert_int_equal(code_in_layout(packed, r, k), zeros[r % 16]);
                    }
                free(decoded);
                free_rows(&rows);
                free_rows(&back);
                nb_packed_destroy(&packed);
                assert_null(packed);
            }
}

/* --- FLOAT --- */

static void float_codes_survive_packing(void **state)
{
    (void)state;
    static const char *const formats[] = {"f32", "f16", "bf16", "f8_e4m3", "f8_e5m2"};
    enum { ROWS = 21, COLS = 37 };
    for (size_t f = 0; f < 5; f++) {
        nb_packed *packed = pack_empty(formats[f], ROWS, COLS);
        const nb_format *format = packed->quantizer.format;
        const size_t row_bytes = COLS * format->bits / 8;
        float values[ROWS][COLS], decoded[COLS], exact[COLS];
        uint8_t codes[32 * COLS * 4] = {0}, back[32 * COLS * 4] = {0};
        nb_random random;
        nb_random_seed(&random, f);
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t k = 0; k < COLS; k++)
                values[r][k] = (float)nb_random_normal(&random);
            nb_format_encode_row(format, values[r], COLS, codes + r * row_bytes);
        }
        packed->tensor_scale = format->needs_scale ? 0.375f : 1.0f;
        for (size_t g = 0; g < packed->n_row_groups; g++) {
            nb_packed_set_float(packed, g, codes + g * 16 * row_bytes, row_bytes);
            nb_packed_get_float(packed, g, back + g * 16 * row_bytes, row_bytes);
        }
        assert_memory_equal(codes, back, ROWS * row_bytes);
        for (size_t r = 0; r < ROWS; r++) {
            nb_packed_decode_row(packed, r, decoded);
            nb_format_decode_row(format, codes + r * row_bytes, COLS, exact);
            for (size_t k = 0; k < COLS; k++)
                assert_true(decoded[k] == packed->tensor_scale * exact[k]);
        }
        nb_packed_destroy(&packed);
    }
}

static void packing_refuses_what_cannot_be(void **state)
{
    (void)state;
    nb_quantizer quantizer = quantizer_of("int4 absmax/group:32");
    nb_packed *packed;
    nb_error error;
    assert_int_equal(nb_packed_create(&quantizer, 0, 8, &packed, &error), NB_ERR_ARGUMENT);
    assert_int_equal(nb_packed_create(&quantizer, SIZE_MAX / 2, SIZE_MAX / 2, &packed, &error),
                     NB_ERR_MEMORY);
    assert_null(packed);
    for (long n = 1; n <= 4; n++) {
        nb_memory_fail_after(n);
        assert_int_equal(nb_packed_create(&quantizer, 20, 40, &packed, &error), NB_ERR_MEMORY);
        assert_null(packed);
    }
    nb_memory_fail_after(0);
    quantizer.group = 33;
    assert_int_equal(nb_packed_create(&quantizer, 16, 64, &packed, &error), NB_ERR_ARGUMENT);
}

/* --- nb_matmul --- */

static void fill_weights(nb_packed *packed)
{
    if (packed->quantizer.format->kind == NB_FORMAT_INT) {
        int_rows rows = random_rows(packed, 5);
        set_rows(packed, &rows);
        free_rows(&rows);
        return;
    }
    nb_random random;
    nb_random_seed(&random, 5);
    if (packed->quantizer.format->kind == NB_FORMAT_TABLE) {
        for (size_t i = 0; i < packed->n_row_groups * packed->row_group_bytes; i++)
            packed->codes[i] = (uint8_t)nb_random_u64(&random);
        for (size_t i = 0; i < packed->n_row_groups * packed->scale_stride; i++)
            packed->scale_codes[i] = (uint8_t)nb_random_u64(&random);
        for (size_t i = 0; i < nb_n_nested(packed->n_rows * packed->n_scales); i++)
            ((float *)packed->scales)[i] = (float)nb_random_normal(&random);
        packed->scale_offset = 0.3f;
        return;
    }
    const size_t n = 64 / (packed->quantizer.format->bits / 8);
    for (size_t i = 0; i < packed->n_row_groups * packed->row_group_bytes; i += 64) {
        float values[64];
        for (size_t k = 0; k < n; k++)
            values[k] = (float)nb_random_normal(&random);
        nb_format_encode_row(packed->quantizer.format, values, n, packed->codes + i);
    }
}

enum { TOKENS = 101, ROWS = 1003, COLS = 172, STRIDE = 1011 };

/* All levels, 1 to 3 threads, all tokens at once and some at a time: one result. */
static void threads_and_batches_change_no_bit(void **state)
{
    (void)state;
    static const char *const kinds[] = {"f32",
                                        "bf16",
                                        "f8_e4m3",
                                        "int8 zeropoint/channel",
                                        "int4 absmax/group:32",
                                        "int3 absmax/tensor, f32 activations",
                                        "nf4 group:64, double"};
    float *x = nb_calloc(TOKENS * COLS, sizeof *x);
    float *want = nb_calloc(TOKENS * STRIDE, sizeof *want), *got = nb_calloc(TOKENS * STRIDE, sizeof *got);
    nb_random random;
    nb_random_seed(&random, 3);
    for (size_t i = 0; i < TOKENS * COLS; i++)
        x[i] = (float)nb_random_normal(&random);
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        nb_packed *packed = pack_empty(kinds[kind], ROWS, COLS);
        fill_weights(packed);
        bool have_want = false;
        const bool quantize = nb_quantizer_wants_int8(&packed->quantizer);
        for (size_t level = 0; level < nb_kernels_count(); level++)
            for (unsigned n_threads = 1; n_threads <= 3; n_threads++) {
                const nb_context_options options = {n_threads, nb_kernels_at(level)->name};
                nb_context *context;
                if (nb_context_create(&options, &context, NULL) != NB_OK)
                    continue; /* this CPU lacks the level */
                static const size_t steps[] = {TOKENS, 1, 7, 50};
                for (size_t s = 0; s < (level == 0 ? 1 : 4); s++) {
                    context->verify = n_threads == 2 && level > 0 && s == 0;
                    nb_acts_buffer acts = {0};
                    memset(got, 0xee, TOKENS * STRIDE * sizeof *got);
                    for (size_t t = 0; t < TOKENS; t += steps[s]) {
                        const size_t n = nb_min_size(steps[s], TOKENS - t);
                        assert_int_equal(
                            nb_acts_prepare(context, &acts, x + t * COLS, n, COLS, COLS, quantize, NULL),
                            NB_OK);
                        nb_matmul(context, packed, &acts.acts, got + t * STRIDE, STRIDE);
                    }
                    nb_acts_buffer_free(&acts);
                    if (!have_want)
                        memcpy(want, got, TOKENS * STRIDE * sizeof *want);
                    have_want = true;
                    assert_memory_equal(want, got, TOKENS * STRIDE * sizeof *want);
                }
                nb_context_destroy(&context);
            }
        nb_packed_destroy(&packed);
    }
    free(x);
    free(want);
    free(got);
}

/* int8 of a row against an f64 sum of the decoded numbers: the right answer, not only the same one. */
static void int8_is_near_the_exact_product(void **state)
{
    (void)state;
    nb_packed *packed = pack_empty("int8 zeropoint/group:32", 19, 172);
    fill_weights(packed);
    nb_context *context;
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    float x[172], y[19], row[172];
    for (size_t k = 0; k < 172; k++)
        x[k] = (float)((int)(37 * k + 11) % 64 - 32) / 32.0f;
    nb_acts_buffer acts = {0};
    assert_int_equal(nb_acts_prepare(context, &acts, x, 1, 172, 172, true, NULL), NB_OK);
    nb_matmul(context, packed, &acts.acts, y, 19);
    for (size_t r = 0; r < 19; r++) {
        double sum = 0.0, size = 0.0;
        nb_packed_decode_row(packed, r, row);
        for (size_t k = 0; k < 172; k++) {
            sum += (double)row[k] * (double)x[k];
            size += (double)row[k] * (double)row[k];
        }
        const double off = (double)y[r] - sum; /* x is off by up to 1/254 each, of either sign */
        assert_true(off * off <= 172.0 / (254.0 * 254.0) * size);
    }
    nb_acts_buffer_free(&acts);
    nb_context_destroy(&context);
    nb_packed_destroy(&packed);
}

/* Rows so wide that all products together are more than 32 bits hold: only blocks of columns are summed in
 * integers. All products are powers of two, so f32 has the sum exactly. */
static void check_wide(nb_context *context, const nb_packed *packed, float x, float expected)
{
    enum { N_TOKENS = 21 };
    const size_t n_cols = packed->n_cols;
    float *row = nb_calloc(n_cols, sizeof *row), y[N_TOKENS * 2];
    nb_acts_buffer acts = {0};
    for (size_t k = 0; k < n_cols; k++)
        row[k] = x;
    static const size_t tokens[] = {1, 3, N_TOKENS};
    for (size_t i = 0; i < 3; i++) {
        const size_t n = context->kernels == nb_kernels_at(0) ? 1 : tokens[i];
        const float scale = 1;
        assert_int_equal(nb_acts_reserve(context, &acts, n, n_cols, true, NULL), NB_OK);
        for (size_t t = 0; t < n; t++)
            assert_int_equal(nb_acts_quantize_scaled(context->kernels, &acts.acts, t, row, &scale), 0);
        nb_matmul(context, packed, &acts.acts, y, 2);
        for (size_t t = 0; t < 2 * n; t++)
            assert_true(y[t] == (t % 2 ? -expected : expected));
    }
    nb_acts_buffer_free(&acts);
    free(row);
}

/* One row lies above the zero point, the other as far below it. */
static void wide_rows_do_not_overflow(void **state)
{
    (void)state;
    enum { WIDE = 1 << 19 };
    static const struct {
        const char *kind;
        uint8_t high, low, zero;
        float x;
    } cases[] = {{"int8 absmax/tensor", 128 + 64, 128 - 64, 128, 64},
                 {"int8 zeropoint/channel", 255, 127, 191, 64},
                 {"int8 zeropoint/channel", 128, 0, 64, -64},
                 {"int7 absmax/channel", 64 + 32, 64 - 32, 64, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n_cols = i == 3 ? 2 * WIDE : WIDE + 64;
        nb_packed *packed = pack_empty(cases[i].kind, 2, n_cols);
        int_rows rows = {nb_calloc(NB_ROWS, n_cols), nb_calloc(NB_ROWS, sizeof(float)),
                         nb_calloc(NB_ROWS, 1)};
        memset(rows.codes, cases[i].high, n_cols);
        memset(rows.codes + n_cols, cases[i].low, n_cols);
        memset(rows.zeros, cases[i].zero, NB_ROWS);
        for (size_t r = 0; r < NB_ROWS; r++)
            rows.scales[r] = 1;
        set_rows(packed, &rows);
        free_rows(&rows);
        const float product = (float)(cases[i].high - cases[i].zero) * cases[i].x;
        assert_true((double)fabsf(product) * (double)n_cols >= 2147483648.0);
        for (size_t level = 0; level < nb_kernels_count(); level++) {
            const nb_context_options options = {2, nb_kernels_at(level)->name};
            nb_context *context;
            if (nb_context_create(&options, &context, NULL) != NB_OK)
                continue; /* this CPU lacks the level */
            check_wide(context, packed, cases[i].x, product * (float)n_cols);
            nb_context_destroy(&context);
        }
        nb_packed_destroy(&packed);
    }
}

static nb_matmul_fn *healthy;

static void wrong_in_one_bit(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                             size_t y_stride)
{
    uint32_t bits;
    healthy(w, begin, end, x, y, y_stride);
    memcpy(&bits, &y[3], sizeof bits);
    bits ^= 1;
    memcpy(&y[3], &bits, sizeof bits);
}

/* NIBBLE_VERIFY=1 ends a program whose kernel is wrong; here a child's. */
static void verifying_catches_a_wrong_kernel(void **state)
{
    (void)state;
    nb_packed *packed = pack_empty("f32", 8, 8);
    fill_weights(packed);
    nb_context *context;
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    nb_kernels wrong = *context->kernels;
    healthy = wrong.matmul_f32;
    wrong.matmul_f32 = wrong_in_one_bit;
    context->kernels = &wrong;
    context->verify = true;
    float x[8] = {1.0f, 2.0f}, y[8];
    nb_acts_buffer acts = {0};
    assert_int_equal(nb_acts_prepare(context, &acts, x, 1, 8, 8, false, NULL), NB_OK);
    const pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        nb_matmul(context, packed, &acts.acts, y, 8);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    nb_acts_buffer_free(&acts);
    nb_context_destroy(&context);
    nb_packed_destroy(&packed);
}

static void memory_for_activations_may_be_short(void **state)
{
    (void)state;
    nb_context *context;
    assert_int_equal(nb_context_create(NULL, &context, NULL), NB_OK);
    nb_acts_buffer acts = {0};
    float x[64] = {1.0f};
    nb_error error;
    nb_memory_fail_after(1);
    assert_int_equal(nb_acts_prepare(context, &acts, x, 2, 32, 32, true, &error), NB_ERR_MEMORY);
    nb_memory_fail_after(0);
    assert_int_equal(nb_acts_prepare(context, &acts, x, 2, 32, 32, true, &error), NB_OK);
    assert_int_equal(acts.acts.blocks[0].q[0], 127);
    nb_acts_buffer_free(&acts);
    nb_context_destroy(&context);
}

/* Tiles multiply faster than vectors, or there are none. */
static void limits_of_every_level(void **state)
{
    (void)state;
    for (size_t i = 0; i < nb_kernels_count(); i++) {
        const nb_context_options options = {.n_threads = 2, .level = nb_kernels_at(i)->name};
        nb_context *context;
        if (nb_context_create(&options, &context, NULL) != NB_OK)
            continue; /* this CPU lacks it */
        const double vectors = nb_measure_int8_peak(context), tiles = nb_measure_tile_peak(context);
        assert_true(vectors > 0.0 && nb_measure_fma_peak(context) > 0.0);
        assert_true(strcmp(options.level, "amx") == 0 ? tiles > vectors : tiles == 0.0);
        nb_context_destroy(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int_codes_survive_packing),
        cmocka_unit_test(float_codes_survive_packing),
        cmocka_unit_test(packing_refuses_what_cannot_be),
        cmocka_unit_test(threads_and_batches_change_no_bit),
        cmocka_unit_test(int8_is_near_the_exact_product),
        cmocka_unit_test(wide_rows_do_not_overflow),
        cmocka_unit_test(verifying_catches_a_wrong_kernel),
        cmocka_unit_test(memory_for_activations_may_be_short),
        cmocka_unit_test(limits_of_every_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
