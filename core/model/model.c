/* A model is made from the parts that a file reader hands over: checked against its architecture, bound to
 * the places where the forward pass looks for them, and packed. */
#include "model/model.h"

#include "base/memory.h"
#include "model/build.h"
#include "model/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMFORT_SHARE = 16, COMFORT_MINIMUM = 4 << 20 };

/* ---- hyperparameters ---- */

static nb_status check_hparams(const nb_hparams *h, const char *where, nb_error *error)
{
    const struct {
        const char *name;
        uint32_t value;
    } counts[] = {{"layers", h->n_layers},         {"embedding length", h->n_embd},
                  {"attention heads", h->n_heads}, {"KV heads", h->n_kv_heads},
                  {"head size", h->head_size},     {"feed-forward length", h->n_ff},
                  {"vocabulary", h->n_vocab},      {"context length", h->n_ctx}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].value == 0 || counts[i].value > INT32_MAX)
            return nb_fail(error, NB_ERR_FILE, "%s: its %s is %u, which no model has", where, counts[i].name,
                           counts[i].value);
    if (h->n_heads % h->n_kv_heads != 0)
        return nb_fail(error, NB_ERR_FILE, "%s: %u attention heads cannot share %u KV heads evenly", where,
                       h->n_heads, h->n_kv_heads);
    if (h->n_rot % 2 != 0 || h->n_rot > h->head_size)
        return nb_fail(error, NB_ERR_FILE,
                       "%s: RoPE turns %u dimensions of a head of %u; it must be even and no more", where,
                       h->n_rot, h->head_size);
    const double others[] = {h->rope_magnitude, (double)h->attn_scale, (double)h->attn_softcap,
                             (double)h->logit_softcap};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (!(others[i] >= 0.0) || isinf(others[i]))
            return nb_fail(error, NB_ERR_FILE,
                           "%s: its RoPE magnitude, attention scale or a soft cap is below 0 or no number",
                           where);
    if (!(h->norm_eps >= 0.0f) || isinf(h->norm_eps) || !(h->rope_base > 0.0) || isinf(h->rope_base) ||
        !(h->rope_scale > 0.0) || isinf(h->rope_scale))
        return nb_fail(error, NB_ERR_FILE,
                       "%s: its norm epsilon, RoPE base or RoPE scale is not a positive number", where);
    return NB_OK;
}

/* ---- binding ---- */

static nb_status check_source(const nb_tensor *t, const char *where, nb_error *error)
{
    if (t->is_vector ? !t->vector : !t->packed && !(t->source && t->source_format))
        return nb_fail(error, NB_ERR_FILE, "%s: tensor %s has no data", where, t->name);
    if (t->n_rows == 0 || t->n_cols == 0)
        return nb_fail(error, NB_ERR_FILE, "%s: tensor %s is %zu x %zu: empty", where, t->name, t->n_rows,
                       t->n_cols);
    if (!t->is_vector && t->source_format && t->source_format->kind == NB_FORMAT_INT)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s: tensor %s is stored as %s, which is no source to pack from", where, t->name,
                       t->source_format->name);
    return NB_OK;
}

/* Finds the tensor of one slot and checks its shape; *out stays NULL where an optional one is missing. */
static nb_status bind(nb_model *model, const nb_slot *slot, const char *name, nb_tensor **out,
                      nb_error *error)
{
    const char *where = model->path;
    const nb_hparams *h = &model->hparams;
    const long index = nb_model_find_tensor(model, name);
    if (index < 0) {
        if (slot->presence == NB_SLOT_NEEDED || (slot->presence == NB_SLOT_UNLESS_TIED && !h->tied))
            return nb_fail(error, NB_ERR_FILE, "%s: tensor %s%s is missing, and a %s model needs it", where,
                           name, nb_tensor_suffix(name), h->architecture);
        return NB_OK;
    }
    nb_tensor *t = &model->tensors[index];
    const size_t rows = nb_dim_extent(h, slot->rows), cols = nb_dim_extent(h, slot->cols);
    if (t->n_rows != rows || t->n_cols != cols || t->is_vector != (slot->rows == NB_DIM_ONE))
        return nb_fail(error, NB_ERR_FILE,
                       "%s: tensor %s is %zu x %zu, but this model's shape makes it %zu x %zu", where,
                       t->name, t->n_rows, t->n_cols, rows, cols);
    *out = t;
    return NB_OK;
}

static nb_status bind_layer(nb_model *model, size_t layer, nb_error *error)
{
    for (size_t i = 0; i < model->architecture->n_layer_slots; i++) {
        const nb_slot *slot = &model->architecture->layer_slots[i];
        char *name = nb_format_text("blk.%zu.%s", layer, slot->name);
        if (!name)
            return nb_fail(error, NB_ERR_MEMORY, "no memory to load %s", model->path);
        nb_tensor **place = (nb_tensor **)((char *)&model->layers[layer] + slot->offset);
        nb_status status = bind(model, slot, name, place, error);
        free(name);
        if (status != NB_OK)
            return status;
    }
    return NB_OK;
}

static nb_status bind_all(nb_model *model, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < model->n_tensors; i++)
        status = check_source(&model->tensors[i], model->path, error);
    for (size_t i = 0; status == NB_OK && i < model->architecture->n_frame_slots; i++) {
        const nb_slot *slot = &model->architecture->frame_slots[i];
        status = bind(model, slot, slot->name, (nb_tensor **)((char *)&model->frame + slot->offset), error);
    }
    /* Every block has tensors of its own, so a header that lies about their number is found out here,
     * before anything is allocated by it. */
    if (status == NB_OK && model->hparams.n_layers > model->n_tensors)
        status = nb_fail(error, NB_ERR_FILE, "%s: it claims %u layers but has only %zu tensors", model->path,
                         model->hparams.n_layers, model->n_tensors);
    if (status != NB_OK)
        return status;
    if (model->hparams.tied) {
        model->frame.head = model->frame.token_embd;
        model->frame.token_embd->tied = true;
    }
    model->layers = nb_calloc(model->hparams.n_layers, sizeof *model->layers);
    if (!model->layers)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to load %s", model->path);
    for (size_t i = 0; status == NB_OK && i < model->hparams.n_layers; i++)
        status = bind_layer(model, i, error);
    return status;
}

/* ---- packing ---- */

/* A matrix without a stored form. With `turned` only if its numbers are the input's side of it: there are no others to
 * start from. One that a change could not be taken back for waits for `undo` or another change. */
static bool is_to_pack(const nb_tensor *t, bool turned)
{
    return !t->is_vector && !t->packed && !t->changed && (!turned || nb_input_moves(t->input));
}

static nb_status pack_all(nb_model *model, bool turned, nb_error *error)
{
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (is_to_pack(&model->tensors[i], turned))
            total += nb_tensor_source_n_bytes(&model->tensors[i]);
    for (size_t i = 0; i < model->n_tensors; i++) {
        nb_tensor *t = &model->tensors[i];
        if (!is_to_pack(t, turned))
            continue;
        nb_status status = nb_tensor_pack_source(model, t, "loading", done, total, &t->packed, error);
        if (status != NB_OK)
            return status;
        done += nb_tensor_source_n_bytes(t);
        if (nb_input_moves(t->input)) {
            t->source_format = NULL;
            t->source = NULL;
        }
    }
    return model->mapping ? nb_mapping_check(model->mapping, error) : NB_OK;
}

void nb_model_count_lost(nb_model *model)
{
    model->n_lost = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        model->n_lost += !model->tensors[i].is_vector && !model->tensors[i].packed;
}

nb_status nb_model_pack(nb_model *model, nb_error *error)
{
    nb_status status = pack_all(model, false, error);
    nb_model_count_lost(model);
    return status;
}

static nb_status store_as_loaded(nb_model *model, bool unpacked, nb_error *error)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        nb_tensor *t = &model->tensors[i];
        t->changed = false;
        t->sqnr = NAN;
        if (!t->is_vector && !t->packed)
            t->quantizer = nb_quantizer_of_source(t->source_format);
    }
    nb_status status = pack_all(model, unpacked, error);
    for (size_t i = 0; i < model->n_tensors; i++)
        model->source_bytes += nb_tensor_n_bytes(&model->tensors[i]);
    return status;
}

/* ---- life ---- */

static void destroy_made(nb_made **made)
{
    if (!*made)
        return;
    nb_packed_destroy(&(*made)->packed);
    free((*made)->provenance);
    free(*made);
    *made = NULL;
}

void nb_undo_step_free(nb_undo_step *step)
{
    free(step->pasts);
    nb_transforms_free(&step->made);
    for (size_t i = 0; i < step->n_simulated; i++)
        free(step->simulated[i]);
    free(step->simulated);
    for (size_t i = 0; i < step->n_adopted; i++)
        destroy_made(&step->adopted[i]);
    free(step->adopted);
    *step = (nb_undo_step){0};
}

static void release_contents(nb_model *model)
{
    for (size_t i = 0; i < model->n_undo; i++)
        nb_undo_step_free(&model->undo[i]);
    free(model->undo);
    for (size_t i = 0; i < model->n_importances; i++)
        free(model->importances[i]);
    free(model->importances);
    for (size_t i = 0; i < model->n_inputs; i++)
        nb_input_destroy(&model->inputs[i]);
    free(model->inputs);
    nb_acts_buffer_free(&model->input_acts);
    nb_aligned_free(model->input_rows);
    if (model->originals)
        nb_model_forget_originals(model);
    free(model->originals);
    for (size_t i = 0; i < model->n_tensors; i++) {
        nb_tensor *t = &model->tensors[i];
        if (!t->made) /* else a step had it */
            nb_packed_destroy(&t->packed);
        free(t->vector);
        free((char *)(uintptr_t)t->name);
        free((char *)(uintptr_t)t->source_provenance);
    }
    free(model->tensors);
    free(model->layers);
    free(model->name);
    free(model->path);
    if (model->release)
        model->release(model->owner);
}

/* "llama, gpt2" */
static void list_architectures(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < nb_architecture_count() && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", nb_architecture_at(i)->name);
}

/* The inputs that came with the tensors, which have one each. */
static nb_status adopt_inputs(nb_model *model, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; i < model->n_tensors; i++) {
        nb_tensor *t = &model->tensors[i];
        nb_input *input = (nb_input *)(uintptr_t)t->input;
        t->input = NULL;
        if (input && status == NB_OK)
            status = nb_model_keep_input(model, &input, &t->input, error);
        t->loaded_input = t->input;
        nb_input_destroy(&input);
    }
    return status;
}

static nb_status build(nb_model *model, const char *architecture, bool unpacked, nb_error *error)
{
    if (!model->name || !model->path || !model->originals)
        return nb_fail(error, NB_ERR_MEMORY, "no memory to load a model");
    model->architecture = nb_architecture_find(architecture);
    if (!model->architecture) {
        char known[128];
        list_architectures(known, sizeof known);
        return nb_fail(error, NB_ERR_UNSUPPORTED, "%s: its architecture is %.40s; nibble runs: %s",
                       model->path, architecture, known);
    }
    model->hparams.architecture = model->architecture->name;
    nb_status status = check_hparams(&model->hparams, model->path, error);
    if (status == NB_OK)
        status = bind_all(model, error);
    return status == NB_OK ? store_as_loaded(model, unpacked, error) : status;
}

nb_status nb_model_create(nb_context *context, nb_model_parts *parts, nb_model **out, nb_error *error)
{
    nb_model built = {
        .context = context,
        .hparams = parts->hparams,
        .name = nb_strdup(parts->name),
        .path = nb_strdup(parts->path),
        .n_tensors = parts->n_tensors,
        .tensors = parts->tensors,
        .tokenizer = parts->tokenizer,
        .release = parts->release,
        .owner = parts->owner,
        .mapping = parts->mapping,
        .originals = nb_calloc(parts->n_tensors, sizeof(nb_packed *)),
    };
    const char *architecture = parts->hparams.architecture;
    const bool unpacked = parts->unpacked;
    *parts = (nb_model_parts){0};
    *out = NULL;
    nb_status status = adopt_inputs(&built, error);
    if (status == NB_OK)
        status = build(&built, architecture, unpacked, error);
    nb_model *model = NULL;
    if (status == NB_OK) {
        model = nb_calloc(1, sizeof *model);
        if (!model)
            status = nb_fail(error, NB_ERR_MEMORY, "no memory to load a model");
    }
    if (status != NB_OK) {
        release_contents(&built);
        return status;
    }
    *model = built;
    *out = model;
    return NB_OK;
}

void nb_model_destroy(nb_model **model)
{
    if (!*model)
        return;
    release_contents(*model);
    free(*model);
    *model = NULL;
}

/* ---- asking ---- */

const nb_hparams *nb_model_hparams(const nb_model *model)
{
    return &model->hparams;
}

const char *nb_model_name(const nb_model *model)
{
    return model->name;
}

const char *nb_model_path(const nb_model *model)
{
    return model->path;
}

const struct nb_tokenizer *nb_model_tokenizer(const nb_model *model)
{
    return model->tokenizer;
}

nb_context *nb_model_context(const nb_model *model)
{
    return model->context;
}

size_t nb_model_tensor_count(const nb_model *model)
{
    return model->n_tensors;
}

const nb_tensor *nb_model_tensor(const nb_model *model, size_t index)
{
    return &model->tensors[index];
}

long nb_model_find_tensor(const nb_model *model, const char *name)
{
    static const char suffix[] = ".weight";
    const size_t suffix_length = sizeof suffix - 1;
    size_t length = strlen(name);
    if (length > suffix_length && strcmp(name + length - suffix_length, suffix) == 0)
        length -= suffix_length;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const char *candidate = model->tensors[i].name;
        if (strncmp(candidate, name, length) == 0 && candidate[length] == '\0')
            return (long)i;
    }
    return -1;
}

uint64_t nb_model_n_parameters(const nb_model *model)
{
    uint64_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        n += (uint64_t)model->tensors[i].n_rows * model->tensors[i].n_cols;
    return n;
}

uint64_t nb_model_n_bytes(const nb_model *model)
{
    uint64_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        n += nb_tensor_n_bytes(&model->tensors[i]);
    return n;
}

uint64_t nb_model_source_bytes(const nb_model *model)
{
    return model->source_bytes;
}

nb_status nb_model_check(const nb_model *model, nb_error *error)
{
    if (model->n_lost == 0)
        return NB_OK;
    return nb_fail(error, NB_ERR_STATE,
                   "%zu tensor%s lost the numbers when a change could not be taken back; load %s again",
                   model->n_lost, model->n_lost > 1 ? "s" : "", model->path);
}

size_t nb_model_comfort_bytes(const nb_model *model)
{
    return nb_max_size(COMFORT_MINIMUM, (size_t)(nb_model_n_bytes(model) / COMFORT_SHARE));
}
