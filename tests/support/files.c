#include "tests/support/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the three standard headers first. */
#include <cmocka.h>

const nb_synthetic ragged_shape = {.n_layers = 2,
                                   .n_embd = 72,
                                   .n_heads = 5,
                                   .n_kv_heads = 5,
                                   .head_size = 8,
                                   .n_ff = 104,
                                   .n_vocab = 265,
                                   .n_ctx = 32,
                                   .format = &nb_format_f32,
                                   .seed = 5};
nb_context *file_context;

int file_context_create(void **state)
{
    (void)state;
    const nb_context_options options = {.n_threads = 2};
    return nb_context_create(&options, &file_context, NULL) == NB_OK ? 0 : -1;
}

int file_context_destroy(void **state)
{
    (void)state;
    nb_context_destroy(&file_context);
    return 0;
}

nb_model *load_file(const char *path, const char *tokenizer)
{
    nb_model *model;
    nb_error error = {""};
    const nb_load_options options = {.tokenizer = tokenizer};
    if (nb_model_load(file_context, path, &options, &model, &error) != NB_OK)
        fail_msg("%s", error.text);
    return model;
}

void load_is_refused(const char *path, nb_status expected, const char *words)
{
    nb_model *model;
    nb_error error = {""};
    nb_status status = nb_model_load(file_context, path, NULL, &model, &error);
    assert_null(model);
    if (status != expected || !strstr(error.text, words) || !strstr(error.text, path))
        fail_msg("status %d, \"%s\" does not say \"%s\"", status, error.text, words);
}

void save_file(nb_model *model, const char *path)
{
    nb_error error = {""};
    if (nb_model_save(model, path, &error) != NB_OK)
        fail_msg("%s", error.text);
}
