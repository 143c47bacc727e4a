/* Where everything in a GGUF lies: no two tensors in one place, and every byte accounted for. */
#include "base/memory.h"
#include "files/gguf_parts.h"

#include <inttypes.h>
#include <stdlib.h>

/* A tensor's bytes in gguf->data. */
typedef struct place {
    uint64_t begin, end;
    uint64_t tensor;
} place;

static int by_place(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

/* The tensors as they lie, [n_tensors]; NULL when memory is short. */
static place *places_create(const nb_gguf *gguf)
{
    place *places = nb_calloc((size_t)gguf->n_tensors + 1, sizeof *places);
    if (!places)
        return NULL;
    for (uint64_t i = 0; i < gguf->n_tensors; i++) {
        const nb_gguf_tensor *t = &gguf->tensors[i];
        places[i] = (place){t->offset, t->offset + t->n_bytes, i};
    }
    qsort(places, (size_t)gguf->n_tensors, sizeof *places, by_place);
    return places;
}

nb_status nb_gguf_check_overlaps(const nb_gguf *gguf, nb_error *error)
{
    place *places = places_create(gguf);
    nb_status status = NB_OK;
    if (!places)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its table of contents", gguf->path);
    for (uint64_t i = 1; i < gguf->n_tensors && status == NB_OK; i++) {
        const place *before = &places[i - 1], *here = &places[i];
        char first[80], second[80];
        if (here->begin < before->end)
            status = nb_fail(
                error, NB_ERR_FILE,
                "%s: %s starts at byte %" PRIu64 ", inside the numbers of %s, which end at byte %" PRIu64
                "; the file is damaged",
                gguf->path, nb_string_show(gguf->tensors[here->tensor].name, first, sizeof first),
                here->begin, nb_string_show(gguf->tensors[before->tensor].name, second, sizeof second),
                before->end);
    }
    free(places);
    return status;
}

/* ---- every byte ---- */

typedef struct span_list {
    nb_gguf_span *spans;
    size_t count;
    const nb_gguf_file *file;
    size_t file_index;
    uint64_t at; /* in the file: all before it is accounted for */
} span_list;

static void add(span_list *list, nb_gguf_span_kind kind, uint64_t end, uint64_t tensor)
{
    if (end > list->at || kind == NB_SPAN_TENSOR)
        list->spans[list->count++] = (nb_gguf_span){kind, list->file_index, list->at, end - list->at, tensor};
    list->at = end;
}

/* From the end of something to where the next thing starts: padding as far as the alignment asks, and what is
 * beyond that is nobody's. */
static void add_gap(span_list *list, uint64_t next)
{
    const uint64_t over = list->at % list->file->alignment;
    const uint64_t padding = over ? list->file->alignment - over : 0;
    if (next - list->at > padding) {
        add(list, NB_SPAN_PADDING, list->at + padding, 0);
        add(list, NB_SPAN_UNUSED, next, 0);
    } else {
        add(list, NB_SPAN_PADDING, next, 0);
    }
}

static void add_file(span_list *list, const nb_gguf *gguf, const place *places)
{
    const nb_gguf_file *f = list->file;
    list->at = 0;
    add(list, NB_SPAN_HEADER, f->keys_offset, 0);
    add(list, NB_SPAN_KEYS, f->infos_offset, 0);
    add(list, NB_SPAN_INFOS, f->infos_end, 0);
    for (uint64_t i = 0; i < f->n_tensors; i++) {
        const bool is_last = i + 1 == f->n_tensors;
        uint32_t block_elems, block_bytes;
        uint64_t end = places[i].end;
        if (!nb_ggml_type_size(gguf->tensors[places[i].tensor].type, &block_elems, &block_bytes))
            end = is_last ? f->begin + f->size : places[i + 1].begin;
        add_gap(list, places[i].begin - f->begin);
        add(list, NB_SPAN_TENSOR, end - f->begin, places[i].tensor);
    }
    add_gap(list, f->size);
}

nb_status nb_gguf_spans(const nb_gguf *gguf, nb_gguf_span **out, size_t *count, nb_error *error)
{
    /* Of each file three parts and a gap of two spans; of each tensor itself and the gap before it. */
    size_t most;
    *out = NULL;
    *count = 0;
    span_list list = {0};
    place *places = places_create(gguf);
    if (places && nb_mul_size((size_t)gguf->n_tensors, 3, &most) &&
        nb_add_size(most, 5 * gguf->n_files, &most))
        list.spans = nb_calloc(most, sizeof *list.spans);
    if (!list.spans) {
        free(places);
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to account for its bytes", gguf->path);
    }
    const place *first = places; /* files lie in their order, and so do their tensors */
    for (size_t i = 0; i < gguf->n_files; i++) {
        list.file = &gguf->files[i];
        list.file_index = i;
        add_file(&list, gguf, first);
        first += gguf->files[i].n_tensors;
    }
    free(places);
    *out = list.spans;
    *count = list.count;
    return NB_OK;
}
