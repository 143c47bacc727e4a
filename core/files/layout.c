#include "files/layout.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

typedef enum dimension { ONE, EMBD, ATTENTION, KEYS, FF, VOCAB, HALF_ROT } dimension;

typedef struct row {
    const char *name; /* a '%' is the block's number */
    nb_role role;
    dimension rows, cols;
} row;

/* Source: the GGUF specification's tensor names. */
static const row llama_rows[] = {
    {"token_embd", NB_ROLE_EMBEDDINGS, VOCAB, EMBD},
    {"blk.%.attn_norm", NB_ROLE_NORM, ONE, EMBD},
    {"blk.%.attn_q", NB_ROLE_ATTENTION, ATTENTION, EMBD},
    {"blk.%.attn_k", NB_ROLE_ATTENTION, KEYS, EMBD},
    {"blk.%.attn_v", NB_ROLE_ATTENTION, KEYS, EMBD},
    {"blk.%.attn_output", NB_ROLE_ATTENTION, EMBD, ATTENTION},
    {"blk.%.ffn_norm", NB_ROLE_NORM, ONE, EMBD},
    {"blk.%.ffn_gate", NB_ROLE_MLP, FF, EMBD},
    {"blk.%.ffn_up", NB_ROLE_MLP, FF, EMBD},
    {"blk.%.ffn_down", NB_ROLE_MLP, EMBD, FF},
    {"output_norm", NB_ROLE_NORM, ONE, EMBD},
    {"output", NB_ROLE_HEAD, VOCAB, EMBD},
    {"rope_freqs", NB_ROLE_OTHER, ONE, HALF_ROT},
};

static const struct architecture {
    const char *name;
    const row *rows;
    size_t n_rows;
} architectures[] = {
    {"llama", llama_rows, sizeof llama_rows / sizeof llama_rows[0]},
};

static const struct architecture *find(nb_string name)
{
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        if (nb_string_equal(name, architectures[i].name))
            return &architectures[i];
    return NULL;
}

const char *nb_layout_architecture(nb_string name)
{
    const struct architecture *a = find(name);
    return a ? a->name : NULL;
}

static size_t extent(const nb_hparams *h, dimension d)
{
    switch (d) {
    case ONE: return 1;
    case EMBD: return h->n_embd;
    case ATTENTION: return (size_t)h->n_heads * h->head_size;
    case KEYS: return (size_t)h->n_kv_heads * h->head_size;
    case FF: return h->n_ff;
    case VOCAB: return h->n_vocab;
    case HALF_ROT: return h->n_rot / 2;
    }
    return 0;
}

static bool in_block(const row *r) { return strchr(r->name, '%') != NULL; }

static void fill(nb_layout_tensor *t, const row *r, int layer, const nb_hparams *h)
{
    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, strchr(r->name, '%') + 2);
    else
        snprintf(t->name, sizeof t->name, "%s", r->name);
    t->role = r->role;
    t->layer = layer;
    t->n_rows = extent(h, r->rows);
    t->n_cols = extent(h, r->cols);
    t->is_vector = r->rows == ONE;
}

nb_status nb_layout_create(const nb_hparams *hparams, bool rope_factors, nb_layout_tensor **out, size_t *count,
                           nb_error *error)
{
    *out = NULL;
    *count = 0;
    const struct architecture *a = find(nb_string_of(hparams->architecture));
    if (!a)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "architecture %s is not supported yet: nibble runs llama",
                       hparams->architecture);
    nb_layout_tensor *tensors = nb_calloc(((size_t)hparams->n_layers + 1) * a->n_rows, sizeof *tensors);
    if (!tensors)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for the table of the model's tensors");
    size_t n = 0;
    for (size_t i = 0; i < a->n_rows;) {
        size_t end = i; /* rows i..end are a block's, or one that is in none */
        while (end < a->n_rows && in_block(&a->rows[end]))
            end++;
        for (uint32_t layer = 0; layer < hparams->n_layers; layer++)
            for (size_t r = i; r < end; r++)
                fill(&tensors[n++], &a->rows[r], (int)layer, hparams);
        if (end == i) {
            bool absent = (a->rows[i].role == NB_ROLE_HEAD && hparams->tied) ||
                          (a->rows[i].cols == HALF_ROT && !rope_factors);
            if (!absent)
                fill(&tensors[n++], &a->rows[i], -1, hparams);
            end++;
        }
        i = end;
    }
    *out = tensors;
    *count = n;
    return NB_OK;
}
