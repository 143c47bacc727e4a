/* Inside inspect --hex: a block, and types without scales. */
#ifndef NB_REPL_COMMANDS_INSPECT_PLAIN_H
#define NB_REPL_COMMANDS_INSPECT_PLAIN_H

#include "nibble.h"
#include "repl/draft.h"
#include "repl/items.h"

enum { NB_SHOWN_NUMBERS = 32 }; /* of a type whose blocks are single numbers */

/* What is shown: a block, or a run of plain numbers. */
typedef struct nb_shown_block {
    const nb_gguf_tensor *tensor;
    const uint8_t *data;
    uint64_t index, count;
    uint64_t first;  /* which number of the tensor is its first */
    uint64_t offset; /* of its bytes in the tensor */
    unsigned n_numbers, n_bytes;
} nb_shown_block;

/* Floats and integers. False for types that are neither. */
bool nb_inspect_plain(const nb_shown_block *block, unsigned followed, nb_items *out);

/* A grid of numbers, the followed one lit. */
void nb_inspect_values(const double *values, unsigned n, unsigned followed, nb_items *out);
/* The lowest `n_bits`, the highest first. */
void nb_inspect_bits(uint64_t value, unsigned n_bits, bool in_fours, nb_draft *out);

#endif
