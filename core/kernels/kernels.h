/* The kernel table: one row of function pointers per CPU level, filled once.
 *
 * reference.c is the definition of every entry: plain C, never optimised. Any other level performs the
 * same IEEE-754 operations in the same order on each output and must give the same bits, which
 * `make check-kernels` holds it to. Any NaN that leaves a kernel has the bits 7fc00000. */
#ifndef NB_KERNELS_KERNELS_H
#define NB_KERNELS_KERNELS_H

#include "base/context.h"
#include "kernels/packed.h"

/* 32 activations of one token as int8: scale = amax / 127, q = rint(x * (127 / amax)) clamped. */
typedef struct nb_act_block {
    float scale;
    int32_t minus_sum;   /* -(q[0] + ... + q[31]); takes the zero point out of a block's sum, exactly */
    int32_t minus_first; /* -(q[0] + ... + q[15]), for sub-blocks of 16 */
    int8_t q[NB_BLOCK];
} nb_act_block;
_Static_assert(sizeof(nb_act_block) == 44, "no padding");

/* The activations that a matmul reads: n_tokens rows of n_cols. */
typedef struct nb_acts {
    size_t n_tokens, n_cols;
    const float *f32;     /* [n_tokens][f32_stride]; for FLOAT and TABLE, and INT with f32 activations */
    size_t f32_stride;
    size_t n_blocks;
    const float *outliers; /* [n_tokens][outlier_stride]: the columns that weights with outliers keep in f16; those
                            * columns are 0 in the blocks */
    size_t outlier_stride;
    nb_act_block *blocks; /* [n_tokens][n_blocks], the last block padded with zeros; int8 activations */
    int16_t *wide;        /* [n_tokens][n_blocks][32] in the order that the level likes, or NULL */
} nb_acts;

/* y[t][r] for row groups [group_begin, group_end) (rows beyond n_rows are not written):
 *   FLOAT           acc = fma(decode(w[r][k]), x[t][k], acc), k forwards from acc = 0;
 *                   f8 then y = tensor_scale * acc
 *   INT             per block b: acc = fma(scale_w * scale_x, (float)sum, acc), with
 *                   sum = sum over 32 of (u - z) * q, exact in int32
 *                   With outliers (int8 activations only) then, from the acc that this leaves,
 *                   acc = fma(outlier w[r][o], outlier x[t][o], acc), o forwards
 *   INT, f32 acts   acc = fma(scale_w * (float)(u - z), x[t][k], acc), k forwards
 *   BLOCK           per sub-block of 32 or 16 (block_layout.h), as INT with the format's zero, and where it has a
 *                   minimum right after: acc = fma(min_w, scale_x * (float)sum of q, acc)
 *   TABLE           acc = fma(level * scale_w, x[t][k], acc), k forwards
 *   BLOCK, f32 acts acc = fma(w, x[t][k], acc), k forwards; w = scale_w * (float)(u - zero), plus min_w
 * y: [n_tokens][y_stride]. */
typedef void nb_matmul_fn(const nb_packed *w, size_t group_begin, size_t group_end, const nb_acts *x, float *y,
                          size_t y_stride);

typedef struct nb_kernels {
    const char *name;  /* "scalar", "avx2", "avxvnni", "avx512", "amx", "neon" */
    const char *title; /* what the status line says: "avx512-vnni" */
    uint32_t needs;    /* NB_CPU_ bits: every feature that the level's files are compiled with */

    /* --- matmul (core/kernels/matmul_*) --- */
    nb_matmul_fn *matmul_f32, *matmul_f16, *matmul_bf16, *matmul_f8_e4m3, *matmul_f8_e5m2;
    nb_matmul_fn *matmul_int[9];     /* by bits, 2..8; int8 activations, and outliers where w has some */
    nb_matmul_fn *matmul_int_f32[9]; /* by bits, 2..8; f32 activations */
    nb_matmul_fn *matmul_table;
    nb_matmul_fn *matmul_block[NB_BLOCK_IDS], *matmul_block_f32[NB_BLOCK_IDS]; /* int8 and f32 activations */
    bool wants_wide;
    size_t row_group_grain; /* decode walks this many row groups at once: hand out multiples of it */

    /* --- activations (core/kernels/acts_*): x[n_cols] -> blocks[ceil(n_cols/32)], and wide (if wants_wide) --- */
    /* Each block's own scale. amax == 0 or not finite: scale is 0 or NaN and every q is 0. */
    void (*quantize_acts)(const float *x, size_t n_cols, nb_act_block *blocks, int16_t *wide);
    /* One scale for all of x: *scale, which is positive and finite, or, where it is NULL, x's own amax / 127.
     * q = rint(x / scale) clamped to 127 on either side; returns how many rounded to more. A block with a number that
     * is not finite has a scale of NaN and every q 0; of x's own scale, all blocks have, and where that is 0, all are. */
    size_t (*quantize_acts_scaled)(const float *x, size_t n_cols, const float *scale, nb_act_block *blocks,
                                   int16_t *wide);

    /* --- everything else (core/kernels/ops_*); lane i mod 16, folded 16-8-4-2-1 --- */
    /* y = weight * x / sqrt(mean(x^2) + eps): ss in 16 lanes of fma; r = 1 / sqrt(ss / n + eps);
     * y[i] = weight[i] * (x[i] * r). y may be x. */
    void (*rms_norm)(const float *x, const float *weight, size_t n, float eps, float *y);
    /* y = weight * (x - mean) / sqrt(variance + eps) + bias: the sum in 16 lanes, mean = sum / n; d = x - mean, ss
     * in 16 lanes of fma(d, d); r = 1 / sqrt(ss / n + eps); y[i] = fma(weight[i], d * r, bias[i]). y may be x. */
    void (*layer_norm)(const float *x, const float *weight, const float *bias, size_t n, float eps, float *y);
    /* Pairs (2i, 2i+1), i < n_rot / 2, of each head: (a c - b s, a s + b c), as fma(a, c, -(b * s)) and
     * fma(a, s, b * c). cos_sin: [n_rot / 2][2]. The rest of a head is left. In place. */
    void (*rope_adjacent)(float *x, const float *cos_sin, size_t n_heads, size_t head_size, size_t n_rot);
    /* The same for pairs (i, i + n_rot / 2). cos_sin: [2][n_rot / 2], the cosines first. */
    void (*rope_halves)(float *x, const float *cos_sin, size_t n_heads, size_t head_size, size_t n_rot);
    void (*add)(float *x, const float *y, size_t n);                            /* x += y */
    void (*scale)(float *x, float by, size_t n);                                /* x *= by */
    void (*swiglu)(const float *gate, const float *up, size_t n, float *y);     /* y = gate / (1 + exp(-gate)) * up; y may be gate */
    /* gelu(x) = x / (1 + exp(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3), as x / (1 + exp(fma(0.044715 (x x), x, x)
     * * -2 sqrt(2/pi))): Hendrycks and Gimpel 2016 (arXiv:1606.08415), section 2, its form with tanh.
     * y = gelu(x), and y = gelu(gate) * up; y may be the first. */
    void (*gelu)(const float *x, size_t n, float *y);
    void (*geglu)(const float *gate, const float *up, size_t n, float *y);
    void (*softcap)(float *x, float cap, size_t n); /* x = cap * tanh(x / cap); a zero is +0 */
    /* Queries i = 0..n_queries-1 of one head; query i sees the last `window` of keys [0, n_keys + i); n_keys and
     * window > 0 (SIZE_MAX: it sees them all).
     *   k: [ceil(n/16)][head_size][16], lane = key: score = fma(q[d], k[d], score), d forwards; times scale; and
     *   softcap of it unless cap is 0
     *   maximum; p = exp(score - max); denominator in 16 lanes by position; the lanes folded
     *   v: [n][round_up(head_size, 16)]: out[d] = fma(p, v[d], out[d]), positions forwards; out[d] / denominator
     * scratch: 16 * round_up(n_keys + n_queries, 16) floats. */
    void (*attention)(const float *q, size_t q_stride, size_t n_queries, size_t n_keys, const float *k,
                      const float *v, size_t head_size, float scale, float cap, size_t window, float *scratch,
                      float *out, size_t out_stride);
    void (*exp)(const float *x, size_t n, float *y); /* nb_expf of each; y may be x */
    float (*max)(const float *x, size_t n);          /* NaN if any is NaN; a zero is +0; of nothing: -inf */
    /* log(sum exp(x)) with the maximum taken out: f32 exp, f64 sums in 16 lanes. A maximum that is
     * not finite is the result. */
    double (*log_sum_exp)(const float *x, size_t n);
} nb_kernels;

size_t nb_kernels_count(void);
const nb_kernels *nb_kernels_at(size_t index); /* [0] is scalar, the definition; best last */
/* By name; NULL if this build has no such level. */
const nb_kernels *nb_kernels_find(const char *name);
/* The best level whose needs this CPU meets. */
const nb_kernels *nb_kernels_best(void);
/* That level, but every kernel that is no matmul also runs its definition and ends the program where the bits
 * differ. A context with `verify` uses it; nb_matmul compares the matmuls. */
const nb_kernels *nb_kernels_verifying(const nb_kernels *level);

/* Threads and dispatch around one matmul: y[t][0..n_rows) = W x[t]. `x` must hold what the weights want
 * (nb_acts_prepare). Threads split row groups, and token tiles where that is better. */
void nb_matmul(nb_context *context, const nb_packed *w, const nb_acts *x, float *y, size_t y_stride);

/* The same for several matrices that read the same x: with few tokens threads meet once for all of them. */
typedef struct nb_matmul_part {
    const nb_packed *w;
    float *y;
    size_t y_stride;
} nb_matmul_part;
void nb_matmul_parts(nb_context *context, const nb_matmul_part *parts, size_t n_parts, const nb_acts *x);

/* Scratch for acts that grows as needed: one per session. */
typedef struct nb_acts_buffer {
    nb_acts acts;
    size_t blocks_capacity, wide_capacity;
} nb_acts_buffer;
/* Points the buffer at x and, if `quantize`, makes its int8 blocks. */
nb_status nb_acts_prepare(nb_context *context, nb_acts_buffer *buffer, const float *x, size_t n_tokens, size_t n_cols,
                          size_t stride, bool quantize, nb_error *error);
void nb_acts_buffer_free(nb_acts_buffer *buffer);

/* Where the time goes is measured beside these limits (`nibble bench`, check-kernels --bench). */
double nb_measure_read_bandwidth(nb_context *context, size_t n_bytes); /* bytes/s over a buffer of that size */
double nb_measure_fma_peak(nb_context *context);                       /* f32 operations/s, an fma is 2 */
double nb_measure_int8_peak(nb_context *context);                      /* int8 operations/s, in vectors */
double nb_measure_tile_peak(nb_context *context);                      /* the same, in tiles; 0: has none */

#endif
