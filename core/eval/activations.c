#include "eval/activations.h"

#include "base/memory.h"
#include "model/state.h"

#include <string.h>

enum { CHUNK = 64 }; /* tokens at a time: the head's logits are kept for so many */

typedef struct collector {
    const nb_tensor *wanted;
    float *out;
    size_t n_tokens, done;
} collector;

static void look(void *observer, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    collector *c = observer;
    for (size_t i = 0; i < n_tensors; i++) {
        if (tensors[i] != c->wanted)
            continue;
        const size_t n = nb_min_size(x->n_tokens, c->n_tokens - c->done);
        for (size_t t = 0; t < n; t++)
            memcpy(c->out + (c->done + t) * x->n_cols, x->f32 + t * x->f32_stride,
                   x->n_cols * sizeof *c->out);
        c->done += n;
    }
}

static nb_status read_tokens(nb_model *model, const int32_t *tokens, size_t n_tokens, nb_error *error)
{
    nb_session *session = NULL;
    const float *logits;
    nb_status status = nb_session_create(model, NB_WEIGHTS_CURRENT, n_tokens, &session, error);
    for (size_t at = 0; status == NB_OK && at < n_tokens; at += CHUNK) {
        status = nb_context_tick(model->context, "reading", at, n_tokens, "tokens", error);
        if (status == NB_OK)
            status = nb_session_eval(session, tokens + at, nb_min_size(CHUNK, n_tokens - at), NB_LOGITS_ALL,
                                     &logits, error);
    }
    nb_session_destroy(&session);
    return status;
}

nb_status nb_activations_collect(nb_model *model, size_t index, const int32_t *tokens, size_t n_tokens,
                                 float *out, nb_error *error)
{
    const nb_tensor *tensor = &model->tensors[index];
    if (tensor->is_vector)
        return nb_fail(error, NB_ERR_ARGUMENT, "%s is a vector: activations flow into matrices",
                       tensor->name);
    if (n_tokens == 0 || n_tokens > model->hparams.n_ctx)
        return nb_fail(error, NB_ERR_ARGUMENT, "%zu tokens: the model reads 1 to %u at once", n_tokens,
                       (unsigned)model->hparams.n_ctx);
    collector c = {.wanted = tensor, .out = out, .n_tokens = n_tokens};
    model->observe = look;
    model->observer = &c;
    nb_status status = read_tokens(model, tokens, n_tokens, error);
    model->observe = NULL;
    model->observer = NULL;
    if (status == NB_OK && c.done < n_tokens)
        status =
            nb_fail(error, NB_ERR_ARGUMENT, "%s multiplies nothing: its rows are looked up", tensor->name);
    return status;
}
