#include "repl/language/tree.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct nb_tree_chunk {
    struct nb_tree_chunk *before;
    size_t used, capacity;
    _Alignas(16) unsigned char bytes[];
} nb_tree_chunk;

enum { CHUNK = 4096 };

void *nb_tree_allocate(nb_tree *tree, size_t n_bytes)
{
    const size_t rounded = nb_round_up(n_bytes, 16);
    nb_tree_chunk *chunk = tree->chunks;
    if (!chunk || chunk->capacity - chunk->used < rounded) {
        const size_t capacity = nb_max_size(CHUNK, rounded);
        chunk = nb_calloc(1, sizeof *chunk + capacity);
        if (!chunk)
            return NULL;
        chunk->before = tree->chunks;
        chunk->capacity = capacity;
        tree->chunks = chunk;
    }
    void *out = chunk->bytes + chunk->used;
    chunk->used += rounded;
    return out;
}

nb_tree *nb_tree_retain(nb_tree *tree)
{
    tree->n_references++;
    return tree;
}

void nb_tree_release(nb_tree **tree)
{
    nb_tree *gone = *tree;
    *tree = NULL;
    if (!gone || --gone->n_references)
        return;
    while (gone->chunks) {
        nb_tree_chunk *chunk = gone->chunks;
        gone->chunks = chunk->before;
        free(chunk);
    }
    free(gone->text);
    free(gone);
}

size_t nb_text_row(const char *text, size_t n_bytes, size_t at, size_t *begin, size_t *end)
{
    size_t row = 1;
    *begin = 0;
    for (size_t i = 0; i < at && i < n_bytes; i++) {
        if (text[i] == '\n') {
            row++;
            *begin = i + 1;
        }
    }
    *end = *begin;
    while (*end < n_bytes && text[*end] != '\n')
        ++*end;
    return row;
}
