/* Small random models of every awkward shape, for tests. */
#ifndef NB_TESTS_SHAPES_H
#define NB_TESTS_SHAPES_H

#include "nibble.h"

typedef struct test_shape {
    const char *label;
    nb_synthetic shape;
} test_shape;

/* One head, grouped heads, a head size of 8 and of 48, rows of 172 and of 72, tied and not, with RoPE
 * factors. */
extern const test_shape test_shapes[];
extern const size_t n_test_shapes;

/* A context on this level (NULL: the best) that must be had. */
nb_context *test_context(const char *level, unsigned n_threads);
/* The CPU level's name if this CPU has it, else NULL. */
const char *test_level(size_t index);
/* The shape's model, its matrices in `format`, through a file that is gone again when this returns. */
nb_model *test_model(nb_context *context, const nb_synthetic *shape, const nb_format *format);
/* `n` token ids that the model has, the same ones every time. */
void test_tokens(const nb_model *model, int32_t *tokens, size_t n);
/* Stores a scope as the quantizer's text says ("int4 absmax/group:32"); must succeed. */
void test_quantize(nb_model *model, const char *scope, const char *quantizer);
/* All logits of the tokens, from a fresh session: allocated, [n][n_vocab]. */
float *test_logits(nb_model *model, nb_weights weights, const int32_t *tokens, size_t n);

/* The nth report of progress from now on cancels what runs in this context, as Ctrl-C would; 0: none does. */
void test_cancel_after(nb_context *context, long n);

/* Something that is done with a model, and lets go of what it made. `user` is its own. */
typedef nb_status test_work(nb_model *model, void *user, nb_error *error);
/* Does it and stops it, at its first report of progress, then `step` reports later each time, until it comes
 * through. Whenever it was stopped it must say so, and the model and its context be as they were. What came
 * through must have made `n_undo` steps (0 or 1), which are taken back. Returns how often it was stopped. */
long test_cancel_everywhere(nb_model *model, test_work *work, void *user, long step, size_t n_undo);

/* A hash of everything that a change may touch: how tensors are stored, their numbers, and what the model
 * computes. */
uint64_t test_state(nb_model *model);
/* What `change` makes of the shape's model must have one such hash on every CPU level, and with 1 to n_threads threads. */
void test_same_everywhere(const nb_synthetic *shape, const nb_format *format, unsigned n_threads,
                          void (*change)(nb_model *model));

#endif
