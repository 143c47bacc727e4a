#include "repl/commands/figures.h"

#include <stdlib.h>
#include <string.h>

static nb_status save_figure(const nb_notebook *notebook, const nb_figure *figure, const char *typed,
                             const char *ending, nb_items *out, nb_error *error)
{
    char *path = NULL;
    size_t n = strlen(typed), m = strlen(ending);
    if (n <= m || strcmp(typed + n - m, ending) != 0)
        return nb_fail(error, NB_ERR_ARGUMENT, "--%s writes a file that ends in %s, not \"%.160s\"",
                       ending + 1, ending, typed);
    nb_status status = nb_notebook_path(notebook, typed, false, &path, error);
    if (status == NB_OK)
        status = nb_figure_save(figure, path, error);
    if (status == NB_OK)
        nb_items_text(out, "The figure is in " NB_STRONG "%s" NB_END, typed);
    free(path);
    return status;
}

nb_status nb_figure_put(const nb_notebook *notebook, const nb_call *call, const nb_figure *figure, nb_items *out,
                        nb_error *error)
{
    const char *png = nb_call_text(call, "png", NULL), *svg = nb_call_text(call, "svg", NULL);
    nb_status status = NB_OK;
    if (png)
        status = save_figure(notebook, figure, png, ".png", out, error);
    if (svg && status == NB_OK)
        status = save_figure(notebook, figure, svg, ".svg", out, error);
    if (!png && !svg)
        nb_items_figure(out, figure);
    return status;
}
