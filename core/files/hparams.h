/* A model's shape in GGUF keys, both ways. */
#ifndef NB_FILES_HPARAMS_H
#define NB_FILES_HPARAMS_H

#include "files/gguf.h"
#include "model/model.h"

/* Reads and checks the keys of the file's architecture; `tied` is whether the file has no head of its own.
 * NB_ERR_UNSUPPORTED for what nibble does not run yet, by name. */
nb_status nb_hparams_from_gguf(const nb_gguf *gguf, nb_hparams *out, nb_error *error);
/* general.architecture, general.name (if not NULL) and the architecture's keys. */
nb_status nb_hparams_write_gguf(const nb_hparams *hparams, const char *name, nb_gguf_writer *writer,
                                nb_error *error);
/* Sizes that are whole, not zero, and fit each other. `path` begins the sentence. */
nb_status nb_hparams_check(const nb_hparams *hparams, const char *path, nb_error *error);

#endif
