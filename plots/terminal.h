/* Asking a terminal what it can show. */
#ifndef NB_PLOTS_TERMINAL_H
#define NB_PLOTS_TERMINAL_H

#include "plots/plots.h"

/* Asks the terminal behind `fd` (open for reading and writing): kitty graphics, the cell's size, the paper's
 * colour, its attributes, in one write; reads until the attributes come or `limit_ms` passed. Its mode is as
 * before when this returns, and the replies are gone. Nothing is asked in the background of a shell, nor
 * when somebody has typed ahead. Fills the fields of `out` that replies speak of, and its `picture` with
 * KITTY or SIXEL if it has them. */
void nb_terminal_ask(int fd, bool ask_kitty, int limit_ms, nb_terminal *out);
/* What replies say; for nb_terminal_ask. */
void nb_terminal_read_replies(const char *replies, nb_terminal *out);

#endif
