/* A binary heap of numbers in an array, the smallest on top. Whoever wants the largest stores complements. */
#ifndef NB_BASE_HEAP_H
#define NB_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Orders heap[0..count) from any order. */
void nb_heap_make(uint64_t *heap, size_t count);
/* Adds a key; the array has room for it. */
void nb_heap_push(uint64_t *heap, size_t *count, uint64_t key);
/* Takes the smallest key out; *count is 1 at least. */
uint64_t nb_heap_pop(uint64_t *heap, size_t *count);
/* Puts `key` in the smallest one's place; `count` is 1 at least. */
void nb_heap_replace_top(uint64_t *heap, size_t count, uint64_t key);

#endif
