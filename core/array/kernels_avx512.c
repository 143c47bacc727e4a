#define KERNELS nb_array_kernels_avx512
#include "array/kernels_template.h"
