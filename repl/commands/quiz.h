/* What the notebook's quiz and the subcommand of that name share. */
#ifndef NB_REPL_COMMANDS_QUIZ_H
#define NB_REPL_COMMANDS_QUIZ_H

#include "repl/notebook.h"

#define NB_QUIZ_OPTIONS                                                                                      \
    {.name = "text",                                                                                         \
     .letter = 'f',                                                                                          \
     .kind = NB_WORD_FILE,                                                                                   \
     .value = "FILE",                                                                                        \
     .summary = "stories parted by <|endoftext|>, a tab before each answer"},                                \
        {.name = "questions",                                                                                \
         .letter = 'n',                                                                                      \
         .kind = NB_WORD_COUNT,                                                                              \
         .value = "N",                                                                                       \
         .low = 0,                                                                                           \
         .high = 1e15,                                                                                       \
         .summary = "of the text's beginning; 200 unless said, 0: all"},                                     \
    {                                                                                                        \
        .name = "show", .kind = NB_WORD_COUNT, .value = "N", .low = 0, .high = 1000,                         \
        .summary = "examples, wrong answers first; 3 unless said"                                            \
    }

/* Asks the loaded model what `typed` (or the text of the last time) holds; for a model with changed tensors
 * the original too. `call` has NB_QUIZ_OPTIONS. */
nb_status nb_quiz_command(nb_notebook *notebook, const nb_call *call, const char *typed, nb_items *out,
                          nb_error *error);

#endif
