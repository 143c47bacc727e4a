/* A level's limits, over the vectors that its file defines (see matmul_template.h) and
 *   LIMIT_CHAINS   sums that fit the registers; each starts from its own volatile read, else the compiler sees
 *                  that all are the same and keeps one
 *   vi_peak(sum, line, act)   the level's fastest int8 multiplication; INT8_PER_PEAK operations */
#ifndef NB_KERNELS_LIMITS_TEMPLATE_H
#define NB_KERNELS_LIMITS_TEMPLATE_H

#include "kernels/limits.h"

enum { VECTOR_BYTES = 4 * LANES, READ_BYTES = 8 * VECTOR_BYTES };

/* Where results go that nobody wants, so that they must be computed. */
INLINE void sink(vi value)
{
    volatile uint8_t kept;
    uint8_t bytes[VECTOR_BYTES];
    vi_store(bytes, value);
    kept = bytes[0];
    (void)kept;
}

static void limit_read_one(const uint8_t *data, size_t n_bytes)
{
    vi seen[8];
    UNROLL for (int i = 0; i < 8; i++)
        seen[i] = vi_zero();
    for (const uint8_t *end = data + n_bytes; data < end; data += READ_BYTES) {
        for (int i = 0; i < READ_BYTES; i += 64)
            __builtin_prefetch(data + 2048 + i);
        UNROLL for (int i = 0; i < 8; i++)
            seen[i] = vi_or(seen[i], vi_load(data + i * VECTOR_BYTES));
    }
    UNROLL for (int i = 0; i < 8; i++)
        sink(seen[i]);
}

static void limit_read_four(const uint8_t *data, size_t n_bytes)
{
    vi seen[8];
    UNROLL for (int i = 0; i < 8; i++)
        seen[i] = vi_zero();
    const size_t run = n_bytes / 4;
    for (const uint8_t *end = data + run; data < end; data += 2 * VECTOR_BYTES) {
        UNROLL for (int i = 0; i < 4; i++)
            __builtin_prefetch(data + (size_t)i * run + 1024);
        UNROLL for (int i = 0; i < 8; i++)
            seen[i] = vi_or(seen[i], vi_load(data + (size_t)(i / 2) * run + i % 2 * VECTOR_BYTES));
    }
    UNROLL for (int i = 0; i < 8; i++)
        sink(seen[i]);
}

static void limit_multiply_f32(size_t n)
{
    volatile float start = 1e-3f;
    const vf a = vf_set1(start), b = vf_set1(start);
    vf sum[LIMIT_CHAINS];
    UNROLL for (int i = 0; i < LIMIT_CHAINS; i++)
        sum[i] = vf_set1(start);
    for (; n > 0; n--) {
        UNROLL for (int i = 0; i < LIMIT_CHAINS; i++)
            sum[i] = vf_fma(a, b, sum[i]);
    }
    UNROLL for (int i = 0; i < LIMIT_CHAINS; i++) {
        float out[LANES];
        vf_store(out, sum[i]);
        start = out[0];
    }
}

static void limit_multiply_int8(size_t n)
{
    volatile int32_t start = 0x01020304;
    const vi line = vi_set1(start), act = vi_set1(start);
    vi sum[LIMIT_CHAINS];
    UNROLL for (int i = 0; i < LIMIT_CHAINS; i++)
        sum[i] = vi_set1(start);
    for (; n > 0; n--) {
        UNROLL for (int i = 0; i < LIMIT_CHAINS; i++)
            sum[i] = vi_peak(sum[i], line, act);
    }
    UNROLL for (int i = 0; i < LIMIT_CHAINS; i++)
        sink(sum[i]);
}

#define LIMITS(LEVEL)                                                                                                \
    const nb_limits nb_limits_##LEVEL = {limit_read_one,                                                             \
                                         limit_read_four,                                                            \
                                         limit_multiply_f32,                                                         \
                                         limit_multiply_int8,                                                        \
                                         LIMIT_CHAINS * LANES * 2.0,                                                 \
                                         LIMIT_CHAINS * INT8_PER_PEAK};

#endif
