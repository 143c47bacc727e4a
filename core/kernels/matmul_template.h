/* Every matmul of a CPU level, written once over that level's vectors. A level's file defines the vectors,
 * the operations on them and the sizes below, includes this file, and calls fill_matmul.
 *
 *   LANES            rows in one vector; 16 / LANES vectors ("strips") make a row group
 *   vf, vi           LANES floats; LANES int32, or the 4 * LANES bytes of those rows in one line
 *   DIRECT_GROUPS(t) row groups that one pass over t tokens (1 to FEW_TOKENS) walks at once, float weights
 *   FLOAT_GROUPS, FLOAT_TOKENS   the tile for many tokens; its sums fit the registers
 *   INT_DIRECT_GROUPS(t), INT_GROUPS, INT_TOKENS   the same for int8 activations
 *   OWN_ZEROS, USES_WIDE, INT_PANEL_FAMILIES and what belongs to it: see matmul_template_int.h
 *   vf_table         16 floats; vf_table_load(p); vf_table_at(table, line, shift) looks up bits [shift, shift + 4)
 *                    of every lane of a line
 *   BLOCK_PANEL_FAMILIES and what belongs to it: see matmul_template_block.h
 *
 * One lane is one output and walks the columns forwards, alone. So tiles, blocks of columns (whose partial
 * sums rest in y, as the f32 that they are) and threads are free choices that change no bit.
 *
 * With few tokens the codes are decoded in registers on their way to the sums. With many, some row groups by
 * some columns are decoded once into a panel that stays in the L2 cache, and all tokens pass over it. */
#ifndef NB_KERNELS_MATMUL_TEMPLATE_H
#define NB_KERNELS_MATMUL_TEMPLATE_H

#include "base/memory.h"
#include "kernels/fetch.h"
#include "kernels/levels.h"

#include <string.h>

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_4 _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define UNROLL_4 _Pragma("GCC unroll 4")
#endif

enum {
    STRIPS_PER_GROUP = NB_ROWS / LANES,
    FEW_TOKENS = 4,
    MAX_GROUPS = 4,
    MAX_STRIPS = MAX_GROUPS * STRIPS_PER_GROUP,
    MAX_TOKENS = 16,
    PREFETCH_BYTES = 1024,
    PANEL_PREFETCH_BYTES = 1024,
    FETCH_NEAR = 4096,
    FETCH_FAR = 128 << 10, /* half of a small L2 cache */
};

/* --- a tile's outputs --- */

/* A tile's sums before its first and after its last column. */
typedef struct {
    bool first;  /* start from 0, not from what y holds */
    bool last;   /* make every NaN the one NaN, and, if scaled, multiply by scale first */
    bool scaled; /* f8 */
    float scale;
} tile_ends;

/* Where a tile works: y itself or, if the last of its row groups is not whole, a copy with room for it. */
typedef struct {
    float *at, *y;
    size_t stride, y_stride, n_rows;
} tile_out;

typedef float tile_spare[MAX_TOKENS][MAX_GROUPS * NB_ROWS];

INLINE tile_out enter_tile(const nb_packed *w, size_t group, int groups, int tokens, bool first, float *y,
                           size_t y_stride, tile_spare spare)
{
    const size_t row = group * NB_ROWS, rows = (size_t)groups * NB_ROWS;
    tile_out out = {y + row, y + row, y_stride, y_stride, rows};
    if (row + rows > w->n_rows) {
        out.n_rows = w->n_rows - row;
        out.at = spare[0];
        out.stride = MAX_GROUPS * NB_ROWS;
        for (int t = 0; t < tokens && !first; t++)
            memcpy(spare[t], out.y + (size_t)t * y_stride, out.n_rows * sizeof *y);
    }
    return out;
}

INLINE void leave_tile(const tile_out *out, int tokens)
{
    if (out->at != out->y)
        for (int t = 0; t < tokens; t++)
            memcpy(out->y + (size_t)t * out->y_stride, out->at + (size_t)t * out->stride,
                   out->n_rows * sizeof *out->y);
}

typedef vf tile_sums[MAX_STRIPS][MAX_TOKENS];

INLINE void load_sums(int strips, int tokens, const tile_out *out, const tile_ends *ends, tile_sums acc)
{
    if (ends->first) {
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int s = 0; s < strips; s++)
                acc[s][t] = vf_zero();
        }
    } else {
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int s = 0; s < strips; s++)
                acc[s][t] = vf_load(out->at + (size_t)t * out->stride + s * LANES);
        }
    }
}

INLINE void store_sums(int strips, int tokens, const tile_out *out, const tile_ends *ends, tile_sums acc)
{
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int s = 0; s < strips; s++) {
            vf sum = acc[s][t];
            if (ends->last && ends->scaled)
                sum = vf_mul(vf_set1(ends->scale), sum);
            vf_store(out->at + (size_t)t * out->stride + s * LANES, ends->last ? vf_canonical(sum) : sum);
        }
    }
}

/* The outputs of the tile beside this one. */
INLINE void ask_for_next_sums(int strips, int tokens, const tile_out *out)
{
    UNROLL for (int t = 0; t < tokens; t++) {
        for (int s = 0; s < strips; s += STRIPS_PER_GROUP)
            __builtin_prefetch(out->at + (size_t)t * out->stride + (strips + s) * LANES, 1);
    }
}

#include "kernels/matmul_template_float.h"
#include "kernels/matmul_template_int.h"
#include "kernels/matmul_template_block.h"
#include "kernels/matmul_template_table.h"

static void fill_matmul(nb_kernels *k)
{
    k->matmul_f32 = matmul_f32;
    k->matmul_f16 = matmul_f16;
    k->matmul_bf16 = matmul_bf16;
    k->matmul_f8_e4m3 = matmul_f8_e4m3;
    k->matmul_f8_e5m2 = matmul_f8_e5m2;
    nb_matmul_fn *const ints_f32[] = {matmul_int2_f32, matmul_int3_f32, matmul_int4_f32, matmul_int5_f32,
                                      matmul_int6_f32, matmul_int7_f32, matmul_int8_f32};
    nb_matmul_fn *const ints[] = {matmul_int2, matmul_int3, matmul_int4, matmul_int5,
                                  matmul_int6, matmul_int7, matmul_int8};
    for (unsigned bits = 2; bits <= 8; bits++) {
        k->matmul_int[bits] = ints[bits - 2];
        k->matmul_int_f32[bits] = ints_f32[bits - 2];
    }
    k->matmul_table = matmul_table;
    fill_matmul_block(k);
    k->wants_wide = USES_WIDE;
    k->row_group_grain = DIRECT_GROUPS(1);
}

#endif
