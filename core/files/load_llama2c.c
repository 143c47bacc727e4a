/* A llama2.c model under GGUF's names. Its rotary pairs are neighbours, as in GGUF's architecture llama, so
 * the rows stay as they are. */
#include "files/parts.h"

#include "base/memory.h"
#include "files/vocabulary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the tensors of a name lie: whole, or layer after layer. */
static const float *source_of(const nb_llama2c *m, const nb_layout_tensor *t)
{
    const struct {
        const char *name;
        const float *data;
    } places[] = {
        {"token_embd", m->token_embd},
        {"attn_norm", m->attn_norm},
        {"attn_q", m->wq},
        {"attn_k", m->wk},
        {"attn_v", m->wv},
        {"attn_output", m->wo},
        {"ffn_norm", m->ffn_norm},
        {"ffn_gate", m->w1_gate},
        {"ffn_down", m->w2_down},
        {"ffn_up", m->w3_up},
        {"output_norm", m->output_norm},
        {"output", m->output},
    };
    const char *name = t->layer < 0 ? t->name : strrchr(t->name, '.') + 1;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strcmp(places[i].name, name) == 0)
            return places[i].data + (t->layer < 0 ? 0 : (size_t)t->layer * t->n_rows * t->n_cols);
    return NULL;
}

static nb_hparams hparams_of(const nb_llama2c *m)
{
    uint32_t head_size = m->dim / m->n_heads;
    return (nb_hparams){
        .architecture = "llama",
        .n_layers = m->n_layers,
        .n_embd = m->dim,
        .n_heads = m->n_heads,
        .n_kv_heads = m->n_kv_heads,
        .head_size = head_size,
        .n_rot = head_size,
        .n_ff = m->hidden_dim,
        .n_vocab = m->vocab_size,
        .n_ctx = m->seq_len,
        .norm_eps = 1e-5f, /* this and the base are fixed in run.c */
        .rope_base = 10000.0,
        .rope_scale = 1.0,
        .tied = m->shared_classifier,
    };
}

/* tok512.bin for a vocabulary of 512, else tokenizer.bin, in the model's folder. Allocated; NULL when there
 * is none (or no memory). */
static char *find_tokenizer(const char *path, uint32_t vocab_size)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    char *candidates[2] = {nb_format_text("%.*stok%" PRIu32 ".bin", folder, path, vocab_size),
                           nb_format_text("%.*stokenizer.bin", folder, path)};
    for (size_t i = 0; i < 2; i++) {
        if (candidates[i] && access(candidates[i], F_OK) == 0) {
            free(candidates[1 - i]);
            return candidates[i];
        }
    }
    free(candidates[0]);
    free(candidates[1]);
    return NULL;
}

static nb_status open_tokenizer(nb_opened *opened, const char *path, const nb_load_options *options,
                                nb_error *error)
{
    size_t n_tokens = opened->llama2c->vocab_size;
    if (options->tokenizer)
        return nb_tokenizer_from_llama2c(options->tokenizer, n_tokens, &opened->tokenizer, error);
    char *found = find_tokenizer(path, opened->llama2c->vocab_size);
    if (!found)
        return nb_fail(
            error, NB_ERR_FILE,
            "%s: a llama2.c model keeps its tokenizer in a file of its own, and neither tok%zu.bin nor "
            "tokenizer.bin is beside it; name one with --tokenizer FILE",
            path, n_tokens);
    nb_status status = nb_tokenizer_from_llama2c(found, n_tokens, &opened->tokenizer, error);
    free(found);
    return status;
}

nb_status nb_parts_from_llama2c(nb_opened *opened, const char *path, const nb_load_options *options,
                                nb_model_parts *parts, nb_error *error)
{
    nb_layout_tensor *layout = NULL;
    size_t count = 0;
    nb_status status = nb_llama2c_open(path, &opened->llama2c, error);
    if (status != NB_OK)
        return status;
    parts->hparams = hparams_of(opened->llama2c);
    parts->mapping = opened->llama2c->mapping;
    parts->name = nb_parts_stem(path);
    if (!parts->name)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to load it", path);
    status = open_tokenizer(opened, path, options, error);
    parts->tokenizer = opened->tokenizer;
    if (status == NB_OK)
        status = nb_layout_create(&parts->hparams, false, &layout, &count, error);
    if (status == NB_OK)
        status = nb_parts_name(parts, layout, count, error);
    for (size_t i = 0; i < count && status == NB_OK; i++)
        status =
            nb_parts_place(&parts->tensors[i], &nb_format_f32, source_of(opened->llama2c, &layout[i]), error);
    free(layout);
    return status;
}
