/* Functions that read and write files. */
#include "repl/language/functions.h"

#include "files/npy.h"
#include "repl/language/machine.h"
#include "repl/notebook.h"

#include <stdlib.h>

static nb_status path_of(const nb_application *call, bool to_read, char **out, nb_error *error)
{
    const char *typed;
    const nb_status status = nb_argument_text(call, 0, &typed, error);
    return status == NB_OK ? nb_notebook_path(call->language->notebook, typed, to_read, out, error) : status;
}

static nb_status load_npy(nb_application *call, nb_value *out, nb_error *error)
{
    char *path = NULL;
    nb_array *made = NULL;
    nb_status status = path_of(call, true, &path, error);
    if (status == NB_OK)
        status = nb_npy_load(&call->language->space, path, &made, error);
    if (status == NB_OK)
        *out = nb_value_array(made);
    free(path);
    return status;
}

static nb_status save_npy(nb_application *call, nb_value *out, nb_error *error)
{
    char *path = NULL;
    nb_array *x = NULL;
    (void)out;
    nb_status status = nb_argument_array(call, 1, &x, error);
    if (status == NB_OK)
        status = path_of(call, false, &path, error);
    if (status == NB_OK)
        status = nb_npy_save(x, path, error);
    nb_array_release(&x);
    free(path);
    return status;
}

#define FILES "Files"

const nb_function_row nb_functions_file[] = {
    {"load_npy", FILES, "load_npy(file)", "an array that numpy wrote",
     "save_npy(\"x.npy\", [1, 2]); load_npy(\"x.npy\")", "[1, 2]", load_npy, 0, 0, 0},
    {"save_npy", FILES, "save_npy(file, x)", "an array as f32, for numpy.load", "save_npy(\"x.npy\", [1, 2])",
     NULL, save_npy, 0, 0, 0},
};
const size_t nb_n_functions_file = sizeof nb_functions_file / sizeof *nb_functions_file;
