/* Learning a byte-level BPE from text.
 *
 * Source: Sennrich et al. 2016, arXiv:1508.07909, algorithm 1, over bytes and within pre-tokens as in GPT-2
 * (Radford et al. 2019, section 2.2): of all neighbours in the text's words, those that occur most often
 * become a token. Of equals the pair with the smaller left token is taken, then that with the smaller right
 * one, so that a text gives one vocabulary everywhere. */
#ifndef NB_TEXT_BPE_TRAIN_H
#define NB_TEXT_BPE_TRAIN_H

#include "base/context.h"
#include "text/tokenizer.h"

/* What there is before the first merge: the mark between documents, and the bytes. */
enum { NB_BPE_LEAST_TOKENS = 1 + 256, NB_BPE_MOST_TOKENS = 1 << 20 };

typedef struct nb_bpe_options {
    size_t n_tokens; /* NB_BPE_LEAST_TOKENS to NB_BPE_MOST_TOKENS */
    const char *pre; /* name of the pre-tokenizer; NULL: "gpt-2" */
} nb_bpe_options;

/* Token 0 is the control token <|endoftext|>, with which a document begins (bos) and ends (eos); then the 256
 * bytes in the order of the byte-level alphabet; then a token for every merge. */
typedef struct nb_bpe_trained {
    nb_vocabulary vocabulary; /* "gpt2", for nb_tokenizer_create; everything in it is owned here */
    char *arena, *pre;
    uint64_t n_bytes, n_documents;
    uint64_t n_words, n_distinct_words; /* pieces of the pre-tokenizer */
    uint64_t n_text_tokens;             /* what the texts become, without marks */
} nb_bpe_trained;

/* `texts` are any bytes; documents are parted as in documents.h, and the mark is not learned from. Fewer
 * tokens than asked come out when no pair occurs twice any more. Refuses texts that hold nothing. */
nb_status nb_bpe_train(nb_context *context, const nb_string *texts, size_t n_texts,
                       const nb_bpe_options *options, nb_bpe_trained *out, nb_error *error);
void nb_bpe_trained_free(nb_bpe_trained *trained);

#endif
