#include "files/load.h"

#include "base/memory.h"
#include "files/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- parts ---- */

static void close_opened(void *owner)
{
    nb_opened *opened = owner;
    nb_tokenizer_destroy(&opened->tokenizer);
    nb_gguf_close(&opened->gguf);
    nb_llama2c_close(&opened->llama2c);
    free(opened);
}

void nb_parts_free(nb_model_parts *parts)
{
    for (size_t i = 0; i < parts->n_tensors; i++) {
        nb_tensor *t = &parts->tensors[i];
        if (t->packed)
            nb_packed_destroy(&t->packed);
        free(t->vector);
        nb_input *input = (nb_input *)(uintptr_t)t->input; /* nobody else has it yet */
        nb_input_destroy(&input);
        free((char *)(uintptr_t)t->name);
        free((char *)(uintptr_t)t->source_provenance);
    }
    free(parts->tensors);
    if (parts->release)
        parts->release(parts->owner);
    *parts = (nb_model_parts){0};
}

nb_status nb_parts_name(nb_model_parts *parts, const nb_layout_tensor *layout, size_t count, nb_error *error)
{
    parts->tensors = nb_calloc(count, sizeof *parts->tensors);
    if (!parts->tensors)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its %zu tensors", parts->path, count);
    parts->n_tensors = count;
    for (size_t i = 0; i < count; i++) {
        const nb_layout_tensor *l = &layout[i];
        nb_tensor *t = &parts->tensors[i];
        t->role = l->role;
        t->layer = l->layer;
        t->n_rows = l->n_rows;
        t->n_cols = l->n_cols;
        t->is_vector = l->is_vector;
        t->tied = l->role == NB_ROLE_EMBEDDINGS && parts->hparams.tied;
        t->sqnr = NAN;
        t->name = nb_strdup(l->name);
        if (!t->name)
            return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its %zu tensors", parts->path, count);
    }
    return NB_OK;
}

nb_status nb_parts_place(nb_tensor *tensor, const nb_format *format, const void *source, nb_error *error)
{
    tensor->source_format = format;
    tensor->source = source;
    if (!tensor->is_vector)
        return NB_OK;
    tensor->quantizer.format = &nb_format_f32;
    tensor->vector = nb_calloc(tensor->n_cols, sizeof *tensor->vector);
    if (!tensor->vector)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for %zu numbers", tensor->name, tensor->n_cols);
    nb_format_decode_row(format, source, tensor->n_cols, tensor->vector);
    return NB_OK;
}

char *nb_parts_stem(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *stem = nb_strdup(slash ? slash + 1 : path);
    char *dot = stem ? strrchr(stem, '.') : NULL;
    if (dot && dot > stem)
        *dot = '\0';
    return stem;
}

/* ---- loading ---- */

typedef enum kind { UNKNOWN, GGUF, LLAMA2C } kind;

static nb_status detect(const char *path, kind *out, nb_error *error)
{
    nb_mapping *mapping;
    nb_status status = nb_mapping_open(path, &mapping, error);
    if (status != NB_OK)
        return status;
    *out = nb_gguf_probe(mapping->data, mapping->size)      ? GGUF
           : nb_llama2c_probe(mapping->data, mapping->size) ? LLAMA2C
                                                            : UNKNOWN;
    nb_mapping_close(&mapping);
    return NB_OK;
}

/* Neither kind: llama2.c's reader knows what is wrong with a file that is nearly one. */
static nb_status refuse(const char *path, nb_error *error)
{
    nb_llama2c *model;
    nb_error why = {""};
    nb_status status = nb_llama2c_open(path, &model, &why);
    if (status == NB_OK) { /* it grew between two looks */
        nb_llama2c_close(&model);
        return nb_fail(error, NB_ERR_IO, "%s: changed while it was opened; load it again", path);
    }
    if (status == NB_ERR_UNSUPPORTED || strstr(why.text, "cut short"))
        return nb_fail(error, status, "%s", why.text);
    return nb_fail(error, NB_ERR_FILE,
                   "%s: not a model that nibble knows: it expects a GGUF file, which starts with \"GGUF\", "
                   "or a llama2.c "
                   "version 0 file, whose size follows from its first 28 bytes",
                   path);
}

nb_status nb_model_load(nb_context *context, const char *path, const nb_load_options *options, nb_model **out,
                        nb_error *error)
{
    static const nb_load_options defaults;
    *out = NULL;
    kind found = UNKNOWN;
    nb_status status = detect(path, &found, error);
    if (status != NB_OK)
        return status;
    if (found == UNKNOWN)
        return refuse(path, error);
    nb_opened *opened = nb_calloc(1, sizeof *opened);
    if (!opened)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", path);
    nb_model_parts parts = {
        .path = path, .release = close_opened, .owner = opened, .unpacked = options && options->unpacked};
    status = found == GGUF
                 ? nb_parts_from_gguf(context, opened, path, &parts, error)
                 : nb_parts_from_llama2c(opened, path, options ? options : &defaults, &parts, error);
    char *name = (char *)(uintptr_t)parts.name;
    if (status == NB_OK)
        status = nb_model_create(context, &parts, out, error);
    else
        nb_parts_free(&parts);
    free(name);
    return status;
}
