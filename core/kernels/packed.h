/* Packed weights: what the matmul kernels read.
 *
 * Rows are taken 16 at a time (a row group; the last one is padded with zero weights), interleaved so
 * that each SIMD lane owns one row and walks the columns forwards, alone: one lane, one output.
 *
 *   FLOAT formats   for each column k: the 16 rows' codes, 4/2/1 bytes each. Columns are not padded.
 *   INT, N bits     columns in blocks of 32 (the last padded with codes that stand for 0). A block is
 *                   64*N bytes made of bit planes, the low bits of a code first: N=8 is one 8-bit plane;
 *                   otherwise a 4-bit plane if N >= 4, then a 2-bit one if N & 2, then a 1-bit one if
 *                   N & 1. A quad c is 64 codes: columns 4c..4c+3 of row 0, then of row 1, ... row 15.
 *                     8-bit plane: 8 lines of 64 bytes, line c = quad c
 *                     4-bit plane: 4 lines; line l holds quad l in the low nibbles, l+4 in the high
 *                     2-bit plane: 2 lines; line l holds quads l, l+2, l+4, l+6 from the low bits up
 *                     1-bit plane: 1 line; bit c of byte i is quad c's code i
 *
 *   BLOCK           codes in the same bit planes, taken out of the file's blocks; back into the same blocks, byte for
 *                   byte (only a tq1_0 byte that no encoder writes comes back as the one that means the same).
 *
 *   TABLE           codes in the 4-bit plane, as INT's.
 *
 * Scales, TABLE: per row group, per scale group, 16 f32, rows in order. Double quantization: as many bytes instead, and
 * one f32 for each NB_NESTED_GROUP of them, counted through the matrix row by row.
 *
 * Scales and zero points, INT: per row group, per scale group, 16 of each (f16 or f32; uint8), rows in order.
 * A scale group is `blocks_per_scale` blocks. PER_TENSOR keeps one such 16 for the whole matrix.
 *
 * Scales, BLOCK: per row group, per block of the file, a record: 16 d and, where the format has a minimum, 16 dmin (or
 * m) in f16; then per sub-block 16 bytes s and, in q4_k and q5_k, 16 bytes m. What is not there takes no room.
 * q4_0, q5_0 and q8_0 are thereby int4, int5 and int8 absmax/group:32, and their kernels are. */
#ifndef NB_KERNELS_PACKED_H
#define NB_KERNELS_PACKED_H

#include "formats/blocks.h"
#include "formats/tables.h"
#include "kernels/block_layout.h"

enum { NB_ROWS = 16 };

typedef struct nb_packed {
    nb_quantizer quantizer;
    size_t n_rows, n_cols;
    size_t n_row_groups;     /* of 16 rows */
    size_t n_blocks;         /* of 32 columns; not FLOAT */
    size_t row_group_bytes;  /* from one row group's codes to the next's */
    size_t blocks_per_scale; /* INT and TABLE */
    size_t n_scales;         /* INT and TABLE: scale groups in a row */
    size_t scale_stride;     /* INT and TABLE: from one row group's scales and zeros to the next's, in elements; 0 PER_TENSOR */
    const nb_block_layout *layout; /* BLOCK, else NULL */
    size_t record_bytes;     /* BLOCK */
    size_t record_stride;    /* BLOCK: from one row group's records to the next's, in bytes */
    uint8_t *codes;          /* 64-byte aligned */
    void *scales;            /* INT: uint16_t f16 or float; BLOCK: records; TABLE: float, one for each scale or nested */
    uint8_t *zeros;          /* INT: z + 2^(bits-1); for absmax a single shared 16 with stride 0 */
    size_t zero_stride;      /* INT: as scale_stride, for zeros; with absmax 0 and n_scales ignored */
    float tensor_scale;      /* f8: what decoded codes are multiplied by; else 1 */
    uint8_t *scale_codes;    /* TABLE with double quantization, else NULL */
    float scale_offset;      /* what is added to scales of scale_codes */
    struct nb_packed *outliers; /* INT: f16 [n_rows, n of them]; their codes stand for 0. NULL: there are none */
    uint32_t *outlier_columns;  /* which columns those are, ascending */
    size_t n_bytes;          /* all of the buffers above */
} nb_packed;

/* Allocates and zeroes the buffers for an [n_rows, n_cols] matrix. Every row group is then to be set; whoever sets
 * one sets its padding. */
nb_status nb_packed_create(const nb_quantizer *quantizer, size_t n_rows, size_t n_cols, nb_packed **out,
                           nb_error *error);
void nb_packed_destroy(nb_packed **packed);

/* One row group, INT. codes: [16][n_cols], already unsigned (u = q + 2^(bits-1)); scales, zeros:
 * [16][n_scales] (zeros may be NULL for absmax). Rows beyond n_rows are ignored. With f16 scales, the
 * values given must be f16-representable. Row groups may be packed from several threads at once. */
void nb_packed_set_int(nb_packed *packed, size_t row_group, const uint8_t *codes, const float *scales,
                       const uint8_t *zeros);
void nb_packed_get_int(const nb_packed *packed, size_t row_group, uint8_t *codes, float *scales, uint8_t *zeros);
/* Columns to be kept in f16 beside the codes (LLM.int8()): n of them, ascending. The caller sets w->outliers, and codes
 * of these columns that stand for 0. */
nb_status nb_packed_add_outliers(nb_packed *packed, const uint32_t *columns, size_t n, nb_error *error);
/* One row group, FLOAT. rows: the codes of its first row, row_bytes apart, in the packed format. */
void nb_packed_set_float(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes);
void nb_packed_get_float(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes);

/* One row group, BLOCK. rows: the blocks of its first row as in a file, row_bytes apart. */
void nb_packed_set_blocks(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes);
void nb_packed_get_blocks(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes);

/* One row group, TABLE: codes [16][n_cols]; scales [16][n_scales] (not looked at with double quantization). */
void nb_packed_set_table(nb_packed *packed, size_t row_group, const uint8_t *codes, const float *scales);
void nb_packed_get_table(const nb_packed *packed, size_t row_group, uint8_t *codes, float *scales);
/* With double quantization, of the whole matrix: [n_rows][n_scales] codes, their nested scales and offset. */
void nb_packed_set_nested(nb_packed *packed, const uint8_t *codes, const float *nested, float offset);
/* The scale of a row's scale group, TABLE. */
float nb_packed_table_scale(const nb_packed *packed, size_t row, size_t scale_group);

/* FLOAT or BLOCK: rows as in a file, FLOAT or BLOCK. */
void nb_packed_set_rows(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes);
void nb_packed_get_rows(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes);

/* scale_w and min_w of a row's sub-block. */
void nb_packed_block_scale(const nb_packed *packed, size_t row, size_t sub_block, float *scale_w, float *min_w);

/* The numbers that a row stands for: out[n_cols]. w = tensor_scale * decode(code), or scale * (u - z), level * scale, or of BLOCK what
 * its format's decode_row says. */
void nb_packed_decode_row(const nb_packed *packed, size_t row, float *out);

#endif
