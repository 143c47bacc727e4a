/* gnuplot as a child process: a script goes in, a picture comes out, and whatever it does, nibble goes on. */
#ifndef NB_PLOTS_GNUPLOT_H
#define NB_PLOTS_GNUPLOT_H

#include "base/status.h"

#include <stddef.h>

typedef enum nb_gnuplot_end {
    NB_GNUPLOT_DONE,
    NB_GNUPLOT_MISSING, /* no such program, or it may not be run */
    NB_GNUPLOT_FAILED,  /* it complained or died */
    NB_GNUPLOT_LATE,    /* it was killed after the limit */
} nb_gnuplot_end;

/* How long a figure may take before gnuplot is killed. Figures take 10 to 100 ms. */
enum { NB_GNUPLOT_LIMIT_MS = 5000 };

/* Runs `gnuplot -d` on the script and gives what it wrote to its standard output, allocated, with a zero
 * after it. Its exit status is the verdict: after an error gnuplot carries on and exits with 1. `end` may
 * be NULL. */
nb_status nb_gnuplot_run(const char *script, size_t n_bytes, int limit_ms, char **out, size_t *n_out,
                         nb_gnuplot_end *end, nb_error *error);

#endif
