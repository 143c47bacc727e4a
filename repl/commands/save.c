#include "repl/commands/save.h"

#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/numbers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool nb_same_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static bool is_gguf_name(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".gguf") == 0;
}

nb_status nb_save_model(const nb_notebook *notebook, const char *path, nb_items *out, nb_error *error)
{
    struct stat there;
    bool replaces = stat(path, &there) == 0;
    nb_status status = nb_model_save(notebook->model, path, error);
    if (status != NB_OK)
        return status;
    uint64_t n_bytes = stat(path, &there) == 0 ? (uint64_t)there.st_size : 0;
    nb_draft storage = {0};
    nb_describe_model_storage(notebook->model, &storage);
    nb_items_text(out, "%s · %s · %s%s", nb_file_name(path), nb_bytes(n_bytes).text, nb_draft_text(&storage),
                  replaces ? " · in place of the file that was there" : "");
    nb_draft_free(&storage);
    return NB_OK;
}

static nb_status save_to(const nb_notebook *notebook, const char *path, bool force, nb_items *out,
                         nb_error *error)
{
    if (!force && nb_same_file(path, nb_model_path(notebook->model)))
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%.200s is the file that this model was loaded from, with the original numbers in it: "
                       "give another name, or --force",
                       path);
    return nb_save_model(notebook, path, out, error);
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    char *path = NULL;
    if (!is_gguf_name(call->arguments[0]))
        return nb_fail(error, NB_ERR_ARGUMENT, "save writes GGUF files: save %.200s.gguf",
                       call->arguments[0]);
    nb_status status = nb_notebook_path(notebook, call->arguments[0], false, &path, error);
    if (status == NB_OK)
        status = save_to(notebook, path, nb_call_has(call, "force"), out, error);
    if (status == NB_OK)
        nb_items_text(out, NB_COMMAND "load %s" NB_END "   brings back the same bits", path);
    free(path);
    return status;
}

const nb_command nb_command_save = {
    .name = "save",
    .group = "A model",
    .usage = "save FILE.gguf [--force]",
    .summary = "write it as it is now; loads back bit for bit",
    .details = "f32, f16 and bf16 tensors are plain GGUF. Formats that GGUF has no type for (intN, f8) are "
               "kept as codes with their scales beside them, which nibble reads and other programs refuse. A "
               "file that stood there stays until the new one is whole.",
    .examples = {"save small.gguf"},
    .arguments = {{"FILE", NB_WORD_NEW_FILE, false}},
    .options = {{.name = "force",
                 .kind = NB_WORD_FLAG,
                 .summary = "even over the file that the model came from"}},
    .needs = NB_NEEDS_MODEL | NB_WRITES_FILES,
    .run = run,
};
