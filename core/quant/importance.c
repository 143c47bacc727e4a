#include "quant/importance.h"

#include "base/memory.h"
#include "model/state.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 512, COLUMN_GRAIN = 64 };

void nb_importance_destroy(nb_importance **importance)
{
    if (!*importance)
        return;
    for (size_t i = 0; i < (*importance)->n_entries; i++) {
        free((*importance)->entries[i].name);
        free((*importance)->entries[i].squares);
    }
    free((*importance)->entries);
    free((*importance)->text);
    free(*importance);
    *importance = NULL;
}

const nb_importance_entry *nb_importance_find(const nb_importance *importance, const char *tensor)
{
    for (size_t i = 0; i < importance->n_entries; i++)
        if (strcmp(importance->entries[i].name, tensor) == 0)
            return &importance->entries[i];
    return NULL;
}

nb_status nb_importance_means(const nb_importance *importance, const char *tensor, size_t n_cols, float *out,
                              bool *known, nb_error *error)
{
    const nb_importance_entry *entry = nb_importance_find(importance, tensor);
    *known = entry && entry->n_tokens > 0;
    if (!*known)
        return NB_OK;
    if (entry->n_cols != n_cols)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "the importance matrix has %zu columns for %s, and the model %zu: it was made with another model",
                       entry->n_cols, tensor, n_cols);
    for (size_t i = 0; i < n_cols; i++)
        out[i] = entry->squares[i] / entry->n_tokens;
    return NB_OK;
}

/* ---- collecting ---- */

/* Sums in f64, so that their order does not show. */
typedef struct collector {
    nb_model *model;
    double **sums; /* [n_tensors][n_cols]; NULL for tensors that are not looked at */
    uint64_t *n_tokens;
    const nb_acts *x;
    double *const *into; /* of the tensors that read x */
    size_t n_into;
} collector;

static void add_columns(void *user, size_t begin, size_t end, unsigned thread)
{
    (void)thread;
    const collector *c = user;
    for (size_t t = 0; t < c->x->n_tokens; t++) {
        const float *row = c->x->f32 + t * c->x->f32_stride;
        for (size_t i = 0; i < c->n_into; i++)
            for (size_t j = begin; j < end; j++)
                c->into[i][j] += (double)row[j] * (double)row[j];
    }
}

static void look(void *observer, nb_tensor *const *tensors, size_t n_tensors, const nb_acts *x)
{
    collector *c = observer;
    double *into[NB_TENSORS_AT_ONCE];
    size_t n = 0;
    for (size_t i = 0; i < n_tensors; i++) {
        const size_t index = (size_t)(tensors[i] - c->model->tensors);
        if (!c->sums[index])
            continue;
        into[n++] = c->sums[index];
        c->n_tokens[index] += x->n_tokens;
    }
    c->x = x;
    c->into = into;
    c->n_into = n;
    if (n > 0)
        nb_parallel(c->model->context->pool, x->n_cols, COLUMN_GRAIN, add_columns, c);
}

static bool is_looked_at(const nb_tensor *tensor)
{
    return !tensor->is_vector && tensor->layer >= 0;
}

static nb_status make_sums(collector *c, nb_error *error)
{
    const nb_model *model = c->model;
    c->sums = nb_calloc(model->n_tensors, sizeof *c->sums);
    c->n_tokens = nb_calloc(model->n_tensors, sizeof *c->n_tokens);
    bool made = c->sums && c->n_tokens;
    for (size_t i = 0; made && i < model->n_tensors; i++)
        if (is_looked_at(&model->tensors[i]))
            made = (c->sums[i] = nb_calloc(model->tensors[i].n_cols, sizeof **c->sums)) != NULL;
    return made ? NB_OK : nb_fail(error, NB_ERR_MEMORY, "no memory for an importance matrix");
}

static void free_sums(collector *c)
{
    for (size_t i = 0; c->sums && i < c->model->n_tensors; i++)
        free(c->sums[i]);
    free(c->sums);
    free(c->n_tokens);
}

static nb_status read_chunk(nb_session *session, int32_t *tokens, size_t n, int32_t bos, nb_error *error)
{
    const size_t batch = nb_session_batch(session);
    nb_status status = NB_OK;
    if (bos >= 0)
        tokens[0] = bos;
    nb_session_reset(session);
    for (size_t done = 0; done < n && status == NB_OK; done += batch)
        status = nb_session_feed(session, tokens + done, nb_min_size(batch, n - done), error);
    return status;
}

static nb_status read_chunks(nb_model *model, nb_tokens *tokens, size_t chunk, size_t n_chunks, nb_error *error)
{
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    const int32_t bos = nb_tokenizer_adds_bos(tokenizer) ? nb_tokenizer_bos(tokenizer) : -1;
    nb_session *session = NULL;
    nb_status status = nb_session_create(model, NB_WEIGHTS_CURRENT, chunk, &session, error);
    for (size_t i = 0; i < n_chunks && status == NB_OK; i++) {
        status = read_chunk(session, tokens->ids + i * chunk, chunk, bos, error);
        if (status == NB_OK)
            status = nb_context_tick(model->context, "looking", (i + 1) * chunk, n_chunks * chunk, "tokens", error);
    }
    nb_session_destroy(&session);
    return status;
}

static nb_status make_entries(const collector *c, nb_importance *made, nb_error *error)
{
    const nb_model *model = c->model;
    made->entries = nb_calloc(model->n_tensors, sizeof *made->entries);
    if (!made->entries)
        return nb_fail(error, NB_ERR_MEMORY, "no memory for an importance matrix");
    for (size_t i = 0; i < model->n_tensors; i++) {
        const nb_tensor *t = &model->tensors[i];
        if (!c->sums[i] || c->n_tokens[i] == 0)
            continue;
        nb_importance_entry *entry = &made->entries[made->n_entries++];
        *entry = (nb_importance_entry){.name = nb_calloc(strlen(t->name) + 1, 1),
                                       .n_cols = t->n_cols,
                                       .squares = nb_calloc(t->n_cols, sizeof(float)),
                                       .n_tokens = (float)c->n_tokens[i]};
        if (!entry->name || !entry->squares)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for an importance matrix");
        memcpy(entry->name, t->name, strlen(t->name));
        for (size_t j = 0; j < t->n_cols; j++)
            entry->squares[j] = (float)c->sums[i][j];
    }
    return NB_OK;
}

static nb_status collect(nb_model *model, nb_tokens *tokens, nb_importance *made, nb_error *error)
{
    collector c = {.model = model};
    nb_status status = make_sums(&c, error);
    if (status == NB_OK) {
        model->observe = look;
        model->observer = &c;
        status = read_chunks(model, tokens, made->chunk_tokens, made->n_chunks, error);
        model->observe = NULL;
    }
    if (status == NB_OK)
        status = make_entries(&c, made, error);
    free_sums(&c);
    return status;
}

nb_status nb_importance_collect(nb_model *model, const char *text, size_t n_bytes, const char *text_name,
                                size_t max_tokens, size_t chunk_tokens, nb_importance **out, nb_error *error)
{
    *out = NULL;
    const nb_tokenizer *tokenizer = nb_model_tokenizer(model);
    const size_t n_ctx = nb_model_hparams(model)->n_ctx;
    const size_t chunk = chunk_tokens ? chunk_tokens : nb_min_size(CHUNK, n_ctx);
    if (!tokenizer)
        return nb_fail(error, NB_ERR_STATE, "%s came without a tokenizer, so it cannot read text",
                       nb_model_name(model));
    if (chunk < 2 || chunk > n_ctx)
        return nb_fail(error, NB_ERR_ARGUMENT, "a chunk of %zu tokens: it has 2 to %zu, the model's context", chunk,
                       n_ctx);
    nb_tokens tokens = {0};
    nb_status status = nb_tokenizer_encode(tokenizer, text, n_bytes, true, false, &tokens, error);
    const size_t n = max_tokens ? nb_min_size(max_tokens, tokens.count) : tokens.count;
    if (status == NB_OK && n < chunk)
        status = nb_fail(error, NB_ERR_ARGUMENT,
                         "a text of %zu tokens does not fill one chunk of %zu: give a longer text or a smaller chunk", n,
                         chunk);
    for (size_t i = 0; i < n && status == NB_OK; i++)
        if ((uint32_t)tokens.ids[i] >= nb_model_hparams(model)->n_vocab)
            status = nb_fail(error, NB_ERR_ARGUMENT, "token %d of the text is none of the model's: the tokenizer is "
                                                     "another model's", tokens.ids[i]);
    nb_importance *made = status == NB_OK ? nb_calloc(1, sizeof *made) : NULL;
    if (status == NB_OK && (!made || !(made->text = nb_calloc(strlen(text_name) + 1, 1))))
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for an importance matrix");
    if (status == NB_OK) {
        memcpy(made->text, text_name, strlen(text_name));
        made->chunk_tokens = (uint32_t)chunk;
        made->n_chunks = (uint32_t)(n / chunk);
        status = collect(model, &tokens, made, error);
    }
    nb_tokens_free(&tokens);
    if (status == NB_OK)
        *out = made;
    else
        nb_importance_destroy(&made);
    return status;
}
