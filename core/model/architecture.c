/* The table of architectures. */
#include "model/architecture.h"

#include <string.h>

static const nb_architecture *const table[] = {
    &nb_architecture_llama,  &nb_architecture_qwen2, &nb_architecture_qwen3, &nb_architecture_gemma,
    &nb_architecture_gemma2, &nb_architecture_phi3,  &nb_architecture_gpt2,
};

size_t nb_architecture_count(void)
{
    return sizeof table / sizeof table[0];
}

const nb_architecture *nb_architecture_at(size_t index)
{
    return table[index];
}

const nb_architecture *nb_architecture_find(const char *name)
{
    for (size_t i = 0; i < nb_architecture_count(); i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

const char *nb_tensor_suffix(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".bias") == 0 ? "" : ".weight";
}

size_t nb_dim_extent(const nb_hparams *h, nb_dim dim)
{
    switch (dim) {
    case NB_DIM_ONE:
        return 1;
    case NB_DIM_EMBD:
        return h->n_embd;
    case NB_DIM_Q:
        return (size_t)h->n_heads * h->head_size;
    case NB_DIM_KV:
        return (size_t)h->n_kv_heads * h->head_size;
    case NB_DIM_QKV:
        return ((size_t)h->n_heads + 2 * (size_t)h->n_kv_heads) * h->head_size;
    case NB_DIM_HEAD:
        return h->head_size;
    case NB_DIM_GATE_UP:
        return 2 * (size_t)h->n_ff;
    case NB_DIM_CTX:
        return h->n_ctx;
    case NB_DIM_FF:
        return h->n_ff;
    case NB_DIM_VOCAB:
        return h->n_vocab;
    case NB_DIM_ROT_HALF:
        return h->n_rot / 2;
    }
    return 0;
}
