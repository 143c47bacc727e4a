/* Allocation. Sizes are checked before they are multiplied; big buffers ask for huge pages. */
#ifndef NB_BASE_MEMORY_H
#define NB_BASE_MEMORY_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `count * size` zeroed bytes; NULL when the product overflows or memory is short. */
void *nb_calloc(size_t count, size_t size);
/* Grows or shrinks `pointer` to `count * size` bytes; NULL (and `pointer` untouched) on failure. */
void *nb_realloc(void *pointer, size_t count, size_t size);
/* `count * size` zeroed bytes aligned to 64; with huge pages where the system has them and the
 * buffer is large. Release with nb_aligned_free. */
void *nb_aligned_calloc(size_t count, size_t size);
/* The same for what may never be filled, such as the cache of a long context: in small pages, so that only what is
 * touched costs memory. */
void *nb_aligned_reserve(size_t count, size_t size);
void nb_aligned_free(void *pointer);
char *nb_strdup(const char *text);
/* asprintf that returns NULL on failure. */
char *nb_format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* True and the result in *out, or false on overflow of size_t. */
static inline bool nb_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool nb_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

static inline size_t nb_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t nb_max_size(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t nb_div_up(size_t a, size_t b) { return a / b + (a % b != 0); }
static inline size_t nb_round_up(size_t a, size_t multiple) { return nb_div_up(a, multiple) * multiple; }

/* Tests make the n-th allocation from now fail (0: never). Counts every function above. */
void nb_memory_fail_after(long n);

#endif
