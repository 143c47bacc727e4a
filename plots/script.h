/* A gnuplot script: words that cannot become commands, and what every figure's script shares. */
#ifndef NB_PLOTS_SCRIPT_H
#define NB_PLOTS_SCRIPT_H

#include "plots/buffer.h"
#include "plots/plots.h"

/* `text` in gnuplot's single quotes, the only form in which it runs nothing. A quote becomes an apostrophe
 * (gnuplot misreads a doubled one at the start: '''x' ends after the second), controls (newlines most of all)
 * and bytes that are no UTF-8 become '?'. */
void nb_script_quote(nb_buffer *script, const char *text);

/* A plot's part of the legend: " title 'before'", or " notitle" where there is no label. */
void nb_script_title(nb_buffer *script, const char *label);

#endif
