/* Inside the GGUF reader: split models, and the places of tensors. */
#ifndef NB_FILES_GGUF_PARTS_H
#define NB_FILES_GGUF_PARTS_H

#include "files/gguf.h"

/* One file in a stretch of a mapping that stays the caller's. */
nb_status nb_gguf_open_part(const nb_mapping *mapping, size_t begin, size_t size, const char *path,
                            nb_gguf **out, nb_error *error);

/* Whether the file says that it is one of several. */
bool nb_gguf_is_split(const nb_gguf *gguf);
/* Finds the others by the name of `one` and opens all as one model. `one` stays the caller's to close. */
nb_status nb_gguf_open_split(const nb_gguf *one, nb_gguf **out, nb_error *error);

/* Two tensors that share bytes are refused. */
nb_status nb_gguf_check_overlaps(const nb_gguf *gguf, nb_error *error);

#endif
