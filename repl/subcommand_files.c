/* nibble quantize: the notebook's quantize on a file, and save. */
#include "base/file.h"
#include "repl/commands/quantize.h"
#include "repl/commands/save.h"
#include "repl/commands/table.h"
#include "repl/subcommands.h"

#include <stdlib.h>
#include <string.h>

enum { IN, OUT, WHAT };

/* quantize SCOPE WHAT of the notebook, with the options that both have. */
static nb_call notebook_call(const nb_call *call)
{
    nb_call made = {.command = &nb_command_quantize,
                    .arguments = {nb_call_text(call, "scope", "all"), call->arguments[WHAT]},
                    .n_arguments = 2};
    for (size_t i = 0; i < nb_command_option_count(made.command); i++)
        for (size_t k = 0; k < nb_command_option_count(call->command); k++)
            if (strcmp(made.command->options[i].name, call->command->options[k].name) == 0)
                made.options[i] = call->options[k];
    return made;
}

/* Whether a file can be written there, before the work is done. */
static nb_status check_target(const char *path, nb_error *error)
{
    nb_writer *writer = NULL;
    nb_status status = nb_writer_open(path, &writer, error);
    if (status == NB_OK)
        nb_writer_abort(&writer);
    return status;
}

static nb_status load_source(nb_notebook *notebook, const nb_call *call, bool unpacked, nb_error *error)
{
    char *path = NULL;
    const nb_load_options options = {.tokenizer = nb_call_text(call, "tokenizer", NULL), .unpacked = unpacked};
    nb_status status = nb_notebook_path(notebook, call->arguments[IN], true, &path, error);
    if (status == NB_OK && nb_same_file(path, call->arguments[OUT]))
        status =
            nb_fail(error, NB_ERR_ARGUMENT,
                    "IN and OUT are one file, and its original numbers would be lost: give OUT another name");
    if (status == NB_OK)
        status = check_target(call->arguments[OUT], error);
    if (status == NB_OK)
        status = nb_model_load(notebook->context, path, &options, &notebook->model, error);
    free(path);
    return status;
}

/* A name that is both a format and a recipe, such as q8_0, is the recipe unless a scope is said: as
 * llama-quantize does it, the whole file, embeddings and head too. */
static nb_status run_quantize(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    const nb_call quantize = notebook_call(call);
    const bool is_recipe = !nb_call_has(call, "scope") && nb_is_recipe(call->arguments[WHAT]);
    nb_status status = load_source(notebook, call, is_recipe, error); /* a recipe does not run the model */
    if (status == NB_OK)
        status = (is_recipe ? nb_quantize_by_recipe : quantize.command->run)(notebook, &quantize, out, error);
    if (status == NB_OK)
        status = nb_model_pack(notebook->model, error);
    return status == NB_OK ? nb_save_model(notebook, call->arguments[OUT], out, error) : status;
}

const nb_command nb_subcommand_quantize = {
    .name = "quantize",
    .usage =
        "nibble quantize IN OUT absmax|zeropoint [--bits N] [--per tensor|channel|group:N] [--scope SCOPE]\n"
        "nibble quantize IN OUT f16|f8_e4m3|q4_k|nf4|... --scope SCOPE\n"
        "nibble quantize IN OUT gptq|awq|zeroquant --text FILE [--bits N] [--per group:N] [--format FORMAT]\n"
        "nibble quantize IN OUT hqq [--bits N] [--per group:N]\n"
        "nibble quantize IN OUT q4_k_m|...|FILE.recipe [--pure] [--tensor-type \"SCOPE=FORMAT ...\"]",
    .summary = "write a model in fewer bits",
    .details = "What quantize does in a notebook, on a file. gptq, awq and zeroquant look at the model "
               "with a text, which should look like what it will read; --activations static and --outliers "
               "do so too. A recipe stores the whole file, embeddings and head too; everything else "
               "attention and mlp, unless --scope says otherwise. Formats that GGUF has no type for are "
               "kept as codes with their scales beside them, which nibble reads and other programs refuse; "
               "gptq --format q4_k and the like are read by all. A file that stood at OUT stays until the "
               "new one is whole.",
    .examples = {"nibble quantize model.gguf small.gguf absmax --bits 4 --per group:32",
                 "nibble quantize model.gguf small.gguf gptq --bits 3 --per group:64 --text calibration.txt",
                 "nibble quantize model.gguf small.gguf awq --format q4_0 --text calibration.txt"},
    .arguments = {{"IN", NB_WORD_FILE, false},
                  {"OUT", NB_WORD_NEW_FILE, false},
                  {"WHAT", NB_WORD_STORAGE, false}},
    .options = {NB_QUANTIZE_OPTIONS,
                {.name = "scope",
                 .kind = NB_WORD_SCOPE,
                 .value = "SCOPE",
                 .summary = "which tensors; all (attention and mlp) unless said"},
                {.name = "tokenizer",
                 .kind = NB_WORD_FILE,
                 .value = "FILE",
                 .summary = "the tokenizer.bin of a llama2.c model"},
                NB_THREADS_OPTION},
    .needs = NB_WRITES_FILES,
    .run = run_quantize,
};
