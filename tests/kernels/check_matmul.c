/* Every matmul against its definition, bit for bit: hostile shapes, hostile values, guarded buffers. */
#include "check.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_WORK = 400 * 1000
}; /* multiplications in a case: the definition is slow, and slower under an emulator */

/* --- what is checked: one row a kernel --- */

typedef struct {
    const char *name;
    const char *format;
    nb_activations activations;
} variant;

static const variant variants[] = {
    {"matmul_f32", "f32", NB_ACTIVATIONS_F32},         {"matmul_f16", "f16", NB_ACTIVATIONS_F32},
    {"matmul_bf16", "bf16", NB_ACTIVATIONS_F32},       {"matmul_f8_e4m3", "f8_e4m3", NB_ACTIVATIONS_F32},
    {"matmul_f8_e5m2", "f8_e5m2", NB_ACTIVATIONS_F32}, {"matmul_int2", "int2", NB_ACTIVATIONS_INT8},
    {"matmul_int3", "int3", NB_ACTIVATIONS_INT8},      {"matmul_int4", "int4", NB_ACTIVATIONS_INT8},
    {"matmul_int5", "int5", NB_ACTIVATIONS_INT8},      {"matmul_int6", "int6", NB_ACTIVATIONS_INT8},
    {"matmul_int7", "int7", NB_ACTIVATIONS_INT8},      {"matmul_int8", "int8", NB_ACTIVATIONS_INT8},
    {"matmul_int2_f32", "int2", NB_ACTIVATIONS_F32},   {"matmul_int3_f32", "int3", NB_ACTIVATIONS_F32},
    {"matmul_int4_f32", "int4", NB_ACTIVATIONS_F32},   {"matmul_int5_f32", "int5", NB_ACTIVATIONS_F32},
    {"matmul_int6_f32", "int6", NB_ACTIVATIONS_F32},   {"matmul_int7_f32", "int7", NB_ACTIVATIONS_F32},
    {"matmul_int8_f32", "int8", NB_ACTIVATIONS_F32},   {"matmul_nf4", "nf4", NB_ACTIVATIONS_F32},
    {"matmul_fp4", "fp4", NB_ACTIVATIONS_F32},         {"matmul_int4_outliers", "int4", NB_ACTIVATIONS_INT8},
    {"matmul_int8_outliers", "int8", NB_ACTIVATIONS_INT8},
};
enum { N_VARIANTS = sizeof variants / sizeof variants[0] };

static bool has_outliers(const variant *v)
{
    return strstr(v->name, "_outliers") != NULL;
}

static nb_matmul_fn *kernel_of(const nb_kernels *kernels, const variant *v)
{
    nb_matmul_fn *const floats[] = {kernels->matmul_f32, kernels->matmul_f16, kernels->matmul_bf16,
                                    kernels->matmul_f8_e4m3, kernels->matmul_f8_e5m2};
    if (v < variants + 5)
        return floats[v - variants];
    if (nb_format_find(v->format)->kind == NB_FORMAT_TABLE)
        return kernels->matmul_table;
    unsigned bits = (unsigned)(v->format[3] - '0');
    return v->activations == NB_ACTIVATIONS_F32 ? kernels->matmul_int_f32[bits] : kernels->matmul_int[bits];
}

/* --- a case: shapes and options --- */

typedef struct {
    size_t n_rows, n_cols, n_tokens;
    nb_quantizer quantizer;
    nb_fill acts;
    bool extreme; /* activations of +-127 * 2^n and codes that are all ones or all zeros */
    size_t n_outliers;
} matmul_case;

#define PICK(CHECK, ARRAY) ((ARRAY)[nb_check_below(CHECK, sizeof(ARRAY) / sizeof *(ARRAY))])

static matmul_case make_case(nb_check *check, const variant *v, size_t index)
{
    static const size_t rows[] = {1, 7, 15, 16, 17, 31, 33, 48, 64, 80, 100, 129, 172};
    static const size_t cols[] = {1, 2, 8, 31, 32, 33, 48, 63, 64, 65, 96, 172, 288, 511, 544, 1025, 1100};
    static const uint32_t groups[] = {32, 64, 128};
    static const size_t outliers[] = {1, 2, 7, 31, 32, 33, 70};
    matmul_case c = {.n_rows = PICK(check, rows), .n_cols = PICK(check, cols)};
    c.n_tokens = 1 + index % 40;
    while (c.n_rows * c.n_cols * c.n_tokens > MAX_WORK)
        *(c.n_rows > 33 ? &c.n_rows : &c.n_cols) /= 2;
    c.quantizer = (nb_quantizer){.format = nb_format_find(v->format), .activations = v->activations};
    if (c.quantizer.format->kind == NB_FORMAT_INT) {
        c.quantizer.scheme = nb_check_below(check, 2) ? NB_SCHEME_ABSMAX : NB_SCHEME_ZEROPOINT;
        c.quantizer.granularity = (nb_granularity)(NB_PER_TENSOR + (int)nb_check_below(check, 3));
        c.quantizer.group = c.quantizer.granularity == NB_PER_GROUP ? PICK(check, groups) : 0;
        c.quantizer.scales_f32 = nb_check_below(check, 2);
    } else if (c.quantizer.format->kind == NB_FORMAT_TABLE) {
        c.quantizer.granularity = NB_PER_GROUP;
        c.quantizer.group = PICK(check, groups);
        c.quantizer.double_scales = nb_check_below(check, 2);
    } else {
        c.quantizer.granularity = NB_PER_TENSOR;
    }
    c.acts = nb_check_any_fill(check);
    c.extreme = nb_check_below(check, 6) == 0;
    if (has_outliers(v))
        c.n_outliers = PICK(check, outliers);
    return c;
}

/* --- weights in guarded buffers --- */

static void fill_bytes(nb_check *check, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)nb_random_u64(&check->random);
}

/* Codes of numbers of every kind; of f8 and f16, every bit pattern. */
static void fill_float_codes(nb_check *check, nb_packed *w, size_t n_bytes)
{
    float x[64];
    if (w->quantizer.format->bits < 32 && nb_check_below(check, 3) == 0) {
        fill_bytes(check, w->codes, n_bytes);
        return;
    }
    size_t code_bytes = w->quantizer.format->bits / 8;
    nb_fill fill = nb_check_any_fill(check);
    for (size_t i = 0; i < n_bytes; i += 64) {
        nb_check_fill(check, x, 64 / code_bytes, fill);
        nb_format_encode_row(w->quantizer.format, x, 64 / code_bytes, w->codes + i);
    }
    w->tensor_scale = nb_check_below(check, 4) == 0 ? 1.0f : (float)nb_random_normal(&check->random);
}

static void fill_scales(nb_check *check, nb_packed *w, size_t n)
{
    bool plain = nb_check_below(check, 2);
    for (size_t i = 0; i < n; i++) {
        float value;
        nb_check_fill(check, &value, 1, plain ? NB_FILL_PLAIN : nb_check_any_fill(check));
        if (w->quantizer.scales_f32)
            ((float *)w->scales)[i] = value;
        else
            ((uint16_t *)w->scales)[i] = nb_f16_from_f32(value);
    }
}

/* f32 scales of every kind, or codes of them and their own scales. */
static void fill_table_scales(nb_check *check, nb_packed *w)
{
    const size_t n_all = w->n_row_groups * w->scale_stride, n_nested = nb_n_nested(w->n_rows * w->n_scales);
    const size_t n = w->quantizer.double_scales ? n_nested : n_all;
    w->scales = nb_check_input(check, n * sizeof(float));
    nb_check_fill(check, w->scales, n, nb_check_any_fill(check));
    if (w->quantizer.double_scales) {
        w->scale_codes = nb_check_input(check, n_all);
        fill_bytes(check, w->scale_codes, n_all);
        nb_check_fill(check, &w->scale_offset, 1, NB_FILL_PLAIN);
    }
}

/* As nb_packed_create lays it out, but each buffer ends at an unreadable page. */
static nb_packed make_weights(nb_check *check, const matmul_case *c)
{
    nb_packed *laid_out;
    nb_error error;
    if (nb_packed_create(&c->quantizer, c->n_rows, c->n_cols, &laid_out, &error) != NB_OK) {
        fprintf(stderr, "%s\n", error.text);
        check->n_bad++;
        return (nb_packed){0};
    }
    nb_packed w = *laid_out;
    nb_packed_destroy(&laid_out);
    size_t n_bytes = w.n_row_groups * w.row_group_bytes;
    w.codes = nb_check_input(check, n_bytes);
    if (c->quantizer.format->kind == NB_FORMAT_FLOAT) {
        fill_float_codes(check, &w, n_bytes);
        return w;
    }
    fill_bytes(check, w.codes, n_bytes);
    if (c->extreme)
        memset(w.codes, nb_check_below(check, 2) ? 0xff : 0, n_bytes);
    if (c->quantizer.format->kind == NB_FORMAT_TABLE) {
        fill_table_scales(check, &w);
        return w;
    }
    size_t n_scales = w.scale_stride == 0 ? NB_ROWS : w.n_row_groups * w.scale_stride;
    w.scales = nb_check_input(check, n_scales * (w.quantizer.scales_f32 ? sizeof(float) : sizeof(uint16_t)));
    fill_scales(check, &w, n_scales);
    size_t n_zeros = w.zero_stride == 0 ? NB_ROWS : w.n_row_groups * w.zero_stride;
    w.zeros = nb_check_input(check, n_zeros);
    unsigned bits = c->quantizer.format->bits;
    for (size_t i = 0; i < n_zeros; i++)
        w.zeros[i] = c->quantizer.scheme == NB_SCHEME_ABSMAX ? (uint8_t)(1u << (bits - 1))
                     : c->extreme ? (uint8_t)(((1u << bits) - 1) * nb_check_below(check, 2))
                                  : (uint8_t)nb_check_below(check, (size_t)1 << bits);
    return w;
}

/* --- activations --- */

static void fill_acts(nb_check *check, const matmul_case *c, float *x, size_t n)
{
    if (!c->extreme) {
        nb_check_fill(check, x, n, c->acts);
        return;
    }
    float sign = nb_check_below(check, 2) ? 127.0f : -127.0f;
    bool mixed = nb_check_below(check, 2);
    for (size_t i = 0; i < n; i++)
        x[i] = mixed && nb_check_below(check, 2) ? -sign : sign;
}

nb_acts nb_check_acts(nb_check *check, const nb_kernels *kernels, const float *x, size_t n_tokens, size_t n_cols,
                      size_t stride, bool int8)
{
    nb_acts acts = {.n_tokens = n_tokens,
                    .n_cols = n_cols,
                    .f32 = x,
                    .f32_stride = stride,
                    .n_blocks = nb_div_up(n_cols, NB_BLOCK)};
    if (int8) {
        size_t n = n_tokens * acts.n_blocks;
        acts.blocks = nb_check_input(check, n * sizeof *acts.blocks);
        acts.wide = kernels->wants_wide ? nb_check_input(check, n * NB_BLOCK * sizeof *acts.wide) : NULL;
        for (size_t t = 0; t < n_tokens; t++)
            kernels->quantize_acts(x + t * stride, n_cols, acts.blocks + t * acts.n_blocks,
                                   acts.wide == NULL ? NULL : acts.wide + t * acts.n_blocks * NB_BLOCK);
    }
    return acts;
}

nb_acts nb_check_one_token(const nb_acts *acts, size_t token)
{
    nb_acts one = *acts;
    one.n_tokens = 1;
    one.f32 += token * acts->f32_stride;
    if (one.outliers != NULL)
        one.outliers += token * acts->outlier_stride;
    if (one.blocks != NULL)
        one.blocks += token * acts->n_blocks;
    if (one.wide != NULL)
        one.wide += token * acts->n_blocks * NB_BLOCK;
    return one;
}

/* Both read the same. */
static void add_outlier_acts(nb_check *check, const matmul_case *c, nb_acts *want, nb_acts *got)
{
    const size_t stride = c->n_outliers + nb_check_below(check, 2), n = (c->n_tokens - 1) * stride + c->n_outliers;
    float *outliers = nb_check_input(check, n * sizeof *outliers);
    nb_check_fill(check, outliers, n, nb_check_any_fill(check));
    want->outliers = got->outliers = outliers;
    want->outlier_stride = got->outlier_stride = stride;
}

/* --- the check --- */

static void run_case(nb_check *check, const variant *v, const matmul_case *c, nb_matmul_fn *kernel)
{
    nb_check_case(check,
                  "%zu rows, %zu columns + %zu, %zu tokens, %s, granularity %d group %u, %s scales, acts %d%s",
                  c->n_rows, c->n_cols, c->n_outliers, c->n_tokens,
                  c->quantizer.scheme == NB_SCHEME_ZEROPOINT ? "zeropoint" : "absmax",
                  (int)c->quantizer.granularity, (unsigned)c->quantizer.group,
                  c->quantizer.scales_f32 ? "f32" : "f16", (int)c->acts, c->extreme ? " extreme" : "");
    nb_packed w = make_weights(check, c);
    size_t stride = c->n_cols + nb_check_below(check, 2) * 5,
           y_stride = c->n_rows + nb_check_below(check, 2) * 3;
    float *x = nb_check_input(check, ((c->n_tokens - 1) * stride + c->n_cols) * sizeof *x);
    fill_acts(check, c, x, (c->n_tokens - 1) * stride + c->n_cols);
    const bool int8 = c->quantizer.activations == NB_ACTIVATIONS_INT8;
    nb_acts want = nb_check_acts(check, check->reference, x, c->n_tokens, c->n_cols, stride, int8);
    nb_acts got = nb_check_acts(check, check->level, x, c->n_tokens, c->n_cols, stride, int8);
    nb_packed outliers;
    if (c->n_outliers > 0) {
        const nb_quantizer f16 = {.format = &nb_format_f16, .granularity = NB_PER_TENSOR};
        outliers = make_weights(check, &(matmul_case){.n_rows = c->n_rows, .n_cols = c->n_outliers, .quantizer = f16});
        w.outliers = &outliers;
        add_outlier_acts(check, c, &want, &got);
    }
    size_t begin = nb_check_below(check, 3) == 0 ? nb_check_below(check, w.n_row_groups) : 0;
    size_t end = begin + 1 + nb_check_below(check, w.n_row_groups - begin);
    if (nb_check_below(check, 2))
        end = w.n_row_groups;

    nb_check_output y =
        nb_check_output_create(check, ((c->n_tokens - 1) * y_stride + c->n_rows) * sizeof(float));
    kernel_of(check->reference, v)(&w, begin, end, &want, y.want, y_stride);
    kernel(&w, begin, end, &got, y.got, y_stride);
    nb_check_same(check, &y);

    /* a token alone gives the bits that it gives among others */
    size_t t = nb_check_below(check, c->n_tokens);
    nb_acts alone = nb_check_one_token(&got, t);
    kernel(&w, begin, end, &alone, (float *)y.got + t * y_stride, y_stride);
    nb_check_same(check, &y);
}

static void check_variant(nb_check *check, const variant *v, nb_matmul_fn *kernel, size_t n_cases)
{
    for (size_t i = 0; i < n_cases; i++) {
        matmul_case c = make_case(check, v, i);
        run_case(check, v, &c, kernel);
    }
}

/* --- quantize_acts --- */

/* What every matmul with int8 activations reads of a block; the halves' sums are check_blocks.c's business. */
typedef struct {
    float scale;
    int32_t minus_sum;
    int8_t q[NB_BLOCK];
} act_view;

static void view_acts(const nb_act_block *blocks, size_t n_blocks, void *views)
{
    for (size_t b = 0; b < n_blocks; b++) {
        act_view view = {.scale = blocks[b].scale, .minus_sum = blocks[b].minus_sum};
        memcpy(view.q, blocks[b].q, sizeof view.q);
        memcpy((char *)views + b * sizeof view, &view, sizeof view);
    }
}

static void check_quantize(nb_check *check)
{
    if (!nb_check_begin(check, "quantize_acts"))
        return;
    for (size_t i = 0; i < 600; i++) {
        size_t n = 1 + nb_check_below(check, i % 2 ? 100 : 40), n_blocks = nb_div_up(n, NB_BLOCK);
        nb_fill fill = nb_check_any_fill(check);
        nb_check_case(check, "%zu columns, values %d", n, (int)fill);
        float *x = nb_check_input(check, n * sizeof *x);
        nb_check_fill(check, x, n, fill);
        if (i % 7 == 0) /* the inverse of the greatest overflows */
            for (size_t k = 0; k < n; k++)
                x[k] = k % 3 ? 1e-38f : 0.0f;
        nb_act_block *want = nb_check_input(check, n_blocks * sizeof *want);
        nb_act_block *got = nb_check_input(check, n_blocks * sizeof *got);
        int16_t *wide = nb_check_input(check, n_blocks * NB_BLOCK * sizeof *wide);
        check->reference->quantize_acts(x, n, want, NULL);
        check->level->quantize_acts(x, n, got, check->level->wants_wide ? wide : NULL);
        nb_check_output views = nb_check_output_create(check, n_blocks * sizeof(act_view));
        view_acts(want, n_blocks, views.want);
        view_acts(got, n_blocks, views.got);
        nb_check_same(check, &views);
    }
    nb_check_end(check);
}

/* Half of the cases are made for this kernel: scales of which codes are ties and just beyond the last code, numbers
 * whose quotient overflows, and a largest number that is nearly 0. */
static void fill_scaled(nb_check *check, float *x, size_t n, float *scale)
{
    static const float scales[] = {0x1p-6f, 0.013f, 1.0f, 3.0e38f, 0x1p-149f, 0x1.8p-127f, 1e-30f};
    static const float tops[] = {126.5f, 127.0f, 127.25f, 127.5f, 127.75f, 128.0f, 1e9f, 1e38f, 3.0e38f};
    *scale = PICK(check, scales);
    nb_check_fill(check, x, n, nb_check_any_fill(check));
    switch (nb_check_below(check, 4)) {
    case 0:
        for (size_t i = 0; i < n; i++) /* halves: ties, some beyond the ends */
            x[i] = ((float)nb_check_below(check, 520) - 260.0f) * 0.5f * *scale;
        break;
    case 1:
        for (size_t i = 0; i < n; i++)
            x[i] = (nb_check_below(check, 2) ? 1.0f : -1.0f) * PICK(check, tops) * *scale;
        break;
    default:
        break;
    }
}

/* The order that kernels.h leaves to a level; avx2 alone has one: a quad's columns 0 and 2, then 1 and 3. A level that
 * wants none is given what is wanted, so that the digest is everywhere the same. */
static void check_wide(nb_check *check, const nb_act_block *blocks, size_t n_blocks, const nb_check_output *wide)
{
    static const size_t order[4] = {0, 2, 1, 3};
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t k = 0; k < NB_BLOCK; k++)
            ((int16_t *)wide->want)[b * NB_BLOCK + k] = blocks[b].q[k / 4 * 4 + order[k % 4]];
    if (!check->level->wants_wide)
        memcpy(wide->got, wide->want, wide->n_bytes);
    nb_check_same(check, wide);
}

typedef size_t quantize_scaled_fn(const float *x, size_t n_cols, const float *scale, nb_act_block *blocks, int16_t *wide);

static void check_quantize_scaled(nb_check *check, quantize_scaled_fn *kernel, size_t n_cases)
{
    for (size_t i = 0; i < n_cases; i++) {
        const size_t n = 1 + nb_check_below(check, i % 2 ? 200 : 40), n_blocks = nb_div_up(n, NB_BLOCK);
        const bool own = nb_check_below(check, 3) == 0;
        float scale;
        nb_check_case(check, "%zu columns, %s scale", n, own ? "their own" : "a given");
        float *x = nb_check_input(check, n * sizeof *x);
        fill_scaled(check, x, n, &scale);
        nb_check_output blocks = nb_check_output_create(check, n_blocks * sizeof(nb_act_block));
        nb_check_output wide = nb_check_output_create(check, n_blocks * NB_BLOCK * sizeof(int16_t));
        nb_check_output n_clipped = nb_check_output_create(check, sizeof(uint64_t));
        const uint64_t wanted = check->reference->quantize_acts_scaled(x, n, own ? NULL : &scale, blocks.want, NULL);
        const uint64_t got = kernel(x, n, own ? NULL : &scale, blocks.got, check->level->wants_wide ? wide.got : NULL);
        memcpy(n_clipped.want, &wanted, sizeof wanted);
        memcpy(n_clipped.got, &got, sizeof got);
        nb_check_same(check, &blocks);
        nb_check_same(check, &n_clipped);
        check_wide(check, blocks.want, n_blocks, &wide);
    }
}

void nb_check_matmul(nb_check *check)
{
    check_quantize(check);
    if (nb_check_begin(check, "quantize_acts_scaled")) {
        check_quantize_scaled(check, check->level->quantize_acts_scaled, 900);
        nb_check_end(check);
    }
    for (const variant *v = variants; v < variants + N_VARIANTS; v++)
        if (nb_check_begin(check, v->name)) {
            check_variant(check, v, kernel_of(check->level, v), 120);
            nb_check_end(check);
        }
}

/* --- broken kernels must be caught --- */

static nb_matmul_fn *healthy; /* what the broken ones call */

/* One bit of one output. */
static void flips_a_bit(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                        size_t y_stride)
{
    uint32_t bits;
    healthy(w, begin, end, x, y, y_stride);
    memcpy(&bits, &y[begin * NB_ROWS], sizeof bits);
    bits ^= 1;
    memcpy(&y[begin * NB_ROWS], &bits, sizeof bits);
}

/* The last columns, which a wrong loop bound would lose. */
static void skips_the_tail(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                           size_t y_stride)
{
    nb_packed shorter = *w;
    shorter.n_cols -= w->n_cols > 1;
    shorter.n_blocks -= w->n_blocks > 1;
    healthy(&shorter, begin, end, x, y, y_stride);
}

/* Writes a whole row group where only some of its rows exist. */
static void writes_too_far(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                           size_t y_stride)
{
    healthy(w, begin, end, x, y, y_stride);
    if (x->n_tokens > 1 && y_stride > w->n_rows)
        y[w->n_rows] = 0.0f;
}

/* Nearly the same: by the inverse of the scale. */
static size_t multiplies(const float *x, size_t n_cols, const float *scale, nb_act_block *blocks, int16_t *wide)
{
    const size_t n_clipped = nb_kernels_at(0)->quantize_acts_scaled(x, n_cols, scale, blocks, wide);
    for (size_t i = 0; scale != NULL && i < n_cols; i++) {
        const float scaled = rintf(x[i] * (1.0f / *scale));
        if (fabsf(scaled) <= 127.0f)
            blocks[i / NB_BLOCK].q[i % NB_BLOCK] = (int8_t)scaled;
    }
    return n_clipped;
}

/* What is rounded to the last code, too. */
static size_t counts_the_ends(const float *x, size_t n_cols, const float *scale, nb_act_block *blocks, int16_t *wide)
{
    size_t n_clipped = 0;
    nb_kernels_at(0)->quantize_acts_scaled(x, n_cols, scale, blocks, wide);
    for (size_t i = 0; i < n_cols; i++)
        n_clipped += blocks[i / NB_BLOCK].q[i % NB_BLOCK] == 127 || blocks[i / NB_BLOCK].q[i % NB_BLOCK] == -127;
    return n_clipped;
}

/* What is clipped in the last columns is not counted. */
static size_t forgets_the_tail(const float *x, size_t n_cols, const float *scale, nb_act_block *blocks, int16_t *wide)
{
    const size_t whole = n_cols / NB_BLOCK * NB_BLOCK;
    const size_t n_clipped = nb_kernels_at(0)->quantize_acts_scaled(x, whole, scale, blocks, wide);
    nb_kernels_at(0)->quantize_acts_scaled(x, n_cols, scale, blocks, wide);
    return n_clipped;
}

static bool catches_broken_rounding(const nb_check *check)
{
    quantize_scaled_fn *const broken[] = {multiplies, counts_the_ends, forgets_the_tail};
    bool caught = true;
    for (size_t i = 0; i < 3; i++) {
        nb_check trial = *check;
        if (nb_check_begin(&trial, "broken"))
            check_quantize_scaled(&trial, broken[i], 60);
        caught = caught && trial.n_bad > 0;
    }
    return caught;
}

bool nb_check_catches_broken_matmul(nb_check *check)
{
    nb_matmul_fn *const broken[] = {flips_a_bit, skips_the_tail, writes_too_far};
    bool caught = catches_broken_rounding(check);
    for (const variant *v = variants; v < variants + N_VARIANTS; v++)
        for (size_t i = 0; i < 3; i++) {
            nb_check trial = *check;
            trial.quiet = true;
            healthy = kernel_of(check->reference, v);
            if (nb_check_begin(&trial, v->name)) {
                check_variant(&trial, v, broken[i], 12);
                caught = caught && trial.n_bad > 0;
            }
        }
    return caught;
}
