/* FNV-1a, 64 bits: a digest that tells texts and models apart, not one that withstands an attacker. */
#ifndef NB_BASE_DIGEST_H
#define NB_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define NB_DIGEST_OF_NOTHING UINT64_C(0xcbf29ce484222325)

/* The digest of what `digest` is of, followed by these bytes. */
static inline uint64_t nb_digest_add(uint64_t digest, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++)
        digest = (digest ^ at[i]) * UINT64_C(0x100000001b3);
    return digest;
}

#endif
