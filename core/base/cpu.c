#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity, syscall */
#endif
#include "base/cpu.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)

/* Which register states the operating system saves (Intel SDM, volume 1, 14.3). */
static uint64_t saved_states(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Tiles are 8 KB of state for each thread that uses them, so Linux wants a process to ask first
 * (Documentation/arch/x86/xstate.rst). Where the state is not saved, or not granted, there are no tiles. */
static bool may_use_tiles(uint64_t states)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { TILE_STATES = 1 << 17 | 1 << 18, ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
    return (states & TILE_STATES) == TILE_STATES &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
#else
    (void)states;
    return false;
#endif
}

uint32_t nb_cpu_features(void)
{
    enum { OSXSAVE = 1 << 27, AVX = 1 << 28, YMM_STATE = 0x6, ZMM_STATE = 0xe6 };
    const uint32_t avx512_parts = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE) || !(c & AVX))
        return 0;
    uint64_t states = saved_states();
    if ((states & YMM_STATE) != YMM_STATE)
        return 0;
    uint32_t features = 0;
    if (c & 1u << 12)
        features |= NB_CPU_FMA;
    if (c & 1u << 29)
        features |= NB_CPU_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return features;
    if (b & 1u << 5)
        features |= NB_CPU_AVX2;
    if ((b & avx512_parts) == avx512_parts && (states & ZMM_STATE) == ZMM_STATE) {
        features |= NB_CPU_AVX512;
        if (c & 1u << 11)
            features |= NB_CPU_AVX512VNNI;
    }
    const uint32_t tile_parts = 1u << 24 | 1u << 25; /* TILE, INT8 */
    if ((d & tile_parts) == tile_parts && may_use_tiles(states))
        features |= NB_CPU_AMX_INT8;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4))
        features |= NB_CPU_AVXVNNI;
    return features;
}

void nb_cpu_name(char *name, size_t size)
{
    uint32_t words[12] = {0};
    for (uint32_t leaf = 0; leaf < 3; leaf++)
        __get_cpuid(0x80000002u + leaf, &words[4 * leaf], &words[4 * leaf + 1], &words[4 * leaf + 2],
                    &words[4 * leaf + 3]);
    char text[sizeof words + 1] = {0};
    memcpy(text, words, sizeof words);
    const char *start = text + strspn(text, " ");
    snprintf(name, size, "%s", *start ? start : "x86-64");
}

#elif defined(__aarch64__)

uint32_t nb_cpu_features(void)
{
    uint32_t features = NB_CPU_NEON;
#if defined(__linux__)
    enum { HWCAP_DOTPROD = 1 << 20, HWCAP2_HAS_I8MM = 1 << 13 };
    if (getauxval(AT_HWCAP) & HWCAP_DOTPROD)
        features |= NB_CPU_DOTPROD;
    if (getauxval(AT_HWCAP2) & HWCAP2_HAS_I8MM)
        features |= NB_CPU_I8MM;
#elif defined(__APPLE__)
    features |= NB_CPU_DOTPROD; /* every Apple silicon has it */
#endif
    return features;
}

void nb_cpu_name(char *name, size_t size)
{
    snprintf(name, size, "aarch64");
}

#else

uint32_t nb_cpu_features(void)
{
    return 0;
}
void nb_cpu_name(char *name, size_t size)
{
    snprintf(name, size, "unknown");
}

#endif

unsigned nb_cpu_count(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}
