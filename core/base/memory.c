#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    LINE = 64,
    HUGE_PAGE = 2 << 20,
    MAPPED = 256 << 10 /* buffers from here on have a mapping of their own */
};

static atomic_long fail_countdown;

void nb_memory_fail_after(long n)
{
    atomic_store(&fail_countdown, n);
}

/* True for the allocation that a test asked to fail. */
static bool must_fail(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) <= 0)
        return false;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

void *nb_calloc(size_t count, size_t size)
{
    size_t n_bytes; /* calloc checks too, but sanitizers take its refusal for a mistake of ours */
    if (!nb_mul_size(count, size, &n_bytes) || must_fail())
        return NULL;
    return calloc(nb_max_size(n_bytes, 1), 1);
}

void *nb_realloc(void *pointer, size_t count, size_t size)
{
    size_t n_bytes;
    if (!nb_mul_size(count, size, &n_bytes) || must_fail())
        return NULL;
    return realloc(pointer, n_bytes ? n_bytes : 1);
}

/* What stands in the line before an aligned buffer. */
typedef struct buffer_header {
    size_t mapped_bytes; /* of the whole mapping, this line too; 0: it came from malloc */
} buffer_header;

static void *after_header(void *start, size_t mapped_bytes)
{
    ((buffer_header *)start)->mapped_bytes = mapped_bytes;
    return (uint8_t *)start + LINE;
}

/* Large buffers are mapped: free gives them back to the system at once, where malloc would keep what lies
 * between others (a model that is quantized tensor by tensor would never shrink). Zeroed pages come when they
 * are first touched, so the threads that fill a buffer share that work too. */
static void *map_buffer(size_t n_bytes, bool huge)
{
    if (n_bytes < HUGE_PAGE) { /* pages as they are, at any address */
        void *small = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return small == MAP_FAILED ? NULL : after_header(small, n_bytes);
    }
    const size_t reserved = n_bytes + HUGE_PAGE;
    uint8_t *start = mmap(NULL, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    const size_t before = nb_round_up((uintptr_t)start, HUGE_PAGE) - (uintptr_t)start;
    if (before > 0)
        munmap(start, before);
    if (before < HUGE_PAGE)
        munmap(start + before + n_bytes, HUGE_PAGE - before);
    start += before;
#if defined(MADV_HUGEPAGE) && defined(MADV_NOHUGEPAGE)
    madvise(start, n_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); /* advice: a refusal costs speed only */
#else
    (void)huge;
#endif
    return after_header(start, n_bytes);
}

static void *aligned_calloc(size_t count, size_t size, bool huge)
{
    size_t n_bytes;
    if (!nb_mul_size(count, size, &n_bytes) || n_bytes > SIZE_MAX - 2 * HUGE_PAGE || must_fail())
        return NULL;
    if (n_bytes >= MAPPED)
        return map_buffer(nb_round_up(n_bytes + LINE, (size_t)sysconf(_SC_PAGESIZE)), huge);
    size_t padded = LINE + nb_round_up(nb_max_size(n_bytes, 1), LINE);
    void *start;
    if (posix_memalign(&start, LINE, padded) != 0)
        return NULL;
    memset(start, 0, padded);
    return after_header(start, 0);
}

void *nb_aligned_calloc(size_t count, size_t size)
{
    return aligned_calloc(count, size, true);
}

void *nb_aligned_reserve(size_t count, size_t size)
{
    return aligned_calloc(count, size, false);
}

void nb_aligned_free(void *pointer)
{
    if (!pointer)
        return;
    void *start = (uint8_t *)pointer - LINE;
    const size_t mapped_bytes = ((const buffer_header *)start)->mapped_bytes;
    if (mapped_bytes > 0)
        munmap(start, mapped_bytes);
    else
        free(start);
}

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
