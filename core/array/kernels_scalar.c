#define KERNELS nb_array_kernels_scalar
#include "array/kernels_template.h"
