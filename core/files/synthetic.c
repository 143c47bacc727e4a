#include "files/synthetic.h"

#include "base/memory.h"
#include "base/random.h"
#include "files/hparams.h"
#include "files/layout.h"
#include "files/vocabulary.h"
#include "model/architecture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Large matrices draw from a table of 2^16 normal numbers, four to a random word: writing a billion weights
 * then takes seconds. */
enum { TABLE = 1 << 16, CHUNK = 1 << 16, N_FIXED_TOKENS = 3 + 256, TOKEN_BYTES = 24 };

typedef struct maker {
    nb_hparams hparams;
    const nb_format *format;
    nb_random random;
    float *normal;  /* [TABLE] */
    float *values;  /* [CHUNK] */
    uint8_t *table; /* [TABLE] codes of one tensor's numbers */
    uint8_t *codes; /* [CHUNK] */
} maker;

bool nb_synthetic_shape(const char *name, nb_synthetic *out)
{
    static const struct {
        const char *name;
        nb_synthetic shape;
    } shapes[] = {
        {"tiny",
         {.n_layers = 2,
          .n_embd = 48,
          .n_heads = 4,
          .n_kv_heads = 2,
          .n_ff = 88,
          .n_vocab = 288,
          .n_ctx = 128,
          .tied = true}},
        {"15M",
         {.n_layers = 6,
          .n_embd = 288,
          .n_heads = 6,
          .n_kv_heads = 6,
          .n_ff = 768,
          .n_vocab = 32000,
          .n_ctx = 256,
          .tied = true}},
        {"110M",
         {.n_layers = 12,
          .n_embd = 768,
          .n_heads = 12,
          .n_kv_heads = 12,
          .n_ff = 2048,
          .n_vocab = 32000,
          .n_ctx = 1024,
          .tied = true}},
        {"1.1B",
         {.n_layers = 22,
          .n_embd = 2048,
          .n_heads = 32,
          .n_kv_heads = 4,
          .n_ff = 5632,
          .n_vocab = 32000,
          .n_ctx = 2048,
          .tied = false}},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            *out = shapes[i].shape;
            out->format = &nb_format_f32;
            out->seed = 1;
            return true;
        }
    }
    return false;
}

/* ---- the vocabulary ---- */

/* Token `id` of a byte-level SentencePiece-style vocabulary: three special ones, the bytes, then every string
 * over U+2581 and a to z, short ones first, so that a longer one can be merged from two that exist. */
static void spell_token(size_t id, char text[TOKEN_BYTES])
{
    static const char *const special[3] = {"<unk>", "<s>", "</s>"};
    if (id < 3) {
        snprintf(text, TOKEN_BYTES, "%s", special[id]);
        return;
    }
    if (id < N_FIXED_TOKENS) {
        snprintf(text, TOKEN_BYTES, "<0x%02X>", (unsigned)(id - 3));
        return;
    }
    size_t i = id - N_FIXED_TOKENS, length = 1, count = 27;
    while (i >= count) {
        i -= count;
        count *= 27;
        length++;
    }
    char *end = text;
    for (size_t place = 0; place < length; place++) {
        count /= 27;
        size_t letter = i / count % 27;
        if (letter == 0) {
            memcpy(end, "\xe2\x96\x81", 3);
            end += 3;
        } else {
            *end++ = (char)('a' + letter - 1);
        }
    }
    *end = '\0';
}

static nb_status write_vocabulary(size_t n_tokens, nb_gguf_writer *writer, nb_error *error)
{
    nb_vocabulary v;
    nb_status status = nb_vocabulary_create_llama(n_tokens, "synthetic model", &v, error);
    if (status != NB_OK)
        return status;
    char(*spellings)[TOKEN_BYTES] = nb_calloc(n_tokens, sizeof *spellings);
    if (!spellings)
        status = nb_fail(error, NB_ERR_MEMORY, "no memory for a vocabulary of %zu tokens", n_tokens);
    for (size_t id = 0; status == NB_OK && id < n_tokens; id++) {
        spell_token(id, spellings[id]);
        v.texts[id] = nb_string_of(spellings[id]);
        v.scores[id] = id < N_FIXED_TOKENS ? 0.0f : -(float)(id - N_FIXED_TOKENS);
        v.types[id] = id == 0               ? NB_TOKEN_UNKNOWN
                      : id < 3              ? NB_TOKEN_CONTROL
                      : id < N_FIXED_TOKENS ? NB_TOKEN_BYTE
                                            : NB_TOKEN_NORMAL;
    }
    if (status == NB_OK)
        status = nb_vocabulary_write_gguf(&v, writer, error);
    free(spellings);
    nb_vocabulary_free(&v);
    return status;
}

/* ---- the weights ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Keeps every matmul's output about as large as its input, and the sum that runs through the blocks from
 * growing with their number. The head's makes logits that differ by a few. */
static float deviation(const maker *m, const nb_layout_tensor *t)
{
    double variance = 1.0 / (double)t->n_cols;
    if (ends_with(t->name, "attn_output") || ends_with(t->name, "ffn_down"))
        variance /= 2.0 * m->hparams.n_layers;
    if (t->role == NB_ROLE_EMBEDDINGS || t->role == NB_ROLE_HEAD)
        variance *= 4.0;
    return (float)sqrt(variance);
}

static nb_status write_matrix(maker *m, const nb_layout_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    size_t bytes = m->format->bits / 8, left = t->n_rows * t->n_cols;
    bool large = left > TABLE;
    float scale = deviation(m, t);
    if (large) {
        for (size_t i = 0; i < TABLE; i++)
            m->values[i] = scale * m->normal[i];
        nb_format_encode_row(m->format, m->values, TABLE, m->table);
    }
    nb_status status = NB_OK;
    while (left > 0 && status == NB_OK) {
        size_t n = nb_min_size(left, CHUNK);
        if (large) {
            uint64_t word = 0;
            for (size_t i = 0; i < n; i++, word >>= 16) {
                if (i % 4 == 0)
                    word = nb_random_u64(&m->random);
                size_t pick = (size_t)(word & (TABLE - 1));
                if (bytes == 2)
                    memcpy(m->codes + 2 * i, m->table + 2 * pick, 2);
                else
                    memcpy(m->codes + 4 * i, m->table + 4 * pick, 4);
            }
        } else {
            for (size_t i = 0; i < n; i++)
                m->values[i] = scale * (float)nb_random_normal(&m->random);
            nb_format_encode_row(m->format, m->values, n, m->codes);
        }
        status = nb_gguf_write_data(writer, m->codes, n * bytes, error);
        left -= n;
    }
    return status;
}

/* Norms near 1, biases near 0; RoPE's divisors from 1 for the fastest pair to 8 for the slowest, as Llama 3 has them,
 * and to 2 where they are for short contexts. */
static nb_status write_vector(maker *m, const nb_layout_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    float *values = nb_calloc(t->n_cols, sizeof *values);
    if (!values)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for %zu numbers", t->name, t->n_cols);
    const float span = ends_with(t->name, "short") ? 1.0f : 7.0f;
    for (size_t i = 0; i < t->n_cols; i++) {
        if (*nb_tensor_suffix(t->name) == '\0') /* a bias */
            values[i] = 0.1f * (float)nb_random_normal(&m->random);
        else if (t->role == NB_ROLE_NORM)
            values[i] = 1.0f + 0.1f * (float)nb_random_normal(&m->random);
        else
            values[i] = 1.0f + span * (float)i / (float)t->n_cols;
    }
    nb_status status = nb_gguf_write_data(writer, values, t->n_cols * sizeof *values, error);
    free(values);
    return status;
}

static nb_status declare(const maker *m, const nb_layout_tensor *t, nb_gguf_writer *writer, nb_error *error)
{
    char name[64];
    uint64_t dims[2] = {t->n_cols, t->n_rows};
    snprintf(name, sizeof name, "%s%s", t->name, nb_tensor_suffix(t->name));
    uint32_t type = (uint32_t)(t->is_vector ? nb_format_f32.gguf_type : m->format->gguf_type);
    return nb_gguf_add_tensor(writer, name, t->is_vector ? 1 : 2, dims, type, error);
}

static nb_status write_tensors(maker *m, bool rope_factors, nb_gguf_writer *writer, nb_error *error)
{
    nb_layout_tensor *tensors;
    size_t count;
    nb_status status = nb_layout_create(&m->hparams, rope_factors, &tensors, &count, error);
    for (size_t i = 0; i < count && status == NB_OK; i++)
        status = declare(m, &tensors[i], writer, error);
    for (size_t i = 0; i < count && status == NB_OK; i++)
        status = tensors[i].is_vector ? write_vector(m, &tensors[i], writer, error)
                                      : write_matrix(m, &tensors[i], writer, error);
    free(tensors);
    return status;
}

static nb_status write_file(maker *m, const nb_synthetic *shape, const char *path, nb_error *error)
{
    nb_gguf_writer *writer;
    nb_status status = nb_gguf_writer_create(path, &writer, error);
    if (status != NB_OK)
        return status;
    status = nb_hparams_write_gguf(&m->hparams, "synthetic", writer, error);
    if (status == NB_OK)
        status = write_vocabulary(shape->n_vocab, writer, error);
    if (status == NB_OK)
        status = write_tensors(m, shape->rope_factors, writer, error);
    if (status == NB_OK)
        return nb_gguf_writer_commit(&writer, error);
    nb_gguf_writer_abort(&writer);
    return status;
}

nb_status nb_synthetic_write(const char *path, const nb_synthetic *shape, nb_error *error)
{
    uint32_t head_size =
        shape->head_size || shape->n_heads == 0 ? shape->head_size : shape->n_embd / shape->n_heads;
    const nb_architecture *architecture =
        nb_architecture_find(shape->architecture ? shape->architecture : "llama");
    if (!architecture)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "synthetic model: architecture %s is not supported yet",
                       shape->architecture);
    maker m = {.format = shape->format,
               .hparams = {.architecture = architecture->name,
                           .n_layers = shape->n_layers,
                           .n_embd = shape->n_embd,
                           .n_heads = shape->n_heads,
                           .n_kv_heads = shape->n_kv_heads,
                           .head_size = head_size,
                           .n_rot = architecture->rope == NB_ROPE_NONE ? 0
                                    : shape->n_rot                     ? shape->n_rot
                                                                       : head_size,
                           .n_ff = shape->n_ff,
                           .n_vocab = shape->n_vocab,
                           .n_ctx = shape->n_ctx,
                           .norm_eps = 1e-5f,
                           .rope_base = 10000.0,
                           .rope_scale = 1.0,
                           .tied = shape->tied,
                           .n_window = shape->n_window,
                           .n_ctx_short = shape->n_ctx_short,
                           .rope_magnitude = shape->rope_magnitude,
                           .attn_softcap = shape->attn_softcap,
                           .logit_softcap = shape->logit_softcap}};
    nb_status status = nb_hparams_check(&m.hparams, "synthetic model", error);
    if (status != NB_OK)
        return status;
    if (shape->format != &nb_format_f32 && shape->format != &nb_format_f16 &&
        shape->format != &nb_format_bf16)
        return nb_fail(error, NB_ERR_ARGUMENT, "synthetic model: its matrices can be f32, f16 or bf16");
    if (shape->n_vocab < N_FIXED_TOKENS)
        return nb_fail(error, NB_ERR_ARGUMENT, "synthetic model: a vocabulary needs at least %d tokens",
                       N_FIXED_TOKENS);
    m.normal = nb_calloc(TABLE, sizeof *m.normal);
    m.values = nb_calloc(TABLE, sizeof *m.values);
    m.table = nb_calloc(TABLE, sizeof(float));
    m.codes = nb_calloc(CHUNK, sizeof(float));
    if (m.normal && m.values && m.table && m.codes) {
        nb_random_seed(&m.random, shape->seed);
        for (size_t i = 0; i < TABLE; i++)
            m.normal[i] = (float)nb_random_normal(&m.random);
        status = write_file(&m, shape, path, error);
    } else {
        status = nb_fail(error, NB_ERR_MEMORY, "no memory to make a synthetic model");
    }
    free(m.normal);
    free(m.values);
    free(m.table);
    free(m.codes);
    return status;
}
