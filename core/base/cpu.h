/* CPU features: a set, not a ladder. A level is a named set that one build of the kernels needs. */
#ifndef NB_BASE_CPU_H
#define NB_BASE_CPU_H

#include <stddef.h>
#include <stdint.h>

enum {
    NB_CPU_AVX2 = 1 << 0,
    NB_CPU_FMA = 1 << 1,
    NB_CPU_F16C = 1 << 2,
    NB_CPU_AVXVNNI = 1 << 3,
    NB_CPU_AVX512 = 1 << 4, /* F, BW, DQ and VL together */
    NB_CPU_AVX512VNNI = 1 << 5,
    NB_CPU_NEON = 1 << 6,
    NB_CPU_DOTPROD = 1 << 7,
    NB_CPU_I8MM = 1 << 8,
    NB_CPU_AMX_INT8 = 1 << 9, /* tiles and their int8 products */
};

/* What this CPU has and the operating system saves across context switches; for tiles, which Linux grants on
 * request, this is the request. */
uint32_t nb_cpu_features(void);
/* Marketing name of the CPU, or the architecture's name. Fills `name`, always terminated. */
void nb_cpu_name(char *name, size_t size);
/* Cores that this process may run on. At least 1. */
unsigned nb_cpu_count(void);

#endif
