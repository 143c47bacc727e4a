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
 * Scales and zero points, INT: per row group, per scale group, 16 of each (f16 or f32; uint8), rows in order.
 * A scale group is `blocks_per_scale` blocks. PER_TENSOR keeps one such 16 for the whole matrix.
 *
 * Scales, BLOCK: per row group, per block of the file, a record: 16 d and, where the format has a minimum, 16 dmin (or
 * m) in f16; then per sub-block 16 bytes s and, in q4_k and q5_k, 16 bytes m. What is not there takes no room.
 * q4_0, q5_0 and q8_0 are thereby int4, int5 and int8 absmax/group:32, and their kernels are. */
#ifndef NB_KERNELS_PACKED_H
#define NB_KERNELS_PACKED_H

#include "formats/blocks.h"
#include "kernels/block_layout.h"

enum { NB_ROWS = 16 };

typedef struct nb_packed {
    nb_quantizer quantizer;
    size_t n_rows, n_cols;
    size_t n_row_groups;     /* of 16 rows */
    size_t n_blocks;         /* INT and BLOCK: of 32 columns */
    size_t row_group_bytes;  /* from one row group's codes to the next's */
    size_t blocks_per_scale; /* INT */
    size_t n_scales;         /* INT: scale groups in a row */
    size_t scale_stride;     /* INT: from one row group's scales and zeros to the next's, in elements; 0 PER_TENSOR */
    const nb_block_layout *layout; /* BLOCK, else NULL */
    size_t record_bytes;     /* BLOCK */
    size_t record_stride;    /* BLOCK: from one row group's records to the next's, in bytes */
    uint8_t *codes;          /* 64-byte aligned */
    void *scales;            /* INT: uint16_t f16 or float; BLOCK: records */
    uint8_t *zeros;          /* INT: z + 2^(bits-1); for absmax a single shared 16 with stride 0 */
    size_t zero_stride;      /* INT: as scale_stride, for zeros; with absmax 0 and n_scales ignored */
    float tensor_scale;      /* f8: what decoded codes are multiplied by; else 1 */
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
/* One row group, FLOAT. rows: the codes of its first row, row_bytes apart, in the packed format. */
void nb_packed_set_float(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes);
void nb_packed_get_float(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes);

/* One row group, BLOCK. rows: the blocks of its first row as in a file, row_bytes apart. */
void nb_packed_set_blocks(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes);
void nb_packed_get_blocks(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes);

/* Either of them: rows as in a file, FLOAT or BLOCK. */
void nb_packed_set_rows(nb_packed *packed, size_t row_group, const void *rows, size_t row_bytes);
void nb_packed_get_rows(const nb_packed *packed, size_t row_group, void *rows, size_t row_bytes);

/* scale_w and min_w of a row's sub-block. */
void nb_packed_block_scale(const nb_packed *packed, size_t row, size_t sub_block, float *scale_w, float *min_w);

/* The numbers that a row stands for: out[n_cols]. w = tensor_scale * decode(code), or scale * (u - z), or of BLOCK what
 * its format's decode_row says. */
void nb_packed_decode_row(const nb_packed *packed, size_t row, float *out);

#endif
