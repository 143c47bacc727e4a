/* Pictures of dots: a Braille character is 2 x 4 of them. */
#ifndef NB_PLOTS_BRAILLE_H
#define NB_PLOTS_BRAILLE_H

#include "plots/figure.h"
#include "plots/gnuplot.h"

#include <stdint.h>

/* A black and white picture inside a portable bitmap's bytes (P4). */
typedef struct nb_bitmap {
    int width, height;
    size_t stride; /* bytes a row */
    const uint8_t *rows;
} nb_bitmap;

/* Reads one P4 picture from the front of `bytes`; the bytes that it took, 0 if there is none whole. */
size_t nb_bitmap_read(const uint8_t *bytes, size_t n_bytes, nb_bitmap *out);
/* The Braille character of the 2 x 4 dots whose top left one is (x, y); dots outside are blank. */
unsigned nb_braille_rune(const nb_bitmap *bitmap, int x, int y);

/* The plot area of `grid` as gnuplot draws it, one picture a series, the first over the second. */
nb_status nb_braille_draw(nb_grid *grid, const nb_figure_row *row, const nb_figure *figure,
                          const nb_axes *axes, nb_gnuplot_end *end, nb_error *error);

#endif
