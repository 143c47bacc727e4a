/* Models from files, and into them. */
#ifndef NB_FILES_LOAD_H
#define NB_FILES_LOAD_H

#include "model/model.h"
#include "text/tokenizer.h"

typedef struct nb_load_options {
    const char
        *tokenizer; /* llama2.c: path of tokenizer.bin; NULL: a tokenizer.bin or tok*.bin beside the model */
    bool unpacked; /* to be stored otherwise before anything else: nb_model_pack is then called, and packs the rest */
} nb_load_options;

/* A GGUF (v3; f32, f16, bf16 tensors, or nibble's own saved formats) or a llama2.c v0 file. Packs
 * every matrix, with progress. `options` may be NULL. */
nb_status nb_model_load(nb_context *context, const char *path, const nb_load_options *options, nb_model **out,
                        nb_error *error);

/* Writes a GGUF: f32, f16 and bf16 tensors plainly, others as NAME.codes with .scale and .zero beside
 * them under nibble.* keys (saved.h says how). Loading it gives the same packed bits. */
nb_status nb_model_save(nb_model *model, const char *path, nb_error *error);

#endif
