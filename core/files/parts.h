/* From a file of either kind to what nb_model_create takes. */
#ifndef NB_FILES_PARTS_H
#define NB_FILES_PARTS_H

#include "files/gguf.h"
#include "files/layout.h"
#include "files/llama2c.h"
#include "files/load.h"
#include "model/build.h"

/* What a loaded model stands on, and what its `release` closes. */
typedef struct nb_opened {
    nb_gguf *gguf;
    nb_llama2c *llama2c;
    nb_tokenizer *tokenizer;
} nb_opened;

/* parts->owner is `opened` already; what was filled in when they fail is released by the caller, with
 * nb_parts_free. parts->name is allocated, and the caller's to free. */
nb_status nb_parts_from_gguf(nb_context *context, nb_opened *opened, const char *path, nb_model_parts *parts,
                             nb_error *error);
nb_status nb_parts_from_llama2c(nb_opened *opened, const char *path, const nb_load_options *options,
                                nb_model_parts *parts, nb_error *error);
void nb_parts_free(nb_model_parts *parts);

/* Allocates parts->tensors for the layout, with names, roles and shapes and nothing else. */
nb_status nb_parts_name(nb_model_parts *parts, const nb_layout_tensor *layout, size_t count, nb_error *error);
/* Numbers that lie plainly in the mapping. A vector is decoded at once. */
nb_status nb_parts_place(nb_tensor *tensor, const nb_format *format, const void *source, nb_error *error);
/* "story" of "models/story.gguf"; allocated, NULL when memory is short. */
char *nb_parts_stem(const char *path);

#endif
