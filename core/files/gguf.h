/* GGUF, versions 2 and 3, little-endian: the file format of llama.cpp, in one file or split into several.
 * Every length in a file is checked against what is left of the file before it is used. Source: the GGUF
 * specification in the ggml repository, docs/gguf.md. */
#ifndef NB_FILES_GGUF_H
#define NB_FILES_GGUF_H

#include "base/file.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum nb_gguf_type {
    NB_GGUF_U8,
    NB_GGUF_I8,
    NB_GGUF_U16,
    NB_GGUF_I16,
    NB_GGUF_U32,
    NB_GGUF_I32,
    NB_GGUF_F32,
    NB_GGUF_BOOL,
    NB_GGUF_STRING,
    NB_GGUF_ARRAY,
    NB_GGUF_U64,
    NB_GGUF_I64,
    NB_GGUF_F64,
    NB_GGUF_TYPE_COUNT,
} nb_gguf_type;

enum { NB_GGUF_MAX_DEPTH = 8 }; /* of arrays in arrays */

typedef struct nb_gguf_value {
    nb_string key;
    nb_gguf_type type;
    nb_gguf_type element_type; /* ARRAY */
    uint64_t count;            /* ARRAY: elements; else 1 */
    const uint8_t *data;       /* the value's or the first element's bytes, unaligned. STRING: its text; an
                                  array's strings each have their u64 length before them, its arrays their
                                  u32 element type and u64 count */
    size_t n_bytes;            /* of them, all elements together */
} nb_gguf_value;

typedef struct nb_gguf_tensor {
    nb_string name;
    uint32_t n_dims;
    uint64_t dims[4]; /* dims[0] is the contiguous one: a [rows, cols] matrix has {cols, rows} */
    uint32_t type;    /* ggml type id */
    uint64_t offset;  /* of its data in the file; in gguf->data, for a split one */
    uint64_t n_bytes; /* 0 for a type whose size this build does not know */
} nb_gguf_tensor;

/* One file of a split model, or the only one. Offsets count from its first byte. */
typedef struct nb_gguf_file {
    char *path;
    uint64_t begin, size; /* its bytes are gguf->data[begin .. begin + size) */
    uint64_t n_values, n_tensors;
    uint64_t first_tensor; /* its tensors are gguf->tensors[first_tensor .. first_tensor + n_tensors) */
    uint64_t keys_offset, infos_offset, infos_end;
    uint64_t alignment, data_offset; /* data_offset is that of the first tensor's earliest place */
} nb_gguf_file;

struct nb_name_index;

typedef struct nb_gguf {
    nb_mapping *mapping; /* NULL if opened from memory */
    const uint8_t *data; /* the whole file; of a split one all files, each from a page of its own */
    size_t size;
    char *path; /* for sentences */
    uint32_t version;
    uint64_t n_values, n_tensors; /* a split model's keys are those of its first file */
    nb_gguf_value *values;
    nb_gguf_tensor *tensors; /* of all files */
    nb_gguf_file *files;
    size_t n_files;
    struct nb_name_index *keys, *names; /* find values and tensors */
} nb_gguf;

/* True if the file starts like one. */
bool nb_gguf_probe(const uint8_t *data, size_t size);
/* Any file of a split model opens all of it: NAME-00002-of-00003.gguf finds the other two beside it. */
nb_status nb_gguf_open(const char *path, nb_gguf **out, nb_error *error);
/* The same over `size` bytes that the caller keeps until nb_gguf_close; `name` is what sentences call them. A
 * file of a split model stays alone. */
nb_status nb_gguf_open_memory(const void *data, size_t size, const char *name, nb_gguf **out,
                              nb_error *error);
void nb_gguf_close(nb_gguf **gguf);

const nb_gguf_value *nb_gguf_find(const nb_gguf *gguf, const char *key);
const nb_gguf_tensor *nb_gguf_find_tensor(const nb_gguf *gguf, const char *name);
/* Any integer or float type is accepted where its value fits. False if absent or of another kind. */
bool nb_gguf_u64(const nb_gguf *gguf, const char *key, uint64_t *out);
bool nb_gguf_f64(const nb_gguf *gguf, const char *key, double *out);
bool nb_gguf_bool(const nb_gguf *gguf, const char *key, bool *out);
bool nb_gguf_string(const nb_gguf *gguf, const char *key, nb_string *out);
/* Elements of an array, converted; false if the index is out of range or the kind does not fit. */
bool nb_gguf_array_u64(const nb_gguf_value *array, uint64_t index, uint64_t *out);
bool nb_gguf_array_i64(const nb_gguf_value *array, uint64_t index, int64_t *out);
bool nb_gguf_array_f64(const nb_gguf_value *array, uint64_t index, double *out);
/* All strings of an array at once: out[count] views. */
bool nb_gguf_array_strings(const nb_gguf_value *array, nb_string *out);
/* A number as it stands in the file, without a key. */
bool nb_gguf_value_u64(const nb_gguf_value *value, uint64_t *out);
bool nb_gguf_value_i64(const nb_gguf_value *value, int64_t *out);
bool nb_gguf_value_f64(const nb_gguf_value *value, double *out);
/* Walks an array of any type: *at begins at 0 and moves past each element, which has no key. False at the
 * end. */
bool nb_gguf_array_next(const nb_gguf_value *array, size_t *at, nb_gguf_value *element);
const char *nb_gguf_type_name(nb_gguf_type type);
/* Bytes of one value; 0 for strings, arrays and numbers that are no nb_gguf_type. */
size_t nb_gguf_type_size(uint32_t type);
/* "F32", "Q4_K", "I8"; "unknown" for ids that this build does not know. */
const char *nb_ggml_type_name(uint32_t type);
/* "Q4_K_M" for a number under general.file_type; NULL for one that this build does not know. */
const char *nb_gguf_file_type_name(uint64_t file_type);
/* What general.file_type says of a file that is mostly of this ggml type; false where llama.cpp has no
 * number. */
bool nb_gguf_file_type_of(uint32_t type, uint32_t *file_type);
/* Elements and bytes of one block of a ggml type; false for ids that this build does not know. */
bool nb_ggml_type_size(uint32_t type, uint32_t *block_elems, uint32_t *block_bytes);

/* A name from a file, fit for a sentence: at most size - 1 bytes, whatever is not printable ASCII as '?'.
 * Returns `text`. */
char *nb_string_show(nb_string string, char *text, size_t size);

/* ---- accounting ---- */

typedef enum nb_gguf_span_kind {
    NB_SPAN_HEADER, /* magic, version, two counts */
    NB_SPAN_KEYS,
    NB_SPAN_INFOS,   /* name, shape, type and place of each tensor */
    NB_SPAN_PADDING, /* up to the next multiple of the alignment */
    NB_SPAN_TENSOR,
    NB_SPAN_UNUSED, /* bytes that nothing in the file speaks of */
} nb_gguf_span_kind;

/* A run of bytes of one file. */
typedef struct nb_gguf_span {
    nb_gguf_span_kind kind;
    size_t file;
    uint64_t offset, n_bytes; /* offset in the file */
    uint64_t tensor; /* TENSOR: which; its bytes are all up to the next span if its type is unknown */
} nb_gguf_span;

/* Every byte of every file, in order, without gaps or overlaps; no span is empty but those of tensors without
 * numbers. *out is allocated; free with free(). */
nb_status nb_gguf_spans(const nb_gguf *gguf, nb_gguf_span **out, size_t *count, nb_error *error);

/* ---- writing: values, then tensor infos, then their data in the same order ---- */

typedef struct nb_gguf_writer nb_gguf_writer;
nb_status nb_gguf_writer_create(const char *path, nb_gguf_writer **out, nb_error *error);
/* Values may be added until the first nb_gguf_write_data. Copies everything. */
nb_status nb_gguf_add_u32(nb_gguf_writer *w, const char *key, uint32_t value, nb_error *error);
nb_status nb_gguf_add_u64(nb_gguf_writer *w, const char *key, uint64_t value, nb_error *error);
nb_status nb_gguf_add_f32(nb_gguf_writer *w, const char *key, float value, nb_error *error);
nb_status nb_gguf_add_bool(nb_gguf_writer *w, const char *key, bool value, nb_error *error);
nb_status nb_gguf_add_string(nb_gguf_writer *w, const char *key, const char *value, nb_error *error);
nb_status nb_gguf_add_f32_array(nb_gguf_writer *w, const char *key, const float *values, size_t n,
                                nb_error *error);
nb_status nb_gguf_add_i32_array(nb_gguf_writer *w, const char *key, const int32_t *values, size_t n,
                                nb_error *error);
/* Numbers of any type: `values` are n * nb_gguf_type_size(type) bytes, one for a plain value. */
nb_status nb_gguf_add_number(nb_gguf_writer *w, const char *key, nb_gguf_type type, const void *value,
                             nb_error *error);
nb_status nb_gguf_add_array(nb_gguf_writer *w, const char *key, nb_gguf_type type, const void *values,
                            size_t n, nb_error *error);
nb_status nb_gguf_add_string_array(nb_gguf_writer *w, const char *key, const nb_string *values, size_t n,
                                   nb_error *error);
/* As it stands in another file (or replaces one of the same key). */
nb_status nb_gguf_add_value(nb_gguf_writer *w, const nb_gguf_value *value, nb_error *error);
nb_status nb_gguf_add_tensor(nb_gguf_writer *w, const char *name, uint32_t n_dims, const uint64_t *dims,
                             uint32_t type, nb_error *error);
/* Data of the tensors, in the order in which they were added, in as many pieces as wanted; padding is
 * the writer's business. */
nb_status nb_gguf_write_data(nb_gguf_writer *w, const void *data, size_t n_bytes, nb_error *error);
/* Checks that all data came, then puts the file in place (nb_writer_commit). Frees the writer. */
nb_status nb_gguf_writer_commit(nb_gguf_writer **w, nb_error *error);
void nb_gguf_writer_abort(nb_gguf_writer **w);

#endif
