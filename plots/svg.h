/* What gnuplot's SVG lacks: a title that says what is seen, and fonts that a browser can find. */
#ifndef NB_PLOTS_SVG_H
#define NB_PLOTS_SVG_H

#include "plots/buffer.h"

/* Copies `svg` with the figure's sentence (may be NULL) as its title, which screen readers read, the bold
 * face as a weight of its family, and stand-ins for the family. */
void nb_svg_finish(nb_buffer *out, const char *svg, const char *sentence);

#endif
