/* Models of random weights in any shape: for tests, benchmarks and the fingerprint. */
#ifndef NB_FILES_SYNTHETIC_H
#define NB_FILES_SYNTHETIC_H

#include "base/status.h"
#include "formats/format.h"

typedef struct nb_synthetic {
    const char *architecture; /* NULL: llama */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_size /* 0: n_embd / n_heads */, n_ff, n_vocab, n_ctx;
    bool tied;
    bool rope_factors;       /* add the tensors that an architecture may do without: RoPE's divisors */
    uint32_t n_rot;          /* 0: the head size, if there is RoPE */
    uint32_t n_window, n_ctx_short; /* as nb_hparams has them */
    float attn_softcap, logit_softcap;
    double rope_magnitude;
    const nb_format *format; /* of the matrices: f32, f16 or bf16 */
    uint64_t seed;
} nb_synthetic;

/* Writes a GGUF with normal weights scaled so that activations stay sane, norms near 1, biases near 0, and a
 * byte-level SentencePiece-style vocabulary of n_vocab (at least 259) tokens. */
nb_status nb_synthetic_write(const char *path, const nb_synthetic *shape, nb_error *error);
/* "15M", "110M", "1.1B", "tiny"; false if unknown. */
bool nb_synthetic_shape(const char *name, nb_synthetic *out);

#endif
