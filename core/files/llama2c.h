/* llama2.c's v0 ("legacy") model, which has no magic. Its tokenizer.bin is read in vocabulary.h.
 * Source: karpathy/llama2.c, run.c and export.py. */
#ifndef NB_FILES_LLAMA2C_H
#define NB_FILES_LLAMA2C_H

#include "base/file.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct nb_llama2c {
    nb_mapping *mapping; /* NULL if opened from memory */
    uint32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len;
    bool shared_classifier;
    /* f32, row-major, into the mapping. Per-layer ones hold all layers, one after another. */
    const float *token_embd, *attn_norm, *wq, *wk, *wv, *wo, *ffn_norm, *w1_gate, *w2_down, *w3_up,
        *output_norm, *output;
} nb_llama2c;

/* Plausible header and exactly the size that it implies. */
bool nb_llama2c_probe(const uint8_t *data, size_t size);
nb_status nb_llama2c_open(const char *path, nb_llama2c **out, nb_error *error);
/* The same over `size` bytes, aligned to 4, that the caller keeps until nb_llama2c_close; `name` is what
 * sentences call them. */
nb_status nb_llama2c_open_memory(const void *data, size_t size, const char *name, nb_llama2c **out,
                                 nb_error *error);
void nb_llama2c_close(nb_llama2c **model);

#endif
