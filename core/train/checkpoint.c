#include "train/checkpoint.h"

#include "base/memory.h"
#include "files/gguf.h"
#include "files/hparams.h"
#include "files/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(NAME) "nibble.checkpoint." NAME
enum { NAME_BYTES = 96 };

/* ---- writing ---- */

static nb_status declare(nb_gguf_writer *writer, const nb_layout_tensor *shape, const char *suffix,
                         const nb_format *format, nb_error *error)
{
    char name[NAME_BYTES];
    const uint64_t dims[2] = {shape->n_cols, shape->n_rows};
    snprintf(name, sizeof name, "%s.%s", shape->name, suffix);
    return nb_gguf_add_tensor(writer, name, shape->is_vector ? 1 : 2, dims,
                              (uint32_t)(shape->is_vector ? nb_format_f32.gguf_type : format->gguf_type), error);
}

static nb_status write_weight(nb_gguf_writer *writer, const nb_weight *weight, const nb_format *format,
                              nb_error *error)
{
    const size_t n = weight->shape.n_rows * weight->shape.n_cols;
    if (weight->shape.is_vector || format == &nb_format_f32)
        return nb_gguf_write_data(writer, weight->values, n * sizeof(float), error);
    uint8_t *codes = nb_calloc(n, format->bits / 8);
    if (!codes)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to write it", weight->shape.name);
    nb_format_encode_row(format, weight->values, n, codes);
    nb_status status = nb_gguf_write_data(writer, codes, n * (format->bits / 8), error);
    free(codes);
    return status;
}

static nb_status write_model_keys(nb_gguf_writer *writer, const nb_network *network, const nb_tokenizer *tokenizer,
                                  const char *name, nb_error *error)
{
    nb_status status = nb_hparams_write_gguf(&network->hparams, name, writer, error);
    return status == NB_OK ? nb_tokenizer_write_gguf(tokenizer, writer, error) : status;
}

/* Commits what was written, or leaves no trace. */
static nb_status finish(nb_gguf_writer *writer, nb_status status, nb_error *error)
{
    if (status == NB_OK)
        return nb_gguf_writer_commit(&writer, error);
    nb_gguf_writer_abort(&writer);
    return status;
}

nb_status nb_network_save(const nb_network *network, const nb_tokenizer *tokenizer, const char *name,
                          const nb_format *format, const char *path, nb_error *error)
{
    nb_gguf_writer *writer;
    nb_status status = nb_gguf_writer_create(path, &writer, error);
    if (status != NB_OK)
        return status;
    status = write_model_keys(writer, network, tokenizer, name, error);
    for (size_t i = 0; i < network->n_weights && status == NB_OK; i++)
        status = declare(writer, &network->weights[i].shape, "weight", format, error);
    for (size_t i = 0; i < network->n_weights && status == NB_OK; i++)
        status = write_weight(writer, &network->weights[i], format, error);
    return finish(writer, status, error);
}

static const char *const mean_names[2] = {"adamw_first", "adamw_second"};

static nb_status write_state_keys(nb_gguf_writer *writer, const nb_training_state *state, nb_error *error)
{
    nb_status status = nb_gguf_add_u32(writer, KEY("version"), NB_CHECKPOINT_VERSION, error);
    if (status == NB_OK)
        status = nb_gguf_add_string(writer, KEY("configuration"), state->configuration, error);
    if (status == NB_OK)
        status = nb_gguf_add_u64(writer, KEY("step"), state->adamw->step, error);
    return status == NB_OK ? nb_gguf_add_u64(writer, KEY("next"), state->next, error) : status;
}

static nb_status write_means(nb_gguf_writer *writer, const nb_training_state *state, nb_error *error)
{
    const float *const means[2] = {state->adamw->first, state->adamw->second};
    nb_status status = NB_OK;
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < state->network->n_weights && status == NB_OK; i++) {
            const nb_weight *w = &state->network->weights[i];
            status = nb_gguf_write_data(writer, means[which] + (w->values - state->network->values),
                                        w->shape.n_rows * w->shape.n_cols * sizeof(float), error);
        }
    return status;
}

nb_status nb_checkpoint_save(const nb_training_state *state, const nb_tokenizer *tokenizer, const char *name,
                             const char *path, nb_error *error)
{
    const nb_network *network = state->network;
    const uint64_t n_losses = state->n_losses;
    nb_gguf_writer *writer;
    nb_status status = nb_gguf_writer_create(path, &writer, error);
    if (status != NB_OK)
        return status;
    status = write_model_keys(writer, network, tokenizer, name, error);
    if (status == NB_OK)
        status = write_state_keys(writer, state, error);
    for (size_t i = 0; i < network->n_weights && status == NB_OK; i++)
        status = declare(writer, &network->weights[i].shape, "weight", &nb_format_f32, error);
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < network->n_weights && status == NB_OK; i++)
            status = declare(writer, &network->weights[i].shape, mean_names[which], &nb_format_f32, error);
    if (status == NB_OK && n_losses > 0)
        status = nb_gguf_add_tensor(writer, "training.losses", 1, &n_losses, (uint32_t)nb_format_f32.gguf_type, error);
    for (size_t i = 0; i < network->n_weights && status == NB_OK; i++)
        status = write_weight(writer, &network->weights[i], &nb_format_f32, error);
    if (status == NB_OK)
        status = write_means(writer, state, error);
    if (status == NB_OK && n_losses > 0)
        status = nb_gguf_write_data(writer, state->losses, n_losses * sizeof *state->losses, error);
    return finish(writer, status, error);
}

/* ---- reading ---- */

static nb_status read_tensor(const nb_gguf *file, const char *name, size_t n, float *out, nb_error *error)
{
    const nb_gguf_tensor *tensor = nb_gguf_find_tensor(file, name);
    if (!tensor || tensor->type != (uint32_t)nb_format_f32.gguf_type || tensor->n_bytes != n * sizeof *out)
        return nb_fail(error, NB_ERR_FILE, "%s: %s is missing or of another shape; the checkpoint is damaged",
                       file->path, name);
    memcpy(out, file->data + tensor->offset, n * sizeof *out);
    return NB_OK;
}

/* The first line that two configurations do not share. */
static nb_status compare_configurations(const nb_gguf *file, const char *now, nb_error *error)
{
    nb_string then;
    if (!nb_gguf_string(file, KEY("configuration"), &then))
        return nb_fail(error, NB_ERR_FILE, "%s does not say what it trained; the checkpoint is damaged", file->path);
    if (nb_string_equal(then, now))
        return NB_OK;
    size_t line = 0, i = 0;
    for (; i < then.n_bytes && now[i] == then.text[i]; i++)
        if (now[i] == '\n')
            line = i + 1;
    return nb_fail(error, NB_ERR_ARGUMENT,
                   "%s was trained with '%.*s', and the configuration now says '%.*s'; change it back, or begin anew",
                   file->path, (int)nb_min_size(strcspn(then.text + line, "\n"), 60), then.text + line,
                   (int)nb_min_size(strcspn(now + line, "\n"), 60), now + line);
}

static nb_status read_losses(const nb_gguf *file, nb_training_state *state, nb_error *error)
{
    const nb_gguf_tensor *tensor = nb_gguf_find_tensor(file, "training.losses");
    const size_t n = tensor ? (size_t)tensor->n_bytes / sizeof(float) : 0;
    float *losses = nb_realloc(state->losses, n + 1, sizeof *losses);
    if (!losses)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its losses", file->path);
    state->losses = losses;
    state->n_losses = n;
    state->losses_capacity = n + 1;
    return n > 0 ? read_tensor(file, "training.losses", n, losses, error) : NB_OK;
}

static nb_status read_weights(const nb_gguf *file, nb_training_state *state, nb_error *error)
{
    nb_network *network = state->network;
    const struct {
        const char *suffix;
        float *values;
    } parts[3] = {{"weight", network->values},
                  {mean_names[0], state->adamw->first},
                  {mean_names[1], state->adamw->second}};
    for (size_t i = 0; i < network->n_weights; i++)
        for (int part = 0; part < 3; part++) {
            const nb_weight *w = &network->weights[i];
            char name[NAME_BYTES];
            snprintf(name, sizeof name, "%s.%s", w->shape.name, parts[part].suffix);
            nb_status status = read_tensor(file, name, w->shape.n_rows * w->shape.n_cols,
                                           parts[part].values + (w->values - network->values), error);
            if (status != NB_OK)
                return status;
        }
    nb_network_pack(network);
    return NB_OK;
}

static nb_status read_all(const nb_gguf *file, nb_training_state *state, nb_error *error)
{
    uint64_t version, step;
    if (!nb_gguf_u64(file, KEY("version"), &version))
        return nb_fail(error, NB_ERR_FILE, "%s is no checkpoint of a training", file->path);
    if (version != NB_CHECKPOINT_VERSION)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "%s is a checkpoint of version %llu; this nibble knows version %d",
                       file->path, (unsigned long long)version, NB_CHECKPOINT_VERSION);
    nb_status status = compare_configurations(file, state->configuration, error);
    if (status == NB_OK && (!nb_gguf_u64(file, KEY("step"), &step) || !nb_gguf_u64(file, KEY("next"), &state->next)))
        status = nb_fail(error, NB_ERR_FILE, "%s does not say how far it came; the checkpoint is damaged", file->path);
    if (status == NB_OK)
        status = read_losses(file, state, error);
    if (status == NB_OK)
        status = read_weights(file, state, error);
    if (status == NB_OK && file->mapping)
        status = nb_mapping_check(file->mapping, error);
    if (status == NB_OK)
        state->adamw->step = step;
    return status;
}

nb_status nb_checkpoint_load(const char *path, nb_training_state *state, nb_error *error)
{
    nb_gguf *file;
    nb_status status = nb_gguf_open(path, &file, error);
    if (status != NB_OK)
        return status;
    status = read_all(file, state, error);
    nb_gguf_close(&file);
    return status;
}
