/* A way to store the model as a person types it after `quantize SCOPE`: "gptq --bits 3 --per group:64". */
#ifndef NB_REPL_COMMANDS_TYPED_WAY_H
#define NB_REPL_COMMANDS_TYPED_WAY_H

#include "quant/front.h"
#include "repl/notebook.h"
#include "repl/parse.h"

typedef struct nb_typed_way {
    nb_notebook *notebook;
    char *typed;
    nb_line line;
} nb_typed_way;

/* Whether `quantize SCOPE` would take it as a method, or with options: what a format or recipe alone is not. */
bool nb_is_typed_way(const char *typed);
/* Reads it, and refuses what `quantize` would before it looks at a tensor. */
nb_status nb_typed_way_create(nb_notebook *notebook, const char *scope, const char *typed, nb_typed_way **out,
                              nb_error *error);
void nb_typed_way_destroy(nb_typed_way **way);
/* As nb_way calls it, with a nb_typed_way. What the command says is dropped, and `undo` does not get to know of it. */
nb_status nb_typed_way_store(void *way, nb_error *error);

#endif
