/* What stands in a GGUF: finding it, and reading it as the number or text that the caller wants. */
#include "base/memory.h"
#include "files/gguf.h"
#include "files/name_index.h"

#include <math.h>

typedef struct ggml_type {
    const char *name;
    uint32_t block_elems, block_bytes;
} ggml_type;

/* By ggml's type id; ids without a name were taken out of ggml. Source: ggml.h and ggml-common.h in the ggml
 * repository. */
static const ggml_type ggml_types[] = {
    [0] = {"F32", 1, 4},         [1] = {"F16", 1, 2},         [2] = {"Q4_0", 32, 18},
    [3] = {"Q4_1", 32, 20},      [6] = {"Q5_0", 32, 22},      [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},      [9] = {"Q8_1", 32, 36},      [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},   [12] = {"Q4_K", 256, 144},   [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},   [15] = {"Q8_K", 256, 292},   [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},  [18] = {"IQ3_XXS", 256, 98}, [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},   [21] = {"IQ3_S", 256, 110},  [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136}, [24] = {"I8", 1, 1},         [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},        [27] = {"I64", 1, 8},        [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},   [30] = {"BF16", 1, 2},       [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},   [39] = {"MXFP4", 32, 17},    [40] = {"NVFP4", 64, 36},
    [41] = {"Q1_0", 128, 18},    [42] = {"Q2_0", 64, 18},
};

static const ggml_type *ggml_type_find(uint32_t type)
{
    if (type >= sizeof ggml_types / sizeof ggml_types[0] || !ggml_types[type].name)
        return NULL;
    return &ggml_types[type];
}

const char *nb_ggml_type_name(uint32_t type)
{
    const ggml_type *found = ggml_type_find(type);
    return found ? found->name : "unknown";
}

bool nb_ggml_type_size(uint32_t type, uint32_t *block_elems, uint32_t *block_bytes)
{
    const ggml_type *found = ggml_type_find(type);
    if (!found)
        return false;
    *block_elems = found->block_elems;
    *block_bytes = found->block_bytes;
    return true;
}

/* Source: enum llama_ftype in llama.cpp's llama.h. */
const char *nb_gguf_file_type_name(uint64_t file_type)
{
    static const char *const names[] = {
        [0] = "F32",      [1] = "F16",      [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",
        [8] = "Q5_0",     [9] = "Q5_1",     [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",
        [13] = "Q3_K_L",  [14] = "Q4_K_S",  [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",
        [18] = "Q6_K",    [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS",
        [23] = "IQ3_XXS", [24] = "IQ1_S",   [25] = "IQ4_NL", [26] = "IQ3_S",  [27] = "IQ3_M",
        [28] = "IQ2_S",   [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",  [32] = "BF16",
        [36] = "TQ1_0",   [37] = "TQ2_0",   [38] = "MXFP4",
    };
    return file_type < sizeof names / sizeof names[0] ? names[file_type] : NULL;
}

/* Where there are several mixtures of a type, the middle one, which is what llama.cpp guesses too. */
bool nb_gguf_file_type_of(uint32_t type, uint32_t *file_type)
{
    static const struct {
        uint8_t type, file_type;
    } known[] = {{0, 0},   {1, 1},   {2, 2},   {3, 3},   {6, 8},   {7, 9},   {8, 7},   {10, 10}, {11, 12},
                 {12, 15}, {13, 17}, {14, 18}, {20, 25}, {23, 30}, {30, 32}, {34, 36}, {35, 37}, {39, 38}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].type == type) {
            *file_type = known[i].file_type;
            return true;
        }
    }
    return false;
}

const char *nb_gguf_type_name(nb_gguf_type type)
{
    static const char *const names[NB_GGUF_TYPE_COUNT] = {
        [NB_GGUF_U8] = "u8",       [NB_GGUF_I8] = "i8",     [NB_GGUF_U16] = "u16",
        [NB_GGUF_I16] = "i16",     [NB_GGUF_U32] = "u32",   [NB_GGUF_I32] = "i32",
        [NB_GGUF_F32] = "f32",     [NB_GGUF_BOOL] = "bool", [NB_GGUF_STRING] = "string",
        [NB_GGUF_ARRAY] = "array", [NB_GGUF_U64] = "u64",   [NB_GGUF_I64] = "i64",
        [NB_GGUF_F64] = "f64",
    };
    return (unsigned)type < NB_GGUF_TYPE_COUNT ? names[type] : "unknown";
}

size_t nb_gguf_type_size(uint32_t type)
{
    static const uint8_t sizes[NB_GGUF_TYPE_COUNT] = {
        [NB_GGUF_U8] = 1,  [NB_GGUF_I8] = 1,  [NB_GGUF_U16] = 2, [NB_GGUF_I16] = 2,
        [NB_GGUF_U32] = 4, [NB_GGUF_I32] = 4, [NB_GGUF_F32] = 4, [NB_GGUF_BOOL] = 1,
        [NB_GGUF_U64] = 8, [NB_GGUF_I64] = 8, [NB_GGUF_F64] = 8,
    };
    return type < NB_GGUF_TYPE_COUNT ? sizes[type] : 0;
}

char *nb_string_show(nb_string string, char *text, size_t size)
{
    size_t n = nb_min_size(string.n_bytes, size - 1);
    for (size_t i = 0; i < n; i++)
        text[i] = string.text[i] >= ' ' && string.text[i] <= '~' ? string.text[i] : '?';
    text[n] = '\0';
    return text;
}

const nb_gguf_value *nb_gguf_find(const nb_gguf *gguf, const char *key)
{
    size_t i;
    return nb_name_index_find(gguf->keys, nb_string_of(key), &i) ? &gguf->values[i] : NULL;
}

const nb_gguf_tensor *nb_gguf_find_tensor(const nb_gguf *gguf, const char *name)
{
    size_t i;
    return nb_name_index_find(gguf->names, nb_string_of(name), &i) ? &gguf->tensors[i] : NULL;
}

/* A number as it stands in the file: one of three, so that nothing is lost on the way. */
typedef struct number {
    enum { UNSIGNED, SIGNED, REAL } kind;
    uint64_t u;
    int64_t i;
    double f;
} number;

static bool set_unsigned(number *n, uint64_t value)
{
    *n = (number){.kind = UNSIGNED, .u = value};
    return true;
}

static bool set_signed(number *n, int64_t value)
{
    *n = (number){.kind = SIGNED, .i = value};
    return true;
}

static bool set_real(number *n, double value)
{
    *n = (number){.kind = REAL, .f = value};
    return true;
}

static bool read_number(nb_gguf_type type, const uint8_t *data, number *out)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } raw;
    memcpy(&raw, data, nb_gguf_type_size(type));
    switch (type) {
    case NB_GGUF_U8:
        return set_unsigned(out, raw.u8);
    case NB_GGUF_U16:
        return set_unsigned(out, raw.u16);
    case NB_GGUF_U32:
        return set_unsigned(out, raw.u32);
    case NB_GGUF_U64:
        return set_unsigned(out, raw.u64);
    case NB_GGUF_I8:
        return set_signed(out, raw.i8);
    case NB_GGUF_I16:
        return set_signed(out, raw.i16);
    case NB_GGUF_I32:
        return set_signed(out, raw.i32);
    case NB_GGUF_I64:
        return set_signed(out, raw.i64);
    case NB_GGUF_F32:
        return set_real(out, (double)raw.f32);
    case NB_GGUF_F64:
        return set_real(out, raw.f64);
    default:
        return false;
    }
}

static bool number_u64(const number *n, uint64_t *out)
{
    switch (n->kind) {
    case UNSIGNED:
        *out = n->u;
        return true;
    case SIGNED:
        *out = (uint64_t)n->i;
        return n->i >= 0;
    case REAL:
        break;
    }
    /* 2^64 itself is a double; everything below it fits. NaN fails the first comparison. */
    if (!(n->f >= 0 && n->f < 18446744073709551616.0) || n->f != floor(n->f))
        return false;
    *out = (uint64_t)n->f;
    return true;
}

static bool number_i64(const number *n, int64_t *out)
{
    switch (n->kind) {
    case UNSIGNED:
        *out = (int64_t)n->u;
        return n->u <= INT64_MAX;
    case SIGNED:
        *out = n->i;
        return true;
    case REAL:
        break;
    }
    if (!(n->f >= -9223372036854775808.0 && n->f < 9223372036854775808.0) || n->f != floor(n->f))
        return false;
    *out = (int64_t)n->f;
    return true;
}

static double number_f64(const number *n)
{
    return n->kind == UNSIGNED ? (double)n->u : n->kind == SIGNED ? (double)n->i : n->f;
}

static bool value_number(const nb_gguf_value *value, number *out)
{
    return value && read_number(value->type, value->data, out);
}

bool nb_gguf_value_u64(const nb_gguf_value *value, uint64_t *out)
{
    number n;
    return value_number(value, &n) && number_u64(&n, out);
}

bool nb_gguf_value_i64(const nb_gguf_value *value, int64_t *out)
{
    number n;
    return value_number(value, &n) && number_i64(&n, out);
}

bool nb_gguf_value_f64(const nb_gguf_value *value, double *out)
{
    number n;
    if (!value_number(value, &n))
        return false;
    *out = number_f64(&n);
    return true;
}

bool nb_gguf_u64(const nb_gguf *gguf, const char *key, uint64_t *out)
{
    return nb_gguf_value_u64(nb_gguf_find(gguf, key), out);
}

bool nb_gguf_f64(const nb_gguf *gguf, const char *key, double *out)
{
    return nb_gguf_value_f64(nb_gguf_find(gguf, key), out);
}

bool nb_gguf_bool(const nb_gguf *gguf, const char *key, bool *out)
{
    const nb_gguf_value *value = nb_gguf_find(gguf, key);
    if (!value || value->type != NB_GGUF_BOOL)
        return false;
    *out = value->data[0] != 0;
    return true;
}

bool nb_gguf_string(const nb_gguf *gguf, const char *key, nb_string *out)
{
    const nb_gguf_value *value = nb_gguf_find(gguf, key);
    if (!value || value->type != NB_GGUF_STRING)
        return false;
    *out = (nb_string){(const char *)value->data, value->n_bytes};
    return true;
}

static bool element(const nb_gguf_value *array, uint64_t index, number *out)
{
    const size_t size = nb_gguf_type_size(array->element_type);
    if (array->type != NB_GGUF_ARRAY || index >= array->count || size == 0)
        return false;
    return read_number(array->element_type, array->data + (size_t)index * size, out);
}

bool nb_gguf_array_u64(const nb_gguf_value *array, uint64_t index, uint64_t *out)
{
    number n;
    return element(array, index, &n) && number_u64(&n, out);
}

bool nb_gguf_array_i64(const nb_gguf_value *array, uint64_t index, int64_t *out)
{
    number n;
    return element(array, index, &n) && number_i64(&n, out);
}

bool nb_gguf_array_f64(const nb_gguf_value *array, uint64_t index, double *out)
{
    number n;
    if (!element(array, index, &n))
        return false;
    *out = number_f64(&n);
    return true;
}

bool nb_gguf_array_strings(const nb_gguf_value *array, nb_string *out)
{
    if (array->type != NB_GGUF_ARRAY || array->element_type != NB_GGUF_STRING)
        return false;
    /* The lengths were checked at opening, but the file under the mapping may have changed since. */
    size_t offset = 0;
    for (uint64_t i = 0; i < array->count; i++) {
        uint64_t n_bytes;
        if (array->n_bytes - offset < sizeof n_bytes)
            return false;
        memcpy(&n_bytes, array->data + offset, sizeof n_bytes);
        offset += sizeof n_bytes;
        if (n_bytes > array->n_bytes - offset)
            return false;
        out[i] = (nb_string){(const char *)array->data + offset, (size_t)n_bytes};
        offset += (size_t)n_bytes;
    }
    return true;
}

/* ---- walking an array ---- */

/* What is left of an array of arrays or strings. Its lengths were checked at opening, but the file under the
 * mapping may have changed since. */
typedef struct walk {
    const uint8_t *data;
    size_t left;
} walk;

static bool take(walk *w, void *out, size_t size)
{
    if (w->left < size)
        return false;
    memcpy(out, w->data, size);
    w->data += size;
    w->left -= size;
    return true;
}

/* Moves past one element of the type. */
static bool skip(walk *w, uint32_t type, int depth)
{
    uint64_t n = nb_gguf_type_size(type);
    const bool is_number = n > 0;
    uint32_t inner = 0;
    if (!is_number && !(type == NB_GGUF_STRING || (type == NB_GGUF_ARRAY && depth > 0)))
        return false;
    if (type == NB_GGUF_ARRAY && !take(w, &inner, sizeof inner))
        return false;
    if (!is_number && !take(w, &n, sizeof n))
        return false;
    if (type == NB_GGUF_ARRAY) {
        const size_t size = nb_gguf_type_size(inner);
        for (uint64_t i = 0; size == 0 && i < n; i++)
            if (!skip(w, inner, depth - 1))
                return false;
        if (__builtin_mul_overflow(n, (uint64_t)size, &n))
            return false;
    }
    if (n > w->left)
        return false;
    w->data += n;
    w->left -= (size_t)n;
    return true;
}

bool nb_gguf_array_next(const nb_gguf_value *array, size_t *at, nb_gguf_value *element)
{
    if (array->type != NB_GGUF_ARRAY || *at >= array->n_bytes)
        return false;
    walk w = {array->data + *at, array->n_bytes - *at};
    *element = (nb_gguf_value){.type = array->element_type, .element_type = array->element_type, .count = 1};
    element->data = w.data;
    if (!skip(&w, array->element_type, NB_GGUF_MAX_DEPTH))
        return false;
    const size_t head = array->element_type == NB_GGUF_STRING  ? sizeof(uint64_t)
                        : array->element_type == NB_GGUF_ARRAY ? sizeof(uint32_t) + sizeof(uint64_t)
                                                               : 0;
    if (array->element_type == NB_GGUF_ARRAY) {
        uint32_t inner;
        memcpy(&inner, element->data, sizeof inner);
        memcpy(&element->count, element->data + sizeof inner, sizeof element->count);
        element->element_type = (nb_gguf_type)inner;
    }
    element->data += head;
    element->n_bytes = (size_t)(w.data - element->data);
    *at = (size_t)(w.data - array->data);
    return true;
}
