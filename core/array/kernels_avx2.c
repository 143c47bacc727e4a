#define KERNELS nb_array_kernels_avx2
#include "array/kernels_template.h"
