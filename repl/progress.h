/* A progress line on a terminal: there after a fifth of a second, gone when the command is done. */
#ifndef NB_REPL_PROGRESS_H
#define NB_REPL_PROGRESS_H

#include "nibble.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct nb_progress {
    FILE *out;
    bool draws; /* it is a terminal */
    bool utf8, colour;
    bool shown;
    double started, drawn; /* seconds */
    char what[64];
    uint64_t done, total; /* as last heard */
    char unit[32];
} nb_progress;

/* Off a terminal nothing is ever drawn, but where things stand is known. */
void nb_progress_attach(nb_progress *progress, nb_context *context);
/* Removes the line, and starts the clock of the next command. */
void nb_progress_clear(nb_progress *progress);
/* The line for `done` of `total` after `elapsed` seconds, at most `columns` wide. */
/* Where nobody knows how long it takes, `total` is 0. */
void nb_progress_line(char *text, size_t size, int columns, bool utf8, const char *what, uint64_t done,
                      uint64_t total, const char *unit, double elapsed);

/* "stopped after 176,128 of 477,172 tokens; nothing was changed", for a command that was stopped. */
void nb_progress_stopped(const nb_progress *progress, char *text, size_t size);

#endif
