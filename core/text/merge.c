#include "text/merge.h"

#include "base/heap.h"
#include "base/memory.h"

#include <stdlib.h>

#define SHORT_PIECE 48 /* up to here looking at every pair each time beats keeping a heap */
#define END         UINT32_MAX

static nb_status out_of_memory(nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "there is no memory left to split this text into tokens");
}

static bool grow(uint32_t **array, size_t capacity)
{
    uint32_t *larger = nb_realloc(*array, capacity, sizeof **array);
    *array = larger ? larger : *array;
    return larger != NULL;
}

nb_status nb_merge_reserve(nb_merge_piece *piece, size_t count, nb_error *error)
{
    if (count <= piece->capacity) {
        return NB_OK;
    }
    size_t capacity = nb_max_size(nb_max_size(count, 2 * SHORT_PIECE), piece->capacity + piece->capacity / 2);
    if (!grow(&piece->symbols, capacity) || !grow(&piece->starts, capacity) ||
        !grow(&piece->priority, capacity) || !grow(&piece->merged, capacity) ||
        !grow(&piece->previous, capacity) || !grow(&piece->next, capacity)) {
        return out_of_memory(error);
    }
    piece->capacity = capacity;
    return NB_OK;
}

void nb_merge_free(nb_merge_piece *piece)
{
    free(piece->symbols);
    free(piece->starts);
    free(piece->priority);
    free(piece->merged);
    free(piece->previous);
    free(piece->next);
    free(piece->heap);
    *piece = (nb_merge_piece){0};
}

/* Notes what the symbols at `left` and `right` may become. */
static void look_up(const nb_pair_table *pairs, nb_merge_piece *piece, size_t left, size_t right)
{
    const nb_pair *pair = NULL;
    if (piece->symbols[left] != NB_NO_SYMBOL && piece->symbols[right] != NB_NO_SYMBOL) {
        pair = nb_pair_table_find(pairs, piece->symbols[left], piece->symbols[right]);
    }
    piece->priority[left] = pair ? pair->priority : NB_NO_PRIORITY;
    piece->merged[left] = pair ? pair->merged : NB_NO_SYMBOL;
}

static void merge_short(const nb_pair_table *pairs, nb_merge_piece *piece)
{
    size_t n = piece->count;
    for (size_t i = 0; i + 1 < n; i++) {
        look_up(pairs, piece, i, i + 1);
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++) {
            best = piece->priority[i] < piece->priority[best] ? i : best;
        }
        if (piece->priority[best] == NB_NO_PRIORITY) {
            break;
        }
        piece->symbols[best] = piece->merged[best];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            piece->symbols[i] = piece->symbols[i + 1];
            piece->starts[i] = piece->starts[i + 1];
            piece->priority[i] = piece->priority[i + 1];
            piece->merged[i] = piece->merged[i + 1];
        }
        if (best > 0) {
            look_up(pairs, piece, best - 1, best);
        }
        if (best + 1 < n) {
            look_up(pairs, piece, best, best + 1);
        }
    }
    piece->count = n;
}

static uint64_t heap_key(const nb_merge_piece *piece, size_t at)
{
    return (uint64_t)piece->priority[at] << 32 | at;
}

/* Looks a new pair up and queues it if it may merge. */
static void offer(const nb_pair_table *pairs, nb_merge_piece *piece, uint32_t left, uint32_t right)
{
    look_up(pairs, piece, left, right);
    if (piece->priority[left] != NB_NO_PRIORITY) {
        nb_heap_push(piece->heap, &piece->heap_count, heap_key(piece, left));
    }
}

/* Merges the symbol at `at` with the next one; both of its new pairs are offered. An entry of the heap whose
 * pair is gone stays there and is known by its priority, which no longer is the one noted at its position. */
static void merge_at(const nb_pair_table *pairs, nb_merge_piece *piece, uint32_t at)
{
    uint32_t gone = piece->next[at], after = piece->next[gone], before = piece->previous[at];
    piece->symbols[at] = piece->merged[at];
    piece->priority[at] = NB_NO_PRIORITY;
    piece->priority[gone] = NB_NO_PRIORITY;
    piece->next[at] = after;
    if (after != END) {
        piece->previous[after] = at;
        offer(pairs, piece, at, after);
    }
    if (before != END) {
        offer(pairs, piece, before, at);
    }
}

static void link_all(const nb_pair_table *pairs, nb_merge_piece *piece)
{
    size_t n = piece->count;
    piece->heap_count = 0;
    for (size_t i = 0; i < n; i++) {
        piece->previous[i] = i > 0 ? (uint32_t)(i - 1) : END;
        piece->next[i] = i + 1 < n ? (uint32_t)(i + 1) : END;
        piece->priority[i] = NB_NO_PRIORITY;
        if (i + 1 < n) {
            look_up(pairs, piece, i, i + 1);
        }
        if (piece->priority[i] != NB_NO_PRIORITY) {
            piece->heap[piece->heap_count++] = heap_key(piece, i);
        }
    }
    nb_heap_make(piece->heap, piece->heap_count);
}

static nb_status merge_long(const nb_pair_table *pairs, nb_merge_piece *piece, nb_error *error)
{
    /* n - 1 pairs to begin with, and each of at most n - 1 merges takes one entry and adds two at most */
    if (piece->heap_capacity < 2 * piece->capacity) {
        uint64_t *heap = nb_realloc(piece->heap, piece->capacity, 2 * sizeof *heap);
        if (!heap) {
            return out_of_memory(error);
        }
        piece->heap = heap;
        piece->heap_capacity = 2 * piece->capacity;
    }
    link_all(pairs, piece);
    while (piece->heap_count > 0) {
        uint64_t key = nb_heap_pop(piece->heap, &piece->heap_count);
        uint32_t at = (uint32_t)key;
        if (piece->priority[at] == (uint32_t)(key >> 32)) {
            merge_at(pairs, piece, at);
        }
    }
    size_t n = 0;
    for (uint32_t at = 0; at != END; at = piece->next[at]) {
        piece->symbols[n] = piece->symbols[at];
        piece->starts[n++] = piece->starts[at];
    }
    piece->count = n;
    return NB_OK;
}

nb_status nb_merge(const nb_pair_table *pairs, nb_merge_piece *piece, nb_error *error)
{
    if (piece->count <= SHORT_PIECE) {
        merge_short(pairs, piece);
        return NB_OK;
    }
    return merge_long(pairs, piece, error);
}
