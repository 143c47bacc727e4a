/* The definition of every matmul: plain C that a reader can follow, never optimised. A SIMD level performs
 * the same IEEE-754 operations in the same order on each output and must give the same bits. */
#include "base/memory.h"
#include "kernels/levels.h"

#include <math.h>
#include <string.h>

/* x86 and ARM make different NaNs; what leaves a kernel is this one. */
static float canonical(float value)
{
    const uint32_t nan_bits = 0x7fc00000;
    if (value != value)
        memcpy(&value, &nan_bits, sizeof value);
    return value;
}

static size_t last_row(const nb_packed *w, size_t group_end)
{
    return nb_min_size(w->n_rows, group_end * NB_ROWS);
}

/* --- FLOAT: acc = fma(decode(w), x, acc), columns forwards --- */

static void matmul_float_from(bool first, const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x,
                              float *y, size_t y_stride)
{
    const nb_format *format = w->quantizer.format;
    const size_t code_bytes = format->bits / 8;
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t row = group_begin * NB_ROWS; row < last_row(w, group_end); row++) {
            const uint8_t *code = w->codes + row / NB_ROWS * w->row_group_bytes + row % NB_ROWS * code_bytes;
            float acc = first ? 0.0f : y[t * y_stride + row];
            for (size_t k = 0; k < w->n_cols; k++, code += NB_ROWS * code_bytes) {
                uint32_t bits = 0;
                memcpy(&bits, code, code_bytes);
                acc = fmaf(format->decode(bits), x->f32[t * x->f32_stride + k], acc);
            }
            if (format->needs_scale)
                acc = w->tensor_scale * acc;
            y[t * y_stride + row] = canonical(acc);
        }
}

static void matmul_float(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x, float *y,
                         size_t y_stride)
{
    matmul_float_from(true, w, group_begin, group_end, x, y, y_stride);
}

/* The columns of LLM.int8() that stay f16, on top of what y holds. */
static void add_outliers(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x, float *y,
                         size_t y_stride)
{
    if (w->outliers == NULL)
        return;
    const nb_acts outliers = {.n_tokens = x->n_tokens,
                              .n_cols = w->outliers->n_cols,
                              .f32 = x->outliers,
                              .f32_stride = x->outlier_stride};
    matmul_float_from(false, w->outliers, group_begin, group_end, &outliers, y, y_stride);
}

/* --- INT: codes, scales and zero points as packed.h lays them out --- */

/* The code of column 32 b + k in row r of a row group whose codes start at `codes`. */
static int code_at(unsigned bits, const uint8_t *codes, size_t b, size_t k, size_t r)
{
    const uint8_t *plane = codes + b * 64 * bits;
    size_t quad = k / 4, i = 4 * r + k % 4;
    if (bits == 8)
        return plane[quad * 64 + i];
    int code = 0, low = 0;
    for (unsigned width = 4; width > 0; width /= 2)
        if (bits & width) {
            code |= (plane[quad % width * 64 + i] >> quad / width * width & ((1 << width) - 1)) << low;
            low += (int)width;
            plane += 64 * width;
        }
    return code;
}

static float scale_at(const nb_packed *w, size_t row, size_t b)
{
    size_t i = row / NB_ROWS * w->scale_stride + b / w->blocks_per_scale * NB_ROWS + row % NB_ROWS;
    return w->quantizer.scales_f32 ? ((const float *)w->scales)[i]
                                   : nb_f32_from_f16(((const uint16_t *)w->scales)[i]);
}

static int zero_at(const nb_packed *w, size_t row, size_t b)
{
    if (w->quantizer.scheme == NB_SCHEME_ABSMAX)
        return w->zeros[row % NB_ROWS];
    return w->zeros[row / NB_ROWS * w->zero_stride + b / w->blocks_per_scale * NB_ROWS + row % NB_ROWS];
}

/* A block's sum is exact in int32: 32 * 255 * 127. */
static void matmul_int(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x, float *y,
                       size_t y_stride)
{
    const unsigned bits = w->quantizer.format->bits;
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t row = group_begin * NB_ROWS; row < last_row(w, group_end); row++) {
            const uint8_t *codes = w->codes + row / NB_ROWS * w->row_group_bytes;
            float acc = 0.0f;
            for (size_t b = 0; b < w->n_blocks; b++) {
                const nb_act_block *block = &x->blocks[t * x->n_blocks + b];
                int zero = zero_at(w, row, b);
                int32_t sum = 0;
                for (size_t k = 0; k < NB_BLOCK; k++)
                    sum += (code_at(bits, codes, b, k, row % NB_ROWS) - zero) * block->q[k];
                acc = fmaf(scale_at(w, row, b) * block->scale, (float)sum, acc);
            }
            y[t * y_stride + row] = canonical(acc);
        }
    add_outliers(w, group_begin, group_end, x, y, y_stride);
}

static void matmul_int_f32(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x,
                           float *y, size_t y_stride)
{
    const unsigned bits = w->quantizer.format->bits;
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t row = group_begin * NB_ROWS; row < last_row(w, group_end); row++) {
            const uint8_t *codes = w->codes + row / NB_ROWS * w->row_group_bytes;
            float acc = 0.0f;
            for (size_t k = 0; k < w->n_cols; k++) {
                size_t b = k / NB_BLOCK;
                int code = code_at(bits, codes, b, k % NB_BLOCK, row % NB_ROWS) - zero_at(w, row, b);
                acc = fmaf(scale_at(w, row, b) * (float)code, x->f32[t * x->f32_stride + k], acc);
            }
            y[t * y_stride + row] = canonical(acc);
        }
}

/* --- TABLE: w = level * scale --- */

static void matmul_table(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x, float *y,
                         size_t y_stride)
{
    const float *levels = w->quantizer.format->levels;
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t row = group_begin * NB_ROWS; row < last_row(w, group_end); row++) {
            const uint8_t *codes = w->codes + row / NB_ROWS * w->row_group_bytes;
            float acc = 0.0f, scale = 0.0f;
            for (size_t k = 0; k < w->n_cols; k++) {
                if (k % NB_BLOCK == 0)
                    scale = nb_packed_table_scale(w, row, k / NB_BLOCK / w->blocks_per_scale);
                const int code = code_at(4, codes, k / NB_BLOCK, k % NB_BLOCK, row % NB_ROWS);
                acc = fmaf(levels[code] * scale, x->f32[t * x->f32_stride + k], acc);
            }
            y[t * y_stride + row] = canonical(acc);
        }
}

/* --- BLOCK: scale_w, min_w and u as block_layout.h has them --- */

/* A sub-block's sum is exact in int32. q8_0, q5_0 and q4_0 are the integers' arithmetic. */
static void matmul_block(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x, float *y,
                         size_t y_stride)
{
    const nb_block_layout *layout = w->layout;
    const unsigned bits = layout->format->bits, per_sub = layout->sub_block;
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t row = group_begin * NB_ROWS; row < last_row(w, group_end); row++) {
            const uint8_t *codes = w->codes + row / NB_ROWS * w->row_group_bytes;
            float acc = 0.0f;
            for (size_t k = 0; k < w->n_cols; k += per_sub) {
                const nb_act_block *block = &x->blocks[t * x->n_blocks + k / NB_BLOCK];
                int32_t sum = 0, sum_of_q = 0;
                for (size_t i = k % NB_BLOCK; i < k % NB_BLOCK + per_sub; i++) {
                    sum += nb_block_value(layout, (unsigned)code_at(bits, codes, k / NB_BLOCK, i, row % NB_ROWS)) *
                           block->q[i];
                    sum_of_q += block->q[i];
                }
                float scale_w, min_w;
                nb_packed_block_scale(w, row, k / per_sub, &scale_w, &min_w);
                acc = fmaf(scale_w * block->scale, (float)sum, acc);
                if (nb_block_has_min(layout))
                    acc = fmaf(min_w, block->scale * (float)sum_of_q, acc);
            }
            y[t * y_stride + row] = canonical(acc);
        }
}

static void matmul_block_f32(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x, float *y,
                             size_t y_stride)
{
    const nb_block_layout *layout = w->layout;
    const unsigned bits = layout->format->bits;
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t row = group_begin * NB_ROWS; row < last_row(w, group_end); row++) {
            const uint8_t *codes = w->codes + row / NB_ROWS * w->row_group_bytes;
            float acc = 0.0f, scale_w = 0.0f, min_w = 0.0f;
            for (size_t k = 0; k < w->n_cols; k++) {
                if (k % layout->sub_block == 0)
                    nb_packed_block_scale(w, row, k / layout->sub_block, &scale_w, &min_w);
                const int code = code_at(bits, codes, k / NB_BLOCK, k % NB_BLOCK, row % NB_ROWS);
                float weight = scale_w * (float)nb_block_value(layout, (unsigned)code);
                if (nb_block_has_min(layout))
                    weight += min_w;
                acc = fmaf(weight, x->f32[t * x->f32_stride + k], acc);
            }
            y[t * y_stride + row] = canonical(acc);
        }
}

void nb_kernels_fill_matmul_scalar(nb_kernels *k)
{
    k->matmul_f32 = k->matmul_f16 = k->matmul_bf16 = matmul_float;
    k->matmul_f8_e4m3 = k->matmul_f8_e5m2 = matmul_float;
    for (unsigned bits = 2; bits <= 8; bits++) {
        k->matmul_int[bits] = matmul_int;
        k->matmul_int_f32[bits] = matmul_int_f32;
    }
    for (int id = 0; id < NB_BLOCK_IDS; id++) {
        k->matmul_block[id] = matmul_block;
        k->matmul_block_f32[id] = matmul_block_f32;
    }
    k->matmul_table = matmul_table;
    k->wants_wide = false;
    k->row_group_grain = 1;
}
