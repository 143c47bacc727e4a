/* What the commands that read a text share. */
#ifndef NB_REPL_COMMANDS_PPL_H
#define NB_REPL_COMMANDS_PPL_H

#include "repl/notebook.h"
#include "repl/numbers.h"

enum { NB_PPL_TOKENS = 20480, NB_WAYS_TOKENS = 8192 }; /* of a text, unless told otherwise: windows of 512 */

/* Which text is read, and how much of it; LETTER is that of --tokens, or 0. */
#define NB_TEXT_OPTIONS(LETTER) NB_TEXT_OPTIONS_OF(LETTER, "20,480")
/* The same for commands that measure many times over: NB_WAYS_TOKENS. */
#define NB_WAYS_TEXT_OPTIONS NB_TEXT_OPTIONS_OF('n', "8,192")
#define NB_TEXT_OPTIONS_OF(LETTER, TOKENS)                                                                   \
    {.name = "text",                                                                                         \
     .letter = 'f',                                                                                          \
     .kind = NB_WORD_FILE,                                                                                   \
     .value = "FILE",                                                                                        \
     .summary = "the text to predict"},                                                                      \
    {                                                                                                        \
        .name = "tokens", .letter = (LETTER), .kind = NB_WORD_COUNT, .value = "N", .low = 0, .high = 1e15,   \
        .summary = "of the text's beginning; " TOKENS " unless said, 0: all"                                 \
    }

/* How the text is read: options that nb_reading_of looks at. */
#define NB_PROTOCOL_OPTIONS                                                                                  \
    {.name = "protocol",                                                                                     \
     .kind = NB_WORD_CHOICE,                                                                                 \
     .value = "nibble|llama.cpp",                                                                            \
     .choices = "nibble llama.cpp",                                                                          \
     .summary = "llama.cpp: chunks, of which the second half is scored"},                                    \
    {                                                                                                        \
        .name = "window", .alias = "ctx", .letter = 'c', .kind = NB_WORD_COUNT, .value = "N", .low = 2,      \
        .high = 512, .summary = "tokens that are read together; 512 or the context unless said"              \
    }
nb_reading nb_reading_of(const nb_call *call, size_t max_tokens);

/* "20,480 tokens", "20,480 tokens in 97 documents" */
typedef struct nb_extent {
    char text[112];
} nb_extent;
nb_extent nb_text_extent(const nb_perplexity *measured);

/* Stores the model in each of ways[n] in turn and measures it on the text that the call names: costs[n]. *text_name is that
 * text's, and lives as long as the notebook remembers it. The model stays as it was. */
nb_status nb_measure_ways(nb_notebook *notebook, const nb_call *call, const nb_way *ways, size_t n,
                          nb_perplexity *original, nb_way_cost *costs, const char **text_name, nb_error *error);

/* A perplexity with the digits that a text can tell. */
nb_number nb_perplexity_text(double ppl);
/* "+3.41 ± 0.65 %": how much more than the original's, with the error of the paired losses; "x 27.3" where that is more
 * than ten times. */
nb_extent nb_increase_text(const nb_way_cost *cost, const nb_perplexity *original);

/* Decimals that show two digits of an error. */
int nb_error_digits(double standard_error);

#endif
