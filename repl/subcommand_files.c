/* nibble quantize. */
#include "repl/commands/quantize.h"
#include "repl/commands/recipe.h"
#include "repl/describe.h"
#include "repl/numbers.h"
#include "repl/subcommands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static nb_status quantize_model(nb_notebook *notebook, const nb_call *call, const nb_quantizer *quantizer,
                                nb_items *out, nb_error *error)
{
    nb_scope scope = {0}, keep = {0};
    const char *kept = nb_call_text(call, "keep", NULL);
    nb_status status =
        nb_scope_resolve(notebook->model, nb_call_text(call, "scope", "all"), false, &scope, error);
    if (status == NB_OK && kept)
        status = nb_scope_resolve(notebook->model, kept, false, &keep, error);
    if (status == NB_OK && kept)
        status = nb_scope_leave_out(&scope, &keep, error);
    uint64_t before = nb_model_n_bytes(notebook->model);
    if (status == NB_OK)
        status = nb_model_quantize(notebook->model, &scope, quantizer, NULL, error);
    if (status == NB_OK)
        status = nb_model_save(notebook->model, call->arguments[1], error);
    if (status == NB_OK) {
        uint64_t after = nb_model_n_bytes(notebook->model);
        char name[96];
        nb_items_text(out, "%s: %zu tensors %s, %s -> %s, %s bits a weight", call->arguments[1], scope.count,
                      nb_quantizer_describe(quantizer, name, sizeof name), nb_bytes(before).text,
                      nb_bytes(after).text,
                      nb_fixed(nb_bits_per_weight(after, nb_model_n_parameters(notebook->model)), 2).text);
        if (*scope.left)
            nb_items_text(out, "left as they were: %s", scope.left);
    }
    nb_scope_free(&scope);
    nb_scope_free(&keep);
    return status;
}

/* As llama-quantize does it: the whole file, embeddings and head too. */
static nb_status follow_recipe(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_recipe *recipe = NULL;
    nb_status status = nb_recipe_read(notebook, call->arguments[2], call, &recipe, error);
    if (status == NB_OK)
        status = nb_recipe_apply(notebook, recipe, NULL, call, out, error);
    if (status == NB_OK)
        status = nb_model_save(notebook->model, call->arguments[1], error);
    nb_recipe_destroy(&recipe);
    return status;
}

static nb_status run_quantize(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_quantizer quantizer = {0};
    char *path = NULL;
    const bool is_recipe = !nb_call_has(call, "scope") && nb_is_recipe(call->arguments[2]);
    nb_status status = is_recipe ? NB_OK : nb_recipe_check_options(call, error);
    if (status == NB_OK && !is_recipe)
        status = nb_quantizer_read(call->arguments[2], call, &quantizer, error);
    if (status == NB_OK)
        status = nb_notebook_path(notebook, call->arguments[0], true, &path, error);
    if (status == NB_OK && nb_same_file(path, call->arguments[1]))
        status =
            nb_fail(error, NB_ERR_ARGUMENT,
                    "IN and OUT are one file, and its original numbers would be lost: give OUT another name");
    nb_load_options options = {.tokenizer = nb_call_text(call, "tokenizer", NULL)};
    if (status == NB_OK)
        status = nb_model_load(notebook->context, path, &options, &notebook->model, error);
    free(path);
    if (status != NB_OK)
        return status;
    return is_recipe ? follow_recipe(notebook, call, out, error)
                     : quantize_model(notebook, call, &quantizer, out, error);
}

const nb_command nb_subcommand_quantize = {
    .name = "quantize",
    .usage =
        "nibble quantize IN OUT absmax|zeropoint [--bits N] [--per tensor|channel|group:N] [--scope SCOPE]\n"
        "nibble quantize IN OUT f16|f8_e4m3|q4_k|... --scope SCOPE\n"
        "nibble quantize IN OUT q4_k_m|...|FILE.recipe [--pure] [--tensor-type \"SCOPE=FORMAT ...\"]",
    .summary = "write a model in fewer bits",
    .examples = {"nibble quantize model.gguf small.gguf absmax --bits 4 --per group:32",
                 "nibble quantize model.gguf half.gguf f16"},
    .arguments = {{"IN", NB_WORD_FILE, false},
                  {"OUT", NB_WORD_NEW_FILE, false},
                  {"WHAT", NB_WORD_STORAGE, false}},
    .options =
        {NB_QUANTIZER_OPTIONS,
         {.name = "scope",
          .kind = NB_WORD_SCOPE,
          .value = "SCOPE",
          .summary = "which tensors; all unless said"},
         NB_RECIPE_OPTIONS,
         {.name = "tokenizer",
          .kind = NB_WORD_FILE,
          .value = "FILE",
          .summary = "the tokenizer.bin of a llama2.c model"},
         NB_THREADS_OPTION},
    .needs = NB_WRITES_FILES,
    .run = run_quantize,
};
