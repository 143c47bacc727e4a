/* What the notebook's generate and compare and the subcommand of that name share. */
#ifndef NB_REPL_COMMANDS_GENERATE_H
#define NB_REPL_COMMANDS_GENERATE_H

#include "repl/notebook.h"

/* Options that nb_sampling_read looks at. A seed is a whole number that f64 holds. */
#define NB_SAMPLING_OPTIONS                                                                                  \
    {.name = "temperature",                                                                                  \
     .alias = "temp",                                                                                        \
     .kind = NB_WORD_NUMBER,                                                                                 \
     .value = "T",                                                                                           \
     .low = 0,                                                                                               \
     .high = 100,                                                                                            \
     .summary = "0: always the likeliest; 1: as the model says"},                                            \
        {.name = "top-k",                                                                                    \
         .kind = NB_WORD_COUNT,                                                                              \
         .value = "K",                                                                                       \
         .low = 0,                                                                                           \
         .high = 1 << 24,                                                                                    \
         .summary = "choose among the K likeliest; 0: all"},                                                 \
        {.name = "top-p",                                                                                    \
         .kind = NB_WORD_NUMBER,                                                                             \
         .value = "P",                                                                                       \
         .low = 0,                                                                                           \
         .high = 1,                                                                                          \
         .summary = "choose among those that together have probability P"},                                  \
        {.name = "min-p",                                                                                    \
         .kind = NB_WORD_NUMBER,                                                                             \
         .value = "P",                                                                                       \
         .low = 0,                                                                                           \
         .high = 1,                                                                                          \
         .summary = "choose among those at least P times as likely as the first"},                           \
    {                                                                                                        \
        .name = "seed", .kind = NB_WORD_COUNT, .value = "S", .low = 0, .high = 9007199254740992.0,           \
        .summary = "the same seed gives the same text"                                                       \
    }

nb_sampler_options nb_sampling_read(const nb_call *call, const nb_sampler_options *otherwise);

/* nb_generate with a session of its own, no larger than it needs. */
nb_status nb_generate_text(nb_model *model, nb_weights weights, const char *prompt, size_t n_tokens,
                           const nb_sampler_options *sampling, nb_stream_fn *stream, void *user,
                           nb_generation *out, nb_error *error);

/* How many tokens, how they were chosen, and how fast. */
void nb_generation_report(const nb_notebook *notebook, const nb_generation *made, const nb_sampler_options *sampling,
                          nb_items *out);

#endif
