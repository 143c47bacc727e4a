/* What quantize, its subcommand and the command recipe share. */
#ifndef NB_REPL_COMMANDS_RECIPE_H
#define NB_REPL_COMMANDS_RECIPE_H

#include "repl/notebook.h"

/* Options that nb_recipe_read looks at. */
#define NB_RECIPE_OPTIONS                                                                                    \
    {.name = "tensor-type",                                                                                  \
     .kind = NB_WORD_TEXT,                                                                                   \
     .value = "\"SCOPE=FORMAT ...\"",                                                                        \
     .summary = "these tensors in these formats, whatever the recipe says"},                                 \
        {.name = "pure", .kind = NB_WORD_FLAG, .summary = "the recipe's base format for every tensor"},      \
    {                                                                                                        \
        .name = "keep", .kind = NB_WORD_SCOPE, .value = "SCOPE", .summary = "leave these as they are"        \
    }

/* Whether that names a built-in recipe, or a file. */
bool nb_is_recipe(const char *what);
/* Whether it ends as recipe files do: mine.recipe. */
bool nb_is_recipe_file(const char *name);
/* Whether nb_recipe_read looks at the option of that name. */
bool nb_is_recipe_option(const char *option);
/* Where no recipe is meant: refuses the options that only a recipe has. */
nb_status nb_recipe_check_options(const nb_call *call, nb_error *error);
/* A built-in recipe by its name, or a file; with what the call's options change in it. */
nb_status nb_recipe_read(const nb_notebook *notebook, const char *what, const nb_call *call, nb_recipe **out,
                         nb_error *error);
/* The tensors of `within` (NULL: of the model) that the recipe changes, and what each gets: scope->tensors and *quantizers
 * are allocated, also on failure. */
nb_status nb_recipe_spread(const nb_notebook *notebook, const nb_recipe *recipe, const nb_scope *within,
                           nb_scope *scope, nb_quantizer **quantizers, nb_error *error);
/* Stores the model's tensors as the recipe says, those of `within` only unless it is NULL, and tells what came of it. */
nb_status nb_recipe_apply(nb_notebook *notebook, const nb_recipe *recipe, const nb_scope *within,
                          const nb_call *call, nb_items *out, nb_error *error);

/* Writes a recipe's text to the file that was typed, with a comment at its end (NULL: none). */
nb_status nb_recipe_store(const nb_notebook *notebook, const nb_recipe *recipe, const char *typed, const char *comment,
                          nb_error *error);

#endif
