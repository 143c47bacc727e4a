/* Looking inside a GGUF: its keys, its tensors, where every byte of it is, and one block of numbers. */
#ifndef NB_REPL_COMMANDS_INSPECT_H
#define NB_REPL_COMMANDS_INSPECT_H

#include "nibble.h"
#include "repl/draft.h"
#include "repl/items.h"
#include "repl/nearest.h"

/* All but the blocks. `name` is what the headline calls the file. */
nb_status nb_inspect_gguf(const nb_gguf *gguf, const char *name, nb_items *out, nb_error *error);
/* One value in full, of any length. */
nb_status nb_inspect_key(const nb_gguf *gguf, const char *key, nb_items *out, nb_error *error);
/* Block `block` of a tensor, and number `number` of it step by step. */
nb_status nb_inspect_block(const nb_gguf *gguf, const char *tensor, uint64_t block, uint64_t number,
                           nb_items *out, nb_error *error);

/* A value on one line: at most about `most` bytes of it, "..." where it goes on. */
void nb_inspect_value(const nb_gguf_value *value, size_t most, nb_draft *out);
/* "u32", "4,096 strings", "3 arrays". */
void nb_inspect_type(const nb_gguf_value *value, nb_draft *out);
/* Offers a name from a file, which may be anything; `best` becomes the nearest so far. */
void nb_inspect_offer(nb_nearest *nearest, nb_string name, char best[64]);

#endif
