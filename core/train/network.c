#include "train/network.h"

#include "base/memory.h"
#include "base/random.h"
#include "files/hparams.h"
#include "model/rope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const nb_quantizer plain = {.format = &nb_format_f32};

/* ---- creation ---- */

nb_weight *nb_network_find(const nb_network *network, const char *name)
{
    for (size_t i = 0; i < network->n_weights; i++)
        if (strcmp(network->weights[i].shape.name, name) == 0)
            return &network->weights[i];
    return NULL;
}

static nb_weight *of_layer(const nb_network *network, uint32_t layer, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "blk.%u.%s", layer, name);
    return nb_network_find(network, full);
}

static void name_layers(nb_network *n)
{
    for (uint32_t i = 0; i < n->hparams.n_layers; i++)
        n->layers[i] = (nb_network_layer){
            .attn_norm = of_layer(n, i, "attn_norm"),
            .attn_q = of_layer(n, i, "attn_q"),
            .attn_k = of_layer(n, i, "attn_k"),
            .attn_v = of_layer(n, i, "attn_v"),
            .attn_output = of_layer(n, i, "attn_output"),
            .ffn_norm = of_layer(n, i, "ffn_norm"),
            .ffn_gate = of_layer(n, i, "ffn_gate"),
            .ffn_up = of_layer(n, i, "ffn_up"),
            .ffn_down = of_layer(n, i, "ffn_down"),
        };
    n->token_embd = nb_network_find(n, "token_embd");
    n->output_norm = nb_network_find(n, "output_norm");
    n->head = n->hparams.tied ? n->token_embd : nb_network_find(n, "output");
}

static nb_status no_memory(nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "no memory to train a model of this size; make it smaller");
}

static nb_status place_weights(nb_network *n, const nb_layout_tensor *layout, nb_error *error)
{
    for (size_t i = 0; i < n->n_weights; i++)
        n->n_values += layout[i].n_rows * layout[i].n_cols;
    n->weights = nb_calloc(n->n_weights, sizeof *n->weights);
    n->values = nb_aligned_calloc(n->n_values, sizeof(float));
    n->gradients = nb_aligned_calloc(n->n_values, sizeof(float));
    if (!n->weights || !n->values || !n->gradients)
        return no_memory(error);
    nb_status status = NB_OK;
    for (size_t i = 0, at = 0; i < n->n_weights && status == NB_OK; i++) {
        nb_weight *w = &n->weights[i];
        const size_t size = layout[i].n_rows * layout[i].n_cols;
        *w = (nb_weight){.shape = layout[i], .values = n->values + at, .gradient = n->gradients + at};
        at += size;
        if (layout[i].is_vector) {
            for (size_t k = 0; k < size; k++)
                w->values[k] = 1.0f;
            continue;
        }
        status = nb_packed_create(&plain, layout[i].n_rows, layout[i].n_cols, &w->by_rows, error);
        if (status == NB_OK)
            status = nb_packed_create(&plain, layout[i].n_cols, layout[i].n_rows, &w->by_columns, error);
    }
    return status;
}

/* Turning back is turning by the negative angle: the same cosine, the other sine. */
static nb_status make_rope(nb_network *n, nb_error *error)
{
    const nb_hparams *h = &n->hparams;
    double *frequencies = nb_calloc(h->n_rot / 2, sizeof *frequencies);
    n->rope = nb_calloc(h->n_ctx, h->n_rot * sizeof(float));
    n->rope_back = nb_calloc(h->n_ctx, h->n_rot * sizeof(float));
    if (!frequencies || !n->rope || !n->rope_back) {
        free(frequencies);
        return no_memory(error);
    }
    nb_rope_frequencies(h, NULL, frequencies);
    for (size_t position = 0; position < h->n_ctx; position++)
        nb_rope_row(h, frequencies, false, position, n->rope + position * h->n_rot);
    for (size_t i = 0; i < (size_t)h->n_ctx * h->n_rot; i++)
        n->rope_back[i] = i % 2 ? -n->rope[i] : n->rope[i];
    free(frequencies);
    return NB_OK;
}

nb_status nb_network_create(nb_context *context, const nb_hparams *hparams, nb_network **out, nb_error *error)
{
    *out = NULL;
    if (strcmp(hparams->architecture, "llama") != 0)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "nibble trains models of architecture llama, not %s",
                       hparams->architecture);
    nb_status status = nb_hparams_check(hparams, "the model to train", error);
    if (status != NB_OK)
        return status;
    nb_layout_tensor *layout = NULL;
    nb_network *n = nb_calloc(1, sizeof *n);
    if (!n)
        return no_memory(error);
    n->context = context;
    n->hparams = *hparams;
    n->hparams.architecture = "llama";
    status = nb_layout_create(&n->hparams, false, &layout, &n->n_weights, error);
    if (status == NB_OK)
        status = place_weights(n, layout, error);
    free(layout);
    if (status == NB_OK) {
        n->layers = nb_calloc(n->hparams.n_layers, sizeof *n->layers);
        status = n->layers ? make_rope(n, error) : no_memory(error);
    }
    if (status != NB_OK) {
        nb_network_destroy(&n);
        return status;
    }
    name_layers(n);
    *out = n;
    return NB_OK;
}

void nb_network_destroy(nb_network **network)
{
    nb_network *n = *network;
    if (!n)
        return;
    for (size_t i = 0; i < n->n_weights && n->weights; i++) {
        nb_packed_destroy(&n->weights[i].by_rows);
        nb_packed_destroy(&n->weights[i].by_columns);
    }
    free(n->weights);
    nb_aligned_free(n->values);
    nb_aligned_free(n->gradients);
    free(n->layers);
    free(n->rope);
    free(n->rope_back);
    free(n);
    *network = NULL;
}

/* ---- values ---- */

static bool writes_residual(const nb_network *n, const nb_weight *w)
{
    const int layer = w->shape.layer;
    return layer >= 0 && (w == n->layers[layer].attn_output || w == n->layers[layer].ffn_down);
}

/* What a head takes from a place it also writes, and it looks for what is like itself: the output matrix starts near
 * the transpose of the values' and the queries' near the keys'. A model that has to copy names then learns it in a
 * tenth of the steps. */
static void align_heads(nb_network *n, const nb_network_layer *layer)
{
    const size_t n_embd = n->hparams.n_embd, n_inner = layer->attn_output->shape.n_cols;
    const size_t head_size = n_inner / n->hparams.n_heads, shared = n->hparams.n_heads / n->hparams.n_kv_heads;
    for (size_t k = 0; k < n_inner; k++) {
        const size_t kv = k / head_size / shared * head_size + k % head_size;
        const float *values = layer->attn_v->values + kv * n_embd, *keys = layer->attn_k->values + kv * n_embd;
        for (size_t column = 0; column < n_embd; column++) {
            layer->attn_output->values[column * n_inner + k] += values[column];
            layer->attn_q->values[k * n_embd + column] += 0.7f * keys[column];
        }
    }
}

void nb_network_initialise(nb_network *n, uint64_t seed)
{
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n->n_weights; i++) {
        const nb_weight *w = &n->weights[i];
        if (w->shape.is_vector)
            continue;
        double deviation = w == n->token_embd ? 0.02 : 0.5 / sqrt((double)w->shape.n_cols);
        if (writes_residual(n, w))
            deviation /= sqrt(2.0 * n->hparams.n_layers);
        for (size_t k = 0; k < w->shape.n_rows * w->shape.n_cols; k++)
            w->values[k] = (float)(deviation * nb_random_normal(&random));
    }
    for (size_t i = 0; i < n->hparams.n_layers; i++)
        align_heads(n, &n->layers[i]);
    nb_network_pack(n);
}

/* Sixteen columns of a row-major matrix side by side are a row group of its transpose, as they lie. */
static void pack_columns(const nb_weight *w, size_t group)
{
    const size_t n_rows = w->shape.n_rows, n_cols = w->shape.n_cols, first = group * NB_ROWS;
    const size_t n = nb_min_size(NB_ROWS, n_cols - first);
    uint8_t *codes = w->by_columns->codes + group * w->by_columns->row_group_bytes;
    for (size_t row = 0; row < n_rows; row++)
        memcpy(codes + row * NB_ROWS * sizeof(float), w->values + row * n_cols + first, n * sizeof(float));
}

static void pack_weights(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const nb_network *n = user;
    for (size_t i = begin; i < end; i++) {
        const nb_weight *w = &n->weights[i];
        if (w->shape.is_vector)
            continue;
        const size_t row_bytes = w->shape.n_cols * sizeof(float);
        for (size_t group = 0; group < w->by_rows->n_row_groups; group++)
            nb_packed_set_float(w->by_rows, group, w->values + group * NB_ROWS * w->shape.n_cols, row_bytes);
        for (size_t group = 0; group < w->by_columns->n_row_groups; group++)
            pack_columns(w, group);
    }
}

void nb_network_pack(nb_network *network)
{
    nb_parallel(network->context->pool, network->n_weights, 1, pack_weights, network);
}
