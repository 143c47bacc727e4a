#include "files/layout.h"

#include "base/memory.h"
#include "model/architecture.h"

#include <stdio.h>
#include <string.h>

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static nb_role role_of(const nb_slot *slot)
{
    if (slot->presence == NB_SLOT_UNLESS_TIED)
        return NB_ROLE_HEAD;
    if (slot->rows == NB_DIM_VOCAB || slot->rows == NB_DIM_CTX)
        return NB_ROLE_EMBEDDINGS;
    if (slot->rows == NB_DIM_ONE)
        return strstr(slot->name, "norm")              ? NB_ROLE_NORM
               : *nb_tensor_suffix(slot->name) == '\0' ? NB_ROLE_BIAS
                                                       : NB_ROLE_OTHER;
    return starts_with(slot->name, "attn_")  ? NB_ROLE_ATTENTION
           : starts_with(slot->name, "ffn_") ? NB_ROLE_MLP
                                             : NB_ROLE_OTHER;
}

static void fill(nb_layout_tensor *t, const nb_slot *slot, int layer, const nb_hparams *h)
{
    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, slot->name);
    else
        snprintf(t->name, sizeof t->name, "%s", slot->name);
    t->role = role_of(slot);
    t->layer = layer;
    t->n_rows = nb_dim_extent(h, slot->rows);
    t->n_cols = nb_dim_extent(h, slot->cols);
    t->is_vector = slot->rows == NB_DIM_ONE;
}

/* The frame's tensors that are embeddings, or those that are not. */
static size_t fill_frame(nb_layout_tensor *tensors, const nb_architecture *a, const nb_hparams *h,
                         bool optional, bool embeddings)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n_frame_slots; i++) {
        const nb_slot *slot = &a->frame_slots[i];
        bool absent = (slot->presence == NB_SLOT_UNLESS_TIED && h->tied) ||
                      (slot->presence == NB_SLOT_OPTIONAL && !optional);
        if (!absent && (role_of(slot) == NB_ROLE_EMBEDDINGS) == embeddings)
            fill(&tensors[n++], slot, -1, h);
    }
    return n;
}

nb_status nb_layout_create(const nb_hparams *hparams, bool optional, nb_layout_tensor **out, size_t *count,
                           nb_error *error)
{
    *out = NULL;
    *count = 0;
    const nb_architecture *a = nb_architecture_find(hparams->architecture);
    if (!a)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "architecture %s is not supported yet",
                       hparams->architecture);
    size_t n = 0, most = a->n_frame_slots + (size_t)hparams->n_layers * a->n_layer_slots;
    nb_layout_tensor *tensors = nb_calloc(most, sizeof *tensors);
    if (!tensors)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the table of the model's tensors");
    n += fill_frame(tensors, a, hparams, optional, true);
    for (uint32_t layer = 0; layer < hparams->n_layers; layer++)
        for (size_t i = 0; i < a->n_layer_slots; i++)
            fill(&tensors[n++], &a->layer_slots[i], (int)layer, hparams);
    n += fill_frame(tensors + n, a, hparams, optional, false);
    *out = tensors;
    *count = n;
    return NB_OK;
}
