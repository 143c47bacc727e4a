#include "kernels/packed.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* A row group's codes start on a cache line, so that the kernels' full-width loads never straddle one. */
enum { ALIGNMENT = 64, QUADS = NB_BLOCK / 4, QUAD_CODES = NB_ROWS * 4 };

static bool is_int(const nb_packed *packed)
{
    return packed->quantizer.format->kind == NB_FORMAT_INT;
}
static unsigned bits_of(const nb_packed *packed)
{
    return packed->quantizer.format->bits;
}
static bool is_table(const nb_packed *packed)
{
    return packed->quantizer.format->kind == NB_FORMAT_TABLE;
}
static bool is_block(const nb_packed *packed)
{
    return packed->layout != NULL;
}
static bool has_zeros(const nb_packed *packed)
{
    return packed->quantizer.scheme == NB_SCHEME_ZEROPOINT;
}

/* --- create and destroy --- */

/* Fills in the strides and counts (INT's are TABLE's too); false if a size does not fit. */
static bool lay_out_float(nb_packed *packed)
{
    size_t bytes;
    if (!nb_mul_size(packed->n_cols, NB_ROWS * (bits_of(packed) / 8), &bytes) ||
        !nb_add_size(bytes, ALIGNMENT - 1, &bytes))
        return false;
    packed->row_group_bytes = bytes / ALIGNMENT * ALIGNMENT;
    return true;
}

static bool lay_out_int(nb_packed *packed)
{
    const nb_quantizer *quantizer = &packed->quantizer;
    packed->n_blocks = nb_div_up(packed->n_cols, NB_BLOCK);
    if (!nb_mul_size(packed->n_blocks, 64 * bits_of(packed), &packed->row_group_bytes))
        return false;
    packed->blocks_per_scale =
        quantizer->granularity == NB_PER_GROUP ? quantizer->group / NB_BLOCK : packed->n_blocks;
    packed->n_scales = nb_div_up(packed->n_blocks, packed->blocks_per_scale);
    packed->scale_stride = quantizer->granularity == NB_PER_TENSOR ? 0 : NB_ROWS * packed->n_scales;
    packed->zero_stride = has_zeros(packed) ? packed->scale_stride : 0;
    return true;
}

/* n_cols is a multiple of the block. The fields of INT are there too, for the formats that are its kernels'. */
static bool lay_out_blocks(nb_packed *packed)
{
    const nb_block_layout *layout = packed->layout;
    const size_t n_subs = layout->format->block_size / layout->sub_block;
    const size_t n_f16 = (size_t)nb_block_has_f16(layout) + nb_block_has_min(layout);
    packed->n_blocks = packed->n_cols / NB_BLOCK;
    packed->blocks_per_scale = 1;
    packed->n_scales = packed->n_blocks;
    packed->record_bytes = NB_ROWS * (n_f16 * sizeof(uint16_t) + n_subs * nb_block_pieces_each(layout));
    packed->scale_stride = NB_ROWS * packed->n_scales;
    return nb_mul_size(packed->n_blocks, 64 * bits_of(packed), &packed->row_group_bytes) &&
           nb_mul_size(packed->n_cols / layout->format->block_size, packed->record_bytes, &packed->record_stride);
}

static size_t n_nested(const nb_packed *packed)
{
    return nb_n_nested(packed->n_rows * packed->n_scales);
}

/* The codes are more bytes than the scales, so nothing overflows. */
static bool allocate_table_scales(nb_packed *packed, size_t *n_bytes)
{
    const bool twice = packed->quantizer.double_scales;
    const size_t n = packed->n_row_groups * packed->scale_stride, n_floats = twice ? n_nested(packed) : n;
    packed->scales = nb_aligned_calloc(n_floats, sizeof(float));
    packed->scale_codes = twice ? nb_aligned_calloc(n, 1) : NULL;
    *n_bytes = n_floats * sizeof(float) + (twice ? n + sizeof packed->scale_offset : 0);
    return packed->scales != NULL && (packed->scale_codes != NULL || !twice);
}

static bool allocate(nb_packed *packed)
{
    size_t code_bytes, scales = 0, zeros = 0, scale_bytes = 0;
    if (!nb_mul_size(packed->n_row_groups, packed->row_group_bytes, &code_bytes))
        return false;
    packed->codes = nb_aligned_calloc(code_bytes, 1);
    if (packed->codes == NULL)
        return false;
    if (is_int(packed)) {
        size_t element = packed->quantizer.scales_f32 ? sizeof(float) : sizeof(uint16_t);
        scales = packed->scale_stride == 0 ? NB_ROWS : packed->n_row_groups * packed->scale_stride;
        zeros = packed->zero_stride == 0 ? NB_ROWS : packed->n_row_groups * packed->zero_stride;
        scale_bytes = scales * element; /* smaller than the codes, so it cannot overflow */
        packed->scales = nb_aligned_calloc(scale_bytes, 1);
        packed->zeros = nb_aligned_calloc(zeros, 1);
        if (packed->scales == NULL || packed->zeros == NULL)
            return false;
    } else if (is_block(packed)) {
        if (!nb_mul_size(packed->n_row_groups, packed->record_stride, &scale_bytes))
            return false;
        zeros = NB_ROWS;
        packed->scales = nb_aligned_calloc(scale_bytes, 1);
        packed->zeros = nb_aligned_calloc(zeros, 1);
        if (packed->scales == NULL || packed->zeros == NULL)
            return false;
    }
    if (is_table(packed) && !allocate_table_scales(packed, &scale_bytes))
        return false;
    packed->n_bytes = code_bytes + scale_bytes + zeros;
    return true;
}

/* Rows of padding never get a zero point of their own. Codes need nothing: nb_packed_set_int writes all of a
 * row group's, its padding too. */
static void fill_zero_points(nb_packed *packed)
{
    memset(packed->zeros, 1 << (bits_of(packed) - 1),
           packed->zero_stride == 0 ? (size_t)NB_ROWS : packed->n_row_groups * packed->zero_stride);
}

nb_status nb_packed_create(const nb_quantizer *quantizer, size_t n_rows, size_t n_cols, nb_packed **out,
                           nb_error *error)
{
    *out = NULL;
    nb_status status = nb_quantizer_check(quantizer, error);
    if (status != NB_OK)
        return status;
    if (n_rows == 0 || n_cols == 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "a matrix of %zu rows and %zu columns has no weights to pack",
                       n_rows, n_cols);
    const nb_format *format = quantizer->format;
    const nb_block_layout *layout = nb_block_layout_of(format);
    if (format->kind == NB_FORMAT_BLOCK && (layout == NULL || n_cols % format->block_size != 0))
        return layout == NULL
                   ? nb_fail(error, NB_ERR_UNSUPPORTED, "%s cannot be computed with yet; try q4_k", format->name)
                   : nb_fail(error, NB_ERR_ARGUMENT,
                             "%s packs %u weights to a block, and %zu columns are no multiple of that; try %s",
                             format->name, (unsigned)format->block_size, n_cols,
                             n_cols % NB_BLOCK == 0 ? "q4_0, whose blocks have 32" : "int4 or int8, which take any");
    nb_packed *packed = nb_calloc(1, sizeof *packed);
    if (packed == NULL)
        return nb_fail(error, NB_ERR_MEMORY, "not enough memory for a packed matrix; close other programs");
    *packed = (nb_packed){.quantizer = *quantizer,
                          .n_rows = n_rows,
                          .n_cols = n_cols,
                          .n_row_groups = nb_div_up(n_rows, NB_ROWS),
                          .layout = layout,
                          .tensor_scale = 1.0f};
    if (!(is_int(packed) || is_table(packed) ? lay_out_int(packed)
          : is_block(packed)                 ? lay_out_blocks(packed)
                                             : lay_out_float(packed)) ||
        !allocate(packed)) {
        nb_packed_destroy(&packed);
        return nb_fail(error, NB_ERR_MEMORY,
                       "not enough memory to pack a matrix of %zu rows and %zu columns as %s; try fewer bits",
                       n_rows, n_cols, quantizer->format->name);
    }
    if (is_int(packed))
        fill_zero_points(packed);
    if (is_block(packed))
        memset(packed->zeros, layout->zero, NB_ROWS);
    *out = packed;
    return NB_OK;
}

void nb_packed_destroy(nb_packed **packed)
{
    if (*packed == NULL)
        return;
    nb_aligned_free((*packed)->codes);
    nb_aligned_free((*packed)->scales);
    nb_aligned_free((*packed)->zeros);
    nb_aligned_free((*packed)->scale_codes);
    nb_packed_destroy(&(*packed)->outliers);
    free((*packed)->outlier_columns);
    free(*packed);
    *packed = NULL;
}

nb_status nb_packed_add_outliers(nb_packed *packed, const uint32_t *columns, size_t n, nb_error *error)
{
    const nb_quantizer f16 = {.format = &nb_format_f16};
    packed->outlier_columns = nb_calloc(n, sizeof *packed->outlier_columns);
    if (packed->outlier_columns == NULL)
        return nb_fail(error, NB_ERR_MEMORY, "not enough memory for a list of %zu columns", n);
    memcpy(packed->outlier_columns, columns, n * sizeof *columns);
    nb_status status = nb_packed_create(&f16, packed->n_rows, n, &packed->outliers, error);
    if (status == NB_OK)
        packed->n_bytes += packed->outliers->n_bytes + n * sizeof *columns;
    return status;
}

/* --- INT: a block's 512 codes, quad after quad, to bit planes and back --- */

typedef struct {
    unsigned bits;  /* of a code that this plane holds: 8, 4, 2 or 1 */
    unsigned shift; /* where they sit in the code */
    size_t offset;  /* of the plane in its block */
} plane;

static int planes_of(unsigned bits, plane planes[3])
{
    int n = 0;
    unsigned shift = 0;
    size_t offset = 0;
    for (unsigned width = 8; width > 0; width /= 2)
        if (bits == 8 ? width == 8 : (bits & width) != 0) {
            planes[n++] = (plane){width, shift, offset};
            shift += width;
            offset += 64 * width;
        }
    return n;
}

static void pack_block(unsigned bits, uint8_t codes[QUADS][QUAD_CODES], uint8_t *block)
{
    plane planes[3];
    int n_planes = planes_of(bits, planes);
    for (int p = 0; p < n_planes; p++) {
        unsigned width = planes[p].bits, mask = (1u << width) - 1;
        for (unsigned line = 0; line < width; line++) {
            uint8_t *out = block + planes[p].offset + line * QUAD_CODES;
            for (unsigned i = 0; i < QUAD_CODES; i++) {
                unsigned byte = 0;
                for (unsigned part = 0; part * width < 8; part++)
                    byte |= (codes[line + part * width][i] >> planes[p].shift & mask) << part * width;
                out[i] = (uint8_t)byte;
            }
        }
    }
}

/* Row r's 32 codes of a block. */
static void unpack_row(unsigned bits, const uint8_t *block, size_t r, uint8_t codes[NB_BLOCK])
{
    plane planes[3];
    int n_planes = planes_of(bits, planes);
    memset(codes, 0, NB_BLOCK);
    for (int p = 0; p < n_planes; p++) {
        const unsigned width = planes[p].bits;
        const uint32_t mask = ((1u << width) - 1) * 0x01010101u;
        for (unsigned quad = 0; quad < QUADS; quad++) { /* four codes at a time, a byte each */
            uint32_t bytes, sum;
            memcpy(&bytes, block + planes[p].offset + quad % width * QUAD_CODES + 4 * r, sizeof bytes);
            memcpy(&sum, codes + 4 * quad, sizeof sum);
            sum |= (bytes >> (quad / width * width) & mask) << planes[p].shift;
            memcpy(codes + 4 * quad, &sum, sizeof sum);
        }
    }
}

static size_t rows_in(const nb_packed *packed, size_t row_group)
{
    return nb_min_size(NB_ROWS, packed->n_rows - row_group * NB_ROWS);
}

static uint8_t zero_at(const nb_packed *packed, size_t row_group, size_t scale_group, size_t row)
{
    if (!has_zeros(packed))
        return packed->zeros[row];
    return packed->zeros[row_group * packed->zero_stride + scale_group * NB_ROWS + row];
}

static float scale_at(const nb_packed *packed, size_t row_group, size_t scale_group, size_t row)
{
    size_t i = row_group * packed->scale_stride + scale_group * NB_ROWS + row;
    return packed->quantizer.scales_f32 ? ((const float *)packed->scales)[i]
                                        : nb_f32_from_f16(((const uint16_t *)packed->scales)[i]);
}

/* Where row r's scales and zero points stand in the caller's arrays. PER_TENSOR has one of each, the same
 * in all rows, so row 0's stand for all 16. */
static size_t source_row(const nb_packed *packed, size_t r)
{
    return packed->scale_stride == 0 ? 0 : r;
}

static void set_scales(nb_packed *packed, size_t row_group, const float *scales, const uint8_t *zeros)
{
    bool shared = packed->scale_stride == 0;
    if (shared && row_group != 0)
        return; /* other threads may be setting other row groups */
    size_t n_rows = shared ? NB_ROWS : rows_in(packed, row_group);
    for (size_t g = 0; g < packed->n_scales; g++)
        for (size_t r = 0; r < n_rows; r++) {
            size_t from = source_row(packed, r) * packed->n_scales + g;
            size_t to = row_group * packed->scale_stride + g * NB_ROWS + r;
            if (packed->quantizer.scales_f32)
                ((float *)packed->scales)[to] = scales[from];
            else
                ((uint16_t *)packed->scales)[to] = nb_f16_from_f32(scales[from]);
            if (has_zeros(packed))
                packed->zeros[to] = zeros[from];
        }
}

/* The code that stands for 0 in padding: what the kernels will subtract there. */
static uint8_t padding_code(const nb_packed *packed, size_t r, size_t n_rows, size_t scale_group,
                            const uint8_t *zeros)
{
    if (has_zeros(packed) && (r < n_rows || packed->scale_stride == 0))
        return zeros[source_row(packed, r) * packed->n_scales + scale_group];
    return (uint8_t)(1u << (bits_of(packed) - 1));
}

void nb_packed_set_int(nb_packed *packed, size_t row_group, const uint8_t *codes, const float *scales,
                       const uint8_t *zeros)
{
    unsigned bits = bits_of(packed);
    size_t n_rows = rows_in(packed, row_group), n_cols = packed->n_cols;
    set_scales(packed, row_group, scales, zeros);
    for (size_t b = 0; b < packed->n_blocks; b++) {
        uint8_t quads[QUADS][QUAD_CODES];
        size_t n = nb_min_size(NB_BLOCK, n_cols - b * NB_BLOCK);
        for (size_t r = 0; r < NB_ROWS; r++) {
            uint8_t row[NB_BLOCK];
            if (r >= n_rows || n < NB_BLOCK)
                memset(row, padding_code(packed, r, n_rows, b / packed->blocks_per_scale, zeros), sizeof row);
            if (r < n_rows)
                memcpy(row, codes + r * n_cols + b * NB_BLOCK, n);
            for (size_t quad = 0; quad < QUADS; quad++)
                memcpy(&quads[quad][4 * r], &row[4 * quad], 4);
        }
        pack_block(bits, quads, packed->codes + row_group * packed->row_group_bytes + b * 64 * bits);
    }
}

void nb_packed_get_int(const nb_packed *packed, size_t row_group, uint8_t *codes, float *scales,
                       uint8_t *zeros)
{
    unsigned bits = bits_of(packed);
    size_t n_rows = rows_in(packed, row_group), n_cols = packed->n_cols;
    const uint8_t *blocks = packed->codes + row_group * packed->row_group_bytes;
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t b = 0; b < packed->n_blocks; b++) {
            uint8_t row[NB_BLOCK];
            unpack_row(bits, blocks + b * 64 * bits, r, row);
            memcpy(codes + r * n_cols + b * NB_BLOCK, row, nb_min_size(NB_BLOCK, n_cols - b * NB_BLOCK));
        }
        for (size_t g = 0; g < packed->n_scales; g++) {
            scales[r * packed->n_scales + g] = scale_at(packed, row_group, g, r);
            if (zeros != NULL)
                zeros[r * packed->n_scales + g] = zero_at(packed, row_group, g, r);
        }
    }
}

/* --- TABLE --- */

void nb_packed_set_table(nb_packed *packed, size_t row_group, const uint8_t *codes, const float *scales)
{
    const size_t n_rows = rows_in(packed, row_group), n_cols = packed->n_cols, n_scales = packed->n_scales;
    const uint8_t none = (uint8_t)packed->quantizer.format->encode(0);
    float *to = (float *)packed->scales + row_group * packed->scale_stride;
    for (size_t r = 0; !packed->quantizer.double_scales && r < n_rows; r++)
        for (size_t g = 0; g < n_scales; g++)
            to[g * NB_ROWS + r] = scales[r * n_scales + g];
    for (size_t b = 0; b < packed->n_blocks; b++) {
        uint8_t quads[QUADS][QUAD_CODES];
        const size_t n = nb_min_size(NB_BLOCK, n_cols - b * NB_BLOCK);
        memset(quads, none, sizeof quads);
        for (size_t r = 0; r < n_rows; r++)
            for (size_t k = 0; k < n; k++)
                quads[k / 4][4 * r + k % 4] = codes[r * n_cols + b * NB_BLOCK + k];
        pack_block(4, quads, packed->codes + row_group * packed->row_group_bytes + b * 64 * 4);
    }
}

void nb_packed_get_table(const nb_packed *packed, size_t row_group, uint8_t *codes, float *scales)
{
    const size_t n_rows = rows_in(packed, row_group), n_cols = packed->n_cols;
    const uint8_t *blocks = packed->codes + row_group * packed->row_group_bytes;
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t b = 0; b < packed->n_blocks; b++) {
            uint8_t row[NB_BLOCK];
            unpack_row(4, blocks + b * 64 * 4, r, row);
            memcpy(codes + r * n_cols + b * NB_BLOCK, row, nb_min_size(NB_BLOCK, n_cols - b * NB_BLOCK));
        }
        for (size_t g = 0; g < packed->n_scales; g++)
            scales[r * packed->n_scales + g] = nb_packed_table_scale(packed, row_group * NB_ROWS + r, g);
    }
}

void nb_packed_set_nested(nb_packed *packed, const uint8_t *codes, const float *nested, float offset)
{
    memcpy(packed->scales, nested, n_nested(packed) * sizeof *nested);
    packed->scale_offset = offset;
    for (size_t row = 0; row < packed->n_rows; row++)
        for (size_t g = 0; g < packed->n_scales; g++)
            packed->scale_codes[row / NB_ROWS * packed->scale_stride + g * NB_ROWS + row % NB_ROWS] =
                codes[row * packed->n_scales + g];
}

float nb_packed_table_scale(const nb_packed *packed, size_t row, size_t scale_group)
{
    const size_t i = row / NB_ROWS * packed->scale_stride + scale_group * NB_ROWS + row % NB_ROWS;
    const float *scales = packed->scales;
    if (packed->scale_codes == NULL)
        return scales[i];
    return nb_nested_scale(packed->scale_codes[i], scales[(row * packed->n_scales + scale_group) / NB_NESTED_GROUP],
                           packed->scale_offset);
}

/* --- BLOCK: a file's blocks to bit planes and records, and back --- */

/* The record of a row group's block. */
static uint8_t *record_of(const nb_packed *packed, size_t row_group, size_t block)
{
    return (uint8_t *)packed->scales + row_group * packed->record_stride + block * packed->record_bytes;
}

/* Row r's part of a record to `parts`, or from it. */
static void copy_scales(const nb_packed *packed, uint8_t *record, size_t r, nb_block_parts *parts, bool to_record)
{
    const nb_block_layout *layout = packed->layout;
    const size_t n_subs = layout->format->block_size / layout->sub_block, each = nb_block_pieces_each(layout);
    uint16_t *const f16[2] = {nb_block_has_f16(layout) ? &parts->scale : NULL,
                              nb_block_has_min(layout) ? &parts->min : NULL};
    for (size_t i = 0; i < 2 && f16[i] != NULL; i++, record += NB_ROWS * sizeof(uint16_t)) {
        uint8_t *at = record + r * sizeof(uint16_t);
        memcpy(to_record ? (void *)at : (void *)f16[i], to_record ? (void *)f16[i] : (void *)at, sizeof(uint16_t));
    }
    for (size_t s = 0; s < n_subs; s++)
        for (size_t i = 0; i < each; i++, record += NB_ROWS) {
            if (to_record)
                record[r] = parts->pieces[i][s];
            else
                parts->pieces[i][s] = record[r];
        }
}

void nb_packed_set_blocks(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes)
{
    const nb_block_layout *layout = packed->layout;
    const size_t n_rows = rows_in(packed, row_group), n_cols = layout->format->block_size;
    const unsigned bits = bits_of(packed);
    uint8_t *out = packed->codes + row_group * packed->row_group_bytes;
    for (size_t block = 0; block < packed->n_cols / n_cols; block++) {
        uint8_t quads[256 / 4][QUAD_CODES] = {{0}};
        for (size_t r = 0; r < n_rows; r++) {
            nb_block_parts parts;
            nb_block_split(layout, (const uint8_t *)rows + r * row_bytes + block * layout->format->block_bytes, &parts);
            copy_scales(packed, record_of(packed, row_group, block), r, &parts, true);
            for (size_t quad = 0; quad < n_cols / 4; quad++)
                memcpy(&quads[quad][4 * r], &parts.codes[4 * quad], 4);
        }
        for (size_t b = 0; b < n_cols / NB_BLOCK; b++, out += 64 * bits)
            pack_block(bits, quads + b * QUADS, out);
    }
}

void nb_packed_get_blocks(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes)
{
    const nb_block_layout *layout = packed->layout;
    const size_t n_rows = rows_in(packed, row_group), n_cols = layout->format->block_size;
    const unsigned bits = bits_of(packed);
    const uint8_t *from = packed->codes + row_group * packed->row_group_bytes;
    for (size_t block = 0; block < packed->n_cols / n_cols; block++, from += n_cols / NB_BLOCK * 64 * bits)
        for (size_t r = 0; r < n_rows; r++) {
            nb_block_parts parts;
            copy_scales(packed, record_of(packed, row_group, block), r, &parts, false);
            for (size_t b = 0; b < n_cols / NB_BLOCK; b++)
                unpack_row(bits, from + b * 64 * bits, r, parts.codes + b * NB_BLOCK);
            nb_block_join(layout, &parts, (uint8_t *)rows + r * row_bytes + block * layout->format->block_bytes);
        }
}

/* --- FLOAT: rows to columns of 16 codes and back --- */

#define INTERLEAVE(NAME, TYPE)                                                                               \
    static void set_##NAME(size_t n_rows, size_t n_cols, const uint8_t *rows, size_t row_bytes,              \
                           uint8_t *columns)                                                                 \
    {                                                                                                        \
        for (size_t k = 0; k < n_cols; k++)                                                                  \
            for (size_t r = 0; r < n_rows; r++)                                                              \
                memcpy(columns + (k * NB_ROWS + r) * sizeof(TYPE), rows + r * row_bytes + k * sizeof(TYPE),  \
                       sizeof(TYPE));                                                                        \
    }                                                                                                        \
    static void get_##NAME(size_t n_rows, size_t n_cols, const uint8_t *columns, uint8_t *rows,              \
                           size_t row_bytes)                                                                 \
    {                                                                                                        \
        for (size_t k = 0; k < n_cols; k++)                                                                  \
            for (size_t r = 0; r < n_rows; r++)                                                              \
                memcpy(rows + r * row_bytes + k * sizeof(TYPE), columns + (k * NB_ROWS + r) * sizeof(TYPE),  \
                       sizeof(TYPE));                                                                        \
    }
INTERLEAVE(u8, uint8_t)
INTERLEAVE(u16, uint16_t)
INTERLEAVE(u32, uint32_t)

void nb_packed_set_float(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes)
{
    size_t n_rows = rows_in(packed, row_group);
    uint8_t *columns = packed->codes + row_group * packed->row_group_bytes;
    (bits_of(packed) == 8    ? set_u8
     : bits_of(packed) == 16 ? set_u16
                             : set_u32)(n_rows, packed->n_cols, rows, row_bytes, columns);
}

void nb_packed_get_float(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes)
{
    size_t n_rows = rows_in(packed, row_group);
    const uint8_t *columns = packed->codes + row_group * packed->row_group_bytes;
    (bits_of(packed) == 8    ? get_u8
     : bits_of(packed) == 16 ? get_u16
                             : get_u32)(n_rows, packed->n_cols, columns, rows, row_bytes);
}

void nb_packed_set_rows(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes)
{
    (is_block(packed) ? nb_packed_set_blocks : nb_packed_set_float)(packed, row_group, rows, row_bytes);
}

void nb_packed_get_rows(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes)
{
    (is_block(packed) ? nb_packed_get_blocks : nb_packed_get_float)(packed, row_group, rows, row_bytes);
}

/* --- what a row stands for --- */

static void decode_float_row(const nb_packed *packed, size_t row, float *out)
{
    const nb_format *format = packed->quantizer.format;
    size_t size = format->bits / 8;
    const uint8_t *code = packed->codes + row / NB_ROWS * packed->row_group_bytes + row % NB_ROWS * size;
    for (size_t k = 0; k < packed->n_cols; k++, code += NB_ROWS * size) {
        nb_format_decode_row(format, code, 1, &out[k]);
        if (format->needs_scale)
            out[k] *= packed->tensor_scale;
    }
}

static void decode_int_row(const nb_packed *packed, size_t row, float *out)
{
    unsigned bits = bits_of(packed);
    size_t row_group = row / NB_ROWS, r = row % NB_ROWS;
    const uint8_t *blocks = packed->codes + row_group * packed->row_group_bytes;
    for (size_t b = 0; b < packed->n_blocks; b++) {
        uint8_t codes[NB_BLOCK];
        size_t n = nb_min_size(NB_BLOCK, packed->n_cols - b * NB_BLOCK), g = b / packed->blocks_per_scale;
        float scale = scale_at(packed, row_group, g, r);
        int zero = zero_at(packed, row_group, g, r);
        unpack_row(bits, blocks + b * 64 * bits, r, codes);
        for (size_t k = 0; k < n; k++)
            out[b * NB_BLOCK + k] = scale * (float)(codes[k] - zero);
    }
    for (size_t i = 0; packed->outliers != NULL && i < packed->outliers->n_cols; i++) {
        const uint8_t *column = packed->outliers->codes + row_group * packed->outliers->row_group_bytes;
        nb_format_decode_row(&nb_format_f16, column + (i * NB_ROWS + r) * sizeof(uint16_t), 1,
                             &out[packed->outlier_columns[i]]);
    }
}

static void decode_table_row(const nb_packed *packed, size_t row, float *out)
{
    const float *levels = packed->quantizer.format->levels;
    const uint8_t *blocks = packed->codes + row / NB_ROWS * packed->row_group_bytes;
    for (size_t b = 0; b < packed->n_blocks; b++) {
        uint8_t codes[NB_BLOCK];
        const size_t n = nb_min_size(NB_BLOCK, packed->n_cols - b * NB_BLOCK);
        const float scale = nb_packed_table_scale(packed, row, b / packed->blocks_per_scale);
        unpack_row(4, blocks + b * 64 * 4, row % NB_ROWS, codes);
        for (size_t k = 0; k < n; k++)
            out[b * NB_BLOCK + k] = levels[codes[k]] * scale;
    }
}

static void decode_block_row(const nb_packed *packed, size_t row, float *out)
{
    const nb_block_layout *layout = packed->layout;
    const unsigned bits = bits_of(packed);
    const size_t row_group = row / NB_ROWS, r = row % NB_ROWS, per_sub = layout->sub_block;
    const uint8_t *codes = packed->codes + row_group * packed->row_group_bytes;
    for (size_t b = 0; b < packed->n_blocks; b++) {
        uint8_t u[NB_BLOCK];
        unpack_row(bits, codes + b * 64 * bits, r, u);
        for (size_t k = 0; k < NB_BLOCK; k += per_sub) {
            float scale, min;
            nb_packed_block_scale(packed, row, (b * NB_BLOCK + k) / per_sub, &scale, &min);
            for (size_t i = k; i < k + per_sub; i++) {
                out[b * NB_BLOCK + i] = scale * (float)nb_block_value(layout, u[i]);
                if (nb_block_has_min(layout))
                    out[b * NB_BLOCK + i] += min;
            }
        }
    }
}

void nb_packed_block_scale(const nb_packed *packed, size_t row, size_t sub_block, float *scale_w, float *min_w)
{
    const nb_block_layout *layout = packed->layout;
    const size_t n_subs = layout->format->block_size / layout->sub_block;
    nb_block_parts parts = {.scale = 0};
    copy_scales(packed, record_of(packed, row / NB_ROWS, sub_block / n_subs), row % NB_ROWS, &parts, false);
    nb_block_scale(layout, parts.scale, parts.min, parts.pieces[0][sub_block % n_subs],
                   parts.pieces[1][sub_block % n_subs], scale_w, min_w);
}

void nb_packed_decode_row(const nb_packed *packed, size_t row, float *out)
{
    if (is_block(packed))
        decode_block_row(packed, row, out);
    else if (is_int(packed))
        decode_int_row(packed, row, out);
    else if (is_table(packed))
        decode_table_row(packed, row, out);
    else
        decode_float_row(packed, row, out);
}
