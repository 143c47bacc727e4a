/* Importance matrices: how large the numbers are that each column of a matrix multiplies. A column that meets large
 * activations must be stored more exactly than one that meets small ones; encoders weigh their errors so.
 * Source: llama.cpp, tools/imatrix. */
#ifndef NB_QUANT_IMPORTANCE_H
#define NB_QUANT_IMPORTANCE_H

#include "model/model.h"

typedef struct nb_importance_entry {
    char *name; /* of the tensor, without ".weight" */
    size_t n_cols;
    float *squares; /* [n_cols]: the sum over tokens of x^2 */
    float n_tokens;
} nb_importance_entry;

typedef struct nb_importance {
    nb_importance_entry *entries;
    size_t n_entries;
    uint32_t n_chunks, chunk_tokens;
    char *text; /* the name of the text that was read; "" if unknown */
} nb_importance;

void nb_importance_destroy(nb_importance **importance);
/* NULL if nothing is known of that tensor. */
const nb_importance_entry *nb_importance_find(const nb_importance *importance, const char *tensor);

/* Reads `text` in chunks of chunk_tokens (0: 512, or the model's context if that is less), each begun with BOS, as the
 * model is stored now, and adds up what flows into every matrix of its blocks. What a last, shorter chunk would hold is
 * not read. max_tokens 0: all of the text. */
nb_status nb_importance_collect(nb_model *model, const char *text, size_t n_bytes, const char *text_name,
                                size_t max_tokens, size_t chunk_tokens, nb_importance **out, nb_error *error);

/* llama.cpp's files of either form: GGUF, and what came before it. */
nb_status nb_importance_open(const char *path, nb_importance **out, nb_error *error);
/* The GGUF form; the older one where the name ends in ".dat". */
nb_status nb_importance_save(const nb_importance *importance, const char *path, nb_error *error);

/* Means for one tensor: out[n_cols] = squares / n_tokens, which is what encoders weigh errors with. Refused: another
 * number of columns. Tensors of which nothing is known, or which no token reached, give NB_OK and *known false. */
nb_status nb_importance_means(const nb_importance *importance, const char *tensor, size_t n_cols, float *out,
                              bool *known, nb_error *error);

#endif
