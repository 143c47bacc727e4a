/* Scopes: which tensors a command speaks of. */
#ifndef NB_MODEL_SCOPE_H
#define NB_MODEL_SCOPE_H

#include "model/model.h"

/* A tensor, a glob (`blk.*.attn_*`), a layer range (`blk.2-5.ffn_*`, `blk.0`), a word (attention, mlp,
 * embeddings, head, all), or several with commas. `blk.0` is all of block 0. Word `all` is every matrix of
 * attention and mlp and, said in `left`, leaves embeddings, head and norms; with vectors_too it is every
 * tensor. */
typedef struct nb_scope {
    size_t *tensors; /* indices, ascending, no vectors unless wanted */
    size_t count;
    char left[160]; /* what the words left in high precision, "" if nothing */
} nb_scope;
nb_status nb_scope_resolve(const nb_model *model, const char *text, bool vectors_too, nb_scope *out,
                           nb_error *error);
void nb_scope_free(nb_scope *scope);

#endif
