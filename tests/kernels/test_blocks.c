/* Packing of block formats: every block comes back byte for byte, and stands for the numbers that its own decoder
 * says; what the kernels compute is held to the same numbers by arithmetic of its own. */
#include "base/memory.h"
#include "base/random.h"
#include "formats/blocks.h"
#include "kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 35, BLOCKS = 3 };

static nb_packed *create(const nb_format *format, size_t n_rows, size_t n_cols, nb_activations activations)
{
    const nb_quantizer quantizer = {.format = format, .activations = activations};
    nb_packed *packed;
    nb_error error;
    if (nb_packed_create(&quantizer, n_rows, n_cols, &packed, &error) != NB_OK)
        fail_msg("%s", error.text);
    return packed;
}

/* Random blocks; finite scales if they are to be multiplied. tq1_0's bytes are those that an encoder writes. */
static uint8_t *random_blocks(const nb_block_layout *layout, size_t n_blocks, bool finite, uint64_t seed)
{
    const nb_format *format = layout->format;
    uint8_t *blocks = nb_calloc(n_blocks, format->block_bytes);
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n_blocks * format->block_bytes; i++)
        blocks[i] = (uint8_t)nb_random_u64(&random);
    for (uint8_t *block = blocks; block < blocks + n_blocks * format->block_bytes; block += format->block_bytes) {
        if (finite && nb_block_has_f16(layout))
            block[layout->scale_offset + 1] = (block[layout->scale_offset + 1] & 0x83) | 0x20;
        if (finite && nb_block_has_min(layout))
            block[layout->min_offset + 1] = (block[layout->min_offset + 1] & 0x83) | 0x20;
        if (finite && layout->scales == NB_SCALES_E8M0)
            block[0] = 120 + block[0] % 8;
        for (size_t i = 0; layout->id == NB_TQ1_0 && i < 52; i++)
            block[i] = (uint8_t)(((i < 48 ? block[i] % 243 : block[i] % 81 * 3) * 256 + 242) / 243);
    }
    return blocks;
}

static void test_blocks_come_back(void **state)
{
    (void)state;
    for (int id = 0; id < NB_BLOCK_IDS; id++) {
        const nb_block_layout *layout = nb_block_layout_at((nb_block_id)id);
        const nb_format *format = layout->format;
        const size_t row_bytes = BLOCKS * format->block_bytes;
        uint8_t *blocks = random_blocks(layout, ROWS * BLOCKS, false, 7), *back = nb_calloc(ROWS, row_bytes);
        nb_packed *packed = create(format, ROWS, BLOCKS * (size_t)format->block_size, NB_ACTIVATIONS_DEFAULT);
        for (size_t g = 0; g < packed->n_row_groups; g++)
            nb_packed_set_blocks(packed, g, blocks + g * NB_ROWS * row_bytes, row_bytes);
        for (size_t g = 0; g < packed->n_row_groups; g++)
            nb_packed_get_blocks(packed, g, back + g * NB_ROWS * row_bytes, row_bytes);
        if (memcmp(blocks, back, ROWS * row_bytes) != 0)
            fail_msg("%s: blocks do not come back as they were", format->name);
        nb_packed_destroy(&packed);
        free(blocks);
        free(back);
    }
}

/* A tq1_0 byte means five digits; 13 of 256 are never written, and come back as those that are. */
static void test_odd_ternary_bytes_mean_the_same(void **state)
{
    (void)state;
    uint8_t blocks[NB_ROWS][54], back[NB_ROWS][54];
    float want[256], got[256];
    for (unsigned i = 0; i < NB_ROWS * 54; i++)
        blocks[i / 54][i % 54] = i % 54 < 52 ? (uint8_t)i : i % 54 == 52 ? 0 : 0x3c;
    nb_packed *packed = create(&nb_format_tq1_0, NB_ROWS, 256, NB_ACTIVATIONS_DEFAULT);
    nb_packed_set_blocks(packed, 0, blocks, 54);
    nb_packed_get_blocks(packed, 0, back, 54);
    for (size_t r = 0; r < NB_ROWS; r++) {
        nb_format_tq1_0.decode_row(blocks[r], 256, want);
        nb_format_tq1_0.decode_row(back[r], 256, got);
        assert_memory_equal(want, got, sizeof want);
    }
    nb_packed_destroy(&packed);
}

static bool same_number(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void test_rows_decode_as_the_format_says(void **state)
{
    (void)state;
    for (int id = 0; id < NB_BLOCK_IDS; id++) {
        const nb_block_layout *layout = nb_block_layout_at((nb_block_id)id);
        const nb_format *format = layout->format;
        const size_t row_bytes = BLOCKS * format->block_bytes, n_cols = BLOCKS * (size_t)format->block_size;
        uint8_t *blocks = random_blocks(layout, NB_ROWS * BLOCKS, false, 8);
        float *want = nb_calloc(n_cols, sizeof *want), *got = nb_calloc(n_cols, sizeof *got);
        nb_packed *packed = create(format, NB_ROWS, n_cols, NB_ACTIVATIONS_DEFAULT);
        nb_packed_set_blocks(packed, 0, blocks, row_bytes);
        for (size_t r = 0; r < NB_ROWS; r++) {
            format->decode_row(blocks + r * row_bytes, n_cols, want);
            nb_packed_decode_row(packed, r, got);
            for (size_t k = 0; k < n_cols; k++)
                if (!same_number(want[k], got[k]))
                    fail_msg("%s, row %zu, column %zu: %a, not %a", format->name, r, k, (double)got[k], (double)want[k]);
        }
        nb_packed_destroy(&packed);
        free(blocks);
        free(want);
        free(got);
    }
}

/* The definition against a sum in f64 over what the decoder says. */
static void test_products_are_those_of_the_decoded_numbers(void **state)
{
    (void)state;
    for (int id = 0; id < NB_BLOCK_IDS; id++)
        for (int f32 = 0; f32 < 2; f32++) {
            const nb_block_layout *layout = nb_block_layout_at((nb_block_id)id);
            const nb_format *format = layout->format;
            const size_t row_bytes = BLOCKS * format->block_bytes, n_cols = BLOCKS * (size_t)format->block_size;
            uint8_t *blocks = random_blocks(layout, NB_ROWS * BLOCKS, true, 9);
            float *x = nb_calloc(n_cols, sizeof *x), *w = nb_calloc(n_cols, sizeof *w), y[NB_ROWS];
            nb_act_block *quantized = nb_calloc(n_cols / NB_BLOCK, sizeof *quantized);
            nb_packed *packed = create(format, NB_ROWS, n_cols, f32 ? NB_ACTIVATIONS_F32 : NB_ACTIVATIONS_INT8);
            nb_packed_set_blocks(packed, 0, blocks, row_bytes);
            for (size_t k = 0; k < n_cols; k++)
                x[k] = (float)((int)(37 * k % 64) - 32) / 8.0f;
            nb_kernels_at(0)->quantize_acts(x, n_cols, quantized, NULL);
            for (size_t k = 0; k < n_cols && !f32; k++)
                x[k] = quantized[k / NB_BLOCK].scale * (float)quantized[k / NB_BLOCK].q[k % NB_BLOCK];
            const nb_acts acts = {.n_tokens = 1, .n_cols = n_cols, .f32 = x, .f32_stride = n_cols,
                                  .n_blocks = n_cols / NB_BLOCK, .blocks = quantized};
            (f32 ? nb_kernels_at(0)->matmul_block_f32 : nb_kernels_at(0)->matmul_block)[id](packed, 0, 1, &acts, y,
                                                                                          NB_ROWS);
            for (size_t r = 0; r < NB_ROWS; r++) {
                double sum = 0, size = 0;
                format->decode_row(blocks + r * row_bytes, n_cols, w);
                for (size_t k = 0; k < n_cols; k++) {
                    sum += (double)w[k] * x[k];
                    size += fabs((double)w[k] * x[k]);
                }
                if (!(fabs(sum - y[r]) <= 1e-5 * size))
                    fail_msg("%s, row %zu: %g, not %g", format->name, r, (double)y[r], sum);
            }
            nb_packed_destroy(&packed);
            free(blocks);
            free(x);
            free(w);
            free(quantized);
        }
}

static void test_tables_are_those_of_the_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(nb_block_value(nb_block_layout_at(NB_IQ4_XS), (unsigned)i), nb_iq4_table[i]);
        assert_int_equal(nb_block_value(nb_block_layout_at(NB_MXFP4), (unsigned)i), nb_e2m1_doubled[i]);
    }
}

static void test_sizes_are_what_the_bits_say(void **state)
{
    (void)state;
    static const struct {
        nb_block_id id;
        double bits; /* a weight, with the scales that are unpacked */
    } rows[] = {{NB_Q4_0, 4.5},     {NB_Q8_0, 8.5},    {NB_Q2_K, 2.625},  {NB_Q3_K, 3.5625},
                {NB_Q4_K, 4.625},   {NB_Q5_K, 5.625},  {NB_Q6_K, 6.5625}, {NB_IQ4_XS, 4.3125},
                {NB_TQ1_0, 2.0625}, {NB_MXFP4, 4.25},  {NB_NVFP4, 4.5}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        nb_packed *packed = create(nb_block_layout_at(rows[i].id)->format, 64, 512, NB_ACTIVATIONS_DEFAULT);
        assert_true((double)(packed->n_bytes - NB_ROWS) * 8 / (64 * 512) == rows[i].bits);
        nb_packed_destroy(&packed);
    }
}

static void test_odd_columns_are_refused(void **state)
{
    (void)state;
    const nb_quantizer quantizer = {.format = &nb_format_q4_k};
    nb_packed *packed;
    nb_error error;
    assert_int_equal(nb_packed_create(&quantizer, 16, 288, &packed, &error), NB_ERR_ARGUMENT);
    assert_null(packed);
    assert_non_null(strstr(error.text, "256"));
    assert_non_null(strstr(error.text, "288"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_come_back),
        cmocka_unit_test(test_odd_ternary_bytes_mean_the_same),
        cmocka_unit_test(test_rows_decode_as_the_format_says),
        cmocka_unit_test(test_products_are_those_of_the_decoded_numbers),
        cmocka_unit_test(test_tables_are_those_of_the_formats),
        cmocka_unit_test(test_sizes_are_what_the_bits_say),
        cmocka_unit_test(test_odd_columns_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
