#include "files/parts.h"

#include "base/memory.h"
#include "files/hparams.h"
#include "files/saved.h"
#include "files/vocabulary.h"
#include "model/architecture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct loader {
    nb_context *context;
    const nb_gguf *gguf;
    const nb_architecture *architecture;
    bool *used;           /* [gguf->n_tensors] */
    uint64_t done, total; /* bytes of saved tensors unpacked */
    nb_error *error;
} loader;

static const nb_gguf_tensor *find(const loader *l, const char *name, const char *suffix)
{
    char full[80];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    return nb_gguf_find_tensor(l->gguf, full);
}

static const nb_format *plain_format(uint32_t type)
{
    for (size_t i = 0; i < nb_format_count(); i++) {
        const nb_format *format = nb_format_at(i);
        if (format->kind != NB_FORMAT_INT && format->gguf_type >= 0 && (uint32_t)format->gguf_type == type)
            return format;
    }
    return NULL;
}

static nb_status place_plain(const loader *l, nb_tensor *t, const nb_gguf_tensor *found)
{
    const nb_format *format = plain_format(found->type);
    if (!format)
        return nb_fail(l->error, NB_ERR_UNSUPPORTED,
                       "%s: %s is %s (type %" PRIu32 "): nibble cannot compute with that type",
                       l->gguf->path, t->name, nb_ggml_type_name(found->type), found->type);
    if (found->dims[0] != t->n_cols || found->dims[1] != t->n_rows || found->dims[2] != 1 ||
        found->dims[3] != 1)
        return nb_fail(l->error, NB_ERR_FILE,
                       "%s: %s is %" PRIu64 " x %" PRIu64
                       " and should be %zu x %zu, going by the file's keys",
                       l->gguf->path, t->name, found->dims[1], found->dims[0], t->n_rows, t->n_cols);
    return nb_parts_place(t, format, l->gguf->data + found->offset, l->error);
}

static nb_status place_input(const loader *l, nb_tensor *t)
{
    static const char *const suffixes[] = {".divisors", ".signs", ".input_scales", ".perm", ".outlier_columns",
                                            ".input_scale"};
    for (size_t i = 0; !t->is_vector && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const nb_gguf_tensor *piece = find(l, t->name, suffixes[i]);
        if (piece)
            l->used[piece - l->gguf->tensors] = true;
    }
    return t->is_vector ? NB_OK : nb_saved_input_read(l->gguf, t, l->error);
}

static nb_status place(loader *l, nb_tensor *t)
{
    const nb_gguf_tensor *found = find(l, t->name, nb_tensor_suffix(t->name));
    if (found) {
        l->used[found - l->gguf->tensors] = true;
        nb_status status = place_plain(l, t, found);
        return status == NB_OK ? place_input(l, t) : status;
    }
    if (t->is_vector || !nb_saved_is(l->gguf, t->name))
        return nb_fail(l->error, NB_ERR_FILE,
                       "%s: tensor %s%s is missing, and a model of architecture %s needs it", l->gguf->path,
                       t->name, nb_tensor_suffix(t->name), l->architecture->name);
    static const char *const suffixes[] = {".codes", ".scale", ".zero", ".nested", ".offset", ".outliers"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const nb_gguf_tensor *piece = find(l, t->name, suffixes[i]);
        if (piece) {
            l->used[piece - l->gguf->tensors] = true;
            l->done += piece->n_bytes;
        }
    }
    nb_status status = nb_saved_read(l->context, l->gguf, t, l->error);
    if (status == NB_OK)
        status = place_input(l, t);
    if (status != NB_OK)
        return status;
    return nb_context_tick(l->context, "loading", l->done, l->total, "bytes", l->error);
}

static bool ends_with(nb_string name, const char *end)
{
    size_t n = strlen(end);
    return name.n_bytes >= n && memcmp(name.text + name.n_bytes - n, end, n) == 0;
}

/* Tables of rotation frequencies that old converters wrote, and that everybody computes again; and what a training
 * keeps beside its model to go on (train/checkpoint.h). */
static bool is_leftover(nb_string name)
{
    static const char *const ends[] = {"attn_rot_embd.weight", "rotary_emb.inv_freq", ".adamw_first", ".adamw_second",
                                       "training.losses"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

/* A tensor that nobody asked for would be left out of the computation, and the model would talk nonsense. */
static nb_status check_all_used(const loader *l)
{
    for (uint64_t i = 0; i < l->gguf->n_tensors; i++) {
        char shown[80];
        if (!l->used[i] && !is_leftover(l->gguf->tensors[i].name))
            return nb_fail(l->error, NB_ERR_UNSUPPORTED,
                           "%s: has a tensor %s, which nibble's %s does not use; leaving it out would change what the "
                           "model computes",
                           l->gguf->path, nb_string_show(l->gguf->tensors[i].name, shown, sizeof shown),
                           l->architecture->name);
    }
    return NB_OK;
}

static nb_status check_version(const nb_gguf *gguf, nb_error *error)
{
    uint64_t version;
    if (!nb_gguf_find(gguf, NB_SAVED_VERSION_KEY))
        return NB_OK;
    if (!nb_gguf_u64(gguf, NB_SAVED_VERSION_KEY, &version))
        return nb_fail(error, NB_ERR_FILE, "%s: key %s is no whole number", gguf->path, NB_SAVED_VERSION_KEY);
    if (version > NB_SAVED_VERSION)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s: saved by a newer nibble (%s %" PRIu64
                       "; this one reads up to %d); get that nibble",
                       gguf->path, NB_SAVED_VERSION_KEY, version, NB_SAVED_VERSION);
    return NB_OK;
}

/* What is optional comes together: one such tensor asks for all of them. */
static bool has_optional(const loader *l)
{
    for (size_t i = 0; i < l->architecture->n_frame_slots; i++) {
        const nb_slot *slot = &l->architecture->frame_slots[i];
        if (slot->presence == NB_SLOT_OPTIONAL && find(l, slot->name, nb_tensor_suffix(slot->name)))
            return true;
    }
    return false;
}

static nb_status place_all(loader *l, nb_model_parts *parts)
{
    nb_layout_tensor *layout;
    size_t count;
    l->architecture = nb_architecture_find(parts->hparams.architecture);
    if (parts->hparams.n_layers > l->gguf->n_tensors)
        return nb_fail(l->error, NB_ERR_FILE, "%s: claims %" PRIu32 " blocks but holds %" PRIu64 " tensors",
                       l->gguf->path, parts->hparams.n_layers, l->gguf->n_tensors);
    nb_status status = nb_layout_create(&parts->hparams, has_optional(l), &layout, &count, l->error);
    if (status == NB_OK)
        status = nb_parts_name(parts, layout, count, l->error);
    free(layout);
    for (uint64_t i = 0; i < l->gguf->n_tensors; i++)
        if (!ends_with(l->gguf->tensors[i].name, ".weight"))
            l->total += l->gguf->tensors[i].n_bytes;
    for (size_t i = 0; i < parts->n_tensors && status == NB_OK; i++)
        status = place(l, &parts->tensors[i]);
    for (size_t i = 0; i < parts->n_tensors && status == NB_OK; i++)
        status = nb_saved_read_provenance(l->gguf, &parts->tensors[i], l->error);
    return status == NB_OK ? check_all_used(l) : status;
}

static nb_status open_tokenizer(nb_opened *opened, const nb_hparams *h, nb_error *error)
{
    nb_status status = nb_tokenizer_from_gguf(opened->gguf, &opened->tokenizer, error);
    if (status != NB_OK || !opened->tokenizer)
        return status;
    size_t size = nb_tokenizer_size(opened->tokenizer);
    if (size != h->n_vocab)
        return nb_fail(error, NB_ERR_FILE, "%s: its tokenizer has %zu tokens and the model %" PRIu32,
                       opened->gguf->path, size, h->n_vocab);
    return NB_OK;
}

/* general.name, or the file's. */
static char *name_of(const nb_gguf *gguf, const char *path)
{
    nb_string name;
    if (!nb_gguf_string(gguf, "general.name", &name) || name.n_bytes == 0)
        return nb_parts_stem(path);
    size_t size = nb_min_size(name.n_bytes, 255) + 1;
    char *text = nb_calloc(size, 1);
    return text ? nb_string_show(name, text, size) : NULL;
}

nb_status nb_parts_from_gguf(nb_context *context, nb_opened *opened, const char *path, nb_model_parts *parts,
                             nb_error *error)
{
    nb_status status = nb_gguf_open(path, &opened->gguf, error);
    if (status != NB_OK)
        return status;
    parts->mapping = opened->gguf->mapping;
    parts->name = name_of(opened->gguf, path);
    loader l = {.context = context, .gguf = opened->gguf, .error = error};
    l.used = nb_calloc((size_t)opened->gguf->n_tensors + 1, sizeof *l.used);
    if (!parts->name || !l.used)
        status = nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", path);
    if (status == NB_OK)
        status = check_version(opened->gguf, error);
    if (status == NB_OK)
        status = nb_hparams_from_gguf(opened->gguf, &parts->hparams, error);
    if (status == NB_OK)
        status = open_tokenizer(opened, &parts->hparams, error);
    parts->tokenizer = opened->tokenizer;
    if (status == NB_OK)
        status = place_all(&l, parts);
    free(l.used);
    return status;
}
