/* The fingerprint: logits of a small random model, stored in every format in turn, hashed. Its shape is as
 * awkward as shapes get (a head of 8, rows of 72 and 172, shared KV heads, RoPE factors), so that tails are
 * in it too. */
#include "quant/quantize.h"

#include "base/digest.h"
#include "base/memory.h"
#include "base/random.h"
#include "files/layout.h"
#include "model/build.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_TOKENS = 24, N_AT_ONCE = 17, SEED = 20 };

static const nb_hparams shape = {
    .architecture = "llama",
    .n_layers = 2,
    .n_embd = 72,
    .n_heads = 9,
    .n_kv_heads = 3,
    .head_size = 8,
    .n_rot = 8,
    .n_ff = 172,
    .n_vocab = 120,
    .n_ctx = N_TOKENS,
    .norm_eps = 1e-5f,
    .rope_base = 10000.0,
    .rope_scale = 0.5,
};

/* ---- the model ---- */

/* Weights live in one block, which the model's `release` frees. */
static nb_status describe_tensors(const nb_layout_tensor *layout, size_t count, float *weights,
                                  nb_tensor *tensors, nb_error *error)
{
    nb_random random;
    nb_random_seed(&random, SEED);
    for (size_t i = 0; i < count; i++) {
        const nb_layout_tensor *l = &layout[i];
        const size_t n = l->n_rows * l->n_cols;
        const double deviation = l->is_vector ? 0.1 : 1.0 / sqrt((double)l->n_cols);
        tensors[i] = (nb_tensor){.name = nb_strdup(l->name),
                                 .role = l->role,
                                 .layer = l->layer,
                                 .n_rows = l->n_rows,
                                 .n_cols = l->n_cols,
                                 .is_vector = l->is_vector};
        float *values = weights;
        if (l->is_vector)
            values = tensors[i].vector = nb_calloc(n, sizeof *values);
        if (!tensors[i].name || !values)
            return nb_fail(error, NB_ERR_MEMORY, "no memory for the fingerprint's model");
        for (size_t k = 0; k < n; k++)
            values[k] = (float)(deviation * nb_random_normal(&random) + (l->is_vector ? 1.0 : 0.0));
        if (l->is_vector)
            continue;
        tensors[i].source_format = &nb_format_f32;
        tensors[i].source = weights;
        weights += n;
    }
    return NB_OK;
}

static nb_status make_model(nb_context *context, nb_model **out, nb_error *error)
{
    nb_layout_tensor *layout = NULL;
    nb_model_parts parts = {.name = "fingerprint", .path = "fingerprint", .hparams = shape, .release = free};
    nb_status status = nb_layout_create(&shape, true, &layout, &parts.n_tensors, error);
    if (status != NB_OK)
        return status;
    size_t n_weights = 0;
    for (size_t i = 0; i < parts.n_tensors; i++)
        n_weights += layout[i].n_rows * layout[i].n_cols;
    parts.owner = nb_calloc(n_weights, sizeof(float));
    parts.tensors = nb_calloc(parts.n_tensors, sizeof *parts.tensors);
    if (parts.owner && parts.tensors) {
        status = describe_tensors(layout, parts.n_tensors, parts.owner, parts.tensors, error);
    } else {
        parts.n_tensors = 0;
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for the fingerprint's model");
    }
    free(layout);
    if (status == NB_OK)
        return nb_model_create(context, &parts, out, error);
    for (size_t i = 0; i < parts.n_tensors; i++) {
        free((char *)(uintptr_t)parts.tensors[i].name);
        free(parts.tensors[i].vector);
    }
    free(parts.tensors);
    free(parts.owner);
    return status;
}

/* ---- the hash ---- */

/* Little-endian, so that it is the same on every machine. */
static uint64_t hash_u32(uint64_t hash, uint32_t value)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    return nb_digest_add(hash, bytes, sizeof bytes);
}

static uint64_t hash_floats(uint64_t hash, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        hash = hash_u32(hash, bits);
    }
    return hash;
}

/* Most tokens at once and the rest one by one, so that both ways through the kernels count. */
static nb_status hash_pass(nb_session *session, uint64_t *hash, nb_error *error)
{
    int32_t tokens[N_TOKENS];
    for (int32_t i = 0; i < N_TOKENS; i++)
        tokens[i] = (i * 37 + 11) % (int32_t)shape.n_vocab;
    const float *logits = NULL;
    nb_session_reset(session);
    nb_status status = nb_session_eval(session, tokens, N_AT_ONCE, NB_LOGITS_ALL, &logits, error);
    if (status == NB_OK)
        *hash = hash_floats(*hash, logits, (size_t)N_AT_ONCE * shape.n_vocab);
    for (size_t i = N_AT_ONCE; status == NB_OK && i < N_TOKENS; i++) {
        status = nb_session_eval(session, tokens + i, 1, NB_LOGITS_LAST, &logits, error);
        if (status == NB_OK)
            *hash = hash_floats(*hash, logits, shape.n_vocab);
    }
    return status;
}

static nb_status hash_stored_as(nb_model *model, nb_session *session, const nb_scope *scope,
                                const nb_quantizer *quantizer, uint64_t *hash, nb_error *error)
{
    nb_status status = nb_model_quantize(model, scope, quantizer, NULL, error);
    return status == NB_OK ? hash_pass(session, hash, error) : status;
}

/* Every format; a TABLE one in two sizes of group; an INT one with both schemes, both kinds of activations, and the granularities in turn. */
static nb_status hash_format(nb_model *model, nb_session *session, const nb_scope *scope,
                             const nb_format *format, uint64_t *hash, nb_error *error)
{
    nb_quantizer q = {.format = format};
    if (format->kind == NB_FORMAT_BLOCK) /* rows of 72 have no whole blocks; check-kernels has its own digest of them */
        return NB_OK;
    if (format->kind == NB_FORMAT_FLOAT)
        return hash_stored_as(model, session, scope, &q, hash, error);
    nb_status status = NB_OK;
    if (format->kind == NB_FORMAT_TABLE) {
        q = nb_quantizer_of(format);
        for (unsigned i = 0; status == NB_OK && i < 2; i++, q.double_scales = true, q.group = 32)
            status = hash_stored_as(model, session, scope, &q, hash, error);
        return status;
    }
    for (unsigned i = 0; status == NB_OK && i < 4; i++) {
        q.scheme = i / 2 ? NB_SCHEME_ZEROPOINT : NB_SCHEME_ABSMAX;
        q.activations = i % 2 ? NB_ACTIVATIONS_F32 : NB_ACTIVATIONS_DEFAULT;
        q.granularity = (nb_granularity)((format->bits + i) % 3);
        q.group = q.granularity == NB_PER_GROUP ? 32 : 0;
        q.scales_f32 = (format->bits + i) % 2;
        status = hash_stored_as(model, session, scope, &q, hash, error);
    }
    return status;
}

nb_status nb_fingerprint(nb_context *context, char text[17], nb_error *error)
{
    nb_model *model = NULL;
    nb_session *session = NULL;
    nb_scope scope = {0};
    uint64_t hash = NB_DIGEST_OF_NOTHING;
    nb_progress_fn *progress = context->progress;
    context->progress = NULL; /* too short to be worth a line */
    nb_status status = make_model(context, &model, error);
    if (status == NB_OK)
        status = nb_session_create(model, NB_WEIGHTS_CURRENT, 0, &session, error);
    if (status == NB_OK)
        status = nb_scope_resolve(model, "all,embeddings,head", false, &scope, error);
    for (size_t i = 0; status == NB_OK && i < nb_format_count(); i++)
        status = hash_format(model, session, &scope, nb_format_at(i), &hash, error);
    nb_scope_free(&scope);
    nb_session_destroy(&session);
    nb_model_destroy(&model);
    context->progress = progress;
    if (status == NB_OK)
        snprintf(text, 17, "%016" PRIx64, hash);
    return status;
}
