/* The table of levels. */
#include "kernels/kernels.h"

#include "base/cpu.h"
#include "kernels/levels.h"

#include <pthread.h>
#include <string.h>

typedef void fill_fn(nb_kernels *k);

typedef struct level {
    const char *name, *title;
    uint32_t needs;
    fill_fn *fill_matmul, *fill_acts, *fill_ops;
} level;

enum { NEEDS_AVX2 = NB_CPU_AVX2 | NB_CPU_FMA | NB_CPU_F16C };

/* The definition first, the best last. `needs` mirrors the flags that the Makefile gives a level's files. */
static const level levels[] = {
    {"scalar", "scalar", 0, nb_kernels_fill_matmul_scalar, nb_kernels_fill_acts_scalar, nb_kernels_fill_ops_scalar},
#if defined(__x86_64__)
    {"avx2", "avx2", NEEDS_AVX2, nb_kernels_fill_matmul_avx2, nb_kernels_fill_acts_avx2, nb_kernels_fill_ops_avx2},
    {"avxvnni", "avx-vnni", NEEDS_AVX2 | NB_CPU_AVXVNNI, nb_kernels_fill_matmul_avxvnni, nb_kernels_fill_acts_avx2,
     nb_kernels_fill_ops_avx2},
    {"avx512", "avx512-vnni", NEEDS_AVX2 | NB_CPU_AVX512 | NB_CPU_AVX512VNNI, nb_kernels_fill_matmul_avx512,
     nb_kernels_fill_acts_avx512, nb_kernels_fill_ops_avx512},
    {"amx", "amx-int8", NEEDS_AVX2 | NB_CPU_AVX512 | NB_CPU_AVX512VNNI | NB_CPU_AMX_INT8,
     nb_kernels_fill_matmul_amx, nb_kernels_fill_acts_avx512, nb_kernels_fill_ops_avx512},
#elif defined(__aarch64__)
    {"neon", "neon-dotprod", NB_CPU_NEON | NB_CPU_DOTPROD, nb_kernels_fill_matmul_neon, nb_kernels_fill_acts_neon,
     nb_kernels_fill_ops_neon},
#endif
};

enum { N_LEVELS = sizeof(levels) / sizeof(levels[0]) };

static nb_kernels table[N_LEVELS];
static pthread_once_t table_filled = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (size_t i = 0; i < N_LEVELS; i++) {
        table[i].name = levels[i].name;
        table[i].title = levels[i].title;
        table[i].needs = levels[i].needs;
        levels[i].fill_matmul(&table[i]);
        levels[i].fill_acts(&table[i]);
        levels[i].fill_ops(&table[i]);
    }
}

size_t nb_kernels_count(void) { return N_LEVELS; }

const nb_kernels *nb_kernels_at(size_t index)
{
    pthread_once(&table_filled, fill_table);
    return &table[index];
}

const nb_kernels *nb_kernels_find(const char *name)
{
    for (size_t i = 0; i < N_LEVELS; i++)
        if (strcmp(levels[i].name, name) == 0)
            return nb_kernels_at(i);
    return NULL;
}

const nb_kernels *nb_kernels_best(void)
{
    const uint32_t has = nb_cpu_features();
    size_t best = 0;
    for (size_t i = 0; i < N_LEVELS; i++)
        if ((levels[i].needs & ~has) == 0)
            best = i;
    return nb_kernels_at(best);
}
