#include "repl/commands/typed_way.h"

#include "base/memory.h"
#include "base/print.h"
#include "repl/commands/method.h"
#include "repl/commands/table.h"

#include <stdlib.h>
#include <string.h>

bool nb_is_typed_way(const char *typed)
{
    char name[32];
    const size_t n = strcspn(typed, " ");
    if (strstr(typed, " --"))
        return true;
    if (n >= sizeof name)
        return false;
    memcpy(name, typed, n);
    name[n] = '\0';
    return nb_method_find(name) != NULL;
}

static nb_status read_call(const nb_typed_way *way, nb_call *call, nb_error *error)
{
    return nb_call_read(&nb_command_quantize, way->line.words + 1, way->line.n_words - 1, call, error);
}

nb_status nb_typed_way_create(nb_notebook *notebook, const char *scope, const char *typed, nb_typed_way **out,
                              nb_error *error)
{
    nb_call call;
    size_t at = 0;
    char *text = nb_format_text("quantize %s %s", scope, typed);
    nb_typed_way *way = nb_calloc(1, sizeof *way);
    if (way)
        *way = (nb_typed_way){.notebook = notebook, .typed = nb_strdup(typed)};
    nb_status status = text && way && way->typed
                           ? nb_parse_line(text, strlen(text), &at, &way->line, error)
                           : nb_fail(error, NB_ERR_MEMORY, "no memory for a way to store the model");
    if (status == NB_OK && !nb_parse_is_over(text, strlen(text), at))
        status = nb_fail(error, NB_ERR_ARGUMENT, "\"%.60s\" is more than one way to store a model", typed);
    if (status == NB_OK)
        status = read_call(way, &call, error);
    free(text);
    if (status == NB_OK)
        *out = way;
    else
        nb_typed_way_destroy(&way);
    return status;
}

void nb_typed_way_destroy(nb_typed_way **way)
{
    if (!*way)
        return;
    nb_line_free(&(*way)->line);
    free((*way)->typed);
    free(*way);
    *way = NULL;
}

nb_status nb_typed_way_store(void *user, nb_error *error)
{
    const nb_typed_way *way = user;
    nb_notebook *notebook = way->notebook;
    const size_t n_undo_lines = notebook->n_undo_lines;
    nb_items said = {0};
    nb_call call;
    nb_status status = read_call(way, &call, error);
    if (status == NB_OK)
        status = nb_command_quantize.run(notebook, &call, &said, error);
    nb_items_free(&said);
    while (notebook->n_undo_lines > n_undo_lines)
        free(notebook->undo_lines[--notebook->n_undo_lines]);
    return status;
}
