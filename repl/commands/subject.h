/* What memory and plan speak of: a published model, the loaded one, or a bare number of parameters. */
#ifndef NB_REPL_COMMANDS_SUBJECT_H
#define NB_REPL_COMMANDS_SUBJECT_H

#include "repl/draft.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

/* What runs at once, and how its keys and values are kept. */
#define NB_SEQUENCE_OPTIONS                                                                                  \
    {.name = "cache",                                                                                        \
     .kind = NB_WORD_FORMAT,                                                                                 \
     .value = "FORMAT",                                                                                      \
     .summary = "keys and values; f16 if not said"},                                                         \
        {.name = "context",                                                                                  \
         .kind = NB_WORD_COUNT,                                                                              \
         .value = "N",                                                                                       \
         .summary = "tokens of a sequence; the model's own length if not said",                              \
         .low = 1,                                                                                           \
         .high = 1e8},                                                                                       \
    {                                                                                                        \
        .name = "batch", .kind = NB_WORD_COUNT, .value = "N", .summary = "sequences at once", .low = 1,      \
        .high = 1e6                                                                                          \
    }

typedef struct nb_subject {
    nb_shape shape; /* n_layers is 0 if only the number of parameters is known */
    nb_parameters parameters;
    const char *name;
} nb_subject;

/* `typed` may be NULL: the loaded model. Errors name the nearest model, and those that there are. */
nb_status nb_subject_read(const nb_notebook *notebook, const char *typed, nb_subject *out, nb_error *error);
/* "llama-7b · 6,738,415,616 parameters · 32 layers, 4096 wide, ..." */
void nb_subject_describe(const nb_subject *subject, nb_items *out);
/* Fails for a bare number of parameters. */
nb_status nb_subject_needs_layers(const nb_subject *subject, const char *why, nb_error *error);
/* A count of bytes for people; 18 EB and more are all the same. */
nb_number nb_memory(double n_bytes);
/* The format of an option, or `otherwise`. */
nb_status nb_subject_format(const nb_call *call, const char *option, const nb_format *otherwise, const nb_format **out,
                            nb_error *error);

#endif
