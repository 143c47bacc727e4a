/* The matmuls of block formats against their definition, bit for bit: blocks of random bytes, which are all legal,
 * with scales of every kind. */
#include "check.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORK = 400 * 1000, N_CASES = 80 };

typedef struct {
    const nb_block_layout *layout;
    nb_quantizer quantizer;
    size_t n_rows, n_cols, n_tokens;
    int scales;   /* scale_kinds */
    nb_fill acts;
    bool extreme; /* codes that are all ones or all zeros */
} block_case;

/* What the f16 scales are; an e8m0 is near 1 or anything. */
enum { SCALES_PLAIN, SCALES_FINITE, SCALES_TINY, SCALES_ANY, N_SCALE_KINDS };

#define PICK(CHECK, ARRAY) ((ARRAY)[nb_check_below(CHECK, sizeof(ARRAY) / sizeof *(ARRAY))])

static block_case make_case(nb_check *check, const nb_block_layout *layout, nb_activations activations, size_t index)
{
    static const size_t rows[] = {1, 7, 15, 16, 17, 31, 33, 48, 64, 80, 100, 129, 172};
    static const size_t plain_blocks[] = {1, 2, 3, 5, 9, 17, 31, 32, 33, 35}, super_blocks[] = {1, 2, 3, 4, 5};
    block_case c = {.layout = layout, .n_rows = PICK(check, rows), .n_tokens = 1 + index % 40};
    c.quantizer = (nb_quantizer){.format = layout->format, .activations = activations};
    const size_t n_blocks = layout->format->block_size == 256 ? PICK(check, super_blocks) : PICK(check, plain_blocks);
    c.n_cols = n_blocks * layout->format->block_size;
    while (c.n_rows > 1 && c.n_rows * c.n_cols * c.n_tokens > MAX_WORK)
        c.n_rows /= 2;
    c.scales = (int)nb_check_below(check, N_SCALE_KINDS);
    c.acts = nb_check_any_fill(check);
    c.extreme = nb_check_below(check, 6) == 0;
    return c;
}

static uint16_t random_f16(nb_check *check, int kind)
{
    const uint16_t bits = (uint16_t)nb_random_u64(&check->random);
    if (kind == SCALES_PLAIN) /* 2^-7 to 2^1, either sign */
        return (uint16_t)((bits & 0x83ff) | (8 + nb_check_below(check, 8)) << 10);
    if (kind == SCALES_TINY) /* subnormals and zeros */
        return bits & (bits & 1 ? 0x83ff : 0x8000);
    return kind == SCALES_FINITE && (bits & 0x7c00) == 0x7c00 ? (uint16_t)(bits & 0xbfff) : bits;
}

static void put_f16(uint8_t *at, uint16_t bits)
{
    at[0] = (uint8_t)bits;
    at[1] = (uint8_t)(bits >> 8);
}

static void fill_block(nb_check *check, const nb_block_layout *layout, int scales, int codes, uint8_t *block)
{
    for (size_t i = 0; i < layout->format->block_bytes; i++)
        block[i] = (uint8_t)(codes < 0 ? (int)(nb_random_u64(&check->random) & 0xff) : codes);
    if (nb_block_has_f16(layout))
        put_f16(block + layout->scale_offset, random_f16(check, scales));
    if (nb_block_has_min(layout))
        put_f16(block + layout->min_offset, random_f16(check, scales));
    if (layout->scales == NB_SCALES_E8M0)
        block[0] = (uint8_t)(scales == SCALES_PLAIN  ? 120 + nb_check_below(check, 16)
                             : scales == SCALES_TINY ? nb_check_below(check, 3)
                                                     : nb_check_below(check, 256));
    if (layout->scales == NB_SCALES_UE4M3 && codes >= 0)
        for (size_t s = 0; s < 4; s++)
            block[s] = (uint8_t)nb_random_u64(&check->random);
}

/* As packed; each buffer ends at an unreadable page. */
static nb_packed make_weights(nb_check *check, const block_case *c)
{
    nb_packed *packed;
    nb_error error;
    const nb_format *format = c->layout->format;
    const size_t row_bytes = c->n_cols / format->block_size * format->block_bytes;
    uint8_t *rows = nb_calloc(NB_ROWS, row_bytes);
    if (rows == NULL || nb_packed_create(&c->quantizer, c->n_rows, c->n_cols, &packed, &error) != NB_OK) {
        fprintf(stderr, "check-kernels: %s cannot be packed\n", format->name);
        exit(1);
    }
    const int codes = !c->extreme ? -1 : nb_check_below(check, 2) ? 0xff : 0;
    for (size_t g = 0; g < packed->n_row_groups; g++) {
        for (size_t i = 0; i < NB_ROWS * row_bytes; i += format->block_bytes)
            fill_block(check, c->layout, c->scales, codes, rows + i);
        nb_packed_set_blocks(packed, g, rows, row_bytes);
    }
    nb_packed w = *packed;
    const size_t code_bytes = w.n_row_groups * w.row_group_bytes, scale_bytes = w.n_row_groups * w.record_stride;
    w.codes = memcpy(nb_check_input(check, code_bytes), packed->codes, code_bytes);
    w.scales = memcpy(nb_check_input(check, scale_bytes), packed->scales, scale_bytes);
    w.zeros = memcpy(nb_check_input(check, NB_ROWS), packed->zeros, NB_ROWS);
    nb_packed_destroy(&packed);
    free(rows);
    return w;
}

static nb_matmul_fn *kernel_of(const nb_kernels *kernels, const block_case *c)
{
    return (c->quantizer.activations == NB_ACTIVATIONS_F32 ? kernels->matmul_block_f32
                                                           : kernels->matmul_block)[c->layout->id];
}

static void run_case(nb_check *check, const block_case *c, nb_matmul_fn *kernel)
{
    const bool int8 = c->quantizer.activations == NB_ACTIVATIONS_INT8;
    nb_check_case(check, "%zu rows, %zu columns, %zu tokens, scales %d, acts %d%s", c->n_rows, c->n_cols, c->n_tokens,
                  c->scales, (int)c->acts, c->extreme ? " extreme" : "");
    nb_packed w = make_weights(check, c);
    const size_t stride = c->n_cols + nb_check_below(check, 2) * 5, y_stride = c->n_rows + nb_check_below(check, 2) * 3;
    const size_t n = (c->n_tokens - 1) * stride + c->n_cols;
    float *x = nb_check_input(check, n * sizeof *x);
    nb_check_fill(check, x, n, c->acts);
    for (size_t i = 0; c->extreme && i < n; i++) /* all -127 or all 127 */
        x[i] = x[0] < 0.0f ? -127.0f : 127.0f;
    const nb_acts want = nb_check_acts(check, check->reference, x, c->n_tokens, c->n_cols, stride, int8);
    const nb_acts got = nb_check_acts(check, check->level, x, c->n_tokens, c->n_cols, stride, int8);
    const size_t begin = nb_check_below(check, 3) == 0 ? nb_check_below(check, w.n_row_groups) : 0;
    const size_t end = begin + 1 + nb_check_below(check, w.n_row_groups - begin);

    nb_check_output y = nb_check_output_create(check, ((c->n_tokens - 1) * y_stride + c->n_rows) * sizeof(float));
    kernel_of(check->reference, c)(&w, begin, end, &want, y.want, y_stride);
    kernel(&w, begin, end, &got, y.got, y_stride);
    nb_check_same(check, &y);

    /* a token alone gives the bits that it gives among others */
    const size_t t = nb_check_below(check, c->n_tokens);
    const nb_acts alone = nb_check_one_token(&got, t);
    kernel(&w, begin, end, &alone, (float *)y.got + t * y_stride, y_stride);
    nb_check_same(check, &y);
}

static void check_format(nb_check *check, nb_block_id id, nb_activations activations)
{
    const nb_block_layout *layout = nb_block_layout_at(id);
    static char name[32]; /* the harness keeps it until the next */
    snprintf(name, sizeof name, "matmul_%s%s", layout->format->name, activations == NB_ACTIVATIONS_F32 ? "_f32" : "");
    if (!nb_check_begin(check, name))
        return;
    for (size_t i = 0; i < N_CASES; i++) {
        const block_case c = make_case(check, layout, activations, i);
        run_case(check, &c, kernel_of(check->level, &c));
    }
    nb_check_end(check);
}

/* The sums of halves, which only sub-blocks of 16 read. */
static void check_halves(nb_check *check)
{
    if (!nb_check_begin(check, "quantize_acts_halves"))
        return;
    for (size_t i = 0; i < 200; i++) {
        const size_t n = 1 + nb_check_below(check, 100), n_blocks = nb_div_up(n, NB_BLOCK);
        const nb_fill fill = nb_check_any_fill(check);
        nb_check_case(check, "%zu columns, values %d", n, (int)fill);
        float *x = nb_check_input(check, n * sizeof *x);
        nb_check_fill(check, x, n, fill);
        nb_check_output blocks = nb_check_output_create(check, n_blocks * sizeof(nb_act_block));
        int16_t *wide = nb_check_input(check, n_blocks * NB_BLOCK * sizeof *wide);
        check->reference->quantize_acts(x, n, blocks.want, NULL);
        check->level->quantize_acts(x, n, blocks.got, check->level->wants_wide ? wide : NULL);
        nb_check_same(check, &blocks);
    }
    nb_check_end(check);
}

void nb_check_blocks(nb_check *check)
{
    check_halves(check);
    for (int id = 0; id < NB_BLOCK_IDS; id++) {
        check_format(check, (nb_block_id)id, NB_ACTIVATIONS_INT8);
        check_format(check, (nb_block_id)id, NB_ACTIVATIONS_F32);
    }
}

/* --- broken kernels must be caught --- */

static nb_matmul_fn *healthy;

/* One sub-block's scale, of the last row group. */
static void takes_a_wrong_scale(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y, size_t y_stride)
{
    nb_packed other = *w;
    uint8_t *records = malloc(w->n_row_groups * w->record_stride);
    if (records == NULL)
        return;
    memcpy(records, w->scales, w->n_row_groups * w->record_stride);
    for (size_t i = 0; i < NB_ROWS; i++) /* the last piece of the last record */
        records[end * w->record_stride - NB_ROWS + i] ^= 0x11;
    other.scales = records;
    healthy(&other, begin, end, x, y, y_stride);
    free(records);
}

/* The second half of a block with the first half's sum. */
static void mixes_up_halves(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y, size_t y_stride)
{
    for (size_t b = 0; b < x->n_tokens * x->n_blocks; b++)
        for (size_t k = 0; k < NB_BLOCK / 2; k++)
            x->blocks[b].q[k] ^= x->blocks[b].q[k + NB_BLOCK / 2];
    healthy(w, begin, end, x, y, y_stride);
}

bool nb_check_catches_broken_blocks(nb_check *check)
{
    nb_matmul_fn *const broken[] = {takes_a_wrong_scale, mixes_up_halves};
    bool caught = true;
    for (int id = 0; id < NB_BLOCK_IDS; id++)
        for (size_t i = 0; i < 2; i++) {
            nb_check trial = *check;
            trial.quiet = true;
            if (!nb_check_begin(&trial, "broken"))
                continue;
            for (size_t n = 0; n < 12; n++) {
                const block_case c = make_case(&trial, nb_block_layout_at((nb_block_id)id), NB_ACTIVATIONS_INT8, n);
                healthy = kernel_of(check->reference, &c);
                run_case(&trial, &c, broken[i]);
            }
            caught = caught && trial.n_bad > 0;
        }
    return caught;
}
