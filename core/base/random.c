#include "base/random.h"

#include "math/math.h"

#include <math.h>

static uint64_t rotate_left(uint64_t x, int k) { return x << k | x >> (64 - k); }

void nb_random_seed(nb_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        random->state[i] = z ^ z >> 31;
    }
}

uint64_t nb_random_u64(nb_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double nb_random_f64(nb_random *random) { return (double)(nb_random_u64(random) >> 11) * 0x1p-53; }

uint64_t nb_random_below(nb_random *random, uint64_t n)
{
    uint64_t reject_below = (0 - n) % n; /* 2^64 mod n */
    uint64_t x;
    do
        x = nb_random_u64(random);
    while (x < reject_below);
    return x % n;
}

double nb_random_normal(nb_random *random)
{
    double u, v, s;
    do {
        u = 2.0 * nb_random_f64(random) - 1.0;
        v = 2.0 * nb_random_f64(random) - 1.0;
        s = u * u + v * v;
    } while (s >= 1.0 || s == 0.0);
    return u * sqrt(-2.0 * nb_log(s) / s);
}
