/* The production path: nibble generate, perplexity, quantize, inspect, bench, tokenizer, doctor. The same
 * rows as the notebook's commands, the same core underneath. */
#ifndef NB_REPL_SUBCOMMANDS_H
#define NB_REPL_SUBCOMMANDS_H

#include "repl/command.h"

size_t nb_subcommand_count(void);
const nb_command *nb_subcommand_at(size_t index);
const nb_command *nb_subcommand_find(const char *name);

/* `nibble NAME ARGUMENTS...`: arguments[0] is the name. Returns the program's exit status. */
int nb_subcommand_run(const nb_command *subcommand, int n_arguments, char **arguments);

extern const nb_command nb_subcommand_grade;
extern const nb_command nb_subcommand_generate, nb_subcommand_perplexity, nb_subcommand_quantize,
    nb_subcommand_quiz, nb_subcommand_bench, nb_subcommand_tokenizer,
    nb_subcommand_corpus, nb_subcommand_train;

/* Options that every subcommand with a model has. */
#define NB_MODEL_OPTIONS                                                                                     \
    {.name = "model",                                                                                        \
     .letter = 'm',                                                                                          \
     .kind = NB_WORD_FILE,                                                                                   \
     .value = "FILE",                                                                                        \
     .summary = "the model: GGUF or llama2.c"},                                                              \
        {.name = "tokenizer",                                                                                \
         .kind = NB_WORD_FILE,                                                                               \
         .value = "FILE",                                                                                    \
         .summary = "the tokenizer.bin of a llama2.c model"},                                                \
        NB_THREADS_OPTION
#define NB_THREADS_OPTION                                                                                    \
    {                                                                                                        \
        .name = "threads", .letter = 't', .kind = NB_WORD_COUNT, .value = "N", .low = 1, .high = 256,        \
        .summary = "cores to compute with; all unless said"                                                  \
    }

/* Loads -m FILE into the notebook. */
nb_status nb_subcommand_load(struct nb_notebook *notebook, const nb_call *call, nb_error *error);

#endif
