/* The inside of training a byte-level BPE: from counted words to an ordered list of merges. */
#ifndef NB_TEXT_BPE_LEARN_H
#define NB_TEXT_BPE_LEARN_H

#include "base/context.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

typedef struct nb_bpe_merge {
    uint32_t left, right, merged; /* tokens */
} nb_bpe_merge;

typedef struct nb_bpe_learned {
    nb_bpe_merge *merges; /* [n_merges], best first */
    size_t n_merges;
    nb_string *pieces; /* [n_tokens] the bytes of each token; those of a merge lie in the words */
    size_t n_tokens;
    uint64_t n_text_tokens; /* what all the words become */
} nb_bpe_learned;

typedef struct nb_bpe_lesson {
    const nb_string *words;
    const uint64_t *counts; /* [n_words] how often each occurs */
    size_t n_words;
    const nb_string *pieces; /* [n_tokens] what there is before the first merge */
    size_t n_tokens, wanted;
    const uint32_t *byte_tokens; /* [256] which of them is a byte alone */
} nb_bpe_lesson;

/* Adds merges to the tokens that there are, up to `wanted` tokens or until no pair occurs twice. */
nb_status nb_bpe_learn(nb_context *context, const nb_bpe_lesson *lesson, nb_bpe_learned *out,
                       nb_error *error);
void nb_bpe_learned_free(nb_bpe_learned *learned);

#endif
