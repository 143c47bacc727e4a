/* What the notebook's quantize and the subcommand of that name share. */
#ifndef NB_REPL_COMMANDS_QUANTIZE_H
#define NB_REPL_COMMANDS_QUANTIZE_H

#include "repl/commands/calibrate.h"
#include "repl/commands/method.h"
#include "repl/commands/recipe.h"
#include "repl/notebook.h"

/* Options that nb_quantizer_read looks at. */
#define NB_QUANTIZER_OPTIONS NB_QUANTIZER_OPTIONS_WITH("f32|int8", "int8 f32")
/* The same where activations can be more than that. */
#define NB_QUANTIZER_OPTIONS_WITH(ACTIVATIONS, CHOICES)                                                      \
    {.name = "bits",                                                                                         \
     .letter = 'b',                                                                                          \
     .kind = NB_WORD_COUNT,                                                                                  \
     .value = "N",                                                                                           \
     .low = 2,                                                                                               \
     .high = 8,                                                                                              \
     .summary = "bits of a code, 2 to 8; 8 unless said, by methods 4"},                                      \
        {.name = "per",                                                                                      \
         .kind = NB_WORD_PER,                                                                                \
         .value = "WHAT",                                                                                    \
         .summary = "share a scale per tensor, channel or group:N"},                                         \
        {.name = "activations",                                                                              \
         .kind = NB_WORD_CHOICE,                                                                             \
         .value = ACTIVATIONS,                                                                               \
         .choices = CHOICES,                                                                                 \
         .summary = "what the weights are multiplied with; int8 unless said"},                               \
        {.name = "scales",                                                                                   \
         .kind = NB_WORD_CHOICE,                                                                             \
         .value = "f16|f32",                                                                                 \
         .choices = "f16 f32",                                                                               \
         .summary = "how scales are stored; f16 unless said"},                                               \
        {.name = "double", .kind = NB_WORD_FLAG, .summary = "nf4 and fp4: quantize the scales too"},         \
    {                                                                                                        \
        .name = "convention", .kind = NB_WORD_CHOICE, .value = "labonne", .choices = "divide labonne",       \
        .summary = "labonne: multiply by 127 / max, a zero point without 0"                                  \
    }

/* Everything that quantize takes. */
#define NB_QUANTIZE_OPTIONS                                                                                  \
    NB_QUANTIZER_OPTIONS_WITH("WHAT", "int8 f32 token dynamic static static:channel"), NB_OBSERVER_OPTION,   \
        {.name = "outliers",                                                                                 \
         .kind = NB_WORD_NUMBER,                                                                             \
         .value = "X",                                                                                       \
         .low = 0,                                                                                           \
         .high = 1e9,                                                                                        \
         .summary = "intN: columns whose activations reach X stay f16"},                                     \
        NB_METHOD_OPTIONS, NB_RECIPE_OPTIONS

/* WHAT is a scheme or a format; the rest comes from the call's options. */
nb_status nb_quantizer_read(const char *what, const nb_call *call, nb_quantizer *out, nb_error *error);
/* "tensor", "channel", "group:64", as --per has it. */
nb_status nb_granularity_read(const char *text, nb_quantizer *out, nb_error *error);
/* How a scope was stored before, for a sentence about what a change brought. */
typedef struct nb_quantize_past {
    double sqnr, bits; /* mean SQNR, NaN unless every tensor was quantized; bits a weight */
} nb_quantize_past;
/* Measures the speed of the untouched model for compare, before its first change. */
nb_status nb_quantize_know_speed(nb_notebook *notebook, nb_error *error);
/* Before a scope is quantized: looks at it, and at that speed. */
nb_status nb_quantize_begin(nb_notebook *notebook, const nb_scope *scope, nb_quantize_past *past,
                            nb_error *error);
/* Says what came of it. */
void nb_quantize_report(nb_notebook *notebook, const nb_scope *scope, const nb_quantizer *quantizer,
                        const nb_tensor_loss *losses, const nb_quantize_past *past, nb_items *out);

/* Takes the tensors of `keep` out of `scope`. */
nb_status nb_scope_leave_out(nb_scope *scope, const nb_scope *keep, nb_error *error);

/* quantize SCOPE RECIPE: of `all` the recipe decides everything, embeddings and head too. */
nb_run_fn nb_quantize_by_recipe;
/* quantize SCOPE with FUNCTION: each tensor becomes what a function of the learner makes of its original. */
nb_status nb_quantize_with(nb_notebook *notebook, const nb_call *call, const nb_scope *scope, nb_items *out,
                           nb_error *error);

#endif
