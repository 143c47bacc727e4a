/* The merging of byte-pair encoding: of all neighbours that may merge, those with the lowest priority number
 * do (the leftmost of equals), until none may. Source: Sennrich et al. 2016, arXiv:1508.07909, algorithm 1;
 * the same loop serves SentencePiece-style BPE, where a priority is a token's score. */
#ifndef NB_TEXT_MERGE_H
#define NB_TEXT_MERGE_H

#include "base/status.h"
#include "text/symbols.h"

/* A piece of text as symbols, and what merging it needs; grows as pieces demand and serves many of them. */
typedef struct nb_merge_piece {
    uint32_t *symbols; /* [count]; NB_NO_SYMBOL never merges */
    uint32_t *starts;  /* [count] where each begins in the piece's bytes */
    size_t count, capacity;
    /* by position of the left neighbour: the pair that starts there, as long as it stands */
    uint32_t *priority, *merged;
    uint32_t *previous, *next; /* long pieces only: the list of what is left */
    uint64_t *heap;            /* long pieces only: priority << 32 | position */
    size_t heap_count, heap_capacity;
} nb_merge_piece;

/* Makes room for `count` symbols. */
nb_status nb_merge_reserve(nb_merge_piece *piece, size_t count, nb_error *error);
/* Merges symbols[0..count) in place; count and starts follow. n log n for any text. */
nb_status nb_merge(const nb_pair_table *pairs, nb_merge_piece *piece, nb_error *error);
void nb_merge_free(nb_merge_piece *piece);

#endif
