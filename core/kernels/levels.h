/* What each CPU level brings to the kernel table. A level's own files define these; kernels.c calls them
 * once. A level that the target architecture cannot have is declared here, but nowhere defined or called. */
#ifndef NB_KERNELS_LEVELS_H
#define NB_KERNELS_LEVELS_H

#include "kernels/kernels.h"

/* Kinds of lines beyond the bit planes and panels of matmul_template_int.h: 4-bit codes that are looked up. The low
 * four bits of a kind say how many bits its values have. */
enum { KIND_TABLES = 32, KIND_E2M1 = 37, KIND_IQ4 = 40 };

/* The matmul fields, wants_wide, row_group_grain. */
void nb_kernels_fill_matmul_scalar(nb_kernels *k);
void nb_kernels_fill_matmul_avx2(nb_kernels *k);
void nb_kernels_fill_matmul_avxvnni(nb_kernels *k);
void nb_kernels_fill_matmul_avx512(nb_kernels *k);
void nb_kernels_fill_matmul_amx(nb_kernels *k);
void nb_kernels_fill_matmul_neon(nb_kernels *k);

/* quantize_acts and quantize_acts_scaled. avxvnni has avx2's, amx avx512's. */
void nb_kernels_fill_acts_scalar(nb_kernels *k);
void nb_kernels_fill_acts_avx2(nb_kernels *k);
void nb_kernels_fill_acts_avx512(nb_kernels *k);
void nb_kernels_fill_acts_neon(nb_kernels *k);

/* Everything else. avxvnni has nothing to add to avx2's, nor amx to avx512's. */
void nb_kernels_fill_ops_scalar(nb_kernels *k);
void nb_kernels_fill_ops_avx2(nb_kernels *k);
void nb_kernels_fill_ops_avx512(nb_kernels *k);
void nb_kernels_fill_ops_neon(nb_kernels *k);

/* What amx takes from avx512: codes of less than 8 bits, less their zero points, as int8.
 * out: [n_blocks][8 quads][16 rows][4], aligned to 64. */
void nb_unpack_signed_avx512(const nb_packed *w, size_t group, size_t block, size_t n_blocks, uint8_t *out);
/* And the outliers of an INT matmul on top of what y holds, where there are many. */
void nb_add_outliers_avx512(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y, size_t y_stride);

#endif
