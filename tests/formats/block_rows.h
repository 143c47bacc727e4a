/* Rows for the block formats' tests: two by formula, whose encodings are written out, and seeded ones of many
 * kinds, of whose encodings a hash is. */
#ifndef NB_TESTS_FORMATS_BLOCK_ROWS_H
#define NB_TESTS_FORMATS_BLOCK_ROWS_H

#include "base/random.h"
#include "formats/blocks.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const nb_format *const block_formats[] = {
    &nb_format_q4_0,  &nb_format_q4_1,  &nb_format_q5_0,   &nb_format_q5_1,
    &nb_format_q8_0,  &nb_format_q2_k,  &nb_format_q3_k,   &nb_format_q4_k,
    &nb_format_q5_k,  &nb_format_q6_k,  &nb_format_iq4_nl, &nb_format_iq4_xs,
    &nb_format_tq1_0, &nb_format_tq2_0, &nb_format_mxfp4,  &nb_format_nvfp4,
};
enum {
    N_BLOCK_FORMATS = sizeof block_formats / sizeof *block_formats,
    MAX_ROW = 1024,
    MAX_ROW_BYTES = 2 * MAX_ROW
};

static inline size_t row_bytes(const nb_format *format, size_t n)
{
    return n / format->block_size * format->block_bytes;
}

/* 32 numbers k/32 from -1 to 1. */
static inline void formula_row_32(float x[32])
{
    for (int i = 0; i < 32; i++)
        x[i] = (float)((37 * i + 11) % 64 - 32) / 32;
}

/* 256 numbers k/128 from -1 to 1, each at most once. */
static inline void formula_row_256(float x[256])
{
    for (int i = 0; i < 256; i++)
        x[i] = (float)((73 * i + 19) % 257 - 128) / 128;
}

enum { N_ROW_KINDS = 13 };

static inline void seeded_row(nb_random *random, int kind, size_t n, float *x)
{
    const float one = (float)nb_random_normal(random);
    for (size_t i = 0; i < n; i++) {
        const float z = (float)nb_random_normal(random), u = (float)nb_random_f64(random);
        switch (kind) {
        case 0:
            x[i] = 0.02f * z;
            break;
        case 1:
            x[i] = z * z * z * z * z;
            break; /* heavy tails */
        case 2:
            x[i] = one;
            break; /* constant */
        case 3:
            x[i] = 0;
            break;
        case 4:
            x[i] = 0.001f * z;
            break; /* and an outlier, below */
        case 5:
            x[i] = 1e-12f * z;
            break; /* f16 has no such scales */
        case 6:
            x[i] = i % 2 == 0 ? one : -one;
            break;
        case 7:
            x[i] = u + 0.2f;
            break; /* all positive */
        case 8:
            x[i] = -0.1f * (u + 0.2f);
            break; /* all negative */
        case 9:
            x[i] = u < 0.05f ? z : 0;
            break; /* sparse */
        case 10:   /* sub-blocks that are each other's opposites */
            x[i] = i % 32 < 16 ? z : -x[i - 16];
            break;
        case 11: /* zeros of both signs, below numbers or alone */
            x[i] = u < 0.2f && i % 64 < 32 ? u : u < 0.6f ? 0.0f : -0.0f;
            break;
        default:
            x[i] = (float)(i / 32 + 1) * (u - 0.3f);
            break; /* sub-blocks of different sizes */
        }
    }
    if (kind == 4)
        x[nb_random_below(random, n)] = 10 * one;
}

/* Mean squares of activations: a third of them 0 in every fourth row. */
static inline void seeded_importance(nb_random *random, int row, size_t n, float *importance)
{
    for (size_t i = 0; i < n; i++) {
        const float z = (float)nb_random_normal(random);
        importance[i] = row % 4 == 0 && nb_random_below(random, 3) == 0 ? 0 : z * z;
    }
}

/* FNV-1a of the encodings of `n_rows` seeded rows. */
typedef void (*row_encoder)(const void *self, const float *values, size_t n, const float *importance,
                            void *blocks);
static inline uint64_t hash_of_encodings(row_encoder encode, const void *self, const nb_format *format,
                                         int n_rows, int with_importance)
{
    static const size_t sizes[] = {256, 512, 768, 1024};
    float x[MAX_ROW], importance[MAX_ROW];
    uint8_t blocks[MAX_ROW_BYTES];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    nb_random random;
    nb_random_seed(&random, 4);
    for (int row = 0; row < n_rows; row++) {
        const size_t n =
            sizes[nb_random_below(&random, 4)] - (format->block_size == 32 ? 32 * (size_t)(row % 8) : 0);
        seeded_row(&random, row % N_ROW_KINDS, n, x);
        seeded_importance(&random, row, n, importance);
        encode(self, x, n, with_importance ? importance : NULL, blocks);
        for (size_t i = 0; i < row_bytes(format, n); i++)
            hash = (hash ^ blocks[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

#endif
