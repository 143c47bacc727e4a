/* The frame of a picture that gnuplot draws: paper, headline, legend, axes, all placed here by measured
 * widths, so that words never overlap. */
#ifndef NB_PLOTS_PICTURE_H
#define NB_PLOTS_PICTURE_H

#include "plots/figure.h"

typedef enum nb_device { NB_DEVICE_PNG, NB_DEVICE_SVG, NB_DEVICE_SIXEL } nb_device;

typedef struct nb_canvas {
    nb_device device;
    int width, height; /* pixels */
    double em;         /* the text's size in pixels */
    bool dark;
} nb_canvas;

/* The whole script of a picture. */
void nb_picture_script(nb_buffer *script, const nb_figure_row *row, const nb_figure *figure,
                       const nb_axes *axes, const nb_canvas *canvas);

#endif
