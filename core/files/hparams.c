#include "files/hparams.h"

#include "model/architecture.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* One model's keys. After the first failure `status` is set, and what is read is of no use. */
typedef struct keys {
    const nb_gguf *gguf;
    const char *architecture;
    nb_status status;
    nb_error *error;
} keys;

static const nb_gguf_value *find(const keys *k, const char *name, char full[128])
{
    snprintf(full, 128, "%s.%s", k->architecture, name);
    return nb_gguf_find(k->gguf, full);
}

static void fail(keys *k, nb_status status, const char *full, const char *what)
{
    if (k->status == NB_OK)
        k->status = nb_fail(k->error, status, "%s: key %s %s", k->gguf->path, full, what);
}

/* An array stands for one number a block; nibble wants the same one in all of them. */
static bool uniform_array(const nb_gguf_value *value, uint64_t *out)
{
    if (value->type != NB_GGUF_ARRAY || !nb_gguf_array_u64(value, 0, out))
        return false;
    for (uint64_t i = 1; i < value->count; i++) {
        uint64_t other;
        if (!nb_gguf_array_u64(value, i, &other) || other != *out)
            return false;
    }
    return true;
}

static const uint32_t REQUIRED = UINT32_MAX;

/* A whole number that fits 32 bits; `fallback` where the key is absent, unless that is REQUIRED. */
static uint32_t whole(keys *k, const char *name, uint32_t fallback)
{
    char full[128];
    uint64_t value = 0;
    const nb_gguf_value *found = find(k, name, full);
    if (!found && fallback == REQUIRED)
        fail(k, NB_ERR_FILE, full, "is missing, and a model cannot be built without it");
    if (!found)
        return fallback;
    if (found->type == NB_GGUF_ARRAY ? !uniform_array(found, &value) : !nb_gguf_u64(k->gguf, full, &value)) {
        if (found->type == NB_GGUF_ARRAY)
            fail(k, NB_ERR_UNSUPPORTED, full, "differs from block to block, which nibble does not run yet");
        else
            fail(k, NB_ERR_FILE, full, "is no whole number");
    } else if (value >= REQUIRED) {
        fail(k, NB_ERR_FILE, full, "is too large to be true");
    }
    return (uint32_t)value;
}

static double real(keys *k, const char *name, bool required, double fallback)
{
    char full[128];
    double value = fallback;
    if (!find(k, name, full)) {
        if (required)
            fail(k, NB_ERR_FILE, full, "is missing, and a model cannot be built without it");
    } else if (!nb_gguf_f64(k->gguf, full, &value) || !isfinite(value) || value < 0) {
        fail(k, NB_ERR_FILE, full, "is not a number of zero or more");
    }
    return value;
}

/* Its factors are tensors of the file. */
static bool is_longrope(nb_string type)
{
    return nb_string_equal(type, "longrope") || nb_string_equal(type, "su");
}

/* What the file asks for and nibble would silently leave out. */
static void refuse_unsupported(keys *k, const nb_hparams *h)
{
    char full[128];
    if (whole(k, "expert_count", 0) > 0)
        fail(k, NB_ERR_UNSUPPORTED, "expert_count", "asks for experts, which nibble does not run yet");
    if (whole(k, "attention.value_length", h->head_size) != h->head_size)
        fail(k, NB_ERR_UNSUPPORTED, "attention.value_length",
             "differs from key_length, which nibble does not run yet");
    snprintf(full, sizeof full, "%s.rope.scaling.type", k->architecture);
    nb_string type;
    const bool has_factors = nb_gguf_find_tensor(k->gguf, "rope_factors_long.weight") != NULL;
    if (nb_gguf_string(k->gguf, full, &type) && !nb_string_equal(type, "none") &&
        !nb_string_equal(type, "linear") && !(has_factors && is_longrope(type))) {
        char shown[48], what[96];
        snprintf(what, sizeof what, "is %s; nibble runs none and linear",
                 nb_string_show(type, shown, sizeof shown));
        fail(k, NB_ERR_UNSUPPORTED, full, what);
    }
}

/* Positions are divided by the factor of linear scaling. Old files have rope.scale_linear for it. */
static double rope_scale(keys *k)
{
    char full[128];
    nb_string type;
    snprintf(full, sizeof full, "%s.rope.scaling.type", k->architecture);
    if (nb_gguf_string(k->gguf, full, &type) && (nb_string_equal(type, "none") || is_longrope(type)))
        return 1.0;
    double factor = real(k, "rope.scaling.factor", false, real(k, "rope.scale_linear", false, 1.0));
    return factor > 0 ? 1.0 / factor : 1.0;
}

static uint32_t vocabulary_size(keys *k)
{
    const nb_gguf_value *tokens = nb_gguf_find(k->gguf, "tokenizer.ggml.tokens");
    const nb_gguf_tensor *embeddings = nb_gguf_find_tensor(k->gguf, "token_embd.weight");
    uint64_t size = tokens && tokens->type == NB_GGUF_ARRAY ? tokens->count
                    : embeddings && embeddings->n_dims == 2 ? embeddings->dims[1]
                                                            : 0;
    return whole(k, "vocab_size", size < REQUIRED ? (uint32_t)size : 0);
}

nb_status nb_hparams_check(const nb_hparams *h, const char *path, nb_error *error)
{
    /* The limits are far above every model there is, and keep all products of two sizes below 2^48. */
    const struct limit {
        const char *name;
        uint32_t value, most;
    } limits[] = {
        {"number of blocks", h->n_layers, 1 << 14}, {"width", h->n_embd, 1 << 20},
        {"number of heads", h->n_heads, 1 << 16},   {"number of KV heads", h->n_kv_heads, 1 << 16},
        {"head size", h->head_size, 1 << 16},       {"feed-forward width", h->n_ff, 1 << 24},
        {"vocabulary", h->n_vocab, 1 << 24},        {"context", h->n_ctx, 1 << 28},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value == 0 || limits[i].value > limits[i].most)
            return nb_fail(error, NB_ERR_FILE,
                           "%s: a %s of %" PRIu32 " makes no model (1 to %" PRIu32 " does)", path,
                           limits[i].name, limits[i].value, limits[i].most);
    if (h->n_heads % h->n_kv_heads != 0)
        return nb_fail(error, NB_ERR_FILE, "%s: %" PRIu32 " heads cannot share %" PRIu32 " KV heads evenly",
                       path, h->n_heads, h->n_kv_heads);
    if (h->n_rot % 2 != 0 || h->n_rot > h->head_size)
        return nb_fail(error, NB_ERR_FILE,
                       "%s: %" PRIu32 " rotated numbers do not fit heads of %" PRIu32 " in pairs", path,
                       h->n_rot, h->head_size);
    if (!(h->rope_base > 0))
        return nb_fail(error, NB_ERR_FILE, "%s: a RoPE base of 0 makes no model", path);
    return NB_OK;
}

/* The key that the epsilon of this kind of norm has. */
static const char *epsilon_key(const nb_architecture *a)
{
    return a->norm == NB_NORM_LAYER ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
}

/* What few models have. */
static void read_rarities(keys *k, const nb_architecture *a, nb_hparams *h)
{
    if (a->window != NB_WINDOW_IGNORED)
        h->n_window = whole(k, "attention.sliding_window", a->defaults.n_window);
    h->n_ctx_short = whole(k, "rope.scaling.original_context_length", 0);
    h->rope_magnitude = real(k, "rope.scaling.attn_factor", false, 0);
    h->attn_scale = (float)real(k, "attention.scale", false, a->attn_scale ? (double)a->attn_scale(h) : 0);
    h->attn_softcap = (float)real(k, "attn_logit_softcapping", false, (double)a->defaults.attn_softcap);
    h->logit_softcap = (float)real(k, "final_logit_softcapping", false, (double)a->defaults.logit_softcap);
}

static nb_status refuse_architecture(const nb_gguf *gguf, const char *name, nb_error *error)
{
    char known[128] = "";
    size_t n = 0;
    for (size_t i = 0; i < nb_architecture_count() && n < sizeof known; i++)
        n +=
            (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", nb_architecture_at(i)->name);
    return nb_fail(error, NB_ERR_UNSUPPORTED, "%s: architecture %s is not supported yet: nibble runs %s",
                   gguf->path, name, known);
}

nb_status nb_hparams_from_gguf(const nb_gguf *gguf, nb_hparams *h, nb_error *error)
{
    nb_string name;
    char shown[48];
    if (!nb_gguf_string(gguf, "general.architecture", &name))
        return nb_fail(error, NB_ERR_FILE,
                       "%s: key general.architecture is missing, so this is no language model", gguf->path);
    const nb_architecture *architecture = nb_architecture_find(nb_string_show(name, shown, sizeof shown));
    if (!architecture)
        return refuse_architecture(gguf, shown, error);
    keys k = {gguf, architecture->name, NB_OK, error};
    *h = (nb_hparams){.architecture = k.architecture};
    h->n_layers = whole(&k, "block_count", REQUIRED);
    h->n_embd = whole(&k, "embedding_length", REQUIRED);
    h->n_heads = whole(&k, "attention.head_count", REQUIRED);
    h->n_kv_heads = whole(&k, "attention.head_count_kv", h->n_heads);
    h->head_size = whole(&k, "attention.key_length", h->n_heads ? h->n_embd / h->n_heads : 0);
    h->n_rot = architecture->rope == NB_ROPE_NONE ? 0 : whole(&k, "rope.dimension_count", h->head_size);
    h->n_ff = whole(&k, "feed_forward_length", REQUIRED);
    h->n_ctx = whole(&k, "context_length", REQUIRED);
    h->n_vocab = vocabulary_size(&k);
    h->norm_eps = (float)real(&k, epsilon_key(architecture), true, 0);
    h->rope_base = real(&k, "rope.freq_base", false, 10000.0);
    h->rope_scale = rope_scale(&k);
    h->tied = !nb_gguf_find_tensor(gguf, "output.weight") && !nb_gguf_find_tensor(gguf, "output.codes");
    read_rarities(&k, architecture, h);
    refuse_unsupported(&k, h);
    return k.status == NB_OK ? nb_hparams_check(h, gguf->path, error) : k.status;
}

/* As f32, which is what everybody writes, or as f64 where f32 would lose bits. */
static nb_status write_real(nb_gguf_writer *writer, const char *key, double value, nb_error *error)
{
    float narrow = (float)value;
    if (!((double)narrow < value || (double)narrow > value))
        return nb_gguf_add_f32(writer, key, narrow, error);
    nb_gguf_value wide = {.key = nb_string_of(key),
                          .type = NB_GGUF_F64,
                          .count = 1,
                          .data = (const uint8_t *)&value,
                          .n_bytes = sizeof value};
    return nb_gguf_add_value(writer, &wide, error);
}

/* Where a model has them, or where its architecture would otherwise take its own. */
static nb_status write_rarities(const nb_hparams *h, const nb_architecture *a, nb_gguf_writer *writer,
                                nb_error *error)
{
    const struct rarity {
        const char *name;
        bool is_whole, said;
        double value;
    } rarities[] = {
        {"attention.sliding_window", true, h->n_window || a->defaults.n_window, h->n_window},
        {"rope.scaling.original_context_length", true, h->n_ctx_short > 0, h->n_ctx_short},
        {"rope.scaling.attn_factor", false, h->rope_magnitude > 0, h->rope_magnitude},
        {"attention.scale", false, h->attn_scale > 0, (double)h->attn_scale},
        {"attn_logit_softcapping", false, h->attn_softcap > 0 || a->defaults.attn_softcap > 0,
         (double)h->attn_softcap},
        {"final_logit_softcapping", false, h->logit_softcap > 0 || a->defaults.logit_softcap > 0,
         (double)h->logit_softcap},
    };
    nb_status status = NB_OK;
    for (size_t i = 0; i < sizeof rarities / sizeof rarities[0] && status == NB_OK; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s.%s", h->architecture, rarities[i].name);
        if (rarities[i].said)
            status = rarities[i].is_whole ? nb_gguf_add_u32(writer, key, (uint32_t)rarities[i].value, error)
                                          : write_real(writer, key, rarities[i].value, error);
    }
    return status;
}

nb_status nb_hparams_write_gguf(const nb_hparams *h, const char *name, nb_gguf_writer *writer,
                                nb_error *error)
{
    const struct whole_key {
        const char *name;
        uint32_t value;
    } wholes[] = {
        {"vocab_size", h->n_vocab},
        {"context_length", h->n_ctx},
        {"embedding_length", h->n_embd},
        {"block_count", h->n_layers},
        {"feed_forward_length", h->n_ff},
        {"attention.head_count", h->n_heads},
        {"attention.head_count_kv", h->n_kv_heads},
        {"attention.key_length", h->head_size},
        {"attention.value_length", h->head_size},
        {"rope.dimension_count", h->n_rot},
    };
    const nb_architecture *architecture = nb_architecture_find(h->architecture);
    if (!architecture)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "architecture %s is not supported yet", h->architecture);
    char key[128];
    nb_status status = nb_gguf_add_string(writer, "general.architecture", h->architecture, error);
    if (status == NB_OK && name)
        status = nb_gguf_add_string(writer, "general.name", name, error);
    const size_t n_wholes =
        sizeof wholes / sizeof wholes[0] - (architecture->rope == NB_ROPE_NONE); /* the last */
    for (size_t i = 0; i < n_wholes && status == NB_OK; i++) {
        snprintf(key, sizeof key, "%s.%s", h->architecture, wholes[i].name);
        status = nb_gguf_add_u32(writer, key, wholes[i].value, error);
    }
    if (status == NB_OK) {
        snprintf(key, sizeof key, "%s.%s", h->architecture, epsilon_key(architecture));
        status = nb_gguf_add_f32(writer, key, h->norm_eps, error);
    }
    if (status == NB_OK && architecture->rope != NB_ROPE_NONE) {
        snprintf(key, sizeof key, "%s.rope.freq_base", h->architecture);
        status = write_real(writer, key, h->rope_base, error);
    }
    if (status == NB_OK && (h->rope_scale < 1.0 || h->rope_scale > 1.0)) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", h->architecture);
        status = nb_gguf_add_string(writer, key, "linear", error);
        snprintf(key, sizeof key, "%s.rope.scaling.factor", h->architecture);
        if (status == NB_OK)
            status = write_real(writer, key, 1.0 / h->rope_scale, error);
    }
    return status == NB_OK ? write_rarities(h, architecture, writer, error) : status;
}
