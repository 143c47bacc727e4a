/* Reading GGUF. The file is mapped; what is built here are views into it, so the one thing to get right is
 * that no length is used before it has been compared with what is left of the file. */
#include "files/gguf.h"

#include "base/memory.h"
#include "files/gguf_parts.h"
#include "files/name_index.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    MIN_VALUE_BYTES = 8 + 4 + 1,
    MIN_TENSOR_BYTES = 8 + 4 + 4 + 8,
    MIN_ARRAY_BYTES = 4 + 8,
    MAX_DIMS = 4,
    DEFAULT_ALIGNMENT = 32,
};

/* A position in the file. After the first failure `status` is set and every read gives zeros. */
typedef struct cursor {
    const nb_gguf *gguf;
    uint64_t offset;
    nb_status status;
    nb_error *error;
} cursor;

static uint64_t left(const cursor *c)
{
    return c->gguf->size - c->offset;
}

static const uint8_t *take(cursor *c, uint64_t n, const char *what)
{
    if (c->status != NB_OK)
        return NULL;
    if (n > left(c)) {
        c->status = nb_fail(c->error, NB_ERR_FILE,
                            "%s: at byte %" PRIu64 ", %s needs %" PRIu64 " bytes but only %" PRIu64
                            " are left; the file is cut short or damaged, fetch it again",
                            c->gguf->path, c->offset, what, n, left(c));
        return NULL;
    }
    const uint8_t *data = c->gguf->data + c->offset;
    c->offset += n;
    return data;
}

static uint32_t take_u32(cursor *c, const char *what)
{
    uint32_t value = 0;
    const uint8_t *data = take(c, sizeof value, what);
    if (data)
        memcpy(&value, data, sizeof value);
    return value;
}

static uint64_t take_u64(cursor *c, const char *what)
{
    uint64_t value = 0;
    const uint8_t *data = take(c, sizeof value, what);
    if (data)
        memcpy(&value, data, sizeof value);
    return value;
}

static nb_string take_string(cursor *c, const char *what)
{
    uint64_t n_bytes = take_u64(c, what);
    const uint8_t *data = take(c, n_bytes, what);
    return data ? (nb_string){(const char *)data, (size_t)n_bytes} : (nb_string){"", 0};
}

static void fail_at(cursor *c, nb_string name, const char *what)
{
    char shown[80];
    if (c->status == NB_OK)
        c->status = nb_fail(c->error, NB_ERR_FILE, "%s: %s %s (before byte %" PRIu64 ")", c->gguf->path,
                            nb_string_show(name, shown, sizeof shown), what, c->offset);
}

static void take_array(cursor *c, nb_gguf_value *value, int depth);

/* Bytes that one element takes at least; 0 for a type that there is not. */
static uint64_t least_element(uint32_t type)
{
    return type == NB_GGUF_STRING  ? sizeof(uint64_t)
           : type == NB_GGUF_ARRAY ? MIN_ARRAY_BYTES
                                   : nb_gguf_type_size(type);
}

static void take_elements(cursor *c, const nb_gguf_value *array, int depth)
{
    if (array->element_type != NB_GGUF_STRING && array->element_type != NB_GGUF_ARRAY) {
        take(c, array->count * nb_gguf_type_size(array->element_type), "an array");
        return;
    }
    for (uint64_t i = 0; i < array->count && c->status == NB_OK; i++) {
        nb_gguf_value inner = {.key = array->key};
        if (array->element_type == NB_GGUF_STRING)
            take_string(c, "a string of an array");
        else
            take_array(c, &inner, depth + 1);
    }
}

static void take_array(cursor *c, nb_gguf_value *value, int depth)
{
    uint32_t element_type = take_u32(c, "an array's type");
    uint64_t count = take_u64(c, "an array's length");
    if (c->status != NB_OK)
        return;
    const uint64_t least = least_element(element_type);
    if (least == 0)
        fail_at(c, value->key, "is an array of a type that GGUF 3 does not have");
    else if (depth == NB_GGUF_MAX_DEPTH)
        fail_at(c, value->key, "is an array of arrays of arrays, more than 8 deep; the file is damaged");
    else if (count > left(c) / least)
        fail_at(c, value->key, "is an array longer than the file; the file is cut short or damaged");
    if (c->status != NB_OK)
        return;
    value->element_type = (nb_gguf_type)element_type;
    value->count = count;
    value->data = c->gguf->data + c->offset;
    const uint64_t start = c->offset;
    take_elements(c, value, depth);
    value->n_bytes = (size_t)(c->offset - start);
}

static void take_value(cursor *c, nb_gguf_value *value)
{
    value->key = take_string(c, "a key");
    uint32_t type = take_u32(c, "a value's type");
    if (c->status != NB_OK)
        return;
    if (type >= NB_GGUF_TYPE_COUNT) {
        fail_at(c, value->key, "has a type that GGUF 3 does not have");
        return;
    }
    value->type = (nb_gguf_type)type;
    value->element_type = value->type;
    value->count = 1;
    if (type == NB_GGUF_ARRAY) {
        take_array(c, value, 0);
    } else if (type == NB_GGUF_STRING) {
        nb_string text = take_string(c, "a string");
        value->data = (const uint8_t *)text.text;
        value->n_bytes = text.n_bytes;
    } else {
        value->n_bytes = nb_gguf_type_size(type);
        value->data = take(c, value->n_bytes, "a value");
    }
    if (c->status == NB_OK && type == NB_GGUF_BOOL && value->data[0] > 1)
        fail_at(c, value->key, "is a truth value that is neither 0 nor 1");
}

/* Bytes that the tensor's data takes; fails on sizes that multiply past 2^63 and rows that are no whole
 * number of blocks. */
static void measure_tensor(cursor *c, nb_gguf_tensor *tensor)
{
    uint64_t n_elements = 1;
    for (uint32_t i = 0; i < tensor->n_dims; i++) {
        if (__builtin_mul_overflow(n_elements, tensor->dims[i], &n_elements) || n_elements > INT64_MAX) {
            fail_at(c, tensor->name, "has more numbers than any file can hold");
            return;
        }
    }
    uint32_t block_elems, block_bytes;
    if (!nb_ggml_type_size(tensor->type, &block_elems, &block_bytes))
        return;
    if (tensor->dims[0] % block_elems != 0)
        fail_at(c, tensor->name, "has rows that are no whole number of its type's blocks");
    if (__builtin_mul_overflow(n_elements / block_elems, (uint64_t)block_bytes, &tensor->n_bytes))
        fail_at(c, tensor->name, "has more bytes than any file can hold");
}

static void take_tensor(cursor *c, nb_gguf_tensor *tensor)
{
    tensor->name = take_string(c, "a tensor's name");
    tensor->n_dims = take_u32(c, "a tensor's number of dimensions");
    if (tensor->n_dims > MAX_DIMS)
        fail_at(c, tensor->name, "has more than 4 dimensions");
    if (c->status != NB_OK)
        return;
    for (uint32_t i = 0; i < MAX_DIMS; i++)
        tensor->dims[i] = i < tensor->n_dims ? take_u64(c, "a tensor's shape") : 1;
    tensor->type = take_u32(c, "a tensor's type");
    tensor->offset = take_u64(c, "a tensor's place");
    if (c->status == NB_OK)
        measure_tensor(c, tensor);
}

static void take_header(cursor *c, nb_gguf *gguf)
{
    take(c, 4, "the magic");
    gguf->version = take_u32(c, "the version");
    if (c->status != NB_OK)
        return;
    if (gguf->version == 0x03000000 || gguf->version == 0x02000000) {
        c->status = nb_fail(
            c->error, NB_ERR_UNSUPPORTED,
            "%s: a big-endian GGUF: every number in it has its bytes the other way round. nibble reads the "
            "little-endian kind; gguf-py's gguf_convert_endian.py MODEL little makes one of it",
            gguf->path);
        return;
    }
    if (gguf->version != 2 && gguf->version != 3) {
        c->status =
            nb_fail(c->error, NB_ERR_UNSUPPORTED,
                    "%s: GGUF version %" PRIu32 "; nibble reads versions 2 and 3, so convert the model again",
                    gguf->path, gguf->version);
        return;
    }
    gguf->n_tensors = take_u64(c, "the number of tensors");
    gguf->n_values = take_u64(c, "the number of keys");
    if (c->status == NB_OK &&
        (gguf->n_values > left(c) / MIN_VALUE_BYTES || gguf->n_tensors > left(c) / MIN_TENSOR_BYTES))
        c->status =
            nb_fail(c->error, NB_ERR_FILE,
                    "%s: claims %" PRIu64 " keys and %" PRIu64 " tensors, which its %zu bytes cannot hold; "
                    "the file is cut short or damaged",
                    gguf->path, gguf->n_values, gguf->n_tensors, gguf->size);
}

static void take_values(cursor *c, nb_gguf *gguf)
{
    for (uint64_t i = 0; i < gguf->n_values && c->status == NB_OK; i++) {
        take_value(c, &gguf->values[i]);
        if (c->status == NB_OK && !nb_name_index_add(gguf->keys, gguf->values[i].key, (size_t)i))
            fail_at(c, gguf->values[i].key, "is there twice");
    }
    gguf->files[0].alignment = DEFAULT_ALIGNMENT;
    const nb_gguf_value *value = c->status == NB_OK ? nb_gguf_find(gguf, "general.alignment") : NULL;
    if (!value)
        return;
    /* A multiple of 8, says the specification; a power of two, says ggml's reader. */
    uint64_t alignment;
    if (value->type != NB_GGUF_U32 || !nb_gguf_u64(gguf, "general.alignment", &alignment) || alignment < 8 ||
        (alignment & (alignment - 1)) != 0)
        fail_at(c, value->key, "is not a 32-bit power of two of at least 8");
    else
        gguf->files[0].alignment = alignment;
}

/* Turns offsets in the data section into offsets in the file, once they are known to lie inside it. */
static void place_tensors(cursor *c, nb_gguf *gguf)
{
    nb_gguf_file *file = &gguf->files[0];
    file->data_offset = nb_round_up((size_t)c->offset, (size_t)file->alignment);
    if (gguf->n_tensors > 0 && file->data_offset > gguf->size) {
        fail_at(c, gguf->tensors[0].name,
                "and all other tensors are missing: the file is cut short before its data");
        return;
    }
    const uint64_t room = gguf->n_tensors > 0 ? gguf->size - file->data_offset : 0;
    for (uint64_t i = 0; i < gguf->n_tensors && c->status == NB_OK; i++) {
        nb_gguf_tensor *tensor = &gguf->tensors[i];
        char shown[80];
        if (tensor->offset % file->alignment != 0)
            fail_at(c, tensor->name, "does not start at a multiple of the file's alignment");
        else if (tensor->offset > room || tensor->n_bytes > room - tensor->offset)
            c->status = nb_fail(c->error, NB_ERR_FILE,
                                "%s: the numbers of %s (%" PRIu64 " bytes, %" PRIu64
                                " into the data) reach beyond the "
                                "end of the file; it is cut short, fetch it again",
                                gguf->path, nb_string_show(tensor->name, shown, sizeof shown),
                                tensor->n_bytes, tensor->offset);
        else
            tensor->offset += file->data_offset;
    }
}

static void take_tensors(cursor *c, nb_gguf *gguf)
{
    for (uint64_t i = 0; i < gguf->n_tensors && c->status == NB_OK; i++) {
        take_tensor(c, &gguf->tensors[i]);
        if (c->status == NB_OK && !nb_name_index_add(gguf->names, gguf->tensors[i].name, (size_t)i))
            fail_at(c, gguf->tensors[i].name, "is there twice");
    }
}

static nb_status parse(nb_gguf *gguf, nb_error *error)
{
    cursor c = {gguf, 0, NB_OK, error};
    nb_gguf_file *file = &gguf->files[0];
    if (!nb_gguf_probe(gguf->data, gguf->size))
        return nb_fail(error, NB_ERR_FILE, "%s: not a GGUF file: it does not start with \"GGUF\"",
                       gguf->path);
    take_header(&c, gguf);
    if (c.status != NB_OK)
        return c.status;
    gguf->values = nb_calloc((size_t)gguf->n_values + 1, sizeof *gguf->values);
    gguf->tensors = nb_calloc((size_t)gguf->n_tensors + 1, sizeof *gguf->tensors);
    gguf->keys = nb_name_index_create((size_t)gguf->n_values);
    gguf->names = nb_name_index_create((size_t)gguf->n_tensors);
    if (!gguf->values || !gguf->tensors || !gguf->keys || !gguf->names)
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory for its table of contents", gguf->path);
    file->size = gguf->size;
    file->n_values = gguf->n_values;
    file->n_tensors = gguf->n_tensors;
    file->keys_offset = c.offset;
    take_values(&c, gguf);
    file->infos_offset = c.offset;
    take_tensors(&c, gguf);
    file->infos_end = c.offset;
    if (c.status == NB_OK)
        place_tensors(&c, gguf);
    return c.status == NB_OK ? nb_gguf_check_overlaps(gguf, error) : c.status;
}

bool nb_gguf_probe(const uint8_t *data, size_t size)
{
    return size >= 4 && memcmp(data, "GGUF", 4) == 0;
}

static nb_status open_view(const void *data, size_t size, const char *name, const nb_mapping *mapping,
                           nb_gguf **out, nb_error *error)
{
    *out = NULL;
    nb_gguf *gguf = nb_calloc(1, sizeof *gguf);
    if (gguf) {
        gguf->path = nb_strdup(name);
        gguf->files = nb_calloc(1, sizeof *gguf->files);
        gguf->n_files = gguf->files != NULL;
    }
    if (gguf && gguf->files)
        gguf->files[0].path = nb_strdup(name);
    if (!gguf || !gguf->path || !gguf->files || !gguf->files[0].path) {
        nb_gguf_close(&gguf);
        return nb_fail(error, NB_ERR_MEMORY, "%s: no memory to open it", name);
    }
    gguf->data = data;
    gguf->size = size;
    nb_status status = parse(gguf, error);
    /* What was read may be zeros in place of a file that was cut while it was read. */
    if (status == NB_OK && mapping)
        status = nb_mapping_check(mapping, error);
    if (status == NB_OK)
        *out = gguf;
    else
        nb_gguf_close(&gguf);
    return status;
}

nb_status nb_gguf_open_memory(const void *data, size_t size, const char *name, nb_gguf **out, nb_error *error)
{
    return open_view(data, size, name, NULL, out, error);
}

nb_status nb_gguf_open_part(const nb_mapping *mapping, size_t begin, size_t size, const char *path,
                            nb_gguf **out, nb_error *error)
{
    return open_view(mapping->data + begin, size, path, mapping, out, error);
}

nb_status nb_gguf_open(const char *path, nb_gguf **out, nb_error *error)
{
    *out = NULL;
    nb_mapping *mapping;
    nb_gguf *gguf;
    nb_status status = nb_mapping_open(path, &mapping, error);
    if (status != NB_OK)
        return status;
    status = nb_gguf_open_part(mapping, 0, mapping->size, path, &gguf, error);
    if (status != NB_OK) {
        nb_mapping_close(&mapping);
        return status;
    }
    gguf->mapping = mapping;
    if (nb_gguf_is_split(gguf)) {
        status = nb_gguf_open_split(gguf, out, error);
        nb_gguf_close(&gguf);
        return status;
    }
    *out = gguf;
    return NB_OK;
}

void nb_gguf_close(nb_gguf **gguf)
{
    nb_gguf *g = *gguf;
    if (!g)
        return;
    nb_name_index_destroy(&g->keys);
    nb_name_index_destroy(&g->names);
    free(g->values);
    free(g->tensors);
    for (size_t i = 0; i < g->n_files; i++)
        free(g->files[i].path);
    free(g->files);
    free(g->path);
    if (g->mapping)
        nb_mapping_close(&g->mapping);
    free(g);
    *gguf = NULL;
}
