/* Allocation: alignment, zeros, sizes that overflow, failing on purpose, and large buffers that really go
 * away. */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

static void assert_zeroed(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(bytes[i], 0);
}

static void test_aligned_buffers(void **state)
{
    (void)state;
    const size_t sizes[] = {
        0, 1, 63, 64, 65, 4096, (2 << 20) - 64, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5000001};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *buffers[] = {nb_aligned_calloc(sizes[i], 1), nb_aligned_reserve(1, sizes[i])};
        for (size_t b = 0; b < 2; b++) {
            assert_non_null(buffers[b]);
            assert_int_equal((uintptr_t)buffers[b] % 64, 0);
            assert_zeroed(buffers[b], sizes[i]);
            memset(buffers[b], 0xee, sizes[i]);
            nb_aligned_free(buffers[b]);
        }
    }
    nb_aligned_free(NULL);
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    assert_null(nb_calloc(SIZE_MAX / 2, 3));
    assert_null(nb_realloc(NULL, SIZE_MAX / 2, 3));
    assert_null(nb_aligned_calloc(SIZE_MAX / 2, 3));
    assert_null(nb_aligned_calloc(SIZE_MAX - 100, 1));
    assert_null(nb_aligned_reserve(SIZE_MAX / 64, 64));
}

static void test_failing_on_purpose(void **state)
{
    (void)state;
    nb_memory_fail_after(2);
    void *first = nb_calloc(1, 1);
    assert_non_null(first);
    assert_null(nb_aligned_calloc(1, 1));
    void *third = nb_aligned_reserve(1, 1);
    assert_non_null(third);
    free(first);
    nb_aligned_free(third);
}

/* Pages of this process that stand in memory, or 0 where the system does not say so. */
static size_t resident_pages(void)
{
    size_t size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%zu %zu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident;
}

/* Of many large buffers every second one is freed: malloc would keep the holes. */
static void test_large_buffers_go_away(void **state)
{
    (void)state;
    enum { N = 16, SIZE = 4 << 20, PAGE = 4096 };
    uint8_t *buffers[N];
    if (resident_pages() == 0)
        skip();
    for (size_t i = 0; i < N; i++) {
        buffers[i] = nb_aligned_calloc(SIZE, 1);
        assert_non_null(buffers[i]);
        memset(buffers[i], 1, SIZE);
    }
    const size_t full = resident_pages();
    for (size_t i = 0; i < N; i += 2)
        nb_aligned_free(buffers[i]);
    assert_true(resident_pages() + (N / 2 - 1) * (SIZE / PAGE) < full);
    for (size_t i = 1; i < N; i += 2)
        nb_aligned_free(buffers[i]);
    const size_t before = resident_pages();
    uint8_t *lazy = nb_aligned_reserve(64 << 20, 1);
    assert_non_null(lazy);
    lazy[10 << 20] = 1;
    assert_true(resident_pages() < before + (1 << 20) / PAGE);
    nb_aligned_free(lazy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aligned_buffers),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_failing_on_purpose),
        cmocka_unit_test(test_large_buffers_go_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
