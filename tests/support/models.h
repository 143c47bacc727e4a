/* Models that tests make: small, of random weights, in every kind of file. Each function fails the program
 * loudly when it cannot write. */
#ifndef NB_TESTS_MODELS_H
#define NB_TESTS_MODELS_H

#include "files/synthetic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The GGUF of a synthetic model, in the temporary folder; its path, as temporary_path gives it. */
const char *make_gguf(const char *name, const nb_synthetic *shape);
/* llama2.c's header. */
typedef struct llama2c_shape {
    int32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size /* below 0: a head of its own */,
        seq_len;
} llama2c_shape;
/* How many floats follow the header. */
size_t llama2c_floats(const llama2c_shape *shape);
/* Header and weights: 0.25 * normal, norms 1 + that; malloc'ed. */
uint8_t *make_llama2c(const llama2c_shape *shape, uint64_t seed, size_t *size);
/* A tokenizer.bin of the tokens that a synthetic model's vocabulary has; malloc'ed. */
uint8_t *make_tokenizer_bin(size_t n_tokens, size_t *size);

#endif
