/* What commands that draw have in common. */
#ifndef NB_REPL_COMMANDS_FIGURES_H
#define NB_REPL_COMMANDS_FIGURES_H

#include "repl/notebook.h"

#define NB_FIGURE_OPTIONS                                                                                    \
    {.name = "png", .kind = NB_WORD_NEW_FILE, .value = "FILE", .summary = "into a picture instead"},         \
    {                                                                                                        \
        .name = "svg", .kind = NB_WORD_NEW_FILE, .value = "FILE", .summary = "into a drawing instead"        \
    }

/* Into the files that --png and --svg name, or into the items. */
nb_status nb_figure_put(const nb_notebook *notebook, const nb_call *call, const nb_figure *figure, nb_items *out,
                        nb_error *error);

#endif
