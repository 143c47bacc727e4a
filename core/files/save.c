/* Saving: the keys of the file that the model came from, its tensors as they are stored now. */
#include "files/load.h"

#include "files/gguf.h"
#include "files/hparams.h"
#include "files/saved.h"
#include "files/vocabulary.h"
#include "model/state.h"

#include <string.h>

static bool starts_with(nb_string key, const char *start)
{
    const size_t n = strlen(start);
    return key.n_bytes >= n && memcmp(key.text, start, n) == 0;
}

/* Said anew for what is saved, or true of the old file only. */
static bool is_stale(nb_string key)
{
    static const char *const names[] = {"general.file_type", "general.quantization_version",
                                        "general.alignment"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (nb_string_equal(key, names[i]))
            return true;
    return starts_with(key, "nibble.") || starts_with(key, "split.");
}

/* The old file's keys, as they stand, unless it had none (llama2.c). Its mapping is still there, even if
 * another file has its name by now. */
static nb_status carry_keys(const nb_model *model, nb_gguf_writer *writer, nb_error *error)
{
    nb_gguf *old;
    if (!model->mapping || !nb_gguf_probe(model->mapping->data, model->mapping->size))
        return NB_OK;
    nb_status status =
        nb_gguf_open_memory(model->mapping->data, model->mapping->size, model->path, &old, error);
    if (status != NB_OK)
        return status;
    for (uint64_t i = 0; i < old->n_values && status == NB_OK; i++)
        if (!is_stale(old->values[i].key))
            status = nb_gguf_add_value(writer, &old->values[i], error);
    nb_gguf_close(&old);
    return status;
}

enum { GGML_F32 = 0, GGML_F16 = 1, GGML_BF16 = 30, MOST_TYPES = 64 };

/* What llama.cpp wants to know of a file whose tensors all have a type of GGUF: the one of most weights, and, where
 * blocks are quantized, which version of their layouts. */
static nb_status write_file_type(const nb_model *model, nb_gguf_writer *writer, nb_error *error)
{
    uint64_t n_weights[MOST_TYPES] = {0};
    uint32_t most = GGML_F32, file_type;
    bool blocks = false;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const nb_tensor *t = &model->tensors[i];
        const uint32_t type = (uint32_t)t->quantizer.format->gguf_type;
        if (t->is_vector || type >= MOST_TYPES)
            continue;
        blocks = blocks || (type != GGML_F32 && type != GGML_F16 && type != GGML_BF16);
        n_weights[type] += (uint64_t)t->n_rows * t->n_cols;
        if (n_weights[type] > n_weights[most])
            most = type;
    }
    nb_status status = NB_OK;
    if (nb_gguf_file_type_of(most, &file_type))
        status = nb_gguf_add_u32(writer, "general.file_type", file_type, error);
    if (status == NB_OK && blocks)
        status = nb_gguf_add_u32(writer, "general.quantization_version", 2, error);
    return status;
}

static nb_status write_keys(const nb_model *model, nb_gguf_writer *writer, nb_error *error)
{
    nb_status status = nb_hparams_write_gguf(&model->hparams, model->name, writer, error);
    if (status == NB_OK && model->tokenizer)
        status = nb_tokenizer_write_gguf(model->tokenizer, writer, error);
    if (status == NB_OK)
        status = carry_keys(model, writer, error);
    bool plain = true;
    for (size_t i = 0; i < model->n_tensors; i++)
        plain = plain && nb_saved_is_plain(&model->tensors[i]) && !model->tensors[i].input;
    if (status == NB_OK && plain)
        status = write_file_type(model, writer, error);
    if (status == NB_OK && !plain)
        status = nb_gguf_add_u32(writer, NB_SAVED_VERSION_KEY, NB_SAVED_VERSION, error);
    return status;
}

static nb_status write_all(nb_model *model, nb_gguf_writer *writer, nb_error *error)
{
    nb_status status = write_keys(model, writer, error);
    for (size_t i = 0; i < model->n_tensors && status == NB_OK; i++)
        status = nb_saved_declare(&model->tensors[i], writer, error);
    for (size_t i = 0; i < model->n_tensors && status == NB_OK; i++)
        status = nb_saved_input_declare(&model->tensors[i], writer, error);
    for (size_t i = 0; i < model->n_tensors && status == NB_OK; i++)
        status = nb_saved_write(model->context, &model->tensors[i], writer, error);
    for (size_t i = 0; i < model->n_tensors && status == NB_OK; i++)
        status = nb_saved_input_write(&model->tensors[i], writer, error);
    if (status == NB_OK && model->mapping)
        status = nb_mapping_check(model->mapping, error);
    return status;
}

nb_status nb_model_save(nb_model *model, const char *path, nb_error *error)
{
    nb_gguf_writer *writer;
    nb_status status = nb_model_check(model, error);
    if (status == NB_OK)
        status = nb_gguf_writer_create(path, &writer, error);
    if (status != NB_OK)
        return status;
    status = write_all(model, writer, error);
    if (status == NB_OK)
        return nb_gguf_writer_commit(&writer, error);
    nb_gguf_writer_abort(&writer);
    return status;
}
