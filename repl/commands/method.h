/* Methods that do more than round: quantize SCOPE NAME. One row each, in one file each; help, completion and errors walk
 * them. */
#ifndef NB_REPL_COMMANDS_METHOD_H
#define NB_REPL_COMMANDS_METHOD_H

#include "repl/commands/calibrate.h"
#include "repl/notebook.h"

enum { NB_METHOD_MOST_OPTIONS = 16 };

typedef struct nb_method {
    const char *name;
    const char *summary;
    const char *options[NB_METHOD_MOST_OPTIONS]; /* of quantize that it looks at, beside --keep */
    /* Stores the scope's tensors, and tells what came of it (quantize.h: nb_quantize_begin, nb_quantize_report). */
    nb_status (*run)(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, nb_items *out,
                     nb_error *error);
} nb_method;

extern const nb_method nb_method_awq, nb_method_gptq, nb_method_hqq, nb_method_zeroquant;

/* NULL beyond the last one; NULL if there is none of that name. */
const nb_method *nb_method_at(size_t index);
const nb_method *nb_method_find(const char *name);
/* Refuses options that the method (NULL: rounding) has no use for, naming a method that has. */
nb_status nb_method_check_options(const nb_call *call, const nb_method *method, nb_error *error);
/* Whether rounding asks for a calibration: static scales of activations, or outliers. */
bool nb_rounding_calibrates(const nb_call *call);
/* What --format, or --bits, --per and --scheme, say a method is to fill; unless said integers of `bits` with one scale and
 * zero point for 128 columns. */
nb_status nb_method_quantizer(const nb_call *call, unsigned bits, nb_quantizer *out, nb_error *error);

/* Options of quantize that methods alone have. */
#define NB_METHOD_OPTIONS                                                                                              \
    {.name = "format", .kind = NB_WORD_FORMAT, .value = "FORMAT", .summary = "gptq, awq: fill this format instead"},   \
        {.name = "scheme",                                                                                             \
         .kind = NB_WORD_CHOICE,                                                                                       \
         .value = "WHAT",                                                                                              \
         .choices = "zeropoint absmax",                                                                                \
         .summary = "of a method's codes; zeropoint unless said"},                                                     \
        NB_CALIBRATION_TEXT_OPTIONS(16, "each method has its number"),                                                 \
        {.name = "duo", .kind = NB_WORD_FLAG, .summary = "awq: factors from weights too, as AutoAWQ has them"},        \
        {.name = "act-order", .kind = NB_WORD_FLAG, .summary = "gptq: columns with large activations first"},          \
        {.name = "static-groups", .kind = NB_WORD_FLAG, .summary = "gptq: scales from the weights as they were"},      \
        {.name = "damp",                                                                                               \
         .kind = NB_WORD_NUMBER,                                                                                       \
         .value = "D",                                                                                                 \
         .low = 0,                                                                                                     \
         .high = 1,                                                                                                    \
         .summary = "gptq: added to the diagonal, of its mean; 0.01 unless said"},                                     \
        {.name = "steps",                                                                                              \
         .kind = NB_WORD_COUNT,                                                                                        \
         .value = "N",                                                                                                 \
         .low = 1,                                                                                                     \
         .high = 1e5,                                                                                                  \
         .summary = "zeroquant: of teaching, for each block; 48 unless said"},                                                                          \
    {                                                                                                                  \
        .name = "trace", .kind = NB_WORD_FLAG, .summary = "gptq: shows the error move from column to column"           \
    }

#endif
