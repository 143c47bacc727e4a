/* Writing GGUF, version 3: keys and tensor infos are gathered in memory, and go out with the first data. */
#include "files/gguf.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { VERSION = 3, DEFAULT_ALIGNMENT = 32, MAX_DIMS = 4 };

/* Bytes that grow. After memory ran short once, `failed` stays set. */
typedef struct buffer {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
} buffer;

/* A key with everything that stands after it in the file. */
typedef struct entry {
    char *key;
    buffer bytes; /* the key's own string, the type, the value */
} entry;

typedef struct pending_tensor {
    char *name;
    uint32_t n_dims, type;
    uint64_t dims[MAX_DIMS], n_bytes;
} pending_tensor;

struct nb_gguf_writer {
    nb_writer *file;
    char *path;
    entry *entries;
    size_t n_entries, entries_capacity;
    pending_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    uint64_t alignment;
    bool header_written;
    size_t current;   /* the tensor whose data comes next */
    uint64_t written; /* of its bytes */
};

static void put(buffer *b, const void *data, size_t size)
{
    size_t needed;
    if (b->failed || size == 0)
        return;
    if (!nb_add_size(b->size, size, &needed)) {
        b->failed = true;
        return;
    }
    if (needed > b->capacity) {
        size_t capacity = nb_max_size(needed, b->capacity < SIZE_MAX / 2 ? b->capacity * 2 : needed);
        uint8_t *grown = nb_realloc(b->data, capacity, 1);
        if (!grown) {
            b->failed = true;
            return;
        }
        b->data = grown;
        b->capacity = capacity;
    }
    memcpy(b->data + b->size, data, size);
    b->size = needed;
}

static void put_u32(buffer *b, uint32_t value)
{
    put(b, &value, sizeof value);
}
static void put_u64(buffer *b, uint64_t value)
{
    put(b, &value, sizeof value);
}
static void put_string(buffer *b, nb_string string)
{
    put_u64(b, string.n_bytes);
    put(b, string.text, string.n_bytes);
}

/* ---- the writer's life ---- */

nb_status nb_gguf_writer_create(const char *path, nb_gguf_writer **out, nb_error *error)
{
    *out = NULL;
    nb_gguf_writer *w = nb_calloc(1, sizeof *w);
    if (w)
        w->path = nb_strdup(path);
    if (!w || !w->path) {
        free(w);
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to write it", path);
    }
    w->alignment = DEFAULT_ALIGNMENT;
    nb_status status = nb_writer_open(path, &w->file, error);
    if (status != NB_OK) {
        nb_gguf_writer_abort(&w);
        return status;
    }
    *out = w;
    return NB_OK;
}

void nb_gguf_writer_abort(nb_gguf_writer **writer)
{
    nb_gguf_writer *w = *writer;
    if (!w)
        return;
    if (w->file)
        nb_writer_abort(&w->file);
    for (size_t i = 0; i < w->n_entries; i++) {
        free(w->entries[i].key);
        free(w->entries[i].bytes.data);
    }
    for (size_t i = 0; i < w->n_tensors; i++)
        free(w->tensors[i].name);
    free(w->entries);
    free(w->tensors);
    free(w->path);
    free(w);
    *writer = NULL;
}

static nb_status no_memory(const nb_gguf_writer *w, nb_error *error)
{
    return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to write it", w->path);
}

/* ---- keys ---- */

/* Makes room for one more of `size` bytes in an array that doubles. */
static bool reserve(void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 32;
    void *grown = nb_realloc(*array, wanted, size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

/* The place for `key`: a new one, or the old one emptied. NULL when memory is short. */
static buffer *entry_begin(nb_gguf_writer *w, nb_string key, nb_gguf_type type)
{
    assert(!w->header_written);
    entry *e = NULL;
    for (size_t i = 0; i < w->n_entries && !e; i++)
        if (nb_string_equal(key, w->entries[i].key))
            e = &w->entries[i];
    if (!e) {
        if (!reserve((void **)&w->entries, w->n_entries, &w->entries_capacity, sizeof *w->entries))
            return NULL;
        char *copy = nb_calloc(key.n_bytes + 1, 1);
        if (!copy)
            return NULL;
        memcpy(copy, key.text, key.n_bytes);
        e = &w->entries[w->n_entries++];
        *e = (entry){.key = copy};
    }
    e->bytes.size = 0;
    put_string(&e->bytes, key);
    put_u32(&e->bytes, (uint32_t)type);
    return &e->bytes;
}

static nb_status entry_end(nb_gguf_writer *w, const buffer *b, nb_error *error)
{
    return b && !b->failed ? NB_OK : no_memory(w, error);
}

nb_status nb_gguf_add_number(nb_gguf_writer *w, const char *key, nb_gguf_type type, const void *value,
                             nb_error *error)
{
    buffer *b = entry_begin(w, nb_string_of(key), type);
    if (b)
        put(b, value, nb_gguf_type_size(type));
    return entry_end(w, b, error);
}

nb_status nb_gguf_add_u32(nb_gguf_writer *w, const char *key, uint32_t value, nb_error *error)
{
    return nb_gguf_add_number(w, key, NB_GGUF_U32, &value, error);
}

nb_status nb_gguf_add_u64(nb_gguf_writer *w, const char *key, uint64_t value, nb_error *error)
{
    return nb_gguf_add_number(w, key, NB_GGUF_U64, &value, error);
}

nb_status nb_gguf_add_f32(nb_gguf_writer *w, const char *key, float value, nb_error *error)
{
    return nb_gguf_add_number(w, key, NB_GGUF_F32, &value, error);
}

nb_status nb_gguf_add_bool(nb_gguf_writer *w, const char *key, bool value, nb_error *error)
{
    uint8_t byte = value;
    return nb_gguf_add_number(w, key, NB_GGUF_BOOL, &byte, error);
}

nb_status nb_gguf_add_string(nb_gguf_writer *w, const char *key, const char *value, nb_error *error)
{
    buffer *b = entry_begin(w, nb_string_of(key), NB_GGUF_STRING);
    if (b)
        put_string(b, nb_string_of(value));
    return entry_end(w, b, error);
}

static buffer *array_begin(nb_gguf_writer *w, nb_string key, nb_gguf_type element_type, uint64_t count)
{
    buffer *b = entry_begin(w, key, NB_GGUF_ARRAY);
    if (b) {
        put_u32(b, (uint32_t)element_type);
        put_u64(b, count);
    }
    return b;
}

nb_status nb_gguf_add_array(nb_gguf_writer *w, const char *key, nb_gguf_type type, const void *values,
                            size_t n, nb_error *error)
{
    size_t n_bytes;
    assert(nb_gguf_type_size(type) > 0);
    buffer *b = array_begin(w, nb_string_of(key), type, n);
    if (b && nb_mul_size(n, nb_gguf_type_size(type), &n_bytes))
        put(b, values, n_bytes);
    else if (b)
        b->failed = true;
    return entry_end(w, b, error);
}

nb_status nb_gguf_add_f32_array(nb_gguf_writer *w, const char *key, const float *values, size_t n,
                                nb_error *error)
{
    return nb_gguf_add_array(w, key, NB_GGUF_F32, values, n, error);
}

nb_status nb_gguf_add_i32_array(nb_gguf_writer *w, const char *key, const int32_t *values, size_t n,
                                nb_error *error)
{
    return nb_gguf_add_array(w, key, NB_GGUF_I32, values, n, error);
}

nb_status nb_gguf_add_string_array(nb_gguf_writer *w, const char *key, const nb_string *values, size_t n,
                                   nb_error *error)
{
    buffer *b = array_begin(w, nb_string_of(key), NB_GGUF_STRING, n);
    for (size_t i = 0; b && i < n; i++)
        put_string(b, values[i]);
    return entry_end(w, b, error);
}

nb_status nb_gguf_add_value(nb_gguf_writer *w, const nb_gguf_value *value, nb_error *error)
{
    if (memchr(value->key.text, '\0', value->key.n_bytes))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: a key with a zero byte in it cannot be written", w->path);
    buffer *b;
    if (value->type == NB_GGUF_ARRAY) {
        b = array_begin(w, value->key, value->element_type, value->count);
    } else {
        b = entry_begin(w, value->key, value->type);
        if (b && value->type == NB_GGUF_STRING)
            put_u64(b, value->n_bytes);
    }
    if (b)
        put(b, value->data, value->n_bytes);
    return entry_end(w, b, error);
}

/* ---- tensors ---- */

static nb_status tensor_size(const nb_gguf_writer *w, pending_tensor *t, nb_error *error)
{
    uint32_t block_elems, block_bytes;
    uint64_t n_elements = 1;
    bool fits = true;
    for (uint32_t i = 0; i < t->n_dims; i++)
        fits = fits && !__builtin_mul_overflow(n_elements, t->dims[i], &n_elements);
    if (!nb_ggml_type_size(t->type, &block_elems, &block_bytes) || t->dims[0] % block_elems != 0)
        return nb_fail(error, NB_ERR_ARGUMENT,
                       "%s: %s cannot be stored as %s with rows of %" PRIu64 " numbers", w->path, t->name,
                       nb_ggml_type_name(t->type), t->dims[0]);
    if (!fits || __builtin_mul_overflow(n_elements / block_elems, (uint64_t)block_bytes, &t->n_bytes))
        return nb_fail(error, NB_ERR_ARGUMENT, "%s: %s is larger than any file", w->path, t->name);
    return NB_OK;
}

nb_status nb_gguf_add_tensor(nb_gguf_writer *w, const char *name, uint32_t n_dims, const uint64_t *dims,
                             uint32_t type, nb_error *error)
{
    assert(!w->header_written && n_dims >= 1 && n_dims <= MAX_DIMS);
    char *copy = nb_strdup(name);
    if (!copy || !reserve((void **)&w->tensors, w->n_tensors, &w->tensors_capacity, sizeof *w->tensors)) {
        free(copy);
        return no_memory(w, error);
    }
    pending_tensor *t = &w->tensors[w->n_tensors];
    *t = (pending_tensor){.name = copy, .n_dims = n_dims, .type = type};
    memcpy(t->dims, dims, n_dims * sizeof *dims);
    nb_status status = tensor_size(w, t, error);
    if (status == NB_OK)
        w->n_tensors++;
    else
        free(copy);
    return status;
}

/* A file copied key by key may bring an alignment of its own. */
static void find_alignment(nb_gguf_writer *w)
{
    for (size_t i = 0; i < w->n_entries; i++) {
        const entry *e = &w->entries[i];
        uint32_t type, value;
        size_t at = sizeof(uint64_t) + strlen(e->key);
        if (strcmp(e->key, "general.alignment") != 0 || e->bytes.size != at + sizeof type + sizeof value)
            continue;
        memcpy(&type, e->bytes.data + at, sizeof type);
        memcpy(&value, e->bytes.data + at + sizeof type, sizeof value);
        if (type == NB_GGUF_U32 && value >= 8 && (value & (value - 1)) == 0)
            w->alignment = value;
    }
}

static nb_status pad(nb_gguf_writer *w, nb_error *error)
{
    static const uint8_t zeros[64];
    uint64_t n = (w->alignment - nb_writer_offset(w->file) % w->alignment) % w->alignment;
    nb_status status = NB_OK;
    while (n > 0 && status == NB_OK) {
        size_t piece = nb_min_size((size_t)n, sizeof zeros);
        status = nb_writer_write(w->file, zeros, piece, error);
        n -= piece;
    }
    return status;
}

static void put_tensor_infos(const nb_gguf_writer *w, buffer *b)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const pending_tensor *t = &w->tensors[i];
        put_string(b, nb_string_of(t->name));
        put_u32(b, t->n_dims);
        put(b, t->dims, t->n_dims * sizeof *t->dims);
        put_u32(b, t->type);
        put_u64(b, offset);
        offset += (t->n_bytes + w->alignment - 1) / w->alignment * w->alignment;
    }
}

static nb_status write_header(nb_gguf_writer *w, nb_error *error)
{
    w->header_written = true;
    find_alignment(w);
    buffer b = {0};
    put(&b, "GGUF", 4);
    put_u32(&b, VERSION);
    put_u64(&b, w->n_tensors);
    put_u64(&b, w->n_entries);
    for (size_t i = 0; i < w->n_entries; i++)
        put(&b, w->entries[i].bytes.data, w->entries[i].bytes.size);
    put_tensor_infos(w, &b);
    nb_status status = b.failed ? no_memory(w, error) : nb_writer_write(w->file, b.data, b.size, error);
    free(b.data);
    return status == NB_OK ? pad(w, error) : status;
}

nb_status nb_gguf_write_data(nb_gguf_writer *w, const void *data, size_t n_bytes, nb_error *error)
{
    const uint8_t *bytes = data;
    nb_status status = w->header_written ? NB_OK : write_header(w, error);
    while (status == NB_OK && n_bytes > 0) {
        if (w->current == w->n_tensors)
            return nb_fail(error, NB_ERR_STATE, "%s: %zu bytes more than its tensors hold", w->path, n_bytes);
        const pending_tensor *t = &w->tensors[w->current];
        size_t piece = (size_t)(t->n_bytes - w->written < n_bytes ? t->n_bytes - w->written : n_bytes);
        status = nb_writer_write(w->file, bytes, piece, error);
        bytes += piece;
        n_bytes -= piece;
        w->written += piece;
        if (status == NB_OK && w->written == t->n_bytes) {
            w->current++;
            w->written = 0;
            status = pad(w, error);
        }
    }
    return status;
}

nb_status nb_gguf_writer_commit(nb_gguf_writer **writer, nb_error *error)
{
    nb_gguf_writer *w = *writer;
    nb_status status = w->header_written ? NB_OK : write_header(w, error);
    while (w->current < w->n_tensors && w->tensors[w->current].n_bytes == 0)
        w->current++;
    if (status == NB_OK && w->current < w->n_tensors)
        status = nb_fail(error, NB_ERR_STATE, "%s: the numbers of %s are missing", w->path,
                         w->tensors[w->current].name);
    if (status == NB_OK)
        status = nb_writer_commit(&w->file, error);
    nb_gguf_writer_abort(writer);
    return status;
}
