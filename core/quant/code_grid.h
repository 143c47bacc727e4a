/* The numbers that a quantizer can hold once its scales are chosen, for several rows at once: what a method that picks
 * codes itself asks. Columns come in units that share a scale (a group of intN, a sub-block of a block format), and
 * units in cells that are chosen together (the group, the block). */
#ifndef NB_QUANT_CODE_GRID_H
#define NB_QUANT_CODE_GRID_H

#include "kernels/block_layout.h"
#include "kernels/packed.h"
#include "quant/affine.h"

enum { NB_CODE_GRID_ROWS = 96 }; /* rows at a time; of the last ones there are fewer */

typedef struct nb_code_grid {
    nb_quantizer quantizer;
    const nb_block_layout *layout; /* NULL: intN */
    size_t n_cols, unit, cell;     /* columns; the last unit and cell may be short */
    size_t n_units, n_cells;
    int lowest, highest;           /* codes u */
    nb_affine tensor;              /* NB_PER_TENSOR: chosen for all rows */
    float *scale, *minimum, *zero; /* [n_units][NB_CODE_GRID_ROWS]; w = scale * (u - zero) + minimum */
    nb_block_parts *parts;         /* [n_cells][NB_CODE_GRID_ROWS]: blocks, without their codes */
    uint8_t *blocks;               /* [NB_ROWS] rows of them */
    uint8_t *codes;                /* [NB_CODE_GRID_ROWS][n_cols]: u */
    float *scales;                 /* [NB_ROWS][n_units] and */
    uint8_t *zeros;                /* [NB_ROWS][n_units]: as they are packed */
} nb_code_grid;

typedef enum nb_code_grid_problem { NB_CODE_GRID_FINE, NB_CODE_GRID_NOT_FINITE, NB_CODE_GRID_SCALE } nb_code_grid_problem;

nb_status nb_code_grid_create(const nb_quantizer *quantizer, size_t n_cols, nb_code_grid *out, nb_error *error);
void nb_code_grid_free(nb_code_grid *grid);

/* Chooses the scales of a row's cell, of whose columns x[n] are the numbers. importance: [n] or NULL. */
nb_code_grid_problem nb_code_grid_choose(nb_code_grid *grid, size_t row, size_t cell, const float *x, size_t n,
                               const float *importance);
/* Column `column` of n_rows rows: codes into the grid, and what they stand for into w. */
void nb_code_grid_round(nb_code_grid *grid, size_t column, const float *x, size_t n_rows, float *w);
/* Packs rows [first, first + n_rows) of the matrix, which are the grid's first ones; `first` is a multiple of 16. */
void nb_code_grid_pack(nb_code_grid *grid, size_t first, size_t n_rows, nb_packed *packed);

#endif
