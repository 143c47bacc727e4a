/* What tests of transforms share: a model of every architecture, a text, and how far logits moved. */
#ifndef NB_TESTS_TRANSFORMS_H
#define NB_TESTS_TRANSFORMS_H

#include "model/architecture.h"
#include "tests/support/shapes.h"

enum { TEST_TEXT_BYTES = 3000, TEST_N_LOGIT_TOKENS = 24 };

/* TEST_TEXT_BYTES of words, the same ones every time. */
const char *test_text(void);
/* Samples of that text, at most so many tokens (0: all). Must succeed. */
nb_samples test_samples(const nb_model *model, size_t max_tokens);
/* A small model of an architecture: n_embd 48, a feed-forward part of 80, two blocks. */
nb_synthetic test_shape_of(const nb_architecture *architecture);
/* The logits of TEST_N_LOGIT_TOKENS tokens: allocated. */
float *test_probe(nb_model *model, nb_weights weights);
/* The largest difference of the model's logits from before[], over the largest of those. */
double test_moved(nb_model *model, nb_weights weights, const float *before);
/* The tensor of that name; must be there. */
const nb_tensor *test_tensor(const nb_model *model, const char *name);

#endif
