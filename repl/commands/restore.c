#include "repl/commands/table.h"
#include "repl/describe.h"
#include "repl/notebook.h"
#include "repl/numbers.h"

static uint64_t scope_bytes(const nb_model *model, const nb_scope *scope)
{
    uint64_t total = 0;
    for (size_t i = 0; i < scope->count; i++)
        total += nb_tensor_n_bytes(nb_model_tensor(model, scope->tensors[i]));
    return total;
}

static size_t count_changed(const nb_model *model, const nb_scope *scope)
{
    size_t n = 0;
    for (size_t i = 0; i < scope->count; i++)
        n += nb_model_tensor(model, scope->tensors[i])->changed;
    return n;
}

static bool any_transformed(const nb_model *model, const nb_scope *scope)
{
    for (size_t i = 0; i < scope->count; i++)
        if (nb_model_tensor(model, scope->tensors[i])->transforms)
            return true;
    return false;
}

static nb_status run(nb_notebook *notebook, const nb_call *call, nb_items *out, nb_error *error)
{
    nb_scope scope = {0};
    nb_status status = nb_scope_resolve(notebook->model, call->arguments[0], false, &scope, error);
    if (status != NB_OK)
        return status;
    size_t n_changed = count_changed(notebook->model, &scope);
    uint64_t before = scope_bytes(notebook->model, &scope);
    const char *transformed = any_transformed(notebook->model, &scope) ? ", but for the transforms" : "";
    if (n_changed == 0) {
        nb_items_text(out, "%zu tensor%s, and %s was as in the file already%s.", scope.count,
                      scope.count == 1 ? "" : "s", scope.count == 1 ? "it" : "each", transformed);
    } else {
        status = nb_model_restore(notebook->model, &scope, error);
        if (status == NB_OK) {
            nb_notebook_note_undo(notebook, call);
            nb_items_text(out, "%zu tensor%s as in the file again%s · %s -> %s", n_changed,
                          n_changed == 1 ? "" : "s", transformed, nb_bytes(before).text,
                          nb_bytes(scope_bytes(notebook->model, &scope)).text);
        }
    }
    nb_scope_free(&scope);
    return status;
}

const nb_command nb_command_restore = {
    .name = "restore",
    .group = "Changing it",
    .usage = "restore SCOPE",
    .summary = "tensors in the format of the file again",
    .details =
        "Back to the numbers of the file, through the transforms that the model has by now: " NB_COMMAND
        "undo" NB_END " takes those back.",
    .examples = {"restore all", "restore blk.0.attn_q"},
    .arguments = {{"SCOPE", NB_WORD_SCOPE, false}},
    .needs = NB_NEEDS_MODEL | NB_UNDOABLE,
    .run = run,
};
