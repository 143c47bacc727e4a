/* The block formats of GGUF files. A row of a tensor is a run of blocks; a block holds the codes of its
 * weights and the scales that they share. Every field is bytes, little-endian, so that a block may lie at any
 * address.
 *
 * All codes lie in planes. A field of n bytes that holds `bits` bits of each code is read so:
 *
 *     byte j:  | code (8/bits-1)n + j | ... | code n + j | code j |      the lowest bits on the right
 *
 * q4_0's 16 bytes: low nibbles are the codes 0 to 15, high nibbles 16 to 31. One shift and one mask unpack a
 * whole vector of codes. (tq1_0 puts five ternary digits into a byte instead, in the same order.) */
#ifndef NB_FORMATS_BLOCKS_H
#define NB_FORMATS_BLOCKS_H

#include "formats/format.h"

enum {
    NB_BLOCK = 32,        /* weights to a block of a plain format */
    NB_SUPER_BLOCK = 256, /* weights to a block that holds sub-blocks with scales of their own */
};

/* 32 weights. d: f16 scale; m: f16 minimum; qs: (low) four bits of the codes; qh: the fifth bits, code j in
 * bit j. */
typedef struct nb_block_q4_0 {
    uint8_t d[2], qs[16];
} nb_block_q4_0; /* w = d (q - 8) */
typedef struct nb_block_q4_1 {
    uint8_t d[2], m[2], qs[16];
} nb_block_q4_1; /* w = d q + m */
typedef struct nb_block_q5_0 {
    uint8_t d[2], qh[4], qs[16];
} nb_block_q5_0; /* w = d (q - 16) */
typedef struct nb_block_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
} nb_block_q5_1; /* w = d q + m */
typedef struct nb_block_q8_0 {
    uint8_t d[2], qs[32]; /* signed */
} nb_block_q8_0;          /* w = d q */
typedef struct nb_block_iq4_nl {
    uint8_t d[2], qs[16];
} nb_block_iq4_nl; /* w = d table[q] */
typedef struct nb_block_mxfp4 {
    uint8_t e, qs[16];
} nb_block_mxfp4; /* w = 2^(e - 127) e2m1(q) */

/* 64 weights, 16 to a sub-block: eight bytes of qs each. */
typedef struct nb_block_nvfp4 {
    uint8_t d[4], qs[32];
} nb_block_nvfp4; /* w = e4m3(d[s]) e2m1(q) */

/* 256 weights. d and dmin: f16. Planes of 32 bytes (q6_k's ql: of 64), each half of 128 weights after the
 * other. */
typedef struct nb_block_q2_k {
    uint8_t scales[16], qs[64], d[2], dmin[2];
} nb_block_q2_k; /* w = d sc[s] q - dmin m[s]; 16 to a sub-block; scales: sc low, m high */
typedef struct nb_block_q3_k {
    uint8_t hmask[32], qs[64], scales[12], d[2];
} nb_block_q3_k; /* w = d (sc[s] - 32) (q - 4); 16 to a sub-block; hmask: the third bits */
typedef struct nb_block_q4_k {
    uint8_t d[2], dmin[2], scales[12], qs[128];
} nb_block_q4_k; /* w = d sc[s] q - dmin m[s]; 32 to a sub-block */
typedef struct nb_block_q5_k {
    uint8_t d[2], dmin[2], scales[12], qh[32], qs[128];
} nb_block_q5_k; /* as q4_k; qh: the fifth bits, one plane for all 256 */
typedef struct nb_block_q6_k {
    uint8_t ql[128], qh[64], scales[16], d[2];
} nb_block_q6_k; /* w = d sc[s] (q - 32); 16 to a sub-block; scales are signed */
typedef struct nb_block_iq4_xs {
    uint8_t d[2], scales_h[2], scales_l[4], qs[128];
} nb_block_iq4_xs; /* w = d (sc[s] - 32) table[q]; 32 to a sub-block of 16 bytes of qs */
typedef struct nb_block_tq1_0 {
    uint8_t qs[48], qh[4], d[2];
} nb_block_tq1_0; /* w = d (q - 1) */
typedef struct nb_block_tq2_0 {
    uint8_t qs[64], d[2];
} nb_block_tq2_0; /* w = d (q - 1) */

extern const nb_format nb_format_q4_0, nb_format_q4_1, nb_format_q5_0, nb_format_q5_1, nb_format_q8_0;
extern const nb_format nb_format_q2_k, nb_format_q3_k, nb_format_q4_k, nb_format_q5_k, nb_format_q6_k;
extern const nb_format nb_format_iq4_nl, nb_format_iq4_xs;
extern const nb_format nb_format_tq1_0, nb_format_tq2_0;
extern const nb_format nb_format_mxfp4, nb_format_nvfp4;

/* The numbers that 4-bit codes stand for. */
extern const int8_t nb_iq4_table[16];    /* iq4_nl, iq4_xs */
extern const int8_t nb_e2m1_doubled[16]; /* twice what mxfp4's and nvfp4's stand for, to be integers */

/* Half of mxfp4's and nvfp4's scales, for the doubled table: 2^(e - 128); e4m3 / 2 without the sign bit (7f:
 * 0). */
float nb_e8m0_half(uint8_t e);
float nb_ue4m3_half(uint8_t code);

/* The 6-bit scales and minimums of q4_k and q5_k. */
void nb_k_scales_unpack(const uint8_t packed[12], uint8_t scales[8], uint8_t mins[8]);
/* The 6-bit scales of q3_k, 0 to 63, to subtract 32 from. */
void nb_q3_k_scales_unpack(const uint8_t packed[12], uint8_t scales[16]);

#endif
