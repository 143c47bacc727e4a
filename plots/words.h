/* Words in a figure: how wide they are, in a terminal's columns or in a picture's pixels, made to fit, and
 * free of whatever could leave their place. */
#ifndef NB_PLOTS_WORDS_H
#define NB_PLOTS_WORDS_H

#include "plots/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Reads one code point at *text (not at its end) and moves past it. Bytes that are no UTF-8 give U+FFFD,
 * one at a time. */
unsigned nb_rune_next(const char **text);
/* Columns that a terminal gives it: 0 for combining marks, 2 for wide ones, else 1. */
int nb_rune_columns(unsigned rune);
/* True for what may not reach a terminal or a script: C0, C1, DEL, line and direction controls. */
bool nb_rune_is_control(unsigned rune);

/* A measure: how much room one code point takes, in a unit that the caller knows. */
typedef double nb_rune_width(unsigned rune);
double nb_width_columns(unsigned rune);
/* In ems of DejaVu Sans and of its bold; other fonts are narrower. */
double nb_width_sans(unsigned rune);
double nb_width_sans_bold(unsigned rune);

double nb_words_width(const char *text, nb_rune_width *width);
/* Writes `text`, controls as '?', in at most `room`: first double spaces close up, then the
 * longest word loses its middle (model.layers…q_proj.weight), then the end goes. With `ascii`, marks have
 * plain stand-ins. */
void nb_words_fit(nb_buffer *out, const char *text, double room, nb_rune_width *width, bool ascii);

#endif
