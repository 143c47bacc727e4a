/* Putting a model together from parts: what the file readers hand over. */
#ifndef NB_MODEL_BUILD_H
#define NB_MODEL_BUILD_H

#include "base/file.h"
#include "model/model.h"

typedef struct nb_model_parts {
    const char *name, *path; /* copied */
    nb_hparams hparams;      /* `architecture` need not outlive the call */
    size_t n_tensors;
    nb_tensor
        *tensors; /* malloc'ed, with their names and `vector`s (free) and any `packed` and `input`: ownership passes */
    struct nb_tokenizer *tokenizer;
    void (*release)(void *owner);
    void *owner; /* release(owner) closes the mapping and the tokenizer; may be NULL */
    const nb_mapping *mapping;
    bool unpacked; /* matrices wait for nb_model_pack */
} nb_model_parts;

/* Takes the parts, whatever happens: on failure all of them are released. Checks that the architecture is
 * known and that every tensor it needs is there in its shape (others are kept, but not run). Packs each
 * matrix whose `packed` is NULL from its source in the source's own format, with progress "loading";
 * `quantizer` is filled in for those, and must be set by the caller where `packed` is. */
nb_status nb_model_create(nb_context *context, nb_model_parts *parts, nb_model **out, nb_error *error);

#endif
