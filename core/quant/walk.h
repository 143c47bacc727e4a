/* Reading sequences block by block: all of them through one block before any goes through the next. What a block reads
 * was made by the blocks before it as they are stored by then, so that a method may quantize a block and let the
 * next one see what came of it. Holds the hidden state of every token. */
#ifndef NB_QUANT_WALK_H
#define NB_QUANT_WALK_H

#include "model/state.h"
#include "quant/samples.h"

typedef struct nb_walk nb_walk;

/* Called with what flows into a matrix, sequence by sequence: n_tokens rows, `stride` floats apart. */
typedef nb_status nb_walk_fn(void *user, const float *x, size_t n_tokens, size_t stride, nb_error *error);

/* Embeds the samples, which must outlive the walk; it stands before block 0. */
nb_status nb_walk_create(nb_model *model, const nb_samples *samples, nb_walk **out, nb_error *error);
void nb_walk_destroy(nb_walk **walk);
/* What flows into `reader`, a matrix of the block that the walk stands before; after the last block the head. */
nb_status nb_walk_look(nb_walk *walk, const nb_tensor *reader, nb_walk_fn *fn, void *user, nb_error *error);
/* Through the block, as it is stored now. */
nb_status nb_walk_advance(nb_walk *walk, nb_error *error);
size_t nb_walk_layer(const nb_walk *walk); /* n_layers: it stands before the head */

#endif
