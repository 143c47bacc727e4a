#include "array/kernels.h"

#include "kernels/kernels.h"

#include <string.h>

const nb_array_kernels *nb_array_kernels_find(const char *level)
{
#if defined(__x86_64__)
    if (strcmp(level, "avx512") == 0 || strcmp(level, "amx") == 0)
        return &nb_array_kernels_avx512;
    if (strcmp(level, "avx2") == 0 || strcmp(level, "avxvnni") == 0)
        return &nb_array_kernels_avx2;
#elif defined(__aarch64__)
    if (strcmp(level, "neon") == 0)
        return &nb_array_kernels_neon;
#endif
    (void)level;
    return &nb_array_kernels_scalar;
}

const nb_array_kernels *nb_array_kernels_of(const nb_context *context)
{
    return nb_array_kernels_find(context->kernels->name);
}
