/* A counter-free, seedable generator whose stream is part of the numeric contract:
 * xoshiro256++ (Blackman and Vigna 2019) seeded by splitmix64. */
#ifndef NB_BASE_RANDOM_H
#define NB_BASE_RANDOM_H

#include <stdint.h>

typedef struct nb_random {
    uint64_t state[4];
} nb_random;

void nb_random_seed(nb_random *random, uint64_t seed);
uint64_t nb_random_u64(nb_random *random);
/* Uniform in [0, 1): 53 random bits. */
double nb_random_f64(nb_random *random);
/* Uniform in [0, n), without modulo bias; n > 0. */
uint64_t nb_random_below(nb_random *random, uint64_t n);
/* Standard normal, by Marsaglia's polar method with our own log. */
double nb_random_normal(nb_random *random);

#endif
