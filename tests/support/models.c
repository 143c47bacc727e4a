#include "tests/support/models.h"

#include "base/random.h"
#include "tests/support/temporary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(size_t size)
{
    void *memory = calloc(size ? size : 1, 1);
    if (!memory) {
        fprintf(stderr, "test support: no memory for %zu bytes\n", size);
        exit(2);
    }
    return memory;
}

const char *make_gguf(const char *name, const nb_synthetic *shape)
{
    nb_error error = {""};
    const char *path = temporary_path(name);
    if (nb_synthetic_write(path, shape, &error) != NB_OK) {
        fprintf(stderr, "test support: %s\n", error.text);
        exit(2);
    }
    return path;
}

size_t llama2c_floats(const llama2c_shape *s)
{
    size_t d = (size_t)s->dim, h = (size_t)s->hidden_dim, layers = (size_t)s->n_layers;
    size_t head_size = d / (size_t)s->n_heads, kv = (size_t)s->n_kv_heads * head_size;
    size_t vocab = (size_t)(s->vocab_size < 0 ? -s->vocab_size : s->vocab_size);
    size_t per_layer = 2 * d + 2 * d * d + 2 * kv * d + 3 * h * d;
    return vocab * d * (s->vocab_size < 0 ? 2 : 1) + layers * per_layer + d + (size_t)s->seq_len * head_size;
}

uint8_t *make_llama2c(const llama2c_shape *s, uint64_t seed, size_t *size)
{
    size_t n = llama2c_floats(s), d = (size_t)s->dim;
    size_t vocab = (size_t)(s->vocab_size < 0 ? -s->vocab_size : s->vocab_size);
    *size = sizeof *s + n * sizeof(float);
    uint8_t *file = allocate(*size);
    float *weights = allocate(n * sizeof(float));
    nb_random random;
    nb_random_seed(&random, seed);
    for (size_t i = 0; i < n; i++)
        weights[i] = 0.25f * (float)nb_random_normal(&random);
    for (size_t i = 0; i < (size_t)s->n_layers * d; i++) /* the attention norms follow the embeddings */
        weights[vocab * d + i] += 1.0f;
    memcpy(file, s, sizeof *s);
    memcpy(file + sizeof *s, weights, n * sizeof(float));
    free(weights);
    return file;
}

/* As nb_synthetic_write spells them, in tokenizer.bin's way: a space for U+2581. */
static int spell(size_t id, char text[16])
{
    static const char *const special[3] = {"<unk>", "\n<s>\n", "\n</s>\n"};
    if (id < 3)
        return snprintf(text, 16, "%s", special[id]);
    if (id < 3 + 256)
        return snprintf(text, 16, "<0x%02X>", (unsigned)(id - 3));
    static const char letters[] = " abcdefghijklmnopqrstuvwxyz";
    size_t i = id - 259;
    if (i < 27)
        return snprintf(text, 16, "%c", letters[i]);
    i -= 27;
    return snprintf(text, 16, "%c%c", letters[i / 27 % 27], letters[i % 27]);
}

uint8_t *make_tokenizer_bin(size_t n_tokens, size_t *size)
{
    uint8_t *file = allocate(4 + n_tokens * (8 + 16)), *end = file;
    uint32_t longest = 7;
    memcpy(end, &longest, 4);
    end += 4;
    for (size_t id = 0; id < n_tokens; id++) {
        char text[16];
        uint32_t length = (uint32_t)spell(id, text);
        float score = id < 259 ? 0.0f : -(float)(id - 259);
        memcpy(end, &score, 4);
        memcpy(end + 4, &length, 4);
        memcpy(end + 8, text, length);
        end += 8 + length;
    }
    *size = (size_t)(end - file);
    return file;
}
