/* A piece of text that somebody else owns: not terminated, may hold any byte. */
#ifndef NB_BASE_VIEW_H
#define NB_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct nb_string {
    const char *text;
    size_t n_bytes;
} nb_string;

static inline nb_string nb_string_of(const char *text) { return (nb_string){text, strlen(text)}; }
static inline bool nb_string_equal(nb_string a, const char *b)
{
    return a.n_bytes == strlen(b) && memcmp(a.text, b, a.n_bytes) == 0;
}

#endif
