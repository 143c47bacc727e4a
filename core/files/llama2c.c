/* llama2.c's v0 model: seven 32-bit numbers, then the weights as f32, nothing between. With no magic to
 * go by, a file is one if its header makes sense and implies exactly the file's size. */
#include "files/llama2c.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 28, MAX_DIM = 1 << 20, MAX_LAYERS = 1 << 14, MAX_VOCAB = 1 << 24, MAX_SEQ = 1 << 24 };

static const uint8_t versioned_magic[4] = {'2', '4', 'k', 'a'}; /* 0x616b3432: export.py's versions 1 and 2 */

static bool read_header(const uint8_t *data, size_t size, nb_llama2c *m)
{
    int32_t h[7];
    if (size < HEADER_BYTES)
        return false;
    memcpy(h, data, sizeof h);
    /* A vocabulary size below 0 says that the classifier has weights of its own. */
    int64_t vocab = h[5] < 0 ? -(int64_t)h[5] : h[5];
    bool sane = h[0] > 0 && h[0] <= MAX_DIM && h[1] > 0 && h[1] <= MAX_DIM && h[2] > 0 &&
                h[2] <= MAX_LAYERS && h[3] > 0 && h[3] <= h[0] && h[4] > 0 && h[4] <= h[3] && vocab > 0 &&
                vocab <= MAX_VOCAB && h[6] > 0 && h[6] <= MAX_SEQ;
    if (!sane || h[0] % h[3] != 0 || h[3] % h[4] != 0 || (h[0] / h[3]) % 2 != 0)
        return false;
    m->dim = (uint32_t)h[0];
    m->hidden_dim = (uint32_t)h[1];
    m->n_layers = (uint32_t)h[2];
    m->n_heads = (uint32_t)h[3];
    m->n_kv_heads = (uint32_t)h[4];
    m->vocab_size = (uint32_t)vocab;
    m->seq_len = (uint32_t)h[6];
    m->shared_classifier = h[5] > 0;
    return true;
}

/* Hands out the next rows * cols floats, counting them all; `base` may be NULL to count only. The limits
 * above keep every product below 2^54 and the sum below 2^60. */
typedef struct carver {
    const float *base;
    uint64_t count;
} carver;

static const float *carve(carver *c, uint64_t n_layers, uint64_t rows, uint64_t cols)
{
    const float *start = c->base ? c->base + c->count : NULL;
    c->count += n_layers * rows * cols;
    return start;
}

/* Points the weights into the file. Returns the bytes that the whole file must have. */
static uint64_t place(nb_llama2c *m, const uint8_t *data)
{
    carver c = {data ? (const float *)(const void *)(data + HEADER_BYTES) : NULL, 0};
    uint64_t d = m->dim, layers = m->n_layers, hidden = m->hidden_dim, head_size = m->dim / m->n_heads;
    uint64_t kv = m->n_kv_heads * head_size;
    m->token_embd = carve(&c, 1, m->vocab_size, d);
    m->attn_norm = carve(&c, layers, 1, d);
    m->wq = carve(&c, layers, d, d);
    m->wk = carve(&c, layers, kv, d);
    m->wv = carve(&c, layers, kv, d);
    m->wo = carve(&c, layers, d, d);
    m->ffn_norm = carve(&c, layers, 1, d);
    m->w1_gate = carve(&c, layers, hidden, d);
    m->w2_down = carve(&c, layers, d, hidden);
    m->w3_up = carve(&c, layers, hidden, d);
    m->output_norm = carve(&c, 1, 1, d);
    carve(&c, 2, m->seq_len, head_size / 2); /* tables of cosines and sines, which nobody reads any more */
    m->output = m->shared_classifier ? m->token_embd : carve(&c, 1, m->vocab_size, d);
    return HEADER_BYTES + c.count * sizeof(float);
}

bool nb_llama2c_probe(const uint8_t *data, size_t size)
{
    nb_llama2c m = {0};
    return read_header(data, size, &m) && place(&m, NULL) == size;
}

static nb_status parse(nb_llama2c *m, const uint8_t *data, size_t size, const char *path, nb_error *error)
{
    if (size >= sizeof versioned_magic && memcmp(data, versioned_magic, sizeof versioned_magic) == 0)
        return nb_fail(
            error, NB_ERR_UNSUPPORTED,
            "%s: a llama2.c model of version 1 or 2; nibble reads version 0, so export it with --version 0",
            path);
    if (!read_header(data, size, m))
        return nb_fail(error, NB_ERR_FILE, "%s: not a llama2.c model: its first 28 bytes are no shape of one",
                       path);
    uint64_t wanted = place(m, NULL);
    if (wanted != size)
        return nb_fail(error, NB_ERR_FILE,
                       "%s: a llama2.c model of width %" PRIu32 " with %" PRIu32 " layers has %" PRIu64
                       " bytes, and this file %zu; it is cut short or something else",
                       path, m->dim, m->n_layers, wanted, size);
    place(m, data);
    return NB_OK;
}

nb_status nb_llama2c_open_memory(const void *data, size_t size, const char *name, nb_llama2c **out,
                                 nb_error *error)
{
    *out = NULL;
    nb_llama2c *m = nb_calloc(1, sizeof *m);
    if (!m)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to open it", name);
    nb_status status = parse(m, data, size, name, error);
    if (status != NB_OK)
        nb_llama2c_close(&m);
    *out = m;
    return status;
}

nb_status nb_llama2c_open(const char *path, nb_llama2c **out, nb_error *error)
{
    *out = NULL;
    nb_mapping *mapping;
    nb_status status = nb_mapping_open(path, &mapping, error);
    if (status != NB_OK)
        return status;
    status = nb_llama2c_open_memory(mapping->data, mapping->size, path, out, error);
    if (status == NB_OK)
        (*out)->mapping = mapping;
    else
        nb_mapping_close(&mapping);
    return status;
}

void nb_llama2c_close(nb_llama2c **model)
{
    if (!*model)
        return;
    if ((*model)->mapping)
        nb_mapping_close(&(*model)->mapping);
    free(*model);
    *model = NULL;
}
