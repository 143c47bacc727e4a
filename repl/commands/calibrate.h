/* The notebook's calibration, which several commands use. */
#ifndef NB_REPL_COMMANDS_CALIBRATE_H
#define NB_REPL_COMMANDS_CALIBRATE_H

#include "quant/calibration.h"
#include "repl/notebook.h"

/* The one that is kept and is of the model as it is now; or NULL. */
const nb_calibration *nb_notebook_calibration(const nb_notebook *notebook);
/* The one that is kept, or a new one with the text that methods calibrate with; says so where it makes one.
 * It stays the notebook's. */
nb_status nb_notebook_calibrate(nb_notebook *notebook, const char *command, nb_items *out,
                                const nb_calibration **calibration, nb_error *error);
/* A new one, with that text (NULL: the one that methods calibrate with) and at most so many of its tokens (0:
 * all); without histograms of channels. */
nb_status nb_notebook_calibrate_anew(nb_notebook *notebook, const char *text, size_t n_tokens,
                                     const char *command, nb_items *out, const nb_calibration **calibration,
                                     nb_error *error);

/* Options: the text that a model is looked at with, and how much of it. */
#define NB_CALIBRATION_TEXT_OPTIONS(LEAST, HOW_MANY)                                                         \
    {.name = "text",                                                                                         \
     .letter = 'f',                                                                                          \
     .kind = NB_WORD_FILE,                                                                                   \
     .value = "FILE",                                                                                        \
     .summary = "the text to look at the model with"},                                                       \
    {                                                                                                        \
        .name = "tokens", .kind = NB_WORD_COUNT, .value = "N", .low = (LEAST), .high = 1e9,                  \
        .summary = "of it at most; " HOW_MANY                                                                \
    }

/* Of help: what becomes of a --text that methods look at the model with. */
#define NB_REMEMBERS_CALIBRATION_TEXT                                                                        \
    "Its --text is what calibrate, imatrix, transforms, budget and methods read from then on, " NB_COMMAND   \
    "set calibration" NB_END "; what ppl and compare measure on is another text, and stays."

/* "blocks", "token", "static", "static:channel"; int8 is blocks, dynamic is token. */
nb_status nb_activation_mode_read(const char *text, nb_activation_mode *out, nb_error *error);
/* Whether the mode's scales come from a calibration, and so from an observer. */
bool nb_activation_mode_is_static(nb_activation_mode mode);
/* What --observer says; unless it does, mse, and of channels minmax. */
nb_status nb_observer_read(const nb_call *call, nb_activation_mode mode, nb_observer *out, nb_error *error);

#define NB_OBSERVER_OPTION                                                                                   \
    {                                                                                                        \
        .name = "observer", .kind = NB_WORD_CHOICE, .value = "NAME",                                         \
        .choices = "minmax ema percentile mse entropy",                                                      \
        .summary = "how far static scales reach; mse unless said, by channel minmax"                         \
    }

#endif
