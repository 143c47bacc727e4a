/* One thread's share of the work that measures this machine's limits at one level. */
#ifndef NB_KERNELS_LIMITS_H
#define NB_KERNELS_LIMITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct nb_limits {
    /* Reads n_bytes (a multiple of 4096, aligned to 64) in one run, or in four that run side by side. */
    void (*read_one)(const uint8_t *data, size_t n_bytes);
    void (*read_four)(const uint8_t *data, size_t n_bytes);
    /* n rounds of independent operations in registers; how many operations a round is. */
    void (*multiply_f32)(size_t n);
    void (*multiply_int8)(size_t n);
    double f32_per_round, int8_per_round;
} nb_limits;

extern const nb_limits nb_limits_scalar, nb_limits_avx2, nb_limits_avxvnni, nb_limits_avx512, nb_limits_neon;

/* n rounds of four tile products: 16 x 16 sums over 64 columns each. */
void nb_multiply_tiles_amx(size_t n);

#endif
