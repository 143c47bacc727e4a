/* What this machine can do at most, measured beside what it does. */
#include "kernels/limits.h"

#include "base/memory.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4096 };
static const double measure_seconds = 0.05; /* of repeating; the fastest round counts */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- the definition's own: one at a time --- */

static void scalar_read(const uint8_t *data, size_t n_bytes)
{
    uint64_t seen = 0, word;
    for (size_t i = 0; i < n_bytes; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        seen |= word;
    }
    volatile uint64_t kept = seen;
    (void)kept;
}

static void scalar_f32(size_t n)
{
    volatile float start = 1e-3f;
    float a = start, sum[4] = {a, a, a, a};
    while (n-- > 0)
        for (int i = 0; i < 4; i++)
            sum[i] = fmaf(a, a, sum[i]);
    start = sum[0] + sum[1] + sum[2] + sum[3];
}

static void scalar_int8(size_t n)
{
    volatile uint32_t start = 3; /* unsigned, so that it may wrap */
    uint32_t sum[4] = {start, start, start, start};
    while (n-- > 0)
        for (int i = 0; i < 4; i++)
            sum[i] += start * sum[i];
    start = sum[0] + sum[1] + sum[2] + sum[3];
}

const nb_limits nb_limits_scalar = {scalar_read, scalar_read, scalar_f32, scalar_int8, 8, 8};

static const nb_limits *limits_of(const nb_kernels *kernels)
{
    static const struct {
        const char *level;
        const nb_limits *limits;
    } all[] = {
        {"scalar", &nb_limits_scalar},
#if defined(__x86_64__)
        {"avx2", &nb_limits_avx2},
        {"avxvnni", &nb_limits_avxvnni},
        {"avx512", &nb_limits_avx512},
        {"amx", &nb_limits_avx512},
#elif defined(__aarch64__)
        {"neon", &nb_limits_neon},
#endif
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].level, kernels->name) == 0)
            return all[i].limits;
    return &nb_limits_scalar;
}

/* --- reading --- */

typedef struct {
    void (*read)(const uint8_t *data, size_t n_bytes);
    const uint8_t *data;
} read_job;

static void read_pages(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const read_job *job = user;
    job->read(job->data + begin * PAGE, (end - begin) * PAGE);
}

/* The fastest of several passes, in seconds. */
static double fastest(nb_context *context, size_t n_items, size_t grain, nb_parallel_fn *fn, void *job)
{
    double best = INFINITY;
    const double begin = seconds();
    int rounds = 0;
    do {
        const double start = seconds();
        nb_parallel(context->pool, n_items, grain, fn, job);
        best = fmin(best, seconds() - start);
    } while (++rounds < 3 || seconds() - begin < measure_seconds);
    return best;
}

double nb_measure_read_bandwidth(nb_context *context, size_t n_bytes)
{
    const nb_limits *limits = limits_of(context->kernels);
    const size_t n_pages = nb_max_size(n_bytes / PAGE, 1);
    uint8_t *data = nb_aligned_calloc(n_pages, PAGE);
    if (data == NULL)
        return 0.0;
    memset(data, 1, n_pages * PAGE); /* pages of its own, not the system's one page of zeros */
    read_job one = {limits->read_one, data}, four = {limits->read_four, data};
    const double best =
        fmin(fastest(context, n_pages, 1, read_pages, &one), fastest(context, n_pages, 1, read_pages, &four));
    nb_aligned_free(data);
    return (double)(n_pages * PAGE) / best;
}

/* --- multiplying --- */

enum { ROUNDS = 2000, PIECES = 32 };

typedef struct {
    void (*multiply)(size_t n);
} multiply_job;

static void multiply_pieces(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const multiply_job *job = user;
    job->multiply((end - begin) * ROUNDS);
}

static double peak(nb_context *context, void (*multiply)(size_t n), double per_round)
{
    multiply_job job = {multiply};
    return PIECES * ROUNDS * per_round / fastest(context, PIECES, 1, multiply_pieces, &job);
}

double nb_measure_fma_peak(nb_context *context)
{
    const nb_limits *limits = limits_of(context->kernels);
    return peak(context, limits->multiply_f32, limits->f32_per_round);
}

double nb_measure_int8_peak(nb_context *context)
{
    const nb_limits *limits = limits_of(context->kernels);
    return peak(context, limits->multiply_int8, limits->int8_per_round);
}

double nb_measure_tile_peak(nb_context *context)
{
#if defined(__x86_64__)
    if (strcmp(context->kernels->name, "amx") == 0)
        return peak(context, nb_multiply_tiles_amx, 4.0 * 2 * 16 * 16 * 64);
#endif
    (void)context;
    return 0.0;
}
