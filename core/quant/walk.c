#include "quant/walk.h"

#include "base/memory.h"
#include "model/session.h"

#include <stdlib.h>
#include <string.h>

struct nb_walk {
    nb_model *model;
    const nb_samples *samples;
    nb_session *session;
    float *hidden; /* [n_tokens][n_embd] */
    size_t layer;
};

void nb_walk_destroy(nb_walk **walk)
{
    if (!*walk)
        return;
    nb_session_destroy(&(*walk)->session);
    nb_aligned_free((*walk)->hidden);
    free(*walk);
    *walk = NULL;
}

static float *rows_of(const nb_walk *w, size_t sequence)
{
    return w->hidden + w->samples->begins[sequence] * w->model->hparams.n_embd;
}

static size_t length_of(const nb_walk *w, size_t sequence)
{
    return nb_samples_length(w->samples, sequence);
}

static nb_status embed(nb_walk *w, nb_error *error)
{
    const size_t n = nb_samples_n_tokens(w->samples);
    for (size_t i = 0; i < n; i++)
        if (w->samples->tokens[i] < 0 || (uint32_t)w->samples->tokens[i] >= w->model->hparams.n_vocab)
            return nb_fail(error, NB_ERR_ARGUMENT, "token %d is none of the model's %u", w->samples->tokens[i],
                           w->model->hparams.n_vocab);
    nb_samples_embed(w->samples, w->session, w->hidden);
    return NB_OK;
}

/* Scratch that takes a whole sequence at once. */
static size_t scratch_for(const nb_model *model, size_t length)
{
    const nb_hparams *h = &model->hparams;
    const size_t attention = 2 * (size_t)(h->n_heads + h->n_kv_heads) * h->head_size;
    const size_t widest = nb_max_size(nb_max_size(attention, 2 * (size_t)h->n_ff), h->n_embd);
    return (length + 64) * (2 * (size_t)h->n_embd + 2 * widest) * sizeof(float);
}

nb_status nb_walk_create(nb_model *model, const nb_samples *samples, nb_walk **out, nb_error *error)
{
    *out = NULL;
    nb_walk *w = nb_calloc(1, sizeof *w);
    nb_status status = nb_model_check(model, error);
    if (status == NB_OK && w) {
        w->model = model;
        w->samples = samples;
        w->hidden = nb_aligned_calloc(nb_samples_n_tokens(samples), model->hparams.n_embd * sizeof(float));
    }
    if (status == NB_OK && (!w || !w->hidden))
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for the hidden state of %zu tokens; take fewer",
                         nb_samples_n_tokens(samples));
    if (status == NB_OK)
        status = nb_session_create_within(model, NB_WEIGHTS_CURRENT, samples->longest,
                                          scratch_for(model, samples->longest), &w->session, error);
    if (status == NB_OK)
        status = embed(w, error);
    if (status == NB_OK)
        *out = w;
    else
        nb_walk_destroy(&w);
    return status;
}

nb_status nb_walk_look(nb_walk *w, const nb_tensor *reader, nb_walk_fn *fn, void *user, nb_error *error)
{
    const nb_frame *frame = &w->model->frame;
    const float *x = w->session->norm;
    size_t stride = w->model->hparams.n_embd;
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < w->samples->n_sequences; i++) {
        nb_session_put_rows(w->session, rows_of(w, i), length_of(w, i));
        if (w->layer < w->model->hparams.n_layers)
            status = nb_block_reach(w->session, w->layer, reader, &x, &stride, error);
        else
            nb_session_norm(w->session, frame->output_norm, frame->output_norm_bias, 0, length_of(w, i));
        if (status == NB_OK)
            status = fn(user, x, length_of(w, i), stride, error);
        if (status == NB_OK)
            status = nb_context_tick(w->model->context, "looking", i + 1, w->samples->n_sequences, "sequences", error);
    }
    return status;
}

nb_status nb_walk_advance(nb_walk *w, nb_error *error)
{
    nb_status status = NB_OK;
    for (size_t i = 0; status == NB_OK && i < w->samples->n_sequences; i++) {
        nb_session_put_rows(w->session, rows_of(w, i), length_of(w, i));
        status = nb_block_run(w->session, w->layer, NB_LOGITS_ALL, error);
        if (status == NB_OK)
            memcpy(rows_of(w, i), w->session->x, length_of(w, i) * w->model->hparams.n_embd * sizeof(float));
        if (status == NB_OK)
            status = nb_context_tick(w->model->context, "going on", i + 1, w->samples->n_sequences, "sequences", error);
    }
    w->layer++;
    return status;
}

size_t nb_walk_layer(const nb_walk *w)
{
    return w->layer;
}
