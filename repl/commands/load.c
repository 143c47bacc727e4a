#include "quant/calibration.h"
#include "repl/commands/budget.h"
#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/library.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static bool ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

/* `load` alone: what it takes, and what lies here. */
static nb_status say_what_loads(const nb_notebook *notebook, nb_items *out)
{
    nb_items_text(out, "load FILE opens a language model:\n"
                       "  story, which comes with nibble;\n"
                       "  a GGUF file (version 3): f32, f16, bf16, or one that nibble saved;\n"
                       "  a llama2.c model (.bin), its tokenizer.bin beside it or by --tokenizer FILE.");
    nb_draft names = {0};
    size_t n = 0;
    DIR *folder = opendir(notebook->confined ? notebook->folder : ".");
    for (struct dirent *entry; folder && (entry = readdir(folder)) && n < 8;) {
        const char *name = entry->d_name;
        if (ends_in(name, ".gguf") || (ends_in(name, ".bin") && strncmp(name, "tok", 3) != 0)) {
            nb_draft_addf(&names, "%s" NB_COMMAND "load %s" NB_END, n ? "   " : "", name);
            n++;
        }
    }
    if (folder)
        closedir(folder);
    if (n)
        nb_items_text(out, "Here: %s", nb_draft_text(&names));
    else
        nb_items_text(out, "There is none in this folder. GGUF models are published by the thousand; "
                           "llama2.c's smallest is stories260K.bin, 1 MB.");
    nb_draft_free(&names);
    return NB_OK;
}

static void forget_old_model(nb_notebook *notebook)
{
    nb_notebook_forget_chat(notebook);
    nb_calibration_destroy(&notebook->calibration);
    nb_measured_budget_destroy(&notebook->budget);
    nb_model_destroy(&notebook->model);
    for (size_t i = 0; i < notebook->n_undo_lines; i++)
        free(notebook->undo_lines[i]);
    notebook->n_undo_lines = 0;
    notebook->original_speed = (nb_speed){0};
}

/* In place of what stood there, if it is in the library; true if that was another one. */
static bool adopt(char **setting, const char *name)
{
    char *path = nb_library_find(name);
    if (!path)
        return false;
    const bool other = *setting && strcmp(*setting, path) != 0;
    free(*setting);
    *setting = path;
    return other;
}

/* The built-in model brings the texts that it is measured with, also when others were set since: a lesson that begins by
 * loading it finds them. */
static void adopt_texts(nb_notebook *notebook, nb_items *out)
{
    char *built_in = nb_library_find_model("story");
    if (built_in && strcmp(built_in, nb_model_path(notebook->model)) == 0) {
        nb_settings *settings = &notebook->settings;
        const bool text = adopt(&settings->text, NB_LIBRARY_TEXT);
        const bool quiz = adopt(&settings->quiz, NB_LIBRARY_QUIZ);
        const bool calibration = adopt(&settings->calibration, NB_LIBRARY_CALIBRATION);
        if (text || quiz || calibration)
            nb_items_text(out, NB_MUTED "It is measured and calibrated with its own texts again; " NB_END NB_COMMAND
                                        "set" NB_END NB_MUTED " shows them" NB_END);
    }
    free(built_in);
}

static void describe(const nb_model *model, nb_items *out)
{
    const nb_hparams *shape = nb_model_hparams(model);
    nb_draft storage = {0};
    nb_describe_model_storage(model, &storage);
    nb_items_text(out, NB_STRONG "%s" NB_END " · %s · %u layers, %u wide, %u heads, %s tokens · %s as %s",
                  nb_model_name(model), shape->architecture, shape->n_layers, shape->n_embd, shape->n_heads,
                  nb_count(shape->n_ctx).text, nb_bytes(nb_model_n_bytes(model)).text,
                  nb_draft_text(&storage));
    nb_draft_free(&storage);
    if (!nb_model_tokenizer(model))
        nb_items_text(out, NB_ALERT
                      "It came without a tokenizer" NB_END
                      ", so it can be looked at and quantized, but not read or write text: " NB_COMMAND
                      "load FILE --tokenizer tokenizer.bin" NB_END);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    if (call->n_arguments == 0)
        return say_what_loads(notebook, out);
    char *path = NULL, *tokenizer = NULL;
    const char *typed = nb_call_text(call, "tokenizer", NULL);
    nb_model *model = NULL;
    nb_status status = nb_notebook_path(notebook, call->arguments[0], true, &path, error);
    if (status == NB_OK && typed)
        status = nb_notebook_path(notebook, typed, true, &tokenizer, error);
    nb_load_options options = {.tokenizer = tokenizer};
    if (status == NB_OK)
        status = nb_model_load(notebook->context, path, &options, &model, error);
    free(path);
    free(tokenizer);
    if (status != NB_OK)
        return status; /* the model from before is still there */
    bool first = !notebook->model;
    forget_old_model(notebook);
    notebook->model = model;
    describe(model, out);
    adopt_texts(notebook, out);
    if (first)
        nb_items_text(out, NB_MUTED "Now: " NB_END NB_COMMAND "layers" NB_END "   " NB_COMMAND
                                    "generate \"Once upon a time\"" NB_END "   " NB_COMMAND
                                    "quantize all absmax --bits 4" NB_END);
    return NB_OK;
}

const nb_command nb_command_load = {
    .name = "load",
    .group = "A model",
    .usage = "load FILE [--tokenizer FILE]",
    .summary = "open a language model: GGUF, or llama2.c's .bin",
    .details =
        "The file is mapped, not copied: restore reads the original numbers from it again. If loading fails, "
        "the model from before stays. load alone says what it can open and what lies in this folder. story comes with "
        "texts of its own to measure on and to calibrate with, in place of what set text said before.",
    .examples = {"load story", "load model.gguf", "load stories15M.bin --tokenizer tokenizer.bin"},
    .source = "GGUF: ggml, docs/gguf.md; llama2.c: A. Karpathy, export.py, version 0",
    .arguments = {{"FILE", NB_WORD_FILE, true}},
    .options = {{.name = "tokenizer",
                 .kind = NB_WORD_FILE,
                 .value = "FILE",
                 .summary = "the tokenizer.bin of a llama2.c model"}},
    .run = run,
};
