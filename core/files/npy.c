/* .npy: "\x93NUMPY", version (2 bytes), length of the header (2 bytes little-endian, from version 2 on 4),
 * the header (a Python dictionary:
 * {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }), the numbers. */
#include "files/npy.h"

#include "base/file.h"
#include "base/memory.h"
#include "formats/format.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char MAGIC[6] = "\x93NUMPY";
enum { ALIGNMENT = 64, MOST_HEADER_BYTES = 1 << 20, STRETCH = 1 << 16 };

/* ---- the header ---- */

typedef struct header {
    char type[16]; /* "<f4" */
    bool has_type, has_order, has_shape;
    bool fortran_order;
    int n_dims;
    size_t dims[NB_ARRAY_MAX_DIMS];
} header;

typedef struct reader {
    const char *at, *end;
    const char *name;
    nb_error *error;
} reader;

static nb_status refuse_header(reader *r, const char *what)
{
    return nb_fail(r->error, NB_ERR_FILE, "%s: the header of this .npy file %s", r->name, what);
}

static void skip_blanks(reader *r)
{
    while (r->at < r->end && isspace((unsigned char)*r->at))
        r->at++;
}

/* The next sign, if it is `sign`. */
static bool accept(reader *r, char sign)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != sign)
        return false;
    r->at++;
    return true;
}

/* A quoted text without escapes, cut to `size`. */
static bool read_text(reader *r, char *text, size_t size)
{
    skip_blanks(r);
    if (r->at == r->end || (*r->at != '\'' && *r->at != '"'))
        return false;
    const char quote = *r->at++, *begin = r->at;
    while (r->at < r->end && *r->at != quote && *r->at != '\\')
        r->at++;
    if (r->at == r->end || *r->at != quote)
        return false;
    snprintf(text, size, "%.*s", (int)(r->at - begin), begin);
    r->at++;
    return true;
}

static bool read_word(reader *r, const char *word)
{
    const size_t n = strlen(word);
    skip_blanks(r);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

/* A length; Python 2 wrote 3L. */
static bool read_length(reader *r, size_t *length)
{
    skip_blanks(r);
    if (r->at == r->end || !isdigit((unsigned char)*r->at))
        return false;
    *length = 0;
    for (; r->at < r->end && isdigit((unsigned char)*r->at); r->at++)
        if (!nb_mul_size(*length, 10, length) || !nb_add_size(*length, (size_t)(*r->at - '0'), length))
            return false;
    accept(r, 'L');
    return true;
}

/* (), (3,), (3, 4) */
static nb_status read_shape(reader *r, header *h)
{
    if (!accept(r, '('))
        return refuse_header(r, "has a shape that is no tuple");
    h->n_dims = 0;
    while (!accept(r, ')')) {
        if (h->n_dims == NB_ARRAY_MAX_DIMS)
            return nb_fail(r->error, NB_ERR_UNSUPPORTED,
                           "%s: more than %d dimensions; reshape it in numpy first", r->name,
                           NB_ARRAY_MAX_DIMS);
        if (!read_length(r, &h->dims[h->n_dims++]))
            return refuse_header(r, "has a shape with something else than lengths in it");
        if (accept(r, ','))
            continue;
        if (!accept(r, ')'))
            return refuse_header(r, "has a shape that does not end");
        break;
    }
    h->has_shape = true;
    return NB_OK;
}

static nb_status read_entry(reader *r, header *h)
{
    char key[32];
    if (!read_text(r, key, sizeof key) || !accept(r, ':'))
        return refuse_header(r, "is no dictionary of descr, fortran_order and shape");
    if (strcmp(key, "descr") == 0) {
        if (!read_text(r, h->type, sizeof h->type))
            return nb_fail(r->error, NB_ERR_UNSUPPORTED,
                           "%s: its elements are records; save one field as an array", r->name);
        h->has_type = true;
        return NB_OK;
    }
    if (strcmp(key, "fortran_order") == 0) {
        h->fortran_order = read_word(r, "True");
        h->has_order = true;
        return h->fortran_order || read_word(r, "False")
                   ? NB_OK
                   : refuse_header(r, "says neither True nor False for fortran_order");
    }
    if (strcmp(key, "shape") == 0)
        return read_shape(r, h);
    return refuse_header(r, "has a key beside descr, fortran_order and shape");
}

static nb_status read_header(reader *r, header *h)
{
    *h = (header){.n_dims = 0};
    if (!accept(r, '{'))
        return refuse_header(r, "is no dictionary");
    while (!accept(r, '}')) {
        nb_status status = read_entry(r, h);
        if (status != NB_OK)
            return status;
        if (!accept(r, ',') && (skip_blanks(r), r->at == r->end || *r->at != '}'))
            return refuse_header(r, "does not end");
    }
    if (!h->has_type || !h->has_order || !h->has_shape)
        return refuse_header(r, "lacks descr, fortran_order or shape");
    return NB_OK;
}

/* ---- the numbers ---- */

typedef enum kind { KIND_BOOL, KIND_INT, KIND_UINT, KIND_FLOAT } kind;

typedef struct element {
    kind kind;
    size_t n_bytes;
    bool big_endian;
} element;

/* "<f4", "|u1", ">i8"; "=" was the writer's own order, which nearly always was little-endian. */
static nb_status read_type(const char *type, const char *name, element *e, nb_error *error)
{
    static const struct {
        const char *code;
        element element;
    } known[] = {
        {"b1", {KIND_BOOL, 1, false}},  {"i1", {KIND_INT, 1, false}},   {"i2", {KIND_INT, 2, false}},
        {"i4", {KIND_INT, 4, false}},   {"i8", {KIND_INT, 8, false}},   {"u1", {KIND_UINT, 1, false}},
        {"u2", {KIND_UINT, 2, false}},  {"u4", {KIND_UINT, 4, false}},  {"u8", {KIND_UINT, 8, false}},
        {"f2", {KIND_FLOAT, 2, false}}, {"f4", {KIND_FLOAT, 4, false}}, {"f8", {KIND_FLOAT, 8, false}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (type[0] == '\0' || !strchr("<>|=", type[0]) || strcmp(type + 1, known[i].code) != 0)
            continue;
        *e = known[i].element;
        e->big_endian = type[0] == '>';
        return NB_OK;
    }
    return nb_fail(error, NB_ERR_UNSUPPORTED,
                   "%s: elements of type '%s'; nibble reads booleans, integers and floats of up to 8 bytes",
                   name, type);
}

static uint64_t read_bits(const uint8_t *p, const element *e)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < e->n_bytes; i++)
        bits |= (uint64_t)p[e->big_endian ? e->n_bytes - 1 - i : i] << 8 * i;
    return bits;
}

/* Rounded once; what is too large is infinite. */
static float read_number(const uint8_t *p, const element *e)
{
    const uint64_t bits = read_bits(p, e);
    if (e->kind == KIND_BOOL)
        return bits != 0;
    if (e->kind == KIND_UINT)
        return (float)bits;
    if (e->kind == KIND_INT) {
        const uint64_t sign = (uint64_t)1 << (8 * e->n_bytes - 1);
        return (float)((int64_t)((bits ^ sign) - sign));
    }
    if (e->n_bytes == 2)
        return nb_f32_from_f16((uint16_t)bits);
    if (e->n_bytes == 4) {
        const uint32_t low = (uint32_t)bits;
        float x;
        memcpy(&x, &low, sizeof x);
        return x;
    }
    double x;
    memcpy(&x, &bits, sizeof x);
    return (float)x;
}

static nb_status read_numbers(nb_array *array, const uint8_t *bytes, const element *e, nb_error *error)
{
    nb_context *context = array->space->context;
    for (size_t begin = 0; begin < array->size; begin += STRETCH) {
        if (atomic_load_explicit(&context->cancel, memory_order_relaxed))
            return nb_context_tick(context, "load_npy", begin, array->size, "numbers", error);
        for (size_t i = begin; i < nb_min_size(begin + STRETCH, array->size); i++) {
            const float x = read_number(bytes + i * e->n_bytes, e);
            array->data[i] = x != x ? NAN : x;
        }
    }
    return NB_OK;
}

/* The columns-first numbers of a Fortran array are the transpose's in C order. */
static nb_status turn(nb_array **array, nb_error *error)
{
    nb_array *turned;
    nb_status status = nb_array_transpose(*array, NULL, &turned, error);
    nb_array_release(array);
    *array = turned;
    return status;
}

static nb_status make_array(nb_array_space *space, const header *h, const element *e, const uint8_t *bytes,
                            nb_array **out, nb_error *error)
{
    size_t dims[NB_ARRAY_MAX_DIMS];
    for (int d = 0; d < h->n_dims; d++)
        dims[d] = h->fortran_order ? h->dims[h->n_dims - 1 - d] : h->dims[d];
    nb_status status = nb_array_create(space, h->n_dims, dims, out, error);
    if (status == NB_OK)
        status = read_numbers(*out, bytes, e, error);
    if (status == NB_OK && h->fortran_order && h->n_dims > 1)
        status = turn(out, error);
    if (status != NB_OK)
        nb_array_release(out);
    return status;
}

/* How many bytes the shape takes; false where they are more than memory has addresses. */
static bool count_bytes(const header *h, const element *e, size_t *n_bytes)
{
    *n_bytes = e->n_bytes;
    for (int d = 0; d < h->n_dims; d++)
        if (h->dims[d] == 0) {
            *n_bytes = 0;
            return true;
        }
    for (int d = 0; d < h->n_dims; d++)
        if (!nb_mul_size(*n_bytes, h->dims[d], n_bytes))
            return false;
    return true;
}

/* Where the header lies; from version 2 on its length has 4 bytes, and 3 only says that it may hold UTF-8. */
static nb_status find_header(const uint8_t *bytes, size_t n_bytes, const char *name, size_t *begin,
                             size_t *length, nb_error *error)
{
    if (n_bytes >= 4 && memcmp(bytes, "PK\3\4", 4) == 0)
        return nb_fail(error, NB_ERR_UNSUPPORTED,
                       "%s is an archive of arrays (.npz); save one of them with numpy.save", name);
    if (n_bytes < 10 || memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return nb_fail(error, NB_ERR_FILE, "%s is no .npy file: it does not start with \\x93NUMPY", name);
    const unsigned version = bytes[6];
    if (version < 1 || version > 3)
        return nb_fail(error, NB_ERR_UNSUPPORTED, "%s: version %u of .npy; nibble reads 1 to 3", name,
                       version);
    *begin = version == 1 ? 10 : 12;
    const element word = {KIND_UINT, version == 1 ? 2 : 4, false};
    if (n_bytes < *begin)
        return nb_fail(error, NB_ERR_FILE, "%s ends inside its header", name);
    *length = (size_t)read_bits(bytes + 8, &word);
    if (*length > MOST_HEADER_BYTES || *length > n_bytes - *begin)
        return nb_fail(error, NB_ERR_FILE, "%s ends inside its header, of %zu bytes by its own account", name,
                       *length);
    return NB_OK;
}

nb_status nb_npy_read(nb_array_space *space, const void *data, size_t n_bytes, const char *name,
                      nb_array **out, nb_error *error)
{
    *out = NULL;
    const uint8_t *bytes = data;
    size_t begin = 0, length = 0, wanted = 0;
    header h;
    element e = {KIND_FLOAT, 4, false};
    nb_status status = find_header(bytes, n_bytes, name, &begin, &length, error);
    if (status != NB_OK)
        return status;
    const char *text = (const char *)bytes + begin;
    reader r = {.at = text, .end = text + length, .name = name, .error = error};
    status = read_header(&r, &h);
    if (status == NB_OK)
        status = read_type(h.type, name, &e, error);
    if (status != NB_OK)
        return status;
    const size_t left = n_bytes - begin - length;
    if (!count_bytes(&h, &e, &wanted) || wanted > left)
        return nb_fail(error, NB_ERR_FILE,
                       "%s is cut short: its shape takes more than the %zu bytes after the header", name,
                       left);
    if (wanted < left)
        return nb_fail(error, NB_ERR_FILE, "%s: %zu bytes follow the %zu that its shape takes", name,
                       left - wanted, wanted);
    return make_array(space, &h, &e, bytes + begin + length, out, error);
}

nb_status nb_npy_load(nb_array_space *space, const char *path, nb_array **out, nb_error *error)
{
    *out = NULL;
    nb_mapping *mapping;
    nb_status status = nb_mapping_open(path, &mapping, error);
    if (status != NB_OK)
        return status;
    status = nb_npy_read(space, mapping->data, mapping->size, path, out, error);
    nb_error lost;
    if (nb_mapping_check(mapping, &lost) != NB_OK) {
        status = nb_fail(error, NB_ERR_IO, "%s", lost.text);
        nb_array_release(out);
    }
    nb_mapping_close(&mapping);
    return status;
}

/* ---- writing ---- */

/* Magic, version, length and header: blanks and a newline up to a multiple of 64. Returns its bytes. */
static size_t write_header(const nb_array *array, char text[256])
{
    char shape[128] = "";
    size_t used = 0;
    for (int d = 0; d < array->n_dims; d++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%zu%s", d ? " " : "", array->dims[d],
                                 d + 1 < array->n_dims || array->n_dims == 1 ? "," : "");
    memcpy(text, MAGIC, sizeof MAGIC);
    text[6] = 1;
    text[7] = 0;
    size_t n = 10 + (size_t)snprintf(text + 10, 246,
                                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    while ((n + 1) % ALIGNMENT != 0)
        text[n++] = ' ';
    text[n++] = '\n';
    text[8] = (char)((n - 10) & 0xff);
    text[9] = (char)((n - 10) >> 8);
    return n;
}

static nb_status write_numbers(const nb_array *array, nb_writer *writer, nb_error *error)
{
    nb_context *context = array->space->context;
    uint8_t bytes[4096];
    for (size_t i = 0; i < array->size;) {
        size_t n = 0;
        for (; n < sizeof bytes && i < array->size; i++, n += 4) {
            uint32_t bits;
            memcpy(&bits, &array->data[i], sizeof bits);
            for (int b = 0; b < 4; b++)
                bytes[n + (size_t)b] = (uint8_t)(bits >> 8 * b);
        }
        nb_status status = nb_writer_write(writer, bytes, n, error);
        if (status == NB_OK && atomic_load_explicit(&context->cancel, memory_order_relaxed))
            status = nb_context_tick(context, "save_npy", i, array->size, "numbers", error);
        if (status != NB_OK)
            return status;
    }
    return NB_OK;
}

nb_status nb_npy_save(const nb_array *array, const char *path, nb_error *error)
{
    nb_writer *writer;
    nb_status status = nb_writer_open(path, &writer, error);
    if (status != NB_OK)
        return status;
    char header[256];
    status = nb_writer_write(writer, header, write_header(array, header), error);
    if (status == NB_OK)
        status = write_numbers(array, writer, error);
    if (status == NB_OK)
        return nb_writer_commit(&writer, error);
    nb_writer_abort(&writer);
    return status;
}
