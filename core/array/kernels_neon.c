#define KERNELS nb_array_kernels_neon
#include "array/kernels_template.h"
