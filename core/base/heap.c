#include "base/heap.h"

/* Lets heap[at] sink below its smaller children. */
static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    uint64_t key = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        child += child + 1 < count && heap[child + 1] < heap[child];
        if (heap[child] >= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

void nb_heap_make(uint64_t *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(heap, count, i);
}

void nb_heap_push(uint64_t *heap, size_t *count, uint64_t key)
{
    size_t at = (*count)++;
    for (; at > 0 && heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = key;
}

uint64_t nb_heap_pop(uint64_t *heap, size_t *count)
{
    uint64_t top = heap[0];
    if (--*count > 0)
        nb_heap_replace_top(heap, *count, heap[*count]);
    return top;
}

void nb_heap_replace_top(uint64_t *heap, size_t count, uint64_t key)
{
    heap[0] = key;
    sift_down(heap, count, 0);
}
