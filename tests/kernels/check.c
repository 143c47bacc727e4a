/* The harness: buffers, comparing, the lines that are printed, the command line. See check.h. */
#include "check.h"

#include "base/cpu.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { N_BUFFERS = 24, MARGIN = 256, PATTERN = 0xa5 };
enum { BUFFER_BYTES = 16 << 20 };

/* Each between two unreadable pages; mapped once, touched only where used. */
static unsigned char *buffers[N_BUFFERS];

/* Where a touched unreadable page lands. */
static sigjmp_buf *landing;

static void map_buffers(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < N_BUFFERS; i++) {
        unsigned char *p = mmap(NULL, BUFFER_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + page, BUFFER_BYTES, PROT_READ | PROT_WRITE) != 0) {
            perror("check-kernels: no memory for buffers");
            exit(1);
        }
        buffers[i] = p + page;
    }
}

static void on_fault(int signal_number)
{
    if (landing)
        siglongjmp(*landing, 1);
    signal(signal_number, SIG_DFL);
}

static void watch_for_faults(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_fault;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* FNV-1a. */
static uint64_t digest_of(uint64_t digest, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        digest = (digest ^ p[i]) * 0x100000001b3u;
    return digest;
}

static void fail(nb_check *check, const char *format, ...)
{
    check->n_bad++;
    if (check->quiet || check->n_bad > 3)
        return;
    printf("    %s %s, %s: ", check->level->name, check->kernel, check->what);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

bool nb_check_begin(nb_check *check, const char *kernel)
{
    if (check->only_kernel && strncmp(kernel, check->only_kernel, strlen(check->only_kernel)) != 0)
        return false;
    check->kernel = kernel;
    check->what[0] = '\0';
    check->n_cases = check->n_bad = 0;
    nb_random_seed(&check->random, digest_of(check->seed, kernel, strlen(kernel)));
    return true;
}

void nb_check_end(nb_check *check)
{
    check->n_kernels++;
    check->n_all_cases += check->n_cases;
    check->n_bad_kernels += check->n_bad > 0;
    if (check->quiet)
        return;
    if (check->n_bad)
        printf("%-22s %-8s %zu of %zu cases BAD\n", check->kernel, check->level->name, check->n_bad,
               check->n_cases);
    else
        printf("%-22s %-8s equal in %zu cases\n", check->kernel, check->level->name, check->n_cases);
    fflush(stdout);
}

void nb_check_case(nb_check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->what, sizeof check->what, format, arguments);
    va_end(arguments);
    check->n_cases++;
    check->n_buffers = 0;
    check->at_front = check->n_cases % 4 == 0;
}

void nb_check_run(nb_check *check, void (*check_one)(nb_check *check))
{
    sigjmp_buf *outer = landing;
    sigjmp_buf here;
    if (sigsetjmp(here, 1) == 0) {
        landing = &here;
        check_one(check);
    } else {
        fail(check, "touches memory beyond its buffers");
        nb_check_end(check);
    }
    landing = outer;
}

/* The used bytes of a buffer and, on its inner side, MARGIN bytes that nobody may write. */
static void *take_buffer(nb_check *check, size_t n_bytes)
{
    if (check->n_buffers == N_BUFFERS || n_bytes > BUFFER_BYTES - MARGIN) {
        fprintf(stderr, "check-kernels: %s needs more or larger buffers than there are\n", check->kernel);
        exit(1);
    }
    unsigned char *whole = buffers[check->n_buffers++];
    if (check->at_front) {
        memset(whole, PATTERN, n_bytes + MARGIN);
        return whole;
    }
    unsigned char *start = whole + BUFFER_BYTES - n_bytes;
    memset(start - MARGIN, PATTERN, n_bytes + MARGIN);
    return start;
}

void *nb_check_input(nb_check *check, size_t n_bytes)
{
    return take_buffer(check, n_bytes);
}

nb_check_output nb_check_output_create(nb_check *check, size_t n_bytes)
{
    void *want = take_buffer(check, n_bytes);
    return (nb_check_output){want, take_buffer(check, n_bytes), n_bytes};
}

static bool margin_is_whole(const nb_check *check, const void *start, size_t n_bytes)
{
    const unsigned char *margin =
        (const unsigned char *)start + (check->at_front ? (ptrdiff_t)n_bytes : -MARGIN);
    for (int i = 0; i < MARGIN; i++)
        if (margin[i] != PATTERN)
            return false;
    return true;
}

void nb_check_same(nb_check *check, const nb_check_output *output)
{
    const unsigned char *want = output->want, *got = output->got;
    check->digest = digest_of(check->digest, want, output->n_bytes);
    if (!margin_is_whole(check, want, output->n_bytes)) {
        fail(check, "the definition writes outside its output");
    } else if (memcmp(want, got, output->n_bytes) != 0) {
        size_t i = 0;
        while (want[i] == got[i])
            i++;
        i = i / 4 * 4;
        uint32_t a = 0, b = 0;
        const size_t n = output->n_bytes - i < 4 ? output->n_bytes - i : 4;
        memcpy(&a, want + i, n);
        memcpy(&b, got + i, n);
        fail(check, "byte %zu of %zu: %08x instead of %08x", i, output->n_bytes, (unsigned)b, (unsigned)a);
    } else if (!margin_is_whole(check, got, output->n_bytes)) {
        fail(check, "writes outside its output");
    }
}

void nb_check_same_f32(nb_check *check, float want, float got)
{
    check->digest = digest_of(check->digest, &want, sizeof want);
    if (memcmp(&want, &got, sizeof want) != 0)
        fail(check, "%a instead of %a", (double)got, (double)want);
}

void nb_check_same_f64(nb_check *check, double want, double got)
{
    check->digest = digest_of(check->digest, &want, sizeof want);
    if (memcmp(&want, &got, sizeof want) != 0)
        fail(check, "%a instead of %a", got, want);
}

size_t nb_check_below(nb_check *check, size_t n)
{
    return (size_t)nb_random_below(&check->random, n);
}

nb_fill nb_check_any_fill(nb_check *check)
{
    return (nb_fill)nb_check_below(check, NB_FILL_COUNT);
}

static uint32_t special_bits(nb_check *check, uint32_t random)
{
    static const uint32_t bits[] = {
        0x7fc00000, 0xffc00000, 0x7fc12345, 0xff812345, 0x7f800001, /* NaNs: quiet, signalling, payloads */
        0x7f800000, 0xff800000, 0x00000000, 0x80000000, 0x00000001, 0x807fffff,
        0x00800000, 0x7f7fffff, 0xff7fffff,
    };
    const size_t n = sizeof bits / sizeof bits[0];
    const size_t which = nb_check_below(check, 40 * n);
    return which < n ? bits[which] : random;
}

void nb_check_fill(nb_check *check, float *x, size_t n, nb_fill fill)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t random = nb_random_u64(&check->random);
        const uint32_t sign = (uint32_t)(random >> 32) & 0x80000000u;
        const uint32_t fraction = (uint32_t)random & 0x007fffffu;
        const float plain = (float)((double)(random >> 40) * 0x1p-21 - 4.0); /* 24 bits: exact */
        uint32_t bits;
        memcpy(&bits, &plain, sizeof bits);
        switch (fill) {
        case NB_FILL_WIDE:
            bits = sign | (uint32_t)((random >> 24) % 255) << 23 | fraction;
            break;
        case NB_FILL_TINY:
            bits = sign | (random >> 40 & 1 ? fraction : fraction >> 20);
            break;
        case NB_FILL_HUGE:
            bits = sign | (uint32_t)(247 + (random >> 24) % 8) << 23 | fraction;
            break;
        case NB_FILL_ZERO:
            bits = sign;
            break;
        case NB_FILL_SPECIAL:
            bits = special_bits(check, bits);
            break;
        default:
            break;
        }
        memcpy(x + i, &bits, sizeof bits);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double nb_check_time(void (*run)(void *job), void *job)
{
    size_t n = 1;
    double best = 1e9;
    run(job);
    for (int round = 0; round < 7; round++) {
        double elapsed;
        for (;;) {
            const double begin = now();
            for (size_t i = 0; i < n; i++)
                run(job);
            elapsed = now() - begin;
            if (elapsed >= 5e-3)
                break;
            n = elapsed > 1e-6 ? (size_t)((double)n * 6e-3 / elapsed) + 1 : n * 64;
        }
        if (elapsed / (double)n < best)
            best = elapsed / (double)n;
    }
    return best;
}

/* ---- the command line ---- */

typedef struct options {
    const char *level;
    bool bench;
} options;

static void usage(void)
{
    fprintf(stderr, "usage: check-kernels [--kernel NAME] [--level NAME] [--seed N] [--bench]\n"
                    "  compares every kernel of every level of this CPU with its definition, bit for bit;\n"
                    "  --bench times them too\n");
    exit(2);
}

static options parse(int n_arguments, char **arguments, nb_check *check)
{
    options o = {NULL, false};
    for (int i = 1; i < n_arguments; i++) {
        const char *name = arguments[i], *value = i + 1 < n_arguments ? arguments[i + 1] : NULL;
        if (strcmp(name, "--bench") == 0) {
            o.bench = true;
            continue;
        }
        if (!value)
            usage();
        if (strcmp(name, "--kernel") == 0)
            check->only_kernel = value;
        else if (strcmp(name, "--level") == 0)
            o.level = value;
        else if (strcmp(name, "--seed") == 0)
            check->seed = strtoull(value, NULL, 10);
        else
            usage();
        i++;
    }
    if (o.level && !nb_kernels_find(o.level)) {
        fprintf(stderr, "check-kernels: this build has no level '%s'\n", o.level);
        exit(2);
    }
    return o;
}

/* Every level that this CPU has. The definition is compared with itself where there is nothing else: that
 * still looks for stray writes, and gives the digest. */
static size_t chosen_levels(const options *o, const nb_kernels **levels, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < nb_kernels_count() && n < most; i++) {
        const nb_kernels *k = nb_kernels_at(i);
        const bool wanted = o->level ? strcmp(k->name, o->level) == 0 : i > 0;
        if (!wanted)
            continue;
        if ((k->needs & ~nb_cpu_features()) != 0)
            printf("%-22s %-8s not on this CPU\n", "", k->name);
        else
            levels[n++] = k;
    }
    if (n == 0 && !o->level)
        levels[n++] = nb_kernels_at(0);
    return n;
}

/* All kernels of a level. */
static void check_level(nb_check *check, const nb_kernels *level)
{
    check->level = level;
    check->digest = 0xcbf29ce484222325u;
    nb_check_run(check, nb_check_ops);
    nb_check_run(check, nb_check_matmul);
    const uint64_t digest = check->digest;
    check->digest = 0xcbf29ce484222325u;
    nb_check_run(check, nb_check_blocks);
    check->block_digest = check->digest;
    check->digest = digest;
}

/* A check that catches nothing is none. */
static bool catches_broken_kernels(nb_check *check)
{
    nb_check trial = *check;
    trial.level = check->reference;
    trial.quiet = true;
    trial.only_kernel = NULL;
    const bool caught = nb_check_catches_broken_ops(&trial) && nb_check_catches_broken_matmul(&trial) &&
                        nb_check_catches_broken_blocks(&trial);
    printf("%-22s %s\n", "broken kernels", caught ? "are caught" : "are NOT caught");
    return caught;
}

int main(int n_arguments, char **arguments)
{
    nb_check check;
    memset(&check, 0, sizeof check);
    check.seed = 1;
    check.reference = nb_kernels_at(0);
    const options o = parse(n_arguments, arguments, &check);
    const nb_kernels *levels[16];
    const size_t n_levels = chosen_levels(&o, levels, 16);
    if (n_levels == 0) {
        fprintf(stderr, "check-kernels: this CPU lacks the level '%s'\n", o.level);
        return 2;
    }
    map_buffers();
    watch_for_faults();
    const bool caught = catches_broken_kernels(&check);
    for (size_t i = 0; i < n_levels; i++)
        check_level(&check, levels[i]);
    printf("%zu kernels on %zu levels, %zu cases, seed %llu: ", check.n_kernels / n_levels, n_levels,
           check.n_all_cases, (unsigned long long)check.seed);
    if (check.n_bad_kernels)
        printf("%zu BAD\n", check.n_bad_kernels);
    else
        printf("all equal to the definition\n");
    printf("the definition's numbers have the digest %016llx, on every machine; those of block formats %016llx\n",
           (unsigned long long)check.digest, (unsigned long long)check.block_digest);
    for (size_t i = 0; o.bench && i < n_levels; i++) {
        check.level = levels[i];
        nb_bench_ops(&check);
        nb_bench_matmul(&check);
    }
    return check.n_bad_kernels > 0 || check.n_kernels == 0 || !caught;
}
