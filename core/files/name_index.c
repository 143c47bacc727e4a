#include "files/name_index.h"

#include "base/digest.h"
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>

typedef struct slot {
    nb_string name;
    size_t value;
    bool used;
} slot;

struct nb_name_index {
    slot *slots;
    size_t mask; /* the table's length is a power of two, at least twice the names */
};

static uint64_t hash(nb_string name)
{
    const uint64_t h = nb_digest_add(NB_DIGEST_OF_NOTHING, name.text, name.n_bytes);
    return h ^ (h >> 32);
}

nb_name_index *nb_name_index_create(size_t count)
{
    size_t length = 8;
    while (length / 2 < count) {
        if (!nb_mul_size(length, 2, &length))
            return NULL;
    }
    nb_name_index *index = nb_calloc(1, sizeof *index);
    if (!index)
        return NULL;
    index->slots = nb_calloc(length, sizeof *index->slots);
    index->mask = length - 1;
    if (!index->slots)
        nb_name_index_destroy(&index);
    return index;
}

void nb_name_index_destroy(nb_name_index **index)
{
    if (!*index)
        return;
    free((*index)->slots);
    free(*index);
    *index = NULL;
}

/* The slot that holds `name`, or the free one where it would go. */
static slot *probe(const nb_name_index *index, nb_string name)
{
    for (size_t i = (size_t)hash(name);; i++) {
        slot *s = &index->slots[i & index->mask];
        if (!s->used)
            return s;
        if (s->name.n_bytes == name.n_bytes &&
            (name.n_bytes == 0 || memcmp(s->name.text, name.text, name.n_bytes) == 0))
            return s;
    }
}

bool nb_name_index_add(nb_name_index *index, nb_string name, size_t value)
{
    slot *s = probe(index, name);
    if (s->used)
        return false;
    *s = (slot){name, value, true};
    return true;
}

bool nb_name_index_find(const nb_name_index *index, nb_string name, size_t *value)
{
    const slot *s = probe(index, name);
    if (!s->used)
        return false;
    *value = s->value;
    return true;
}
