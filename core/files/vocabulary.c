/* Tokenizers from files. What a file says is gathered into an nb_vocabulary whose strings point into the
 * file; nb_tokenizer_create copies what it keeps. */
#include "files/vocabulary.h"

#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void nb_vocabulary_free(nb_vocabulary *v)
{
    free(v->texts);
    free(v->scores);
    free(v->types);
    free(v->merges);
    *v = (nb_vocabulary){0};
}

nb_status nb_vocabulary_create_llama(size_t n_tokens, const char *name, nb_vocabulary *out, nb_error *error)
{
    *out = (nb_vocabulary){.model = "llama",
                           .pre = "default",
                           .n_tokens = n_tokens,
                           .texts = nb_calloc(n_tokens, sizeof *out->texts),
                           .scores = nb_calloc(n_tokens, sizeof *out->scores),
                           .types = nb_calloc(n_tokens, sizeof *out->types),
                           .bos = 1,
                           .eos = 2,
                           .eot = -1,
                           .unknown = 0,
                           .add_bos = true,
                           .add_space_prefix = true};
    if (out->texts && out->scores && out->types)
        return NB_OK;
    nb_vocabulary_free(out);
    return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its %zu tokens", name, n_tokens);
}

/* ---- GGUF ---- */

#define CHAT_TEMPLATE "tokenizer.chat_template"

/* Where the keys of one file are gathered; after the first failure `status` is set. */
typedef struct gatherer {
    const nb_gguf *gguf;
    nb_status status;
    nb_error *error;
} gatherer;

static void fail(gatherer *g, nb_status status, const char *key, const char *what)
{
    if (g->status == NB_OK)
        g->status = nb_fail(g->error, status, "%s: key tokenizer.ggml.%s %s", g->gguf->path, key, what);
}

static const nb_gguf_value *find(const gatherer *g, const char *key)
{
    char full[96];
    snprintf(full, sizeof full, "tokenizer.ggml.%s", key);
    return nb_gguf_find(g->gguf, full);
}

/* The named array of `type`, or NULL if there is none. Another type or length is refused. */
static const nb_gguf_value *find_array(gatherer *g, const char *key, bool strings, size_t n_expected)
{
    const nb_gguf_value *value = find(g, key);
    if (!value || g->status != NB_OK)
        return NULL;
    if (value->type != NB_GGUF_ARRAY || (value->element_type == NB_GGUF_STRING) != strings) {
        fail(g, NB_ERR_FILE, key, strings ? "is no array of strings" : "is no array of numbers");
        return NULL;
    }
    if (n_expected > 0 && value->count != n_expected) {
        fail(g, NB_ERR_FILE, key, "has another length than the token list");
        return NULL;
    }
    return value;
}

static nb_string *gather_strings(gatherer *g, const char *key, size_t *count)
{
    const nb_gguf_value *value = find_array(g, key, true, 0);
    *count = 0;
    if (!value || value->count == 0)
        return NULL;
    nb_string *strings = nb_calloc((size_t)value->count, sizeof *strings);
    if (!strings) {
        fail(g, NB_ERR_MEMORY, key, "needs more memory than there is");
    } else if (!nb_gguf_array_strings(value, strings)) {
        fail(g, NB_ERR_FILE, key, "changed while it was read");
    } else {
        *count = (size_t)value->count;
    }
    return strings;
}

static float *gather_scores(gatherer *g, size_t n_tokens)
{
    const nb_gguf_value *value = find_array(g, "scores", false, n_tokens);
    float *scores = value ? nb_calloc(n_tokens, sizeof *scores) : NULL;
    if (value && !scores)
        fail(g, NB_ERR_MEMORY, "scores", "needs more memory than there is");
    for (size_t i = 0; scores && i < n_tokens; i++) {
        double score = 0;
        if (!nb_gguf_array_f64(value, i, &score) || isnan(score))
            fail(g, NB_ERR_FILE, "scores", "holds something that is no number");
        scores[i] = (float)score;
    }
    return scores;
}

static int32_t *gather_types(gatherer *g, size_t n_tokens)
{
    const nb_gguf_value *value = find_array(g, "token_type", false, n_tokens);
    int32_t *types = value ? nb_calloc(n_tokens, sizeof *types) : NULL;
    if (value && !types)
        fail(g, NB_ERR_MEMORY, "token_type", "needs more memory than there is");
    for (size_t i = 0; types && i < n_tokens; i++) {
        int64_t type = 0;
        if (!nb_gguf_array_i64(value, i, &type) || type < 0 || type > NB_TOKEN_BYTE)
            fail(g, NB_ERR_FILE, "token_type", "holds a type that GGUF does not have");
        types[i] = type == 0 ? NB_TOKEN_NORMAL : (int32_t)type; /* 0 is "undefined" */
    }
    return types;
}

/* A token id; all bits set is how some files say that there is none. */
static int32_t gather_id(gatherer *g, const char *key, int32_t fallback)
{
    char full[96];
    uint64_t id;
    const nb_gguf_value *value = find(g, key);
    snprintf(full, sizeof full, "tokenizer.ggml.%s", key);
    if (!value)
        return fallback;
    if (nb_gguf_u64(g->gguf, full, &id)) {
        if (id <= INT32_MAX)
            return (int32_t)id;
        if (id == UINT32_MAX || id == UINT64_MAX)
            return -1;
    } else if (value->type == NB_GGUF_I32 || value->type == NB_GGUF_I64 || value->type == NB_GGUF_I16 ||
               value->type == NB_GGUF_I8) {
        return -1; /* below zero */
    }
    fail(g, NB_ERR_FILE, key, "is no token");
    return -1;
}

static bool gather_flag(gatherer *g, const char *key, bool fallback)
{
    char full[96];
    bool flag = fallback;
    snprintf(full, sizeof full, "tokenizer.ggml.%s", key);
    if (find(g, key) && !nb_gguf_bool(g->gguf, full, &flag))
        fail(g, NB_ERR_FILE, key, "is neither true nor false");
    return flag;
}

/* A short text, copied into `text`; false if the key is absent. */
static bool gather_name(gatherer *g, const char *key, char text[64])
{
    char full[96];
    nb_string name;
    const nb_gguf_value *value = find(g, key);
    if (!value)
        return false;
    snprintf(full, sizeof full, "tokenizer.ggml.%s", key);
    if (!nb_gguf_string(g->gguf, full, &name) || name.n_bytes == 0)
        fail(g, NB_ERR_FILE, key, "is no text");
    else
        nb_string_show(name, text, 64);
    return true;
}

/* Pre-tokenizers whose models start every text with BOS, whatever the file leaves unsaid. */
static bool pre_adds_bos(const char *pre)
{
    static const char *const names[] = {"llama-bpe", "llama3", "llama-v3", "tekken", "chameleon"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(pre, names[i]) == 0)
            return true;
    return false;
}

nb_status nb_tokenizer_from_gguf(const nb_gguf *gguf, nb_tokenizer **out, nb_error *error)
{
    *out = NULL;
    gatherer g = {gguf, NB_OK, error};
    char model[64], pre[64] = "default";
    if (!gather_name(&g, "model", model) || (g.status == NB_OK && strcmp(model, "none") == 0))
        return NB_OK;
    gather_name(&g, "pre", pre);
    nb_vocabulary v = {.model = model, .pre = pre};
    bool spm = strcmp(model, "llama") == 0;
    v.texts = gather_strings(&g, "tokens", &v.n_tokens);
    if (v.n_tokens == 0)
        fail(&g, NB_ERR_FILE, "tokens", "is missing or empty");
    if (v.n_tokens > INT32_MAX)
        fail(&g, NB_ERR_FILE, "tokens", "is too long to be true");
    v.scores = gather_scores(&g, v.n_tokens);
    v.types = gather_types(&g, v.n_tokens);
    v.merges = gather_strings(&g, "merges", &v.n_merges);
    v.bos = gather_id(&g, "bos_token_id", spm ? 1 : 11);
    v.eos = gather_id(&g, "eos_token_id", spm ? 2 : 11);
    v.eot = gather_id(&g, "eot_token_id", -1);
    v.unknown = gather_id(&g, "unknown_token_id", spm ? 0 : -1);
    v.add_bos = gather_flag(&g, "add_bos_token", spm || pre_adds_bos(pre));
    v.add_eos = gather_flag(&g, "add_eos_token", false);
    v.add_space_prefix = gather_flag(&g, "add_space_prefix", spm);
    if (nb_gguf_find(gguf, CHAT_TEMPLATE) && !nb_gguf_string(gguf, CHAT_TEMPLATE, &v.chat_template))
        v.chat_template = (nb_string){"", 0}; /* several of them; the model can do without */
    nb_status status = g.status == NB_OK ? nb_tokenizer_create(&v, out, error) : g.status;
    nb_vocabulary_free(&v);
    return status;
}

nb_status nb_tokenizer_load(const char *path, nb_tokenizer **out, nb_error *error)
{
    *out = NULL;
    nb_gguf *gguf;
    nb_status status = nb_gguf_open(path, &gguf, error);
    if (status != NB_OK)
        return status;
    status = nb_tokenizer_from_gguf(gguf, out, error);
    if (status == NB_OK)
        status = nb_mapping_check(gguf->mapping, error);
    if (status == NB_OK && !*out)
        status = nb_fail(error, NB_ERR_FILE, "%s: has no tokenizer in it, no key tokenizer.ggml.model", path);
    if (status != NB_OK)
        nb_tokenizer_destroy(out);
    nb_gguf_close(&gguf);
    return status;
}

/* ---- tokenizer.bin ---- */

/* What tokenizer.bin spells with a space is U+2581 in GGUF's spelling, three bytes for one; and tokens 1 and
 * 2 have line ends around their names. */
static nb_string gguf_spelling(nb_string text, size_t id, char **storage)
{
    if ((id == 1 || id == 2) && text.n_bytes >= 2 && text.text[0] == '\n' &&
        text.text[text.n_bytes - 1] == '\n')
        return (nb_string){text.text + 1, text.n_bytes - 2};
    char *start = *storage, *end = start;
    for (size_t i = 0; i < text.n_bytes; i++) {
        if (text.text[i] == ' ') {
            memcpy(end, "\xe2\x96\x81", 3);
            end += 3;
        } else {
            *end++ = text.text[i];
        }
    }
    *storage = end;
    return (nb_string){start, (size_t)(end - start)};
}

static int32_t llama2c_type(nb_string text, size_t id)
{
    if (id == 0)
        return NB_TOKEN_UNKNOWN;
    if (id <= 2)
        return NB_TOKEN_CONTROL;
    bool byte = id < 3 + 256 && text.n_bytes == 6 && memcmp(text.text, "<0x", 3) == 0 && text.text[5] == '>';
    return byte ? NB_TOKEN_BYTE : NB_TOKEN_NORMAL;
}

/* Fills texts, scores and types of n_tokens entries of (f32 score, u32 length, bytes). */
static nb_status read_entries(const uint8_t *data, size_t size, const char *name, nb_vocabulary *v,
                              char *storage, nb_error *error)
{
    size_t offset = 4; /* the longest token's length, which nobody needs */
    for (size_t id = 0; id < v->n_tokens; id++) {
        float score;
        uint32_t n_bytes;
        if (size < offset || size - offset < sizeof score + sizeof n_bytes)
            return nb_fail(error, NB_ERR_FILE,
                           "%s: ends after %zu of %zu tokens; it is another model's tokenizer, or cut short",
                           name, id, v->n_tokens);
        memcpy(&score, data + offset, sizeof score);
        memcpy(&n_bytes, data + offset + sizeof score, sizeof n_bytes);
        offset += sizeof score + sizeof n_bytes;
        if (n_bytes > size - offset)
            return nb_fail(error, NB_ERR_FILE,
                           "%s: token %zu at byte %zu claims %" PRIu32
                           " bytes, more than are left; the file is damaged or "
                           "no tokenizer.bin",
                           name, id, offset, n_bytes);
        if (isnan(score))
            return nb_fail(error, NB_ERR_FILE, "%s: the score of token %zu is no number", name, id);
        v->scores[id] = score;
        v->texts[id] = gguf_spelling((nb_string){(const char *)data + offset, n_bytes}, id, &storage);
        v->types[id] = llama2c_type(v->texts[id], id);
        offset += n_bytes;
    }
    if (offset != size)
        return nb_fail(error, NB_ERR_FILE,
                       "%s: has %zu bytes beyond the model's %zu tokens; it is another model's tokenizer",
                       name, size - offset, v->n_tokens);
    return NB_OK;
}

nb_status nb_tokenizer_from_llama2c_memory(const void *data, size_t size, const char *name, size_t n_tokens,
                                           nb_tokenizer **out, nb_error *error)
{
    *out = NULL;
    if (n_tokens < 3 || n_tokens > size / 8 || size > SIZE_MAX / 3)
        return nb_fail(error, NB_ERR_FILE,
                       "%s: %zu bytes cannot hold %zu tokens; it is another model's tokenizer, or cut short",
                       name, size, n_tokens);
    nb_vocabulary v;
    nb_status status = nb_vocabulary_create_llama(n_tokens, name, &v, error);
    if (status != NB_OK)
        return status;
    char *storage = nb_calloc(size, 3);
    status = storage ? read_entries(data, size, name, &v, storage, error)
                     : nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its %zu tokens", name, n_tokens);
    if (status == NB_OK)
        status = nb_tokenizer_create(&v, out, error);
    free(storage);
    nb_vocabulary_free(&v);
    return status;
}

nb_status nb_tokenizer_from_llama2c(const char *path, size_t n_tokens, nb_tokenizer **out, nb_error *error)
{
    *out = NULL;
    nb_mapping *mapping;
    nb_status status = nb_mapping_open(path, &mapping, error);
    if (status != NB_OK)
        return status;
    status = nb_tokenizer_from_llama2c_memory(mapping->data, mapping->size, path, n_tokens, out, error);
    if (status == NB_OK) {
        status = nb_mapping_check(mapping, error);
        if (status != NB_OK)
            nb_tokenizer_destroy(out);
    }
    nb_mapping_close(&mapping);
    return status;
}

/* ---- writing ---- */

static nb_status write_ids(const nb_vocabulary *v, nb_gguf_writer *writer, nb_error *error)
{
    const struct id_key {
        const char *key;
        int32_t id;
        bool always; /* said even when there is none, because a reader would assume one */
    } ids[] = {
        {"tokenizer.ggml.bos_token_id", v->bos, true},
        {"tokenizer.ggml.eos_token_id", v->eos, true},
        {"tokenizer.ggml.eot_token_id", v->eot, false},
        {"tokenizer.ggml.unknown_token_id", v->unknown, strcmp(v->model, "llama") == 0},
    };
    nb_status status = NB_OK;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && status == NB_OK; i++)
        if (ids[i].id >= 0 || ids[i].always)
            status = nb_gguf_add_u32(writer, ids[i].key, (uint32_t)ids[i].id, error);
    if (status == NB_OK)
        status = nb_gguf_add_bool(writer, "tokenizer.ggml.add_bos_token", v->add_bos, error);
    if (status == NB_OK)
        status = nb_gguf_add_bool(writer, "tokenizer.ggml.add_eos_token", v->add_eos, error);
    if (status == NB_OK)
        status = nb_gguf_add_bool(writer, "tokenizer.ggml.add_space_prefix", v->add_space_prefix, error);
    return status;
}

nb_status nb_vocabulary_write_gguf(const nb_vocabulary *v, nb_gguf_writer *writer, nb_error *error)
{
    nb_status status = nb_gguf_add_string(writer, "tokenizer.ggml.model", v->model, error);
    if (status == NB_OK && v->pre)
        status = nb_gguf_add_string(writer, "tokenizer.ggml.pre", v->pre, error);
    if (status == NB_OK)
        status = nb_gguf_add_string_array(writer, "tokenizer.ggml.tokens", v->texts, v->n_tokens, error);
    if (status == NB_OK && v->scores)
        status = nb_gguf_add_f32_array(writer, "tokenizer.ggml.scores", v->scores, v->n_tokens, error);
    if (status == NB_OK && v->types)
        status = nb_gguf_add_i32_array(writer, "tokenizer.ggml.token_type", v->types, v->n_tokens, error);
    if (status == NB_OK && (v->n_merges > 0 || strcmp(v->model, "gpt2") == 0))
        status = nb_gguf_add_string_array(writer, "tokenizer.ggml.merges", v->merges, v->n_merges, error);
    const nb_string chat = v->chat_template;
    const nb_gguf_value value = {.key = nb_string_of(CHAT_TEMPLATE),
                                 .type = NB_GGUF_STRING,
                                 .count = 1,
                                 .data = (const uint8_t *)chat.text,
                                 .n_bytes = chat.n_bytes};
    if (status == NB_OK && chat.n_bytes > 0)
        status = nb_gguf_add_value(writer, &value, error);
    return status == NB_OK ? write_ids(v, writer, error) : status;
}

nb_status nb_tokenizer_write_gguf(const nb_tokenizer *tokenizer, nb_gguf_writer *writer, nb_error *error)
{
    return nb_vocabulary_write_gguf(nb_tokenizer_vocabulary(tokenizer), writer, error);
}

/* llama.cpp wants an architecture even where there is only a vocabulary; any will do. */
static nb_status write_alone(const nb_vocabulary *v, nb_gguf_writer *writer, nb_error *error)
{
    nb_status status = nb_gguf_add_string(writer, "general.architecture", "llama", error);
    if (status == NB_OK)
        status = nb_gguf_add_string(writer, "general.type", "vocab", error);
    return status == NB_OK ? nb_vocabulary_write_gguf(v, writer, error) : status;
}

nb_status nb_vocabulary_save(const nb_vocabulary *vocabulary, const char *path, nb_error *error)
{
    nb_gguf_writer *writer;
    nb_status status = nb_gguf_writer_create(path, &writer, error);
    if (status != NB_OK)
        return status;
    status = write_alone(vocabulary, writer, error);
    if (status == NB_OK)
        return nb_gguf_writer_commit(&writer, error);
    nb_gguf_writer_abort(&writer);
    return status;
}
