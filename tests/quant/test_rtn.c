/* Round to nearest: against a plain reimplementation, for every width, scheme, granularity, convention,
 * source and thread count; published numbers are in test_published.c. */
#include "base/memory.h"
#include "base/random.h"
#include "quant/rtn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static nb_context *context_of(unsigned n_threads)
{
    nb_context *context = NULL;
    nb_context_options options = {.n_threads = n_threads};
    assert_int_equal(nb_context_create(&options, &context, NULL), NB_OK);
    return context;
}

/* ---- the definition, one group at a time ---- */

typedef struct group {
    float scale;
    int zero;
} group;

static float stored(float scale, const nb_quantizer *q)
{
    if (q->scales_f32)
        return scale;
    float rounded = nb_f32_from_f16(nb_f16_from_f32(scale));
    return rounded == 0 && scale > 0 ? 0x1p-24f : rounded;
}

static int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

static group define_group(const float *x, size_t n, const nb_quantizer *q, int *codes)
{
    int bits = (int)q->format->bits, highest = (1 << (bits - 1)) - 1, lowest = -(1 << (bits - 1));
    bool absmax = q->scheme == NB_SCHEME_ABSMAX, labonne = q->convention == NB_CONVENTION_LABONNE;
    float min = INFINITY, max = -INFINITY, largest = 0;
    for (size_t i = 0; i < n; i++) {
        min = fminf(min, x[i]);
        max = fmaxf(max, x[i]);
        largest = fmaxf(largest, fabsf(x[i]));
    }
    if (largest == 0) {
        memset(codes, 0, n * sizeof *codes);
        return (group){0, 0};
    }
    if (absmax)
        lowest = -highest;
    group g = {0, 0};
    if (labonne) {
        float m =
            absmax ? (float)highest / largest : (float)(highest - lowest) / (max == min ? 1 : max - min);
        g.scale = stored(1 / m, q);
        if (!q->scales_f32)
            m = 1 / g.scale;
        float z = absmax ? 0 : rintf(-m * min + (float)lowest);
        g.zero = (int)z;
        for (size_t i = 0; i < n; i++)
            codes[i] = clamp((int)rintf(x[i] * m + z), lowest, highest);
        return g;
    }
    if (absmax) {
        g.scale = stored(largest / (float)highest, q);
    } else {
        min = fminf(min, 0);
        max = fmaxf(max, 0);
        g.scale = stored((max - min) / (float)(highest - lowest), q);
        g.zero = clamp((int)rintf((float)lowest - min / g.scale), lowest, highest);
    }
    for (size_t i = 0; i < n; i++)
        codes[i] = clamp((int)rintf(x[i] / g.scale) + g.zero, lowest, highest);
    return g;
}

/* ---- matrices ---- */

enum { MAX_ROWS = 40, MAX_COLS = 300 };

typedef struct matrix {
    size_t n_rows, n_cols;
    float x[MAX_ROWS * MAX_COLS];              /* exactly representable in the source's format */
    uint8_t data[4 * MAX_ROWS * MAX_COLS + 1]; /* the source, one byte off alignment */
    nb_source source;
} matrix;

/* Normal numbers; some rows or stretches are all zero, tiny, one-sided or constant. */
static void fill(matrix *m, size_t n_rows, size_t n_cols, const nb_format *format, uint64_t seed,
                 bool near_zero)
{
    nb_random random;
    nb_random_seed(&random, seed);
    m->n_rows = n_rows;
    m->n_cols = n_cols;
    for (size_t row = 0; row < n_rows; row++)
        for (size_t col = 0; col < n_cols; col++) {
            float value = (float)nb_random_normal(&random);
            if (!near_zero) {
                switch ((row + col / 32) % 9) {
                case 2:
                    value = 0;
                    break;
                case 4:
                    value = fabsf(value) + 3;
                    break;
                case 5:
                    value = -fabsf(value);
                    break;
                case 6:
                    value = 0.75f;
                    break;
                case 7:
                    value *= 0x1p-20f;
                    break;
                }
            }
            m->x[row * n_cols + col] = value;
        }
    size_t n = n_rows * n_cols;
    nb_format_encode_row(format, m->x, n, m->data + 1);
    nb_format_decode_row(format, m->data + 1, n, m->x);
    m->source = (nb_source){format, m->data + 1, n_rows, n_cols, NULL, NULL, NULL};
}

static size_t group_width(const nb_quantizer *q, const matrix *m)
{
    return q->granularity == NB_PER_GROUP ? q->group : m->n_cols;
}

/* The definition over a whole matrix. */
static void define(const matrix *m, const nb_quantizer *q, int *codes, group *groups, size_t n_groups)
{
    if (q->granularity == NB_PER_TENSOR) {
        group g = define_group(m->x, m->n_rows * m->n_cols, q, codes);
        for (size_t row = 0; row < m->n_rows; row++)
            groups[row] = g;
        return;
    }
    size_t width = group_width(q, m);
    for (size_t row = 0; row < m->n_rows; row++)
        for (size_t g = 0; g < n_groups; g++) {
            size_t at = row * m->n_cols + g * width;
            groups[row * n_groups + g] =
                define_group(m->x + at, nb_min_size(width, m->n_cols - g * width), q, codes + at);
        }
}

static void check_matrix(nb_context *context, const matrix *m, const nb_quantizer *q)
{
    static int codes[MAX_ROWS * MAX_COLS];
    static group groups[MAX_ROWS * 10];
    static uint8_t got_codes[NB_ROWS * MAX_COLS], got_zeros[NB_ROWS * 10];
    static float got_scales[NB_ROWS * 10];
    size_t width = group_width(q, m), n_groups = nb_div_up(m->n_cols, width);
    define(m, q, codes, groups, n_groups);

    nb_packed *packed = NULL;
    nb_rtn_stats stats;
    nb_error error = {""};
    if (nb_rtn_quantize(context, "w", &m->source, q, &packed, &stats, &error) != NB_OK)
        fail_msg("%s", error.text);
    int half = 1 << (q->format->bits - 1);
    double signal = 0, noise = 0, largest = 0;
    uint64_t n_zero = 0;
    for (size_t row = 0; row < m->n_rows; row++) {
        if (row % NB_ROWS == 0)
            nb_packed_get_int(packed, row / NB_ROWS, got_codes, got_scales, got_zeros);
        for (size_t col = 0; col < m->n_cols; col++) {
            size_t at = row * m->n_cols + col;
            const group *g = &groups[row * n_groups + (q->granularity == NB_PER_TENSOR ? 0 : col / width)];
            if (got_codes[row % NB_ROWS * m->n_cols + col] != codes[at] + half)
                fail_msg("row %zu, column %zu: code %d, not %d", row, col,
                         got_codes[row % NB_ROWS * m->n_cols + col] - half, codes[at]);
            size_t slot = row % NB_ROWS * packed->n_scales + col / width;
            assert_true(got_scales[slot] == g->scale);
            if (q->scheme == NB_SCHEME_ZEROPOINT)
                assert_int_equal(got_zeros[slot], g->zero + half);
            double x = (double)m->x[at], w = (double)(g->scale * (float)(codes[at] - g->zero));
            signal += x * x;
            noise += (x - w) * (x - w);
            largest = fmax(largest, fabs(x - w));
            n_zero += w == 0;
        }
    }
    assert_true(fabs(stats.signal - signal) <= 1e-12 * signal);
    assert_true(fabs(stats.noise - noise) <= 1e-12 * noise);
    assert_true(stats.max_error == largest);
    assert_int_equal(stats.n_zero, n_zero);
    nb_packed_destroy(&packed);
}

static void every_quantizer_every_shape(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {1, 32}, {3, 31}, {16, 33}, {17, 172}, {40, 300}, {33, 64}};
    static const nb_format *const sources[] = {&nb_format_f32, &nb_format_f16, &nb_format_bf16};
    static matrix m;
    nb_context *context = context_of(3);
    uint64_t seed = 1;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (unsigned bits = 2; bits <= 8; bits++)
            for (int variant = 0; variant < 4 * 4 * 2; variant++) {
                nb_quantizer q = {.format = nb_format_int(bits), .scales_f32 = variant & 1};
                q.scheme = variant & 2 ? NB_SCHEME_ABSMAX : NB_SCHEME_ZEROPOINT;
                q.convention = variant & 16 ? NB_CONVENTION_LABONNE : NB_CONVENTION_DIVIDE;
                q.granularity = (nb_granularity)(variant / 4 % 4 % 3);
                q.group = q.granularity == NB_PER_GROUP ? 32 : 0;
                if (variant / 4 % 4 == 3) {
                    q.granularity = NB_PER_GROUP;
                    q.group = 128;
                }
                /* Labonne's zero point is refused where a range stays clear of 0. */
                bool near_zero = q.convention == NB_CONVENTION_LABONNE && q.scheme == NB_SCHEME_ZEROPOINT;
                if (near_zero && (shapes[s][1] % 32 == 1 || shapes[s][1] == 300 || shapes[s][1] == 172))
                    continue; /* short last groups may lie on one side of 0 */
                fill(&m, shapes[s][0], shapes[s][1], sources[seed % 3], seed, near_zero);
                check_matrix(context, &m, &q);
                seed++;
            }
    nb_context_destroy(&context);
}

/* The same codes, scales and sums, whoever does the work. */
static void same_for_any_threads(void **state)
{
    (void)state;
    static matrix m;
    fill(&m, 40, 300, &nb_format_f32, 5, false);
    const nb_quantizer quantizers[] = {
        {.format = nb_format_int(4), .scheme = NB_SCHEME_ZEROPOINT, .granularity = NB_PER_GROUP, .group = 64},
        {.format = nb_format_int(3), .scheme = NB_SCHEME_ABSMAX, .granularity = NB_PER_TENSOR},
        {.format = &nb_format_f8_e4m3},
        {.format = &nb_format_bf16},
    };
    for (size_t k = 0; k < sizeof quantizers / sizeof *quantizers; k++) {
        nb_packed *first = NULL;
        nb_rtn_stats first_stats;
        for (unsigned n_threads = 1; n_threads <= 4; n_threads++) {
            nb_context *context = context_of(n_threads);
            nb_packed *packed = NULL;
            nb_rtn_stats stats;
            nb_rtn_stats *wanted = n_threads == 4 ? NULL : &stats; /* not asked for, nothing else changes */
            assert_int_equal(nb_rtn_quantize(context, "w", &m.source, &quantizers[k], &packed, wanted, NULL),
                             NB_OK);
            if (!first) {
                first = packed;
                first_stats = stats;
            } else {
                static float a[MAX_COLS], b[MAX_COLS];
                for (size_t row = 0; row < m.n_rows; row++) {
                    nb_packed_decode_row(first, row, a);
                    nb_packed_decode_row(packed, row, b);
                    assert_memory_equal(a, b, m.n_cols * sizeof *a);
                }
                if (wanted)
                    assert_memory_equal(&stats, &first_stats, sizeof stats);
                nb_packed_destroy(&packed);
            }
            nb_context_destroy(&context);
        }
        nb_packed_destroy(&first);
    }
}

static void floats(void **state)
{
    (void)state;
    static matrix m;
    static float row_values[MAX_COLS];
    static const nb_format *const targets[] = {&nb_format_f32, &nb_format_f16, &nb_format_bf16,
                                               &nb_format_f8_e4m3, &nb_format_f8_e5m2};
    static const nb_format *const sources[] = {&nb_format_f32, &nb_format_f16, &nb_format_bf16};
    nb_context *context = context_of(2);
    for (size_t s = 0; s < 3; s++)
        for (size_t t = 0; t < 5; t++) {
            const nb_format *format = targets[t];
            fill(&m, 37, 75, sources[s], 10 * s + t, false);
            float largest = 0;
            for (size_t i = 0; i < 37 * 75; i++)
                largest = fmaxf(largest, fabsf(m.x[i]));
            float scale = format->needs_scale ? largest / (float)format->max_finite : 1;
            nb_packed *packed = NULL;
            nb_rtn_stats stats;
            nb_quantizer q = {.format = format};
            assert_int_equal(nb_rtn_quantize(context, "w", &m.source, &q, &packed, &stats, NULL), NB_OK);
            assert_true(packed->tensor_scale == scale);
            double noise = 0;
            uint64_t n_zero = 0;
            for (size_t row = 0; row < m.n_rows; row++) {
                nb_packed_decode_row(packed, row, row_values);
                for (size_t col = 0; col < m.n_cols; col++) {
                    float x = m.x[row * m.n_cols + col],
                          w = scale * format->decode(format->encode(x / scale));
                    assert_true(row_values[col] == w);
                    noise += ((double)x - (double)w) * ((double)x - (double)w);
                    n_zero += w == 0;
                }
            }
            assert_true(fabs(stats.noise - noise) <= 1e-12 * noise);
            assert_int_equal(stats.n_zero, n_zero);
            assert_int_equal(stats.n_clipped, 0);
            if (format == sources[s])
                assert_true(noise == 0 && stats.max_error == 0);
            nb_packed_destroy(&packed);
        }
    nb_context_destroy(&context);
}

/* ---- what is refused ---- */

static void refused(nb_context *context, const nb_source *source, const nb_quantizer *q,
                    const char *const *words)
{
    nb_packed *packed = (nb_packed *)&words;
    nb_error error = {""};
    nb_rtn_stats stats;
    assert_int_equal(nb_rtn_quantize(context, "blk.0.w", source, q, &packed, &stats, &error),
                     NB_ERR_ARGUMENT);
    assert_null(packed);
    for (; *words; words++)
        if (!strstr(error.text, *words))
            fail_msg("no \"%s\" in: %s", *words, error.text);
}

static void refuses_with_the_place(void **state)
{
    (void)state;
    enum { ROWS = 70, COLS = 48 };
    static float x[ROWS * COLS];
    const nb_source source = {&nb_format_f32, x, ROWS, COLS, NULL, NULL, NULL};
    const nb_quantizer group = {nb_format_int(4), NB_SCHEME_ABSMAX, NB_PER_GROUP, 32, false, 0, 0, false},
                       channel = {nb_format_int(8), NB_SCHEME_ZEROPOINT, NB_PER_CHANNEL, 0, false, 0, 0, false},
                       tensor = {nb_format_int(2), NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0, false, 0, 0, false},
                       f16 = {.format = &nb_format_f16}, bf16 = {.format = &nb_format_bf16},
                       f8 = {.format = &nb_format_f8_e5m2}, f32 = {.format = &nb_format_f32};
    nb_context *context = context_of(3);
    for (size_t i = 0; i < ROWS * COLS; i++)
        x[i] = (float)(i % 7) - 3;

    /* The first in reading order, whichever thread meets it. */
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const char *const names[] = {"nan", "inf", "-inf"};
    const nb_quantizer *const all[] = {&group, &channel, &tensor, &f16, &bf16, &f8, &f32};
    for (size_t b = 0; b < 3; b++) {
        x[53 * COLS + 40] = bad[b];
        x[53 * COLS + 41] = x[60 * COLS] = NAN;
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            refused(
                context, &source, all[k],
                (const char *const[]){"blk.0.w", "row 53, column 40", names[b], all[k]->format->name, NULL});
    }
    x[53 * COLS + 40] = x[53 * COLS + 41] = x[60 * COLS] = 0;

    x[18 * COLS + 47] = -65520;
    refused(context, &source, &f16,
            (const char *const[]){"row 18, column 47", "-65520", "65504", "bf16", NULL});
    x[18 * COLS + 47] = 65519;
    nb_packed *packed;
    assert_int_equal(nb_rtn_quantize(context, "w", &source, &f16, &packed, NULL, NULL), NB_OK);
    nb_packed_destroy(&packed);
    x[18 * COLS + 47] = 0x1.ffp127f;
    refused(context, &source, &bf16, (const char *const[]){"row 18, column 47", "f32", NULL});

    /* A scale beyond f16: 7 * 65520 is the first. */
    x[18 * COLS + 47] = 7 * 65520.0f;
    refused(context, &source, &group,
            (const char *const[]){"row 18, columns 32 to 47", "65520", "f32 scales", NULL});
    refused(context, &source, &tensor, (const char *const[]){"tensor", "458640", "f32 scales", NULL});
    nb_quantizer wide = group;
    wide.scales_f32 = true;
    assert_int_equal(nb_rtn_quantize(context, "w", &source, &wide, &packed, NULL, NULL), NB_OK);
    nb_packed_destroy(&packed);
    x[18 * COLS + 47] = 0x1.fp127f;
    x[18 * COLS + 46] = -0x1.fp127f;
    wide = channel;
    wide.scales_f32 = true;
    refused(context, &source, &wide, (const char *const[]){"row 18", "inf", "f32", NULL});
    x[18 * COLS + 47] = x[18 * COLS + 46] = 0;

    /* Labonne's zero point leaves the codes where all numbers lie on one side of 0. */
    for (size_t col = 0; col < COLS; col++)
        x[20 * COLS + col] = 2 + (float)col / 64;
    nb_quantizer labonne = channel;
    labonne.convention = NB_CONVENTION_LABONNE;
    labonne.scales_f32 = true;
    refused(context, &source, &labonne,
            (const char *const[]){"row 20, columns 0 to 47", "from 2 to 2.734", "zero point", "-822", "int8",
                                  NULL});
    labonne.granularity = NB_PER_TENSOR;
    assert_int_equal(nb_rtn_quantize(context, "w", &source, &labonne, &packed, NULL, NULL), NB_OK);
    nb_packed_destroy(&packed);

    refused(context, &(nb_source){&nb_format_f32, x, 0, COLS, NULL, NULL, NULL}, &group,
            (const char *const[]){"no numbers", NULL});
    refused(context, &(nb_source){&nb_format_f32, x, SIZE_MAX, SIZE_MAX, NULL, NULL, NULL}, &f16,
            (const char *const[]){"blk.0.w", NULL});
    wide = group;
    wide.group = 33;
    refused(context, &source, &wide, (const char *const[]){"33", NULL});
    nb_context_destroy(&context);
}

/* ---- blocks ---- */

/* What is packed is what the format's encoder says, for any number of threads; its own blocks stay as they are. */
static void blocks_are_the_encoders(void **state)
{
    (void)state;
    enum { ROWS = 37, COLS = 512 };
    static float x[ROWS * COLS], w[COLS];
    static uint8_t want[ROWS * COLS * 2], got[ROWS * COLS * 2];
    nb_random random;
    nb_random_seed(&random, 5);
    for (size_t i = 0; i < ROWS * COLS; i++)
        x[i] = (float)nb_random_normal(&random);
    nb_context *contexts[] = {context_of(1), context_of(3)};
    for (size_t f = 0; f < nb_format_count(); f++) {
        const nb_format *format = nb_format_at(f);
        if (format->kind != NB_FORMAT_BLOCK)
            continue;
        const nb_quantizer q = {.format = format};
        const size_t row_bytes = nb_format_row_bytes(format, COLS);
        double noise = 0;
        for (size_t row = 0; row < ROWS; row++) {
            format->encode_blocks(x + row * COLS, COLS, NULL, want + row * row_bytes);
            format->decode_row(want + row * row_bytes, COLS, w);
            for (size_t k = 0; k < COLS; k++)
                noise += ((double)x[row * COLS + k] - (double)w[k]) * ((double)x[row * COLS + k] - (double)w[k]);
        }
        for (size_t c = 0; c < 3; c++) { /* one thread; three; from blocks */
            const nb_source source = {c < 2 ? &nb_format_f32 : format, c < 2 ? (void *)x : (void *)want, ROWS, COLS, NULL, NULL, NULL};
            nb_packed *packed;
            nb_rtn_stats stats;
            assert_int_equal(nb_rtn_quantize(contexts[c % 2], "w", &source, &q, &packed, &stats, NULL), NB_OK);
            memset(got, 0, sizeof got);
            for (size_t group = 0; group < packed->n_row_groups; group++)
                nb_packed_get_rows(packed, group, got + group * NB_ROWS * row_bytes, row_bytes);
            assert_memory_equal(got, want, ROWS * row_bytes);
            assert_true(fabs(stats.noise - (c < 2 ? noise : 0)) <= 1e-9 * noise);
            nb_packed_destroy(&packed);
        }
    }
    nb_context_destroy(&contexts[0]);
    nb_context_destroy(&contexts[1]);
}

static void blocks_refuse_with_the_place(void **state)
{
    (void)state;
    enum { ROWS = 20, COLS = 288 };
    static float x[ROWS * COLS];
    const nb_quantizer q4_k = {.format = nb_format_find("q4_k")}, q4_0 = {.format = nb_format_find("q4_0")};
    const nb_source source = {&nb_format_f32, x, ROWS, COLS, NULL, NULL, NULL}, odd = {&nb_format_f32, x, ROWS, 48, NULL, NULL, NULL};
    nb_context *context = context_of(3);
    refused(context, &source, &q4_k, (const char *const[]){"blk.0.w", "256", "288", "q4_0", NULL});
    refused(context, &odd, &q4_0, (const char *const[]){"blk.0.w", "32", "48", "int4", NULL});
    x[17 * COLS + 40] = NAN;
    refused(context, &source, &q4_0, (const char *const[]){"row 17, column 40", "nan", "q4_0", NULL});
    x[17 * COLS + 40] = 1e30f;
    refused(context, &source, &q4_0, (const char *const[]){"row 17, column", "scale", "q4_0", "bf16", NULL});
    nb_context_destroy(&context);
}

/* ---- edges of a group ---- */

static void all_zero_and_tiny_groups(void **state)
{
    (void)state;
    const float zeros[4] = {0, -0.0f, 0, 0};
    for (int variant = 0; variant < 8; variant++) {
        nb_quantizer q = {nb_format_int(4),
                          variant & 1 ? NB_SCHEME_ABSMAX : NB_SCHEME_ZEROPOINT,
                          NB_PER_TENSOR,
                          0,
                          variant & 2,
                          0,
                          variant & 4 ? NB_CONVENTION_LABONNE : NB_CONVENTION_DIVIDE,
                          false};
        float scale, values[4];
        int32_t zero, codes[4];
        nb_rtn_group(zeros, 4, &q, &scale, &zero, codes, values);
        assert_true(scale == 0 && zero == 0);
        for (int i = 0; i < 4; i++)
            assert_true(codes[i] == 0 && values[i] == 0);
    }
    /* 3e-8 / 127 would be 0 as f16; the smallest scale keeps what can be kept. */
    nb_quantizer q = {nb_format_int(8), NB_SCHEME_ABSMAX, NB_PER_TENSOR, 0, false, 0, 0, false};
    const float tiny[3] = {1e-6f, -3e-7f, 1e-8f};
    float scale, values[3];
    int32_t codes[3];
    nb_rtn_group(tiny, 3, &q, &scale, NULL, codes, values);
    assert_true(scale == 0x1p-24f);
    assert_int_equal(codes[0], 17);
    assert_int_equal(codes[1], -5);
    assert_int_equal(codes[2], 0);
    assert_true(values[0] == 17 * 0x1p-24f);
    /* The smallest f32 of all. */
    q.scales_f32 = true;
    const float subnormal[2] = {0x1p-149f, -3 * 0x1p-149f};
    nb_rtn_group(subnormal, 2, &q, &scale, NULL, codes, values);
    assert_true(scale == 0x1p-149f && codes[0] == 1 && codes[1] == -3 && values[1] == subnormal[1]);
    /* Nothing at all. */
    nb_rtn_group(NULL, 0, &q, &scale, NULL, NULL, NULL);
    assert_true(scale == 0);
}

static void group_of_floats(void **state)
{
    (void)state;
    const float x[3] = {-2, 0.3f, 1};
    nb_quantizer q = {.format = &nb_format_f8_e4m3};
    float scale, values[3];
    int32_t zero, codes[3];
    nb_rtn_group(x, 3, &q, &scale, &zero, codes, values);
    assert_true(scale == 2.0f / 448 && zero == 0);
    assert_int_equal(codes[0], 0xfe);
    assert_int_equal(codes[2], nb_format_f8_e4m3.encode(224));
    assert_true(values[0] == -2 && values[2] == 1);
    q.format = &nb_format_f16;
    nb_rtn_group(x, 3, &q, &scale, &zero, codes, values);
    assert_true(scale == 1 && codes[1] == 0x34cd && values[2] == 1);
}

static void counts_what_was_clipped(void **state)
{
    (void)state;
    /* f16 rounds 1/2047.5 down by enough that 255 steps end below 1: the top code is passed. A range of one
     * step above 0 with a zero point that rounds: the code beyond the end is moved back. */
    float x[64] = {0};
    x[0] = -1.5f; /* s = 3.0 / 15 = 0.2; z = -8 + 7.5 -> 0 (even); 1.5 / 0.2 + 0 = 8: one beyond 7 */
    x[1] = 1.5f;
    nb_quantizer q = {nb_format_int(4), NB_SCHEME_ZEROPOINT, NB_PER_CHANNEL, 0, true, 0, 0, false};
    nb_source source = {&nb_format_f32, x, 1, 64, NULL, NULL, NULL};
    nb_context *context = context_of(1);
    nb_packed *packed;
    nb_rtn_stats stats;
    assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, &stats, NULL), NB_OK);
    assert_int_equal(stats.n_clipped, 1);
    assert_int_equal(stats.n_zero, 62);
    nb_packed_destroy(&packed);
    q.scheme = NB_SCHEME_ABSMAX;
    assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, &stats, NULL), NB_OK);
    assert_int_equal(stats.n_clipped, 0);
    nb_packed_destroy(&packed);
    nb_context_destroy(&context);
}

/* ---- progress, stopping, memory ---- */

typedef struct watcher {
    nb_context *context;
    uint64_t last, total;
    unsigned n_calls, stop_at;
} watcher;

static void watch(void *user, const char *what, uint64_t done, uint64_t total, const char *unit)
{
    watcher *w = user;
    assert_string_equal(what, "w");
    assert_string_equal(unit, "bytes");
    assert_true(done >= w->last && done <= total);
    w->last = done;
    w->total = total;
    if (++w->n_calls == w->stop_at)
        atomic_store(&w->context->cancel, true);
}

static void progress_and_cancel(void **state)
{
    (void)state;
    enum { ROWS = 8192, COLS = 1024 }; /* 32 MB: several chunks */
    float *x = nb_aligned_calloc(ROWS * COLS, sizeof *x);
    assert_non_null(x);
    nb_source source = {&nb_format_f32, x, ROWS, COLS, NULL, NULL, NULL};
    nb_context *context = context_of(2);
    for (int one_scale = 0; one_scale < 2; one_scale++) {
        nb_quantizer q = {
            nb_format_int(4), NB_SCHEME_ABSMAX, one_scale ? NB_PER_TENSOR : NB_PER_CHANNEL, 0, false, 0, 0, false};
        watcher w = {.context = context};
        context->progress = watch;
        context->progress_user = &w;
        nb_packed *packed;
        assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, NULL, NULL), NB_OK);
        nb_packed_destroy(&packed);
        assert_true(w.n_calls >= 4);
        assert_int_equal(w.last, w.total);
        assert_int_equal(w.total, (uint64_t)ROWS * COLS * 4 * (one_scale ? 2 : 1));
        unsigned n_calls = w.n_calls;
        for (unsigned stop_at = 1; stop_at <= n_calls; stop_at++) {
            w = (watcher){.context = context, .stop_at = stop_at};
            packed = (nb_packed *)&w;
            assert_int_equal(nb_rtn_quantize(context, "w", &source, &q, &packed, NULL, NULL),
                             NB_ERR_CANCELLED);
            assert_null(packed);
            assert_false(atomic_load(&context->cancel));
        }
    }
    context->progress = NULL;
    nb_context_destroy(&context);
    nb_aligned_free(x);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static matrix m;
    fill(&m, 20, 40, &nb_format_f16, 3, false);
    nb_context *context = context_of(2);
    const nb_quantizer quantizers[] = {
        {.format = nb_format_int(4), .scheme = NB_SCHEME_ZEROPOINT, .granularity = NB_PER_TENSOR},
        {.format = &nb_format_f8_e4m3},
    };
    for (int k = 0; k < 2; k++) {
        long n = 1;
        for (;; n++) {
            nb_packed *packed = NULL;
            nb_error error = {""};
            nb_memory_fail_after(n);
            nb_status status =
                nb_rtn_quantize(context, "w", &m.source, &quantizers[k], &packed, NULL, &error);
            nb_memory_fail_after(0);
            if (status == NB_OK) {
                nb_packed_destroy(&packed);
                break;
            }
            assert_int_equal(status, NB_ERR_MEMORY);
            assert_null(packed);
            assert_true(strlen(error.text) > 10);
        }
        assert_in_range(n, 10, 40);
    }
    nb_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quantizer_every_shape),
        cmocka_unit_test(same_for_any_threads),
        cmocka_unit_test(floats),
        cmocka_unit_test(refuses_with_the_place),
        cmocka_unit_test(blocks_are_the_encoders),
        cmocka_unit_test(blocks_refuse_with_the_place),
        cmocka_unit_test(all_zero_and_tiny_groups),
        cmocka_unit_test(group_of_floats),
        cmocka_unit_test(counts_what_was_clipped),
        cmocka_unit_test(progress_and_cancel),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
