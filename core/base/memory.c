#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

static atomic_long fail_countdown;

void nb_memory_fail_after(long n) { atomic_store(&fail_countdown, n); }

/* True for the allocation that a test asked to fail. */
static bool must_fail(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) <= 0)
        return false;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

void *nb_calloc(size_t count, size_t size) { return must_fail() ? NULL : calloc(count ? count : 1, size ? size : 1); }

void *nb_realloc(void *pointer, size_t count, size_t size)
{
    size_t n_bytes;
    if (!nb_mul_size(count, size, &n_bytes) || must_fail())
        return NULL;
    return realloc(pointer, n_bytes ? n_bytes : 1);
}

void *nb_aligned_calloc(size_t count, size_t size)
{
    size_t n_bytes;
    if (!nb_mul_size(count, size, &n_bytes) || n_bytes > SIZE_MAX - HUGE_PAGE || must_fail())
        return NULL;
    size_t alignment = n_bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    size_t padded = nb_round_up(nb_max_size(n_bytes, 1), LINE);
    void *pointer;
    if (posix_memalign(&pointer, alignment, padded) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE)
        madvise(pointer, padded, MADV_HUGEPAGE); /* advice: a refusal costs speed only */
#endif
    memset(pointer, 0, padded);
    return pointer;
}

void nb_aligned_free(void *pointer) { free(pointer); }

char *nb_strdup(const char *text)
{
    size_t n_bytes = strlen(text) + 1;
    char *copy = nb_calloc(n_bytes, 1);
    return copy ? memcpy(copy, text, n_bytes) : NULL;
}

char *nb_format_text(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : nb_calloc((size_t)length + 1, 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}
